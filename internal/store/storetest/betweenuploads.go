package storetest

import (
	"context"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

var betweenUploadTests = []test{
	between("CompleteUpload, and a part is replaced", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		gone := putPart(t, o.s, o.b, u, 0, Content(1, 50_000))
		putPart(t, o.s, o.b, u, 1, []byte("back"))
		h.apply = func() { putPart(t, o.s, o.b, u, 0, []byte("front")) }
		_, err := complete(mine, o.b, u, 0, 1)
		check(t, err)
		o.want("key", "frontback")
		wantGone(t, o.e, gone)
		wantNone(t, o.e, "A", "T", "G")
	}),
	between("CompleteUpload, and a part that is not chosen comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		putPart(t, o.s, o.b, u, 0, []byte("x"))
		var late store.BodyID
		h.apply = func() { late = putPart(t, o.s, o.b, u, 1, []byte("late")) }
		_, err := complete(mine, o.b, u, 0)
		check(t, err)
		o.want("key", "x")
		wantGone(t, o.e, late)
		wantNone(t, o.e, "A", "T", "G")
	}),
	between("CompleteUpload, and it is aborted", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		putPart(t, o.s, o.b, u, 0, []byte("x"))
		h.apply = func() { check(t, o.s.AbortUpload(bg, o.b, "key", u.ID)) }
		_, err := complete(mine, o.b, u, 0)
		wantErr(t, "CompleteUpload", err, object.ErrNoSuchUpload)
		wantMissing(t, mine, o.b, "key")
		wantNone(t, o.e, "A", "T", "M", "G")
	}),
	between("CompleteUpload, and it is completed", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		putPart(t, o.s, o.b, u, 0, []byte("x"))
		h.apply = func() {
			_, err := complete(o.s, o.b, u, 0)
			check(t, err)
		}
		_, err := complete(mine, o.b, u, 0)
		check(t, err)
		o.want("key", "x")
		wantUsage(t, mine, o.b)
	}),
	between("CompleteUpload, and a PUT comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		putPart(t, o.s, o.b, u, 0, []byte("x"))
		h.apply = func() { put(t, o.s, o.b, "key", []byte("put")) }
		_, err := complete(mine, o.b, u, 0)
		check(t, err)
		o.want("key", "x")
		wantUsage(t, mine, o.b)
	}),
	between("CompleteUpload, and its bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		body := putPart(t, o.s, o.b, u, 0, []byte("x"))
		h.apply = func() { check(t, o.s.DeleteBucket(bg, o.b)) }
		_, err := complete(mine, o.b, u, 0)
		wantErr(t, "CompleteUpload", err, object.ErrNoSuchUpload)
		wantGone(t, o.e, body)
		if left := unbounded(t, o.e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}
	}),
	between("PutPart, and its upload ends", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		for _, end := range []func(u store.Upload){
			func(u store.Upload) { check(t, o.s.AbortUpload(bg, o.b, "key", u.ID)) },
			func(u store.Upload) {
				_, err := complete(o.s, o.b, u, 0)
				check(t, err)
			},
		} {
			for _, n := range []int{10, 50_000} {
				u := begin(t, o.s, o.b, "key")
				putPart(t, o.s, o.b, u, 0, []byte("x"))
				h.apply = func() { end(u) }
				content := Content(1, n)
				sp := spoolFor(t, mine, content)
				_, err := mine.PutPart(bg, o.b, "key", u.ID, partOf(0, content), sp)
				wantErr(t, "PutPart", err, object.ErrNoSuchUpload)
				wantGone(t, o.e, sp.ID())
				wantNone(t, o.e, "A", "T", "G")
			}
		}
	}),
	between("PutPart, and another one of its number comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		var other store.BodyID
		h.apply = func() { other = putPart(t, o.s, o.b, u, 0, Content(1, 50_000)) }
		putPart(t, mine, o.b, u, 0, []byte("mine"))
		wantGone(t, o.e, other)
		_, err := complete(mine, o.b, u, 0)
		check(t, err)
		o.want("key", "mine")
	}),
	between("PutPart, and its bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		h.apply = func() { check(t, o.s.DeleteBucket(bg, o.b)) }
		sp := spoolFor(t, mine, []byte("x"))
		_, err := mine.PutPart(bg, o.b, "key", u.ID, partOf(0, []byte("x")), sp)
		wantErr(t, "PutPart", err, object.ErrNoSuchBucket)
		wantGone(t, o.e, sp.ID())
	}),
	between("DeleteBucket, and an upload comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		var body store.BodyID
		h.apply = func() {
			u := begin(t, o.s, o.b, "key")
			body = putPart(t, o.s, o.b, u, 0, Content(1, 50_000))
		}
		check(t, mine.DeleteBucket(bg, o.b))
		wantGone(t, o.e, body)
		if left := unbounded(t, o.e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}
	}),
	between("DeleteBucket, and an upload is completed", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		putPart(t, o.s, o.b, u, 0, []byte("x"))
		h.apply = func() {
			_, err := complete(o.s, o.b, u, 0)
			check(t, err)
		}
		wantErr(t, "DeleteBucket", mine.DeleteBucket(bg, o.b), object.ErrBucketNotEmpty)
		o.want("key", "x")
	}),
	between("CreateUpload, and its bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { check(t, o.s.DeleteBucket(bg, o.b)) }
		_, err := mine.CreateUpload(bg, o.b, "key", object.Meta{})
		wantErr(t, "CreateUpload", err, object.ErrNoSuchBucket)
		wantNone(t, o.e, "A")
	}),
	between("AbortUpload, and a part comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		u := begin(t, o.s, o.b, "key")
		var body store.BodyID
		h.apply = func() { body = putPart(t, o.s, o.b, u, 0, []byte("x")) }
		check(t, mine.AbortUpload(bg, o.b, "key", u.ID))
		wantGone(t, o.e, body)
		wantNone(t, o.e, "A", "T", "G")
	}),
	between("Append, and another one comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		for range 2 { // the first one makes the object
			h.apply = func() {
				_, err := appendTo(o.s, o.b, "key", []byte("other"))
				check(t, err)
			}
			_, err := appendTo(mine, o.b, "key", []byte("mine"))
			check(t, err)
		}
		o.want("key", "othermineothermine")
		wantUsage(t, mine, o.b)
	}),
	between("Append, and a PUT comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		for _, n := range []int{10, 50_000} {
			h.apply = func() { put(t, o.s, o.b, "key", []byte("put")) }
			sp := spoolFor(t, mine, Content(1, n))
			_, err := mine.Append(bg, o.b, "key", partOf(0, Content(1, n)), sp, grow)
			wantErr(t, "Append", err, object.ErrObjectState)
			wantGone(t, o.e, sp.ID())
			o.want("key", "put")
			check(t, o.s.Delete(bg, o.b, "key"))
		}
	}),
	between("Append, and a DELETE comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		_, err := appendTo(mine, o.b, "key", []byte("old"))
		check(t, err)
		h.apply = func() { check(t, o.s.Delete(bg, o.b, "key")) }
		_, err = appendTo(mine, o.b, "key", []byte("new"))
		check(t, err)
		o.want("key", "new")
		wantUsage(t, mine, o.b)
	}),
	between("Append, and a fill commits", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		i := o.begin("key")
		h.apply = func() { wantErr(t, "commit", o.commit(i, "filled"), nil) }
		_, err := appendTo(mine, o.b, "key", []byte("x"))
		wantErr(t, "Append", err, object.ErrObjectState)
		o.want("key", "filled")
	}),
	fillTest("Open of pieces, and the object is replaced before they are held", func(t *testing.T, o *fills) {
		for _, replace := range []struct {
			how  func()
			want string
		}{
			{func() { put(t, o.s, o.b, "key", []byte("put")) }, "put"},
			{func() {
				u := begin(t, o.s, o.b, "key")
				putPart(t, o.s, o.b, u, 0, []byte("parts"))
				_, err := complete(o.s, o.b, u, 0)
				check(t, err)
			}, "parts"},
			{func() { check(t, o.s.Delete(bg, o.b, "key")) }, ""},
		} {
			u := begin(t, o.s, o.b, "key")
			body := putPart(t, o.s, o.b, u, 0, []byte("first"))
			_, err := complete(o.s, o.b, u, 0)
			check(t, err)
			mine := store.New(&afterGet{Engine: o.e, do: replace.how})
			if replace.want == "" {
				_, err := mine.Open(bg, o.b, "key")
				wantErr(t, "Open", err, object.ErrNoSuchKey)
			} else {
				wantBytes(t, "the object", get(t, mine, o.b, "key"), []byte(replace.want))
			}
			wantGone(t, o.e, body)
			check(t, o.s.Delete(bg, o.b, "key"))
			wantNone(t, o.e, "M", "G")
		}
	}),
}

// afterGet is an engine that lets something happen behind its first Get.
type afterGet struct {
	store.Engine
	do func()
}

func (a *afterGet) Get(ctx context.Context, key []byte) ([]byte, error) {
	v, err := a.Engine.Get(ctx, key)
	if f := a.do; f != nil {
		a.do = nil
		f()
	}
	return v, err
}
