// Package memstore is a store's engine that keeps all in memory.
//
// It is a real engine for tests and trials: it passes storetest, and what it keeps ends with the process.
package memstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Engine is an engine in memory. Make one with New.
type Engine struct {
	mu         sync.RWMutex // guards all below; before a buffer's
	root       *node
	bodies     map[store.BodyID]*buffer
	unfinished map[store.BodyID]*buffer // being written, or left
	next       uint64                   // number of the last body
	closed     bool
}

var _ store.Engine = (*Engine)(nil)

// New returns an empty engine.
func New() *Engine {
	return &Engine{bodies: make(map[store.BodyID]*buffer), unfinished: make(map[store.BodyID]*buffer)}
}

var errClosed = fmt.Errorf("%w: it is closed", object.ErrStore)

// Get returns a copy of the record under key.
func (e *Engine) Get(ctx context.Context, key []byte) ([]byte, error) {
	root, err := e.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	n := root.find(key)
	if n == nil {
		return nil, store.ErrNoRecord
	}
	return append([]byte{}, n.value...), nil
}

// Scan returns an iterator over the records in [lower, upper); a nil upper is no bound.
func (e *Engine) Scan(ctx context.Context, lower, upper []byte) (store.Iterator, error) {
	root, err := e.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	it := &iterator{root: root, lower: bytes.Clone(lower)}
	if upper != nil {
		it.upper = append([]byte{}, upper...)
	}
	return it, nil
}

// snapshot returns the records as they are now. They never change: a change makes another tree.
func (e *Engine) snapshot(ctx context.Context) (*node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, errClosed
	}
	return e.root, nil
}

// Apply makes all of b visible at once.
func (e *Engine) Apply(ctx context.Context, b *store.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	root := e.root
	for _, c := range b.Require {
		if !holds(root, c) {
			return store.ErrConflict
		}
	}
	for _, k := range b.Keep {
		sp, ok := k.Spool.(*spool)
		if !ok || sp.e != e {
			return fmt.Errorf("%w: spool of another engine", object.ErrStore)
		}
		if err := sp.buf.ready(sp, k.Size); err != nil {
			return err
		}
	}
	for _, r := range b.Set {
		root = root.set(bytes.Clone(r.Key), bytes.Clone(r.Value))
	}
	for _, k := range b.Delete {
		root = root.remove(k)
	}
	for _, d := range b.Add {
		var was uint64
		if n := root.find(d.Key); n != nil {
			if len(n.value) != 8 {
				return fmt.Errorf("%w: counter of %d bytes", object.ErrDamaged, len(n.value))
			}
			was = binary.BigEndian.Uint64(n.value)
		}
		root = root.set(bytes.Clone(d.Key), binary.BigEndian.AppendUint64(nil, was+uint64(d.By)))
	}
	for _, k := range b.Keep {
		sp := k.Spool.(*spool)
		sp.buf.release(sp)
		delete(e.unfinished, sp.id)
		e.bodies[sp.id] = sp.buf
	}
	for _, id := range b.Drop {
		delete(e.bodies, id)
	}
	for _, id := range b.Forget {
		if buf, ok := e.unfinished[id]; ok && !buf.taken() {
			delete(e.unfinished, id)
		}
	}
	e.root = root
	return nil
}

func holds(root *node, c store.Condition) bool {
	if c.Until != nil {
		it := iterator{root: root, lower: c.Key, upper: c.Until}
		return !it.Next()
	}
	n := root.find(c.Key)
	if n == nil || c.Equals == nil {
		return n == nil && c.Equals == nil
	}
	return bytes.Equal(n.value, c.Equals)
}

// NewSpool opens an empty body for writing.
func (e *Engine) NewSpool(ctx context.Context, size int64) (store.Spool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	e.next++
	s := &spool{e: e, id: store.BodyID(strconv.FormatUint(e.next, 10)), buf: new(buffer)}
	s.buf.writer = s
	e.unfinished[s.id] = s.buf
	return s, nil
}

// Reopen takes up an unfinished body that a spool left.
func (e *Engine) Reopen(ctx context.Context, id store.BodyID, size int64) (store.Spool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	buf, ok := e.unfinished[id]
	if !ok {
		return nil, fmt.Errorf("%w: unfinished body %q is not there", object.ErrDamaged, id)
	}
	s := &spool{e: e, id: id, buf: buf}
	if err := buf.take(s, size); err != nil {
		return nil, err
	}
	return s, nil
}

// end ends s, and forgets what it wrote unless it shall stay and is worth it.
func (e *Engine) end(s *spool, stay bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if was, synced := s.buf.release(s); was && !(stay && synced) {
		delete(e.unfinished, s.id)
	}
}

// Open opens a body that a batch kept.
func (e *Engine) Open(ctx context.Context, id store.BodyID) (store.Body, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, errClosed
	}
	buf, ok := e.bodies[id]
	if !ok {
		return nil, fmt.Errorf("%w: body %q is not there", object.ErrDamaged, id)
	}
	return &body{buf: buf}, nil
}

// Close forgets everything. Bodies and iterators that are open stay readable.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.root, e.bodies, e.unfinished = nil, nil, nil
	return nil
}
