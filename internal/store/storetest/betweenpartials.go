package storetest

import (
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

var betweenPartialTests = []test{
	saveBetween("a DELETE comes in", object.ErrSuperseded, func(t *testing.T, o *fills) { check(t, o.s.Delete(bg, o.b, "key")) }),
	saveBetween("a PUT comes in", object.ErrSuperseded, func(t *testing.T, o *fills) { put(t, o.s, o.b, "key", []byte("put")) }),
	saveBetween("another filler commits", object.ErrSuperseded, func(t *testing.T, o *fills) {
		wantErr(t, "commit", o.commit(o.begin("key"), "other"), nil)
	}),
	saveBetween("the mirror changes", object.ErrSuperseded, func(t *testing.T, o *fills) {
		check(t, o.s.SetSetting(bg, o.b, "mirror", []byte("http://other/")))
	}),
	saveBetween("the bucket goes", object.ErrSuperseded, func(t *testing.T, o *fills) { check(t, o.s.DeleteBucket(bg, o.b)) }),
	saveBetween("another filler saves and leaves", nil, func(t *testing.T, o *fills) {
		i, err := o.s.BeginFill(bg, o.b, "key", site)
		check(t, err)
		sp := spoolFor(t, o.s, whole[:10])
		check(t, o.s.SaveFill(bg, i, sp, []byte("other")))
		check(t, sp.Leave())
		t.Cleanup(func() { o.wantGone(sp.ID()) })
	}),
	between("DeleteBucket, and a fill is saved", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		i, sp := o.begin("key"), spoolFor(t, o.s, half)
		h.apply = func() { check(t, o.s.SaveFill(bg, i, sp, []byte("half"))) }
		check(t, mine.DeleteBucket(bg, o.b))
		if left := unbounded(t, o.e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}
		check(t, o.s.LeaveFill(bg, i, sp))
		o.wantGone(sp.ID())
	}),
	between("CommitFill, and another filler saves", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		j, sp := o.begin("key"), spoolFor(t, o.s, half)
		h.apply = func() { check(t, o.s.SaveFill(bg, j, sp, []byte("half"))) }
		check(t, mine.CommitFill(bg, i, meta(whole), spoolFor(t, mine, whole)))
		o.want("key", string(whole))
		check(t, o.s.LeaveFill(bg, j, sp))
		o.wantNothingLeft(sp.ID())
	}),
	between("EndFill, and another filler saves and leaves", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		for _, saved := range []bool{false, true} {
			i, err := mine.BeginFill(bg, o.b, "key", site)
			check(t, err)
			sp := spoolFor(t, mine, whole)
			if saved {
				check(t, mine.SaveFill(bg, i, sp, []byte("mine")))
			}
			var id store.BodyID
			h.apply = func() {
				j, sp := o.begin("key"), spoolFor(t, o.s, half)
				check(t, o.s.SaveFill(bg, j, sp, []byte("half")))
				check(t, sp.Leave())
				id = sp.ID()
			}
			check(t, mine.EndFill(bg, i))
			check(t, sp.Discard())
			j, again := o.resume("key", id, half, "half")
			check(t, o.s.EndFill(bg, j))
			check(t, again.Discard())
		}
	}),
	between("ResumeFill finds nothing of use, and another filler saves and leaves", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		forget(t, o.e, o.leave("key", half, "half"))
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		var id store.BodyID
		h.apply = func() {
			j, sp := o.begin("key"), spoolFor(t, o.s, half)
			check(t, o.s.SaveFill(bg, j, sp, []byte("new")))
			check(t, sp.Leave())
			id = sp.ID()
		}
		_, _, ok, err := mine.ResumeFill(bg, i)
		if ok || err != nil {
			t.Fatalf("ResumeFill = %v, %v, want nothing", ok, err)
		}
		o.resume("key", id, half, "new")
	}),
	between("ResumeFill, and another filler resumes and commits", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		id := o.leave("key", half, "half")
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		h.reopen = func() { o.finish(o.resume("key", id, half, "half")) }
		_, _, ok, err := mine.ResumeFill(bg, i)
		if ok || err != nil {
			t.Fatalf("ResumeFill = %v, %v, want nothing", ok, err)
		}
		o.want("key", string(whole))
		o.wantNothingLeft(id)
	}),
	between("ResumeFill, and another filler resumes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		id := o.leave("key", half, "half")
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		var j store.Intent
		var sp store.Spool
		h.reopen = func() { j, sp = o.resume("key", id, half, "half") }
		_, _, ok, err := mine.ResumeFill(bg, i)
		if ok || err != nil {
			t.Fatalf("ResumeFill = %v, %v, want nothing", ok, err)
		}
		o.finish(j, sp)
		o.want("key", string(whole))
	}),
	between("ResumeFill, and another filler resumes, saves more and leaves", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		// The old note must not be taken for what the body is now, nor the new one for what is left of it.
		id := o.leave("key", half, "half")
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		h.reopen = func() {
			j, sp := o.resume("key", id, half, "half")
			_, err := sp.WriteAt(whole[len(half):], int64(len(half)))
			check(t, err)
			check(t, o.s.SaveFill(bg, j, sp, []byte("whole")))
			check(t, sp.Leave())
		}
		sp, state, ok, err := mine.ResumeFill(bg, i)
		check(t, err)
		if ok {
			b, err := sp.Open()
			check(t, err)
			defer b.Close()
			if string(state) != "whole" {
				t.Fatalf("ResumeFill = state %q, which another one has replaced", state)
			}
			wantBytes(t, "the resumed spool", readBody(t, b), whole)
			return
		}
		check(t, mine.EndFill(bg, i))
		o.wantNothingLeft(id)
	}),
	between("ResumeFill, and the bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		id := o.leave("key", half, "half")
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		h.reopen = func() { check(t, o.s.DeleteBucket(bg, o.b)) }
		_, _, ok, err := mine.ResumeFill(bg, i)
		if ok || err != nil {
			t.Fatalf("ResumeFill = %v, %v, want nothing", ok, err)
		}
		o.wantNothingLeft(id)
	}),
	leaveBetween("before the spool is left", func(sp store.Spool, other func()) store.Spool { return &leaving{Spool: sp, before: other} }),
	leaveBetween("after the spool is left", func(sp store.Spool, other func()) store.Spool { return &leaving{Spool: sp, after: other} }),
}

// leaving is a spool that lets something happen before it is left, or after.
type leaving struct {
	store.Spool
	before, after func()
}

func (l *leaving) Leave() error {
	if l.before != nil {
		l.before()
	}
	err := l.Spool.Leave()
	if l.after != nil {
		l.after()
	}
	return err
}

func leaveBetween(when string, hook func(sp store.Spool, other func()) store.Spool) test {
	return fillTest("LeaveFill, and the bucket goes "+when, func(t *testing.T, f *fills) {
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		check(t, f.s.LeaveFill(bg, i, hook(sp, func() { check(t, f.s.DeleteBucket(bg, f.b)) })))
		f.wantNothingLeft(sp.ID())
	})
}

// saveBetween tests what becomes of a SaveFill that has looked when other happens. Where it fails, it must not have changed what was saved before.
func saveBetween(name string, want error, other func(t *testing.T, o *fills)) test {
	return between("SaveFill, and "+name, func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		i, err := mine.BeginFill(bg, o.b, "key", site)
		check(t, err)
		sp := spoolFor(t, mine, half)
		h.apply = func() { other(t, o) }
		wantErr(t, "SaveFill", mine.SaveFill(bg, i, sp, []byte("mine")), want)
		check(t, mine.LeaveFill(bg, i, sp))
		if want != nil {
			o.wantNothingLeft(sp.ID())
			return
		}
		o.resume("key", sp.ID(), half, "mine")
	})
}
