package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// oddKeys are keys that stores over files get wrong.
var oddKeys = []string{
	"dir", "dir/", "dir/child", "dir//child", "dir/child/", "dir.", "dir0", "a//b", "a/b", "./x", "../x", "x/..", "x/../y", "/", "//", "/lead", "trail/",
	".", "..", " ", " lead", "trail ", "a\x00b", "\x00", "\x01\x1f\x7f", "new\nline", "tab\t", "cr\r", "back\\slash", "CON", "nul.txt",
	"%2f", "a%00", "a+b c", "?mirror", "#frag", "é", "e\u0301", "日本語/キー", "\U0010ffff", "\u07ff", "\uffff",
	"I", "S", "B", strings.Repeat("k", 1023), strings.Repeat("d/", 511), strings.Repeat("é", 511) + "x", strings.Repeat("\U0010ffff", 255),
}

var storeTests = []test{
	{"a bucket says which settings it cannot have", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		old := newBucket(t, s, "one")
		if old.Settings.May("acl") {
			t.Fatal("a new bucket may have a setting")
		}
		check(t, s.SetSetting(bg, old, "acl", []byte("acl")))
		put(t, s, old, "key", []byte("put")) // by who looked before
		b, err := s.Bucket(bg, "one")
		check(t, err)
		if !b.Settings.May("acl") || b.Settings.May("policy") {
			t.Fatalf("Settings = %b, want acl and not policy", b.Settings)
		}
		// By a handle from before, the setting is found all the same: what is asked for is what there is.
		doc, err := s.Setting(bg, old, "acl")
		check(t, err)
		if string(doc) != "acl" {
			t.Fatalf("Setting = %q", doc)
		}
		check(t, s.SetSetting(bg, b, "policy", []byte("policy")))
		check(t, s.DeleteSetting(bg, b, "acl"))
		b, err = s.Bucket(bg, "one")
		check(t, err)
		if !b.Settings.May("policy") {
			t.Fatal("the bucket says that it cannot have a policy, which it has")
		}
	}},
	{"a bucket is made once, found and listed by name", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		_, err := s.Bucket(bg, "one")
		wantErr(t, "Bucket", err, object.ErrNoSuchBucket)
		two := newBucket(t, s, "two")
		one, err := s.CreateBucket(bg, "one", "me", "pek3a")
		check(t, err)
		_, err = s.CreateBucket(bg, "one", "you", "pek3a")
		wantErr(t, "CreateBucket again", err, object.ErrBucketExists)
		got, err := s.Bucket(bg, "one")
		check(t, err)
		if diff := cmp.Diff(one, got); diff != "" || got.Owner != "me" || got.Zone != "pek3a" || got.Created.IsZero() {
			t.Fatalf("Bucket = %+v (-made +found):\n%s", got, diff)
		}
		list, err := s.Buckets(bg)
		check(t, err)
		if diff := cmp.Diff([]store.Bucket{one, two}, list); diff != "" {
			t.Fatalf("Buckets (-want +got):\n%s", diff)
		}
	}},
	{"buckets made at once have names and IDs of their own", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		var wg sync.WaitGroup
		made := make([]int, 10)
		for i := range made {
			wg.Go(func() {
				for n := range 5 {
					_, err := s.CreateBucket(bg, fmt.Sprintf("bucket-%d", n), "owner", "")
					if err == nil {
						made[i]++
					} else if !errors.Is(err, object.ErrBucketExists) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		total := 0
		for _, n := range made {
			total += n
		}
		list, err := s.Buckets(bg)
		check(t, err)
		ids := make(map[uint64]bool)
		for _, b := range list {
			ids[b.ID] = true
		}
		if total != 5 || len(list) != 5 || len(ids) != 5 {
			t.Fatalf("%d were told that they made one, there are %d buckets and %d IDs; want 5 of each", total, len(list), len(ids))
		}
	}},
	{"a bucket made again sees nothing of the one before", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		old := newBucket(t, s, "bucket")
		put(t, s, old, "key", []byte("old"))
		check(t, s.SetSetting(bg, old, "mirror", []byte("site")))
		check(t, s.SetSetting(bg, old, "acl", []byte("acl")))
		_, err := s.BeginFill(bg, old, "other", []byte("site"))
		check(t, err)
		wantErr(t, "DeleteBucket with an object", s.DeleteBucket(bg, old), object.ErrBucketNotEmpty)
		check(t, s.Delete(bg, old, "key"))
		check(t, s.DeleteBucket(bg, old))
		wantErr(t, "DeleteBucket again", s.DeleteBucket(bg, old), object.ErrNoSuchBucket)
		if left := unbounded(t, e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}

		now := newBucket(t, s, "bucket")
		if now.ID == old.ID {
			t.Fatal("the new bucket has the old ID")
		}
		wantMissing(t, s, now, "key")
		for _, name := range []string{"mirror", "acl"} {
			_, err := s.Setting(bg, now, name)
			wantErr(t, "Setting", err, object.ErrNoSetting)
		}
		if u, err := s.Usage(bg, now); err != nil || u != (store.Usage{}) {
			t.Fatalf("Usage = %+v, %v, want nothing", u, err)
		}
		// Who still holds the old one can do nothing to the new one.
		wantErr(t, "Put to the old bucket", tryPut(t, s, old, "key", []byte("x")), object.ErrNoSuchBucket)
		wantErr(t, "SetSetting of the old bucket", s.SetSetting(bg, old, "acl", []byte("x")), object.ErrNoSuchBucket)
		wantErr(t, "DeleteBucket of the old bucket", s.DeleteBucket(bg, old), object.ErrNoSuchBucket)
		check(t, s.Delete(bg, old, "key"))
		p, err := s.List(bg, old, store.ListQuery{Limit: 10})
		check(t, err)
		if len(p.Entries) != 0 {
			t.Fatalf("the old bucket lists %v", p.Entries)
		}
	}},
	{"PUTs and a DELETE of their bucket", func(t *testing.T, e store.Engine) {
		// Either a PUT is refused, or the bucket is not empty: never is an object in a bucket that is gone.
		s := store.New(e)
		for round := range 10 {
			b := newBucket(t, s, "bucket")
			var wg sync.WaitGroup
			stored := make([]bool, 4)
			for i := range stored {
				wg.Go(func() {
					err := tryPut(t, s, b, fmt.Sprint(i), []byte("x"))
					stored[i] = err == nil
					if err != nil && !errors.Is(err, object.ErrNoSuchBucket) {
						t.Error(err)
					}
				})
			}
			err := s.DeleteBucket(bg, b)
			wg.Wait()
			switch {
			case err == nil:
				if slices.Contains(stored, true) {
					t.Fatalf("round %d: the bucket is gone and a PUT succeeded", round)
				}
			case !errors.Is(err, object.ErrBucketNotEmpty):
				t.Fatal(err)
			default:
				for i := range stored {
					check(t, s.Delete(bg, b, fmt.Sprint(i)))
				}
				check(t, s.DeleteBucket(bg, b))
			}
		}
	}},
	{"settings are documents by name", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, other := newBucket(t, s, "bucket"), newBucket(t, s, "other")
		for _, doc := range []string{"one", "", "two", "two", string(Content(1, 70_000))} {
			check(t, s.SetSetting(bg, b, "acl", []byte(doc)))
			got, err := s.Setting(bg, b, "acl")
			check(t, err)
			wantBytes(t, "setting", got, []byte(doc))
		}
		_, err := s.Setting(bg, b, "acl2")
		wantErr(t, "another setting", err, object.ErrNoSetting)
		_, err = s.Setting(bg, other, "acl")
		wantErr(t, "another bucket's setting", err, object.ErrNoSetting)
		check(t, s.DeleteSetting(bg, b, "acl"))
		check(t, s.DeleteSetting(bg, b, "acl"))
		_, err = s.Setting(bg, b, "acl")
		wantErr(t, "a deleted setting", err, object.ErrNoSetting)
	}},
	{"an object is what was put", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
		for _, n := range append([]int{0}, sizes...) {
			content := Content(uint64(n), n)
			m := object.Meta{
				Size: int64(n), ETag: `"tag"`, LastModified: at, Created: at.Add(time.Hour), ContentType: "a/b", ContentEncoding: "gzip", ContentLanguage: "de",
				ContentDisposition: "inline", CacheControl: "no-store", Expires: "never", StorageClass: "STANDARD_IA",
				User:   map[string]string{"a": "1", "b": ""},
				Digest: object.Digest{CRC64NVME: 1<<64 - 1, MD5: "d41d8cd98f00b204e9800998ecf8427e"},
				Filled: &object.Provenance{URL: "http://x/", ETag: "W/", LastModified: "then", Verified: []string{"etag"}, At: at},
			}
			check(t, s.Put(bg, b, "key", m, spoolFor(t, s, content)))
			wantBytes(t, fmt.Sprintf("object of %d bytes", n), get(t, s, b, "key"), content)
			got, err := s.Stat(bg, b, "key")
			check(t, err)
			if diff := cmp.Diff(m, got); diff != "" {
				t.Fatalf("Stat (-put +got):\n%s", diff)
			}
			wantUsage(t, s, b)
		}
	}},
	{"Created is set where the caller does not", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		put(t, s, b, "key", []byte("x"))
		m, err := s.Stat(bg, b, "key")
		check(t, err)
		if m.Created.IsZero() || m.Created.Location() != time.UTC {
			t.Fatalf("Created = %v, want now, UTC", m.Created)
		}
	}},
	{"what is open stays readable when it is replaced or deleted", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		for _, n := range []int{100, 100_000} {
			first, second := Content(1, n), Content(2, n)
			put(t, s, b, "key", first)
			o, err := s.Open(bg, b, "key")
			check(t, err)
			defer o.Body.Close()
			put(t, s, b, "key", second)
			p, err := s.Open(bg, b, "key")
			check(t, err)
			defer p.Body.Close()
			check(t, s.Delete(bg, b, "key"))
			wantBytes(t, "the replaced object", readBody(t, o.Body), first)
			wantBytes(t, "the deleted object", readBody(t, p.Body), second)
			wantMissing(t, s, b, "key")
		}
	}},
	{"Delete is idempotent", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		check(t, s.Delete(bg, b, "key"))
		put(t, s, b, "key", []byte("x"))
		check(t, s.Delete(bg, b, "key"))
		check(t, s.Delete(bg, b, "key"))
		wantMissing(t, s, b, "key")
		wantUsage(t, s, b)
	}},
	{"a PUT that fails leaves nothing", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		for _, tc := range []struct {
			name, key string
			size      int64
			want      error
		}{
			{"empty key", "", 5, object.ErrInvalidKey},
			{"key of 1,024 bytes", strings.Repeat("k", 1024), 5, object.ErrInvalidKey},
			{"key that is not UTF-8", "\xff", 5, object.ErrInvalidKey},
			{"negative size", "key", -1, object.ErrInvalidArgument},
			{"wrong size", "key", 6, object.ErrStore},
		} {
			sp := spoolFor(t, s, []byte("12345"))
			wantErr(t, tc.name, s.Put(bg, b, tc.key, object.Meta{Size: tc.size}, sp), tc.want)
			if _, err := sp.WriteAt([]byte("x"), 0); err == nil {
				t.Fatalf("%s: the spool was not discarded", tc.name)
			}
		}
		ctx, cancel := context.WithCancel(bg)
		cancel()
		wantErr(t, "a context that has ended", s.Put(ctx, b, "key", object.Meta{Size: 5}, spoolFor(t, s, []byte("12345"))), context.Canceled)
		wantMissing(t, s, b, "key")
		wantUsage(t, s, b)
	}},
	{"odd keys are keys", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		for i, key := range oddKeys {
			put(t, s, b, key, Content(uint64(i), i+1))
		}
		for i, key := range oddKeys {
			wantBytes(t, short(key), get(t, s, b, key), Content(uint64(i), i+1))
		}
		want := slices.Sorted(slices.Values(oddKeys))
		for _, limit := range []int{1, 3, 1000} {
			got, _ := listAll(t, s, b, store.ListQuery{Limit: limit})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("listing by %d (-want +got):\n%s", limit, diff)
			}
		}
		for i, key := range oddKeys {
			check(t, s.Delete(bg, b, key))
			wantMissing(t, s, b, key)
			if i+1 < len(oddKeys) {
				get(t, s, b, oddKeys[i+1])
			}
		}
		wantUsage(t, s, b)
		check(t, s.DeleteBucket(bg, b))
	}},
	{"listings equal a plain filter of the keys", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, beside := newBucket(t, s, "bucket"), newBucket(t, s, "beside")
		put(t, s, beside, "a", []byte("not of this bucket"))
		list := append([]string{"a", "a/", "a/1", "a/1/x", "a/2", "a/\U0010ffff", "a0", "b", "b/1", "c--1", "c--2", "c-3", "\U0010ffff/", "\U0010ffff/1"}, oddKeys...)
		for _, key := range list {
			put(t, s, b, key, []byte(key))
		}
		for _, prefix := range []string{"", "a", "a/", "a/1", "dir", "dir/", "c-", "\U0010ffff", "\xf4", "zz", "/", strings.Repeat("d/", 500)} {
			for _, delimiter := range []string{"", "/", "--", "//", "x", "\U0010ffff"} {
				for _, marker := range []string{"", "a", "a/", "a/1", "a/1/x", "a/zzz", "b", "c--", "c--1", "dir/", "\U0010ffff/", "~"} {
					for _, limit := range []int{1, 2, 1000} {
						q := store.ListQuery{Prefix: prefix, Delimiter: delimiter, Marker: marker, Limit: limit}
						got, err := s.List(bg, b, q)
						check(t, err)
						wantPage(t, q, got, list)
					}
				}
			}
		}
	}},
	{"a limit of none lists nothing", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		put(t, s, b, "a", []byte("x"))
		for _, limit := range []int{0, -1} {
			p, err := s.List(bg, b, store.ListQuery{Limit: limit})
			check(t, err)
			if diff := cmp.Diff(store.Page{}, p); diff != "" {
				t.Fatalf("List with limit %d (-want +got):\n%s", limit, diff)
			}
		}
	}},
	{"a listing touches no more than its page", func(t *testing.T, e store.Engine) {
		c := &countingEngine{Engine: e}
		s := store.New(c)
		b := newBucket(t, s, "bucket")
		for _, dir := range []string{"a/", "b/", "c/"} {
			for i := range 50 {
				check(t, s.Put(bg, b, fmt.Sprintf("%s%02d", dir, i), object.Meta{}, spoolFor(t, s, nil)))
			}
		}
		for _, tc := range []struct {
			q    store.ListQuery
			want int
		}{
			{store.ListQuery{Delimiter: "/", Limit: 1000}, 4},
			{store.ListQuery{Delimiter: "/", Limit: 1}, 2},
			{store.ListQuery{Delimiter: "/", Marker: "a/", Limit: 1}, 2},
			{store.ListQuery{Limit: 10}, 11},
			{store.ListQuery{Prefix: "b/4", Limit: 1000}, 11},
			{store.ListQuery{Marker: "b/49", Limit: 3}, 4},
		} {
			c.moves = 0
			_, err := s.List(bg, b, tc.q)
			check(t, err)
			if c.moves > tc.want {
				t.Errorf("List(%+v) moved %d times, want at most %d", tc.q, c.moves, tc.want)
			}
		}
	}},
	{"counters equal a count, also under a crowd", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for i := range 15 {
					key := fmt.Sprint((w + i) % 4)
					var err error
					if (w+i)%3 == 0 {
						err = s.Delete(bg, b, key)
					} else {
						err = tryPut(t, s, b, key, Content(1, (w*37+i*11)%200))
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		wantUsage(t, s, b)
	}},
	{"a reader always sees one whole version", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		content := func(version int) []byte { return Content(uint64(version), []int{50, 70_000, 40_000}[version%3]) }
		put(t, s, b, "key", content(0))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(stop)
			for v := 1; v <= 40; v++ {
				m := meta(content(v))
				m.User = map[string]string{"version": fmt.Sprint(v)}
				if err := s.Put(bg, b, "key", m, spoolFor(t, s, content(v))); err != nil {
					t.Error(err)
				}
			}
		})
		for range 3 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					o, err := s.Open(bg, b, "key")
					if err != nil {
						t.Errorf("Open = %v", err)
						return
					}
					v := 0
					if o.User != nil {
						_, err = fmt.Sscan(o.User["version"], &v)
					}
					got := make([]byte, o.Size)
					if err == nil && o.Size > 0 {
						_, err = o.Body.ReadAt(got, 0)
					}
					if want := content(v); err != nil || string(got) != string(want) {
						t.Errorf("version %d: the bytes are not those of that version (%v)", v, err)
					}
					if err := o.Body.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}},
	{"a damaged record is an error, can be replaced and deleted", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		key := func(k string) []byte {
			all := unbounded(t, e)
			i := slices.IndexFunc(all, func(r string) bool { return r[0] == 'O' && strings.HasSuffix(r, k) })
			return []byte(all[i])
		}
		for _, k := range []string{"first", "second"} {
			put(t, s, b, k, []byte("x"))
			v, err := e.Get(bg, key(k))
			check(t, err)
			v[len(v)/2] ^= 1
			check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: key(k), Value: v}}}))
			_, err = s.Stat(bg, b, k)
			wantErr(t, "Stat", err, object.ErrDamaged)
			_, err = s.Open(bg, b, k)
			wantErr(t, "Open", err, object.ErrDamaged)
			_, err = s.List(bg, b, store.ListQuery{Limit: 10})
			wantErr(t, "List", err, object.ErrDamaged)
			_, err = s.BeginFill(bg, b, k, nil)
			wantErr(t, "BeginFill", err, object.ErrExists)
			if k == "first" {
				put(t, s, b, k, []byte("y"))
				wantBytes(t, "the replaced object", get(t, s, b, k), []byte("y"))
			} else {
				check(t, s.Delete(bg, b, k))
				wantMissing(t, s, b, k)
			}
		}
	}},
	{"an object whose body is lost is damaged, not missing", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		sp := spoolFor(t, s, []byte("x"))
		id := sp.ID()
		check(t, s.Put(bg, b, "key", object.Meta{Size: 1}, sp))
		check(t, e.Apply(bg, &store.Batch{Drop: []store.BodyID{id}}))
		_, err := s.Open(bg, b, "key")
		wantErr(t, "Open", err, object.ErrDamaged)
	}},
}

// listAll walks a listing to its end.
func listAll(t tb, s *store.Store, b store.Bucket, q store.ListQuery) (keys, prefixes []string) {
	t.Helper()
	for {
		p, err := s.List(bg, b, q)
		check(t, err)
		for _, e := range p.Entries {
			keys = append(keys, e.Key)
		}
		prefixes = append(prefixes, p.Prefixes...)
		if !p.More {
			return keys, prefixes
		}
		if p.Next <= q.Marker {
			t.Fatalf("the page after %q ends at %q", q.Marker, p.Next)
		}
		q.Marker = p.Next
	}
}

// wantPage compares a page with what a plain walk over all keys gives.
func wantPage(t tb, q store.ListQuery, got store.Page, all []string) {
	t.Helper()
	lines := make(map[string]bool) // line → is a group
	for _, key := range all {
		rest, ok := strings.CutPrefix(key, q.Prefix)
		if !ok {
			continue
		}
		line, group := key, false
		if q.Delimiter != "" {
			if head, _, ok := strings.Cut(rest, q.Delimiter); ok {
				line, group = q.Prefix+head+q.Delimiter, true
			}
		}
		if line > q.Marker {
			lines[line] = group
		}
	}
	var keys, prefixes []string
	next, more := "", false
	sorted := make([]string, 0, len(lines))
	for line := range lines {
		sorted = append(sorted, line)
	}
	slices.Sort(sorted)
	if len(sorted) > q.Limit {
		sorted, more = sorted[:q.Limit], true
		if q.Limit > 0 {
			next = sorted[len(sorted)-1]
		}
	}
	for _, line := range sorted {
		if lines[line] {
			prefixes = append(prefixes, line)
		} else {
			keys = append(keys, line)
		}
	}
	var gotKeys []string
	for _, e := range got.Entries {
		gotKeys = append(gotKeys, e.Key)
	}
	if !slices.Equal(gotKeys, keys) || !slices.Equal(got.Prefixes, prefixes) || got.Next != next || got.More != more {
		t.Fatalf("List(%+v) = keys %q, prefixes %q, next %q, more %v\nwant keys %q, prefixes %q, next %q, more %v",
			q, gotKeys, got.Prefixes, got.Next, got.More, keys, prefixes, next, more)
	}
}

// countingEngine counts the moves of its iterators.
type countingEngine struct {
	store.Engine
	moves int
}

func (c *countingEngine) Scan(ctx context.Context, lower, upper []byte) (store.Iterator, error) {
	it, err := c.Engine.Scan(ctx, lower, upper)
	return &countingIterator{it, c}, err
}

type countingIterator struct {
	store.Iterator
	c *countingEngine
}

func (i *countingIterator) Next() bool           { i.c.moves++; return i.Iterator.Next() }
func (i *countingIterator) Seek(key []byte) bool { i.c.moves++; return i.Iterator.Seek(key) }
