package node_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/sign"
)

// What users of mirrors ask for and complain about, in public threads on other servers. The comment of a test that answers such an ask carries
// its number ("mirror-asks 7"). Those whose answer takes a whole server and real sockets are here; the list at the end names the tests of
// all of them.

// switchable is a source whose answer changes while it runs, on connections that stay.
type switchable struct{ step atomic.Value }

func (s *switchable) set(next step) { s.step.Store(next) }

func (s *switchable) script(c *cisterntest.Conn) {
	for {
		r, ok := c.ReadHead()
		if !ok {
			return
		}
		s.step.Load().(step)(c, r)
	}
}

// newSwitchable starts a source that begins with an answer.
func newSwitchable(t *testing.T, first string) (*switchable, *cisterntest.Origin) {
	s := &switchable{}
	s.set(says(first))
	return s, cisterntest.NewOrigin(t, s.script)
}

// Many large objects are asked for at once, more than the source may be asked for at a time. Each fill, and each wait for one, takes longer
// than every deadline there is; no deadline is one of a whole object, so all come through, each byte fetched once (mirror-asks 7, 10).
func TestManyLargeColdObjects(t *testing.T) {
	t.Parallel()
	// The size counts in seconds at the source's speed: each object takes 4/3 s of it.
	const objects, size, speed, limit = 12, 4 << 20, 3 << 20, time.Second
	sizes := map[string]int64{}
	for i := range objects {
		sizes[fmt.Sprintf("large%d", i)] = size
	}
	site := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: sizes, Rate: speed})
	b := newBench(t, site.URL(), func(o *node.Options) {
		o.ReadHeaderTimeout, o.IdleTimeout, o.StallTimeout = limit, limit, limit
		o.Origin.ConnectTimeout, o.Origin.FirstByteTimeout, o.Origin.IdleTimeout = limit, limit, limit
		o.Fill.MaxConnsPerSource = objects / 2
	})
	begin := time.Now()
	var clients sync.WaitGroup
	for key := range sizes {
		clients.Go(func() {
			resp, err := b.try(t.Context(), "GET", key)
			if err != nil {
				t.Errorf("GET %s: %v", key, err)
				return
			}
			defer resp.Body.Close()
			if err := cisterntest.NewContent(key, size).Check(resp.Body, 0, size); err != nil || resp.StatusCode != 200 {
				t.Errorf("GET %s = %d, %v; want all of it", key, resp.StatusCode, err)
			}
		})
	}
	clients.Wait()
	if took := time.Since(begin); took < 2*limit {
		t.Errorf("it took %v, so that no deadline had a chance", took)
	}
	for range objects {
		if r := b.landed(); r.Outcome != fill.Stored || r.Duration < limit {
			t.Errorf("the fill of %s: %s (%v) after %v, want it stored after more than %v", r.Key, r.Outcome, r.Err, r.Duration, limit)
		}
	}
	for key := range sizes {
		if n, sent := site.Requests(key), site.Sent(key); n != 1 || sent != size {
			t.Errorf("%s: %d requests, %d bytes of the source, want 1 and %d", key, n, sent, size)
		}
	}
}

// A client that goes away does not end the fill that it began. That policy is fixed: the fill belongs to the server, whatever was done of it and
// whoever else reads, because what was fetched is paid for. What bounds it are the limits of sizes, of connections and of patience with
// the source (mirror-asks 16, 21, 22).
func TestAbortedClientsFillGoesOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		early  bool // before the source has answered
		header []string
	}{
		{"before the head", true, nil},
		{"in the middle", false, nil},
		{"in the middle of a range", false, []string{"Range: bytes=10-150000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			head, rest := cisterntest.NewGate(), cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, r cisterntest.Request) {
				if c.Wait(head) {
					halfThen(long, func(c *cisterntest.Conn) {
						if c.Wait(rest) {
							c.Send(long[len(long)/2:])
						}
					})(c, r)
				}
			}))
			b := newBench(t, o.URL())
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			var client sync.WaitGroup
			if tt.early {
				client.Go(func() {
					if resp, err := b.try(ctx, "GET", "k", tt.header...); err == nil {
						_ = resp.Body.Close()
						t.Error("the client got an answer before the source gave one")
					}
				})
				b.until("the source to be asked", func() bool { return len(o.Requests()) == 1 })
			} else {
				head.Release()
				resp, err := b.try(ctx, "GET", "k", tt.header...)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			leave()
			client.Wait()
			b.until("the server to notice", func() bool {
				flights := b.s.Node.Filler().Flights()
				return len(flights) == 1 && flights[0].Readers == 0
			})
			head.Release()
			rest.Release()
			if r := b.landed(); r.Outcome != fill.Stored {
				t.Errorf("the fill's outcome is %s (%v), want %s", r.Outcome, r.Err, fill.Stored)
			}
			b.stored("k", long)
			b.sees(o, 1)
		})
	}
}

// A body that ends early, one that promises more or less than it has, one that never ends: nobody sees a whole answer, nothing is stored, and who
// asks next gets the object anew from a source that has recovered (mirror-asks 15, 23, 25).
func TestNextGetAsksAnew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		broken step
	}{
		{"closed in the middle", halfThen(long, hangUp)},
		{"reset in the middle", halfThen(long, (*cisterntest.Conn).Reset)},
		{"closed after the head", says(answer("200 OK", "Content-Length: 200000"))},
		{"promises one byte more", says(answer("200 OK", "Content-Length: 200001") + long)},
		{"stalls", halfThen(long, (*cisterntest.Conn).Hang)},
		{"chunks without an end", says(answer("200 OK", "Transfer-Encoding: chunked") + "186a0\r\n" + long[:100_000] + "\r\n")},
		{"chunks for ever", func(c *cisterntest.Conn, _ cisterntest.Request) {
			for ok := c.Head(200, "Transfer-Encoding: chunked"); ok; ok = c.Chunk(long) {
			}
		}},
		{"not what its digest says", says(whole(strings.ToUpper(long), "Content-MD5: "+base64MD5(long)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := cisterntest.NewOrigin(t, steps(tt.broken, says(whole(long))))
			b := newBench(t, o.URL(), func(o *node.Options) {
				o.Origin.IdleTimeout, o.Fill.MaxUnsized = 500*time.Millisecond, 1<<20
			})
			r := b.send("GET", "k")
			if r.status == 200 && r.err == nil || r.status != 200 && r.status != 503 {
				t.Errorf("the client got %d, %d bytes and a clean end, want a cut connection or 503", r.status, len(r.body))
			}
			b.landed()
			b.nothing()
			b.sees(o, 1)
			r, _ = b.miss("k")
			r.ok(200, long)
			b.stored("k", long)
			b.sees(o, 2)
		})
	}
}

// An answer that is an error is no object, whatever its body, and it replaces none that is there; an empty object is one (mirror-asks 26).
func TestBadAnswerIsNoObject(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"400, empty":  answer("400 Bad Request", "Content-Length: 0", `ETag: "v1"`),
		"400, a page": page("400 Bad Request"),
		"500, empty":  answer("500 Internal Server Error", "Content-Length: 0"),
		"204":         answer("204 No Content"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, o := newSwitchable(t, bad)
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.failed()
			b.nothing()

			good := []string{long, ""}
			for i, body := range good {
				key := fmt.Sprintf("good%d", i)
				s.set(says(whole(body)))
				r, _ := b.miss(key)
				r.ok(200, body)
				s.set(says(bad))
				b.stored(key, body) // it stays, and the source is not even asked
			}
			// Only after it was thrown away does the source count again, and its error is no empty object.
			if _, err := b.s.Bucket("demo").DeleteObject("good0"); err != nil {
				t.Fatal(err)
			}
			r, _ = b.miss("good0")
			r.failed()
			if keys := b.listed(); !slices.Equal(keys, []string{"good1"}) {
				t.Errorf("the list names %q, want good1 alone", keys)
			}
			b.stored("good1", "")
		})
	}
}

// The source is asked for the bytes as they are. One that codes them all the same is taken at its word: they are stored and served as they came,
// with the name of the coding, never unpacked on the way (mirror-asks 27).
func TestCodedBodyIsKeptAsItCame(t *testing.T) {
	t.Parallel()
	coded := zip(t, long)
	o := cisterntest.NewOrigin(t, pages(map[string]string{
		"/coded":  whole(coded, "Content-Encoding: gzip", `ETag: "gz"`, "Content-MD5: "+base64MD5(coded)),
		"/file":   whole(coded, "Content-Type: application/gzip", `ETag: "gz"`), // a .tar.gz: gzip is what it is, not how it travels
		"/lively": whole(long, "Vary: Accept-Encoding"),                         // it honours that no coding was asked for
	}))
	b := newBench(t, o.URL())
	for key, want := range map[string]struct{ body, coding string }{"coded": {coded, "gzip"}, "file": {coded, ""}, "lively": {long, ""}} {
		for _, accept := range []string{"gzip, br", "identity", "gzip;q=0"} {
			r := b.send("GET", key, "Accept-Encoding: "+accept)
			r.ok(200, want.body)
			if got := r.header.Get("Content-Encoding"); got != want.coding {
				t.Errorf("%s, Accept-Encoding: %s: Content-Encoding = %q, want %q", key, accept, got, want.coding)
			}
			if accept == "gzip, br" {
				b.landed()
			}
		}
		b.stored(key, want.body)
	}
	for _, r := range o.Requests() {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("the source was asked with Accept-Encoding: %q, want identity", got)
		}
	}
	b.sees(o, 3)
	// Who wants it unpacked does that, as any client can that reads the field.
	r := b.send("GET", "coded")
	z, err := gzip.NewReader(bytes.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != long {
		t.Errorf("unpacked there are %d bytes, %v; want all %d", len(plain), err, len(long))
	}
}

// Clients find out the size before they read: by HEAD, or by a range of one byte. Both get it from an object that is not there yet, and HEAD
// never says 0 for "not known" (mirror-asks 28, 59).
func TestSizeProbes(t *testing.T) {
	t.Parallel()
	total := strconv.Itoa(len(long))
	length, chunked := whole(long, strongV1...), answer("200 OK", "Transfer-Encoding: chunked")
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			head := answer("200 OK", append(strongV1, "Content-Length: "+total)...)
			switch {
			case !ok:
				return
			case r.Target == "/chunked" && r.Method == "HEAD":
				ok = c.Send(chunked)
			case r.Target == "/chunked":
				ok = c.Send(chunked) && c.Chunk(long) && c.LastChunk()
			case r.Method == "HEAD":
				ok = c.Send(head)
			default:
				ok = c.Send(length)
			}
			if !ok {
				return
			}
		}
	})
	b := newBench(t, o.URL())
	probe := func(key string) {
		t.Helper()
		r := b.send("GET", key, "Range: bytes=0-0")
		r.ok(206, long[:1])
		r.has("Content-Range", "bytes 0-0/"+total)
		r.has("Content-Length", "1")
		r.has("Accept-Ranges", "bytes")
	}
	size := func(key string) {
		t.Helper()
		r := b.send("HEAD", key)
		r.ok(200, "")
		r.has("Content-Length", total)
		r.has("Accept-Ranges", "bytes")
	}

	size("k") // cold
	b.nothing()
	b.sees(o, 1)
	probe("k") // cold, too: nothing is stored yet
	b.landed()
	probe("k")
	size("k")
	b.stored("k", long)
	b.sees(o, 2)

	r := b.send("HEAD", "chunked")
	r.ok(200, "")
	r.hasNot("Content-Length") // the source does not say it, and 0 would be a lie
	b.nothingOf("chunked")
	probe("chunked") // it waits for the end, which tells
	b.landed()
	size("chunked")
	b.sees(o, 4)
}

// signed is send with the operator's key.
func (b *bench) signed(method, key string) reply {
	b.Helper()
	r, err := http.NewRequest(method, b.at+key, nil)
	if err != nil {
		b.Fatal(err)
	}
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	k := b.s.Operator
	auth := sign.Header(sign.Request{Method: method, Path: r.URL.EscapedPath(), Header: h}, k.ID, k.Secret)
	return b.send(method, key, "Date: "+h.Get("Date"), "Authorization: "+auth)
}

// nothingOf checks that key is not in the store.
func (b *bench) nothingOf(key string) {
	b.Helper()
	if keys := b.listed(); slices.Contains(keys, key) {
		b.Errorf("the list names %q, want no %s", keys, key)
	}
}

// What is stored is served whatever became of its source: down, without the object, behind a login, failing, limiting. No request asks it, and
// neither does a start of the server (mirror-asks 29, 30, 31, 33).
func TestStoredCopiesOutliveTheirSource(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]string{
		"down":             "", // nobody listens any more
		"deleted":          page("404 Not Found"),
		"gone":             page("410 Gone"),
		"behind a login":   page("401 Unauthorized", `WWW-Authenticate: Basic realm="source"`),
		"forbidden":        page("403 Forbidden"),
		"failing":          page("500 Internal Server Error"),
		"limiting":         page("429 Too Many Requests", "Retry-After: 3600"),
		"moved to a login": moved("302 Found", "/login"),
		"replaced":         whole("something else", `ETag: "v2"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, o := newSwitchable(t, whole(long, strongV1...))
			disk := []cisterntest.Option{cisterntest.OnDisk(t.TempDir())}
			b := startBench(t, o.URL(), disk)
			r, _ := b.miss("dir/k")
			r.ok(200, long)
			asked := len(o.Requests())
			if s.set(says(after)); after == "" {
				o.Close()
			}
			serves := func(b *bench) {
				t.Helper()
				before := b.s.Node.Filler().Stats().OriginRequests
				r := b.stored("dir/k", long)
				r.has("Etag", `"v1"`)
				r = b.send("GET", "dir/k", "Range: bytes=-5")
				r.ok(206, long[len(long)-5:])
				b.send("GET", "dir/k", `If-None-Match: "v1"`).ok(304, "")
				b.send("HEAD", "dir/k").ok(200, "")
				if n := b.s.Node.Filler().Stats().OriginRequests - before; n != 0 {
					t.Errorf("the source was asked %d times, want never", n)
				}
			}
			serves(b)
			b.s.Stop(patience)
			serves(startBench(t, o.URL(), disk)) // with the same --mirror as before
			b.sees(o, asked)
			if n := o.Accepts(); n != 1 {
				t.Errorf("the source saw %d connections, want that of the fill alone", n)
			}
		})
	}
}

// A source that says "too many requests" is not asked again at once. Whoever needs it is told when to come back, by 503 and never by 500; what is
// stored is served (mirror-asks 34).
func TestLimitingSource(t *testing.T) {
	t.Parallel()
	s, o := newSwitchable(t, whole(long))
	b := newBench(t, o.URL())
	r, _ := b.miss("here")
	r.ok(200, long)
	for i, tt := range []struct{ header, want string }{{"Retry-After: 7", "7"}, {"X-Limit: 10", "1"}} {
		s.set(says(page("429 Too Many Requests", tt.header)))
		key := fmt.Sprintf("missing%d", i)
		r, _ := b.miss(key)
		r.failed()
		r.has("Retry-After", tt.want)
		head := b.send("HEAD", key)
		if head.status != 503 || head.header.Get("Retry-After") != tt.want {
			t.Errorf("HEAD = %d, Retry-After: %q; want 503, %s", head.status, head.header.Get("Retry-After"), tt.want)
		}
		b.nothingOf(key)
		b.stored("here", long)
		b.sees(o, 1+2*(i+1)) // the GET and the HEAD asked once each
	}
	s.set(says(whole(long)))
	r, _ = b.miss("missing0") // nothing is held against it
	r.ok(200, long)
}

// A mirror of a mirror: HEAD goes through to the source, so that a client which asks before it reads comes to read. A GET fills both, and what
// breaks off is kept by neither (mirror-asks 15, 58).
func TestChainedMirrors(t *testing.T) {
	t.Parallel()
	site := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"dir/k": 200_000}})
	content := cisterntest.NewContent("dir/k", 200_000)
	outer := newBench(t, site.URL()+"/")
	inner := newBench(t, outer.at)
	var described [2]http.Header
	for i := range described {
		r := inner.send("HEAD", "dir/k")
		r.ok(200, "")
		r.has("Content-Length", "200000")
		r.has("Etag", content.ETag())
		r.has("Last-Modified", cisterntest.SiteModified.Format(http.TimeFormat))
		described[i] = r.header
		if i > 0 {
			break
		}
		inner.nothing()
		outer.nothing()
		if r := inner.send("HEAD", "missing"); r.status != 404 {
			t.Errorf("HEAD of what the source does not have = %d, want 404", r.status)
		}
		got, _ := inner.miss("dir/k")
		got.ok(200, string(content.Bytes()))
		outer.landed()
	}
	if a, b := described[0].Get("Content-Type"), described[1].Get("Content-Type"); a != b {
		t.Errorf("Content-Type was %q before, and %q after the GET", a, b)
	}
	for _, b := range []*bench{inner, outer} {
		b.stored("dir/k", string(content.Bytes()))
	}
	if n := site.Requests("dir/k"); n != 2 {
		t.Errorf("the source was asked %d times, want by one HEAD and one GET", n)
	}

	o := cisterntest.NewOrigin(t, steps(halfThen(long, hangUp)))
	outer = newBench(t, o.URL())
	inner = newBench(t, outer.at)
	r, _ := inner.miss("k")
	r.notSound(long)
	outer.landed()
	inner.nothing()
	outer.nothing()
}

// Every key arrives at the source as it is, each byte that is not plain percent-encoded once, and is the same key however the client spells
// it and whether the request is signed (mirror-asks 60).
func TestKeysArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			if !ok || !c.Send(whole("body of "+r.Target)) {
				return
			}
		}
	})
	b := newBench(t, o.URL()+"/base%20dir+/") // the site's own path is held to the same
	for i, tt := range []struct {
		key, target string
		spelled     []string // by clients without a signature
	}{
		{"plain/key-1_2.3~", "plain/key-1_2.3~", []string{"plain/key-1_2.3~", "plain%2fkey%2D1_2.3%7e"}},
		{"a+b", "a%2Bb", []string{"a+b", "a%2Bb", "a%2bb"}},
		{"a b", "a%20b", []string{"a%20b"}},
		{"a+ b", "a%2B%20b", []string{"a+%20b"}},
		{"100%", "100%25", []string{"100%25"}},
		{"a%2Bb", "a%252Bb", []string{"a%252Bb"}},
		{"a?b", "a%3Fb", []string{"a%3Fb"}},
		{"a#b", "a%23b", []string{"a%23b"}},
		{"a&b=c;d,e", "a%26b%3Dc%3Bd%2Ce", []string{"a&b=c;d,e", "a%26b%3dc%3bd%2ce"}},
		{"a:b@c$!*'()", "a%3Ab%40c%24%21%2A%27%28%29", []string{"a:b@c$!*'()"}},
		{`[a]{b}|"c"<d>^e` + "`", "%5Ba%5D%7Bb%7D%7C%22c%22%3Cd%3E%5Ee%60", []string{"%5Ba%5D%7Bb%7D%7C%22c%22%3Cd%3E%5Ee%60"}},
		{"grün/日本", "gr%C3%BCn/%E6%97%A5%E6%9C%AC", []string{"gr%c3%bcn/%e6%97%a5%e6%9c%ac"}},
		{"a//b/", "a//b/", []string{"a//b/", "a%2F/b%2F"}},
		{"tab\tline\nbell\a", "tab%09line%0Abell%07", []string{"tab%09line%0abell%07"}},
	} {
		target := "/base%20dir%2B/" + tt.target
		out, err := b.s.Bucket("demo").GetObject(tt.key, nil)
		if err != nil {
			t.Errorf("the SDK's GET of %q: %v", tt.key, err)
			continue
		}
		body, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil || string(body) != "body of "+target {
			t.Errorf("the SDK's GET of %q = %q, %v; want the source asked for %s", tt.key, body, err, target)
		}
		b.landed()
		for _, spelled := range tt.spelled {
			r := b.send("GET", spelled)
			r.ok(200, "body of "+target)
			r.has("Cache-Status", "cistern; hit")
		}
		if keys := b.listed(); !slices.Contains(keys, tt.key) {
			t.Errorf("the list names %q, want %q", keys, tt.key)
		}
		b.sees(o, i+1)
		// What is put under the key takes the place of what was filled.
		if a := ask(t, b.s.Operator, "PUT", b.at+tt.spelled[0], "put"); a.status != 201 {
			t.Errorf("PUT %s = %+v", tt.spelled[0], a)
		}
		b.send("GET", tt.spelled[0]).ok(200, "put")
	}
}

// A redirect that is signed and expires is followed there and then, and nothing of it is kept: the next key, the next fill and the rest of a broken
// body ask the source's own address again, whatever the redirect says of caching (mirror-asks 61).
func TestSignedRedirectIsFollowedAnew(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"302 Found", "307 Temporary Redirect", "301 Moved Permanently", "308 Permanent Redirect"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex // guards what follows
			signed, broken := 0, false
			used := map[string]bool{}
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				for {
					r, ok := c.ReadHead()
					if !ok {
						return
					}
					mu.Lock()
					path, query, isSigned := strings.Cut(r.Target, "?")
					was := used[query]
					used[query] = true
					cut := isSigned && path == "/blob/broken" && !broken
					broken = broken || cut
					if !isSigned {
						signed++
					}
					n := signed
					mu.Unlock()
					switch {
					case !isSigned:
						ok = c.Send(answer(status, fmt.Sprintf("Location: /blob%s?X-Signature=secret%d&X-Expires=60", path, n), "Cache-Control: public, max-age=31536000", "Content-Length: 0"))
					case was:
						ok = c.Send(page("403 Forbidden")) // each link is good for once
					case cut:
						halfThen(long, hangUp, `ETag: "v1"`)(c, r)
						return
					case r.Header.Get("Range") != "":
						parts(long, `ETag: "v1"`)(c, r)
					case r.Method == "HEAD":
						ok = c.Send(answer("200 OK", fmt.Sprintf("Content-Length: %d", len(long))))
					default:
						ok = c.Send(whole(long, `ETag: "v1"`))
					}
					if !ok {
						return
					}
				}
			})
			b := newBench(t, o.URL())
			for i, key := range []string{"one", "two", "one"} { // the last time after it was thrown away
				if i == 2 {
					if _, err := b.s.Bucket("demo").DeleteObject("one"); err != nil {
						t.Fatal(err)
					}
				}
				b.send("HEAD", key).ok(200, "")
				r, _ := b.miss(key)
				r.ok(200, long)
				r.hasNot("Location")
				b.stored(key, long).hasNot("Location")
				b.sees(o, 4*(i+1))
			}
			r, report := b.miss("broken")
			r.ok(200, long)
			b.stored("broken", long)
			if report.Bytes != int64(len(long)) {
				t.Errorf("%d bytes were fetched for what broke off, want each once", report.Bytes)
			}
			b.sees(o, 16)
			if keys := b.listed(); !slices.Equal(keys, []string{"broken", "one", "two"}) {
				t.Errorf("the list names %q, want the keys that were asked for", keys)
			}
			// The owner is told where it came from, without what lets others in.
			r = b.signed("HEAD", "one")
			url := r.header.Get("Cistern-Source-Url")
			if url != o.URL()+"/blob/one" || strings.Contains(b.s.Log(), "secret") {
				t.Errorf("the source is shown as %q, and the log has the signature: %t", url, strings.Contains(b.s.Log(), "secret"))
			}
		})
	}
}

// A source that answers a range from another place than it was asked for, or with something else: nothing of that gets into the object or to a
// client. The range comes from the one stream that is sound, be it that this one still runs, or that it had come to the place where the
// range was to take over (mirror-asks 49).
func TestRangeFromElsewhere(t *testing.T) {
	t.Parallel()
	const at = 800_000
	body := text(1_000_000)
	good := append([]string{"Accept-Ranges: bytes"}, strongV1...)
	for name, answered := range map[string]step{
		"starts earlier":       badPart("bytes 799990-999999/1000000", body[at-10:]),
		"starts later":         badPart("bytes 800001-999999/1000000", body[at+1:]),
		"from the beginning":   badPart("bytes 0-199999/1000000", body[:200_000]),
		"without saying where": says(answer("206 Partial Content", `ETag: "v1"`, "Content-Length: 10") + body[:10]),
		"the whole object":     says(whole(body, good...)),
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late %t", name, late), func(t *testing.T) {
				t.Parallel()
				rest, lie := cisterntest.NewGate(), cisterntest.NewGate()
				first := func(c *cisterntest.Conn, _ cisterntest.Request) {
					c.Head(200, append(good, "Content-Length: 1000000")...)
					if c.Send(body[:100_000]) && c.Wait(rest) {
						c.Send(body[100_000:])
					}
				}
				o := cisterntest.NewOrigin(t, steps(first, func(c *cisterntest.Conn, r cisterntest.Request) {
					if c.Wait(lie) {
						answered(c, r)
					}
				}, says(whole(body, good...))))
				b := newBench(t, o.URL(), func(o *node.Options) { o.Fill.SegmentSize = 64 << 10 })
				opening := b.open("GET", "k")
				var seeker sync.WaitGroup
				seeker.Go(func() {
					resp, err := b.try(t.Context(), "GET", "k", "Range: bytes=800000-800099")
					if err != nil {
						t.Errorf("GET of a range: %v", err)
						return
					}
					r := b.rest(resp)
					r.ok(206, body[at:at+100])
					r.has("Content-Range", "bytes 800000-800099/1000000")
				})
				b.until("the source to be asked for the range", func() bool { return len(o.Requests()) == 2 })
				var begin []byte
				if late {
					rest.Release()
					begin = make([]byte, at)
					if _, err := io.ReadFull(opening.Body, begin); err != nil {
						t.Fatalf("the stream: %v", err)
					}
					b.until("the stream to end at the range", func() bool { return b.s.Node.Filler().Flights()[0].Connections == 1 })
				}
				lie.Release()
				if !late {
					b.until("the lie to be seen through", func() bool { return b.s.Node.Filler().Flights()[0].Connections == 1 })
					rest.Release()
				}
				seeker.Wait()
				r := b.rest(opening)
				r.body = append(begin, r.body...)
				r.ok(200, body)
				b.landed()
				b.stored("k", body)
				if asked := o.Requests()[1].Header; !strings.HasPrefix(asked.Get("Range"), "bytes=800000-") || asked.Get("If-Range") != `"v1"` {
					t.Errorf("the range was asked for with Range: %q, If-Range: %q", asked.Get("Range"), asked.Get("If-Range"))
				}
				if n := len(o.Requests()); n > 3 || n == 3 && !late {
					t.Errorf("the source was asked %d times", n)
				}
			})
		}
	}
}

// Settings that no source can have are refused when they are made, and the message names the part that is wrong; what was set before stays.
func TestRefusedSettingsNameThePart(t *testing.T) {
	t.Parallel()
	s := cisterntest.Start(t)
	const kept = "example.org:8080/a/b"
	if a := setMirror(t, s, s.Operator, "demo", kept); a.status != 200 {
		t.Fatalf("PUT ?mirror = %+v", a)
	}
	for _, tt := range []struct{ site, part string }{
		{"", "source_site"},
		{"ftp://example.org/", "scheme"},
		{"//example.org/", "host"},
		{"http://", "host"},
		{"http:///path", "host"},
		{"http://user@example.org/", "user information"},
		{"user:pass@example.org/", "user information"},
		{"http://example.org/?a=b", "query"},
		{"example.org/a?", "query"},
		{"http://example.org/#a", "fragment"},
		{"http://example.org:0/", "port"},
		{"http://example.org:65536/", "port"},
		{"http://example.org:http/", "port"},
		{"http://exa mple.org/", "blank"},
		{"http://example.org/\x00", "control"},
		{"http://example.org/\r\nX-A: b", "control"},
		{"http://example.org/" + strings.Repeat("a", 2048), "2048"},
	} {
		a := setMirror(t, s, s.Operator, "demo", tt.site)
		if a.status != 400 || a.code != "invalid_argument" || !strings.Contains(strings.ReplaceAll(a.message, ",", ""), tt.part) {
			t.Errorf("PUT ?mirror %s = %+v, want 400 invalid_argument with %q in its message", shorten([]byte(tt.site)), a, tt.part)
		}
	}
	if a := ask(t, s.Operator, "GET", s.URL+"/demo?mirror", ""); a.status != 200 || !strings.Contains(a.body, `"`+kept+`"`) {
		t.Errorf("GET ?mirror = %+v, want what was set before, exactly", a)
	}
	for range 2 {
		if a := ask(t, s.Operator, "DELETE", s.URL+"/demo?mirror", ""); a.status != 204 {
			t.Errorf("DELETE ?mirror = %+v, want 204", a)
		}
	}
}

// wish is a thing that users ask for, with the tests that show what becomes of it.
type wish struct {
	n    int
	what string
	// tests are named by their folder, without "internal/", and their function.
	tests []string
	// why is said where there is no test, or where the tests answer a part only.
	why string
}

// wishes are all that is asked for about first reads, ranges, wrong bytes, sources in trouble, HEAD, keys and redirects (1 to 34, 58 to 61), and
// those of the others that have an answer by now.
var wishes = []wish{
	{1, "many nodes that pull one object are one request to the source", []string{"fill.TestCrowd", "cmd/cistern.TestCrowdOfOneObject"}, ""},
	{2, "all clients at once are fed from what is being written", []string{"fill.TestCrowd", "cmd/cistern.TestCrowdOfOneObject"}, ""},
	{3, "what the manual says of concurrent reads is so", []string{"fill.TestCrowd", "cmd/cistern.TestCrowdOfOneObject"}, ""},
	{4, "the first client gets bytes as they come", []string{"fill.TestJoinInTheMiddle"}, ""},
	{5, "a fill goes on when its client gave up", []string{"fill.TestReadersLeave"}, ""},
	{6, "parallel reads are not parallel downloads", []string{"fill.TestCrowd", "cmd/cistern.TestCrowdOfOneObject"}, ""},
	{7, "many misses at once come through", []string{"node.TestManyLargeColdObjects"}, ""},
	{8, "stream while filling, over one connection", []string{"fill.TestJoinInTheMiddle"}, ""},
	{9, "a range of a cold object waits for nothing", []string{"fill.TestSeek"}, ""},
	{10, "no deadline of a whole object", []string{"node.TestManyLargeColdObjects"}, ""},
	{11, "the second client need not wait for the end", []string{"fill.TestJoinInTheMiddle", "cmd/cistern.TestCrowdOfOneObject"}, ""},
	{12, "who waits is woken, and does not poll", []string{"fill.TestJoinInTheMiddle", "cmd/cistern.TestCrowdOfOneObject"}, ""},
	{13, "a lock that does not run out before the download", []string{"fill.TestCrowd"}, ""},
	{14, "several misses do not race for the place in the store", []string{"fill.TestCrowd"}, ""},
	{15, "a reader never gets a part for the whole, and no mirror behind keeps one", []string{"fill.TestBrokenBodies", "node.TestNextGetAsksAnew", "node.TestChainedMirrors"}, ""},
	{16, "the first client's leaving stalls nobody", []string{"fill.TestCrowd", "node.TestAbortedClientsFillGoesOn", "cmd/cistern.TestCrowdOfOneObject"}, ""},
	{17, "the first bytes of a huge object cost no more than they must", []string{"fill.TestSeek"}, ""},
	{18, "a range of a cold object is 206", []string{"fill.TestSeek"}, ""},
	{19, "no range is fetched twice, or all of the object beside it", []string{"fill.TestSeek"}, "there is no refresh in the background yet that could do so"},
	{20, "read while downloading, and download all of it", []string{"fill.TestSeek"}, ""},
	{21, "a policy for fills whose clients left", []string{"node.TestAbortedClientsFillGoesOn"}, "the policy is fixed: they go on"},
	{22, "what a client gave up is stored whole", []string{"fill.TestReadersLeave", "node.TestAbortedClientsFillGoesOn"}, ""},
	{23, "a short body is never kept", []string{"fill.TestBrokenBodies", "node.TestNextGetAsksAnew"}, ""},
	{24, "checksums are checked before the last byte goes out", []string{"fill.TestDigestMismatch"}, ""},
	{25, "a short read is never padded", []string{"fill.TestBrokenBodies", "node.TestNextGetAsksAnew"}, ""},
	{26, "an error is no object, and replaces none", []string{"node.TestBadAnswerIsNoObject"}, ""},
	{27, "coded bodies are stored as they are", []string{"node.TestCodedBodyIsKeptAsItCame"}, "a source that honours identity sends more bytes than a coded answer has; nothing is coded anew"},
	{28, "HEAD has the length, and a size probe its Content-Range", []string{"node.TestSizeProbes"}, ""},
	{29, "a source that cannot be reached, or lets nobody in, hides nothing that is stored", []string{"node.TestStoredCopiesOutliveTheirSource"}, ""},
	{30, "what was removed at the source can still be read", []string{"node.TestStoredCopiesOutliveTheirSource"}, ""},
	{31, "the source is not asked for what is stored, nor at the start", []string{"node.TestStoredCopiesOutliveTheirSource"}, ""},
	{32, "what the source does not have is an answer at once", []string{"fill.TestAbsent"}, ""},
	{33, "what was withdrawn is neither hidden nor deleted", []string{"node.TestStoredCopiesOutliveTheirSource"}, ""},
	{34, "a source's 429 is no 500, and no matter for what is stored", []string{"node.TestLimitingSource"}, ""},
	{35, "a 404 is remembered, if one wants it", []string{"fill.TestNegativeTTL"}, ""},
	{36, "a remembered 404 hides nothing that has appeared", []string{"fill.TestAbsent", "fill.TestNegativeTTL"}, ""},
	{46, "an interrupted large download goes on", []string{"fill.TestResumeAfterRestart", "cmd/cistern.TestKill"}, ""},
	{47, "compare by checksum, and say what could not be compared", nil, "there is no report on a migration yet"},
	{48, "what breaks off at the end does not begin at zero", []string{"fill.TestResume", "fill.TestResumeAfterRestart", "cmd/cistern.TestKill"}, ""},
	{49, "a 206 from another place is not appended", []string{"node.TestRangeFromElsewhere"}, ""},
	{50, "go on with the next mirror when one fails", nil, "a bucket has one source"},
	{52, "no fill brings back what was deleted, however long it takes", []string{"fill.TestRaces"}, ""},
	{53, "another source serves nothing of the old one", []string{"fill.TestRaces"}, ""},
	{58, "HEAD asks the source, so that mirrors can stand in a row", []string{"node.TestChainedMirrors"}, ""},
	{59, "HEAD never says 0 for a length that it does not know", []string{"node.TestSizeProbes"}, ""},
	{60, "keys with + and blanks arrive, signed or not", []string{"node.TestKeysArriveAsTheyAre"}, ""},
	{61, "a redirect that expires is not kept", []string{"node.TestSignedRedirectIsFollowedAnew"}, ""},
}

// Each wish has tests that exist and whose comments carry its number, or a reason why not; and no comment carries the number of a wish that does
// not name its test.
func TestEveryWishHasItsAnswer(t *testing.T) {
	carried, err := carriedNumbers(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(carried) < 100 {
		t.Fatalf("only %d tests found in the tree", len(carried))
	}
	byNumber := map[int]wish{}
	for _, w := range wishes {
		byNumber[w.n] = w
		if len(w.tests) == 0 && w.why == "" {
			t.Errorf("%d (%s) has neither a test nor a reason", w.n, w.what)
		}
		for _, name := range w.tests {
			switch numbers, ok := carried[name]; {
			case !ok:
				t.Errorf("%d (%s): there is no test %s", w.n, w.what, name)
			case !slices.Contains(numbers, w.n):
				t.Errorf("%d (%s): the comment of %s does not carry the number, but %v", w.n, w.what, name, numbers)
			}
		}
	}
	for _, section := range [][2]int{{1, 34}, {58, 61}} {
		for n := section[0]; n <= section[1]; n++ {
			if _, ok := byNumber[n]; !ok {
				t.Errorf("%d is not in the list", n)
			}
		}
	}
	for name, numbers := range carried {
		for _, n := range numbers {
			if !slices.Contains(byNumber[n].tests, name) {
				t.Errorf("the comment of %s carries %d, which does not name it", name, n)
			}
		}
	}
}

var carries = regexp.MustCompile(`mirror-asks ([0-9][0-9, -]*)`)

// carriedNumbers returns all tests below root, by folder and function, with the numbers in their comments.
func carriedNumbers(root string) (map[string][]int, error) {
	carried := map[string][]int{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.'):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = strings.TrimPrefix(filepath.ToSlash(folder), "internal/")
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			name := folder + "." + f.Name.Name
			carried[name] = nil
			found := carries.FindStringSubmatch(strings.ReplaceAll(f.Doc.Text(), "\n", " "))
			if found == nil {
				continue
			}
			for item := range strings.SplitSeq(found[1], ",") {
				from, to, span := strings.Cut(strings.TrimSpace(item), "-")
				first, err := strconv.Atoi(from)
				last := first
				if err == nil && span {
					last, err = strconv.Atoi(to)
				}
				if err != nil {
					return fmt.Errorf("%s: the comment of %s: %w", path, f.Name.Name, err)
				}
				for n := first; n <= last; n++ {
					carried[name] = append(carried[name], n)
				}
			}
		}
		return nil
	})
	return carried, err
}
