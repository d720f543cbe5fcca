package diskstore_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/internal/store/storetest"
)

// Set in a child that uploads.
const (
	uploaderDir   = "DISKSTORE_TEST_UPLOADER_DIR"
	uploaderStart = "DISKSTORE_TEST_UPLOADER_START"
)

const uploaders = 3

// partsOf are the parts that make version v of a key, in the database and in files.
func partsOf(writer, v int) [][]byte {
	sizes := []int{1, 40_000, 700, 33_000}
	parts := make([][]byte, 1+(v+writer)%3)
	for i := range parts {
		parts[i] = storetest.Content(uint64(writer)<<40|uint64(v)<<8|uint64(i), sizes[(v+i)%len(sizes)])
	}
	return parts
}

// line is what append n to a writer's log appends.
func line(writer, n int) []byte {
	size := 10
	if n%3 == 0 {
		size = 40_000
	}
	return storetest.Content(uint64(writer)<<40|1<<39|uint64(n), size)
}

// uploader uploads objects in parts, aborts some uploads, deletes some objects and appends to logs until it is killed. It tells what it is about
// to do and what is acknowledged: "try WRITER VERSION" and "ack WRITER VERSION" for an object, where an even multiple of five is a DELETE, and
// "more WRITER N" and "got WRITER N" for the log.
func uploader(dir string) error {
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
	var start int
	if _, err := fmt.Sscan(os.Getenv(uploaderStart), &start); err != nil {
		return err
	}
	var mu sync.Mutex // guards os.Stdout: a line is one write
	say := func(word string, w, v int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %d %d\n", word, w, v)
	}
	failed := make(chan error, uploaders)
	for w := range uploaders {
		go func() { failed <- upload(s, b, w, start, say) }() // the parent ends all of them at once
	}
	return <-failed
}

func upload(s *store.Store, b store.Bucket, w, start int, say func(word string, w, v int)) error {
	key, log := fmt.Sprintf("key/%d", w), fmt.Sprintf("log/%d", w)
	lines := 0
	if m, err := s.Stat(bg, b, log); err == nil {
		for n := int64(0); n < m.Size; lines++ {
			n += int64(len(line(w, lines)))
		}
	}
	for v := start; ; v++ {
		say("try", w, v)
		if v%10 == 0 {
			if err := s.Delete(bg, b, key); err != nil {
				return err
			}
			say("ack", w, v)
			continue
		}
		u, err := s.CreateUpload(bg, b, key, object.Meta{User: map[string]string{"v": fmt.Sprint(v)}})
		if err != nil {
			return err
		}
		for i, content := range append(partsOf(w, v), []byte("not chosen")) {
			if err := putPart(s, b, u, i, content); err != nil {
				return err
			}
		}
		if v%4 == 3 {
			if err := s.AbortUpload(bg, b, key, u.ID); err != nil {
				return err
			}
			if u, err = s.CreateUpload(bg, b, key, u.Meta); err != nil {
				return err
			}
			for i, content := range partsOf(w, v) {
				if err := putPart(s, b, u, 2*i, content); err != nil {
					return err
				}
			}
		}
		if _, err := s.CompleteUpload(bg, b, key, u.ID, func(u store.Upload, parts []store.Part) ([]store.Part, object.Meta, error) {
			return parts[:len(partsOf(w, v))], u.Meta, nil
		}); err != nil {
			return err
		}
		say("ack", w, v)
		say("more", w, lines+1)
		content := line(w, lines)
		sp, err := spool(s, content)
		if err != nil {
			return err
		}
		if _, err := s.Append(bg, b, log, store.Part{Size: int64(len(content))}, sp, func(was *object.Meta) (object.Meta, error) {
			if was == nil {
				return object.Meta{}, nil
			}
			return *was, nil
		}); err != nil {
			return err
		}
		lines++
		say("got", w, lines)
	}
}

func spool(s *store.Store, content []byte) (store.Spool, error) {
	sp, err := s.NewSpool(bg, int64(len(content)))
	if err == nil {
		_, err = sp.WriteAt(content, 0)
	}
	return sp, err
}

func putPart(s *store.Store, b store.Bucket, u store.Upload, number int, content []byte) error {
	sp, err := spool(s, content)
	if err != nil {
		return err
	}
	_, err = s.PutPart(bg, b, u.Key, u.ID, store.Part{Number: number, Size: int64(len(content))}, sp)
	return err
}

// TestKillUploads kills a process that uploads, again and again, and looks whether all that was acknowledged is there, whole, and nothing else is.
func TestKillUploads(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	e, err := diskstore.Open(dir, diskstore.Options{})
	check(t, err)
	_, err = store.New(e).CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	check(t, e.Close())

	var acked, tried, got, more [uploaders]int
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	start := 1
	for round := range rounds {
		after := 1 + random.IntN(40)
		moment := time.Duration(random.Int64N(int64(4 * time.Millisecond)))
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), uploaderDir+"="+dir, fmt.Sprintf("%s=%d", uploaderStart, start))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		lines := bufio.NewScanner(out)
		acks := 0
		for lines.Scan() {
			var word string
			var w, v int
			if n, err := fmt.Sscan(lines.Text(), &word, &w, &v); err != nil || n != 3 {
				break // cut off by the end
			}
			*map[string]*int{"try": &tried[w], "ack": &acked[w], "more": &more[w], "got": &got[w]}[word] = v
			if word == "try" {
				start = max(start, v+1)
			}
			if word == "ack" {
				if acks++; acks == after {
					kill := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
					defer kill.Stop()
				}
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
		var use store.Usage
		inFiles := 0
		count := func(content []byte) {
			use.Bytes += int64(len(content))
			if len(content) > 32<<10 {
				inFiles++
			}
		}
		for w := range uploaders {
			m, err := s.Stat(bg, b, fmt.Sprintf("key/%d", w))
			if err != nil { // a DELETE, or nothing was acknowledged yet
				good := acked[w] == 0
				for v := max(acked[w], 1); v <= tried[w]; v++ {
					good = good || v%10 == 0
				}
				if !good {
					t.Errorf("round %d: key %d: %v; acknowledged was %d, tried %d", round, w, err, acked[w], tried[w])
				}
			} else {
				var v int
				if _, err := fmt.Sscan(m.User["v"], &v); err != nil {
					t.Fatal(err)
				}
				if v < acked[w] || v > tried[w] {
					t.Errorf("round %d: key %d has version %d, acknowledged was %d, tried %d", round, w, v, acked[w], tried[w])
				}
				if !bytes.Equal(get(t, s, b, fmt.Sprintf("key/%d", w)), slices.Concat(partsOf(w, v)...)) {
					t.Errorf("round %d: key %d is not the parts of version %d", round, w, v)
				}
				for _, content := range partsOf(w, v) {
					count(content)
				}
				use.Objects++
				acked[w] = v
			}
			if m, err = s.Stat(bg, b, fmt.Sprintf("log/%d", w)); err != nil {
				if got[w] > 0 {
					t.Errorf("round %d: log %d: %v, after %d appends", round, w, err, got[w])
				}
				continue
			}
			var whole []byte
			n := 0
			for ; int64(len(whole)) < m.Size; n++ {
				whole = append(whole, line(w, n)...)
				count(line(w, n))
			}
			use.Objects++
			if n < got[w] || n > more[w] || !bytes.Equal(get(t, s, b, fmt.Sprintf("log/%d", w)), whole) {
				t.Errorf("round %d: log %d has %d bytes, those of %d appends, acknowledged were %d, tried %d", round, w, m.Size, n, got[w], more[w])
			}
			got[w] = n
		}
		if u, err := s.Usage(bg, b); err != nil || u != use {
			t.Errorf("round %d: Usage = %+v, %v, want %+v", round, u, err, use)
		}
		// The uploads that the kill interrupted are there to be gone on with, or to be aborted.
		page, err := s.ListUploads(bg, b, store.ListQuery{Limit: 1000}, "")
		check(t, err)
		if len(page.Uploads) > uploaders {
			t.Errorf("round %d: %d unfinished uploads of %d writers", round, len(page.Uploads), uploaders)
		}
		for _, u := range page.Uploads {
			check(t, s.AbortUpload(bg, b, u.Key, u.ID))
		}
		if n := len(files(t, dir)); n != inFiles {
			t.Errorf("round %d: %d files of bodies, want %d", round, n, inFiles)
		}
		if round == rounds-1 {
			for w := range uploaders {
				check(t, s.Delete(bg, b, fmt.Sprintf("key/%d", w)))
				check(t, s.Delete(bg, b, fmt.Sprintf("log/%d", w)))
			}
			check(t, s.DeleteBucket(bg, b))
			wantFiles(t, "after all is deleted", dir)
		}
		check(t, e.Close())
	}
}

// An object of as many parts as one may have is completed, read and deleted.
func TestManyParts(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: 10,000 synced records")
	}
	dir := t.TempDir()
	e := open(t, dir, diskstore.Options{})
	s := store.New(e)
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	u, err := s.CreateUpload(bg, b, "key", object.Meta{})
	check(t, err)
	content := func(n int) []byte { return storetest.Content(uint64(n), 1+n%50) }
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for n := w; n < object.MaxParts; n += 64 {
				if err := putPart(s, b, u, n, content(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	began := time.Now()
	m, err := s.CompleteUpload(bg, b, "key", u.ID, func(u store.Upload, parts []store.Part) ([]store.Part, object.Meta, error) {
		return parts, u.Meta, nil
	})
	check(t, err)
	completed := time.Since(began)
	var want []byte
	for n := range object.MaxParts {
		want = append(want, content(n)...)
	}
	began = time.Now()
	if got := get(t, s, b, "key"); m.Size != int64(len(want)) || !bytes.Equal(got, want) {
		t.Fatalf("the object has %d bytes that are not its parts, want %d", len(got), len(want))
	}
	read := time.Since(began)
	began = time.Now()
	check(t, s.Delete(bg, b, "key"))
	t.Logf("completed in %v, read in %v, deleted in %v", completed, read, time.Since(began))
	check(t, s.DeleteBucket(bg, b))
}

// BenchmarkAppend shows that an append costs the same however long the object is.
func BenchmarkAppend(b *testing.B) {
	e := open(b, b.TempDir(), diskstore.Options{})
	s := store.New(e)
	bucket, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(b, err)
	content := storetest.Content(1, 200)
	for b.Loop() {
		sp, err := spool(s, content)
		check(b, err)
		_, err = s.Append(bg, bucket, "log", store.Part{Size: 200}, sp, func(was *object.Meta) (object.Meta, error) {
			if was == nil {
				return object.Meta{}, nil
			}
			return *was, nil
		})
		check(b, err)
	}
}

// asSocket takes what io.Copy gives to a socket.
type asSocket struct {
	bytes.Buffer
	files int
}

func (s *asSocket) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			s.files++
		}
	}
	return s.Buffer.ReadFrom(r)
}

// Each piece that is a file reaches the socket as one, so that the kernel can send it alone.
func TestPiecesAreSentAsFiles(t *testing.T) {
	s := store.New(open(t, t.TempDir(), diskstore.Options{}))
	b, err := s.CreateBucket(bg, "bucket", "owner", "zone")
	check(t, err)
	u, err := s.CreateUpload(bg, b, "key", object.Meta{})
	check(t, err)
	var whole []byte
	for i := range 3 {
		content := storetest.Content(uint64(i), 50_000)
		check(t, putPart(s, b, u, i, content))
		whole = append(whole, content...)
	}
	_, err = s.CompleteUpload(bg, b, "key", u.ID, func(u store.Upload, parts []store.Part) ([]store.Part, object.Meta, error) {
		return parts, u.Meta, nil
	})
	check(t, err)
	o, err := s.Open(bg, b, "key")
	check(t, err)
	defer o.Body.Close()
	section, err := o.Body.Section(10, 149_000)
	check(t, err)
	var socket asSocket
	_, err = io.Copy(&socket, section)
	check(t, err)
	if socket.files != 3 || !bytes.Equal(socket.Bytes(), whole[10:149_010]) {
		t.Errorf("%d bytes in %d files, want 149000 in 3", socket.Len(), socket.files)
	}
}
