package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/service"
)

// The scripts show what the commands do. Here the server runs as a process of its own, too, and meets what a script cannot say: many clients at
// once, and an end without warning in the middle of everything.

// waitLimit bounds every wait of these tests. Nothing but a failure waits for it.
const waitLimit = 20 * time.Second

// running is a server in a process of its own.
type running struct {
	*process
	t      *testing.T
	url    string
	svc    *service.Service
	client *http.Client
}

// launch starts "cistern serve" on dir and returns when it listens. It is gone when the test ends.
func launch(t *testing.T, dir string, flags ...string) *running {
	t.Helper()
	const id, secret = "OPERATOR", "secret-of-the-operator"
	path, err := exec.LookPath("cistern") // TestMain puts the command that is tested first
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data", dir}, flags...)...)}
	p.more = sync.NewCond(&p.mu)
	p.cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), envKeyID+"="+id, envSecret+"="+secret, "GORACE=atexit_sleep_ms=0")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := make(chan string, 1)
	p.wg.Go(func() { p.read(stderr, url) })
	transport := &http.Transport{DisableCompression: true}
	r := &running{process: p, t: t, client: &http.Client{Transport: transport, Timeout: waitLimit}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.wait()
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", strings.Join(p.log, "\n"))
		}
	})
	at, ok := <-url
	if !ok {
		t.Fatalf("the server ended before it listened: %v", p.wait())
	}
	r.url = at
	c, err := config.New(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	c.Endpoint, c.DisableURICleaning = at, true
	if r.svc, err = service.Init(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Connection.CloseIdleConnections)
	return r
}

// kill ends the server as it can be ended at any time, and waits until it is gone.
func (r *running) kill() {
	r.t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := r.wait(); !errors.As(err, &exit) {
		r.t.Fatalf("the server ended with %v, want it killed", err)
	}
}

// stop ends the server in good order.
func (r *running) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.wait(); err != nil {
		r.t.Fatalf("the server ended with %v", err)
	}
}

func (r *running) bucket(name string) *service.Bucket {
	r.t.Helper()
	b, err := r.svc.Bucket(name, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// get asks for an object without a signature.
func (r *running) get(path string) (*http.Response, error) { return r.client.Get(r.url + path) }

// metric is the value of a metric without labels, as it is written.
func (r *running) metric(name string) string {
	r.t.Helper()
	resp, err := r.get("/-/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	r.t.Fatalf("no metric %s", name)
	return ""
}

// listed returns the sizes of a bucket's objects by key.
func (r *running) listed(name string) map[string]int64 {
	r.t.Helper()
	sizes := map[string]int64{}
	for e, err := range list(r.t.Context(), r.bucket(name), "", "") {
		if err != nil {
			r.t.Fatal(err)
		}
		sizes[e.Key] = e.Size
	}
	return sizes
}

// until waits for a condition that nobody announces.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(waitLimit); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// await waits for a channel to be closed.
func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(waitLimit):
		t.Fatalf("waited in vain for: %s", what)
	}
}

// raced reports whether the race detector watches.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// compare reads what want has between from and to.
func compare(r io.Reader, want []byte, from, to int) error {
	buf := make([]byte, 256<<10)
	for from < to {
		n, err := io.ReadFull(r, buf[:min(len(buf), to-from)])
		if !bytes.Equal(buf[:n], want[from:from+n]) {
			return fmt.Errorf("wrong bytes between %d and %d", from, from+n)
		}
		if from += n; err != nil {
			return fmt.Errorf("after %d bytes: %w", from, err)
		}
	}
	return nil
}

// A hundred clients of one object that is not there yet are one request to the source, however they come and go: the first one leaves after a
// MiB, and one that joins in the middle is served at once with what is there (mirror-asks 1-3, 6, 11, 12, 16).
func TestCrowdOfOneObject(t *testing.T) {
	t.Parallel()
	const size, half = 64 << 20, 32 << 20
	clients := 100
	if raced() {
		clients = 20 // each byte costs ten times as much there
	}
	content := cisterntest.NewContent("crowd", size)
	want, gate := content.Bytes(), cisterntest.NewGate()
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); !ok {
			return
		}
		c.Head(200, fmt.Sprintf("Content-Length: %d", size), "ETag: "+content.ETag())
		if c.SendBytes(want[:half]) && c.Wait(gate) {
			c.SendBytes(want[half:])
		}
	})
	s := launch(t, t.TempDir(), "--mirror", "demo="+o.URL())
	open := func() (*http.Response, error) {
		resp, err := s.get("/demo/k")
		if err == nil && (resp.StatusCode != 200 || resp.ContentLength != size) {
			err = fmt.Errorf("status %d, length %d", resp.StatusCode, resp.ContentLength)
		}
		return resp, err
	}
	read := func(r io.Reader, from, to int) error { return compare(r, want, from, to) }

	first, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if err := read(first.Body, 0, 1<<20); err != nil {
		t.Errorf("the first client: %v", err)
	}
	var crowd sync.WaitGroup
	for i := range clients - 2 {
		crowd.Go(func() {
			resp, err := open()
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			defer resp.Body.Close()
			if err := read(resp.Body, 0, size); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			if n, err := resp.Body.Read(make([]byte, 1)); n > 0 || err != io.EOF {
				t.Errorf("client %d: %d more bytes, %v behind the end", i, n, err)
			}
		})
	}
	until(t, "the clients to join", func() bool { return s.metric("cistern_fills_coalesced_total") == fmt.Sprint(clients-2) })
	_ = first.Body.Close() // it leaves, and whoever began it is gone

	late, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer late.Body.Close()
	if err := read(late.Body, 0, half); err != nil { // the source sends nothing now
		t.Errorf("the client that joined in the middle: %v", err)
	}
	gate.Release()
	if err := read(late.Body, half, size); err != nil {
		t.Errorf("the client that joined in the middle: %v", err)
	}
	crowd.Wait()
	until(t, "the object to be stored", func() bool { return s.metric("cistern_fills_completed_total") == "1" })
	hit, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer hit.Body.Close()
	if err := read(hit.Body, 0, size); err != nil || !strings.Contains(hit.Header.Get("Cache-Status"), "hit") {
		t.Errorf("afterwards: %v, Cache-Status %q; want a hit", err, hit.Header.Get("Cache-Status"))
	}
	if got := o.Requests(); len(got) != 1 {
		t.Errorf("the source saw %d requests, want 1", len(got))
	}
	s.stop()
}

// versions are the contents that a key was given, in order. A PUT that was under way at a kill may have come to its end or not.
type versions struct {
	mu           sync.Mutex // guards what follows
	tried, acked map[string]int
	acks         int
	at           int // closes reached
	reached      chan struct{}
}

// contentOf is what a key has in a version. Its size may be that of a record alone, or of one with a file.
func contentOf(key string, v int) cisterntest.Content {
	sizes := []int64{0, 1, 700, 32 << 10, 32<<10 + 1, 300_000}
	return cisterntest.NewContent(fmt.Sprintf("%s#%d", key, v), sizes[(v+len(key)+int(key[len(key)-1]))%len(sizes)])
}

func (v *versions) try(key string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	// What was tried and not acknowledged may be there: its number is not given again.
	v.tried[key]++
	return v.tried[key]
}

func (v *versions) ack(key string, n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.acked[key] = n
	if v.acks++; v.acks == v.at {
		close(v.reached)
	}
}

// expect starts a count: reached is closed after n further acknowledgements.
func (v *versions) expect(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at, v.reached = v.acks+n, make(chan struct{})
}

// dyingSource is a source in whose answers the server is killed. All its objects have validators and ranges.
type dyingSource struct {
	*cisterntest.Origin
	healthy atomic.Bool // the answers are whole
	big     []byte
}

const (
	bigSize  = 65 << 20 // large enough to be gone on with
	bigFirst = 24 << 20 // of it arrives at once, the rest slowly
	halfSize = 1 << 20  // of the fills that break off
	fastSize = 300_000  // of those that come to their end
)

func sizeOf(key string) int64 {
	switch {
	case key == "big":
		return bigSize
	case strings.HasPrefix(key, "half"):
		return halfSize
	}
	return fastSize
}

func newDyingSource(t *testing.T) *dyingSource {
	s := &dyingSource{big: cisterntest.NewContent("big", bigSize).Bytes()}
	s.Origin = cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			if !ok || !s.answer(c, r) {
				return
			}
		}
	})
	return s
}

func (s *dyingSource) answer(c *cisterntest.Conn, r cisterntest.Request) bool {
	key := strings.TrimPrefix(r.Target, "/")
	size := sizeOf(key)
	content := cisterntest.NewContent(key, size)
	header := []string{"Accept-Ranges: bytes", "ETag: " + content.ETag(), "Last-Modified: " + cisterntest.SiteModified.Format(http.TimeFormat)}
	from, status := int64(0), 200
	if v := r.Header.Get("Range"); v != "" && r.Header.Get("If-Range") == content.ETag() {
		var last int64
		if _, err := fmt.Sscanf(v, "bytes=%d-%d", &from, &last); err != nil || last != size-1 {
			return c.Respond(416, "")
		}
		status = 206
		header = append(header, fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, last, size))
	}
	if !c.Head(status, append(header, fmt.Sprintf("Content-Length: %d", size-from))...) {
		return false
	}
	body := io.NewSectionReader(content, from, size-from)
	if size == bigSize {
		body = io.NewSectionReader(bytes.NewReader(s.big), from, size-from)
	}
	if s.healthy.Load() || size == fastSize {
		return c.SendFrom(body)
	}
	if size == halfSize {
		if c.SendFrom(io.LimitReader(body, halfSize/2)) {
			c.Hang()
		}
		return false
	}
	if !c.SendFrom(io.LimitReader(body, bigFirst)) {
		return false
	}
	c.Throttle(128 << 10)
	return c.SendFrom(body)
}

// TestKill kills a server in the middle of PUTs and of fills, and starts it again: every PUT that was acknowledged is there, nothing else than whole
// objects is served or listed, a large fill goes on with what is on disk, and the counters are those of a recount (mirror-asks 46, 48).
func TestKill(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, o := t.TempDir(), newDyingSource(t)
	// One connection a fill, so that the source sees what is asked for in one piece.
	flags := []string{"--mirror", "demo=" + o.URL(), "--fill-connections", "1"}
	puts := &versions{tried: map[string]int{}, acked: map[string]int{}}

	s := launch(t, dir, flags...)
	if _, err := s.bucket("puts").Put(); err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	begun := make(chan struct{})
	clients.Go(func() { s.watchBreak("big", begun) })
	await(t, "the large fill to begin", begun)
	// Every few seconds the server notes how far a large fill came. The note is a record, and records are in the log of the database.
	until(t, "the large fill to be noted on disk", func() bool { return noted(t, dir) })
	s.killAmidst(&clients, puts, random, 0)

	asked := len(o.Requests())
	s = launch(t, dir, flags...)
	s.checkPuts(puts)
	s.checkFills(o)
	if _, ok := s.listed("demo")["big"]; ok {
		t.Error("the large object is listed before it is there")
	}
	o.healthy.Store(true)
	resp, err := s.get("/demo/big")
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(resp.Body, o.big, 0, bigSize); err != nil || resp.StatusCode != 200 || resp.ContentLength != bigSize {
		t.Errorf("the large object = %d, %v; want all of it", resp.StatusCode, err)
	}
	_ = resp.Body.Close()
	var big []cisterntest.Request
	for _, r := range o.Requests()[asked:] {
		if r.Target == "/big" {
			big = append(big, r)
		}
	}
	var from int64
	if len(big) != 1 {
		t.Errorf("the source saw %d requests for the rest of the large object, want 1", len(big))
	} else if _, err := fmt.Sscanf(big[0].Header.Get("Range"), "bytes=%d-", &from); err != nil || from < bigFirst ||
		big[0].Header.Get("If-Range") != cisterntest.NewContent("big", bigSize).ETag() {
		t.Errorf("the source was asked for Range: %q, If-Range: %q; want what is missing behind %d, of the same object",
			big[0].Header.Get("Range"), big[0].Header.Get("If-Range"), bigFirst)
	}
	until(t, "the large object to be stored", func() bool { return s.listed("demo")["big"] == bigSize })

	// And again, with objects that are replaced.
	o.healthy.Store(false)
	s.killAmidst(&clients, puts, random, 1)
	s = launch(t, dir, flags...)
	s.checkPuts(puts)
	s.checkFills(o)
	o.healthy.Store(true)
	resp, err = s.get("/demo/half-0-0") // of what broke off nothing is in the way
	if err != nil {
		t.Fatal(err)
	}
	if err := cisterntest.NewContent("half-0-0", halfSize).Check(resp.Body, 0, halfSize); err != nil || resp.StatusCode != 200 {
		t.Errorf("what broke off = %d, %v; want all of it", resp.StatusCode, err)
	}
	_ = resp.Body.Close()
	s.stop()
	recount(t, dir)
	t.Logf("%d PUTs were acknowledged, the large fill went on at %d of %d", puts.acks, from, bigSize)
}

// noted reports whether the log of the database has the state of a fill.
func noted(t *testing.T, dir string) bool {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "db", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have just gone
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(`"have":[{`)) {
			return true
		}
	}
	return false
}

// killAmidst kills the server while clients put and fill, and waits for all of them to notice. The keys of the fills have the round's number.
func (r *running) killAmidst(clients *sync.WaitGroup, puts *versions, random *rand.Rand, round int) {
	r.t.Helper()
	puts.expect(30 + random.IntN(60))
	for w := range 4 {
		clients.Go(func() { r.put(puts, w) })
	}
	for i := range 4 {
		begun := make(chan struct{})
		clients.Go(func() { r.watchBreak(fmt.Sprintf("half-%d-%d", round, i), begun) })
		await(r.t, "a fill to begin", begun)
	}
	clients.Go(func() { // these come to their end until the server does
		for i := 0; ; i++ {
			resp, err := r.get(fmt.Sprintf("/demo/fast-%d-%d", round, i%50))
			if err != nil {
				return
			}
			n, err := io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err == nil && (n != fastSize || resp.StatusCode != 200) {
				r.t.Errorf("GET ended cleanly with %d and %d bytes, want 200 and %d", resp.StatusCode, n, fastSize)
			}
		}
	})
	await(r.t, "PUTs to be acknowledged", puts.reached)
	<-time.After(time.Duration(random.Int64N(int64(5 * time.Millisecond)))) // anywhere in a commit
	r.kill()
	clients.Wait()
}

// put puts versions of its keys until the server is gone.
func (r *running) put(puts *versions, writer int) {
	b := r.bucket("puts")
	for i := 0; ; i++ {
		key := fmt.Sprintf("writer%d/key%d", writer, i%5)
		v := puts.try(key)
		c := contentOf(key, v)
		out, err := b.PutObject(key, &service.PutObjectInput{Body: c.Reader()})
		if err != nil {
			return
		}
		if service.IntValue(out.StatusCode) != 201 {
			r.t.Errorf("PUT %s = %d, want 201", key, service.IntValue(out.StatusCode))
		}
		puts.ack(key, v)
	}
}

// watchBreak reads an object whose fill does not end, closes begun with its first bytes, and makes sure that the end of the server does not
// look like the end of the object.
func (r *running) watchBreak(key string, begun chan<- struct{}) {
	size := min(sizeOf(key)/2, bigFirst)
	defer func() {
		if begun != nil {
			close(begun)
		}
	}()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(r.url + "/demo/" + key)
	if err != nil {
		r.t.Errorf("GET %s: %v", key, err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, size); err != nil {
		r.t.Errorf("GET %s: %v before the kill", key, err)
		return
	}
	close(begun)
	begun = nil
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		r.t.Errorf("GET %s ended cleanly after %d bytes, want it cut", key, size+n)
	}
}

// checkPuts checks that every key has the last version that was acknowledged, or the one that was under way, and whole.
func (r *running) checkPuts(puts *versions) {
	r.t.Helper()
	puts.mu.Lock()
	defer puts.mu.Unlock()
	sizes := r.listed("puts")
	for key := range sizes {
		if puts.tried[key] == 0 {
			r.t.Errorf("%q is listed, and nobody put it", key)
		}
	}
	for key, tried := range puts.tried {
		out, err := r.bucket("puts").GetObject(key, nil)
		if err != nil {
			if _, listed := sizes[key]; puts.acked[key] > 0 || listed {
				r.t.Errorf("%s: %v; listed: %t, acknowledged: version %d", key, err, listed, puts.acked[key])
			}
			continue
		}
		body, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil {
			r.t.Errorf("%s: %v", key, err)
			continue
		}
		found := 0
		for v := max(puts.acked[key], 1); v <= tried; v++ {
			if bytes.Equal(body, contentOf(key, v).Bytes()) {
				found = v
			}
		}
		if size, ok := sizes[key]; found == 0 || !ok || size != int64(len(body)) {
			r.t.Errorf("%s has %d bytes, listed with %d; want version %d to %d", key, len(body), size, puts.acked[key], tried)
		}
		if found > 0 {
			puts.acked[key] = found // what was seen must not go back
		}
	}
}

// checkFills checks that what is listed is whole, and that nothing is that broke off.
func (r *running) checkFills(o *dyingSource) {
	r.t.Helper()
	sizes := r.listed("demo")
	for key, size := range sizes {
		if strings.HasPrefix(key, "half") {
			r.t.Errorf("%s is listed with %d bytes, and broke off", key, size)
			continue
		}
		resp, err := r.get("/demo/" + key)
		if err != nil {
			r.t.Fatal(err)
		}
		want := o.big
		if key != "big" {
			want = cisterntest.NewContent(key, fastSize).Bytes()
		}
		if err := compare(resp.Body, want, 0, len(want)); err != nil || size != int64(len(want)) || resp.Header.Get("Cache-Status") != "cistern; hit" {
			r.t.Errorf("%s, listed with %d bytes: %v, Cache-Status %q; want a hit", key, size, err, resp.Header.Get("Cache-Status"))
		}
		_ = resp.Body.Close()
	}
}

// recount compares the counters of each bucket with its objects, and the bodies on disk with what may have one.
func recount(t *testing.T, dir string) {
	t.Helper()
	e, err := diskstore.Open(dir, diskstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(e)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	buckets, err := s.Buckets(t.Context())
	if err != nil || len(buckets) != 2 {
		t.Fatalf("buckets = %v, %v; want 2", buckets, err)
	}
	objects := 0
	for _, b := range buckets {
		page, err := s.List(t.Context(), b, store.ListQuery{Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		var want store.Usage
		for _, entry := range page.Entries {
			want.Objects++
			want.Bytes += entry.Meta.Size
		}
		objects += len(page.Entries)
		if got, err := s.Usage(t.Context(), b); err != nil || got != want || want.Objects == 0 {
			t.Errorf("%s: the counters say %+v, %v; a recount %+v", b.Name, got, err, want)
		}
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(dir, "bodies"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
		}
		return err
	})
	if err != nil || files > objects {
		t.Errorf("%d bodies are on disk (%v), want at most one for each of the %d objects", files, err, objects)
	}
}

// What happened to an object is told, and a part that was acknowledged is there, whatever the server was doing when it was killed.
func TestKillLosesNoEventAndNoPart(t *testing.T) {
	var open atomic.Bool
	asked, told := make(chan struct{}, 1), make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var doc struct {
			Events []struct {
				Type     string `json:"event_type"`
				QingStor struct {
					Object struct{ Name string } `json:"object"`
				} `json:"qingstor"`
			} `json:"events"`
		}
		if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
			t.Error(err)
		}
		if !open.Load() {
			select {
			case asked <- struct{}{}:
			default:
			}
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		for _, e := range doc.Events {
			told <- e.Type + " " + e.QingStor.Object.Name
		}
	}))
	defer receiver.Close()

	dir := t.TempDir()
	r := launch(t, dir)
	b := r.bucket("told")
	try := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	try(b.Put())
	try(b.PutNotification(&service.PutBucketNotificationInput{Notifications: []*service.NotificationType{{
		ID: service.String("all"), Cloudfunc: service.String("notifier"), NotifyURL: &receiver.URL,
		EventTypes: service.StringSlice([]string{"create_object", "delete_object", "complete_multipart"}),
	}}}))
	up, err := b.InitiateMultipartUpload("parts", nil)
	try(up, err)
	first, second := cisterntest.NewContent("first", 4<<20).Bytes(), cisterntest.NewContent("second", 100_000).Bytes()
	part := func(r *running, number int, content []byte) {
		t.Helper()
		try(r.bucket("told").UploadMultipart("parts", &service.UploadMultipartInput{UploadID: up.UploadID, PartNumber: &number, Body: bytes.NewReader(content)}))
	}
	part(r, 0, first)
	var want []string
	for i := range 20 {
		key := fmt.Sprint("object-", i)
		try(b.PutObject(key, &service.PutObjectInput{Body: strings.NewReader(key)}))
		want = append(want, "create_object "+key)
	}
	try(b.DeleteObject("object-0"))
	want = append(want, "delete_object object-0", "complete_upload parts")
	select {
	case <-asked:
	case <-time.After(waitLimit):
		t.Fatal("the receiver was not asked at all")
	}
	r.kill()

	open.Store(true)
	r = launch(t, dir)
	part(r, 1, second)
	parts := []*service.ObjectPartType{{PartNumber: service.Int(0)}, {PartNumber: service.Int(1)}}
	try(r.bucket("told").CompleteMultipartUpload("parts", &service.CompleteMultipartUploadInput{UploadID: up.UploadID, ObjectParts: parts}))
	out, err := r.bucket("told").GetObject("parts", nil)
	try(out, err)
	defer out.Close()
	if err := compare(out.Body, append(first, second...), 0, len(first)+len(second)); err != nil {
		t.Errorf("the object of a part from before and one from behind the kill: %v", err)
	}
	deadline := time.After(waitLimit)
	for missing := want; len(missing) > 0; {
		select {
		case e := <-told:
			missing = slices.DeleteFunc(slices.Clone(missing), func(w string) bool { return w == e })
			if !slices.Contains(want, e) {
				t.Errorf("the receiver was told %q, which did not happen", e)
			}
		case <-deadline:
			t.Fatalf("the receiver was not told %q", missing)
		}
	}
}
