package fill_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
)

// fetch fetches into key, over what is there.
func (r *rig) fetch(ctx context.Context, key string) (object.Meta, error) {
	w := fill.Want{Bucket: r.bucket, Key: key, Source: object.Source{Scheme: "http", Host: "source.test", Port: 80, Path: "/url", Query: "signed"}}
	return r.filler.Fetch(ctx, w, func(m object.Meta, spool store.Spool) error {
		return r.store.Put(context.Background(), r.bucket, key, m, spool)
	})
}

// A fetch is brought as a fill is: one that breaks off goes on where it was. It is stored over what is there, and nobody can join it.
func TestFetchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(1 << 20)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			switch {
			case req.Key != "" || req.Source.Path != "/url" || req.Source.Query != "signed":
				t.Errorf("request %d = %+v, want the URL itself", n, req)
				return nil, object.ErrNoSuchKey
			case req.Range.Length == 0:
				return whole(ctx, data, cut(300_000)), nil
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		r := newRig(t, o, func(o *fill.Options) { o.SegmentSize = 64 << 10 })
		defer r.close()
		for range 2 {
			m, err := r.fetch(t.Context(), "k")
			if err != nil || m.Size != int64(len(data)) || m.ETag != `"v1"` || m.Filled == nil {
				t.Fatalf("Fetch = %+v, %v", m, err)
			}
			r.wantStored("k", data)
			if rep := <-r.reports; rep.Outcome != fill.Stored || rep.Attempts < 2 || rep.Readers != 0 {
				t.Errorf("report = %+v, want it stored after several requests, with no readers", rep)
			}
		}
		if s := r.filler.Stats(); s.Started != 2 || s.Completed != 2 || s.InFlight != 0 || s.Connections != 0 {
			t.Errorf("stats = %+v", s)
		}
	})
}

// What ends a fetch before its end leaves nothing, and put is not called.
func TestFetchIsGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(r *rig, leave context.CancelFunc)
		want error
	}{
		{"its request ends", func(r *rig, leave context.CancelFunc) { leave() }, context.Canceled},
		{"the server ends", func(r *rig, _ context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = r.filler.Close(ctx)
		}, object.ErrShuttingDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := content(1 << 20)
				var g *gate
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					return whole(ctx, data, func(rd io.Reader) io.Reader { g = newGate(ctx, rd); return g }), nil
				}}
				r := newRig(t, o)
				defer r.close()
				ctx, leave := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				var err error
				wg.Go(func() { _, err = r.fetch(ctx, "k") })
				synctest.Wait()
				g.open(500_000)
				synctest.Wait()
				tt.end(r, leave)
				wg.Wait()
				leave()
				if !errors.Is(err, tt.want) {
					t.Errorf("Fetch = %v, want %v", err, tt.want)
				}
				r.wantAbsent("k")
				if s := r.filler.Stats(); s.InFlight != 0 || s.Connections != 0 || s.Failed != 1 {
					t.Errorf("stats = %+v", s)
				}
			})
		})
	}
}

// Nobody reads a fetch, so where the disk fails it does, too, whenever that is.
func TestFetchAndTheDiskFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(d *disk)
	}{
		{"before the first byte", func(d *disk) { d.spool = func() error { return errDisk } }},
		{"in between", func(d *disk) {
			d.write = func(off int64, _ int) error {
				if off > 300_000 {
					return errDisk
				}
				return nil
			}
		}},
		{"at the end", func(d *disk) {
			d.apply = func(b *store.Batch) error {
				if len(b.Keep) > 0 {
					return errDisk
				}
				return nil
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := content(1 << 20)
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					return whole(ctx, data, nil), nil
				}}
				d := newDisk()
				r := newRigOn(t, d, o)
				defer r.close()
				tt.fail(d)
				if _, err := r.fetch(t.Context(), "k"); !errors.Is(err, object.ErrStore) || errors.Is(err, object.ErrSourceDown) {
					t.Errorf("Fetch = %v, want that the store failed", err)
				}
				d.spool, d.write, d.apply = nil, nil, nil
				r.wantAbsent("k")
				if rep := <-r.reports; rep.Outcome != fill.Unstored {
					t.Errorf("outcome = %s, want that it was not stored", rep.Outcome)
				}
			})
		})
	}
}

func TestFetchesExcludeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(1000)
		var gates []*gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(rd io.Reader) io.Reader {
				gates = append(gates, newGate(ctx, rd))
				return gates[len(gates)-1]
			}), nil
		}}
		r := newRig(t, o)
		defer r.close()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.fetch(t.Context(), "k"); err != nil {
				t.Errorf("the first fetch: %v", err)
			}
		})
		synctest.Wait()
		if _, err := r.fetch(t.Context(), "k"); !errors.Is(err, object.ErrFetching) {
			t.Errorf("a second fetch into the key = %v, want ErrFetching", err)
		}
		reader := r.start(t.Context(), &wg, "k", all) // a reader of the key misses, and does not join the fetch
		synctest.Wait()
		if len(gates) != 2 {
			t.Fatalf("%d requests, want one of the fetch and one of the fill", len(gates))
		}
		for _, g := range gates {
			g.open(1000)
		}
		wg.Wait()
		if reader.err != nil {
			t.Errorf("the reader: %v", reader.err)
		}
	})
}

// Who waits for a landing learns what became of it.
func TestLanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(1 << 20)
		o := &script{fetch: func(ctx context.Context, _ int, req origin.Request) (*origin.Response, error) {
			if req.Key == "breaks" {
				return whole(ctx, data, cut(1000)), nil
			}
			return whole(ctx, data, nil), nil
		}}
		r := newRig(t, o, func(o *fill.Options) { o.Retries = -1 })
		defer r.close()
		rd, err := r.filler.Get(t.Context(), r.want("k"))
		if err != nil {
			t.Fatal(err)
		}
		if err := rd.Landed(t.Context()); err != nil {
			t.Errorf("Landed = %v, want the object stored", err)
		}
		r.wantStored("k", data)
		rd.Close()
		if rd, err = r.filler.Get(t.Context(), r.want("breaks")); err == nil { // else it broke off before
			err = rd.Landed(t.Context())
			rd.Close()
		}
		if !errors.Is(err, object.ErrSourceDown) {
			t.Errorf("Landed = %v, want that the source broke off", err)
		}
	})
}
