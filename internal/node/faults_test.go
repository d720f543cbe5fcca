package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
)

// Here a whole server meets every way in which a source can misbehave. testdata/origin-faults.tsv lists them: what the source does and
// what is promised of the client's view, of the store, and of the requests that the source sees. Each row is a test of its name.
// Where a decision of the design says otherwise than a row, the design counts, and the test says so.

// fault is one way to misbehave and the test for it. Scripts remember what they did, so the lists are made anew for each run.
type fault struct {
	name string // the row's id and fault
	run  func(t *testing.T)
}

// faults are the rows of the file; further ones that are not in it are in beyond.
func faults() []fault {
	return slices.Concat(
		lengthFaults(), chunkedFaults(), codingFaults(), validatorFaults(), rangeFaults(), headFaults(), statusFaults(), redirectFaults(), headerFaults(),
		interimFaults(), timingFaults(), connectionFaults(), concurrencyFaults(), tlsFaults(), http2Faults(), dnsFaults(), localFaults(),
	)
}

func TestOriginFaults(t *testing.T) { runFaults(t, faults()) }

// TestMoreOriginFaults has faults of the same kinds that the file does not name.
func TestMoreOriginFaults(t *testing.T) {
	runFaults(t, slices.Concat(framingBeyond(), bodyBeyond(), resumeBeyond(), claimBeyond(), redirectBeyond(), answerBeyond(), wireBeyond()))
}

func runFaults(t *testing.T, list []fault) {
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

// Every row of the file has its test, and no test is of a row that is not there.
func TestEveryOriginFaultIsTested(t *testing.T) {
	rows, err := faultRows("testdata/origin-faults.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 100 {
		t.Errorf("the file has %d rows, want at least 100: is it cut off?", len(rows))
	}
	tested := map[string]int{}
	for _, f := range faults() {
		tested[f.name]++
	}
	for _, row := range rows {
		switch tested[row] {
		case 0:
			t.Errorf("row %q has no test", row)
		case 1:
		default:
			t.Errorf("row %q has %d tests, want 1", row, tested[row])
		}
		delete(tested, row)
	}
	for name := range tested {
		t.Errorf("test %q is of no row", name)
	}
}

// faultRows returns the names of the file's rows: id and fault.
func faultRows(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	var names []string
	for n := 1; lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) < 3 || fields[0] == "" || fields[2] == "" {
			return nil, fmt.Errorf("%s:%d: no id and fault", file, n)
		}
		if n == 1 {
			if fields[0] != "id" || fields[2] != "fault" {
				return nil, fmt.Errorf("%s: the columns are not those that were expected", file)
			}
			continue
		}
		names = append(names, fields[0]+" "+fields[2])
	}
	return names, lines.Err()
}

// patience bounds every wait of these tests. It is long, and nothing but a failure waits for it.
const patience = 20 * time.Second

// bench is a server with a bucket that fills from one source, and a client that sees what really comes over the wire.
type bench struct {
	*testing.T
	s       *cisterntest.Server
	at      string // where the bucket's objects are, with a slash at the end
	client  *http.Client
	reports chan fill.Report
}

// setting changes how a bench's server runs.
type setting = func(*node.Options)

// newBench starts a server on disk whose bucket "demo" fills from site.
func newBench(t *testing.T, site string, settings ...setting) *bench {
	t.Helper()
	return startBench(t, site, []cisterntest.Option{cisterntest.OnDisk(t.TempDir())}, settings...)
}

// memoryBench is newBench without a disk, for what does not come as far as that.
func memoryBench(t *testing.T, site string, settings ...setting) *bench {
	t.Helper()
	return startBench(t, site, nil, settings...)
}

func startBench(t *testing.T, site string, opts []cisterntest.Option, settings ...setting) *bench {
	t.Helper()
	b := &bench{T: t, reports: make(chan fill.Report, 2000)}
	b.s = cisterntest.Start(t, append(opts, cisterntest.With(func(o *node.Options) {
		o.Fill.RetryPause = time.Millisecond
		o.Fill.OnReport = func(r fill.Report) { b.reports <- r }
		for _, set := range settings {
			set(o)
		}
	}))...)
	b.at = b.s.Mirror("demo", site)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	b.client = &http.Client{Transport: transport, Timeout: patience}
	return b
}

// reply is an answer as the client saw it.
type reply struct {
	*bench
	status int
	header http.Header
	body   []byte
	err    error // how the body ended: nil is a clean end
	resp   *http.Response
}

// open sends a request and returns when the head of the answer is there.
func (b *bench) open(method, key string, header ...string) *http.Response {
	b.Helper()
	resp, err := b.try(b.Context(), method, key, header...)
	if err != nil {
		b.Fatalf("%s %s: %v", method, key, err)
	}
	return resp
}

// try is open for those who expect a failure, or are not on the test's own goroutine.
func (b *bench) try(ctx context.Context, method, key string, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, b.at+key, nil)
	if err != nil {
		return nil, err
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		b.Errorf("%s %s: an interim %d came to the client, want none", method, key, code)
		return nil
	}}
	return b.client.Do(r.WithContext(httptrace.WithClientTrace(ctx, trace)))
}

// rest reads the body of an answer.
func (b *bench) rest(resp *http.Response) reply {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{b, resp.StatusCode, resp.Header, body, err, resp}
}

// send is a request and its whole answer.
func (b *bench) send(method, key string, header ...string) reply {
	b.Helper()
	return b.rest(b.open(method, key, header...))
}

// miss is a GET that begins a flight; it returns when the flight has landed, too.
func (b *bench) miss(key string, header ...string) (reply, fill.Report) {
	b.Helper()
	r := b.send("GET", key, header...)
	return r, b.landed()
}

// landed waits for a flight to end.
func (b *bench) landed() fill.Report {
	b.Helper()
	select {
	case r := <-b.reports:
		return r
	case <-time.After(patience):
		b.Fatal("the flight does not land")
		return fill.Report{}
	}
}

// until waits for a condition that nobody announces.
func (b *bench) until(what string, holds func() bool) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(end) {
			b.Fatalf("waited in vain for: %s", what)
		}
	}
}

// ok checks a whole good answer.
func (r reply) ok(status int, body string) {
	r.Helper()
	switch {
	case r.err != nil:
		r.Errorf("the client got %d and %d bytes, then %v; want %d and a clean end", r.status, len(r.body), r.err, status)
	case r.status != status:
		r.Errorf("the client got %d %s, want %d", r.status, shorten(r.body), status)
	case string(r.body) != body:
		r.Errorf("the client got %s, want %s", shorten(r.body), shorten([]byte(body)))
	}
}

// refused checks an error: its status, its code, a body with every field, and that nothing of the source shows.
func (r reply) refused(status int, code string) {
	r.Helper()
	var e struct {
		Code, Message, URL string
		ID                 string `json:"request_id"`
	}
	switch err := json.Unmarshal(r.body, &e); {
	case r.err != nil:
		r.Errorf("the client got %d and %d bytes, then %v; want %d %s", r.status, len(r.body), r.err, status, code)
	case r.status != status:
		r.Errorf("the client got %d %s, want %d %s", r.status, shorten(r.body), status, code)
	case err != nil, e.Code != code, e.Message == "", e.URL == "", e.ID == "":
		r.Errorf("the error is %s, want %s with every field", shorten(r.body), code)
	case strings.Contains(e.Message, "127.0.0.1"), strings.Contains(e.Message, "::"), strings.Contains(e.Message, "secret"):
		r.Errorf("the message %q shows internals", e.Message)
	}
	for _, name := range []string{"Www-Authenticate", "Proxy-Authenticate", "Set-Cookie", "Location", "X-Secret", "Etag", "Last-Modified", "Content-Encoding"} {
		if v := r.header.Values(name); len(v) > 0 {
			r.Errorf("the error carries %s: %q", name, v)
		}
	}
}

// failed checks that the client was told that the source failed.
func (r reply) failed() {
	r.Helper()
	r.refused(http.StatusServiceUnavailable, "upstream_failed")
}

// cut checks that the head and perhaps some of body came, and no clean end.
func (r reply) cut(body string) {
	r.Helper()
	switch {
	case r.status != http.StatusOK:
		r.Errorf("the client got %d %s, want 200 and a cut connection", r.status, shorten(r.body))
	case r.err == nil:
		r.Errorf("the client got %d bytes and a clean end, want a cut connection", len(r.body))
	case !errors.Is(r.err, io.ErrUnexpectedEOF):
		r.Errorf("the client's body ended with %v, want %v", r.err, io.ErrUnexpectedEOF)
	case len(r.body) >= len(body) || !strings.HasPrefix(body, string(r.body)):
		r.Errorf("the client got %s, want less than all of %s", shorten(r.body), shorten([]byte(body)))
	}
}

// notSound checks that the answer cannot be taken for a whole object: an error, or a cut connection.
func (r reply) notSound(body string) {
	r.Helper()
	if r.status == http.StatusOK {
		r.cut(body)
		return
	}
	r.failed()
}

// hasNot checks that the answer has none of these fields.
func (r reply) hasNot(names ...string) {
	r.Helper()
	for _, name := range names {
		if v := r.header.Values(name); len(v) > 0 {
			r.Errorf("the answer carries %s: %q, want none", name, v)
		}
	}
}

// has checks a field's value.
func (r reply) has(name, value string) {
	r.Helper()
	if v := r.header.Values(name); len(v) != 1 || v[0] != value {
		r.Errorf("the answer carries %s: %q, want %q", name, v, value)
	}
}

func shorten(p []byte) string {
	if len(p) > 80 {
		return fmt.Sprintf("%q… (%d bytes)", p[:80], len(p))
	}
	return strconv.Quote(string(p))
}

// listed returns the bucket's keys as the list names them.
func (b *bench) listed() []string {
	b.Helper()
	out, err := b.s.Bucket("demo").ListObjects(nil)
	if err != nil {
		b.Fatalf("list: %v", err)
	}
	keys := []string{}
	for _, k := range out.Keys {
		keys = append(keys, *k.Key)
	}
	return keys
}

// nothing checks that nothing is stored, whole or in part, and no flight left.
func (b *bench) nothing() {
	b.Helper()
	if keys := b.listed(); len(keys) > 0 {
		b.Errorf("the list names %q, want nothing stored", keys)
	}
	b.until("flights and connections to end", func() bool {
		s := b.s.Node.Filler().Stats()
		return s.InFlight == 0 && s.Connections == 0
	})
}

// stored checks that key is in the store with this body, and returns the answer of the hit.
func (b *bench) stored(key, body string) reply {
	b.Helper()
	if keys := b.listed(); !slices.Contains(keys, key) {
		b.Errorf("the list names %q, want %q stored", keys, key)
	}
	asked := b.s.Node.Filler().Stats().OriginRequests
	head := b.send("HEAD", key)
	head.ok(200, "")
	head.has("Content-Length", strconv.Itoa(len(body)))
	r := b.send("GET", key)
	r.ok(200, body)
	r.has("Cache-Status", "cistern; hit")
	if n := b.s.Node.Filler().Stats().OriginRequests - asked; n != 0 {
		b.Errorf("the source was asked %d times for what is stored", n)
	}
	return r
}

// sees checks how many requests an origin has seen.
func (b *bench) sees(o *cisterntest.Origin, want int) {
	b.Helper()
	if got := o.Requests(); len(got) != want {
		b.Errorf("the source saw %d requests, want %d:", len(got), want)
		for _, r := range got {
			b.Logf("connection %d: %q", r.Conn, r.Raw)
		}
	}
}

// step is what an origin does for one request. The connection is closed after it.
type step func(c *cisterntest.Conn, r cisterntest.Request)

// steps is a script: one request a connection, the first request gets the first step, and so on; the last step is for all further ones.
func steps(list ...step) func(*cisterntest.Conn) {
	var n atomic.Int32
	return func(c *cisterntest.Conn) {
		if r, ok := c.ReadHead(); ok {
			list[min(int(n.Add(1)), len(list))-1](c, r)
		}
	}
}

// says is a step that sends a text.
func says(text string) step {
	return func(c *cisterntest.Conn, _ cisterntest.Request) { c.Send(text) }
}

// whole is a good answer with these header lines.
func whole(body string, header ...string) string {
	return answer("200 OK", append(header, fmt.Sprintf("Content-Length: %d", len(body)))...) + body
}

// answer is a head with these lines.
func answer(status string, header ...string) string {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + status + "\r\n")
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

// fails is a test: the script's source makes a GET fail and nothing be stored, and sees so many requests.
func fails(requests int, script func(*cisterntest.Conn), settings ...setting) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		o := cisterntest.NewOrigin(t, script)
		b := memoryBench(t, o.URL(), settings...)
		r, _ := b.miss("k")
		r.failed()
		b.nothing()
		b.sees(o, requests)
	}
}

// failsAll is fails for several answers, each once.
func failsAll(texts ...string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		var list []step
		for _, text := range texts {
			list = append(list, says(text))
		}
		o := cisterntest.NewOrigin(t, steps(list...))
		b := memoryBench(t, o.URL())
		for i, text := range texts {
			r, _ := b.miss(fmt.Sprintf("k%d", i))
			r.failed()
			b.nothing()
			b.sees(o, i+1)
			if t.Failed() {
				t.Logf("the source sent %s", shorten([]byte(text)))
				return
			}
		}
	}
}

// serves is a test: the script's source makes a GET succeed with body and be stored, and sees so many requests. check, which may be nil,
// looks at the answer of the miss and of the hit.
func serves(requests int, body string, script func(*cisterntest.Conn), check func(r reply), settings ...setting) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		o := cisterntest.NewOrigin(t, script)
		b := newBench(t, o.URL(), settings...)
		r, _ := b.miss("k")
		r.ok(200, body)
		hit := b.stored("k", body)
		b.sees(o, requests)
		if check != nil {
			check(r)
			check(hit)
		}
	}
}

// cuts is a test: the source sends the head and the first half of body, waits until the client has begun to read, and then does what
// then says on the same connection, and for each further request what again says in turn. The client's connection is cut, nothing is stored.
func cuts(requests int, body string, header []string, then func(c *cisterntest.Conn), again []step, settings ...setting) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		gate := cisterntest.NewGate()
		first := func(c *cisterntest.Conn, _ cisterntest.Request) {
			c.Send(answer("200 OK", append(slices.Clip(header), fmt.Sprintf("Content-Length: %d", len(body)))...) + body[:len(body)/2])
			if c.Wait(gate) {
				then(c)
			}
		}
		o := cisterntest.NewOrigin(t, steps(append([]step{first}, again...)...))
		b := newBench(t, o.URL(), settings...)
		resp := b.open("GET", "k")
		gate.Release()
		b.rest(resp).cut(body)
		b.landed()
		b.nothing()
		b.sees(o, requests)
	}
}

// hangUp ends the origin's connection cleanly.
func hangUp(*cisterntest.Conn) {}

// text is n bytes that differ from place to place.
func text(n int) string {
	return string(cisterntest.NewContent("text", int64(n)).Bytes())
}
