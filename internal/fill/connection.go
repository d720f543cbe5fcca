package fill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

// errLied is matched when a source that offered ranges does not serve them.
var errLied = errors.New("source does not serve the ranges that it offers")

// connection is one response that brings bytes: the first answer, or a further one for a part.
type connection struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	begun  time.Time

	// All below is guarded by the flight's mu, but for err and got, which belong to the connection until it has ended.
	whole bool      // its response began at 0 and goes to the end of the object
	pos   int64     // where it reads on; what lies before is written or about to be
	busy  span      // what it is writing now
	reach int64     // where its response ends
	end   int64     // where it stops: another connection, or what is there already, begins there
	total int64     // bytes that it brought, to know how fast it is
	asked time.Time // since when it waits for the source; zero while it does not

	got int64 // new bytes
	err error // why it ended; nil when it came to its end
}

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// newConnection returns one for [from, to). Whatever it asks for is to be asked with its context.
func (fl *flight) newConnection(from, to int64) *connection {
	c := &connection{begun: time.Now(), pos: from, reach: to, end: to, whole: from == 0 && to == math.MaxInt64}
	c.ctx, c.cancel = context.WithCancelCause(fl.ctx)
	return c
}

// launch lets c bring its bytes; mu is held. resp is its response if it has one already, else it asks for its own.
// The caller has made sure that a connection is free.
func (fl *flight) launch(c *connection, resp *origin.Response) {
	fl.conns[c] = struct{}{}
	fl.most = max(fl.most, len(fl.conns))
	if fl.relay != nil {
		fl.relay.by = c
	}
	fl.bounds()
	fl.f.wg.Go(func() {
		c.err = fl.bring(c, resp)
		c.cancel(context.Canceled)
		fl.ended <- c
	})
}

// bring reads c's response into the spool until c's end.
func (fl *flight) bring(c *connection, resp *origin.Response) error {
	if resp == nil {
		var err error
		if resp, err = fl.further(c); err != nil {
			return err
		}
	}
	defer resp.Body.Close()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)

	for {
		fl.mu.Lock()
		off, end := c.pos, c.end
		c.asked = time.Now()
		fl.mu.Unlock()
		if off >= end {
			return nil
		}
		p := (*buf)[:min(int64(len(*buf)), end-off)]
		n, err := resp.Body.Read(p)
		fl.mu.Lock()
		fl.waited += time.Since(c.asked)
		c.asked = time.Time{}
		fl.mu.Unlock()
		if n > 0 {
			fl.bytes.Add(int64(n))
			fl.f.stats.originBytes.Add(int64(n))
			if perr := fl.f.limits.pace(c.ctx, fl.source, fl.f.pace, n); perr != nil {
				return context.Cause(c.ctx)
			}
			if werr := fl.arrive(c, off, p[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return fl.endOfBody(c, off+int64(n))
		case err != nil && c.ctx.Err() != nil:
			return context.Cause(c.ctx)
		case err != nil:
			return err
		}
	}
}

// further asks for c's range, or for the whole object again where the source serves no ranges.
func (fl *flight) further(c *connection) (*origin.Response, error) {
	fl.mu.Lock()
	head, size := fl.head, fl.size
	req := origin.Request{Source: fl.key.source, Key: fl.at(), Hops: fl.want.Hops}
	if !c.whole {
		req.Range = object.Range{Offset: c.pos, Length: min(c.end, size) - c.pos}
		req.Validator = head.Validator
	}
	fl.mu.Unlock()

	fl.requests.Add(1)
	fl.f.stats.originRequests.Add(1)
	resp, err := fl.f.o.Origin.Fetch(c.ctx, req)
	if err != nil {
		if c.ctx.Err() != nil {
			return nil, context.Cause(c.ctx)
		}
		if errors.Is(err, object.ErrNoSuchKey) {
			return nil, object.Explain(object.ErrSourceChanged, "the object went away at the source during the fill")
		}
		if errors.Is(err, object.ErrSourceBad) && !c.whole {
			return nil, fmt.Errorf("%w: %w", errLied, err)
		}
		return nil, err
	}
	if err := fl.same(head, resp, size); err != nil {
		resp.Body.Close()
		return nil, err
	}
	if c.whole || resp.Status != 200 {
		fl.mu.Lock()
		c.reach = min(c.reach, resp.Range.End())
		if c.whole {
			c.reach = size
		}
		fl.bounds()
		fl.mu.Unlock()
		return resp, nil
	}
	// A range was answered with all of the same object. While another connection streams, that is one too many. Alone, it is what is
	// left: it is read from the beginning, and what is there already is passed over.
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.ranges, fl.lied = false, true
	if len(fl.conns) > 1 {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: it answered 200", errLied)
	}
	c.whole, c.pos, c.reach = true, 0, size
	fl.bounds()
	return resp, nil
}

// same makes sure that a further answer is of the object that the first one described.
func (fl *flight) same(first, resp *origin.Response, size int64) error {
	changed := func(what string) error {
		return object.Explain(object.ErrSourceChanged, "the object's %s changed at the source during the fill", what)
	}
	a, b := first.Provenance, resp.Provenance
	switch {
	case resp.Meta.Size != size:
		return changed("length")
	case a.ETag != b.ETag && (b.ETag != "" || resp.Status == 200):
		return changed("ETag")
	case a.LastModified != b.LastModified && (b.LastModified != "" || resp.Status == 200):
		return changed("Last-Modified")
	}
	return nil
}

// arrive takes p, the source's bytes from off on, that c has read.
func (fl *flight) arrive(c *connection, off int64, p []byte) error {
	to := off + int64(len(p))
	fl.mu.Lock()
	if fl.size < 0 && to > fl.f.o.MaxUnsized {
		fl.mu.Unlock()
		return object.Explain(object.ErrSourceBad, "the source sent more than %d bytes without having said how many would come", fl.f.o.MaxUnsized)
	}
	// While the bytes were read, c may have been told to stop earlier. What it drops it cannot get again, so it must not be told to go on
	// later:
	//
	//	c reads [8k, 64k)
	//	run launches d at 32k: c ends there      c drops [32k, 64k)
	//	d breaks off: c goes to the end again    c takes what the source sends next, from 64k on, for what follows 32k
	if to > c.end {
		to = c.end
		c.reach = to
	}
	c.total += to - off
	c.pos, c.busy = to, span{off, to}
	fl.mu.Unlock()

	for off < to {
		fl.mu.Lock()
		from := fl.have.missing(off) // pass over what is there
		till := fl.have.next(from, to)
		if fl.relay != nil { // but the stream has no gaps
			from, till = off, to
		}
		fl.mu.Unlock()
		if from >= to {
			break
		}
		part := p[from-off : till-off]
		if err := fl.write(c, from, part); err != nil {
			return err
		}
		c.got += int64(len(part))
		p, off = p[till-off:], till
	}
	fl.mu.Lock()
	c.busy = span{}
	fl.mu.Unlock()
	return nil
}

// write puts p at off where readers find it: into the spool, or straight through when the disk fails.
func (fl *flight) write(c *connection, off int64, p []byte) error {
	fl.mu.Lock()
	spool, relay := fl.spool, fl.relay
	given := relay != nil && relay.by != c // its place was taken while it was reading
	fl.mu.Unlock()
	if given {
		return errRerouted
	}
	if relay == nil {
		_, err := spool.WriteAt(p, off)
		if err == nil {
			fl.mu.Lock()
			fl.have.add(off, off+int64(len(p)))
			fl.wake()
			fl.mu.Unlock()
			return fl.hashArrived(off, p)
		}
		if fl.put != nil {
			return fl.unwritten(err) // nobody reads, so there is nothing to go straight through for
		}
		if err := fl.reroute(c, off, err); err != nil {
			return err
		}
	}
	return fl.through(off, p)
}

// hashArrived lets the hasher see p while it is warm.
func (fl *flight) hashArrived(off int64, p []byte) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return fl.hash.arrived(off, p, fl.body, func(front int64) int64 {
		fl.mu.Lock()
		defer fl.mu.Unlock()
		return fl.have.missing(front)
	}, *buf)
}

// endOfBody judges a body that ended cleanly at off.
func (fl *flight) endOfBody(c *connection, off int64) error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	switch {
	case fl.size < 0 && c.whole:
		fl.size = off // the source did not say it before
		fl.wake()
	case off < min(c.end, c.reach) && off < fl.size:
		return object.Explain(object.ErrSourceDown, "the source broke off after %d of %d bytes", off, fl.size)
	}
	return nil
}
