package fill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

const (
	// holdBack is the last piece of a body, in bytes, that readers of the whole object get only after it was verified.
	holdBack = 64 << 10
	// copyMax is what a reader copies at once, in bytes, before it looks around.
	copyMax = 4 << 20
)

// Reader reads one object from its flight, at its own speed, wherever it likes. Not safe for concurrent use.
type Reader struct {
	fl     *flight
	meta   object.Meta
	joined bool
	late   bool
	body   store.Body // nil where everything goes straight through

	// guarded by the flight's mu
	reading  bool
	off, end int64 // what it is reading
}

// join makes a reader of fl.
func (fl *flight) join(joined bool) *Reader {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	r := &Reader{fl: fl, joined: joined, late: fl.complete()}
	fl.readers[r] = struct{}{}
	fl.joined++
	return r
}

// Meta describes the object as the source did. Size is -1 while it is not known.
func (r *Reader) Meta() object.Meta { return r.meta }

// Coalesced reports whether the reader joined a flight that was in the air.
func (r *Reader) Coalesced() bool { return r.joined }

// Complete reports whether all bytes were there when the reader joined, so that the source had nothing to do with it any more.
func (r *Reader) Complete() bool { return r.late }

// Status is the status code that the source answered.
func (r *Reader) Status() int { return r.fl.head.Status }

// FirstByte is how long the source took to answer.
func (r *Reader) FirstByte() time.Duration { return r.fl.head.FirstByte }

// awaitHead waits until it is known what the object is.
func (r *Reader) awaitHead(ctx context.Context) error {
	fl := r.fl
	for {
		fl.mu.Lock()
		err, head, spool := fl.err, fl.head, fl.spool
		if err == nil && head != nil {
			r.meta = fl.meta
			r.meta.Size = fl.size
		}
		progress := fl.watch()
		fl.mu.Unlock()
		switch {
		case err != nil:
			return err
		case head != nil && spool == nil:
			return nil
		case head != nil:
			if r.body, err = spool.Open(); err == nil {
				return nil
			}
			if failed := fl.failed(); failed != nil {
				return failed // a moment ago, and the spool went with it
			}
			if fl.hasLanded() {
				return object.ErrExists // a moment ago: the store has the object, or knows that it has not
			}
			return fmt.Errorf("%w: %w", object.ErrStore, err)
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// failed returns why readers get no more; nil if they may.
func (fl *flight) failed() error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.err
}

// hasLanded reports whether the flight is over.
func (fl *flight) hasLanded() bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.landed
}

// watch returns the channel that closes at the next progress; mu is held.
func (fl *flight) watch() <-chan struct{} {
	fl.waiting = true
	return fl.progress
}

// Size waits until the size of the object is known and returns it, in bytes.
func (r *Reader) Size(ctx context.Context) (int64, error) {
	fl := r.fl
	// Meanwhile it reads nothing, so that a window does not wait for it.
	r.want(math.MaxInt64, math.MaxInt64, true)
	defer r.want(0, 0, false)
	for {
		fl.mu.Lock()
		size, err := fl.size, fl.err
		progress := fl.watch()
		fl.mu.Unlock()
		if size >= 0 || err != nil {
			return size, err
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// Landed waits until the flight is over, without reading. It returns nil if the object is in the store then, by this flight or by somebody else, or
// why it is not.
func (r *Reader) Landed(ctx context.Context) error {
	fl := r.fl
	r.want(math.MaxInt64, math.MaxInt64, true) // a window does not wait for it
	defer r.want(0, 0, false)
	for {
		fl.mu.Lock()
		landed, result := fl.landed, fl.result
		progress := fl.watch()
		fl.mu.Unlock()
		if landed {
			if errors.Is(result, object.ErrExists) {
				return nil
			}
			return result
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// WriteRange writes the bytes of rng to w as they arrive; Length -1 means up to the end. An error may come after some
// bytes: what was written then is not the object, and must not look like it.
func (r *Reader) WriteRange(ctx context.Context, w io.Writer, rng object.Range) error {
	end := rng.End()
	if rng.Length < 0 {
		end = math.MaxInt64
	}
	r.want(rng.Offset, end, true)
	defer func() { r.want(end, end, false) }() // what comes next lies behind, most often
	for off := rng.Offset; off < end; {
		n, p, err := r.next(ctx, rng.Offset, off, end)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // the end of an object whose size was not known before
		}
		if p != nil {
			if _, err := w.Write(p); err != nil {
				return err
			}
			off += int64(len(p))
			continue
		}
		section, err := r.body.Section(off, n)
		if err != nil {
			return err
		}
		copied, err := io.Copy(w, section)
		off += copied
		if err != nil {
			return err
		}
		if copied < n {
			return object.ErrDamaged
		}
	}
	return nil
}

// want says what the reader is after; not reading, it may be after anything.
func (r *Reader) want(off, end int64, reading bool) {
	r.fl.mu.Lock()
	defer r.fl.mu.Unlock()
	r.off, r.end, r.reading = off, end, reading
	r.fl.makeRoom()
}

// next waits for bytes at off, for a reader of what is between begin and end. It returns how many there are in the spool, or the bytes themselves where they go straight through;
// 0 at the end of the object.
func (r *Reader) next(ctx context.Context, begin, off, end int64) (n int64, p []byte, err error) {
	fl := r.fl
	for {
		fl.mu.Lock()
		r.off = off
		fl.makeRoom()
		if fl.err != nil {
			err := fl.err
			fl.mu.Unlock()
			return 0, nil, err
		}
		if fl.verified && off >= fl.size {
			fl.mu.Unlock()
			return 0, nil, nil
		}
		limit := end
		whole := begin == 0 && (fl.size < 0 || end >= fl.size)
		if whole && !fl.verified && len(fl.head.Claims) > 0 {
			// Up to here it may go out; the rest waits for the verdict.
			seen := fl.size
			if seen < 0 {
				seen = fl.have.missing(off)
				if fl.relay != nil {
					seen = max(seen, fl.relay.hi())
				}
			}
			limit = min(limit, max(seen-holdBack, 0))
		}
		if to := min(fl.have.missing(off), limit); to > off {
			fl.mu.Unlock()
			return min(to-off, copyMax), nil, nil
		}
		if off < limit {
			if p := fl.relay.at(off, limit); p != nil {
				fl.mu.Unlock()
				return int64(len(p)), p, nil
			}
			if fl.gone(off) {
				err := fl.relayErr
				fl.mu.Unlock()
				return 0, nil, err
			}
			if !fl.covered(off) {
				fl.nudge()
			}
		}
		progress := fl.watch()
		fl.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return 0, nil, context.Cause(ctx)
		}
	}
}

// Close leaves the flight, which goes on.
func (r *Reader) Close() error {
	fl := r.fl
	fl.mu.Lock()
	delete(fl.readers, r)
	fl.makeRoom()
	if len(fl.readers) == 0 && !fl.landed {
		switch {
		case fl.superseded:
			fl.cancel(object.ErrSuperseded) // it commits nothing, and nobody reads
		case fl.relay != nil:
			fl.cancel(fl.relayErr)
		}
	}
	fl.mu.Unlock()
	if r.body != nil {
		return r.body.Close()
	}
	return nil
}
