package fill_test

import (
	"context"
	"errors"
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

// large makes every object worth resuming.
func large(o *fill.Options) { o.SegmentSize, o.ResumeSize, o.Retries = seg, 1, -1 }

// interrupt begins a fill of key from o, lets upTo bytes arrive, and ends the server.
func interrupt(t *testing.T, r *rig, gates <-chan *gate, upTo int64) {
	t.Helper()
	var wg sync.WaitGroup
	rd := r.start(t.Context(), &wg, "k", all)
	synctest.Wait()
	(<-gates).open(upTo)
	synctest.Wait()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.filler.Close(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v", err)
	}
	wg.Wait()
	if !errors.Is(rd.err, object.ErrShuttingDown) {
		t.Errorf("reader = %v, want shutting down", rd.err)
	}
	r.wantAbsent("k")
}

// restart gives r a new filler over the same store, as the next process has it.
func restart(r *rig, o fill.Origin) {
	opts := fill.Options{Origin: o, Store: r.store, OnReport: func(p fill.Report) { r.reports <- p }}
	large(&opts)
	r.filler = fill.New(opts)
	<-r.reports
}

// After a restart a large fill goes on from what is on disk, if the object at the source is still the same (mirror-asks 46, 48).
func TestResumeAfterRestart(t *testing.T) {
	data, other := content(20*seg), append(content(20*seg), 'x')
	for _, tt := range []struct {
		name   string
		second func(ctx context.Context, req origin.Request) (*origin.Response, error)
		want   []byte
		asked  object.Range // by the first request after the restart
		anew   bool         // a request for the whole object follows
	}{
		{"the same object", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			return part(ctx, data, req.Range, nil), nil
		}, data, object.Range{Offset: 7 * seg, Length: 13 * seg}, false},
		{"another object", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			resp := whole(ctx, other, nil)
			resp.Meta.ETag, resp.Validator, resp.Provenance.ETag = `"v2"`, `"v2"`, `"v2"`
			return resp, nil
		}, other, object.Range{Offset: 7 * seg, Length: 13 * seg}, true},
		{"no ranges any more", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			if req.Range.Length > 0 {
				return nil, object.Explain(object.ErrSourceBad, "the source answered a range without saying which")
			}
			return whole(ctx, data, nil), nil
		}, data, object.Range{Offset: 7 * seg, Length: 13 * seg}, true},
		{"a range of another length", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			if req.Range.Length > 0 {
				resp := part(ctx, data, req.Range, nil)
				resp.Meta.Size++
				return resp, nil
			}
			return whole(ctx, other, nil), nil
		}, other, object.Range{Offset: 7 * seg, Length: 13 * seg}, true},
		{"a range of another date", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			if req.Range.Length > 0 {
				resp := part(ctx, data, req.Range, nil)
				resp.Provenance.LastModified = "Sun, 22 Nov 2026 10:00:00 GMT"
				return resp, nil
			}
			return whole(ctx, other, nil), nil
		}, other, object.Range{Offset: 7 * seg, Length: 13 * seg}, true},
		{"too short by now", func(ctx context.Context, req origin.Request) (*origin.Response, error) {
			if req.Range.Length > 0 {
				return nil, object.Explain(object.ErrSourceChanged, "the source answered 416 to a range of the object")
			}
			return whole(ctx, other[:100], nil), nil
		}, other[:100], object.Range{Offset: 7 * seg, Length: 13 * seg}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gates := make(chan *gate, 1)
				first := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					return whole(ctx, data, func(r io.Reader) io.Reader { g := newGate(ctx, r); gates <- g; return g }), nil
				}}
				r := newRig(t, first, large)
				interrupt(t, r, gates, 7*seg)

				second := &script{fetch: func(ctx context.Context, _ int, req origin.Request) (*origin.Response, error) {
					return tt.second(ctx, req)
				}}
				restart(r, second)
				defer r.close()
				got, err := r.get(t.Context(), "k", all)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "reader", got, tt.want)
				synctest.Wait()
				r.wantStored("k", tt.want)
				if second.requests[0].Range != tt.asked || second.requests[0].Validator != `"v1"` {
					t.Errorf("first request = %+v with %q, want %+v with the validator", second.requests[0].Range, second.requests[0].Validator, tt.asked)
				}
				if whole := len(second.requests) > 1; whole != tt.anew {
					t.Errorf("requests = %d, asked for the whole object: %v, want %v", len(second.requests), whole, tt.anew)
				}
			})
		})
	}
}

// A source that is away when the fill would go on: what is on disk stays for another time.
func TestResumeSourceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(20 * seg)
		gates := make(chan *gate, 1)
		r := newRig(t, &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g := newGate(ctx, r); gates <- g; return g }), nil
		}}, large)
		interrupt(t, r, gates, 7*seg)

		away := true
		o := &script{fetch: func(ctx context.Context, _ int, req origin.Request) (*origin.Response, error) {
			if away {
				return nil, object.ErrSourceDown
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		restart(r, o)
		defer r.close()
		if _, err := r.get(t.Context(), "k", all); !errors.Is(err, object.ErrSourceDown) {
			t.Errorf("error = %v, want source down", err)
		}
		synctest.Wait()
		away = false
		got, err := r.get(t.Context(), "k", all)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "reader", got, data)
		if req := o.requests[len(o.requests)-1]; req.Range.Offset != 7*seg {
			t.Errorf("the last request asks for %+v, want the rest", req.Range)
		}
	})
}

// A source that breaks off for good leaves what has arrived; the next GET asks for the rest.
func TestResumeAfterBrokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(20 * seg)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if n == 1 {
				return whole(ctx, data, cut(5*seg)), nil
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		r := newRig(t, o, large)
		defer r.close()
		if _, err := r.get(t.Context(), "k", all); !errors.Is(err, object.ErrSourceDown) {
			t.Fatalf("error = %v, want source down", err)
		}
		synctest.Wait()
		r.wantAbsent("k")
		got, err := r.get(t.Context(), "k", all)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "reader", got, data)
		if o.requests[1].Range != (object.Range{Offset: 5 * seg, Length: 15 * seg}) {
			t.Errorf("second request = %+v, want the rest", o.requests[1].Range)
		}
		synctest.Wait()
		r.wantStored("k", data)
	})
}

// What has arrived is noted while the fill runs, so that it survives an end without warning.
func TestNotedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(20 * seg)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
		}}
		d := newDisk()
		r := newRigOn(t, d, o, large, func(o *fill.Options) { o.NoteEvery, o.GrowAfter = time.Minute, 1000*time.Hour })
		defer r.close()
		var mu sync.Mutex
		var notes int
		d.apply = func(b *store.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if len(b.Set) == 1 && len(b.Keep) == 0 && !b.NoSync {
				notes++
			}
			return nil
		}
		var wg sync.WaitGroup
		r.start(t.Context(), &wg, "k", all)
		synctest.Wait()
		g.open(3 * seg)
		<-time.After(3*time.Minute + time.Second)
		synctest.Wait()
		mu.Lock()
		if notes != 3 {
			t.Errorf("notes in three minutes = %d, want 3", notes)
		}
		mu.Unlock()
		g.open(int64(len(data)))
		wg.Wait()
		synctest.Wait()
		r.wantStored("k", data)
	})
}

// A setting that was changed meanwhile leads to another object: nothing of the old one is taken up.
func TestResumeOtherSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(20 * seg)
		gates := make(chan *gate, 1)
		r := newRig(t, &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g := newGate(ctx, r); gates <- g; return g }), nil
		}}, large)
		interrupt(t, r, gates, 7*seg)
		r.setting = []byte("another site")
		if err := r.store.SetSetting(t.Context(), r.bucket, "mirror", r.setting); err != nil {
			t.Fatal(err)
		}
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}}
		restart(r, o)
		defer r.close()
		if _, err := r.get(t.Context(), "k", all); err != nil {
			t.Fatal(err)
		}
		if o.requests[0].Range.Length != 0 {
			t.Errorf("first request = %+v, want the whole object", o.requests[0].Range)
		}
	})
}
