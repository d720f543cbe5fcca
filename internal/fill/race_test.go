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

// Who comes first when a client changes something while a fill runs (mirror-asks 52, 53).
func TestRaces(t *testing.T) {
	data, other := content(100_000), []byte("what the client put")
	for _, tt := range []struct {
		name    string
		change  func(r *rig) error
		outcome fill.Outcome
		after   []byte // what the store has in the end; nil: nothing
	}{
		{"PUT wins", func(r *rig) error { return r.put("k", other) }, fill.Existed, other},
		{"a completed upload wins", func(r *rig) error { return r.upload("k", other) }, fill.Existed, other},
		{"an upload completed and its object deleted win", func(r *rig) error {
			return errors.Join(r.upload("k", other), r.store.Delete(context.Background(), r.bucket, "k"))
		}, fill.Superseded, nil},
		{"an append wins", func(r *rig) error { return r.append("k", other) }, fill.Existed, other},
		{"an upload that is not completed", func(r *rig) error { _, err := r.part("k", other); return err }, fill.Stored, data},
		{"an upload that is aborted", func(r *rig) error {
			u, err := r.part("k", other)
			return errors.Join(err, r.store.AbortUpload(context.Background(), r.bucket, "k", u.ID))
		}, fill.Stored, data},
		{"DELETE wins", func(r *rig) error { return r.store.Delete(context.Background(), r.bucket, "k") }, fill.Superseded, nil},
		{"PUT and DELETE win", func(r *rig) error {
			return errors.Join(r.put("k", other), r.store.Delete(context.Background(), r.bucket, "k"))
		}, fill.Superseded, nil},
		{"a change of the setting wins", func(r *rig) error {
			return r.store.SetSetting(context.Background(), r.bucket, "mirror", []byte("another site"))
		}, fill.Superseded, nil},
		{"the setting set to another value and back", func(r *rig) error {
			return errors.Join(r.store.SetSetting(context.Background(), r.bucket, "mirror", []byte("another site")),
				r.store.SetSetting(context.Background(), r.bucket, "mirror", r.setting))
		}, fill.Superseded, nil},
		{"deletion of the bucket wins", func(r *rig) error { return r.store.DeleteBucket(context.Background(), r.bucket) }, fill.Superseded, nil},
		{"the bucket made again is another one", func(r *rig) error {
			if err := r.store.DeleteBucket(context.Background(), r.bucket); err != nil {
				return err
			}
			b, err := r.store.CreateBucket(context.Background(), r.bucket.Name, "owner", "zone")
			if err != nil {
				return err
			}
			r.bucket = b
			return r.store.SetSetting(context.Background(), b, "mirror", r.setting)
		}, fill.Superseded, nil},
		{"nothing changes", func(*rig) error { return nil }, fill.Stored, data},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g *gate
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
				}}
				r := newRig(t, o)
				defer r.close()
				var wg sync.WaitGroup
				rd := r.start(t.Context(), &wg, "k", all)
				synctest.Wait()
				g.open(50_000)
				synctest.Wait()
				if err := tt.change(r); err != nil {
					t.Fatal(err)
				}
				g.open(int64(len(data)))
				wg.Wait()
				if rd.err != nil {
					t.Errorf("reader: %v; readers keep what they began with", rd.err)
				}
				same(t, "reader", rd.data, data)
				if rep := <-r.reports; rep.Outcome != tt.outcome {
					t.Errorf("outcome = %s (%v), want %s", rep.Outcome, rep.Err, tt.outcome)
				}
				if tt.after == nil {
					r.wantAbsent("k")
					return
				}
				r.wantStored("k", tt.after)
			})
		})
	}
}

// put stores data as a client does.
func (r *rig) put(key string, data []byte) error {
	spool, err := r.spool(data)
	if err != nil {
		return err
	}
	return r.store.Put(context.Background(), r.bucket, key, object.Meta{Size: int64(len(data)), ETag: `"put"`}, spool)
}

func (r *rig) spool(data []byte) (store.Spool, error) {
	spool, err := r.store.NewSpool(context.Background(), int64(len(data)))
	if err != nil {
		return nil, err
	}
	_, err = spool.WriteAt(data, 0)
	return spool, err
}

// part begins an upload and stores a part of it.
func (r *rig) part(key string, data []byte) (store.Upload, error) {
	ctx := context.Background()
	u, err := r.store.CreateUpload(ctx, r.bucket, key, object.Meta{ETag: `"upload"`})
	if err != nil {
		return u, err
	}
	spool, err := r.spool(data)
	if err != nil {
		return u, err
	}
	_, err = r.store.PutPart(ctx, r.bucket, key, u.ID, store.Part{Size: int64(len(data))}, spool)
	return u, err
}

// upload stores data in one part.
func (r *rig) upload(key string, data []byte) error {
	u, err := r.part(key, data)
	if err != nil {
		return err
	}
	_, err = r.store.CompleteUpload(context.Background(), r.bucket, key, u.ID, func(u store.Upload, parts []store.Part) ([]store.Part, object.Meta, error) {
		return parts, u.Meta, nil
	})
	return err
}

// append makes data an object that grows.
func (r *rig) append(key string, data []byte) error {
	spool, err := r.spool(data)
	if err != nil {
		return err
	}
	_, err = r.store.Append(context.Background(), r.bucket, key, store.Part{Size: int64(len(data))}, spool, func(was *object.Meta) (object.Meta, error) {
		return object.Meta{ETag: `"append"`}, nil
	})
	return err
}

// After Forget who asks begins anew; the readers of the old flight end with what they began with, and it stores nothing.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		versions := [][]byte{content(1000), content(2000)}
		gates := make(chan *gate, 2)
		o := &script{fetch: func(ctx context.Context, n int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, versions[n-1], func(r io.Reader) io.Reader { g := newGate(ctx, r); gates <- g; return g }), nil
		}}
		r := newRig(t, o)
		defer r.close()
		var wg sync.WaitGroup
		old := r.start(t.Context(), &wg, "k", all)
		synctest.Wait()
		if err := r.store.Delete(t.Context(), r.bucket, "k"); err != nil {
			t.Fatal(err)
		}
		r.filler.Forget(r.bucket.ID, "k")
		fresh := r.start(t.Context(), &wg, "k", all)
		synctest.Wait()
		if n := o.count(); n != 2 {
			t.Fatalf("requests = %d, want 2: a GET after the DELETE fetches anew", n)
		}
		(<-gates).open(1000)
		(<-gates).open(2000)
		wg.Wait()
		same(t, "old reader", old.data, versions[0])
		same(t, "new reader", fresh.data, versions[1])
		synctest.Wait()
		r.wantStored("k", versions[1])
	})
}

// A flight that was forgotten and has no readers any more is given up.
func TestForgottenWithoutReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended bool
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			context.AfterFunc(ctx, func() { ended = true })
			return whole(ctx, content(1000), func(r io.Reader) io.Reader { return newGate(ctx, r) }), nil
		}}
		r := newRig(t, o)
		defer r.close()
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		r.start(ctx, &wg, "k", all)
		synctest.Wait()
		r.filler.Forget(r.bucket.ID, "k")
		synctest.Wait()
		if ended {
			t.Fatal("the flight ended under its reader")
		}
		leave()
		wg.Wait()
		synctest.Wait()
		if !ended {
			t.Error("nobody reads, nothing will be stored, and the flight goes on")
		}
		r.wantAbsent("k")
	})
}

// Two fillers over one store, as two nodes have: both serve, one stores.
func TestTwoFillers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(50_000)
		gates := make(chan *gate, 2)
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { g := newGate(ctx, r); gates <- g; return g }), nil
		}}
		a := newRig(t, o)
		b := *a
		b.reports = make(chan fill.Report, 10)
		b.filler = fill.New(fill.Options{Origin: o, Store: a.store, OnReport: func(p fill.Report) { b.reports <- p }})
		defer a.close()
		defer b.filler.Close(context.Background())
		var wg sync.WaitGroup
		ra := a.start(t.Context(), &wg, "k", all)
		synctest.Wait()
		rb := b.start(t.Context(), &wg, "k", all)
		synctest.Wait()
		(<-gates).open(int64(len(data)))
		synctest.Wait()
		if rep := <-a.reports; rep.Outcome != fill.Stored {
			t.Errorf("first outcome = %s (%v), want stored", rep.Outcome, rep.Err)
		}
		(<-gates).open(int64(len(data)))
		wg.Wait()
		if rep := <-b.reports; rep.Outcome != fill.Existed {
			t.Errorf("second outcome = %s (%v), want existed", rep.Outcome, rep.Err)
		}
		same(t, "reader of the first", ra.data, data)
		same(t, "reader of the second", rb.data, data)
		a.wantStored("k", data)
	})
}

// The second look: a GET that missed just before another flight committed finds the object instead of fetching it again.
func TestSecondLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, content(10), nil), nil
		}}
		r := newRig(t, o)
		defer r.close()
		if err := r.put("k", []byte("there")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.get(t.Context(), "k", all); !errors.Is(err, object.ErrExists) {
			t.Errorf("error = %v, want %v", err, object.ErrExists)
		}
		if n := o.count(); n != 0 {
			t.Errorf("requests = %d, want 0", n)
		}
	})
}
