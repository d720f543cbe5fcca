package fill

import (
	"context"
	"errors"
	"fmt"

	"github.com/cisternhq/cistern/internal/object"
)

// When the disk fails, the readers who are there still get their bytes: straight through, over a window in memory that moves with the
// one furthest behind. Nothing is stored. Who comes later begins a flight of his own.

// errUnstored is matched by the outcome of a flight whose bytes went straight through.
var errUnstored = errors.New("not stored")

// errRerouted ends a connection because another one takes its place.
var errRerouted = errors.New("rerouted")

// windowSize bounds the bytes of a window.
const windowSize = 1 << 20

// window holds the bytes [lo, lo+len(buf)). A nil window holds none.
type window struct {
	lo   int64
	buf  []byte
	room chan struct{} // capacity 1: told when readers went on
	open bool          // bytes went in
	done bool          // the end of the object went in
}

// at returns a copy of the window's bytes from off on, at most up to limit, or nil; the flight's mu is held.
func (w *window) at(off, limit int64) []byte {
	if w == nil || off < w.lo || off >= w.lo+int64(len(w.buf)) {
		return nil
	}
	p := w.buf[off-w.lo:]
	p = p[:min(int64(len(p)), limit-off, 64<<10)]
	return append([]byte(nil), p...)
}

// straightThrough switches the flight over: the spool cannot be written, because of err. mu is held.
func (fl *flight) straightThrough(err error, off int64) {
	if fl.relay != nil {
		return
	}
	fl.relay = &window{lo: off, room: make(chan struct{}, 1)}
	fl.relayErr = fmt.Errorf("%w: %w: write spool: %w", errUnstored, object.ErrStore, err)
	fl.f.o.Logger.Error("spool cannot be written; the object goes straight through and is not stored",
		"bucket", fl.want.Bucket.Name, "key", fl.key.key, "err", err)
	if len(fl.conns) > 1 {
		for c := range fl.conns {
			c.cancel(errRerouted)
		}
	}
	// detach takes the filler's lock, which is held around join, which takes mu: so not from here.
	fl.f.wg.Go(func() { fl.f.detach(fl) })
}

// through puts p, the bytes from off on, into the window as soon as there is room.
func (fl *flight) through(off int64, p []byte) error {
	fl.mu.Lock()
	w := fl.relay
	if w.lo+int64(len(w.buf)) != off {
		w.lo, w.buf = off, w.buf[:0] // bytes in between are in the spool
	}
	w.open = true
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
		fl.wake()
		fl.mu.Unlock()
		if n > 0 {
			fl.hash.follow(off, p[:n])
			p, off = p[n:], off+int64(n)
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

// trim drops what every reader has passed; mu is held.
func (fl *flight) trim(w *window) {
	hi := w.lo + int64(len(w.buf))
	low := hi
	for r := range fl.readers {
		if !r.reading {
			low = w.lo // it has not begun yet
			break
		}
		if r.off < hi && r.end > w.lo {
			low = min(low, max(r.off, w.lo))
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
