package replicate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/crc64nvme"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/replicate"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

func TestCheck(t *testing.T) {
	ok := replicate.Rule{ID: "a", Prefix: "a/", Bucket: "to"}
	with := func(change func(*replicate.Rule)) []replicate.Rule {
		r := ok
		change(&r)
		return []replicate.Rule{r}
	}
	many := func(n int) (list []replicate.Rule) {
		for i := range n {
			list = append(list, replicate.Rule{ID: fmt.Sprint(i), Prefix: fmt.Sprintf("%04d", i), Bucket: "to"})
		}
		return list
	}
	for _, tc := range []struct {
		name  string
		rules []replicate.Rule
		want  string // in the error; "" for none
	}{
		{"one", []replicate.Rule{ok}, ""},
		{"as many as may be", many(1000), ""},
		{"too many", many(1001), "there are 1001"},
		{"none", nil, "there are 0"},
		{"no id", with(func(r *replicate.Rule) { r.ID = "" }), "rules[0].id is missing"},
		{"longest prefix", with(func(r *replicate.Rule) { r.Prefix = strings.Repeat("é", 1024) }), ""},
		{"long prefix", with(func(r *replicate.Rule) { r.Prefix = strings.Repeat("a", 1025) }), "rules[0].filters.prefix"},
		{"no bucket", with(func(r *replicate.Rule) { r.Bucket = "" }), "rules[0].destination.bucket is missing"},
		{"another class", with(func(r *replicate.Rule) { r.Class = "COLD" }), `rules[0].destination.storage_class is "COLD"`},
		{"same id", []replicate.Rule{ok, {ID: "a", Prefix: "b", Bucket: "to"}}, "rules[1].id is that of rules[0]"},
		{"another bucket", []replicate.Rule{ok, {ID: "b", Prefix: "b", Bucket: "other"}}, `rules[1].destination.bucket is "other"`},
		{"same prefix", []replicate.Rule{ok, {ID: "b", Prefix: "a/", Bucket: "to", Off: true}}, "must not overlap"},
		{"a prefix of a prefix", []replicate.Rule{ok, {ID: "b", Prefix: "b", Bucket: "to"}, {ID: "c", Prefix: "a", Bucket: "to"}}, "rules[0].filters.prefix begins with that of rules[2]"},
		{"everything and something", []replicate.Rule{ok, {ID: "b", Prefix: "", Bucket: "to"}}, "must not overlap"},
		{"neighbours", []replicate.Rule{ok, {ID: "b", Prefix: "a0", Bucket: "to"}, {ID: "c", Prefix: "a.", Bucket: "to"}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := replicate.Check(tc.rules)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("Check = %v, want nil", err)
				}
				return
			}
			if !errors.Is(err, object.ErrInvalidRequest) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Check = %v, want an invalid request with %q", err, tc.want)
			}
		})
	}
}

// pair is a store with two buckets.
type pair struct {
	t        *testing.T
	e        store.Engine
	s        *store.Store
	from, to store.Bucket
	o        replicate.Options

	mu     sync.Mutex // guards denied
	denied error
}

func pairTest(t *testing.T, run func(t *testing.T, p *pair)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pair{t: t, e: memstore.New()}
		p.open()
		var err error
		p.from, err = p.s.CreateBucket(t.Context(), "from", "owner", "zone")
		p.check(err)
		p.to, err = p.s.CreateBucket(t.Context(), "to", "owner", "zone")
		p.check(err)
		run(t, p)
	})
}

func (p *pair) open() {
	p.s = store.New(p.e, replicate.Consumer(20))
	p.check(p.s.Recover(p.t.Context()))
	p.o.Store = p.s
	p.o.May = func(ctx context.Context, from store.Bucket, to, key string, remove bool) (store.Bucket, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.denied != nil {
			return store.Bucket{}, p.denied
		}
		return p.s.Bucket(ctx, to)
	}
}

func (p *pair) deny(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.denied = err
}

func (p *pair) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) set(b store.Bucket, rules ...replicate.Rule) {
	p.t.Helper()
	p.check(replicate.Check(rules))
	doc, err := json.Marshal(map[string]any{"rules": rules})
	p.check(err)
	p.check(p.s.SetSetting(p.t.Context(), b, replicate.Setting, doc))
}

func (p *pair) put(b store.Bucket, key, content string) {
	p.t.Helper()
	sp, err := p.s.NewSpool(p.t.Context(), int64(len(content)))
	p.check(err)
	if content != "" {
		_, err = sp.WriteAt([]byte(content), 0)
		p.check(err)
	}
	p.check(p.s.Put(p.t.Context(), b, key, object.Meta{
		Size: int64(len(content)), ETag: `"` + content + `"`, LastModified: time.Unix(1e9, 0).UTC(), ContentType: "text/x", User: map[string]string{"a": "b"},
		Digest: object.Digest{CRC64NVME: sum(content)},
	}, sp))
}

func sum(content string) uint64 {
	h := crc64nvme.New()
	_, _ = io.WriteString(h, content)
	return h.(interface{ Sum64() uint64 }).Sum64()
}

func (p *pair) remove(b store.Bucket, key string) {
	p.t.Helper()
	p.check(p.s.Delete(p.t.Context(), b, key))
}

// want compares what a bucket holds, "key=content" each.
func (p *pair) want(b store.Bucket, want ...string) {
	p.t.Helper()
	synctest.Wait()
	page, err := p.s.List(p.t.Context(), b, store.ListQuery{Limit: 1000})
	p.check(err)
	var got []string
	for _, e := range page.Entries {
		o, err := p.s.Open(p.t.Context(), b, e.Key)
		p.check(err)
		r, err := o.Body.Section(0, o.Size)
		p.check(err)
		text, err := io.ReadAll(r)
		p.check(err)
		p.check(o.Body.Close())
		got = append(got, e.Key+"="+string(text))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Fatalf("bucket %s (-want +got):\n%s", b.Name, diff)
	}
}

func (p *pair) start() *replicate.Replicator {
	r := replicate.New(p.o)
	r.Start()
	return r
}

func later(d time.Duration) { <-time.After(d) }

func all(to string) replicate.Rule { return replicate.Rule{ID: "all", Bucket: to} }

func TestChangesAreRepeated(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		p.set(p.from, replicate.Rule{ID: "a", Prefix: "a/", Bucket: "to", Deletes: true, Class: "STANDARD_IA"}, replicate.Rule{ID: "b", Prefix: "b/", Bucket: "to"},
			replicate.Rule{ID: "c", Prefix: "c/", Bucket: "to", Off: true})
		p.put(p.from, "b/before", "was there before the events are taken")
		var changed []string
		p.o.Changed = func(b store.Bucket, key string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			changed = append(changed, b.Name+"/"+key)
		}
		r := p.start()
		defer r.Close()
		for _, key := range []string{"a/1", "b/1", "c/1", "d/1"} {
			p.put(p.from, key, "one")
		}
		later(time.Second)
		p.want(p.to, "a/1=one", "b/1=one", "b/before=was there before the events are taken")
		was, err := p.s.Stat(t.Context(), p.from, "a/1")
		p.check(err)
		is, err := p.s.Stat(t.Context(), p.to, "a/1")
		p.check(err)
		was.StorageClass, is.Created = "STANDARD_IA", was.Created
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("the copy says something else (-object +copy):\n%s", diff)
		}
		p.put(p.from, "a/1", "two")
		later(time.Second)
		p.put(p.from, "b/1", "") // twice within one look
		p.put(p.from, "b/1", "three")
		later(time.Second)
		p.want(p.to, "a/1=two", "b/1=three", "b/before=was there before the events are taken")
		for _, key := range []string{"a/1", "b/1"} {
			p.remove(p.from, key)
		}
		later(time.Second)
		p.want(p.to, "b/1=three", "b/before=was there before the events are taken")
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(changed); n != 6 {
			t.Errorf("told of %q, want of six changes", changed)
		}
		if s := r.Stats(); s != (replicate.Stats{Copied: 5, Deleted: 1}) {
			t.Errorf("stats = %+v, want 5 copies and a deletion", s)
		}
	})
}

func TestTwoBucketsMayRepeatEachOther(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		both := func(to string) replicate.Rule {
			return replicate.Rule{ID: "all", Bucket: to, Deletes: true, Existing: true}
		}
		p.set(p.from, both("to"))
		p.set(p.to, both("from"))
		p.put(p.from, "x", "first")
		later(time.Second)
		p.put(p.to, "x", "later") // the later change wins in both
		p.put(p.to, "y", "here")
		r := p.start()
		defer r.Close()
		later(time.Minute)
		p.want(p.from, "x=later", "y=here")
		p.want(p.to, "x=later", "y=here")
		p.remove(p.from, "x")
		later(time.Second)
		p.put(p.from, "x", "again")
		later(time.Minute)
		p.want(p.from, "x=again", "y=here")
		p.want(p.to, "x=again", "y=here")
		if s := r.Stats(); s.Copied != 3 || s.Deleted != 1 || s.Failed != 0 {
			t.Errorf("stats = %+v, want three copies and a deletion: nothing goes round", s)
		}
		if pending, err := r.Pending(t.Context()); pending != 0 || err != nil {
			t.Errorf("%d events wait, %v", pending, err)
		}
	})
}

// A PUT to the other bucket that came after the change is not undone by it.
func TestALaterPutStays(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		p.set(p.from, replicate.Rule{ID: "all", Bucket: "to", Deletes: true})
		p.put(p.from, "put", "old")
		p.put(p.from, "deleted", "old")
		p.remove(p.from, "deleted")
		later(time.Second)
		p.put(p.to, "put", "mine")
		p.put(p.to, "deleted", "mine")
		r := p.start()
		defer r.Close()
		later(time.Second)
		p.want(p.to, "deleted=mine", "put=mine")
	})
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		p.o.MaxAge = time.Hour
		p.set(p.from, all("to"))
		p.deny(object.ErrDenied)
		p.put(p.from, "a", "x")
		r := p.start()
		later(time.Minute)
		p.want(p.to)
		r.Close()
		p.open()
		p.deny(nil)
		r = p.start()
		later(time.Second)
		p.want(p.to, "a=x")
		r.Close()
		p.deny(object.ErrDenied)
		p.put(p.from, "b", "x")
		r = p.start()
		defer r.Close()
		later(2 * time.Hour)
		if pending, err := r.Pending(t.Context()); pending != 0 || err != nil || r.Stats().Expired != 1 {
			t.Errorf("%d events wait, %v, stats = %+v; want it given up", pending, err, r.Stats())
		}
	})
}

func TestDamageIsNotSpread(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		rule := all("to")
		rule.Existing = true
		p.set(p.from, rule)
		sp, err := p.s.NewSpool(t.Context(), 3)
		p.check(err)
		_, err = sp.WriteAt([]byte("abc"), 0)
		p.check(err)
		p.check(p.s.Put(t.Context(), p.from, "bad", object.Meta{Size: 3, Digest: object.Digest{CRC64NVME: 1}}, sp))
		p.put(p.from, "good", "x")
		r := p.start()
		defer r.Close()
		later(time.Hour)
		p.want(p.to, "good=x")
		if s := r.Stats(); s.Failed != 2 || s.Expired != 1 {
			t.Errorf("stats = %+v, want the damaged one given up, by its event and by the comparison, once each", s)
		}
	})
}

// Something is made of what is new in either bucket, and each is repeated in the other one. What was made goes no further than one copy.
func TestWhatWasMadeOfAnObjectIsKnownInItsCopy(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		var seen []store.Event
		p.s = store.New(p.e, replicate.Consumer(20), &store.Consumer{Tag: 't', Setting: "test", Lanes: func([]byte) (func(store.Event) []string, error) {
			return func(e store.Event) []string {
				p.mu.Lock()
				defer p.mu.Unlock()
				seen = append(seen, e) // in order: the copies come one after the other
				return nil
			}, nil
		}})
		p.o.Store = p.s
		p.set(p.from, all("to"))
		p.check(p.s.SetSetting(t.Context(), p.to, "test", []byte("{}")))
		r := p.start()
		defer r.Close()
		for i, derived := range []bool{false, true, false} {
			sp, err := p.s.NewSpool(t.Context(), 1)
			p.check(err)
			_, err = sp.WriteAt([]byte("x"), 0)
			p.check(err)
			ctx := store.WithCause(t.Context(), store.Cause{Derived: derived})
			p.check(p.s.Put(ctx, p.from, fmt.Sprint("k", i), object.Meta{Size: 1, Digest: object.Digest{CRC64NVME: sum("x")}}, sp))
			later(time.Second)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(seen) != 3 || seen[0].Derived || !seen[1].Derived || seen[2].Derived || !seen[1].Replica {
			t.Errorf("the copies are told as %+v, want three replicas of which the second was made of another object", seen)
		}
	})
}

// Each part of an encrypted upload is encrypted by itself, and longer at rest than it is.
func TestEncryptedPiecesAreRepeated(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		p.set(p.from, all("to"))
		upload := func(key string, bad bool, parts ...string) {
			u, err := p.s.CreateUpload(t.Context(), p.from, key, object.Meta{ETag: `"x"`, Encryption: &object.Encryption{Algorithm: "a", KeyMD5: "k", Salt: []byte("s")}})
			p.check(err)
			for i, at := range parts {
				sp, err := p.s.NewSpool(t.Context(), int64(len(at)))
				p.check(err)
				_, err = sp.WriteAt([]byte(at), 0)
				p.check(err)
				part := store.Part{Number: i, Size: int64(len(at)) - 2, AtRest: int64(len(at)), Digest: object.Digest{CRC64NVME: sum(at)}}
				if bad && i > 0 {
					part.Digest.CRC64NVME++
				}
				_, err = p.s.PutPart(t.Context(), p.from, key, u.ID, part, sp)
				p.check(err)
			}
			_, err = p.s.CompleteUpload(t.Context(), p.from, key, u.ID, func(u store.Upload, parts []store.Part) ([]store.Part, object.Meta, error) {
				return parts, u.Meta, nil
			})
			p.check(err)
		}
		upload("k", false, "<abc>", "<defg>", "<h>")
		upload("bad", true, "<abc>", "<defg>")
		r := p.start()
		defer r.Close()
		later(time.Second)
		if s := r.Stats(); s.Copied != 1 || s.Expired != 1 {
			t.Errorf("stats = %+v, want one copied, and the damaged one given up", s)
		}
		if _, err := p.s.Stat(t.Context(), p.to, "bad"); !errors.Is(err, object.ErrNoSuchKey) {
			t.Errorf("the damaged one = %v, want it not to be there", err)
		}
		p.check(p.s.Delete(t.Context(), p.from, "k")) // the copy has bytes of its own
		o, err := p.s.Open(t.Context(), p.to, "k")
		p.check(err)
		var rest []string // what the pieces are at rest
		p.check(o.Wrap(func(b store.Body, size int64) (store.Body, error) {
			text := make([]byte, size+2)
			if _, err := b.ReadAt(text, 0); err != nil {
				return nil, err
			}
			rest = append(rest, string(text))
			return b, nil
		}))
		section, err := o.Body.Section(0, o.Size)
		p.check(err)
		_, err = io.Copy(io.Discard, section)
		p.check(err)
		p.check(o.Body.Close())
		if diff := cmp.Diff([]string{"<abc>", "<defg>", "<h>"}, rest); diff != "" || o.Size != 8 || o.AtRest() != 14 {
			t.Errorf("the copy has %d bytes, %d at rest, pieces (-want +got):\n%s", o.Size, o.AtRest(), diff)
		}
	})
}

func TestExistingObjectsAreCopiedOnce(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		for i := range 30 {
			p.put(p.from, fmt.Sprintf("old/%02d", i), "x")
		}
		p.put(p.from, "other/1", "x")
		r := p.start()
		defer r.Close()
		p.set(p.from, replicate.Rule{ID: "old", Prefix: "old/", Bucket: "to", Existing: true}, replicate.Rule{ID: "other", Prefix: "other/", Bucket: "to"})
		later(time.Minute)
		if s := r.Stats(); s.Copied != 30 {
			t.Errorf("stats = %+v, want the 30 objects of the rule that asks for it", s)
		}
		p.remove(p.to, "old/00")
		later(time.Hour)
		if s := r.Stats(); s.Copied != 30 {
			t.Errorf("stats = %+v, want nothing copied again", s)
		}
	})
}

func TestAComparisonThatFailedBeginsAgain(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		p.put(p.from, "a", "x")
		p.deny(object.ErrDenied)
		rule := all("to")
		rule.Existing = true
		p.set(p.from, rule)
		r := p.start()
		defer r.Close()
		later(time.Minute)
		p.want(p.to)
		p.deny(nil)
		later(10 * time.Minute)
		p.want(p.to, "a=x")
		if s := r.Stats(); s.Failed != 1 {
			t.Errorf("stats = %+v, want one failure", s)
		}
	})
}

func TestWhatAFullQueueLostIsFoundByComparing(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		p.set(p.from, all("to"))
		for i := range 30 {
			p.put(p.from, fmt.Sprintf("%02d", i), "x")
		}
		r := p.start()
		defer r.Close()
		later(time.Minute)
		page, err := p.s.List(t.Context(), p.to, store.ListQuery{Limit: 100})
		p.check(err)
		if s := r.Stats(); len(page.Entries) != 30 || s.Lost != 10 || s.Copied != 30 {
			t.Errorf("%d objects are there, stats = %+v; want 30, of which 10 were lost and found", len(page.Entries), s)
		}
	})
}

func TestEventsOfASettingThatIsGoneAreDropped(t *testing.T) {
	pairTest(t, func(t *testing.T, p *pair) {
		p.set(p.from, all("to"))
		p.put(p.from, "a", "x")
		p.check(p.s.DeleteSetting(t.Context(), p.from, replicate.Setting))
		r := p.start()
		defer r.Close()
		later(time.Second)
		p.want(p.to)
		if pending, err := r.Pending(t.Context()); pending != 0 || err != nil {
			t.Errorf("%d events wait for nobody, %v", pending, err)
		}
	})
}
