package diskstore_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/internal/store/storetest"
)

// Set in a child: what it is and which directory is its.
const (
	childDir = "DISKSTORE_TEST_CHILD_DIR"
	saverDir = "DISKSTORE_TEST_SAVER_DIR"
)

func TestMain(m *testing.M) {
	for name, run := range map[string]func(dir string) error{childDir: child, saverDir: saver, uploaderDir: uploader} {
		if dir := os.Getenv(name); dir != "" {
			if err := run(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

const (
	killWriters = 4
	killKeys    = 5 // of each writer
)

// version is the content of a key at a time; its length comes with it.
func version(writer, key, v int) []byte {
	seed := uint64(writer)<<40 | uint64(key)<<32 | uint64(v)
	sizes := []int{1, 700, 32 << 10, 32<<10 + 1, 120_000}
	return storetest.Content(seed, sizes[(v+key+writer)%len(sizes)])
}

// child PUTs and DELETEs until it is killed, and tells of each what it is about to do and when it is acknowledged:
// "try WRITER KEY VERSION" and "ack WRITER KEY VERSION". An odd multiple of three is a DELETE.
func child(dir string) error {
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
	var mu sync.Mutex // guards os.Stdout: a line is one write
	say := func(word string, w, k, v int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %d %d %d\n", word, w, k, v)
	}
	var start int
	if _, err := fmt.Sscan(os.Getenv("DISKSTORE_TEST_CHILD_START"), &start); err != nil {
		return err
	}
	failed := make(chan error, killWriters)
	for w := range killWriters {
		go func() { // the parent ends all of them at once
			for v := start; ; v++ {
				for k := range killKeys {
					say("try", w, k, v)
					var err error
					if isDelete(v) {
						err = s.Delete(bg, b, fmt.Sprintf("%d/%d", w, k))
					} else {
						err = tryPut(s, b, fmt.Sprintf("%d/%d", w, k), version(w, k, v), object.Meta{User: map[string]string{"v": fmt.Sprint(v)}})
					}
					if err != nil {
						failed <- err
						return
					}
					say("ack", w, k, v)
				}
			}
		}()
	}
	return <-failed
}

func isDelete(v int) bool { return v%6 == 3 }

// TestKill kills a process that writes, again and again, and looks whether all that was acknowledged is there.
func TestKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	e, err := diskstore.Open(dir, diskstore.Options{})
	check(t, err)
	_, err = store.New(e).CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	check(t, e.Close())

	type key struct{ w, k int }
	acked, tried := make(map[key]int), make(map[key]int)
	rounds, total := 6, 0
	if testing.Short() {
		rounds = 2
	}
	start := 1
	for round := range rounds {
		// The child is killed after so many acknowledgements, plus a moment that may fall anywhere in a commit.
		after := 1 + random.IntN(60)
		moment := time.Duration(random.Int64N(int64(3 * time.Millisecond)))
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("DISKSTORE_TEST_CHILD_START=%d", start))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		lines := bufio.NewScanner(out)
		acks := 0
		for lines.Scan() {
			var word string
			var w, k, v int
			if n, err := fmt.Sscan(lines.Text(), &word, &w, &k, &v); err != nil || n != 4 {
				break // cut off by the end
			}
			start = max(start, v+1)
			if word == "try" {
				tried[key{w, k}] = v
				continue
			}
			acked[key{w, k}] = v
			total++
			if acks++; acks == after {
				// What the child says in this moment is still read: it was said before the end.
				kill := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
				defer kill.Stop()
			}
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("round %d: the child failed: %s", round, stderr.String())
		}

		e := open(t, dir, diskstore.Options{})
		s := store.New(e)
		check(t, s.Recover(bg))
		b, err := s.Bucket(bg, "bucket")
		check(t, err)
		p, err := s.List(bg, b, store.ListQuery{Limit: 1000})
		check(t, err)
		found := make(map[key]int)
		var use store.Usage
		inFiles := 0
		for _, entry := range p.Entries {
			var at key
			var v int
			if _, err := fmt.Sscanf(entry.Key, "%d/%d", &at.w, &at.k); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscan(entry.Meta.User["v"], &v); err != nil {
				t.Fatal(err)
			}
			found[at] = v
			want := version(at.w, at.k, v)
			if got := get(t, s, b, entry.Key); !bytes.Equal(got, want) {
				t.Errorf("round %d: %s has %d bytes that are not version %d", round, entry.Key, len(got), v)
			}
			use.Objects++
			use.Bytes += int64(len(want))
			if len(want) > 32<<10 {
				inFiles++
			}
		}
		for w := range killWriters {
			for k := range killKeys {
				at := key{w, k}
				// The version that is there lies between the last that was acknowledged and the last that was tried.
				// A key that is not there stands for a DELETE between them, or for nothing acknowledged yet.
				v, ok := found[at]
				lo, hi := acked[at], max(acked[at], tried[at])
				if !ok {
					good := lo == 0
					for d := max(lo, 1); d <= hi; d++ {
						good = good || isDelete(d)
					}
					if !good {
						t.Errorf("round %d: %v is not there, acknowledged was %d, tried %d", round, at, lo, hi)
					}
					continue
				}
				if v < lo || v > hi || isDelete(v) {
					t.Errorf("round %d: %v has version %d, acknowledged was %d, tried %d", round, at, v, lo, hi)
				}
			}
		}
		if got, err := s.Usage(bg, b); err != nil || got != use {
			t.Errorf("round %d: Usage = %+v, %v, want %+v", round, got, err, use)
		}
		if n := len(files(t, dir)); n != inFiles {
			t.Errorf("round %d: %d files of bodies, want %d", round, n, inFiles)
		}
		check(t, e.Close())
		for at, v := range found { // what was seen must not go back
			acked[at] = max(acked[at], v)
		}
	}
	t.Logf("%d rounds, %d acknowledgements", rounds, total)
}
