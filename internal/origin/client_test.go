package origin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

// redirectOnce sends the first request elsewhere and answers the second.
func redirectOnce(location string) func(*http.Request, netip.AddrPort) string {
	var requests atomic.Int32
	return func(*http.Request, netip.AddrPort) string {
		if requests.Add(1) > 1 {
			return okAnswer
		}
		return "HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 4\r\n\r\nmove"
	}
}

func TestStatus(t *testing.T) {
	part := object.Range{Offset: 2, Length: 3}
	for _, tt := range []struct {
		name   string
		answer string // without its first words
		rng    object.Range
		want   error
	}{
		{name: "200", answer: "200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{name: "200, chunked", answer: "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{name: "200 to a range", answer: "200 OK\r\nContent-Length: 2\r\n\r\nok", rng: part},
		{name: "no length", answer: "200 OK\r\nConnection: close\r\n\r\nok", want: object.ErrSourceBad},
		{name: "201", answer: "201 Created\r\nContent-Length: 2\r\n\r\nok", want: object.ErrSourceBad},
		{name: "203", answer: "203 Non-Authoritative\r\nContent-Length: 2\r\n\r\nok", want: object.ErrSourceBad},
		{name: "204", answer: "204 No Content\r\n\r\n", want: object.ErrSourceBad},
		{name: "206 unasked", answer: "206 Partial\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok", want: object.ErrSourceBad},
		{name: "300", answer: "300 Choices\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "304", answer: "304 Not Modified\r\n\r\n", want: object.ErrSourceBad},
		{name: "400", answer: "400 Bad\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "401", answer: "401 No\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "403", answer: "403 No\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "404", answer: "404 No\r\nContent-Length: 0\r\n\r\n", want: object.ErrNoSuchKey},
		{name: "408", answer: "408 Slow\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceDown},
		{name: "410", answer: "410 Gone\r\nContent-Length: 0\r\n\r\n", want: object.ErrNoSuchKey},
		{name: "416 unasked", answer: "416 No\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "416", answer: "416 No\r\nContent-Length: 0\r\n\r\n", rng: part, want: object.ErrSourceChanged},
		{name: "412", answer: "412 No\r\nContent-Length: 0\r\n\r\n", rng: part, want: object.ErrSourceChanged},
		{name: "429", answer: "429 Slow\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceDown},
		{name: "500", answer: "500 Bug\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceDown},
		{name: "501", answer: "501 No\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "502", answer: "502 Bad\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceDown},
		{name: "503", answer: "503 Later\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceDown},
		{name: "505", answer: "505 No\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "700", answer: "700 What\r\nContent-Length: 0\r\n\r\n", want: object.ErrSourceBad},
		{name: "no HTTP", answer: "x\r\nSSH-2.0\r\n\r\n", want: object.ErrSourceBad},
		{name: "bad header line", answer: "200 OK\r\nno colon here\r\n\r\n", want: object.ErrSourceBad},
		{name: "two lengths", answer: "200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", want: object.ErrSourceBad},
		{name: "length and chunks", answer: "200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: object.ErrSourceBad},
		{name: "blank before the colon", answer: "200 OK\r\nContent-Length : 2\r\n\r\nok", want: object.ErrSourceBad},

		{name: "the range", answer: "206 P\r\nETag: \"v\"\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\nabc", rng: part},
		{name: "less of the range", answer: "206 P\r\nContent-Range: bytes 2-3/9\r\nContent-Length: 2\r\n\r\nab", rng: part},
		{name: "unit in capitals", answer: "206 P\r\nContent-Range: Bytes 2-4/9\r\nContent-Length: 3\r\n\r\nabc", rng: part},
		{name: "another version", answer: "206 P\r\nETag: \"w\"\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\nabc", rng: part, want: object.ErrSourceChanged},
		{name: "begins elsewhere", answer: "206 P\r\nContent-Range: bytes 1-4/9\r\nContent-Length: 4\r\n\r\nxabc", rng: part, want: object.ErrSourceBad},
		{name: "ends elsewhere", answer: "206 P\r\nContent-Range: bytes 2-5/9\r\nContent-Length: 4\r\n\r\nabcx", rng: part, want: object.ErrSourceBad},
		{name: "length is another", answer: "206 P\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 2\r\n\r\nab", rng: part, want: object.ErrSourceBad},
		{name: "no size", answer: "206 P\r\nContent-Range: bytes 2-4/*\r\nContent-Length: 3\r\n\r\nabc", rng: part, want: object.ErrSourceBad},
		{name: "no range", answer: "206 P\r\nContent-Length: 3\r\n\r\nabc", rng: part, want: object.ErrSourceBad},
		{name: "two ranges", answer: "206 P\r\nContent-Range: bytes 2-4/9\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\nabc", rng: part, want: object.ErrSourceBad},
		{name: "several parts", answer: "206 P\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Length: 3\r\n\r\nabc", rng: part, want: object.ErrSourceBad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, o := newNetwork(t)
			n.answer = func(*http.Request, netip.AddrPort) string { return "HTTP/1.1 " + tt.answer }
			c := newClient(t, o)
			req := origin.Request{Source: source(t, "93.184.216.34", false), Key: "k", Range: tt.rng}
			if tt.rng.Length > 0 {
				req.Validator = `"v"`
			}
			r, err := c.Fetch(t.Context(), req)
			if tt.want == nil && err == nil {
				if _, err := io.ReadAll(r.Body); err != nil {
					t.Errorf("the body ends with %v", err)
				}
				_ = r.Body.Close()
				return
			}
			if err == nil {
				_ = r.Body.Close()
			}
			if !errors.Is(err, tt.want) || tt.want == nil {
				t.Errorf("Fetch = %v, want %v", err, tt.want)
			}
			var e *object.Explained
			if !errors.As(err, &e) || e.Text == "" {
				t.Errorf("Fetch = %v, want an error that can be shown", err)
			}
		})
	}
}

func TestRangeIsAskedForWithItsValidator(t *testing.T) {
	n, o := newNetwork(t)
	n.answer = func(*http.Request, netip.AddrPort) string {
		return "HTTP/1.1 206 P\r\nETag: \"v\"\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\nabc"
	}
	c := newClient(t, o)
	r, err := c.Fetch(t.Context(), origin.Request{
		Source: source(t, "93.184.216.34", false), Key: "k", Range: object.Range{Offset: 2, Length: 3}, Validator: `"v"`, Hops: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	want := "GET /k HTTP/1.1\r\nHost: 93.184.216.34\r\nUser-Agent: Cistern\r\nAccept-Encoding: identity\r\nCistern-Hops: 2\r\n" +
		"If-Range: \"v\"\r\nRange: bytes=2-4\r\n\r\n"
	if d := cmp.Diff([]string{want}, n.requests()); d != "" {
		t.Errorf("the source was sent something else (-want +got):\n%s", d)
	}
	if r.Range != (object.Range{Offset: 2, Length: 3}) || r.Meta.Size != 9 || !r.Ranges || r.Validator != `"v"` || len(r.Claims) != 0 {
		t.Errorf("the response is %+v", r)
	}
}

func TestMirrorsInARowAreBounded(t *testing.T) {
	n, o := newNetwork(t)
	c := newClient(t, o)
	for hops, want := range []error{nil, nil, nil, object.ErrSourceBad, object.ErrSourceBad} {
		r, err := c.Fetch(t.Context(), origin.Request{Source: source(t, "93.184.216.34", false), Key: "k", Hops: hops})
		if !errors.Is(err, want) || want != nil && err == nil {
			t.Errorf("Fetch after %d mirrors = %v, want %v", hops, err, want)
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
	}
	if got := len(n.requests()); got != 3 {
		t.Errorf("%d requests were sent, want 3", got)
	}
}

func TestHeadFallsBackToGet(t *testing.T) {
	for _, status := range []int{400, 403, 405, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var methods []string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				methods = append(methods, r.Method)
				if r.Method == http.MethodHead {
					w.WriteHeader(status)
					return
				}
				w.Header().Set("ETag", `"v"`)
				w.Header().Set("Content-Length", "1000000000")
				_, _ = w.Write([]byte("only the beginning"))
			}))
			defer s.Close()
			r, err := newClient(t, origin.Options{}).Fetch(t.Context(), origin.Request{Source: source(t, s.URL, true), Key: "k", Head: true})
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(r.Body); len(body) != 0 || err != nil {
				t.Errorf("the body is %q, %v, want none", body, err)
			}
			if r.Meta.Size != 1_000_000_000 || r.Meta.ETag != `"v"` {
				t.Errorf("the object is %+v", r.Meta)
			}
			if d := cmp.Diff([]string{"HEAD", "GET"}, methods); d != "" {
				t.Errorf("other requests (-want +got):\n%s", d)
			}
		})
	}
	t.Run("404 is an answer", func(t *testing.T) {
		n, o := newNetwork(t)
		n.answer = func(*http.Request, netip.AddrPort) string { return "HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n" }
		_, err := newClient(t, o).Fetch(t.Context(), origin.Request{Source: source(t, "93.184.216.34", false), Key: "k", Head: true})
		if !errors.Is(err, object.ErrNoSuchKey) || len(n.requests()) != 1 {
			t.Errorf("Fetch = %v after %d requests, want no such key after one", err, len(n.requests()))
		}
	})
}

// One connection serves one request after the other, as long as each body was read to its end.
func TestConnectionsAreUsedAgain(t *testing.T) {
	for name, head := range map[string]bool{"GET": false, "HEAD": true} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int32
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasPrefix(r.URL.Path, "/moved"):
					http.Redirect(w, r, strings.TrimPrefix(r.URL.Path, "/moved"), http.StatusFound) // with a few bytes of HTML
				case strings.HasPrefix(r.URL.Path, "/chunked"):
					_, _ = io.WriteString(w, "some")
					_ = http.NewResponseController(w).Flush()
					_, _ = io.WriteString(w, "thing")
				default:
					_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
				}
			}))
			s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					conns.Add(1)
				}
			}
			s.Start()
			defer s.Close()
			c := newClient(t, origin.Options{})
			for i := range 20 {
				key := []string{"k", "chunked/k", "moved/k", "moved/chunked"}[i%4]
				r, err := c.Fetch(t.Context(), origin.Request{Source: source(t, s.URL, true), Key: key, Head: head})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Fatal(err)
				}
				_ = r.Body.Close()
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("20 requests took %d connections, want 1", n)
			}
		})
	}
}

// A body that is left in the middle costs its connection, and only that.
func TestUnreadBodyClosesItsConnection(t *testing.T) {
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		for {
			if _, ok := c.ReadHead(); !ok {
				return
			}
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
			c.Hang()
		}
	})
	c := newClient(t, origin.Options{})
	for range 2 {
		r, err := c.Fetch(t.Context(), origin.Request{Source: source(t, o.URL(), true), Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
	}
	if n := o.Accepts(); n != 2 {
		t.Errorf("%d connections, want one for each request", n)
	}
}

// Bytes behind a response must never become the next one's.
func TestSurplusBytesAreNoResponse(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, tt := range []struct {
		name, method, answer string
	}{
		{"behind a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{"behind chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{"behind a trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"},
		{"behind a 404", "GET", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"},
		{"behind HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"}, // the body that HEAD must not have
		{"behind HEAD without a length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n"},
		{"behind a redirect", "GET", "HTTP/1.1 302 Found\r\nLocation: /good\r\nContent-Length: 0\r\n\r\n"},
		{"behind a 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				for {
					r, ok := c.ReadHead()
					if !ok {
						return
					}
					if r.Target == "/good" {
						c.Respond(200, "good")
						continue
					}
					c.Send(tt.answer + poison)
				}
			})
			c := newClient(t, origin.Options{})
			src := source(t, o.URL(), true)
			for range 20 {
				if r, err := c.Fetch(t.Context(), origin.Request{Source: src, Key: "bad", Head: tt.method == "HEAD"}); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
				}
				if body, err := fetch(t, c, src, "good"); err != nil || body != "good" {
					t.Fatalf("Fetch = %q, %v, want its own answer", body, err)
				}
			}
		})
	}
}

func TestInterimResponses(t *testing.T) {
	n, o := newNetwork(t)
	n.answer = func(*http.Request, netip.AddrPort) string {
		return "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
	}
	c := newClient(t, o)
	for range 3 {
		if body, err := fetch(t, c, source(t, "93.184.216.34", false), "k"); err != nil || body != "ok" {
			t.Errorf("Fetch = %q, %v", body, err)
		}
	}
	if len(n.dialled()) != 1 {
		t.Errorf("dialled %v, want one connection", n.dialled())
	}
}

func TestHeadOfAnAnswerIsBounded(t *testing.T) {
	n, o := newNetwork(t)
	n.answer = func(*http.Request, netip.AddrPort) string {
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\nok"
	}
	if _, err := fetch(t, newClient(t, o), source(t, "93.184.216.34", false), "k"); !errors.Is(err, object.ErrSourceBad) {
		t.Errorf("Fetch = %v, want a bad source", err)
	}
	o.MaxHeaderBytes = 1 << 20
	if body, err := fetch(t, newClient(t, o), source(t, "93.184.216.34", false), "k"); err != nil || body != "ok" {
		t.Errorf("Fetch = %q, %v with a larger bound", body, err)
	}
}

func TestRedirectsAreCounted(t *testing.T) {
	for _, tt := range []struct {
		max, requests int
	}{{0, 11}, {-1, 1}, {2, 3}} {
		n, o := newNetwork(t)
		o.MaxRedirects = tt.max
		n.answer = func(*http.Request, netip.AddrPort) string {
			return "HTTP/1.1 307 Again\r\nLocation: /k\r\nContent-Length: 0\r\n\r\n"
		}
		_, err := fetch(t, newClient(t, o), source(t, "93.184.216.34", false), "k")
		if !errors.Is(err, object.ErrSourceBad) || len(n.requests()) != tt.requests {
			t.Errorf("MaxRedirects %d: Fetch = %v after %d requests, want a bad source after %d", tt.max, err, len(n.requests()), tt.requests)
		}
	}
}

func TestTwoLocationsAreNone(t *testing.T) {
	n, o := newNetwork(t)
	n.answer = redirectOnce("/a\r\nLocation: /b")
	if _, err := fetch(t, newClient(t, o), source(t, "93.184.216.34", false), "k"); !errors.Is(err, object.ErrSourceBad) || len(n.requests()) != 1 {
		t.Errorf("Fetch = %v after %d requests, want a bad source after one", err, len(n.requests()))
	}
}

func TestCertificateIsChecked(t *testing.T) {
	n, o := newNetwork(t)
	dns := cisterntest.NewDNS(t)
	dns.Set("*", "93.184.216.34")
	o.Resolver = dns.Resolver()
	c := newClient(t, o)
	if body, err := fetch(t, c, source(t, "https://ok.test", false), "k"); err != nil || body != "ok" {
		t.Errorf("Fetch = %q, %v", body, err)
	}
	if _, err := fetch(t, c, source(t, "https://other.test", false), "k"); !errors.Is(err, object.ErrSourceBad) {
		t.Errorf("Fetch from a host with another's certificate = %v, want a bad source", err)
	}
	o.RootCAs = nil
	if _, err := fetch(t, newClient(t, o), source(t, "https://ok.test", false), "k"); !errors.Is(err, object.ErrSourceBad) {
		t.Errorf("Fetch from a host with a certificate of its own making = %v, want a bad source", err)
	}
	if len(n.requests()) != 1 {
		t.Errorf("%d requests were sent, want one", len(n.requests()))
	}
}

// A client that chose the source must not learn from the text why nobody answered.
func TestUnansweredReadAlike(t *testing.T) {
	for name, prepare := range map[string]func(*network, *origin.Options) string{
		"blocked":  func(*network, *origin.Options) string { return "http://10.0.0.1/" },
		"refused":  func(n *network, _ *origin.Options) string { n.refuse = true; return "http://93.184.216.34/" },
		"no name":  func(*network, *origin.Options) string { return "http://none.test/" },
		"hangs up": func(n *network, _ *origin.Options) string { n.answer = silence; return "http://93.184.216.34/" },
		"no TLS":   func(*network, *origin.Options) string { return "https://93.184.216.34:80/" },
		"no HTTP":  func(n *network, _ *origin.Options) string { n.answer = ssh; return "http://93.184.216.34/" },
		"timed out": func(_ *network, o *origin.Options) string {
			o.Dial, o.ConnectTimeout = never, time.Millisecond
			return "http://93.184.216.34/"
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, o := newNetwork(t)
			o.Resolver = cisterntest.NewDNS(t).Resolver()
			site := prepare(n, &o)
			_, err := fetch(t, newClient(t, o), source(t, site, false), "k")
			if got := explained(err); got != unanswered {
				t.Errorf("the client is told %q, want %q", got, unanswered)
			}
		})
	}
}

func silence(*http.Request, netip.AddrPort) string { return "" }

func ssh(*http.Request, netip.AddrPort) string { return "SSH-2.0-OpenSSH_9.6\r\n" }

func never(ctx context.Context, _ string, _ netip.AddrPort) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// The caller's own end of the request is no fault of the source.
func TestCancelledFetchSaysSo(t *testing.T) {
	_, o := newNetwork(t)
	o.Dial = never
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.Canceled)
	_, err := newClient(t, o).Fetch(ctx, origin.Request{Source: source(t, "93.184.216.34", false), Key: "k"})
	if !errors.Is(err, context.Canceled) || errors.Is(err, object.ErrSourceDown) {
		t.Errorf("Fetch = %v, want the cancellation", err)
	}
}

// slowSource is a network within a bubble: it sends each piece after the pause before it. Its connections are wg's.
func slowSource(wg *sync.WaitGroup, pieces ...any) origin.Options {
	return origin.Options{Dial: func(_ context.Context, _ string, to netip.AddrPort) (net.Conn, error) {
		ours, theirs := net.Pipe()
		wg.Go(func() {
			defer theirs.Close()
			buf := make([]byte, 4<<10)
			if _, err := theirs.Read(buf); err != nil {
				return
			}
			for _, p := range pieces {
				switch p := p.(type) {
				case time.Duration: // a pause that ends early when the client hangs up
					_ = theirs.SetReadDeadline(time.Now().Add(p))
					if _, err := theirs.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
						return
					}
					_ = theirs.SetReadDeadline(time.Time{})
				case string:
					if _, err := io.WriteString(theirs, p); err != nil {
						return
					}
				}
			}
			_, _ = io.Copy(io.Discard, theirs)
		})
		return remoteConn{ours, net.TCPAddrFromAddrPort(to)}, nil
	}}
}

func TestPatience(t *testing.T) {
	const head, long = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
	for _, tt := range []struct {
		name    string
		pieces  []any
		change  func(*origin.Options)
		want    string        // what arrives
		err     error         // how it ends; nil: well
		text    string        // what a client may read of that
		elapsed time.Duration // when
	}{
		{name: "no answer", pieces: []any{time.Hour}, err: object.ErrSourceDown, elapsed: 30 * time.Second},
		{name: "head in drips", pieces: []any{"HTTP/1.1 200 OK\r\n", 20 * time.Second, "X: y\r\n", 20 * time.Second, "\r\n"}, err: object.ErrSourceDown, elapsed: 30 * time.Second},
		{name: "interim answers for ever", pieces: []any{"HTTP/1.1 102 P\r\n\r\n", 20 * time.Second, "HTTP/1.1 102 P\r\n\r\n", 20 * time.Second, head}, err: object.ErrSourceDown, elapsed: 30 * time.Second},
		{name: "pauses that are short enough", pieces: []any{head, 29 * time.Second, "0123456789", 29 * time.Second, "0123456789"}, change: anyRate, want: "01234567890123456789", elapsed: 58 * time.Second},
		{name: "silence at the start", pieces: []any{head, time.Hour}, err: object.ErrSourceDown, text: "nothing for 30s", elapsed: 30 * time.Second},
		{name: "silence in the middle", pieces: []any{head, "01234", time.Hour}, want: "01234", err: object.ErrSourceDown, text: "nothing for 30s", elapsed: 30 * time.Second},
		{name: "silence, own setting", pieces: []any{head, "01234", time.Hour}, change: func(o *origin.Options) { o.IdleTimeout = time.Second }, want: "01234", err: object.ErrSourceDown, text: "nothing for 1s", elapsed: time.Second},
		{
			name: "drips", pieces: []any{head, 25 * time.Second, "01234", 25 * time.Second, "56789", 25 * time.Second, "a", time.Hour},
			want: "0123456789a", err: object.ErrSourceDown, text: "less than 256 bytes/s", elapsed: 75 * time.Second,
		},
		{
			name: "drips, fast enough", pieces: []any{head, 25 * time.Second, "01234", 25 * time.Second, "56789", 25 * time.Second, "0123456789"},
			change: func(o *origin.Options) { o.MinRate, o.MinRateWindow = 1, 100*time.Second }, want: "01234567890123456789", elapsed: 75 * time.Second,
		},
		{
			name: "drips behind a good start", pieces: []any{long + strings.Repeat("x", 200), 5 * time.Second, "1", 5 * time.Second, "2", 5 * time.Second, "3", 5 * time.Second, "4", 5 * time.Second, "5", time.Hour},
			change: func(o *origin.Options) { o.MinRate, o.MinRateWindow = 10, 10*time.Second },
			want:   strings.Repeat("x", 200) + "1234", err: object.ErrSourceDown, text: "less than 10 bytes/s", elapsed: 20 * time.Second,
		},
		{name: "cut", pieces: []any{head, "01234", nil}, want: "01234", err: io.ErrUnexpectedEOF, text: "broke off"},
		{
			name: "redirect whose body never comes", pieces: []any{"HTTP/1.1 302 F\r\nLocation: /k\r\nContent-Length: 9\r\n\r\n", time.Hour},
			change: func(o *origin.Options) { o.MaxRedirects = 2 }, err: object.ErrSourceBad, elapsed: 3 * time.Second,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pieces, cut := tt.pieces, false
				if pieces[len(pieces)-1] == nil {
					pieces, cut = pieces[:len(pieces)-1], true
				}
				var wg sync.WaitGroup
				defer wg.Wait()
				o := slowSource(&wg, pieces...)
				if cut {
					o.Dial = cutting(o.Dial, len(head)+5)
				}
				if tt.change != nil {
					tt.change(&o)
				}
				c := origin.New(o)
				defer c.Close()
				begin := time.Now()
				body, err := fetch(t, c, object.Source{Scheme: "http", Host: "93.184.216.34", Port: 80, Path: "/"}, "k")
				if body != tt.want || !errors.Is(err, tt.err) || tt.err == nil && err != nil || !strings.Contains(explained(err), tt.text) {
					t.Errorf("Fetch = %q, %v, want %q, %v with the text %q", body, err, tt.want, tt.err, tt.text)
				}
				if tt.err != nil && tt.err != object.ErrSourceBad && !errors.Is(err, object.ErrSourceDown) {
					t.Errorf("Fetch = %v, want a source that is down", err)
				}
				if got := time.Since(begin); got != tt.elapsed {
					t.Errorf("it took %v, want %v", got, tt.elapsed)
				}
			})
		})
	}
}

func anyRate(o *origin.Options) { o.MinRate = -1 }

// A reader that is slow itself does not make the source slow.
func TestOwnPausesDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		defer wg.Wait()
		c := origin.New(slowSource(&wg, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "0", "1", "2", "3"))
		defer c.Close()
		r, err := c.Fetch(t.Context(), origin.Request{Source: object.Source{Scheme: "http", Host: "93.184.216.34", Port: 80, Path: "/"}, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		buf := make([]byte, 1)
		for i := range 4 {
			<-time.After(time.Hour)
			if n, err := r.Body.Read(buf); n != 1 || err != nil && err != io.EOF {
				t.Fatalf("byte %d: %d, %v", i, n, err)
			}
		}
	})
}

// cutting ends each connection after n bytes.
func cutting(dial func(context.Context, string, netip.AddrPort) (net.Conn, error), n int) func(context.Context, string, netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		c, err := dial(ctx, network, to)
		if err != nil {
			return nil, err
		}
		return &cutConn{Conn: c, left: n}, nil
	}
}

type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// Connections of settings with different rights never mix: one that an operator's setting opened serves no other.
func TestPoolsDoNotMix(t *testing.T) {
	n, o := newNetwork(t)
	c := newClient(t, o)
	if _, err := fetch(t, c, source(t, "10.0.0.1", true), "k"); err != nil {
		t.Fatal(err)
	}
	if body, err := fetch(t, c, source(t, "10.0.0.1", false), "k"); !errors.Is(err, object.ErrSourceBad) || len(n.requests()) != 1 {
		t.Errorf("Fetch = %q, %v, want the open connection left alone", body, err)
	}
}

// Without a hook of its own the client judges the address that the socket is about to connect to.
func TestGuardOfRealSockets(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer s.Close()
	at := netip.MustParseAddrPort(s.Listener.Addr().String())
	dns := cisterntest.NewDNS(t)
	dns.Set("loop.test", at.Addr().String())
	dns.Set("moving.test", "169.254.169.254", at.Addr().String())
	o := origin.Options{Resolver: dns.Resolver()}
	for _, tt := range []struct {
		name, host string
		private    bool
		own        bool
		ok         bool
	}{
		{"literal, strict", at.Addr().String(), false, false, false},
		{"literal, operator", at.Addr().String(), true, false, true},
		{"name, strict", "loop.test", false, false, false},
		{"name, operator", "loop.test", true, false, true},
		{"one good address of two", "moving.test", true, false, true},
		{"own listener by name", "loop.test", true, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, o)
			if tt.own {
				c.SetOwn([]netip.AddrPort{at})
			}
			body, err := fetch(t, c, source(t, fmt.Sprintf("%s:%d", tt.host, at.Port()), tt.private), "k")
			if tt.ok && (err != nil || body != "ok") || !tt.ok && !errors.Is(err, object.ErrSourceBad) {
				t.Errorf("Fetch = %q, %v, want it to work: %t", body, err, tt.ok)
			}
		})
	}
}
