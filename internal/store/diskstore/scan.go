package diskstore

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cisternhq/cistern/internal/store"
)

// Get returns a copy of the record under key.
func (e *Engine) Get(ctx context.Context, key []byte) ([]byte, error) {
	return e.read(ctx, inSpace(spaceRecord, key))
}

// read returns a copy of a value of the database.
func (e *Engine) read(ctx context.Context, key []byte) ([]byte, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	v, closer, err := e.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, store.ErrNoRecord
	}
	if err != nil {
		return nil, diskErr(err)
	}
	v = append([]byte{}, v...)
	return v, diskErr(closer.Close())
}

// Scan returns an iterator over the records in [lower, upper); a nil upper is no bound.
func (e *Engine) Scan(ctx context.Context, lower, upper []byte) (store.Iterator, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	o := &pebble.IterOptions{LowerBound: inSpace(spaceRecord, lower), UpperBound: []byte{spaceRecord + 1}}
	if upper != nil {
		o.UpperBound = inSpace(spaceRecord, upper)
	}
	it, err := e.db.NewIterWithContext(ctx, o)
	if err != nil {
		e.leave()
		return nil, diskErr(err)
	}
	return &iterator{e: e, it: it}, nil
}

// iterator walks records. The engine does not close before it is closed.
type iterator struct {
	e       *Engine
	it      *pebble.Iterator
	key     []byte // of Seek, kept to allocate once
	started bool
	closed  bool
}

func (i *iterator) Next() bool {
	if i.closed {
		return false
	}
	if !i.started {
		i.started = true
		return i.it.First()
	}
	return i.it.Valid() && i.it.Next()
}

func (i *iterator) Seek(key []byte) bool {
	if i.closed {
		return false
	}
	i.started = true
	i.key = append(append(i.key[:0], spaceRecord), key...)
	return i.it.SeekGE(i.key)
}

func (i *iterator) Key() []byte { return i.it.Key()[1:] }

func (i *iterator) Value() []byte { return i.it.Value() }

func (i *iterator) Err() error {
	if i.closed {
		return nil
	}
	return diskErr(i.it.Error())
}

func (i *iterator) Close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	err := i.it.Close()
	i.e.leave()
	return diskErr(err)
}
