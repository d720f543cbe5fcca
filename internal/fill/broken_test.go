package fill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
)

// lateClose is a body whose Close takes until the test allows it.
type lateClose struct {
	io.Reader
	closed, allow chan struct{}
}

func (l *lateClose) Close() error {
	close(l.closed)
	<-l.allow
	return nil
}

// The size of an object becomes known with its last byte, before its digest is verified. Who asks for exactly so many bytes from then on
// reads the whole object, too.
func TestHoldBackOfUnsized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(200_000)
		body := &lateClose{Reader: bytes.NewReader(data), closed: make(chan struct{}), allow: make(chan struct{})}
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			resp := whole(ctx, data, nil)
			resp.Meta.Size, resp.Range.Length, resp.Body = -1, -1, body
			resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: make([]byte, 16)}}
			return resp, nil
		}}
		r := newRig(t, o)
		defer r.close()
		ctx := anHour(t)
		rd, err := r.filler.Get(ctx, r.want("k"))
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Close()
		size, err := rd.Size(ctx)
		if size != int64(len(data)) || err != nil {
			t.Fatalf("Size() = %d, %v", size, err)
		}
		var buf bytes.Buffer
		var wg sync.WaitGroup
		wg.Go(func() { err = rd.WriteRange(ctx, &buf, object.Range{Length: size}) })
		<-body.closed
		synctest.Wait()
		close(body.allow)
		wg.Wait()
		if !errors.Is(err, object.ErrBadDigest) || buf.Len() >= len(data) {
			t.Errorf("the reader got %d of %d bytes and %v, want less and a bad digest", buf.Len(), len(data), err)
		}
	})
}

// All connections of a flight break at once, and the source is back a moment later. That is one failure of the source and not one for each connection.
func TestAllConnectionsBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(40 * seg)
		var g *gate
		broken := make(chan struct{})
		down := object.Explain(object.ErrSourceDown, "the source broke off")
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			switch {
			case n == 1:
				return whole(ctx, data, func(r io.Reader) io.Reader {
					g = newGate(ctx, io.MultiReader(io.LimitReader(r, 1000), errReader{down}))
					return g
				}), nil
			case n <= 4:
				<-broken
				return nil, down
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		r := newRig(t, o, small, func(o *fill.Options) { o.GrowAfter = time.Hour })
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		readers := []*reader{r.start(ctx, &wg, "k", all)}
		for i := range int64(3) {
			readers = append(readers, r.start(ctx, &wg, "k", object.Range{Offset: (10 + 5*i) * seg, Length: 100}))
		}
		synctest.Wait()
		if n := o.count(); n != 4 {
			t.Fatalf("requests = %d, want 4", n)
		}
		g.open(2000) // the first one breaks off
		synctest.Wait()
		close(broken) // and so do the others
		wg.Wait()
		for i, rd := range readers {
			if rd.err != nil {
				t.Errorf("reader %d: %v, although the source was away for no time", i, rd.err)
			}
		}
	})
}

// A source refuses every further connection. What the flight waits for before it tries for one more does not hold up its only stream.
func TestRefusedConnectionsDelayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(40 * seg)
		var g *gate
		var mu sync.Mutex
		refuse := true
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case n == 1:
				return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
			case n == 2 || !refuse:
				return part(ctx, data, req.Range, nil), nil
			}
			return nil, object.Explain(object.ErrSourceDown, "the source answered 500")
		}}
		r := newRig(t, o, small, func(o *fill.Options) { o.GrowAfter = time.Hour })
		defer r.close()
		ctx := anHour(t)
		if _, err := r.get(ctx, "k", object.Range{Offset: 10 * seg, Length: 100}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		rd := r.start(ctx, &wg, "k", all)
		seek := r.start(ctx, &wg, "k", object.Range{Offset: 30 * seg, Length: 100})
		<-time.After(3 * time.Minute)
		if n := o.count(); n > 60 {
			t.Errorf("requests within 3 min = %d, want 60 at most: the source refuses all but the first", n)
		}
		mu.Lock()
		refuse = false
		mu.Unlock()
		begin := time.Now()
		g.open(int64(len(data))) // it comes to the part that is there, and ends
		wg.Wait()
		if rd.err != nil || seek.err != nil {
			t.Errorf("readers: %v, %v", rd.err, seek.err)
		}
		same(t, "reader", rd.data, data)
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("the flight stood still for %v with a good source", d)
		}
	})
}

// A source that says "later" to a further connection is not asked again before.
func TestLaterForFurther(t *testing.T) {
	for _, tt := range []struct {
		name     string
		after    time.Duration
		patience time.Duration
	}{
		{"longer than our patience", time.Minute, 0},
		{"within our patience", 40 * time.Second, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := content(40 * seg)
				var g *gate
				o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
					if n == 1 {
						return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
					}
					return nil, &object.Retry{After: tt.after, Err: object.Explain(object.ErrSourceDown, "the source answered 429")}
				}}
				r := newRig(t, o, small, func(o *fill.Options) { o.GrowAfter, o.Patience = time.Hour, tt.patience })
				defer r.close()
				var wg sync.WaitGroup
				rd := r.start(anHour(t), &wg, "k", object.Range{Offset: 10 * seg, Length: 100})
				<-time.After(30 * time.Second)
				if n := o.count(); n > 2 {
					t.Errorf("requests within 30 s = %d, want 2: the source said to come back after %v", n, tt.after)
				}
				g.open(int64(len(data)))
				wg.Wait()
				if rd.err != nil {
					t.Error(rd.err)
				}
			})
		})
	}
}

// The same when the only connection broke and the source says "later" to the one that is to take its place.
func TestLaterForResume(t *testing.T) {
	for _, tt := range []struct {
		name            string
		after, patience time.Duration
		early           int // requests within 4 s
		good            bool
	}{
		{"not said when: never within a request", 0, 0, 2, false},
		{"within our patience: not before", 5 * time.Second, time.Minute, 2, true},
		{"longer than our patience", time.Minute, time.Second, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := content(100_000)
				o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
					switch n {
					case 1:
						return whole(ctx, data, cut(50_000)), nil
					case 2:
						return nil, &object.Retry{After: tt.after, Err: object.Explain(object.ErrSourceDown, "the source answered 503")}
					}
					return part(ctx, data, req.Range, nil), nil
				}}
				r := newRig(t, o, func(o *fill.Options) { o.Patience = tt.patience })
				defer r.close()
				var wg sync.WaitGroup
				rd := r.start(anHour(t), &wg, "k", all)
				<-time.After(4 * time.Second)
				if n := o.count(); n != tt.early {
					t.Errorf("requests within 4 s = %d, want %d", n, tt.early)
				}
				wg.Wait()
				if good := rd.err == nil; good != tt.good {
					t.Errorf("reader: %v, want success: %v", rd.err, tt.good)
				}
			})
		})
	}
}

// Started = Completed + Failed + InFlight, at any time, also for a flight that nobody can join any more.
func TestStatsAddUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(r *rig, b *breakable)
	}{
		{"forgotten", func(r *rig, _ *breakable) { r.filler.Forget(r.bucket.ID, "k") }},
		{"straight through", func(_ *rig, b *breakable) { b.fail() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := content(300_000)
				var g *gate
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
				}}
				d := newDisk()
				var b breakable
				d.write = b.write
				r := newRigOn(t, d, o)
				defer r.close()
				var wg sync.WaitGroup
				r.start(anHour(t), &wg, "k", all)
				synctest.Wait()
				g.open(1000)
				synctest.Wait()
				tt.change(r, &b)
				g.open(2000)
				synctest.Wait()
				if s := r.filler.Stats(); s.Started != s.Completed+s.Absent+s.Failed+int64(s.InFlight) {
					t.Errorf("stats = %+v: %d started, %d accounted for", s, s.Started, s.Completed+s.Absent+s.Failed+int64(s.InFlight))
				}
				if n := len(r.filler.Flights()); n != 1 {
					t.Errorf("flights in the air = %d, want 1: it still fetches", n)
				}
				g.open(int64(len(data)))
				wg.Wait()
				synctest.Wait()
				r.wantSettled()
			})
		})
	}
}

// A probe that we gave up ourselves says nothing of the source: it does not close the breaker, and does not open it again.
func TestBreakerAfterSupersededProbe(t *testing.T) {
	t.Run("cause", func(t *testing.T) { breakerAfterSupersededProbe(t, context.Cause) })
	t.Run("as origin.Client says it", func(t *testing.T) {
		breakerAfterSupersededProbe(t, func(context.Context) error {
			return object.Explain(object.ErrSourceDown, "the source could not be asked")
		})
	})
}

func breakerAfterSupersededProbe(t *testing.T, given func(context.Context) error) {
	synctest.Test(t, func(t *testing.T) {
		o := &script{fetch: func(ctx context.Context, n int, _ origin.Request) (*origin.Response, error) {
			if n <= 2 {
				return nil, object.ErrSourceDown
			}
			<-ctx.Done() // it hangs
			return nil, given(ctx)
		}}
		var mu sync.Mutex
		var states []string
		r := newRig(t, o, func(o *fill.Options) {
			o.Retries, o.BreakerFailures, o.BreakerPause = -1, 2, time.Minute
			o.OnBreaker = func(_, state string) {
				mu.Lock()
				defer mu.Unlock()
				states = append(states, state)
			}
		})
		defer r.close()
		for range 2 {
			r.get(t.Context(), "k", all)
		}
		<-time.After(2 * time.Minute)
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		r.start(ctx, &wg, "k", all)
		synctest.Wait()
		leave()
		wg.Wait()
		r.filler.Forget(r.bucket.ID, "k") // nobody reads: the flight is given up
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got, want := fmt.Sprint(states), "[open half-open]"; got != want {
			t.Errorf("states = %s, want %s: the source never answered", got, want)
		}
	})
}

// "Not there" is not remembered when something changed while the source was asked.
func TestForgetDuringAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		data := content(10)
		o := &script{fetch: func(ctx context.Context, n int, _ origin.Request) (*origin.Response, error) {
			if n == 1 {
				<-release
				return nil, object.ErrNoSuchKey
			}
			return whole(ctx, data, nil), nil
		}}
		r := newRig(t, o, func(o *fill.Options) { o.NegativeTTL = time.Hour })
		defer r.close()
		var wg sync.WaitGroup
		r.start(t.Context(), &wg, "k", all)
		synctest.Wait()
		r.filler.Forget(r.bucket.ID, "k")
		close(release)
		wg.Wait()
		got, err := r.get(t.Context(), "k", all)
		if err != nil {
			t.Errorf("GET after Forget = %v, want the source to be asked", err)
		}
		same(t, "reader", got, data)
	})
}

// A flight fails; its reader asks again at once, before the failed one has ended its intent. The second flight's object is stored.
//
//	flight 1: fails, leaves the table, tells its readers
//	reader:                             begins flight 2
//	flight 2:                                           BeginFill reads the intent of flight 1
//	flight 1:                                                                                  EndFill removes it
//	flight 2:                                                                                                     commits
func TestBeginFillBesideEndFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100)
		d := newDisk()
		var mu sync.Mutex
		var armed bool
		ended := make(chan struct{})
		d.get = func(key, value []byte) {
			mu.Lock()
			wait := armed && bytes.HasPrefix(key, d.intent)
			armed = armed && !wait // flight 2 is the first to look
			mu.Unlock()
			if wait {
				<-ended // flight 2 has read the intent, flight 1 goes on
			}
		}
		d.apply = func(b *store.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if len(b.Set) == 1 && len(b.Delete) == 0 && b.NoSync && d.intent == nil {
				d.intent = bytes.Clone(b.Set[0].Key)
			}
			return nil
		}
		failed := make(chan struct{})
		o := &script{fetch: func(ctx context.Context, n int, _ origin.Request) (*origin.Response, error) {
			if n == 1 {
				<-failed
				return nil, object.ErrSourceBad
			}
			return whole(ctx, data, nil), nil
		}}
		r := newRigOn(t, d, o)
		defer r.close()
		var wg sync.WaitGroup
		r.start(anHour(t), &wg, "k", all)
		synctest.Wait()
		other := fill.New(fill.Options{Origin: o, Store: r.store, OnReport: func(p fill.Report) { r.reports <- p }})
		mu.Lock()
		armed = true
		mu.Unlock()
		var err error
		wg.Go(func() {
			var rd *fill.Reader
			if rd, err = other.Get(anHour(t), r.want("k")); err == nil {
				err = rd.WriteRange(t.Context(), io.Discard, all)
				rd.Close()
			}
		})
		synctest.Wait()
		close(failed) // flight 1 ends
		if rep := <-r.reports; rep.Outcome != fill.Failed {
			t.Fatalf("outcome of the first = %s", rep.Outcome)
		}
		close(ended)
		wg.Wait()
		if err != nil {
			t.Error(err)
		}
		if rep := <-r.reports; rep.Outcome != fill.Stored {
			t.Errorf("outcome of the second = %s (%v), want stored: nothing came in between but the end of the first", rep.Outcome, rep.Err)
		}
		other.Close(context.Background())
	})
}

// The stream breaks, and two connections that are to take its place are both answered 200. One stream does it.
func TestTwoRangesAnsweredWhole(t *testing.T) {
	data := content(40 * seg)
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			var g *gate
			both := make(chan struct{})
			o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
				switch n {
				case 1:
					return whole(ctx, data, func(r io.Reader) io.Reader {
						g = newGate(ctx, cut(1000)(r))
						return g
					}), nil
				case 2, 3:
					<-both
				}
				return whole(ctx, data, nil), nil
			}}
			r := newRig(t, o, small, func(o *fill.Options) { o.GrowAfter = time.Hour })
			defer r.close()
			ctx := anHour(t)
			var wg sync.WaitGroup
			readers := []*reader{r.start(ctx, &wg, "k", all)}
			synctest.Wait()
			g.open(2000)
			synctest.Wait()
			seek := r.start(ctx, &wg, "k", object.Range{Offset: 20 * seg, Length: 100})
			readers = append(readers, seek)
			<-time.After(time.Second)
			close(both)
			wg.Wait()
			for i, rd := range readers {
				if rd.err != nil {
					t.Fatalf("reader %d: %v; the source serves the whole object to who asks for it", i, rd.err)
				}
			}
			same(t, "reader", readers[0].data, data)
		})
		if t.Failed() {
			return
		}
	}
}

// Segments smaller than what a connection reads at once: no request without a range but the first one, and no byte twice.
func TestTinySegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tiny = 16 << 10
		data := content(3 << 20)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if n > 1 && req.Range.Length <= 0 {
				t.Errorf("request %d asks for the whole object again: %+v", n, req.Range)
			}
			slow := func(r io.Reader) io.Reader { return &burst{r: r, n: 100 << 10, pause: time.Second} }
			if req.Range.Length <= 0 {
				return whole(ctx, data, slow), nil
			}
			return part(ctx, data, req.Range, slow), nil
		}}
		d := newDisk()
		d.write = func(int64, int) error { <-time.After(150 * time.Millisecond); return nil } // a slow disk
		r := newRigOn(t, d, o, func(o *fill.Options) { o.SegmentSize = tiny })
		defer r.close()
		got, err := r.get(anHour(t), "k", all)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "reader", got, data)
		if rep := <-r.reports; rep.Bytes > int64(len(data))*3/2 {
			t.Errorf("%d bytes came from the source, the object has %d", rep.Bytes, len(data))
		}
	})
}

// burst lets n bytes through at once, then nothing for a pause.
type burst struct {
	r     io.Reader
	n     int
	pause time.Duration
}

func (b *burst) Read(p []byte) (int, error) {
	<-time.After(b.pause)
	return io.ReadFull(io.LimitReader(b.r, int64(min(len(p), b.n))), p[:min(len(p), b.n)])
}

// The disk refuses the commit: the reader has his bytes, and the report says that they were not stored because of the disk.
func TestCommitRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100_000)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}}
		d := newDisk()
		d.apply = func(b *store.Batch) error {
			if len(b.Keep) > 0 {
				return errDisk
			}
			return nil
		}
		r := newRigOn(t, d, o)
		defer r.close()
		got, err := r.get(anHour(t), "k", all)
		if err != nil {
			t.Error(err)
		}
		same(t, "reader", got, data)
		if rep := <-r.reports; rep.Outcome != fill.Unstored {
			t.Errorf("outcome = %s (%v), want unstored", rep.Outcome, rep.Err)
		}
		r.wantAbsent("k")
	})
}

// One reader cannot open the spool (too many open files). The object is still in the air: he is not told that it is in the store.
func TestSpoolCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100_000)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
		}}
		d := newDisk()
		d.open = func(_ store.Spool, n int) error {
			if n > 1 { // the flight has its own
				return object.ErrDamaged
			}
			return nil
		}
		r := newRigOn(t, d, o)
		defer r.close()
		_, err := r.get(anHour(t), "k", all)
		if errors.Is(err, object.ErrExists) {
			t.Errorf("GET = %v while the flight is in the air: the caller looks in the store, finds nothing and comes back at once, for ever", err)
		}
		synctest.Wait()
		g.open(int64(len(data)))
		synctest.Wait()
	})
}

// Ranges at the very end, beyond it, of no length, and several of one reader in any order.
func TestOddRanges(t *testing.T) {
	for _, size := range []int{0, 1, 1000, seg, seg + 1, 3*seg + 7} {
		for _, claims := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, claims %v", size, claims), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					data := content(size)
					o := &script{fetch: func(ctx context.Context, _ int, req origin.Request) (*origin.Response, error) {
						if req.Range.Length > 0 {
							return part(ctx, data, req.Range, nil), nil
						}
						resp := whole(ctx, data, func(r io.Reader) io.Reader { return &throttle{r, 4 * seg} })
						if claims {
							resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: md5sum(data)}}
						}
						return resp, nil
					}}
					r := newRig(t, o, small)
					defer r.close()
					ctx := anHour(t)
					rd, err := r.filler.Get(ctx, r.want("k"))
					if err != nil {
						t.Fatal(err)
					}
					defer rd.Close()
					n := int64(size)
					for _, rng := range []object.Range{
						{Offset: max(n-1, 0), Length: min(n, 1)}, {Offset: n}, {Offset: n, Length: -1}, {Offset: n / 2, Length: n - n/2},
						{Length: n}, all, {Offset: n / 3, Length: -1}, {},
					} {
						var buf bytes.Buffer
						if err := rd.WriteRange(ctx, &buf, rng); err != nil {
							t.Errorf("range %+v: %v", rng, err)
						}
						end := n
						if rng.Length >= 0 {
							end = rng.End()
						}
						same(t, fmt.Sprintf("range %+v", rng), buf.Bytes(), data[rng.Offset:end])
					}
					synctest.Wait()
					r.wantStored("k", data)
					r.wantSettled()
				})
			})
		}
	}
}

// A shutdown while the commit runs is a shutdown in the report, too.
func TestCloseDuringCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}}
		d := newDisk()
		release := make(chan struct{})
		d.apply = func(b *store.Batch) error {
			if len(b.Keep) > 0 {
				<-release
			}
			return nil
		}
		r := newRigOn(t, d, o)
		if _, err := r.get(anHour(t), "k", all); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { r.filler.Close(ctx) })
		<-time.After(2 * time.Second)
		close(release)
		wg.Wait()
		if rep := <-r.reports; rep.Outcome != fill.Aborted && rep.Outcome != fill.Stored {
			t.Errorf("outcome = %s (%v), want aborted or stored", rep.Outcome, rep.Err)
		}
		r.store.Close()
	})
}

// A reader seeks after the flight's only connection broke; what is there already is not fetched again.
func TestResumeFetchesHoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100_000) // less than a segment
		var g *gate
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			switch n {
			case 1:
				return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, cut(10_000)(r)); return g }), nil
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		r := newRig(t, o)
		defer r.close()
		ctx := anHour(t)
		var wg sync.WaitGroup
		rd := r.start(ctx, &wg, "k", object.Range{Offset: 50_000, Length: 100})
		synctest.Wait()
		g.open(20_000)
		wg.Wait()
		if rd.err != nil {
			t.Fatal(rd.err)
		}
		rep := <-r.reports
		if rep.Outcome != fill.Stored || rep.Bytes > int64(len(data)) {
			t.Errorf("outcome = %s (%v), %d bytes came from the source, the object has %d", rep.Outcome, rep.Err, rep.Bytes, len(data))
		}
	})
}

// Failures count in a row. What other connections brought in between, to their clean end, begins the count anew.
func TestFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(20 * seg)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			switch {
			case n == 1:
				return whole(ctx, data, cut(seg)), nil
			case n%2 == 0: // every other request fails
				return nil, object.Explain(object.ErrSourceDown, "the source answered 502")
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		r := newRig(t, o, small, func(o *fill.Options) { o.MaxConnsPerFlight = 1 })
		defer r.close()
		got, err := r.get(anHour(t), "k", all)
		if err != nil {
			t.Errorf("the reader got %d of %d bytes, then %v, although every second request brought a segment", len(got), len(data), err)
		}
	})
}

// A connection that was told to end earlier drops what it had read beyond; it does not go on later with a gap.
//
//	the stream: asks for 128 KiB from 10 KiB on
//	run:                                         begins another connection at 64 KiB
//	the stream:                                                                       has read it all, drops what lies behind 64 KiB, writes
//	the other:                                                                                                         breaks off: its part is the stream's again
//	the stream:                                                                                                                                  reads on at 138 KiB
func TestDroppedBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(40 * seg)
		reads := 0
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			switch n {
			case 1:
				return whole(ctx, data, func(r io.Reader) io.Reader {
					return readerFunc(func(p []byte) (int, error) {
						reads++
						if reads == 1 {
							return io.ReadFull(r, p[:10<<10])
						}
						if reads == 2 {
							<-time.After(2 * time.Second)
						}
						return io.ReadFull(r, p)
					})
				}), nil
			case 2:
				<-time.After(2200 * time.Millisecond) // while the stream writes
				return nil, object.Explain(object.ErrSourceDown, "the source broke off")
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		d := newDisk()
		d.write = func(off int64, _ int) error {
			if off == 10<<10 {
				<-time.After(time.Second)
			}
			return nil
		}
		r := newRigOn(t, d, o, small, func(o *fill.Options) { o.GrowAfter, o.MaxConnsPerFlight = time.Millisecond, 2 })
		defer r.close()
		got, err := r.get(anHour(t), "k", all)
		if err != nil {
			t.Errorf("reader: %v", err)
		}
		if !bytes.HasPrefix(data, got) {
			t.Error("the reader got wrong bytes")
		}
		if rep := <-r.reports; rep.Outcome == fill.Stored {
			r.wantStored("k", data)
		}
	})
}
