package diskstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/internal/store/storetest"
)

var bg = context.Background()

func TestEngine(t *testing.T) {
	for _, tc := range []struct {
		name   string
		inline int
	}{{"default", 0}, {"all in files", -1}} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.inline < 0 && testing.Short() {
				t.Skip("slow: one fsync for each object and one for its directory")
			}
			storetest.Run(t, func(t *testing.T) store.Engine {
				return open(t, t.TempDir(), diskstore.Options{InlineMax: tc.inline})
			})
		})
	}
}

func open(t testing.TB, dir string, o diskstore.Options) *diskstore.Engine {
	t.Helper()
	e, err := diskstore.Open(dir, o)
	check(t, err)
	t.Cleanup(func() { check(t, e.Close()) })
	return e
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s *store.Store, b store.Bucket, key string, content []byte) {
	t.Helper()
	check(t, tryPut(s, b, key, content, object.Meta{}))
}

func tryPut(s *store.Store, b store.Bucket, key string, content []byte, m object.Meta) error {
	sp, err := s.NewSpool(bg, int64(len(content)))
	if err != nil {
		return err
	}
	if _, err := sp.WriteAt(content, 0); err != nil {
		return errors.Join(err, sp.Discard())
	}
	m.Size = int64(len(content))
	return s.Put(bg, b, key, m, sp)
}

func get(t testing.TB, s *store.Store, b store.Bucket, key string) []byte {
	t.Helper()
	o, err := s.Open(bg, b, key)
	check(t, err)
	defer o.Body.Close()
	r, err := o.Body.Section(0, o.Size)
	check(t, err)
	all, err := io.ReadAll(r)
	check(t, err)
	return all
}

// files returns the files under dir/bodies.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	check(t, filepath.WalkDir(filepath.Join(dir, "bodies"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, path)
		}
		return err
	}))
	return list
}

// crashCopy copies a data directory as it would be found after its process was killed. The database renames and removes files of its own behind our
// back: a copy that misses one is none, and is made again.
func crashCopy(t testing.TB, dir string) string {
	t.Helper()
	for range 100 {
		to := filepath.Join(t.TempDir(), "copy")
		err := os.CopyFS(to, os.DirFS(dir))
		if !errors.Is(err, fs.ErrNotExist) {
			check(t, err)
			return to
		}
	}
	t.Fatal("the data directory does not hold still for a copy")
	return ""
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	contents := map[string][]byte{"small": storetest.Content(1, 100), "large": storetest.Content(2, 200_000), "empty": nil, "replaced": storetest.Content(3, 50_000)}
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%v", clean), func(t *testing.T) {
			e := open(t, dir, diskstore.Options{})
			s := store.New(e)
			b, err := s.CreateBucket(bg, fmt.Sprintf("bucket-%v", clean), "owner", "zone")
			check(t, err)
			check(t, s.SetSetting(bg, b, "mirror", []byte("site")))
			put(t, s, b, "replaced", storetest.Content(9, 90_000))
			for key, content := range contents {
				put(t, s, b, key, content)
			}
			put(t, s, b, "deleted", storetest.Content(8, 90_000))
			check(t, s.Delete(bg, b, "deleted"))
			if clean {
				check(t, e.Close())
			} else {
				dir = crashCopy(t, dir)
			}
			e = open(t, dir, diskstore.Options{})
			s = store.New(e)
			check(t, s.Recover(bg))
			b, err = s.Bucket(bg, b.Name)
			check(t, err)
			for key, content := range contents {
				if !bytes.Equal(get(t, s, b, key), content) {
					t.Errorf("%s is not what was put", key)
				}
			}
			if _, err := s.Stat(bg, b, "deleted"); !errors.Is(err, object.ErrNoSuchKey) {
				t.Errorf("Stat of a deleted object = %v", err)
			}
			u, err := s.Usage(bg, b)
			if want := (store.Usage{Objects: 4, Bytes: 250_100}); err != nil || u != want {
				t.Errorf("Usage = %+v, %v, want %+v", u, err, want)
			}
			if doc, err := s.Setting(bg, b, "mirror"); err != nil || string(doc) != "site" {
				t.Errorf("Setting = %q, %v", doc, err)
			}
			check(t, e.Close())
		})
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, diskstore.Options{})
	s := store.New(e)
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	put(t, s, b, "large", storetest.Content(1, 100_000))
	_, err = s.BeginFill(bg, b, "filling", nil)
	check(t, err)
	unfinished, err := s.NewSpool(bg, 1<<20) // is in a file from the start
	check(t, err)
	orphan, err := e.NewSpool(bg, -1) // grows into a file
	check(t, err)
	_, err = orphan.WriteAt(make([]byte, 100_000), 0)
	check(t, err)
	check(t, e.Apply(bg, &store.Batch{Keep: []store.Kept{{Spool: orphan, Size: 100_000}}}))
	if n := len(files(t, dir)); n != 3 {
		t.Fatalf("%d files before the crash, want 3", n)
	}
	dir = crashCopy(t, dir)
	check(t, unfinished.Discard())
	shard := filepath.Join(dir, "bodies", "00")
	check(t, os.MkdirAll(shard, 0o700))
	check(t, os.WriteFile(filepath.Join(shard, "README"), []byte("somebody else's"), 0o600))

	e = open(t, dir, diskstore.Options{})
	s = store.New(e)
	b, err = s.Bucket(bg, "bucket")
	check(t, err)
	// What was begun after the open is nobody's leftover, though no record refers to it yet.
	now, err := s.NewSpool(bg, 1<<20)
	check(t, err)
	check(t, s.Recover(bg))
	var names []string
	for _, f := range files(t, dir) {
		names = append(names, filepath.Base(f))
	}
	if len(names) != 3 || !strings.Contains(strings.Join(names, " "), "README") || !strings.Contains(strings.Join(names, " "), string(now.ID())) {
		t.Errorf("files after the sweep are %q, want the object, the new spool and the README", names)
	}
	if !bytes.Equal(get(t, s, b, "large"), storetest.Content(1, 100_000)) {
		t.Error("the object is not what was put")
	}
	check(t, now.Discard())
	if n := len(files(t, dir)); n != 2 {
		t.Errorf("%d files after the end of the spool, want 2", n)
	}
	check(t, os.Remove(filepath.Join(shard, "README")))

	// After a clean end there is nothing to look for.
	check(t, e.Close())
	e = open(t, dir, diskstore.Options{})
	check(t, e.Sweep(bg, nil, func(func(store.BodyID) bool) error {
		t.Error("a sweep after a clean end asks for the live bodies")
		return nil
	}))
}

func TestSweepStopsAtDamage(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, diskstore.Options{})
	s := store.New(e)
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	put(t, s, b, "large", storetest.Content(1, 100_000))
	key := append([]byte("O\x00\x00\x00\x00\x00\x00\x00\x01"), "large"...)
	record, err := e.Get(bg, key)
	check(t, err)
	record[10] ^= 0x40
	check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: key, Value: record}}}))

	dir = crashCopy(t, dir)
	s = store.New(open(t, dir, diskstore.Options{}))
	if err := s.Recover(bg); !errors.Is(err, object.ErrDamaged) {
		t.Errorf("Recover = %v, want %v", err, object.ErrDamaged)
	}
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("%d files after a sweep that could not read a record, want 1: the file may be its body", n)
	}
}

func TestReplacedBodiesGo(t *testing.T) {
	dir := t.TempDir()
	s := store.New(open(t, dir, diskstore.Options{}))
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	for i := range 5 {
		put(t, s, b, "key", storetest.Content(uint64(i), 40_000+i))
		if n := len(files(t, dir)); n != 1 {
			t.Fatalf("%d files after PUT %d of one key, want 1", n, i)
		}
	}
	put(t, s, b, "key", []byte("small"))
	if n := len(files(t, dir)); n != 0 {
		t.Fatalf("%d files after a small object replaced a large one, want 0", n)
	}
	check(t, s.Delete(bg, b, "key"))
	put(t, s, b, "key", storetest.Content(1, 40_000))
	check(t, s.Delete(bg, b, "key"))
	if n := len(files(t, dir)); n != 0 {
		t.Fatalf("%d files after DELETE, want 0", n)
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, diskstore.Options{})
	_, err := diskstore.Open(dir, diskstore.Options{})
	if !errors.Is(err, object.ErrStore) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("Open of a directory in use = %v, want an error that names %s and the reason", err, dir)
	}
	check(t, e.Close())
	open(t, dir, diskstore.Options{})
}

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		name, format string
		want         error
		text         string
	}{
		{"newer", "cistern data directory, format 3\n", object.ErrStore, "newer"},
		{"not a number", "cistern data directory, format x\n", object.ErrDamaged, "FORMAT"},
		{"empty", "", object.ErrDamaged, "FORMAT"},
		{"another program's", "1\n", object.ErrDamaged, "FORMAT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, open(t, dir, diskstore.Options{}).Close())
			check(t, os.WriteFile(filepath.Join(dir, "FORMAT"), []byte(tc.format), 0o600))
			_, err := diskstore.Open(dir, diskstore.Options{})
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("Open = %v, want %v and %q", err, tc.want, tc.text)
			}
		})
	}
	t.Run("older", func(t *testing.T) {
		dir := t.TempDir()
		format := filepath.Join(dir, "FORMAT")
		s := store.New(open(t, dir, diskstore.Options{}))
		b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
		check(t, err)
		put(t, s, b, "key", storetest.Content(1, 100_000))
		check(t, s.Close())
		check(t, os.WriteFile(format, []byte("cistern data directory, format 1\n"), 0o600))
		s = store.New(open(t, dir, diskstore.Options{}))
		check(t, s.Recover(bg))
		_, err = s.Stat(bg, b, "key")
		check(t, err)
		check(t, s.Close())
		if text, err := os.ReadFile(format); err != nil || string(text) != "cistern data directory, format 2\n" {
			t.Fatalf("FORMAT is %q, %v; want one that the version before refuses", text, err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		dir := t.TempDir()
		check(t, open(t, dir, diskstore.Options{}).Close())
		check(t, os.Remove(filepath.Join(dir, "FORMAT")))
		if _, err := diskstore.Open(dir, diskstore.Options{}); !errors.Is(err, object.ErrDamaged) {
			t.Fatalf("Open = %v, want %v", err, object.ErrDamaged)
		}
	})
}

func TestDirectory(t *testing.T) {
	t.Run("is for its owner only", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		s := store.New(open(t, dir, diskstore.Options{}))
		b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
		check(t, err)
		put(t, s, b, "key", storetest.Content(1, 100_000))
		body := files(t, dir)[0]
		fi, err := os.Stat(body)
		check(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("mode of a body is %v, want 0600", fi.Mode().Perm())
		}
		for _, d := range []string{dir, filepath.Join(dir, "bodies"), filepath.Dir(body), filepath.Join(dir, "db")} {
			fi, err := os.Stat(d)
			check(t, err)
			if fi.Mode().Perm() != 0o700 {
				t.Errorf("mode of %q is %v, want 0700", d, fi.Mode().Perm())
			}
		}
	})
	t.Run("is no symbolic link", func(t *testing.T) {
		dir := t.TempDir()
		link := filepath.Join(t.TempDir(), "link")
		check(t, os.Symlink(dir, link))
		if _, err := diskstore.Open(link, diskstore.Options{}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Fatalf("Open of a symbolic link = %v", err)
		}
	})
	t.Run("has no symbolic link for a shard", func(t *testing.T) {
		dir := t.TempDir()
		check(t, open(t, dir, diskstore.Options{}).Close())
		shard := filepath.Join(dir, "bodies", "7f")
		check(t, os.Symlink(t.TempDir(), shard))
		if _, err := diskstore.Open(dir, diskstore.Options{}); err == nil || !strings.Contains(err.Error(), "7f") {
			t.Fatalf("Open = %v, want an error that names the shard", err)
		}
	})
}

func TestDamagedBody(t *testing.T) {
	content := storetest.Content(1, 100_000)
	for _, tc := range []struct {
		name      string
		damage    func(t *testing.T, path string, size int64)
		body      bool // is still served
		label     bool // can be read
		bodyError error
	}{
		{name: "none", damage: func(*testing.T, string, int64) {}, body: true, label: true},
		{name: "removed", damage: func(t *testing.T, p string, _ int64) { check(t, os.Remove(p)) }, bodyError: object.ErrDamaged},
		{name: "empty", damage: func(t *testing.T, p string, _ int64) { check(t, os.Truncate(p, 0)) }, bodyError: object.ErrDamaged},
		{name: "cut in the body", damage: func(t *testing.T, p string, _ int64) { check(t, os.Truncate(p, 50_000)) }, bodyError: object.ErrDamaged},
		{name: "cut by one byte", damage: func(t *testing.T, p string, n int64) { check(t, os.Truncate(p, n-1)) }, bodyError: object.ErrDamaged},
		{name: "longer", damage: func(t *testing.T, p string, n int64) { check(t, os.Truncate(p, n+1)) }, bodyError: object.ErrDamaged},
		{name: "flipped magic", damage: flip(-3), bodyError: object.ErrDamaged},
		{name: "newer trailer", damage: flip(-1), bodyError: object.ErrStore},
		{name: "flipped length of the body", damage: flip(-20), bodyError: object.ErrDamaged},
		{name: "flipped length of the label", damage: flip(-21), bodyError: object.ErrDamaged},
		{name: "flipped checksum of the label", damage: flip(-9), body: true},
		{name: "flipped label", damage: flip(-30), body: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			e := open(t, dir, diskstore.Options{})
			s := store.New(e)
			b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
			check(t, err)
			put(t, s, b, "key", content)
			path := files(t, dir)[0]
			fi, err := os.Stat(path)
			check(t, err)
			tc.damage(t, path, fi.Size())

			o, err := s.Open(bg, b, "key")
			if tc.body {
				check(t, err)
				check(t, o.Body.Close())
				if !bytes.Equal(get(t, s, b, "key"), content) {
					t.Error("the body is not what was put")
				}
			} else if !errors.Is(err, tc.bodyError) || errors.Is(err, object.ErrNoSuchKey) {
				t.Errorf("Open = %v, want %v", err, tc.bodyError)
			}
			label, err := e.Label(bg, store.BodyID(filepath.Base(path)))
			if tc.label {
				check(t, err)
				if !bytes.Contains(label, []byte("key")) {
					t.Errorf("label = %q, want one with the key in it", label)
				}
			} else if err == nil {
				t.Error("the label was read")
			}
			// To replace it and to delete it must be possible whatever the damage.
			put(t, s, b, "key", []byte("new"))
			if got := get(t, s, b, "key"); string(got) != "new" {
				t.Errorf("object = %q, want new", got)
			}
		})
	}
}

// flip returns a damage: one bit of the byte so far from the end.
func flip(at int64) func(t *testing.T, path string, size int64) {
	return func(t *testing.T, path string, size int64) {
		b, err := os.ReadFile(path)
		check(t, err)
		b[size+at] ^= 2
		check(t, os.WriteFile(path, b, 0o600))
	}
}

// The label holds what is needed to write a lost record again.
func TestLabelRebuildsTheRecord(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, diskstore.Options{})
	s := store.New(e)
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	check(t, tryPut(s, b, "a key", storetest.Content(1, 100_000), object.Meta{ETag: `"tag"`, ContentType: "a/b"}))
	want, err := s.Stat(bg, b, "a key")
	check(t, err)
	label, err := e.Label(bg, store.BodyID(filepath.Base(files(t, dir)[0])))
	check(t, err)

	n := int(label[0]) // a varint below 128
	record := store.Record{Key: label[1 : 1+n], Value: label[1+n:]}
	check(t, e.Apply(bg, &store.Batch{Delete: [][]byte{record.Key}}))
	if _, err := s.Stat(bg, b, "a key"); !errors.Is(err, object.ErrNoSuchKey) {
		t.Fatalf("Stat without a record = %v", err)
	}
	check(t, e.Apply(bg, &store.Batch{Set: []store.Record{record}}))
	got, err := s.Stat(bg, b, "a key")
	check(t, err)
	if got.ETag != want.ETag || got.Size != want.Size || !got.Created.Equal(want.Created) {
		t.Errorf("rebuilt = %+v, want %+v", got, want)
	}
	if !bytes.Equal(get(t, s, b, "a key"), storetest.Content(1, 100_000)) {
		t.Error("the body is not what was put")
	}
}

// Small bodies and records make no files; large ones are read through an *os.File, so that a socket can take them without a copy.
func TestWhereBodiesAre(t *testing.T) {
	dir := t.TempDir()
	s := store.New(open(t, dir, diskstore.Options{InlineMax: 1000}))
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	for _, tc := range []struct {
		hint int64
		size int
		file bool
	}{{1000, 1000, false}, {1001, 1001, true}, {-1, 1000, false}, {-1, 1001, true}, {5000, 10, true}, {10, 5000, true}} {
		sp, err := s.NewSpool(bg, tc.hint)
		check(t, err)
		_, err = sp.WriteAt(storetest.Content(1, tc.size), 0)
		check(t, err)
		check(t, s.Put(bg, b, "key", object.Meta{Size: int64(tc.size)}, sp))
		if got := len(files(t, dir)) == 1; got != tc.file {
			t.Errorf("hint %d, %d bytes: in a file = %v, want %v", tc.hint, tc.size, got, tc.file)
		}
		o, err := s.Open(bg, b, "key")
		check(t, err)
		r, err := o.Body.Section(0, o.Size)
		check(t, err)
		l, _ := r.(*io.LimitedReader)
		isFile := false
		if l != nil {
			_, isFile = l.R.(*os.File)
		}
		if isFile != tc.file {
			t.Errorf("hint %d, %d bytes: Section is a %T", tc.hint, tc.size, r)
		}
		check(t, o.Body.Close())
	}
}
