package storetest

import (
	"context"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// hooked is an engine that lets something happen between two steps of the Store: before its next Apply, its next Open or its next Reopen.
type hooked struct {
	store.Engine
	apply, open, reopen func()
}

func (h *hooked) Apply(ctx context.Context, b *store.Batch) error {
	if f := h.apply; f != nil {
		h.apply = nil
		f()
	}
	return h.Engine.Apply(ctx, b)
}

func (h *hooked) Open(ctx context.Context, id store.BodyID) (store.Body, error) {
	if f := h.open; f != nil {
		h.open = nil
		f()
	}
	return h.Engine.Open(ctx, id)
}

func (h *hooked) Reopen(ctx context.Context, id store.BodyID, size int64) (store.Spool, error) {
	if f := h.reopen; f != nil {
		h.reopen = nil
		f()
	}
	return h.Engine.Reopen(ctx, id, size)
}

// between tests what happens when somebody else (other) changes something after a call (mine) has looked and before it has acted.
func between(name string, run func(t *testing.T, h *hooked, mine *store.Store, other *fills)) test {
	return fillTest(name, func(t *testing.T, f *fills) {
		h := &hooked{Engine: f.e}
		run(t, h, store.New(h), f)
	})
}

var betweenTests = []test{
	between("DeleteBucket, and a PUT comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { put(t, o.s, o.b, "key", []byte("put")) }
		wantErr(t, "DeleteBucket", mine.DeleteBucket(bg, o.b), object.ErrBucketNotEmpty)
		o.want("key", "put")
	}),
	between("DeleteBucket, and a setting and a fill come in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() {
			check(t, o.s.SetSetting(bg, o.b, "acl", []byte("acl")))
			o.begin("key")
		}
		check(t, mine.DeleteBucket(bg, o.b))
		if left := unbounded(t, o.e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}
	}),
	between("DeleteBucket, and it was deleted and made again", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() {
			check(t, o.s.DeleteBucket(bg, o.b))
			newBucket(t, o.s, o.b.Name)
		}
		wantErr(t, "DeleteBucket", mine.DeleteBucket(bg, o.b), object.ErrNoSuchBucket)
		if _, err := mine.Bucket(bg, o.b.Name); err != nil {
			t.Fatalf("the new bucket: %v", err)
		}
	}),
	between("CreateBucket, and another one is made", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { newBucket(t, o.s, "new") }
		_, err := mine.CreateBucket(bg, "new", "owner", "zone")
		wantErr(t, "CreateBucket of the same name", err, object.ErrBucketExists)
		h.apply = func() { newBucket(t, o.s, "one") }
		two, err := mine.CreateBucket(bg, "two", "owner", "zone")
		check(t, err)
		one, err := mine.Bucket(bg, "one")
		check(t, err)
		if one.ID == two.ID {
			t.Fatal("two buckets have one ID")
		}
	}),
	between("PUT, and another PUT comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		for _, n := range []int{10, 100_000} {
			h.apply = func() { put(t, o.s, o.b, "key", Content(1, n)) }
			put(t, mine, o.b, "key", Content(2, n+1))
			o.want("key", string(Content(2, n+1)))
			wantUsage(t, mine, o.b)
		}
	}),
	between("PUT, and a DELETE comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		put(t, o.s, o.b, "key", []byte("old"))
		h.apply = func() { check(t, o.s.Delete(bg, o.b, "key")) }
		put(t, mine, o.b, "key", []byte("new"))
		o.want("key", "new")
		wantUsage(t, mine, o.b)
	}),
	between("PUT, and its bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() {
			check(t, o.s.DeleteBucket(bg, o.b))
			newBucket(t, o.s, o.b.Name)
		}
		wantErr(t, "Put", tryPut(t, mine, o.b, "key", []byte("x")), object.ErrNoSuchBucket)
	}),
	between("PUT, a fill begins, and a DELETE follows", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		var i store.Intent
		h.apply = func() { i = o.begin("key") }
		put(t, mine, o.b, "key", []byte("put"))
		check(t, mine.Delete(bg, o.b, "key"))
		wantErr(t, "commit", o.commit(i, "filled"), object.ErrSuperseded)
		wantMissing(t, mine, o.b, "key")
	}),
	between("DELETE, and a PUT comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { put(t, o.s, o.b, "key", []byte("put")) }
		check(t, mine.Delete(bg, o.b, "key"))
		wantMissing(t, mine, o.b, "key")
		wantUsage(t, mine, o.b)
	}),
	between("DELETE, and a fill commits", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		i := o.begin("key")
		h.apply = func() { wantErr(t, "commit", o.commit(i, "filled"), nil) }
		check(t, mine.Delete(bg, o.b, "key"))
		wantMissing(t, mine, o.b, "key")
		wantUsage(t, mine, o.b)
	}),
	between("SetSetting, and its bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { check(t, o.s.DeleteBucket(bg, o.b)) }
		wantErr(t, "SetSetting", mine.SetSetting(bg, o.b, "acl", []byte("acl")), object.ErrNoSuchBucket)
	}),
	between("SetSetting, and another one comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { check(t, o.s.SetSetting(bg, o.b, "acl", []byte("other"))) }
		check(t, mine.SetSetting(bg, o.b, "acl", []byte("mine")))
		doc, err := mine.Setting(bg, o.b, "acl")
		check(t, err)
		wantBytes(t, "setting", doc, []byte("mine"))
	}),
	between("BeginFill, and a PUT comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { put(t, o.s, o.b, "key", []byte("put")) }
		_, err := mine.BeginFill(bg, o.b, "key", site)
		wantErr(t, "BeginFill", err, object.ErrExists)
	}),
	between("BeginFill, and the mirror changes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { check(t, o.s.SetSetting(bg, o.b, "mirror", []byte("http://other/"))) }
		_, err := mine.BeginFill(bg, o.b, "key", site)
		wantErr(t, "BeginFill", err, object.ErrSuperseded)
		o.wantNoIntents()
	}),
	between("BeginFill, and its bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { check(t, o.s.DeleteBucket(bg, o.b)) }
		_, err := mine.BeginFill(bg, o.b, "key", site)
		wantErr(t, "BeginFill", err, object.ErrNoSuchBucket)
		o.wantNoIntents()
	}),
	between("BeginFill, and another filler begins", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { o.begin("key") }
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		content := []byte("filled")
		check(t, mine.CommitFill(bg, i, meta(content), spoolFor(t, mine, content)))
		o.want("key", "filled")
	}),
	commitBetween("a PUT comes in", object.ErrExists, func(t *testing.T, o *fills, _ store.Intent) {
		put(t, o.s, o.b, "key", []byte("put"))
	}),
	commitBetween("another filler commits", object.ErrExists, func(t *testing.T, o *fills, i store.Intent) {
		wantErr(t, "commit", o.commit(i, "other"), nil)
	}),
	commitBetween("a DELETE comes in", object.ErrSuperseded, func(t *testing.T, o *fills, _ store.Intent) {
		check(t, o.s.Delete(bg, o.b, "key"))
	}),
	commitBetween("a DELETE and another fill come in", object.ErrSuperseded, func(t *testing.T, o *fills, _ store.Intent) {
		check(t, o.s.Delete(bg, o.b, "key"))
		o.begin("key")
	}),
	commitBetween("a PUT and a DELETE come in", object.ErrSuperseded, func(t *testing.T, o *fills, _ store.Intent) {
		put(t, o.s, o.b, "key", []byte("put"))
		check(t, o.s.Delete(bg, o.b, "key"))
	}),
	commitBetween("the mirror changes", object.ErrSuperseded, func(t *testing.T, o *fills, _ store.Intent) {
		check(t, o.s.SetSetting(bg, o.b, "mirror", []byte("http://other/")))
	}),
	commitBetween("the mirror changes and changes back", object.ErrSuperseded, func(t *testing.T, o *fills, _ store.Intent) {
		check(t, o.s.DeleteSetting(bg, o.b, "mirror"))
		check(t, o.s.SetSetting(bg, o.b, "mirror", site))
	}),
	commitBetween("the bucket goes", object.ErrSuperseded, func(t *testing.T, o *fills, _ store.Intent) {
		check(t, o.s.DeleteBucket(bg, o.b))
	}),
	commitBetween("another key is put", nil, func(t *testing.T, o *fills, _ store.Intent) {
		put(t, o.s, o.b, "key2", []byte("put"))
	}),
	between("Open, and the object is replaced", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		for _, n := range []int{10, 100_000} {
			put(t, o.s, o.b, "key", Content(1, n))
			h.open = func() { put(t, o.s, o.b, "key", Content(2, n+1)) }
			wantBytes(t, "object", get(t, mine, o.b, "key"), Content(2, n+1))
		}
	}),
	between("Open, and the object is deleted", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		put(t, o.s, o.b, "key", []byte("put"))
		h.open = func() { check(t, o.s.Delete(bg, o.b, "key")) }
		_, err := mine.Open(bg, o.b, "key")
		wantErr(t, "Open", err, object.ErrNoSuchKey)
	}),
}

// commitBetween tests what becomes of a commit that has looked when other happens.
func commitBetween(name string, want error, other func(t *testing.T, o *fills, i store.Intent)) test {
	return between("CommitFill, and "+name, func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		for _, n := range []int{10, 100_000} {
			content := Content(3, n)
			i, err := mine.BeginFill(bg, o.b, "key", site)
			check(t, err)
			h.apply = func() { other(t, o, i) }
			sp := spoolFor(t, mine, content)
			id := sp.ID()
			wantErr(t, "CommitFill", mine.CommitFill(bg, i, meta(content), sp), want)
			if want == nil {
				o.want("key", string(content))
			} else {
				_, err := o.e.Open(bg, id)
				wantErr(t, "Open of the body that was not committed", err, object.ErrDamaged)
			}
			check(t, mine.EndFill(bg, i))
			wantUsage(t, mine, o.b)
			// And again from the beginning, with a body of the other kind.
			if _, err := mine.Bucket(bg, o.b.Name); err != nil {
				o.b = newBucket(t, o.s, o.b.Name)
			}
			check(t, mine.Delete(bg, o.b, "key"))
			check(t, o.s.SetSetting(bg, o.b, "mirror", site))
		}
	})
}
