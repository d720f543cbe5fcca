package fill_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

// A hundred readers of one missing key are one request; the first one's leaving harms nobody (mirror-asks 1-3, 6, 13, 14, 16).
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(1 << 20)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			resp := whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g })
			return resp, nil
		}}
		r := newRig(t, o)
		defer r.close()

		var wg sync.WaitGroup
		first, leave := context.WithCancel(t.Context())
		leader := r.start(first, &wg, "k", all)
		synctest.Wait()
		var crowd []*reader
		for range 99 {
			crowd = append(crowd, r.start(t.Context(), &wg, "k", all))
		}
		synctest.Wait()
		g.open(600_000)
		synctest.Wait()
		leave()
		synctest.Wait()
		if !errors.Is(leader.err, context.Canceled) {
			t.Errorf("leader = %v, want its own cancellation", leader.err)
		}
		g.open(int64(len(data)))
		wg.Wait()
		for i, c := range crowd {
			if c.err != nil {
				t.Fatalf("reader %d: %v", i, c.err)
			}
			same(t, "reader", c.data, data)
		}
		synctest.Wait()
		if n := o.count(); n != 1 {
			t.Errorf("requests = %d, want 1", n)
		}
		r.wantStored("k", data)
		if s := r.filler.Stats(); s.Started != 1 || s.Completed != 1 || s.Coalesced != 99 || s.InFlight != 0 || s.Connections != 0 {
			t.Errorf("stats = %+v, want 1 started, 1 completed, 99 coalesced, nothing left", s)
		}
	})
}

// Bytes go out as they come, and who joins in the middle has at once what is there (mirror-asks 4, 8, 11, 12).
func TestJoinInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(300_000)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
		}}
		r := newRig(t, o)
		defer r.close()
		var wg sync.WaitGroup
		r.start(t.Context(), &wg, "k", all)
		synctest.Wait()
		g.open(200_000)
		synctest.Wait()

		late := r.start(t.Context(), &wg, "k", object.Range{Offset: 100_000, Length: 100_000})
		begin := time.Now()
		synctest.Wait()
		if !late.finished() || time.Since(begin) != 0 {
			t.Fatalf("a reader of bytes that are there waits for more")
		}
		same(t, "late reader", late.data, data[100_000:200_000])
		beyond := r.start(t.Context(), &wg, "k", object.Range{Offset: 199_999, Length: 2})
		synctest.Wait()
		if beyond.finished() {
			t.Fatalf("a reader got a byte that has not come yet: %q", beyond.data)
		}
		g.open(300_000)
		wg.Wait()
		same(t, "reader behind the front", beyond.data, data[199_999:200_001])
	})
}

// All readers leave; the fill belongs to the server and goes on (mirror-asks 5, 22).
func TestReadersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(200_000)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
		}}
		r := newRig(t, o)
		defer r.close()
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		r.start(ctx, &wg, "k", all)
		synctest.Wait()
		g.open(1)
		synctest.Wait()
		leave()
		wg.Wait()
		g.open(int64(len(data)))
		synctest.Wait()
		r.wantStored("k", data)
	})
}

// A source that breaks off, says another length or never ends is never an object (mirror-asks 15, 23, 25).
func TestBrokenBodies(t *testing.T) {
	data := content(100_000)
	noValidator := func(r *origin.Response) *origin.Response {
		r.Validator, r.Ranges, r.Meta.ETag, r.Provenance.ETag = "", false, "", ""
		return r
	}
	for _, tt := range []struct {
		name     string
		answer   func(ctx context.Context) *origin.Response
		kind     error
		requests int
	}{
		{"cut in the middle", func(ctx context.Context) *origin.Response {
			return noValidator(whole(ctx, data, cut(50_000)))
		}, object.ErrSourceDown, 1},
		{"clean end too early", func(ctx context.Context) *origin.Response {
			return noValidator(whole(ctx, data, func(r io.Reader) io.Reader { return io.LimitReader(r, 50_000) }))
		}, object.ErrSourceDown, 1},
		{"no length and cut", func(ctx context.Context) *origin.Response {
			resp := whole(ctx, data, cut(50_000))
			resp.Meta.Size, resp.Range.Length = -1, -1
			return resp
		}, object.ErrSourceDown, 1},
		{"endless", func(ctx context.Context) *origin.Response {
			resp := whole(ctx, nil, func(io.Reader) io.Reader { return zeros{} })
			resp.Meta.Size, resp.Range.Length = -1, -1
			return resp
		}, object.ErrSourceBad, 1},
		{"larger than allowed", func(ctx context.Context) *origin.Response {
			resp := whole(ctx, data, nil)
			resp.Meta.Size = 2 << 20
			return resp
		}, object.ErrSourceBad, 1},
		{"resumed from a source that always breaks off at the same place", func(ctx context.Context) *origin.Response {
			return whole(ctx, data, cut(50_000))
		}, object.ErrSourceDown, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					return tt.answer(ctx), nil
				}}
				r := newRig(t, o, func(o *fill.Options) { o.MaxUnsized, o.MaxSize = 1<<20, 1<<20 })
				defer r.close()
				got, err := r.get(t.Context(), "k", all)
				if !errors.Is(err, tt.kind) {
					t.Errorf("error = %v, want %v", err, tt.kind)
				}
				if len(got) >= len(data) && tt.name != "endless" {
					t.Errorf("the reader got %d bytes of a broken body", len(got))
				}
				synctest.Wait()
				r.wantAbsent("k")
				if n := o.count(); n != tt.requests {
					t.Errorf("requests = %d, want %d", n, tt.requests)
				}
				before := o.count()
				r.get(t.Context(), "k", all)
				if o.count() == before {
					t.Error("the next GET does not ask the source anew")
				}
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A broken connection costs the rest, not the whole (mirror-asks 48).
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100_000)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if n == 1 {
				return whole(ctx, data, cut(60_000)), nil
			}
			if req.Range != (object.Range{Offset: 60_000, Length: 40_000}) || req.Validator != `"v1"` {
				t.Errorf("request %d asks for %+v with %q, want the rest with the validator", n, req.Range, req.Validator)
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		r := newRig(t, o)
		defer r.close()
		got, err := r.get(t.Context(), "k", all)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "reader", got, data)
		synctest.Wait()
		r.wantStored("k", data)
		if n := o.count(); n != 2 {
			t.Errorf("requests = %d, want 2", n)
		}
	})
}

// What must not be spliced to a broken body is not.
func TestResumeRefused(t *testing.T) {
	data := content(100_000)
	other := bytes.ToUpper(content(100_000))
	for _, tt := range []struct {
		name   string
		second func(ctx context.Context, req origin.Request) (*origin.Response, error)
		want   error // nil: the object is made all the same
	}{
		{"another object with 200", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			resp := whole(ctx, other, nil)
			resp.Meta.ETag, resp.Provenance.ETag, resp.Validator = `"v2"`, `"v2"`, `"v2"`
			return resp, nil
		}, object.ErrSourceChanged},
		{"another length", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			resp := part(ctx, data, req.Range, nil)
			resp.Meta.Size++
			return resp, nil
		}, object.ErrSourceChanged},
		{"same ETag, another Last-Modified", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			resp := part(ctx, data, req.Range, nil)
			resp.Provenance.LastModified = "Sun, 22 Nov 2026 10:00:00 GMT"
			return resp, nil
		}, object.ErrSourceChanged},
		{"a range that is none", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			return nil, object.Explain(object.ErrSourceBad, "the source answered another range than it was asked for")
		}, object.ErrSourceBad},
		{"the same object with 200: read again, passing over what is there", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
					if n == 1 {
						return whole(ctx, data, cut(60_000)), nil
					}
					return tt.second(ctx, req)
				}}
				r := newRig(t, o)
				defer r.close()
				got, err := r.get(t.Context(), "k", all)
				synctest.Wait()
				if n := o.count(); n != 2 {
					t.Errorf("requests = %d, want 2", n)
				}
				if tt.want == nil {
					if err != nil {
						t.Fatal(err)
					}
					same(t, "reader", got, data)
					r.wantStored("k", data)
					return
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("error = %v, want %v", err, tt.want)
				}
				if !bytes.HasPrefix(data, got) || len(got) == len(data) {
					t.Errorf("the reader got %s, want a part of the first object", brief(got))
				}
				r.wantAbsent("k")
			})
		})
	}
}

// A digest that does not hold is a broken connection, and the last piece never goes out (mirror-asks 24).
func TestDigestMismatch(t *testing.T) {
	data := content(500_000)
	sum := md5.Sum(data)
	wrong := md5.Sum(nil)
	for _, tt := range []struct {
		name string
		sum  []byte
		good bool
	}{{"right", sum[:], true}, {"wrong", wrong[:], false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					resp := whole(ctx, data, nil)
					resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: tt.sum}}
					return resp, nil
				}}
				r := newRig(t, o)
				defer r.close()
				got, err := r.get(t.Context(), "k", all)
				synctest.Wait()
				if tt.good {
					if err != nil {
						t.Fatal(err)
					}
					same(t, "reader", got, data)
					r.wantStored("k", data)
					m, _ := r.store.Stat(t.Context(), r.bucket, "k")
					if m.Filled == nil || len(m.Filled.Verified) != 1 || m.Filled.Verified[0] != "content-md5" {
						t.Errorf("provenance = %+v, want it to say that content-md5 held", m.Filled)
					}
					return
				}
				if !errors.Is(err, object.ErrBadDigest) {
					t.Errorf("error = %v, want %v", err, object.ErrBadDigest)
				}
				if len(got) >= len(data) {
					t.Error("the reader got all of a corrupt body")
				}
				r.wantAbsent("k")
				if s := r.filler.Stats(); s.Mismatched != 1 {
					t.Errorf("mismatched = %d, want 1", s.Mismatched)
				}
			})
		})
	}
}

// The source has none: all who wait share one answer, and nothing is remembered (mirror-asks 32, 36).
func TestAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			<-release
			return nil, object.ErrNoSuchKey
		}}
		r := newRig(t, o)
		defer r.close()
		var wg sync.WaitGroup
		var readers []*reader
		for range 10 {
			readers = append(readers, r.start(t.Context(), &wg, "k", all))
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		for _, rd := range readers {
			if !errors.Is(rd.err, object.ErrNoSuchKey) {
				t.Errorf("error = %v, want no such key", rd.err)
			}
		}
		if n := o.count(); n != 1 {
			t.Errorf("requests = %d, want 1", n)
		}
		r.get(t.Context(), "k", all)
		if n := o.count(); n != 2 {
			t.Errorf("requests after another GET = %d, want 2", n)
		}
	})
}

// With a time to live, absence is remembered so long, and forgotten at once when something changes (mirror-asks 35, 36).
func TestNegativeTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &script{fetch: func(context.Context, int, origin.Request) (*origin.Response, error) { return nil, object.ErrNoSuchKey }}
		r := newRig(t, o, func(o *fill.Options) { o.NegativeTTL = time.Minute })
		defer r.close()
		for range 3 {
			if _, err := r.get(t.Context(), "k", all); !errors.Is(err, object.ErrNoSuchKey) {
				t.Fatalf("error = %v, want no such key", err)
			}
		}
		if n := o.count(); n != 1 {
			t.Errorf("requests = %d, want 1", n)
		}
		r.filler.Forget(r.bucket.ID, "k")
		r.get(t.Context(), "k", all)
		if n := o.count(); n != 2 {
			t.Errorf("requests after Forget = %d, want 2", n)
		}
		<-time.After(time.Minute)
		r.get(t.Context(), "k", all)
		if n := o.count(); n != 3 {
			t.Errorf("requests after the time to live = %d, want 3", n)
		}
	})
}

// A source that answers "later" is not asked again before; one that fails is asked again a few times.
func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		err      error
		requests int
	}{
		{"down", object.ErrSourceDown, 3},
		{"bad", object.ErrSourceBad, 1},
		{"later", &object.Retry{After: time.Minute, Err: object.ErrSourceDown}, 1},
		{"later, not said when", &object.Retry{Err: object.ErrSourceDown}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &script{fetch: func(context.Context, int, origin.Request) (*origin.Response, error) { return nil, tt.err }}
				r := newRig(t, o)
				defer r.close()
				if _, err := r.get(t.Context(), "k", all); !errors.Is(err, tt.err) {
					t.Errorf("error = %v, want %v", err, tt.err)
				}
				if n := o.count(); n != tt.requests {
					t.Errorf("requests = %d, want %d", n, tt.requests)
				}
			})
		})
	}
}

// The breaker lets a source alone that fails flight after flight, and finds out by one probe that it is back.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(10)
		down := true
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			if down {
				return nil, object.ErrSourceDown
			}
			return whole(ctx, data, nil), nil
		}}
		var states []string
		r := newRig(t, o, func(o *fill.Options) {
			o.Retries, o.BreakerFailures, o.BreakerPause = -1, 3, time.Minute
			o.OnBreaker = func(_, state string) { states = append(states, state) }
		})
		defer r.close()
		for range 5 {
			r.get(t.Context(), "k", all)
		}
		if n := o.count(); n != 3 {
			t.Errorf("requests = %d, want 3: then the breaker is open", n)
		}
		_, err := r.get(t.Context(), "k", all)
		var later *object.Retry
		if !errors.Is(err, object.ErrSourceDown) || !errors.As(err, &later) || later.After <= 0 {
			t.Errorf("error with an open breaker = %v, want source down with a time to come back", err)
		}
		down = false
		<-time.After(time.Minute + time.Second)
		got, err := r.get(t.Context(), "k", all)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "after the pause", got, data)
		if len(states) != 3 || states[0] != "open" || states[1] != "half-open" || states[2] != "closed" {
			t.Errorf("states = %q", states)
		}
	})
}

// Close lets flights end, and aborts without a trace those that do not.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100_000)
		gates := make(chan *gate, 2)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g := newGate(ctx, r); gates <- g; return g }), nil
		}}
		r := newRig(t, o)
		var wg sync.WaitGroup
		quick := r.start(t.Context(), &wg, "quick", all)
		synctest.Wait()
		slow := r.start(t.Context(), &wg, "slow", all)
		synctest.Wait()
		first := <-gates
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var closed error
		wg.Go(func() { closed = r.filler.Close(ctx) })
		synctest.Wait()
		if _, err := r.get(t.Context(), "new", all); !errors.Is(err, object.ErrShuttingDown) {
			t.Errorf("GET while closing = %v, want shutting down", err)
		}
		first.open(int64(len(data)))
		wg.Wait()
		if quick.err != nil {
			t.Errorf("a flight that ended in time: %v", quick.err)
		}
		if !errors.Is(slow.err, object.ErrShuttingDown) || !errors.Is(closed, context.DeadlineExceeded) {
			t.Errorf("slow reader = %v, Close = %v, want both to say that time was up", slow.err, closed)
		}
		r.wantStored("quick", data)
		r.wantAbsent("slow")
		r.store.Close()
	})
}
