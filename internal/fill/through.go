package fill

import (
	"context"
	"errors"
	"fmt"

	"github.com/cisternhq/cistern/internal/object"
)

// When the disk fails, the readers who are there still get their bytes: straight through. One connection goes on, in order, from
// what the reader furthest behind needs first to the end of the object; its bytes pass by in a window in memory, which moves on when
// nobody needs its beginning any more. What is in the spool already is still read from there. Nothing is stored, and who comes later
// begins a flight of his own.

// errUnstored is matched by the outcome of a flight whose bytes went straight through.
var errUnstored = errors.New("not stored")

// errRerouted ends a connection because another one takes its place.
var errRerouted = errors.New("rerouted")

// windowSize bounds the bytes of a window. It is more than holdBack, so that the last piece can wait in it for the verdict.
const windowSize = 1 << 20

// window holds the bytes [lo, lo+len(buf)) of the stream. A nil window holds none.
type window struct {
	by   *connection // the one that brings the stream
	lo   int64
	buf  []byte
	room chan struct{} // capacity 1: told when a reader went on or left
	open bool          // the stream has begun
	done bool          // the end of the object went in
}

// hi is where the stream goes on.
func (w *window) hi() int64 { return w.lo + int64(len(w.buf)) }

// at returns a copy of the window's bytes from off on, at most up to limit, or nil; the flight's mu is held.
func (w *window) at(off, limit int64) []byte {
	if w == nil || off < w.lo || off >= w.hi() {
		return nil
	}
	p := w.buf[off-w.lo:]
	return append([]byte(nil), p[:min(int64(len(p)), limit-off, 64<<10)]...)
}

// gone reports whether the byte at off, which is not in the spool, has passed by or will not come any more; mu is held.
func (fl *flight) gone(off int64) bool {
	w := fl.relay
	return w != nil && w.open && (off < w.lo || w.done && off >= w.hi() && off < fl.size)
}

// straightThrough switches the flight over: the spool cannot be written, because of err. mu is held; the caller takes the flight out of the
// table afterwards.
func (fl *flight) straightThrough(err error) {
	if fl.relay != nil {
		return
	}
	fl.relay = &window{room: make(chan struct{}, 1)}
	fl.relayErr = fl.unwritten(err)
	fl.f.o.Logger.Error("spool cannot be written; the object goes straight through and is not stored",
		"bucket", fl.want.Bucket.Name, "key", fl.key.key, "err", err)
}

// unwritten is why what arrives is not stored: err of the spool.
func (fl *flight) unwritten(err error) error {
	return fmt.Errorf("%w: %w: write spool: %w", errUnstored, object.ErrStore, err)
}

// reroute switches over while bytes arrive: c could not write those from off on. If c can be the one connection that goes on, it stays
// the only one. Otherwise all end, and schedule launches one at the right place.
func (fl *flight) reroute(c *connection, off int64, err error) error {
	fl.mu.Lock()
	if fl.relay != nil { // another one was first
		fl.mu.Unlock()
		return errRerouted
	}
	fl.straightThrough(err)
	stays := fl.lowest() >= off && c.reach >= fl.size
	for d := range fl.conns {
		if d != c || !stays {
			d.cancel(errRerouted)
		}
	}
	if stays {
		fl.relay.by = c
	}
	fl.bounds()
	front := fl.have.missing(0)
	fl.mu.Unlock()
	fl.f.detach(fl)
	fl.hashSpooled(front)
	if !stays {
		return errRerouted
	}
	return nil
}

// hashSpooled hashes what the spool holds from the front on, so that the stream can be hashed on from there. What cannot be read back leaves
// the object unverified, which is for verify to judge.
func (fl *flight) hashSpooled(front int64) {
	if fl.body == nil {
		return
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if err := fl.hash.catchUp(fl.body, front, *buf); err != nil {
		fl.f.o.Logger.Warn("spool cannot be read back", "bucket", fl.want.Bucket.Name, "key", fl.key.key, "err", err)
	}
}

// lowest returns the first byte that the reader furthest behind still needs from the stream; mu is held. With nobody to need anything it
// is where the spool ends.
func (fl *flight) lowest() int64 {
	low := int64(-1)
	for r := range fl.readers {
		if need, ok := fl.needOf(r); ok && (low < 0 || need < low) {
			low = need
		}
	}
	if low < 0 {
		return fl.have.missing(0)
	}
	return low
}

// needOf returns the first byte that r needs and that the spool does not have; mu is held. A reader that has not said yet what it
// wants may want all.
func (fl *flight) needOf(r *Reader) (need int64, ok bool) {
	need = fl.have.missing(r.off)
	if r.reading && need >= r.end || fl.size >= 0 && need >= fl.size {
		return 0, false
	}
	return need, true
}

// through passes p, the bytes of the stream from off on, by the readers.
func (fl *flight) through(off int64, p []byte) error {
	fl.hash.follow(off, p)
	fl.mu.Lock()
	w := fl.relay
	if !w.open {
		w.open, w.lo = true, off
	}
	if w.hi() != off { // the source began from 0 again: nobody needs what is in between
		w.lo, w.buf = off, w.buf[:0]
	}
	fl.mu.Unlock()
	for len(p) > 0 {
		fl.mu.Lock()
		if len(fl.readers) == 0 {
			fl.mu.Unlock()
			return fl.relayErr
		}
		fl.trim(w)
		n := min(windowSize-len(w.buf), len(p))
		w.buf = append(w.buf, p[:n]...)
		if n > 0 {
			fl.wake()
		}
		fl.mu.Unlock()
		if n > 0 {
			p = p[n:]
			continue
		}
		select {
		case <-w.room:
		case <-fl.ctx.Done():
			return context.Cause(fl.ctx)
		}
	}
	return nil
}

// trim drops from the window what no reader needs any more; mu is held.
func (fl *flight) trim(w *window) {
	low := w.hi()
	for r := range fl.readers {
		// Who needs something from before the window has lost it, and is told so.
		if need, ok := fl.needOf(r); ok && need >= w.lo {
			low = min(low, need)
		}
	}
	w.buf = w.buf[:copy(w.buf, w.buf[low-w.lo:])]
	w.lo = low
}

// makeRoom tells a connection that waits for room to look again; mu is held.
func (fl *flight) makeRoom() {
	if fl.relay == nil {
		return
	}
	select {
	case fl.relay.room <- struct{}{}:
	default:
	}
}
