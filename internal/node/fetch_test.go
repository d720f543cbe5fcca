package node_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/sign"
)

// fetch asks for a PUT Object - Fetch into key of the bucket demo, signed by k.
func (b *bench) fetch(ctx context.Context, k keys.Key, key, url string, header ...string) (*http.Response, error) {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	header = append(header, "x-qs-fetch-source: "+url)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	auth := sign.Header(sign.Request{Method: "PUT", Path: "/demo/" + key, Header: h}, k.ID, k.Secret)
	return b.try(ctx, "PUT", key, append(header, "Date: "+h.Get("Date"), "Authorization: "+auth)...)
}

// fetched is fetch by the operator, to its end.
func (b *bench) fetched(key, url string, header ...string) reply {
	b.Helper()
	resp, err := b.fetch(b.Context(), b.s.Operator, key, url, header...)
	if err != nil {
		b.Errorf("fetch into %s: %v", key, err)
		return reply{bench: b}
	}
	return b.rest(resp)
}

// coded checks that r is the error of that code.
func (r reply) coded(status int, code string) {
	r.Helper()
	var doc struct{ Code, Message string }
	if err := json.Unmarshal(r.body, &doc); r.status != status || err != nil || doc.Code != code {
		r.Errorf("answer = %d %s, want %d %s", r.status, r.body, status, code)
	}
}

// noMirror is a source site that nobody asks in these tests.
const noMirror = "http://127.0.0.1:2/"

func TestFetch(t *testing.T) {
	body := strings.Repeat("0123456789", 50_000)
	sum := md5.Sum([]byte(body))
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			if !ok {
				return
			}
			switch r.Target {
			case "/dir/a%20b;v=1?signature=a%2Bb&x=%C3%BC":
				c.Respond(200, body, "ETag: \"v1\"", "Content-Type: text/plain", "Last-Modified: Mon, 06 May 2024 07:08:09 GMT", "X-Amz-Meta-Colour: blue",
					"Content-MD5: "+base64.StdEncoding.EncodeToString(sum[:]), "Set-Cookie: a=b", "Cache-Control: max-age=60")
			case "/moved":
				c.Respond(302, "", "Location: /chunked?again")
			case "/chunked?again", "/chunked":
				c.Head(200, "Transfer-Encoding: chunked")
				c.Chunk("chunked ")
				c.Chunk("body")
				c.LastChunk()
			default:
				c.Respond(404, "none")
			}
		}
	})
	b := newBench(t, noMirror)
	r := b.fetched("k", o.URL()+"/dir/a%20b;v=1?signature=a%2Bb&x=ü", "Content-Type: application/octet-stream", "x-qs-storage-class: STANDARD_IA")
	r.ok(201, "")
	r.has("ETag", `"v1"`)
	got := b.stored("k", body)
	for name, want := range map[string]string{
		"ETag": `"v1"`, "Content-Type": "text/plain", "x-qs-meta-colour": "blue", "Cache-Control": "max-age=60", "x-qs-storage-class": "STANDARD_IA",
	} {
		got.has(name, want)
	}
	if at, err := http.ParseTime(got.header.Get("Last-Modified")); err != nil || time.Since(at) > time.Hour {
		t.Errorf("Last-Modified = %s, want the time of the fetch", got.header.Get("Last-Modified"))
	}
	own := b.signed("HEAD", "k")
	own.has("Cistern-Source-Url", o.URL()+"/dir/a%20b;v=1")
	own.has("Cistern-Source-Last-Modified", "Mon, 06 May 2024 07:08:09 GMT")
	own.has("Cistern-Verified", "content-md5")
	head := o.Requests()[0].Header
	if head.Get("Authorization") != "" || head.Get("Cookie") != "" || head.Get("X-Qs-Fetch-Source") != "" {
		t.Errorf("the client's own headers came to the source: %v", head)
	}
	if rep := b.landed(); rep.Outcome != fill.Stored || strings.Contains(rep.URL, "signature") {
		t.Errorf("report = %+v, want it stored and no query in the URL", rep)
	}

	// Over what is there, from a source that does not say how much comes, after a redirect with a query, and escaped as a whole.
	b.fetched("k", strings.Replace(o.URL(), "http://", "http%3A//", 1)+"/moved").ok(201, "")
	b.stored("k", "chunked body").has("x-qs-storage-class", "STANDARD")
	b.fetched("k", strings.TrimPrefix(o.URL(), "http://")+"/chunked").ok(201, "") // http is the default
	b.fetched("k", o.URL()+"/none?signature=secret").coded(404, "object_not_exists")
	b.stored("k", "chunked body")
	if log := b.s.Log(); strings.Contains(log, "signature") || strings.Contains(log, "secret") {
		t.Errorf("the log holds the query of a URL:\n%s", log)
	}
}

// What does not come whole and right is not stored, and what was there stays.
func TestFetchFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(c *cisterntest.Conn)
		status int
		code   string
	}{
		{"a body that breaks off", func(c *cisterntest.Conn) { c.Head(200, "Content-Length: 100"); c.Send("short"); c.Cut() }, 503, "upstream_failed"},
		{"chunks that break off", func(c *cisterntest.Conn) { c.Head(200, "Transfer-Encoding: chunked"); c.Chunk("short"); c.Cut() }, 503, "upstream_failed"},
		{"neither length nor chunks", func(c *cisterntest.Conn) { c.Head(200); c.Send("body") }, 503, "upstream_failed"},
		{"a wrong digest", func(c *cisterntest.Conn) { c.Respond(200, "body", "Content-MD5: 4gJE4saaMU4BqNR0kLY+lw==") }, 503, "upstream_failed"},
		{"404", func(c *cisterntest.Conn) { c.Respond(404, "") }, 404, "object_not_exists"},
		{"410", func(c *cisterntest.Conn) { c.Respond(410, "") }, 404, "object_not_exists"},
		{"403", func(c *cisterntest.Conn) { c.Respond(403, "") }, 503, "upstream_failed"},
		{"500", func(c *cisterntest.Conn) { c.Respond(500, "") }, 503, "upstream_failed"},
		{"503 with a time", func(c *cisterntest.Conn) { c.Respond(503, "", "Retry-After: 7") }, 503, "upstream_failed"},
		{"a redirect to another scheme", func(c *cisterntest.Conn) { c.Respond(302, "", "Location: ftp://example.com/") }, 503, "upstream_failed"},
		{"a redirect to user information", func(c *cisterntest.Conn) { c.Respond(302, "", "Location: http://a:b@example.com/") }, 503, "upstream_failed"},
		{"nothing", func(c *cisterntest.Conn) { c.Cut() }, 503, "upstream_failed"},
		{"more than is filled", func(c *cisterntest.Conn) { c.Head(200, "Content-Length: 1000001"); c.Hang() }, 503, "upstream_failed"},
		{"more than may come without a length", func(c *cisterntest.Conn) {
			c.Head(200, "Transfer-Encoding: chunked")
			for c.Chunk(strings.Repeat("x", 10_000)) {
			}
		}, 503, "upstream_failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				if _, ok := c.ReadHead(); ok {
					tt.answer(c)
				}
			})
			b := newBench(t, noMirror, func(o *node.Options) { o.Fill.MaxSize, o.Fill.MaxUnsized = 1_000_000, 100_000 })
			r := b.fetched("new", o.URL()+"/x")
			r.coded(tt.status, tt.code)
			if strings.HasPrefix(tt.name, "503") {
				r.has("Retry-After", "7")
			}
			b.nothing()
		})
	}
}

func TestFetchIsRefused(t *testing.T) {
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) { c.Hang() })
	b := memoryBench(t, noMirror)
	for _, tt := range []struct {
		name, url string
		header    []string
		status    int
		code      string
	}{
		{"another scheme", "ftp://example.com/x", nil, 400, "invalid_argument"},
		{"a file", "file:///etc/passwd", nil, 400, "invalid_argument"},
		{"user information", "http://user:password@example.com/x", nil, 400, "invalid_argument"},
		{"a fragment", "http://example.com/x#y", nil, 400, "invalid_argument"},
		{"no host", "http:///x", nil, 400, "invalid_argument"},
		{"another protocol's port", "http://example.com:25/x", nil, 400, "invalid_argument"},
		{"a blank in the query", "http://example.com/x?a b", nil, 400, "invalid_argument"},
		{"dot segments", "http://example.com/a/../b", nil, 400, "invalid_argument"},
		{"too long", "http://example.com/" + strings.Repeat("x", 8192), nil, 400, "invalid_argument"},
		{"metadata of a cloud", "http://169.254.169.254/latest/", nil, 400, "invalid_argument"},
		{"this server", b.at + "k", nil, 400, "invalid_argument"},
		{"a date that is none", o.URL() + "/x", []string{"x-qs-fetch-if-unmodified-since: yesterday"}, 400, "invalid_argument"},
		{"a class that is none", o.URL() + "/x", []string{"x-qs-storage-class: COLD"}, 400, "invalid_request"},
		{"a header that nobody knows", o.URL() + "/x", []string{"x-qs-fetch-if-match: x"}, 400, "invalid_argument"},
		{"a copy, too", o.URL() + "/x", []string{"x-qs-copy-source: /demo/k"}, 400, "invalid_request"},
		{"a key", o.URL() + "/x", []string{"x-qs-encryption-customer-algorithm: AES256",
			"x-qs-encryption-customer-key: eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=", "x-qs-encryption-customer-key-md5: 3I/h1kl+vSP1l12NKhxegQ=="}, 400, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.fetched("k", tt.url, tt.header...).coded(tt.status, tt.code)
		})
	}
	b.nothing()
	b.sees(o, 0)
}

// Only the operator's key leads into private networks, as with mirrors, also by a redirect or a name.
func TestFetchByUsers(t *testing.T) {
	secret := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); ok {
			c.Respond(200, "secret")
		}
	})
	b := memoryBench(t, noMirror)
	user := b.s.NewUser()
	resp, err := b.fetch(t.Context(), user, "k", secret.URL()+"/x")
	if err != nil {
		t.Fatal(err)
	}
	b.rest(resp).coded(403, "permission_denied") // it is not the user's bucket
	bucket, err := b.s.As(user).Bucket("users-bucket", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(); err != nil {
		t.Fatal(err)
	}
	b.at = b.s.URL + "/users-bucket/"
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.0.1"} {
		h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}, "X-Qs-Fetch-Source": {"http://" + host + ":" + secret.URL()[strings.LastIndexByte(secret.URL(), ':')+1:] + "/x"}}
		auth := sign.Header(sign.Request{Method: "PUT", Path: "/users-bucket/k", Header: h}, user.ID, user.Secret)
		b.send("PUT", "k", "Date: "+h.Get("Date"), "Authorization: "+auth, "x-qs-fetch-source: "+h.Get("X-Qs-Fetch-Source")).coded(400, "invalid_argument")
	}
	b.sees(secret, 0)
}

// 409: while another fetch brings the same key, and while the mirror brings the very same URL. Another key is nobody's business.
func TestFetchInProcess(t *testing.T) {
	var wg sync.WaitGroup
	gate := cisterntest.NewGate()
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if r, ok := c.ReadHead(); ok {
			c.Head(200, "Content-Length: 4")
			if strings.Contains(r.Target, "slow") {
				c.Wait(gate)
			}
			c.Send("body")
		}
	})
	b := memoryBench(t, o.URL()+"/base/")
	first := make(chan reply, 1)
	wait := func(want int) {
		t.Helper()
		b.until("the source to be asked", func() bool { return len(o.Requests()) == want })
	}
	runs := func(do func() reply) {
		wg.Go(func() { first <- do() })
	}
	defer wg.Wait()
	defer gate.Release()

	runs(func() reply {
		resp, err := b.try(t.Context(), "GET", "slow%20k")
		if err != nil {
			t.Error(err)
			return reply{bench: b}
		}
		return b.rest(resp)
	})
	wait(1)
	b.fetched("other", o.URL()+"/base/slow%20k").coded(409, "fetch_in_process")
	b.fetched("other", o.URL()+"/base/slo%77%20k").coded(409, "fetch_in_process") // the same URL
	b.fetched("other", o.URL()+"/base/quick").ok(201, "")
	runs(func() reply { return b.fetched("k", o.URL()+"/slow") })
	wait(3)
	b.fetched("k", o.URL()+"/quick").coded(409, "fetch_in_process")
	b.fetched("l", o.URL()+"/quick").ok(201, "")
	gate.Release()
	for range 2 {
		if r := <-first; r.status != 200 && r.status != 201 {
			t.Errorf("what was running first ended with %d %s", r.status, r.body)
		}
	}
	b.fetched("k", o.URL()+"/quick").ok(201, "")
}

// 412: what is there was changed since, before the fetch began or while it ran.
func TestFetchIfUnmodifiedSince(t *testing.T) {
	var wg sync.WaitGroup
	gate := cisterntest.NewGate()
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if r, ok := c.ReadHead(); ok {
			c.Head(200, "Content-Length: 7", "Last-Modified: Mon, 06 May 2004 07:08:09 GMT")
			if strings.Contains(r.Target, "slow") {
				c.Wait(gate)
			}
			c.Send("fetched")
		}
	})
	b := memoryBench(t, noMirror)
	past, future := "x-qs-fetch-if-unmodified-since: Wed, 10 Dec 2014 17:20:31 GMT", "x-qs-fetch-if-unmodified-since: "+time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	b.fetched("k", o.URL()+"/x", past).ok(201, "") // nothing was there
	b.fetched("k", o.URL()+"/x", past).coded(412, "precondition_failed")
	b.sees(o, 1)
	b.fetched("k", o.URL()+"/x", future).ok(201, "")

	answer := make(chan reply, 1)
	defer wg.Wait()
	defer gate.Release()
	wg.Go(func() { answer <- b.fetched("meanwhile", o.URL()+"/slow", past) })
	b.until("the source to be asked", func() bool { return len(o.Requests()) == 3 })
	if _, err := b.s.Bucket("demo").PutObject("meanwhile", nil); err != nil {
		t.Fatal(err)
	}
	gate.Release()
	r := <-answer
	r.coded(412, "precondition_failed")
	b.stored("meanwhile", "")
}

// A fetch belongs to its request: it ends when the client leaves.
func TestFetchEndsWithItsClient(t *testing.T) {
	var wg sync.WaitGroup
	gone := make(chan struct{})
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); ok {
			c.Head(200, "Content-Length: 1000000")
			c.Send("the beginning")
			c.Hang()
			close(gone)
		}
	})
	b := newBench(t, noMirror)
	ctx, leave := context.WithCancel(t.Context())
	wg.Go(func() {
		if resp, err := b.fetch(ctx, b.s.Operator, "k", o.URL()+"/x"); err == nil {
			resp.Body.Close()
			t.Errorf("the fetch ended with %d, want that of the client", resp.StatusCode)
		}
	})
	b.until("the fetch to run", func() bool { return b.s.Node.Filler().Stats().OriginBytes > 0 })
	leave()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the connection to the source stays open")
	}
	wg.Wait()
	b.nothing()
}

// Fetches wait in the fills' queue, and are turned away when it is full.
func TestFetchIsThrottled(t *testing.T) {
	var wg sync.WaitGroup
	gate := cisterntest.NewGate()
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); ok {
			c.Head(200, "Content-Length: 4")
			c.Wait(gate)
			c.Send("body")
		}
	})
	b := memoryBench(t, noMirror, func(o *node.Options) { o.Fill.MaxConns, o.Fill.MaxQueue = 1, 1 })
	defer wg.Wait()
	defer gate.Release()
	for _, key := range []string{"runs", "waits"} {
		wg.Go(func() { b.fetched(key, o.URL()+"/x").ok(201, "") })
	}
	b.until("one fetch to run and one to wait", func() bool {
		s := b.s.Node.Filler().Stats()
		return s.Queued == 1 && s.Connections == 1
	})
	r := b.fetched("k", o.URL()+"/x")
	r.coded(429, "fetch_throttled")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	gate.Release()
}
