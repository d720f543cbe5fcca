package qsapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/qsapi"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

// mirrored starts a server whose bucket "mirrored", readable by anyone, fills from source.
func mirrored(t *testing.T, source http.HandlerFunc) *site {
	t.Helper()
	s := start(t, nil) // its clean-up comes after the source's, which waits for its handlers
	origin := httptest.NewServer(source)
	t.Cleanup(origin.Close)
	s.want(message{as: "OPERATOR", method: "PUT", path: "/mirrored"}, 201, "")
	s.want(message{as: "OPERATOR", method: "PUT", path: "/mirrored?acl", body: `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"READ"}]}`}, 200, "")
	s.want(message{as: "OPERATOR", method: "PUT", path: "/mirrored?mirror", body: `{"source_site":"` + origin.URL + `/base/"}`}, 200, "")
	return s
}

func TestMissThenHit(t *testing.T) {
	s := mirrored(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/dir/a b" || r.URL.RawQuery != "" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
	})
	m := message{method: "HEAD", path: "/mirrored/dir/a%20b"}
	if r := s.want(m, 200, ""); r.Header.Get("Content-Length") != "10" || !strings.HasPrefix(r.Header.Get("Cache-Status"), "cistern; fwd=uri-miss") {
		t.Errorf("HEAD: %v", r.Header)
	}
	m.method = "GET"
	r := s.want(m, 200, "")
	if r.body != "0123456789" || r.ContentLength != 10 || !strings.HasPrefix(r.Header.Get("Cache-Status"), "cistern; fwd=uri-miss; fwd-status=200") {
		t.Errorf("first GET = %q, %v", r.body, r.Header)
	}
	if !strings.HasPrefix(r.Header.Get("Server-Timing"), "origin;dur=") {
		t.Errorf("Server-Timing = %q on a miss", r.Header.Get("Server-Timing"))
	}
	for r.Header.Get("Cache-Status") != "cistern; hit" { // the commit comes right behind the last byte
		if r = s.want(m, 200, ""); r.body != "0123456789" || r.Header.Get("Etag") != `"v1"` {
			t.Fatalf("GET = %q, %v", r.body, r.Header)
		}
	}
	s.want(message{method: "GET", path: "/mirrored/none"}, 404, "object_not_exists")
}

// TestFirstBytesAreSentOn holds that a byte from the source reaches the client though more are to come.
func TestFirstBytesAreSentOn(t *testing.T) {
	go1 := make(chan struct{})
	s := mirrored(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush() // chunked: no length
		select {
		case <-go1:
		case <-r.Context().Done():
		}
		io.WriteString(w, " last")
	})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET /mirrored/k HTTP/1.1\r\nHost: %s\r\n\r\n", s.addr)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("first bytes = %q, %v", first, err)
	}
	if resp.ContentLength != -1 {
		t.Errorf("Content-Length = %d before the size is known", resp.ContentLength)
	}
	close(go1)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != " last" {
		t.Errorf("rest = %q, %v", rest, err)
	}
}

func TestUnknownSizeWaitsWhereItMust(t *testing.T) {
	unsized := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "01234")
		w.(http.Flusher).Flush()
		io.WriteString(w, "56789")
	}
	s := mirrored(t, unsized)
	if r := s.want(message{method: "GET", path: "/mirrored/range", header: []string{"Range: bytes=-3"}}, 206, ""); r.body != "789" || r.Header.Get("Content-Range") != "bytes 7-9/10" {
		t.Errorf("range = %q, %s", r.body, r.Header.Get("Content-Range"))
	}
	if r := s.want(message{method: "GET", path: "/mirrored/old", proto: "HTTP/1.0"}, 200, ""); r.body != "0123456789" || r.ContentLength != 10 {
		t.Errorf("HTTP/1.0 = %q with length %d, want 10 bytes with their length", r.body, r.ContentLength)
	}
	r := s.want(message{method: "GET", path: "/mirrored/beyond", header: []string{"Range: bytes=10-"}}, 416, "invalid_range")
	if r.Header.Get("Content-Range") != "bytes */10" {
		t.Errorf("Content-Range = %q, want bytes */10", r.Header.Get("Content-Range"))
	}
}

func TestBrokenSourceCutsTheConnection(t *testing.T) {
	s := mirrored(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			panic(http.ErrAbortHandler)
		}
		if strings.HasSuffix(r.URL.Path, "chunked") {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		} else {
			w.Header().Set("Content-Length", "8")
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	for _, key := range []string{"sized", "chunked"} {
		r := s.send(message{method: "GET", path: "/mirrored/" + key})
		if r.StatusCode == 200 && r.err == nil {
			t.Errorf("%s: a broken body looks complete: %q", key, r.body)
		}
		s.want(message{as: "OPERATOR", method: "DELETE", path: "/mirrored/" + key}, 204, "")
	}
}

func TestFailedSourceIsExplained(t *testing.T) {
	s := mirrored(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "internals of the source", http.StatusServiceUnavailable)
	})
	r := s.want(message{method: "GET", path: "/mirrored/k"}, 503, "upstream_failed")
	if r.Header.Get("Retry-After") != "7" || strings.Contains(r.body, "internals") {
		t.Errorf("Retry-After %q, body %s", r.Header.Get("Retry-After"), r.body)
	}
	s.want(message{method: "HEAD", path: "/mirrored/k"}, 503, "upstream_failed")
	s.want(message{method: "GET", path: "/mirrored/k", header: []string{"Cistern-Hops: many"}}, 400, "invalid_argument")
}

func TestPanicIsAnswered(t *testing.T) {
	s := start(t, func(o *options) { o.Core = nil })
	r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/k"}, 500, "internal_error")
	if strings.Contains(r.body, "nil pointer") {
		t.Errorf("the client is told internals: %s", r.body)
	}
	if !strings.Contains(s.log.String(), "nil pointer") {
		t.Error("the log does not say what happened")
	}
}

// TestSlowReaderIsCut holds that a client that takes nothing does not hold its answer for ever.
func TestSlowReaderIsCut(t *testing.T) {
	s := start(t, func(o *options) { o.WriteStall = 100 * time.Millisecond })
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.reps.next(t)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: strings.Repeat("x", 24<<20)}, 201, "")
	s.reps.next(t)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4096)
	m := message{as: "ALICE", method: "GET", path: "/my-bucket/k"}
	io.WriteString(conn, m.head(s.addr)+"\r\n")
	if rep := s.reps.next(t); rep.Status != 200 || rep.Sent >= 24<<20 {
		t.Errorf("report = %+v, want a 200 that was cut", rep)
	}
}

// BenchmarkPage renders a page of 1,000 keys.
func BenchmarkPage(b *testing.B) {
	st := store.New(memstore.New())
	defer st.Close()
	api := qsapi.New(qsapi.Options{Core: cistern.New(cistern.Options{Store: st}), Keys: keyring{}})
	bucket, err := st.CreateBucket(b.Context(), "my-bucket", "alice", "pek3a")
	if err != nil {
		b.Fatal(err)
	}
	put(b, st, bucket, 1000)
	m := message{as: "ALICE", method: "GET", path: "/my-bucket?limit=1000", header: []string{"Date: " + time.Now().UTC().Format(http.TimeFormat)}}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(m.head("h") + "\r\n")))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		rec := httptest.NewRecorder()
		api.ServeHTTP(rec, r)
		if rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
}
