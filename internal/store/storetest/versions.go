package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// keeping makes a bucket that keeps versions.
func keeping(t tb, e store.Engine) (*store.Store, store.Bucket) {
	t.Helper()
	s := store.New(e)
	b := newBucket(t, s, "bucket")
	check(t, s.SetVersioning(bg, b, store.Enabled))
	return s, b
}

// putVersion stores content and returns the version that it became.
func putVersion(t tb, s *store.Store, b store.Bucket, key string, content []byte) string {
	t.Helper()
	m, err := s.PutIf(bg, b, key, meta(content), spoolFor(t, s, content), nil)
	check(t, err)
	if m.VersionID == "" {
		return store.NullVersion
	}
	return m.VersionID
}

func remove(t tb, s *store.Store, b store.Bucket, key, id string) store.Removed {
	t.Helper()
	r, err := s.Remove(bg, b, key, id)
	check(t, err)
	return r
}

// history is the versions of a key, the newest first: the content, or "-" for a delete marker, and "*" behind what the listing calls the latest.
func history(t tb, s *store.Store, b store.Bucket, key string) string {
	t.Helper()
	p, err := s.ListVersions(bg, b, store.ListQuery{Limit: 1000}, "")
	check(t, err)
	var all []string
	for _, v := range p.Entries {
		if v.Key != key {
			continue
		}
		id := v.Meta.VersionID
		if id == "" {
			id = store.NullVersion
		}
		text := "-"
		o, err := s.OpenVersion(bg, b, key, id)
		if !v.Meta.DeleteMarker {
			check(t, err)
			text = string(readBody(t, o.Body))
			check(t, o.Body.Close())
		} else {
			var marker *object.DeleteMarker
			if !errors.As(err, &marker) || marker.VersionID != id {
				t.Fatalf("OpenVersion of the delete marker %s = %v", id, err)
			}
		}
		if v.Meta.VersionID == "" {
			text += "(null)"
		}
		if v.Latest {
			text += "*"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func wantHistory(t tb, s *store.Store, b store.Bucket, key, want string) {
	t.Helper()
	if got := history(t, s, b, key); got != want {
		t.Fatalf("versions of %s = %s, want %s", short(key), got, want)
	}
	first, _, _ := strings.Cut(want, " ")
	if want == "" || strings.HasPrefix(first, "-") {
		wantMissing(t, s, b, key)
		var marker *object.DeleteMarker
		if err := s.Hidden(bg, b, key); errors.As(err, &marker) != (want != "") {
			t.Fatalf("Hidden(%s) = %v", short(key), err)
		}
	} else {
		wantBytes(t, short(key), get(t, s, b, key), []byte(strings.TrimSuffix(strings.TrimSuffix(first, "*"), "(null)")))
	}
	wantUsage(t, s, b)
}

var versionTests = []test{
	{"a bucket keeps none until it is told to", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		v, err := s.Versioning(bg, b)
		check(t, err)
		if v != store.Unversioned {
			t.Fatalf("Versioning = %q, want none", v)
		}
		if id := putVersion(t, s, b, "key", []byte("one")); id != store.NullVersion {
			t.Fatalf("version = %q, want null", id)
		}
		put(t, s, b, "key", []byte("two"))
		wantHistory(t, s, b, "key", "two(null)*")
		if r := remove(t, s, b, "key", ""); r != (store.Removed{}) {
			t.Fatalf("Remove = %+v, want nothing", r)
		}
		wantHistory(t, s, b, "key", "")
		for _, bad := range []store.Versioning{store.Unversioned, "enabled"} {
			wantErr(t, "SetVersioning "+string(bad), s.SetVersioning(bg, b, bad), object.ErrInvalidArgument)
		}
		check(t, s.DeleteBucket(bg, b))
		wantErr(t, "SetVersioning", s.SetVersioning(bg, b, store.Enabled), object.ErrNoSuchBucket)
	}},
	{"what is replaced and deleted stays", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		put(t, s, b, "key", []byte("before"))
		check(t, s.SetVersioning(bg, b, store.Enabled))
		wantHistory(t, s, b, "key", "before(null)*")
		one := putVersion(t, s, b, "key", []byte("one"))
		two := putVersion(t, s, b, "key", []byte("two"))
		if one >= two || len(one) != 16 {
			t.Fatalf("versions %q, then %q, want rising ones of 16 digits", one, two)
		}
		wantHistory(t, s, b, "key", "two* one before(null)")
		r := remove(t, s, b, "key", "")
		if !r.DeleteMarker || r.VersionID <= two {
			t.Fatalf("Remove = %+v, want a delete marker newer than %s", r, two)
		}
		wantHistory(t, s, b, "key", "-* two one before(null)")
		if again := remove(t, s, b, "key", ""); again != (store.Removed{}) {
			t.Fatalf("Remove of what is hidden = %+v, want nothing", again)
		}
		wantHistory(t, s, b, "key", "-* two one before(null)")
		put(t, s, b, "key", []byte("three"))
		wantHistory(t, s, b, "key", "three* - two one before(null)")
		remove(t, s, b, "missing", "")
		wantHistory(t, s, b, "missing", "")
	}},
	{"a version is removed for good, and the next comes forward", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		ids := map[string]string{}
		for _, c := range []string{"one", "two", "three", "four"} {
			ids[c] = putVersion(t, s, b, "key", []byte(c))
		}
		if r := remove(t, s, b, "key", ids["two"]); r != (store.Removed{VersionID: ids["two"]}) {
			t.Fatalf("Remove = %+v", r)
		}
		wantHistory(t, s, b, "key", "four* three one")
		remove(t, s, b, "key", ids["four"])
		wantHistory(t, s, b, "key", "three* one")
		marker := remove(t, s, b, "key", "").VersionID
		wantHistory(t, s, b, "key", "-* three one")
		remove(t, s, b, "key", ids["two"]) // gone already
		remove(t, s, b, "key", ids["four"])
		remove(t, s, b, "key", "no version")
		remove(t, s, b, "key", store.NullVersion)
		wantHistory(t, s, b, "key", "-* three one")
		if r := remove(t, s, b, "key", marker); r != (store.Removed{VersionID: marker, DeleteMarker: true}) {
			t.Fatalf("Remove of a delete marker = %+v", r)
		}
		wantHistory(t, s, b, "key", "three* one")
		marker = remove(t, s, b, "key", "").VersionID
		remove(t, s, b, "key", ids["three"])
		wantHistory(t, s, b, "key", "-* one")
		remove(t, s, b, "key", ids["one"])
		wantHistory(t, s, b, "key", "-*")
		remove(t, s, b, "key", marker)
		wantHistory(t, s, b, "key", "")
		check(t, s.DeleteBucket(bg, b))
	}},
	{"a delete marker does not come forward", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		put(t, s, b, "key", []byte("one"))
		remove(t, s, b, "key", "")
		two := putVersion(t, s, b, "key", []byte("two"))
		wantHistory(t, s, b, "key", "two* - one")
		remove(t, s, b, "key", two)
		wantHistory(t, s, b, "key", "-* one")
	}},
	{"a suspended bucket has one null version of a key", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		put(t, s, b, "key", []byte("one"))
		check(t, s.SetVersioning(bg, b, store.Suspended))
		wantHistory(t, s, b, "key", "one*")
		put(t, s, b, "key", []byte("two"))
		wantHistory(t, s, b, "key", "two(null)* one")
		put(t, s, b, "key", []byte("three"))
		wantHistory(t, s, b, "key", "three(null)* one")
		check(t, s.SetVersioning(bg, b, store.Enabled))
		put(t, s, b, "key", []byte("four"))
		wantHistory(t, s, b, "key", "four* three(null) one")
		check(t, s.SetVersioning(bg, b, store.Suspended))
		if r := remove(t, s, b, "key", ""); r != (store.Removed{VersionID: store.NullVersion, DeleteMarker: true}) {
			t.Fatalf("Remove = %+v, want the null marker", r)
		}
		wantHistory(t, s, b, "key", "-(null)* four one")
		put(t, s, b, "key", []byte("five"))
		wantHistory(t, s, b, "key", "five(null)* four one")
		remove(t, s, b, "key", "")
		wantHistory(t, s, b, "key", "-(null)* four one")
		remove(t, s, b, "key", store.NullVersion)
		wantHistory(t, s, b, "key", "four* one")
	}},
	{"a bucket with versions is not empty", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		one := putVersion(t, s, b, "key", []byte("one"))
		marker := remove(t, s, b, "key", "").VersionID
		wantErr(t, "DeleteBucket", s.DeleteBucket(bg, b), object.ErrBucketNotEmpty)
		remove(t, s, b, "key", one)
		wantErr(t, "DeleteBucket with a marker", s.DeleteBucket(bg, b), object.ErrBucketNotEmpty)
		remove(t, s, b, "key", marker)
		check(t, s.DeleteBucket(bg, b))
		for _, k := range unbounded(t, e) {
			if k[0] != 'N' {
				t.Errorf("record %q is left of the bucket", k)
			}
		}
	}},
	{"versions take their room, and give it back", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		want := func(what string, standard, infrequent store.Usage) {
			t.Helper()
			total, classes, err := s.UsageByClass(bg, b)
			check(t, err)
			if diff := cmp.Diff(map[string]store.Usage{"STANDARD": standard, cold: infrequent}, classes); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", what, diff)
			}
			if sum := (store.Usage{Objects: standard.Objects + infrequent.Objects, Bytes: standard.Bytes + infrequent.Bytes,
				Versions: standard.Versions + infrequent.Versions}); total != sum {
				t.Fatalf("%s: in all %+v, want %+v", what, total, sum)
			}
		}
		putAs(t, s, b, "key", cold, 100)
		putAs(t, s, b, "key", "", 30)
		want("two versions", store.Usage{Objects: 1, Bytes: 30}, store.Usage{Versions: 100})
		putAs(t, s, b, "key", "STANDARD", 0)
		want("three versions", store.Usage{Objects: 1, Versions: 30}, store.Usage{Versions: 100})
		remove(t, s, b, "key", "")
		want("a marker", store.Usage{Versions: 30}, store.Usage{Versions: 100})
		p, err := s.ListVersions(bg, b, store.ListQuery{Limit: 10}, "")
		check(t, err)
		for i, v := range p.Entries {
			remove(t, s, b, "key", v.Meta.VersionID)
			if i == 1 {
				want("two versions without a marker", store.Usage{Objects: 1, Bytes: 30}, store.Usage{Versions: 100})
			}
		}
		if total, classes, err := s.UsageByClass(bg, b); err != nil || total != (store.Usage{}) || len(classes) > 0 {
			t.Fatalf("UsageByClass without a version = %+v, %v, %v", total, classes, err)
		}
	}},
	{"a version outlives a restart, with its body", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		large, small := Content(1, 100_000), Content(2, 100)
		one, two := putVersion(t, s, b, "key", large), putVersion(t, s, b, "key", small)
		remove(t, s, b, "key", "")
		s = store.New(e)
		check(t, s.Recover(bg))
		for id, content := range map[string][]byte{one: large, two: small} {
			o, err := s.OpenVersion(bg, b, "key", id)
			check(t, err)
			wantBytes(t, id, readBody(t, o.Body), content)
			// It stays readable when it is removed.
			remove(t, s, b, "key", id)
			wantBytes(t, id+" afterwards", readBody(t, o.Body), content)
			check(t, o.Body.Close())
			_, err = s.StatVersion(bg, b, "key", id)
			wantErr(t, "StatVersion", err, object.ErrNoSuchKey)
		}
	}},
	{"an append is no new version, and a version in pieces can come back", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		grow := func(text string) string {
			t.Helper()
			m, err := s.Append(bg, b, "key", store.Part{Size: int64(len(text))}, spoolFor(t, s, []byte(text)), func(was *object.Meta) (object.Meta, error) {
				if was == nil {
					return object.Meta{ContentType: "text/plain"}, nil
				}
				return *was, nil
			})
			check(t, err)
			return m.VersionID
		}
		first := grow("")
		if again := grow("ab"); again != first || first == "" {
			t.Fatalf("versions %q, then %q, want the same", first, again)
		}
		grow("cd")
		wantHistory(t, s, b, "key", "abcd*")
		put(t, s, b, "key", []byte("x"))
		wantHistory(t, s, b, "key", "x* abcd")
		remove(t, s, b, "key", "")
		p, err := s.ListVersions(bg, b, store.ListQuery{Limit: 10}, "")
		check(t, err)
		remove(t, s, b, "key", p.Entries[0].Meta.VersionID)
		remove(t, s, b, "key", p.Entries[1].Meta.VersionID)
		wantHistory(t, s, b, "key", "abcd*")
		remove(t, s, b, "key", first)
		for _, k := range unbounded(t, e) {
			if k[0] == 'M' || k[0] == 'V' || k[0] == 'X' {
				t.Errorf("record %q is left", k)
			}
		}
	}},
	{"a moved object leaves its versions hidden, and is a new version there", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		put(t, s, b, "from", []byte("one"))
		id := putVersion(t, s, b, "from", []byte("two"))
		put(t, s, b, "to", []byte("old"))
		m, err := s.Move(bg, b, "from", b, "to", func(*object.Meta) error { return nil })
		check(t, err)
		if m.VersionID == id || m.VersionID == "" {
			t.Fatalf("version %q after the move, want another than %q", m.VersionID, id)
		}
		wantHistory(t, s, b, "from", "-* one")
		wantHistory(t, s, b, "to", "two* old")
		same, err := s.Move(bg, b, "to", b, "to", func(m *object.Meta) error { m.ContentType = "b/c"; return nil })
		check(t, err)
		if same.VersionID != m.VersionID {
			t.Fatalf("version %q after a change of metadata, want %q", same.VersionID, m.VersionID)
		}
		wantHistory(t, s, b, "to", "two* old")
	}},
	{"a fill is a version", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		check(t, s.SetSetting(bg, b, "mirror", []byte("doc")))
		fill := func(text string) {
			t.Helper()
			i, err := s.BeginFill(bg, b, "key", []byte("doc"))
			check(t, err)
			check(t, s.CommitFill(bg, i, meta([]byte(text)), spoolFor(t, s, []byte(text))))
		}
		fill("one")
		remove(t, s, b, "key", "")
		fill("two")
		wantHistory(t, s, b, "key", "two* - one")
		check(t, s.SetVersioning(bg, b, store.Suspended))
		remove(t, s, b, "key", "")
		fill("three")
		wantHistory(t, s, b, "key", "three(null)* two - one")
		// What comes forward ends a fill that runs.
		remove(t, s, b, "key", "")
		i, err := s.BeginFill(bg, b, "key", []byte("doc"))
		check(t, err)
		remove(t, s, b, "key", store.NullVersion)
		wantErr(t, "CommitFill", s.CommitFill(bg, i, meta([]byte("four")), spoolFor(t, s, []byte("four"))), object.ErrExists)
		wantHistory(t, s, b, "key", "two* - one")
	}},
	{"a damaged version can be removed", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		one := putVersion(t, s, b, "key", []byte("one"))
		two := putVersion(t, s, b, "key", []byte("two"))
		for _, k := range unbounded(t, e) {
			if k[0] == 'V' {
				v, err := e.Get(bg, []byte(k))
				check(t, err)
				v[len(v)/2] ^= 1
				check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: []byte(k), Value: v}}}))
			}
		}
		_, err := s.OpenVersion(bg, b, "key", one)
		wantErr(t, "OpenVersion of a damaged version", err, object.ErrDamaged)
		_, err = s.ListVersions(bg, b, store.ListQuery{Limit: 10}, "")
		wantErr(t, "ListVersions", err, object.ErrDamaged)
		remove(t, s, b, "key", one)
		if got := history(t, s, b, "key"); got != "two*" {
			t.Fatalf("versions = %s, want two*", got)
		}
		remove(t, s, b, "key", two)
		check(t, s.DeleteBucket(bg, b))
	}},
	{"a crowd loses no version", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		var wg sync.WaitGroup
		var mu sync.Mutex // guards ids
		ids := make(map[string]string)
		for w := range 5 {
			wg.Go(func() {
				for i := range 8 {
					if (w+i)%4 == 3 {
						if _, err := s.Remove(bg, b, "key", ""); err != nil {
							t.Error(err)
						}
						continue
					}
					content := []byte(fmt.Sprint(w, "-", i))
					m, err := s.PutIf(bg, b, "key", meta(content), spoolFor(t, s, content), nil)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					ids[m.VersionID] = string(content)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(ids) != 30 {
			t.Fatalf("%d versions have IDs of their own, want 30", len(ids))
		}
		for id, content := range ids {
			o, err := s.OpenVersion(bg, b, "key", id)
			check(t, err)
			wantBytes(t, id, readBody(t, o.Body), []byte(content))
			check(t, o.Body.Close())
		}
		var all []string
		p, err := s.ListVersions(bg, b, store.ListQuery{Limit: 1000}, "")
		check(t, err)
		for _, v := range p.Entries {
			all = append(all, v.Meta.VersionID)
		}
		if !slices.IsSortedFunc(all, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Fatalf("the versions are not in order: %q", all)
		}
		// All at once are removed by many: what is current at the end is nothing.
		for range 3 {
			wg.Go(func() {
				for _, id := range all {
					if _, err := s.Remove(bg, b, "key", id); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		wantHistory(t, s, b, "key", "")
		check(t, s.DeleteBucket(bg, b))
	}},
	{"a page of versions is of one moment", func(t *testing.T, e store.Engine) {
		s, b := keeping(t, e)
		put(t, s, b, "key", []byte("0"))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(stop)
			for i := range 60 {
				var err error
				if i%5 == 4 {
					_, err = s.Remove(bg, b, "key", "")
				} else {
					err = tryPut(t, s, b, "key", []byte(fmt.Sprint(i)))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		for done := false; !done; {
			select {
			case <-stop:
				done = true
			default:
			}
			p, err := s.ListVersions(bg, b, store.ListQuery{Limit: 1000}, "")
			check(t, err)
			last := "g"
			for i, v := range p.Entries {
				if v.Latest != (i == 0) {
					t.Fatalf("version %d of %d: latest = %v", i, len(p.Entries), v.Latest)
				}
				if v.Meta.VersionID >= last {
					t.Fatalf("version %s behind %s", v.Meta.VersionID, last)
				}
				last = v.Meta.VersionID
			}
		}
		wg.Wait()
	}},
}
