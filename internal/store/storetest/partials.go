package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// whole is what the fills in these tests are about; half of it arrived before they were interrupted.
var (
	whole = Content(41, 100_000)
	half  = whole[:50_000]
)

var partialTests = []test{
	fillTest("what was saved is resumed, written on and committed", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		f.wantNoIntents()
		f.restart()
		i, sp := f.resume("key", id, half, "half")
		f.finish(i, sp)
		f.want("key", string(whole))
		wantUsage(t, f.s, f.b)
		f.wantNothingLeft(id)
	}),
	fillTest("a fill that resumed may save and leave again", func(t *testing.T, f *fills) {
		state := stateOf(len(half))
		id := f.leave("key", half, state)
		for n := len(half); n < len(whole); n += 10_000 {
			f.restart()
			i, sp := f.resume("key", id, whole[:n], state)
			_, err := sp.WriteAt(whole[n:n+10_000], int64(n))
			check(t, err)
			state = stateOf(n + 10_000)
			check(t, f.s.SaveFill(bg, i, sp, []byte(state)))
			check(t, f.s.LeaveFill(bg, i, sp))
		}
		i, sp := f.resume("key", id, whole, state)
		f.finish(i, sp)
		f.want("key", string(whole))
		f.wantNothingLeft(id)
	}),
	fillTest("a fill that resumed and saves nothing leaves what it found", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		i, sp := f.resume("key", id, half, "half")
		_, err := sp.WriteAt([]byte("not vouched for"), int64(len(half)))
		check(t, err)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.resume("key", id, half, "half")
	}),
	fillTest("nothing was saved", func(t *testing.T, f *fills) {
		i := f.begin("key")
		f.wantNothing(i)
		f.leave("key2", half, "half")
		f.leave("ke", half, "half")
		f.wantNothing(i)
	}),
	fillTest("an empty state is a state", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "")
		f.resume("key", id, half, "")
	}),
	fillTest("a state has its limit", func(t *testing.T, f *fills) {
		state := string(Content(42, 64<<10))
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte(state)))
		wantErr(t, "SaveFill of more", f.s.SaveFill(bg, i, sp, []byte(state+"x")), object.ErrInvalidArgument)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.resume("key", sp.ID(), half, state)
	}),
	fillTest("the last one saved counts", func(t *testing.T, f *fills) {
		i := f.begin("key")
		sp := spoolFor(t, f.s, nil)
		for n := 10_000; n <= 50_000; n += 10_000 {
			_, err := sp.WriteAt(whole[n-10_000:n], int64(n-10_000))
			check(t, err)
			check(t, f.s.SaveFill(bg, i, sp, []byte(stateOf(n))))
		}
		check(t, f.s.LeaveFill(bg, i, sp))
		f.resume("key", sp.ID(), half, stateOf(50_000))
	}),
	fillTest("what a process saved without leaving is found by the next", func(t *testing.T, f *fills) {
		// As after a crash, but that the engine still knows the spool.
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		check(t, sp.Leave())
		f.restart()
		f.resume("key", sp.ID(), half, "half")
	}),
	fillTest("EndFill forgets what was saved", func(t *testing.T, f *fills) {
		for _, first := range []string{"discard", "end"} {
			i := f.begin("key")
			sp := spoolFor(t, f.s, half)
			check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
			if first == "discard" {
				check(t, sp.Discard())
			}
			check(t, f.s.EndFill(bg, i))
			check(t, sp.Discard())
			f.wantNothingLeft(sp.ID())
		}
	}),
	fillTest("EndFill forgets what was resumed", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		i, sp := f.resume("key", id, half, "half")
		check(t, f.s.EndFill(bg, i))
		check(t, sp.Discard())
		f.wantNothingLeft(id)
	}),
	fillTest("EndFill keeps what an earlier fill left and this one did not resume", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		i := f.begin("key")
		check(t, f.s.EndFill(bg, i))
		f.wantNoIntents()
		f.resume("key", id, half, "half")
	}),
	fillTest("EndFill forgets what nobody can resume", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		check(t, reopen(t, f.e, id, len(half)-1).Leave())
		check(t, f.s.EndFill(bg, f.begin("key")))
		f.wantNothingLeft(id)
	}),
	fillTest("a fill that saved nothing leaves nothing", func(t *testing.T, f *fills) {
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.wantNothingLeft(sp.ID())
	}),
	fillTest("a fill that began anew takes the place of what it did not resume", func(t *testing.T, f *fills) {
		old := f.leave("key", half, "half")
		i := f.begin("key")
		sp := spoolFor(t, f.s, whole[:10])
		check(t, f.s.SaveFill(bg, i, sp, []byte("anew")))
		f.wantGone(old)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.resume("key", sp.ID(), whole[:10], "anew")
	}),
	fillTest("a commit without resuming removes what was left", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		wantErr(t, "commit", f.commit(f.begin("key"), "filled"), nil)
		f.want("key", "filled")
		f.wantNothingLeft(id)
	}),
	fillTest("a running fill keeps its spool", func(t *testing.T, f *fills) {
		i, j := f.begin("key"), f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		f.wantNothing(j)
		check(t, f.s.LeaveFill(bg, i, sp))
		again, state, ok, err := f.s.ResumeFill(bg, j)
		check(t, err)
		if !ok || string(state) != "half" {
			t.Fatalf("ResumeFill after the first filler left = %q, %v", state, ok)
		}
		f.wantNothing(f.begin("key"))
		f.finish(j, again)
		f.want("key", string(whole))
		f.wantNothingLeft(sp.ID())
	}),
	fillTest("of many fillers at once, one resumes", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		var got atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			i := f.begin("key")
			wg.Go(func() {
				_, _, ok, err := f.s.ResumeFill(bg, i)
				if err != nil {
					t.Error(err)
				}
				if ok {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Fatalf("%d fillers resumed, want 1", got.Load())
		}
		if _, err := f.e.Reopen(bg, id, 0); err == nil {
			t.Fatal("the spool is nobody's")
		}
	}),
	fillTest("of two fillers that save, the one whose spool is noted leaves it", func(t *testing.T, f *fills) {
		i, j := f.begin("key"), f.begin("key")
		one, two := spoolFor(t, f.s, half), spoolFor(t, f.s, whole[:10])
		check(t, f.s.SaveFill(bg, i, one, []byte("one")))
		check(t, f.s.SaveFill(bg, j, two, []byte("two")))
		check(t, f.s.LeaveFill(bg, i, one))
		f.wantGone(one.ID())
		check(t, f.s.LeaveFill(bg, j, two))
		f.resume("key", two.ID(), whole[:10], "two")
	}),
	fillTest("a commit of another filler removes what was saved", func(t *testing.T, f *fills) {
		i, j := f.begin("key"), f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		wantErr(t, "commit", f.commit(j, "filled"), nil)
		wantErr(t, "SaveFill", f.s.SaveFill(bg, i, sp, []byte("late")), object.ErrSuperseded)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.wantNothingLeft(sp.ID())
	}),
	fillTest("a DELETE ends a fill and not what it saved", func(t *testing.T, f *fills) {
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		check(t, f.s.Delete(bg, f.b, "key"))
		wantErr(t, "SaveFill", f.s.SaveFill(bg, i, sp, []byte("late")), object.ErrSuperseded)
		_, _, _, err := f.s.ResumeFill(bg, i)
		wantErr(t, "ResumeFill", err, object.ErrSuperseded)
		f.wantNothing(f.begin("key")) // the ended fill still has the spool
		check(t, f.s.LeaveFill(bg, i, sp))
		check(t, f.s.Delete(bg, f.b, "key"))
		j, again := f.resume("key", sp.ID(), half, "half")
		f.finish(j, again)
		f.want("key", string(whole))
	}),
	fillTest("a fill that a DELETE ended takes nothing from the one after it", func(t *testing.T, f *fills) {
		i := f.begin("key")
		one := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, one, []byte("one")))
		check(t, f.s.Delete(bg, f.b, "key"))
		j := f.begin("key")
		two := spoolFor(t, f.s, whole[:10])
		check(t, f.s.SaveFill(bg, j, two, []byte("two")))
		check(t, f.s.EndFill(bg, i))
		check(t, one.Discard())
		check(t, f.s.LeaveFill(bg, j, two))
		f.resume("key", two.ID(), whole[:10], "two")
	}),
	fillTest("a PUT ends a fill, and what it left goes at the next start", func(t *testing.T, f *fills) {
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		put(t, f.s, f.b, "key", []byte("put"))
		wantErr(t, "SaveFill", f.s.SaveFill(bg, i, sp, []byte("late")), object.ErrSuperseded)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.restart()
		f.want("key", "put")
		f.wantNothingLeft(sp.ID())
	}),
	fillTest("a change of the mirror ends what was saved", func(t *testing.T, f *fills) {
		other := []byte("http://other/")
		id := f.leave("key", half, "half")
		i := f.begin("key")
		check(t, f.s.SetSetting(bg, f.b, "mirror", other))
		_, _, _, err := f.s.ResumeFill(bg, i)
		wantErr(t, "ResumeFill from the old setting", err, object.ErrSuperseded)
		check(t, f.s.EndFill(bg, i))
		i, err = f.s.BeginFill(bg, f.b, "key", other)
		check(t, err)
		f.wantNothing(i)
		check(t, f.s.EndFill(bg, i))
		f.wantNothingLeft(id)
	}),
	fillTest("a change of the mirror and back ends what was saved", func(t *testing.T, f *fills) {
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		check(t, f.s.DeleteSetting(bg, f.b, "mirror"))
		check(t, f.s.SetSetting(bg, f.b, "mirror", site))
		wantErr(t, "SaveFill", f.s.SaveFill(bg, i, sp, []byte("late")), object.ErrSuperseded)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.wantNothing(f.begin("key"))
		f.wantGone(sp.ID())
	}),
	fillTest("other settings, and the same mirror set again, do not", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		check(t, f.s.SetSetting(bg, f.b, "acl", []byte("acl")))
		check(t, f.s.SetSetting(bg, f.b, "mirror", site))
		f.restart()
		f.resume("key", id, half, "half")
	}),
	fillTest("a deletion of the bucket removes what was left", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		i := f.begin("running")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		check(t, f.s.DeleteBucket(bg, f.b))
		f.wantGone(id)
		if left := unbounded(t, f.e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}
		wantErr(t, "SaveFill", f.s.SaveFill(bg, i, sp, []byte("late")), object.ErrSuperseded)
		check(t, f.s.LeaveFill(bg, i, sp))
		f.wantNothingLeft(sp.ID())
		f.b = newBucket(t, f.s, f.b.Name)
		check(t, f.s.SetSetting(bg, f.b, "mirror", site))
		f.wantNothing(f.begin("key"))
	}),
	fillTest("a bucket without a mirror can resume, too", func(t *testing.T, f *fills) {
		check(t, f.s.DeleteSetting(bg, f.b, "mirror"))
		i, err := f.s.BeginFill(bg, f.b, "key", nil)
		check(t, err)
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		check(t, f.s.LeaveFill(bg, i, sp))
		f.restart()
		i, err = f.s.BeginFill(bg, f.b, "key", nil)
		check(t, err)
		if _, _, ok, err := f.s.ResumeFill(bg, i); err != nil || !ok {
			t.Fatalf("ResumeFill = %v, %v", ok, err)
		}
	}),
	fillTest("the next start keeps what is running", func(t *testing.T, f *fills) {
		i := f.begin("key")
		sp := spoolFor(t, f.s, half)
		check(t, f.s.SaveFill(bg, i, sp, []byte("half")))
		f.restart() // which ends the intent
		check(t, f.s.LeaveFill(bg, i, sp))
		f.resume("key", sp.ID(), half, "half")
	}),
	useless("its body is gone", func(t *testing.T, f *fills, id store.BodyID) { forget(t, f.e, id) }),
	useless("its body is shorter", func(t *testing.T, f *fills, id store.BodyID) {
		check(t, reopen(t, f.e, id, len(half)-1).Leave())
	}),
	useless("its record is damaged", func(t *testing.T, f *fills, id store.BodyID) {
		key := keys(t, f.e, "P", "Q")[0]
		v := mustGet(t, f.e, key)
		v[len(v)/2] ^= 4
		set(t, f.e, key, string(v))
		forget(t, f.e, id) // as a sweep does, which cannot know it any more
	}),
	useless("its record is of a newer format", func(t *testing.T, f *fills, id store.BodyID) {
		set(t, f.e, keys(t, f.e, "P", "Q")[0], "\x02\x00\x00\x00\x00")
		forget(t, f.e, id)
	}),
	useless("its setting has changed", func(t *testing.T, f *fills, id store.BodyID) {
		check(t, f.s.DeleteSetting(bg, f.b, "mirror"))
		check(t, f.s.SetSetting(bg, f.b, "mirror", site))
	}),
	fillTest("a start removes what is of no use because its bucket is gone", func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		check(t, f.e.Apply(bg, &store.Batch{Delete: [][]byte{[]byte("B" + f.b.Name)}}))
		f.restart()
		f.wantNothingLeft(id)
	}),
}

// useless tests that what was left is removed when it cannot be used: by a start, and by the filler that finds it.
func useless(why string, spoil func(t *testing.T, f *fills, id store.BodyID)) test {
	return fillTest("what cannot be used is removed: "+why, func(t *testing.T, f *fills) {
		id := f.leave("key", half, "half")
		spoil(t, f, id)
		i := f.begin("key")
		f.wantNothing(i)
		check(t, f.s.EndFill(bg, i))
		f.wantNothingLeft(id)

		id = f.leave("key", half, "half")
		spoil(t, f, id)
		f.restart()
		f.wantNothingLeft(id)
	})
}

func stateOf(n int) string { return fmt.Sprintf("%d bytes", n) }

// leave makes a fill that writes content, saves it with state and leaves it.
func (f *fills) leave(key string, content []byte, state string) store.BodyID {
	f.t.Helper()
	i := f.begin(key)
	sp := spoolFor(f.t, f.s, content)
	check(f.t, f.s.SaveFill(bg, i, sp, []byte(state)))
	check(f.t, f.s.LeaveFill(bg, i, sp))
	return sp.ID()
}

// resume begins a fill that finds content and state in the spool of that ID.
func (f *fills) resume(key string, id store.BodyID, content []byte, state string) (store.Intent, store.Spool) {
	f.t.Helper()
	i := f.begin(key)
	sp, got, ok, err := f.s.ResumeFill(bg, i)
	check(f.t, err)
	if !ok {
		f.t.Fatal("ResumeFill found nothing")
	}
	if sp.ID() != id || string(got) != state {
		f.t.Fatalf("ResumeFill = body %q with state %q, want %q with %q", sp.ID(), got, id, state)
	}
	b, err := sp.Open()
	check(f.t, err)
	defer b.Close()
	if all := readBody(f.t, b); !bytes.Equal(all, content) {
		f.t.Fatalf("ResumeFill = %d bytes, not the %d that were saved", len(all), len(content))
	}
	return i, sp
}

// finish writes what is missing of whole after half, and commits.
func (f *fills) finish(i store.Intent, sp store.Spool) {
	f.t.Helper()
	_, err := sp.WriteAt(whole[len(half):], int64(len(half)))
	check(f.t, err)
	check(f.t, f.s.CommitFill(bg, i, meta(whole), sp))
}

func (f *fills) wantNothing(i store.Intent) {
	f.t.Helper()
	sp, state, ok, err := f.s.ResumeFill(bg, i)
	check(f.t, err)
	if ok || sp != nil || state != nil {
		f.t.Fatalf("ResumeFill = a spool with state %q, want nothing", state)
	}
}

// restart begins a new life of the store.
func (f *fills) restart() {
	f.t.Helper()
	f.s = store.New(f.e)
	check(f.t, f.s.Recover(bg))
}

func (f *fills) wantGone(id store.BodyID) {
	f.t.Helper()
	_, err := f.e.Reopen(bg, id, 0)
	wantErr(f.t, "Reopen of what should be gone", err, object.ErrDamaged)
}

func (f *fills) wantNothingLeft(id store.BodyID) {
	f.t.Helper()
	f.wantNoIntents()
	if left := keys(f.t, f.e, "P", "Q"); len(left) > 0 {
		f.t.Fatalf("notes %q are left", left)
	}
	f.wantGone(id)
}
