package diskstore_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/internal/store/storetest"
)

// names returns the names of the files under dir/bodies, sorted.
func names(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	for _, f := range files(t, dir) {
		list = append(list, filepath.Base(f))
	}
	slices.Sort(list)
	return list
}

func wantFiles(t testing.TB, what, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Fatalf("%s: files %q, want %q", what, got, want)
	}
}

// begin begins a fill of key that has written content.
func begin(t testing.TB, s *store.Store, b store.Bucket, key string, content []byte) (store.Intent, store.Spool) {
	t.Helper()
	i, err := s.BeginFill(bg, b, key, nil)
	check(t, err)
	sp, err := s.NewSpool(bg, 1<<20)
	check(t, err)
	_, err = sp.WriteAt(content, 0)
	check(t, err)
	return i, sp
}

// recovered opens dir as the next process does.
func recovered(t testing.TB, dir string) (*diskstore.Engine, *store.Store, store.Bucket) {
	t.Helper()
	e := open(t, dir, diskstore.Options{})
	s := store.New(e)
	check(t, s.Recover(bg))
	b, err := s.Bucket(bg, "bucket")
	check(t, err)
	return e, s, b
}

// withBucket opens an empty directory and makes the bucket.
func withBucket(t testing.TB, dir string) (*diskstore.Engine, *store.Store, store.Bucket) {
	t.Helper()
	e := open(t, dir, diskstore.Options{})
	s := store.New(e)
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	check(t, s.Recover(bg))
	return e, s, b
}

// A fill that was interrupted goes on in the next process, however the one before ended; all else that is unfinished goes.
func TestPartialFill(t *testing.T) {
	content := storetest.Content(1, 1_000_000)
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%v", clean), func(t *testing.T) {
			dir := t.TempDir()
			e, s, b := withBucket(t, dir)
			put(t, s, b, "there", content[:100_000])
			object := names(t, dir)[0]
			i, sp := begin(t, s, b, "key", content[:400_000])
			check(t, s.SaveFill(bg, i, sp, []byte("400000")))
			_, err := sp.WriteAt(content[400_000:500_000], 400_000) // not vouched for
			check(t, err)
			j, other := begin(t, s, b, "other", content[:1000])
			tmp := string(sp.ID()) + ".tmp"
			if clean {
				check(t, s.LeaveFill(bg, i, sp))
				check(t, s.LeaveFill(bg, j, other))
				wantFiles(t, "after the fills were left", dir, object, tmp)
				check(t, e.Close())
			} else {
				dir = crashCopy(t, dir)
				wantFiles(t, "after the crash", dir, object, tmp, string(other.ID())+".tmp")
				check(t, sp.Discard())
				check(t, other.Discard())
			}
			for round := range 3 { // and through further restarts, which sweep or not
				e, _, _ = recovered(t, dir)
				wantFiles(t, fmt.Sprint("after start ", round), dir, object, tmp)
				if round == 1 {
					check(t, e.Close())
				} else {
					dir = crashCopy(t, dir)
				}
			}
			e, s, b = recovered(t, dir)
			i, err = s.BeginFill(bg, b, "other", nil)
			check(t, err)
			if _, _, ok, err := s.ResumeFill(bg, i); ok || err != nil {
				t.Fatalf("ResumeFill of what was not saved = %v, %v", ok, err)
			}
			i, err = s.BeginFill(bg, b, "key", nil)
			check(t, err)
			again, state, ok, err := s.ResumeFill(bg, i)
			check(t, err)
			if !ok || string(state) != "400000" {
				t.Fatalf("ResumeFill = %q, %v, want 400000", state, ok)
			}
			_, err = again.WriteAt(content[400_000:], 400_000)
			check(t, err)
			check(t, s.CommitFill(bg, i, meta(content), again))
			wantFiles(t, "after the commit", dir, object, string(sp.ID()))
			if !bytes.Equal(get(t, s, b, "key"), content) {
				t.Error("the object is not what was filled")
			}
			check(t, e.Close())
			_, s, b = recovered(t, dir)
			if !bytes.Equal(get(t, s, b, "key"), content) {
				t.Error("the object is not what was filled, after another start")
			}
		})
	}
}

func meta(content []byte) object.Meta { return object.Meta{Size: int64(len(content))} }

// What nobody can resume goes at the next start, also after a clean end, where nothing is swept.
func TestUselessPartialsGo(t *testing.T) {
	content := storetest.Content(2, 200_000)
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, s *store.Store, b store.Bucket, path string)
	}{
		{"the setting changed", func(t *testing.T, s *store.Store, b store.Bucket, _ string) {
			check(t, s.SetSetting(bg, b, "mirror", []byte("site")))
		}},
		{"the object is there", func(t *testing.T, s *store.Store, b store.Bucket, _ string) { put(t, s, b, "key", nil) }},
		{"the file was cut", func(t *testing.T, _ *store.Store, _ store.Bucket, path string) { check(t, os.Truncate(path, 199_999)) }},
		{"the file was removed", func(t *testing.T, _ *store.Store, _ store.Bucket, path string) { check(t, os.Remove(path)) }},
	} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, clean=%v", tc.name, clean), func(t *testing.T) {
				dir := t.TempDir()
				e, s, b := withBucket(t, dir)
				i, sp := begin(t, s, b, "key", content)
				check(t, s.SaveFill(bg, i, sp, nil))
				check(t, s.LeaveFill(bg, i, sp))
				tc.spoil(t, s, b, files(t, dir)[0])
				if clean {
					check(t, e.Close())
				} else {
					dir = crashCopy(t, dir)
				}
				e, _, _ = recovered(t, dir)
				wantFiles(t, "after the start", dir)
				if it, err := e.Scan(bg, []byte("P"), []byte("Q")); err != nil || it.Next() {
					t.Fatalf("the note is still there (%v)", err)
				} else {
					check(t, it.Close())
				}
			})
		}
	}
}

// A process may end after a commit gave the file its end, or its final name, and before the record is there.
func TestPartialFillThatAlmostCommitted(t *testing.T) {
	content := storetest.Content(3, 200_000)
	dir := t.TempDir()
	e, s, b := withBucket(t, dir)
	i, sp := begin(t, s, b, "key", content)
	check(t, s.SaveFill(bg, i, sp, []byte("all")))

	t.Run("the end is there", func(t *testing.T) {
		dir := crashCopy(t, dir)
		f, err := os.OpenFile(files(t, dir)[0], os.O_WRONLY|os.O_APPEND, 0)
		check(t, err)
		_, err = f.Write(make([]byte, 100))
		check(t, errors.Join(err, f.Close()))
		_, s, b := recovered(t, dir)
		i, err := s.BeginFill(bg, b, "key", nil)
		check(t, err)
		sp, _, ok, err := s.ResumeFill(bg, i)
		if err != nil || !ok {
			t.Fatalf("ResumeFill = %v, %v", ok, err)
		}
		check(t, s.CommitFill(bg, i, meta(content), sp))
		if !bytes.Equal(get(t, s, b, "key"), content) {
			t.Error("the object is not what was filled")
		}
	})
	t.Run("the final name is there", func(t *testing.T) {
		err := e.Apply(bg, &store.Batch{
			Require: []store.Condition{{Key: []byte("x"), Equals: []byte("y")}},
			Keep:    []store.Kept{{Spool: sp, Size: 200_000}},
		})
		if !errors.Is(err, store.ErrConflict) {
			t.Fatalf("Apply = %v, want %v", err, store.ErrConflict)
		}
		wantFiles(t, "before the end", dir, string(sp.ID()))
		dir := crashCopy(t, dir)
		_, s, b := recovered(t, dir)
		wantFiles(t, "after the start", dir)
		i, err := s.BeginFill(bg, b, "key", nil)
		check(t, err)
		if _, _, ok, err := s.ResumeFill(bg, i); ok || err != nil {
			t.Fatalf("ResumeFill = %v, %v, want nothing", ok, err)
		}
	})
	check(t, sp.Discard())
}

// A body of an earlier process that this one took up is no leftover, also while its record is on the way.
func TestSweepSparesWhatWasReopened(t *testing.T) {
	content := storetest.Content(4, 200_000)
	dir := t.TempDir()
	_, s, b := withBucket(t, dir)
	for _, key := range []string{"almost", "writing"} {
		i, sp := begin(t, s, b, key, content)
		check(t, s.SaveFill(bg, i, sp, nil))
		check(t, sp.Leave())
	}
	dir = crashCopy(t, dir)

	e := open(t, dir, diskstore.Options{})
	s = store.New(e)
	spools := make(map[string]store.Spool)
	for _, key := range []string{"almost", "writing"} {
		i, err := s.BeginFill(bg, b, key, nil)
		check(t, err)
		sp, _, ok, err := s.ResumeFill(bg, i)
		if err != nil || !ok {
			t.Fatalf("ResumeFill(%s) = %v, %v", key, ok, err)
		}
		spools[key] = sp
	}
	almost := func(c store.Condition) error {
		return e.Apply(bg, &store.Batch{Require: []store.Condition{c}, Keep: []store.Kept{{Spool: spools["almost"], Size: 200_000}}})
	}
	// A first try gives the file its final name.
	if err := almost(store.Condition{Key: []byte("x"), Equals: []byte("y")}); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("Apply = %v, want %v", err, store.ErrConflict)
	}
	asked := false
	check(t, e.Sweep(bg, nil, func(func(store.BodyID) bool) error {
		asked = true
		return almost(store.Condition{Key: []byte("x")})
	}))
	if !asked {
		t.Fatal("the sweep did not ask for the live bodies")
	}
	wantFiles(t, "after the sweep", dir, string(spools["almost"].ID()), string(spools["writing"].ID())+".tmp")
	body, err := e.Open(bg, spools["almost"].ID())
	check(t, err)
	check(t, body.Close())
	check(t, spools["writing"].Discard())
}

// A sweep removes the unfinished files of earlier processes that it is not told to spare.
func TestSweepSparesWhatIsNamed(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, diskstore.Options{})
	var ids []store.BodyID
	for range 2 {
		sp, err := e.NewSpool(bg, 1<<20)
		check(t, err)
		_, err = sp.Sync()
		check(t, err)
		check(t, sp.Leave())
		ids = append(ids, sp.ID())
	}
	wantFiles(t, "after the spools were left", dir, string(ids[0])+".tmp", string(ids[1])+".tmp")
	dir = crashCopy(t, dir)
	e = open(t, dir, diskstore.Options{})
	check(t, e.Sweep(bg, map[store.BodyID]bool{ids[1]: true}, func(func(store.BodyID) bool) error { return nil }))
	wantFiles(t, "after the sweep", dir, string(ids[1])+".tmp")
}

// A spool that Apply refused has its final name already, and leaves no file under either.
func TestLeaveAfterARefusal(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, diskstore.Options{})
	sp, err := e.NewSpool(bg, 1<<20)
	check(t, err)
	_, err = sp.WriteAt(storetest.Content(1, 1000), 0)
	check(t, err)
	_, err = sp.Sync()
	check(t, err)
	err = e.Apply(bg, &store.Batch{
		Require: []store.Condition{{Key: []byte("x"), Equals: []byte("y")}},
		Keep:    []store.Kept{{Spool: sp, Size: 1000}},
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("Apply = %v, want %v", err, store.ErrConflict)
	}
	check(t, sp.Leave())
	wantFiles(t, "after Leave", dir)
}

// A body in memory moves to a file when it is synced.
func TestSyncOfASmallSpool(t *testing.T) {
	dir := t.TempDir()
	_, s, b := withBucket(t, dir)
	i, err := s.BeginFill(bg, b, "key", nil)
	check(t, err)
	sp, err := s.NewSpool(bg, 10)
	check(t, err)
	reader, err := sp.Open()
	check(t, err)
	defer reader.Close()
	_, err = sp.WriteAt([]byte("small"), 0)
	check(t, err)
	wantFiles(t, "before the sync", dir)
	check(t, s.SaveFill(bg, i, sp, nil))
	wantFiles(t, "after the sync", dir, string(sp.ID())+".tmp")
	got := make([]byte, 5)
	if _, err := reader.ReadAt(got, 0); err != nil || string(got) != "small" {
		t.Errorf("a reader from before = %q, %v", got, err)
	}
	dir = crashCopy(t, dir)
	check(t, sp.Discard())
	_, s, b = recovered(t, dir)
	i, err = s.BeginFill(bg, b, "key", nil)
	check(t, err)
	sp, _, ok, err := s.ResumeFill(bg, i)
	if err != nil || !ok {
		t.Fatalf("ResumeFill = %v, %v", ok, err)
	}
	_, err = sp.WriteAt([]byte("er"), 5)
	check(t, err)
	check(t, s.CommitFill(bg, i, object.Meta{Size: 7}, sp))
	if got := get(t, s, b, "key"); string(got) != "smaller" {
		t.Errorf("object = %q, want smaller", got)
	}
	check(t, s.Delete(bg, b, "key"))
	wantFiles(t, "after DELETE", dir)
}

// The object of TestKillWhileSaving, and the pieces in which it arrives, in an order that depends on the piece's number.
const (
	savePieces = 64
	savePiece  = 40_000
)

func saveOrder() []int { return rand.New(rand.NewPCG(5, 5)).Perm(savePieces) }

// saver goes on with the fill of a key, piece by piece, and says "saved N" after each save: N pieces are noted. One goroutine writes, this one
// saves, so that there are always bytes on the way that no note vouches for.
func saver(dir string) error {
	e, err := diskstore.Open(dir, diskstore.Options{})
	if err != nil {
		return err
	}
	s := store.New(e)
	if err := s.Recover(bg); err != nil {
		return err
	}
	b, err := s.Bucket(bg, "bucket")
	if err != nil {
		return err
	}
	i, err := s.BeginFill(bg, b, "key", nil)
	if err != nil {
		return err
	}
	sp, state, ok, err := s.ResumeFill(bg, i)
	if err != nil {
		return err
	}
	from := 0
	if ok {
		if _, err := fmt.Sscan(string(state), &from); err != nil {
			return err
		}
	} else if sp, err = s.NewSpool(bg, savePieces*savePiece); err != nil {
		return err
	}
	fmt.Printf("resumed %d\n", from)
	if _, err := s.NewSpool(bg, 1<<20); err != nil { // which is never saved
		return err
	}
	content := storetest.Content(6, savePieces*savePiece)
	written := make(chan int, savePieces)
	failed := make(chan error, 1)
	go func() { // ends with the process, or with its last piece
		defer close(written)
		for n, piece := range saveOrder()[from:] {
			at := piece * savePiece
			if _, err := sp.WriteAt(content[at:at+savePiece], int64(at)); err != nil {
				failed <- err
				return
			}
			written <- from + n + 1
		}
	}()
	for n := range written {
		if err := s.SaveFill(bg, i, sp, fmt.Append(nil, n)); err != nil {
			return err
		}
		fmt.Printf("saved %d\n", n)
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until it is killed
	return err
}

// TestKillWhileSaving kills a process that fills and saves, again and again, and looks whether what was saved is there and right.
func TestKillWhileSaving(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	e, _, _ := withBucket(t, dir)
	check(t, e.Close())
	content := storetest.Content(6, savePieces*savePiece)
	order := saveOrder()
	saved := 0
	for round := 0; saved < savePieces; round++ {
		// Killed after some saves, plus a moment that may fall anywhere in one.
		after := saved + 10 + random.IntN(40)
		moment := time.Duration(random.Int64N(int64(2 * time.Millisecond)))
		acked := kill(t, dir, saved, min(after, savePieces), moment)

		e, s, b := recovered(t, dir)
		i, err := s.BeginFill(bg, b, "key", nil)
		check(t, err)
		sp, state, ok, err := s.ResumeFill(bg, i)
		check(t, err)
		if !ok {
			t.Fatalf("round %d: %d pieces were saved, nothing is there", round, acked)
		}
		wantFiles(t, fmt.Sprint("round ", round), dir, string(sp.ID())+".tmp")
		_, err = fmt.Sscan(string(state), &saved)
		check(t, err)
		if saved < acked {
			t.Fatalf("round %d: %d pieces are noted, %d were acknowledged", round, saved, acked)
		}
		body, err := sp.Open()
		check(t, err)
		for _, piece := range order[:saved] {
			got := make([]byte, savePiece)
			if _, err := body.ReadAt(got, int64(piece*savePiece)); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if !bytes.Equal(got, content[piece*savePiece:(piece+1)*savePiece]) {
				t.Fatalf("round %d: piece %d is noted and wrong", round, piece)
			}
		}
		check(t, body.Close())
		if saved < savePieces {
			check(t, s.LeaveFill(bg, i, sp))
		} else {
			check(t, s.CommitFill(bg, i, meta(content), sp))
			if !bytes.Equal(get(t, s, b, "key"), content) {
				t.Error("the object is not what was filled")
			}
		}
		check(t, e.Close())
	}
}

// kill runs a saver, which resumes at from, until it has saved the piece with the number after, and returns the last that it acknowledged.
func kill(t *testing.T, dir string, from, after int, moment time.Duration) (acked int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), saverDir+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	check(t, err)
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var word string
		var n int
		if _, err := fmt.Sscan(lines.Text(), &word, &n); err != nil {
			break // cut off by the end
		}
		if word == "resumed" {
			if n != from {
				t.Errorf("the child resumes at piece %d, want %d", n, from)
			}
			continue
		}
		acked = n
		if n == after {
			end := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
			defer end.Stop()
		}
	}
	_ = cmd.Wait()
	if s := strings.TrimSpace(stderr.String()); s != "" {
		t.Fatalf("the child failed: %s", s)
	}
	return acked
}
