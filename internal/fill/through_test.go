package fill_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

// Whichever write fails, and if no spool can be made at all: the reader gets every byte, and nothing is stored.
func TestThrough(t *testing.T) {
	data := content(3 << 20)
	sum := md5.Sum(data)
	for _, size := range []string{"known", "unknown"} {
		for _, claims := range []bool{false, true} {
			for n := range 5 { // 0: no spool; else the write that fails first
				t.Run(fmt.Sprintf("size %s, claims %v, write %d", size, claims, n), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
							resp := whole(ctx, data, nil)
							if size == "unknown" {
								resp.Meta.Size, resp.Range.Length = -1, -1
							}
							if claims {
								resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: sum[:]}}
							}
							return resp, nil
						}}
						d := newDisk()
						if n == 0 {
							d.spool = func() error { return errDisk }
						} else {
							d.write = failAt(n)
						}
						r := newRigOn(t, d, o)
						defer r.close()
						got, err := r.get(anHour(t), "k", all)
						if err != nil {
							t.Errorf("the reader got %d of %d bytes, then %v", len(got), len(data), err)
						} else {
							same(t, "reader", got, data)
						}
						synctest.Wait()
						r.wantAbsent("k")
						if rep := <-r.reports; rep.Outcome != fill.Unstored || rep.Err == nil {
							t.Errorf("outcome = %s (%v), want unstored with the reason", rep.Outcome, rep.Err)
						}
						if s := r.filler.Stats(); s.Unstored != 1 {
							t.Errorf("unstored = %d, want 1", s.Unstored)
						}
						r.wantSettled()
						// The next one begins a flight of its own.
						before := o.count()
						r.get(anHour(t), "k", all)
						if o.count() != before+1 {
							t.Errorf("requests of the next GET = %d, want 1", o.count()-before)
						}
					})
				})
			}
		}
	}
}

// A digest that does not hold is a broken connection, disk or no disk.
func TestThroughMismatch(t *testing.T) {
	data := content(3 << 20)
	for n := range 3 {
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					resp := whole(ctx, data, nil)
					resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: make([]byte, 16)}}
					return resp, nil
				}}
				d := newDisk()
				d.write = failAt(n)
				if n == 0 {
					d.spool = func() error { return errDisk }
				}
				r := newRigOn(t, d, o)
				defer r.close()
				got, err := r.get(anHour(t), "k", all)
				if !errors.Is(err, object.ErrBadDigest) || len(got) >= len(data) {
					t.Errorf("the reader got %d of %d bytes and %v, want less and a bad digest", len(got), len(data), err)
				}
				synctest.Wait()
				r.wantAbsent("k")
			})
		})
	}
}

// Two readers far from each other, both while the disk fails: each gets his bytes.
func TestThroughTwoReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(5 << 20)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
		}}
		d := newDisk()
		d.write = failAt(4)
		r := newRigOn(t, d, o)
		defer r.close()
		var wg sync.WaitGroup
		ctx := anHour(t)
		readers := map[object.Range]*reader{}
		for _, rng := range []object.Range{all, {Offset: 0, Length: 100}, {Offset: 4 << 20, Length: 1 << 20}, {Offset: 2 << 20, Length: 2 << 20}} {
			readers[rng] = r.start(ctx, &wg, "k", rng)
		}
		synctest.Wait()
		g.open(int64(len(data)))
		wg.Wait()
		for rng, rd := range readers {
			want := data[rng.Offset:]
			if rng.Length >= 0 {
				want = want[:rng.Length]
			}
			if rd.err != nil {
				t.Errorf("range %+v: %v", rng, rd.err)
			}
			same(t, fmt.Sprintf("range %+v", rng), rd.data, want)
		}
		r.wantAbsent("k")
		r.wantSettled()
	})
}

// The window waits for the slowest reader and holds no more than its bound, whatever the object's size.
func TestThroughSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 20
		data := content(size)
		var taken int64 // by the connection
		var mu sync.Mutex
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader {
				return readerFunc(func(p []byte) (int, error) {
					n, err := r.Read(p)
					mu.Lock()
					taken += int64(n)
					mu.Unlock()
					return n, err
				})
			}), nil
		}}
		d := newDisk()
		d.spool = func() error { return errDisk }
		r := newRigOn(t, d, o)
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		v := newValve(ctx)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		slow := r.startTo(ctx, &wg, "k", all, v)
		synctest.Wait()
		mu.Lock()
		if taken > 2<<20 {
			t.Errorf("%d bytes were taken from the source for a reader who took none; want at most the window and a buffer", taken)
		}
		mu.Unlock()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		close(v.open)
		wg.Wait()
		if slow.err != nil {
			t.Error(slow.err)
		}
		same(t, "slow reader", v.bytes(), data)
	})
}

// Nobody reads and the disk fails: there is nothing to fly for.
func TestThroughNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(3 << 20)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
		}}
		d := newDisk()
		d.write = failAt(3)
		r := newRigOn(t, d, o)
		defer r.close()
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		r.start(ctx, &wg, "k", all)
		synctest.Wait()
		g.open(100)
		synctest.Wait()
		leave()
		wg.Wait()
		g.open(int64(len(data)))
		if rep := <-r.reports; rep.Outcome != fill.Unstored {
			t.Errorf("outcome = %s (%v), want unstored", rep.Outcome, rep.Err)
		}
		synctest.Wait()
		r.wantAbsent("k")
		r.wantSettled()
	})
}

// The last reader leaves a window that is full: the flight ends, and its place is free.
func TestThroughLastLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(8 << 20)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}}
		d := newDisk()
		d.spool = func() error { return errDisk }
		r := newRigOn(t, d, o)
		defer r.close()
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		r.startTo(ctx, &wg, "k", all, newValve(ctx))
		synctest.Wait()
		leave()
		wg.Wait()
		synctest.Wait()
		r.wantSettled()
	})
}

// A range reader who asks for two ranges one after the other gets both.
func TestThroughTwoRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(8 << 20)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}}
		d := newDisk()
		d.write = failAt(2)
		r := newRigOn(t, d, o)
		defer r.close()
		ctx := anHour(t)
		rd, err := r.filler.Get(ctx, r.want("k"))
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Close()
		var buf bytes.Buffer
		for _, rng := range []object.Range{{Offset: 1 << 20, Length: 10}, {Offset: 6 << 20, Length: 2 << 20}} {
			buf.Reset()
			if err := rd.WriteRange(ctx, &buf, rng); err != nil {
				t.Errorf("range %+v: %v", rng, err)
			}
			same(t, "range", buf.Bytes(), data[rng.Offset:rng.End()])
			synctest.Wait() // he writes the head of the next part, which takes as long as his client likes
		}
	})
}

// aheadThenBroken is a flight whose first answer is gated, that has n bytes at off in the spool from a seek, and whose disk is broken by now.
func aheadThenBroken(t *testing.T, data []byte, off, n int64, claims []origin.Claim, segment int64) (*rig, *script, func()) {
	t.Helper()
	var g *gate
	o := &script{}
	o.fetch = func(ctx context.Context, i int, req origin.Request) (*origin.Response, error) {
		switch {
		case i == 1:
			resp := whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g })
			resp.Claims = claims
			return resp, nil
		case i == 2:
			return part(ctx, data, req.Range, cut(n)), nil
		case i > 20: // enough of it; the test counts
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return part(ctx, data, req.Range, nil), nil
	}
	d := newDisk()
	var b breakable
	d.write = b.write
	r := newRigOn(t, d, o, func(o *fill.Options) { o.SegmentSize, o.GrowAfter = segment, time.Hour })
	got, err := r.get(anHour(t), "k", object.Range{Offset: off, Length: 1000})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "seek", got, data[off:off+1000])
	synctest.Wait()
	b.fail()
	return r, o, func() { g.open(int64(len(data))) }
}

// The disk fails while a part further on is in the spool already, and the reader stands still: the source is not asked again and again.
func TestThroughAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(40 * seg)
		r, o, release := aheadThenBroken(t, data, 10*seg, seg, nil, seg)
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		v := newValve(ctx)
		slow := r.startTo(ctx, &wg, "k", all, v)
		synctest.Wait()
		release()
		synctest.Wait()
		<-time.After(time.Minute)
		if n := o.count(); n > 4 {
			t.Errorf("requests = %d while the reader stands still, want 4 at most", n)
		}
		close(v.open)
		wg.Wait()
		if slow.err != nil {
			t.Error(slow.err)
		}
		same(t, "slow reader", v.bytes(), data)
	})
}

// The same with a reader who has his bytes in the spool and is slow to take them: nobody waits for what the connection brings.
func TestThroughAsksOnceForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(40 * seg)
		r, o, release := aheadThenBroken(t, data, 10*seg, seg, nil, seg)
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		v := newValve(ctx)
		slow := r.startTo(ctx, &wg, "k", object.Range{Offset: 10 * seg, Length: 1000}, v)
		synctest.Wait()
		release()
		synctest.Wait()
		<-time.After(time.Minute)
		if n := o.count(); n > 4 {
			t.Errorf("requests = %d for bytes that nobody wants, want 4 at most", n)
		}
		close(v.open)
		wg.Wait()
		if slow.err != nil {
			t.Error(slow.err)
		}
		same(t, "slow reader", v.bytes(), data[10*seg:10*seg+1000])
	})
}

// The connection passes over a part that is in the spool; a slow reader still gets what lies before it.
func TestThroughOverSpooledPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(3 << 20)
		r, _, release := aheadThenBroken(t, data, 600<<10, 50<<10, nil, 1<<20)
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		v := newValve(ctx)
		slow := r.startTo(ctx, &wg, "k", all, v)
		synctest.Wait()
		release()
		synctest.Wait()
		close(v.open)
		wg.Wait()
		if slow.err != nil {
			t.Errorf("the slow reader got %d of %d bytes, then %v", len(v.bytes()), len(data), slow.err)
		}
		if got := v.bytes(); !bytes.HasPrefix(data, got) {
			t.Error("the slow reader got wrong bytes")
		}
	})
}

// A part that lies in the spool does not end the verification of what goes through.
func TestThroughVerifiesOverSpooledPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(3 << 20)
		wrong := []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: make([]byte, 16)}}
		r, _, release := aheadThenBroken(t, data, 600<<10, 50<<10, wrong, 1<<20)
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		rd := r.start(ctx, &wg, "k", all)
		synctest.Wait()
		release()
		wg.Wait()
		if !errors.Is(rd.err, object.ErrBadDigest) || len(rd.data) >= len(data) {
			t.Errorf("the reader got %d of %d bytes and %v, want less and a bad digest", len(rd.data), len(data), rd.err)
		}
	})
}

// Two connections run when the disk fails. What the one that is given up still brings does not take the other reader's bytes away.
func TestThroughTwoConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(40 * seg)
		slow := func(r io.Reader) io.Reader { return &throttle{r, 4 * seg} }
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if req.Range.Length == 0 {
				resp := whole(ctx, data, slow)
				resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: md5sum(data)}}
				return resp, nil
			}
			return part(ctx, data, req.Range, slow), nil
		}}
		d := newDisk()
		var b breakable
		d.write = b.write
		r := newRigOn(t, d, o, small, func(o *fill.Options) { o.GrowAfter = time.Hour })
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		front := r.start(ctx, &wg, "k", all)
		synctest.Wait()
		<-time.After(5 * time.Millisecond) // so that the second one brings bytes between those of the first
		back := r.start(ctx, &wg, "k", object.Range{Offset: 20 * seg, Length: 10 * seg})
		<-time.After(100 * time.Millisecond)
		b.fail()
		wg.Wait()
		if front.err != nil {
			t.Errorf("the front reader got %d of %d bytes, then %v", len(front.data), len(data), front.err)
		}
		if !bytes.HasPrefix(data, front.data) {
			t.Error("the front reader got wrong bytes")
		}
		if back.err != nil {
			t.Errorf("the back reader got %d of %d bytes, then %v", len(back.data), 10*seg, back.err)
		}
		if !bytes.HasPrefix(data[20*seg:], back.data) {
			t.Error("the back reader got wrong bytes")
		}
		r.wantAbsent("k")
	})
}

// A reader who has all that came does not spin while the window waits for another one.
func TestThroughQuickReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(8 << 20)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}}
		d := newDisk()
		d.spool = func() error { return errDisk }
		r := newRigOn(t, d, o)
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		v := newValve(ctx)
		slow := r.startTo(ctx, &wg, "k", all, v)
		quick := r.start(ctx, &wg, "k", all)
		synctest.Wait()
		<-time.After(time.Second)
		close(v.open)
		wg.Wait()
		if slow.err != nil || quick.err != nil {
			t.Errorf("slow reader: %v, quick reader: %v", slow.err, quick.err)
		}
		same(t, "slow reader", v.bytes(), data)
		same(t, "quick reader", quick.data, data)
	})
}

// Who waits for the size of an object that goes straight through keeps nobody else waiting, and does not wait for ever himself.
func TestThroughSizeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(3 << 20)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			resp := whole(ctx, data, func(r io.Reader) io.Reader { return &throttle{r, 1 << 20} })
			resp.Meta.Size, resp.Range.Length = -1, -1
			return resp, nil
		}}
		d := newDisk()
		d.write = failAt(3)
		r := newRigOn(t, d, o)
		defer r.close()
		ctx := anHour(t)
		rd, err := r.filler.Get(ctx, r.want("k"))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer rd.Close()
			if _, err := rd.Size(ctx); errors.Is(err, context.DeadlineExceeded) {
				t.Error("Size waits for ever")
			}
		})
		other := r.start(ctx, &wg, "k", all)
		wg.Wait()
		if other.err != nil {
			t.Errorf("the other reader got %d of %d bytes, then %v", len(other.data), len(data), other.err)
		}
	})
}

// A source may answer less than a range asks for (RFC 9110 §15.3.7). Straight through, too, each answer goes on where the last one ended.
func TestThroughShortRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(40 * seg)
		const most = 4 * seg
		slow := func(r io.Reader) io.Reader { return &throttle{r, 16 * seg} }
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if n > 60 { // enough of it; the test counts
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			if req.Range.Length == 0 { // it brings its first bytes later than the other one
				return whole(ctx, data, func(r io.Reader) io.Reader { return &burst{r: r, n: 16 << 10, pause: 50 * time.Millisecond} }), nil
			}
			req.Range.Length = min(req.Range.Length, most)
			return part(ctx, data, req.Range, slow), nil
		}}
		d := newDisk()
		var b breakable
		d.write = b.write
		r := newRigOn(t, d, o, small, func(o *fill.Options) { o.GrowAfter = time.Hour })
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		v := newValve(ctx)
		front := r.startTo(ctx, &wg, "k", all, v)
		back := r.start(ctx, &wg, "k", object.Range{Offset: 20 * seg, Length: seg / 2})
		<-time.After(5 * time.Millisecond)
		b.fail() // with two connections: one goes on by ranges
		<-time.After(time.Minute)
		if n := o.count(); n > 10 {
			t.Errorf("requests = %d while the front reader stands still, want 10 at most", n)
		}
		close(v.open)
		wg.Wait()
		if front.err != nil || back.err != nil {
			t.Errorf("readers: %v, %v", front.err, back.err)
		}
		same(t, "front reader", v.bytes(), data)
	})
}

// The first reader is in the flight before it flies: a flight that goes straight through ends when it has no reader. Which of the two is quicker is
// chance, so it is tried often.
func TestThroughFirstReader(t *testing.T) {
	data := content(100)
	for i := range 3000 {
		synctest.Test(t, func(t *testing.T) {
			o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
				return whole(ctx, data, nil), nil
			}}
			d := newDisk()
			d.spool = func() error { return errDisk }
			r := newRigOn(t, d, o)
			defer r.close()
			got, err := r.get(t.Context(), "k", all)
			if err != nil {
				t.Errorf("round %d: %v", i, err)
			}
			same(t, "reader", got, data)
		})
		if t.Failed() {
			return
		}
	}
}
