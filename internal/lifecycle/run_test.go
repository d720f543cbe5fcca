package lifecycle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/lifecycle"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

const day = 24 * time.Hour

// later lets the bubble's time pass.
func later(d time.Duration) { <-time.After(d) }

// aged is a store with a bucket, in a bubble of its own time.
type aged struct {
	t *testing.T
	s *store.Store
	b store.Bucket
	o lifecycle.Options

	mu      sync.Mutex // guards deleted
	deleted []string
}

func agedTest(t *testing.T, engine func(store.Engine) store.Engine, run func(t *testing.T, a *aged)) {
	synctest.Test(t, func(t *testing.T) {
		e := store.Engine(memstore.New())
		if engine != nil {
			e = engine(e)
		}
		a := &aged{t: t, s: store.New(e)}
		var err error
		a.b, err = a.s.CreateBucket(t.Context(), "bucket", "owner", "zone")
		a.check(err)
		a.o = lifecycle.Options{Store: a.s, Deleted: func(b store.Bucket, key string) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.deleted = append(a.deleted, b.Name+"/"+key)
		}}
		run(t, a)
	})
}

func (a *aged) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *aged) set(rules ...lifecycle.Rule) {
	a.t.Helper()
	a.check(lifecycle.Check(rules))
	doc, err := json.Marshal(map[string]any{"rules": rules})
	a.check(err)
	a.check(a.s.SetSetting(a.t.Context(), a.b, lifecycle.Setting, doc))
}

// put makes empty objects that are so old now.
func (a *aged) put(age time.Duration, keys ...string) {
	a.t.Helper()
	for _, key := range keys {
		sp, err := a.s.NewSpool(a.t.Context(), 0)
		a.check(err)
		at := time.Now().Add(-age)
		a.check(a.s.Put(a.t.Context(), a.b, key, object.Meta{LastModified: at, Created: at}, sp))
	}
}

// keys lists what there is, with the storage class where that is not the usual one.
func (a *aged) keys() string {
	a.t.Helper()
	p, err := a.s.List(context.Background(), a.b, store.ListQuery{Limit: 1000})
	a.check(err)
	var keys []string
	for _, e := range p.Entries {
		if e.Meta.StorageClass != "" {
			e.Key += "(" + e.Meta.StorageClass + ")"
		}
		keys = append(keys, e.Key)
	}
	return strings.Join(keys, " ")
}

func (a *aged) want(keys string) {
	a.t.Helper()
	synctest.Wait()
	if got := a.keys(); got != keys {
		a.t.Fatalf("at %v there is %q, want %q", time.Now().UTC(), got, keys)
	}
}

func (a *aged) start() *lifecycle.Runner {
	r := lifecycle.New(a.o)
	r.Start()
	return r
}

func expire(days int, prefix string) lifecycle.Rule {
	return lifecycle.Rule{ID: fmt.Sprint(prefix, days), Status: "enabled", Prefix: prefix, Expire: days}
}

func TestObjectsExpire(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.set(expire(2, "log/"), lifecycle.Rule{ID: "off", Status: "Disabled", Prefix: "keep/", Expire: 1},
			lifecycle.Rule{ID: "ia", Status: "Enabled", Prefix: "old/", Transition: 30, Class: "STANDARD_IA"})
		a.put(0, "log/now", "log")
		a.put(2*day, "log/old", "keep/old", "old/young")
		a.put(30*day, "old/old")
		r := a.start()
		defer r.Close()
		a.want("keep/old log log/now old/old(STANDARD_IA) old/young")
		later(day + time.Minute)
		a.want("keep/old log log/now old/old(STANDARD_IA) old/young")
		later(day)
		a.want("keep/old log old/old(STANDARD_IA) old/young")
		later(26 * day)
		a.want("keep/old log old/old(STANDARD_IA) old/young(STANDARD_IA)")
		slices.Sort(a.deleted)
		if diff := cmp.Diff([]string{"bucket/log/now", "bucket/log/old"}, a.deleted); diff != "" {
			t.Errorf("told of deletions (-want +got):\n%s", diff)
		}
		s := r.Stats()
		s.LastRun = time.Time{}
		if diff := cmp.Diff(lifecycle.Stats{Runs: 29, Expired: 2, Transitioned: 2}, s); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

func TestRulesThatAreSetCountFromTheNextRun(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.put(3*day, "old")
		r := a.start()
		defer r.Close()
		synctest.Wait()
		a.set(expire(1, ""))
		later(day - time.Minute)
		a.want("old")
		later(2 * time.Minute)
		a.want("")
	})
}

func TestUploadsAreGivenUp(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.o.Page = 2
		a.set(lifecycle.Rule{ID: "up", Status: "enabled", Prefix: "a/", Abort: 2})
		begin := func(keys ...string) {
			for _, key := range keys {
				_, err := a.s.CreateUpload(t.Context(), a.b, key, object.Meta{})
				a.check(err)
			}
		}
		begin("a/1", "a/1", "a/1", "b/1")
		r := a.start()
		defer r.Close()
		later(day + time.Minute)
		begin("a/1", "a/2")
		want := func(want ...string) {
			t.Helper()
			synctest.Wait()
			p, err := a.s.ListUploads(t.Context(), a.b, store.ListQuery{Limit: 100}, "")
			a.check(err)
			var keys []string
			for _, u := range p.Uploads {
				keys = append(keys, u.Key)
			}
			if diff := cmp.Diff(want, keys); diff != "" {
				t.Errorf("uploads at %v (-want +got):\n%s", time.Now().UTC(), diff)
			}
		}
		want("a/1", "a/1", "a/1", "a/1", "a/2", "b/1")
		later(day)
		want("a/1", "a/2", "b/1")
		later(2 * day)
		want("b/1")
		if n := r.Stats().Aborted; n != 5 {
			t.Errorf("%d uploads were given up, want 5", n)
		}
	})
}

// What is deleted in a bucket that keeps versions stays as a version, behind a delete marker.
func TestExpirationInABucketWithVersions(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.check(a.s.SetVersioning(t.Context(), a.b, store.Enabled))
		a.set(expire(1, ""))
		a.put(2*day, "a")
		r := a.start()
		defer r.Close()
		a.want("")
		later(3 * day)
		if s := r.Stats(); s.Expired != 1 {
			t.Errorf("stats = %+v, want one deletion: a delete marker does not expire", s)
		}
		if err := a.s.DeleteBucket(t.Context(), a.b); !errors.Is(err, object.ErrBucketNotEmpty) {
			t.Errorf("DeleteBucket = %v, want the version still there", err)
		}
	})
}

// The days of a filled object count from its fill, or it would be fetched and deleted every day.
func TestFilledObjectsAgeFromTheFill(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.set(expire(2, ""))
		sp, err := a.s.NewSpool(t.Context(), 0)
		a.check(err)
		a.check(a.s.Put(t.Context(), a.b, "filled", object.Meta{LastModified: time.Now().Add(-1000 * day)}, sp))
		r := a.start()
		defer r.Close()
		a.want("filled")
		later(2*day + time.Minute)
		a.want("")
	})
}

// onApply lets something happen before a change.
type onApply struct {
	store.Engine
	before func(*store.Batch)
}

func (e *onApply) Apply(ctx context.Context, b *store.Batch) error {
	if e.before != nil {
		e.before(b)
	}
	return e.Engine.Apply(ctx, b)
}

// noScan is a disk that cannot be read for a while.
type noScan struct {
	store.Engine
	broken atomic.Bool
}

func (e *noScan) Scan(ctx context.Context, lower, upper []byte) (store.Iterator, error) {
	if e.broken.Load() {
		return nil, errors.New("input/output error")
	}
	return e.Engine.Scan(ctx, lower, upper)
}

func TestARunThatCannotBeginIsNotDone(t *testing.T) {
	disk := &noScan{}
	agedTest(t, func(e store.Engine) store.Engine { disk.Engine = e; return disk }, func(t *testing.T, a *aged) {
		a.set(expire(1, ""))
		a.put(2*day, "a")
		disk.broken.Store(true)
		r := a.start()
		defer r.Close()
		later(150 * time.Second)
		disk.broken.Store(false)
		if s := r.Stats(); s.Runs != 0 || s.Failed != 3 {
			t.Errorf("stats = %+v, want no run, and a failure each minute", s)
		}
		later(time.Minute)
		a.want("")
		if s := r.Stats(); s.Runs != 1 || s.Expired != 1 {
			t.Errorf("stats = %+v, want one run that deleted the object", s)
		}
	})
}

// The run looks at a page, a client overwrites an object of it, the run deletes what it saw.
func TestWhatIsOverwrittenMeanwhileStays(t *testing.T) {
	hooked := &onApply{}
	agedTest(t, func(e store.Engine) store.Engine { hooked.Engine = e; return hooked }, func(t *testing.T, a *aged) {
		a.set(expire(1, ""))
		a.put(2*day, "a")
		hooked.before = func(b *store.Batch) {
			if len(b.Delete) > 0 {
				hooked.before = nil
				a.put(0, "a")
			}
		}
		r := a.start()
		defer r.Close()
		a.want("a")
		if hooked.before != nil {
			t.Error("nothing was about to be deleted: the test shows nothing")
		}
		if s := r.Stats(); s.Expired != 0 || s.Failed != 0 || len(a.deleted) != 0 {
			t.Errorf("stats = %+v, deleted = %q, want nothing", s, a.deleted)
		}
	})
}

func TestARunGoesOnAfterARestart(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.o.Page, a.o.Pause = 2, time.Hour
		a.set(expire(1, ""))
		a.put(2*day, "a", "b", "c", "d", "e")
		r := a.start()
		a.want("c d e")
		r.Close()
		a.put(2*day, "a") // is behind the run, so only the next one sees it
		a.put(0, "d")
		r = a.start()
		defer r.Close()
		a.want("a d e")
		later(time.Hour)
		a.want("a d")
		later(day)
		a.want("")
	})
}

func TestAMissedRunIsMadeUpFor(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.set(expire(2, ""))
		a.put(0, "a")
		r := a.start()
		a.want("a")
		r.Close()
		r = a.start() // at once: nothing is due
		synctest.Wait()
		if n := r.Stats().Runs; n != 0 {
			t.Errorf("%d runs after a restart, want none before a day is over", n)
		}
		r.Close()
		later(10*day + time.Hour)
		r = a.start()
		defer r.Close()
		a.want("")
		if n := r.Stats().Runs; n != 1 {
			t.Errorf("%d runs after ten days without any, want one", n)
		}
	})
}

func TestAClockThatWasWrongPutsNothingOff(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		a.check(a.s.SetState(t.Context(), store.Bucket{}, "lifecycle", []byte(`{"started":"2999-01-01T00:00:00Z","done":true}`)))
		a.set(expire(1, ""))
		a.put(2*day, "a")
		r := a.start()
		defer r.Close()
		later(day + time.Minute)
		a.want("")
	})
}

func TestABucketThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	agedTest(t, nil, func(t *testing.T, a *aged) {
		bad, err := a.s.CreateBucket(t.Context(), "a-first", "owner", "zone")
		a.check(err)
		a.check(a.s.SetSetting(t.Context(), bad, lifecycle.Setting, []byte("{")))
		a.set(expire(1, ""))
		a.put(2*day, "a")
		r := a.start()
		defer r.Close()
		a.want("")
		if s := r.Stats(); s.Failed != 1 || s.Expired != 1 || s.Runs != 1 {
			t.Errorf("stats = %+v, want one failure, one deletion, one run", s)
		}
	})
}
