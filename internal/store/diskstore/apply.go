package diskstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// commit is a batch on its way through the pipeline: the committer judges its conditions and applies it, one at a time; the
// syncer waits for the disk. So many writers share one fsync, and nobody holds anything while waiting for it.
type commit struct {
	require []store.Condition
	batch   *pebble.Batch
	sync    bool
	number  uint64
	done    chan error // has room for the one answer
}

// Apply makes all of b visible at once. A batch without changes waits until all that it could see is durable.
//
// Order, for a new body: its file is durable, then the record, then the files of the bodies that it replaced go. If the disk
// fails while Apply waits for it, it returns object.ErrStore although the record may be there after the next start. Then the spools' bodies stay,
// whether they are discarded or not, and so do the replaced ones: the next sweep knows.
func (e *Engine) Apply(ctx context.Context, b *store.Batch) error {
	if err := e.enter(ctx); err != nil {
		return err
	}
	defer e.leave()
	if err := e.health.writable(); err != nil {
		return err
	}

	batch := e.db.NewBatch()
	if err := e.fill(batch, b); err != nil {
		return errors.Join(err, batch.Close())
	}
	c := &commit{require: b.Require, batch: batch, sync: !b.NoSync, done: make(chan error, 1)}
	select {
	case e.commits <- c:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), batch.Close())
	case <-e.health.broken:
		return e.health.err()
	}
	// From here on the batch is on its way, and ctx cannot call it back.
	select {
	case err := <-c.done:
		if err != nil {
			return err
		}
	case <-e.health.broken:
		for _, k := range b.Keep {
			k.Spool.(*spool).finish(uncertain)
		}
		e.littered.Store(true)
		return e.health.err()
	}

	for _, k := range b.Keep {
		k.Spool.(*spool).finish(kept)
	}
	for _, id := range b.Drop {
		e.remove(id)
	}
	for _, id := range b.Forget {
		e.forget(id)
	}
	return nil
}

// fill writes b's changes into batch, and makes the kept spools durable.
func (e *Engine) fill(batch *pebble.Batch, b *store.Batch) error {
	for _, k := range b.Keep {
		s, ok := k.Spool.(*spool)
		if !ok || s.e != e {
			return fmt.Errorf("%w: spool of another engine", object.ErrStore)
		}
		small, err := s.settle(k.Size, k.Label)
		if err != nil {
			return fmt.Errorf("keep body %s: %w", s.id, diskErr(err))
		}
		if small != nil {
			if err := batch.Set(inSpace(spaceBody, []byte(s.id)), small, nil); err != nil {
				return diskErr(err)
			}
		}
	}
	for _, r := range b.Set {
		if err := batch.Set(inSpace(spaceRecord, r.Key), r.Value, nil); err != nil {
			return diskErr(err)
		}
	}
	for _, k := range b.Delete {
		if err := batch.Delete(inSpace(spaceRecord, k), nil); err != nil {
			return diskErr(err)
		}
	}
	for _, d := range b.Add {
		if err := batch.Merge(inSpace(spaceRecord, d.Key), binary.BigEndian.AppendUint64(nil, uint64(d.By)), nil); err != nil {
			return diskErr(err)
		}
	}
	for _, id := range b.Drop {
		if _, small, ok := parseID(id); ok && small {
			if err := batch.Delete(inSpace(spaceBody, []byte(id)), nil); err != nil {
				return diskErr(err)
			}
		}
	}
	return nil
}

// commitLoop is the committer. It alone writes to the database while the engine is open.
func (e *Engine) commitLoop() {
	defer close(e.syncs)
	for c := range e.commits {
		if err := e.commit(c); err != nil {
			c.done <- errors.Join(err, c.batch.Close())
		}
	}
}

func (e *Engine) commit(c *commit) error {
	if err := e.health.writable(); err != nil {
		return err
	}
	for _, r := range c.require {
		if err := e.check(r); err != nil {
			return err
		}
	}
	if c.batch.Empty() {
		if !c.sync || e.durable.Load() >= e.applied {
			c.done <- c.batch.Close()
			return nil
		}
		// Nothing of its own, but it may have seen what is not durable yet. An entry in the log that means nothing waits for it.
		if err := c.batch.LogData(nil, nil); err != nil {
			return diskErr(err)
		}
	}
	if !c.sync {
		if err := e.db.Apply(c.batch, pebble.NoSync); err != nil {
			return diskErr(err)
		}
		e.applied++
		c.done <- c.batch.Close()
		return nil
	}
	if err := e.db.ApplyNoSyncWait(c.batch, pebble.Sync); err != nil {
		return diskErr(err)
	}
	e.applied++
	c.number = e.applied
	e.syncs <- c
	return nil
}

// check judges one condition.
func (e *Engine) check(r store.Condition) error {
	if r.Until != nil {
		it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: inSpace(spaceRecord, r.Key), UpperBound: inSpace(spaceRecord, r.Until)})
		if err != nil {
			return diskErr(err)
		}
		some := it.First()
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return diskErr(err)
		}
		if some {
			return store.ErrConflict
		}
		return nil
	}
	v, closer, err := e.db.Get(inSpace(spaceRecord, r.Key))
	if errors.Is(err, pebble.ErrNotFound) {
		if r.Equals == nil {
			return nil
		}
		return store.ErrConflict
	}
	if err != nil {
		return diskErr(err)
	}
	equal := r.Equals != nil && bytes.Equal(v, r.Equals)
	if err := closer.Close(); err != nil {
		return diskErr(err)
	}
	if !equal {
		return store.ErrConflict
	}
	return nil
}

// syncLoop is the syncer. The batches come in the order of the log, so that when one is durable, all before it are.
func (e *Engine) syncLoop() {
	for c := range e.syncs {
		if err := c.batch.SyncWait(); err != nil {
			// The guard does not let such an error through. If it came all the same, the batch is visible and not durable, so nothing may
			// be written on top of it.
			e.health.fail("sync log", err)
		}
		e.durable.Store(c.number)
		c.done <- c.batch.Close()
	}
}

func inSpace(space byte, key []byte) []byte {
	k := make([]byte, 0, 1+len(key))
	return append(append(k, space), key...)
}
