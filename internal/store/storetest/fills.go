package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// site is the mirror setting of the buckets in these tests.
var site = []byte("http://source/")

var fillTests = []test{
	fillTest("a fill commits", func(t *testing.T, f *fills) {
		i := f.begin("key")
		wantErr(t, "commit", f.commit(i, "filled"), nil)
		f.want("key", "filled")
		check(t, f.s.EndFill(bg, i))
		f.want("key", "filled")
		wantUsage(t, f.s, f.b)
		f.wantNoIntents()
	}),
	fillTest("an empty object is filled", func(t *testing.T, f *fills) {
		wantErr(t, "commit", f.commit(f.begin("key"), ""), nil)
		f.want("key", "")
		wantUsage(t, f.s, f.b)
	}),
	fillTest("a large object is filled", func(t *testing.T, f *fills) {
		content := string(Content(3, 100_000))
		wantErr(t, "commit", f.commit(f.begin("key"), content), nil)
		f.want("key", content)
	}),
	fillTest("the second look finds the object", func(t *testing.T, f *fills) {
		put(t, f.s, f.b, "key", []byte("put"))
		_, err := f.s.BeginFill(bg, f.b, "key", site)
		wantErr(t, "BeginFill", err, object.ErrExists)
		f.wantNoIntents()
	}),
	fillTest("a PUT before the commit wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		put(t, f.s, f.b, "key", []byte("put"))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrExists)
		f.want("key", "put")
		wantUsage(t, f.s, f.b)
		check(t, f.s.EndFill(bg, i))
		f.wantNoIntents()
	}),
	fillTest("a PUT and a DELETE before the commit win", func(t *testing.T, f *fills) {
		i := f.begin("key")
		put(t, f.s, f.b, "key", []byte("put"))
		check(t, f.s.Delete(bg, f.b, "key"))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		wantMissing(t, f.s, f.b, "key")
	}),
	fillTest("a DELETE before the commit wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.Delete(bg, f.b, "key"))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		wantMissing(t, f.s, f.b, "key")
		wantUsage(t, f.s, f.b)
		check(t, f.s.EndFill(bg, i))
		f.wantNoIntents()
	}),
	fillTest("a DELETE of another key does not", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.Delete(bg, f.b, "key2"))
		check(t, f.s.Delete(bg, f.b, "ke"))
		wantErr(t, "commit", f.commit(i, "filled"), nil)
	}),
	fillTest("a DELETE ends the fill before it and not the one after it", func(t *testing.T, f *fills) {
		before := f.begin("key")
		check(t, f.s.Delete(bg, f.b, "key"))
		behind := f.begin("key")
		wantErr(t, "commit of the one before", f.commit(before, "before"), object.ErrSuperseded)
		check(t, f.s.EndFill(bg, before))
		wantErr(t, "commit of the one after", f.commit(behind, "behind"), nil)
		f.want("key", "behind")
	}),
	fillTest("a DELETE of a filled object leads to a new fill", func(t *testing.T, f *fills) {
		wantErr(t, "commit", f.commit(f.begin("key"), "one"), nil)
		check(t, f.s.Delete(bg, f.b, "key"))
		wantErr(t, "commit again", f.commit(f.begin("key"), "two"), nil)
		f.want("key", "two")
		wantUsage(t, f.s, f.b)
	}),
	fillTest("a change of the mirror wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.SetSetting(bg, f.b, "mirror", []byte("http://other/")))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		wantMissing(t, f.s, f.b, "key")
		_, err := f.s.BeginFill(bg, f.b, "key", site)
		wantErr(t, "BeginFill from the old setting", err, object.ErrSuperseded)
		j, err := f.s.BeginFill(bg, f.b, "key", []byte("http://other/"))
		check(t, err)
		wantErr(t, "commit of the old fill beside the new one", f.commit(i, "filled"), object.ErrSuperseded)
		wantErr(t, "commit of the new fill", f.commit(j, "other"), nil)
		f.want("key", "other")
	}),
	fillTest("a change of the mirror and back wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.SetSetting(bg, f.b, "mirror", []byte("http://other/")))
		check(t, f.s.SetSetting(bg, f.b, "mirror", site))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		wantErr(t, "commit of a fill after that", f.commit(f.begin("key"), "new"), nil)
	}),
	fillTest("the end of the mirror wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.DeleteSetting(bg, f.b, "mirror"))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		_, err := f.s.BeginFill(bg, f.b, "key", site)
		wantErr(t, "BeginFill", err, object.ErrSuperseded)
		wantMissing(t, f.s, f.b, "key")
	}),
	fillTest("the same mirror set again, and other settings, change nothing", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.SetSetting(bg, f.b, "mirror", site))
		check(t, f.s.SetSetting(bg, f.b, "acl", []byte("acl")))
		wantErr(t, "commit", f.commit(i, "filled"), nil)
	}),
	fillTest("a deletion of the bucket wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.DeleteBucket(bg, f.b))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		check(t, f.s.EndFill(bg, i))
		_, err := f.s.BeginFill(bg, f.b, "key", site)
		wantErr(t, "BeginFill", err, object.ErrNoSuchBucket)
	}),
	fillTest("a bucket made again wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.DeleteBucket(bg, f.b))
		again := newBucket(t, f.s, f.b.Name)
		check(t, f.s.SetSetting(bg, again, "mirror", site))
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		wantMissing(t, f.s, again, "key")
		j, err := f.s.BeginFill(bg, again, "key", site)
		check(t, err)
		wantErr(t, "commit of the old fill", f.commit(i, "filled"), object.ErrSuperseded)
		wantErr(t, "commit of the new fill", f.commit(j, "new"), nil)
	}),
	fillTest("of two fillers either may commit, and one of them does", func(t *testing.T, f *fills) {
		for round, first := range []int{0, 1} {
			key := fmt.Sprint("key", round)
			i := [2]store.Intent{f.begin(key), f.begin(key)}
			wantErr(t, "commit of the first", f.commit(i[first], "first"), nil)
			wantErr(t, "commit of the second", f.commit(i[1-first], "second"), object.ErrExists)
			f.want(key, "first")
			check(t, f.s.EndFill(bg, i[1-first]))
		}
		wantUsage(t, f.s, f.b)
		f.wantNoIntents()
	}),
	fillTest("a filler that gives up does not end the other", func(t *testing.T, f *fills) {
		i, j := f.begin("key"), f.begin("key")
		check(t, f.s.EndFill(bg, i))
		wantErr(t, "commit", f.commit(j, "filled"), nil)
		f.want("key", "filled")
	}),
	fillTest("a DELETE ends both fillers", func(t *testing.T, f *fills) {
		i, j := f.begin("key"), f.begin("key")
		check(t, f.s.Delete(bg, f.b, "key"))
		wantErr(t, "commit of the first", f.commit(i, "x"), object.ErrSuperseded)
		wantErr(t, "commit of the second", f.commit(j, "x"), object.ErrSuperseded)
	}),
	fillTest("after a commit and a DELETE the other filler does not commit", func(t *testing.T, f *fills) {
		i, j := f.begin("key"), f.begin("key")
		wantErr(t, "commit", f.commit(i, "filled"), nil)
		check(t, f.s.Delete(bg, f.b, "key"))
		wantErr(t, "commit of the other", f.commit(j, "late"), object.ErrSuperseded)
		wantMissing(t, f.s, f.b, "key")
	}),
	fillTest("a fill that ended does not commit", func(t *testing.T, f *fills) {
		i := f.begin("key")
		check(t, f.s.EndFill(bg, i))
		check(t, f.s.EndFill(bg, i))
		f.wantNoIntents()
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
		wantErr(t, "commit of no intent", f.commit(store.Intent{}, "filled"), object.ErrInvalidKey)
		check(t, f.s.EndFill(bg, store.Intent{}))
	}),
	fillTest("intents that a process left are forgotten", func(t *testing.T, f *fills) {
		i := f.begin("key")
		next := store.New(f.e)
		check(t, next.Recover(bg))
		f.wantNoIntents()
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrSuperseded)
	}),
	fillTest("a bucket without a mirror can be filled, too", func(t *testing.T, f *fills) {
		b := newBucket(t, f.s, "plain")
		i, err := f.s.BeginFill(bg, b, "key", nil)
		check(t, err)
		j, err := f.s.BeginFill(bg, b, "other", nil)
		check(t, err)
		wantErr(t, "commit", f.commit(i, "x"), nil)
		check(t, f.s.SetSetting(bg, b, "mirror", site))
		wantErr(t, "commit after a mirror was set", f.commit(j, "x"), object.ErrSuperseded)
	}),
	fillTest("fills, PUTs and DELETEs in a crowd", func(t *testing.T, f *fills) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for n := range 12 {
					key := fmt.Sprint(n % 3)
					switch (w + n) % 4 {
					case 0:
						if err := tryPut(t, f.s, f.b, key, []byte("put")); err != nil {
							t.Error(err)
						}
					case 1:
						if err := f.s.Delete(bg, f.b, key); err != nil {
							t.Error(err)
						}
					default:
						i, err := f.s.BeginFill(bg, f.b, key, site)
						if errors.Is(err, object.ErrExists) {
							continue
						}
						if err != nil {
							t.Error(err)
							continue
						}
						err = f.commit(i, "filled")
						if err != nil && !errors.Is(err, object.ErrExists) && !errors.Is(err, object.ErrSuperseded) {
							t.Error(err)
						}
						if err := f.s.EndFill(bg, i); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		wantUsage(t, f.s, f.b)
	}),
}

// fills is a bucket with a mirror setting.
type fills struct {
	t *testing.T
	e store.Engine
	s *store.Store
	b store.Bucket
}

func fillTest(name string, run func(t *testing.T, f *fills)) test {
	return test{name, func(t *testing.T, e store.Engine) {
		s := store.New(e)
		f := &fills{t: t, e: e, s: s, b: newBucket(t, s, "bucket")}
		check(t, s.SetSetting(bg, f.b, "mirror", site))
		run(t, f)
	}}
}

func (f *fills) begin(key string) store.Intent {
	f.t.Helper()
	i, err := f.s.BeginFill(bg, f.b, key, site)
	check(f.t, err)
	return i
}

func (f *fills) commit(i store.Intent, content string) error {
	f.t.Helper()
	sp := spoolFor(f.t, f.s, []byte(content))
	err := f.s.CommitFill(bg, i, meta([]byte(content)), sp)
	if _, werr := sp.WriteAt([]byte("x"), 0); werr == nil {
		f.t.Error("the spool did not end with the commit")
	}
	return err
}

func (f *fills) want(key, content string) {
	f.t.Helper()
	wantBytes(f.t, key, get(f.t, f.s, f.b, key), []byte(content))
}

func (f *fills) wantNoIntents() {
	f.t.Helper()
	if left := keys(f.t, f.e, "I", "J"); len(left) > 0 {
		f.t.Fatalf("intents %q are left", left)
	}
}
