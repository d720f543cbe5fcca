// Package store keeps objects at rest.
//
// A Store is the rules: which records an object, a bucket, a setting and a running fill have, and what must be unchanged for
// them to change. An Engine moves the bytes and the records, and knows none of that. The store knows no sources, no HTTP and no API.
//
// Every change is one Batch that names what it read: if that changed meanwhile, the engine refuses and the store reads again.
// So there are no locks here, and several processes could share an engine.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cisternhq/cistern/internal/object"
)

// Store is the rules over an Engine. It is safe for concurrent use. Make one with New.
type Store struct {
	e Engine

	consumers []*Consumer
	stamped   atomic.Int64 // the time of the last event, in nanoseconds since 1970
	news      struct {
		sync.Mutex // guards more
		more       chan struct{}
	}

	mu    sync.Mutex // guards all below
	fills map[fillID]int
	pins  map[uint64]*pin // pieces that somebody reads
}

// New returns a store over e. Call Recover before the first use: e may hold leftovers of a process that ended early.
// The consumers are told of changes, see Waiting.
func New(e Engine, consumers ...*Consumer) *Store {
	s := &Store{e: e, consumers: consumers, fills: make(map[fillID]int), pins: make(map[uint64]*pin)}
	s.news.more = make(chan struct{})
	for _, c := range consumers {
		if c.MaxPending == 0 {
			c.MaxPending = 10_000
		}
	}
	return s
}

// Close closes the engine, which waits for running calls.
func (s *Store) Close() error { return storeErr(s.e.Close()) }

// A sweeper is an engine that can be left with bodies that no record refers to.
type sweeper interface {
	// Sweep removes unfinished bodies that are not in spare, and bodies that live does not yield.
	Sweep(ctx context.Context, spare map[BodyID]bool, live func(yield func(BodyID) bool) error) error
}

// Recover removes what a process that ended early left behind: intents of fills, garbage, unfinished and forgotten bodies. What can still be taken up by
// ResumeFill stays.
// Bodies that are being written now are safe from it; fills that run now would be superseded, so call it before the first one.
// After an error the store works all the same; some leftovers are still there. object.ErrDamaged says that a record could not be read, so that
// nothing can be said of bodies that seem forgotten.
func (s *Store) Recover(ctx context.Context) error {
	if err := s.clear(ctx, []byte{spaceIntent}, []byte{spaceIntent + 1}); err != nil {
		return fmt.Errorf("recover store: %w", err)
	}
	if err := s.recoverGarbage(ctx); err != nil {
		return fmt.Errorf("recover store: %w", err)
	}
	if err := s.recoverStamps(ctx); err != nil {
		return fmt.Errorf("recover store: %w", err)
	}
	if err := s.recoverUsage(ctx); err != nil {
		return fmt.Errorf("recover store: %w", err)
	}
	spare, err := s.recoverPartials(ctx)
	if err != nil {
		return fmt.Errorf("recover store: %w", err)
	}
	sw, ok := s.e.(sweeper)
	if !ok {
		return nil
	}
	err = sw.Sweep(ctx, spare, func(yield func(BodyID) bool) error { return s.liveBodies(ctx, yield) })
	if err != nil {
		return fmt.Errorf("recover store: %w", storeErr(err))
	}
	return nil
}

// liveBodies yields the body of every version of an object, of every piece of one and of every part of an upload. A damaged record ends it with an error: the
// body that it named must not be taken for a forgotten one.
func (s *Store) liveBodies(ctx context.Context, yield func(BodyID) bool) error {
	more := true
	yieldIf := func(id BodyID) bool {
		more = more && (id == "" || yield(id))
		return more
	}
	// Parts before pieces: a part that becomes a piece meanwhile is seen in one place at least.
	for _, records := range []struct {
		space byte
		body  func(key, value []byte) (BodyID, error)
	}{
		{spaceObject, func(_, v []byte) (BodyID, error) {
			_, at, err := decodeObject(v)
			return at.body, err
		}},
		{spaceVersion, func(_, v []byte) (BodyID, error) {
			_, at, err := decodeObject(v)
			return at.body, err
		}},
		{spacePart, func(k, v []byte) (BodyID, error) {
			if _, ok := partNumber(k); !ok {
				return "", nil // the counter
			}
			p, err := decodePart(v)
			return p.body, err
		}},
		{spacePiece, func(_, v []byte) (BodyID, error) {
			p, err := decodePart(v)
			return p.body, err
		}},
	} {
		err := s.each(ctx, []byte{records.space}, []byte{records.space + 1}, func(k, v []byte) (bool, error) {
			id, err := records.body(k, v)
			return err == nil && yieldIf(id), err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// each calls do with the records in [lower, upper), as they are at the call, until it returns false or an error.
func (s *Store) each(ctx context.Context, lower, upper []byte, do func(key, value []byte) (bool, error)) error {
	it, err := s.e.Scan(ctx, lower, upper)
	if err != nil {
		return storeErr(err)
	}
	defer it.Close()
	for n := 0; it.Next(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if more, err := do(it.Key(), it.Value()); err != nil || !more {
			return err
		}
	}
	return storeErr(it.Err())
}

// clear removes all records in [lower, upper), a bounded number at a time.
func (s *Store) clear(ctx context.Context, lower, upper []byte) error {
	for {
		keys, err := s.keys(ctx, lower, upper, 1000)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := s.e.Apply(ctx, &Batch{Delete: keys}); err != nil {
			return storeErr(err)
		}
	}
}

// keys returns the first keys in [lower, upper), at most limit; all of them if limit is negative.
func (s *Store) keys(ctx context.Context, lower, upper []byte, limit int) ([][]byte, error) {
	it, err := s.e.Scan(ctx, lower, upper)
	if err != nil {
		return nil, storeErr(err)
	}
	defer it.Close()
	var keys [][]byte
	for len(keys) != limit && it.Next() {
		keys = append(keys, append([]byte(nil), it.Key()...))
	}
	return keys, storeErr(it.Err())
}

// get returns the record under key, nil if there is none.
func (s *Store) get(ctx context.Context, key []byte) ([]byte, error) {
	v, err := s.e.Get(ctx, key)
	if errors.Is(err, ErrNoRecord) {
		return nil, nil
	}
	if err != nil {
		return nil, storeErr(err)
	}
	if v == nil {
		v = []byte{} // nil is a missing record
	}
	return v, nil
}

// unchanged is the condition that the record under key is still value, as get returned it.
func unchanged(key, value []byte) Condition { return Condition{Key: key, Equals: value} }

// storeErr makes sure that an engine's error has a name and is never taken for a miss.
func storeErr(err error) error {
	switch {
	case err == nil,
		errors.Is(err, ErrConflict),
		errors.Is(err, object.ErrStore), errors.Is(err, object.ErrDamaged),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", object.ErrStore, err)
}

// on adds to err what failed and on what; nil stays nil.
func on(op, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	return &object.Error{Op: op, Bucket: bucket, Key: key, Err: err}
}

// retry calls try until it returns anything but ErrConflict, or ctx ends. Of all that try for one record at once, one gets through
// every round, so it ends.
func retry(ctx context.Context, try func() error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := try(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}
