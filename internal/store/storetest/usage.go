package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

const cold = "STANDARD_IA"

// putAs stores n bytes under key as an object of a storage class.
func putAs(t tb, s *store.Store, b store.Bucket, key, class string, n int) {
	t.Helper()
	content := Content(uint64(n), n)
	m := meta(content)
	m.StorageClass = class
	check(t, s.Put(bg, b, key, m, spoolFor(t, s, content)))
}

// wantClasses compares the counters of each class with a count of the listing, and returns it.
func wantClasses(t tb, s *store.Store, b store.Bucket) map[string]store.Usage {
	t.Helper()
	wantUsage(t, s, b)
	p, err := s.List(bg, b, store.ListQuery{Limit: 100_000})
	check(t, err)
	var total store.Usage
	want := make(map[string]store.Usage)
	for _, e := range p.Entries {
		class := e.Meta.StorageClass
		if class == "" {
			class = "STANDARD"
		}
		u := want[class]
		want[class] = store.Usage{Objects: u.Objects + 1, Bytes: u.Bytes + e.Meta.Size}
		total.Objects++
		total.Bytes += e.Meta.Size
	}
	all, classes, err := s.UsageByClass(bg, b)
	check(t, err)
	if all != total {
		t.Fatalf("UsageByClass = %+v in all, a count gives %+v", all, total)
	}
	if diff := cmp.Diff(want, classes); diff != "" {
		t.Fatalf("UsageByClass (-count +got):\n%s", diff)
	}
	return classes
}

var usageTests = []test{
	{"classes are counted whatever happens to an object", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		wantClasses(t, s, b)
		for _, class := range []string{"", "STANDARD", cold, cold, "", cold, "STANDARD", ""} {
			for _, n := range []int{3, 0, 40_000} {
				putAs(t, s, b, "key", class, n)
				putAs(t, s, b, "other", cold, n)
				wantClasses(t, s, b)
			}
		}
		check(t, s.Delete(bg, b, "other"))
		if got := wantClasses(t, s, b); len(got) != 1 {
			t.Fatalf("classes = %v, want the one that is left", got)
		}
		check(t, s.Delete(bg, b, "key"))
		if got := wantClasses(t, s, b); len(got) != 0 {
			t.Fatalf("classes of an empty bucket = %v", got)
		}
	}},
	{"an object that gets another class is counted there", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		putAs(t, s, b, "key", "", 7)
		putAs(t, s, b, "beside", "", 5)
		for _, class := range []string{cold, cold, "STANDARD", "", cold} {
			_, err := s.Relabel(bg, b, "key", func(m *object.Meta) bool { m.StorageClass = class; return true })
			check(t, err)
			wantClasses(t, s, b)
		}
	}},
	{"classes are counted under a crowd", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		var wg sync.WaitGroup
		for w := range 5 {
			wg.Go(func() {
				for i := range 12 {
					key, n := fmt.Sprint((w+i)%3), (w*31+i*7)%100
					content := Content(1, n)
					m := meta(content)
					m.StorageClass = []string{"", cold}[(w+i)%2]
					var err error
					switch (w + 2*i) % 5 {
					case 0:
						err = s.Delete(bg, b, key)
					default:
						err = s.Put(bg, b, key, m, spoolFor(t, s, content))
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		wantClasses(t, s, b)
	}},
	{"what was not counted by class is counted once", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, empty := newBucket(t, s, "bucket"), newBucket(t, s, "empty")
		for i, class := range []string{"", cold, "STANDARD", cold} {
			putAs(t, s, b, fmt.Sprint(i), class, 100*i)
		}
		// As a version left it that counted no classes.
		batch := &store.Batch{}
		for _, k := range unbounded(t, e) {
			if k[0] == 'U' && k[9] != 'o' && k[9] != 'b' {
				batch.Delete = append(batch.Delete, []byte(k))
			}
		}
		if len(batch.Delete) != 4 { // a mark for each bucket, and two counters
			t.Fatalf("%d records beside the counters of a bucket, want 4", len(batch.Delete))
		}
		check(t, e.Apply(bg, batch))
		wantClasses(t, s, b)
		s = store.New(e)
		check(t, s.Recover(bg))
		wantClasses(t, s, b)
		wantClasses(t, s, empty)
		putAs(t, s, b, "4", cold, 1)
		check(t, s.Delete(bg, b, "1"))
		check(t, s.Recover(bg))
		wantClasses(t, s, b)
	}},
	{"the counters go with the bucket", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		putAs(t, s, b, "key", cold, 9)
		check(t, s.Delete(bg, b, "key"))
		check(t, s.DeleteBucket(bg, b))
		for _, k := range unbounded(t, e) {
			if k[0] == 'U' {
				t.Errorf("record %q is left of the bucket", k)
			}
		}
	}},
}

var quotaTests = []test{
	{"an owner has so many buckets and no more", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		_, err := s.CreateBucket(bg, "of-another", "another", "zone")
		check(t, err)
		var wg sync.WaitGroup
		var made atomic.Int64
		for i := range 12 {
			wg.Go(func() {
				_, err := s.CreateBucketWithin(bg, fmt.Sprint("bucket-", i), "owner", "zone", 5)
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, object.ErrTooManyBuckets):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 5 {
			t.Fatalf("%d buckets were made at once, want 5", made.Load())
		}
		_, err = s.CreateBucketWithin(bg, "of-another", "owner", "zone", 5)
		wantErr(t, "CreateBucketWithin of a name that is taken", err, object.ErrBucketExists)
		list, err := s.Buckets(bg)
		check(t, err)
		for _, b := range list {
			if b.Owner == "owner" {
				check(t, s.DeleteBucket(bg, b))
				break
			}
		}
		_, err = s.CreateBucketWithin(bg, "one-more", "owner", "zone", 5)
		check(t, err)
		_, err = s.CreateBucket(bg, "without-a-bound", "owner", "zone")
		check(t, err)
	}},
}
