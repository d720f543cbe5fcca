package qsapi_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/qsapi"
	"github.com/cisternhq/cistern/internal/sign"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

// now is the time by the tests' clock.
var now = time.Date(2026, 11, 22, 6, 44, 22, 0, time.UTC)

// keyring has a key for each user; the secret of user u is "secret-u". The key of mallory is disabled.
type keyring struct{}

func (keyring) Lookup(id string) (qsapi.Key, bool) {
	switch id {
	case "OPERATOR", "ALICE", "BOB", "CAROL", "MALLORY":
		owner := strings.ToLower(id)
		return qsapi.Key{Secret: "secret-" + owner, Owner: owner, Operator: id == "OPERATOR", Disabled: id == "MALLORY"}, true
	}
	return qsapi.Key{}, false
}

// site is a running server.
type site struct {
	t    testing.TB
	addr string
	log  *lines
	reps *reports
}

// start runs a server on loopback with an empty store. set may change its options.
func start(t testing.TB, set func(*qsapi.Options)) *site {
	t.Helper()
	return startCore(t, func(*cistern.Options) {}, set)
}

// startCore is start with change made to the options of what is below the dialect.
func startCore(t testing.TB, change func(*cistern.Options), set func(*qsapi.Options)) *site {
	t.Helper()
	st := store.New(memstore.New())
	t.Cleanup(func() { st.Close() })
	source := origin.New(origin.Options{})
	filler := fill.New(fill.Options{Origin: source, Store: st})
	t.Cleanup(func() { filler.Close(t.Context()) })
	core := cistern.Options{Store: st, Filler: filler, Origin: source, Domains: []string{"cistern.local"}, OwnersBind: true}
	change(&core)
	s := &site{t: t, log: &lines{}, reps: &reports{}}
	o := qsapi.Options{
		Core:      cistern.New(core),
		Keys:      keyring{},
		Domains:   []string{"cistern.local"},
		Now:       func() time.Time { return now },
		Logger:    slog.New(slog.NewJSONHandler(s.log, nil)),
		OnRequest: s.reps.add,
	}
	if set != nil {
		set(&o)
	}
	srv := httptest.NewUnstartedServer(qsapi.New(o))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Start()
	t.Cleanup(srv.Close)
	s.addr = srv.Listener.Addr().String()
	return s
}

// lines is a log.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// reports keeps what OnRequest was told, and wakes who waits.
type reports struct {
	once sync.Once
	ch   chan qsapi.Report
}

func (r *reports) init() { r.once.Do(func() { r.ch = make(chan qsapi.Report, 1000) }) }

func (r *reports) add(rep qsapi.Report) {
	r.init()
	r.ch <- rep
}

// next waits for the next report.
func (r *reports) next(t testing.TB) qsapi.Report {
	t.Helper()
	r.init()
	select {
	case rep := <-r.ch:
		return rep
	case <-time.After(10 * time.Second):
		t.Fatal("no report after 10 s")
		return qsapi.Report{}
	}
}

// message is a request as it goes out, byte by byte.
type message struct {
	as      string // key id; "" anonymous
	method  string
	path    string // with its query
	host    string // default: the server's address
	bucket  string // virtual-host style: the bucket that is signed
	proto   string // default HTTP/1.1
	header  []string
	body    string
	chunked bool
	length  string // Content-Length if not the body's
	cut     bool   // end the connection's sending side behind the body
	auth    string // Authorization, if not the right one
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body string
	err  error // what ended the body, nil at its end
}

func (m message) head(addr string) string {
	h := http.Header{"Date": {now.Format(http.TimeFormat)}}
	for _, line := range m.header {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	path, query, _ := strings.Cut(m.path, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok {
		path = rest[strings.IndexByte(rest, '/'):]
	}
	var b strings.Builder
	proto := m.proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	host := m.host
	if host == "" {
		host = addr
	}
	b.WriteString(m.method + " " + m.path + " " + proto + "\r\nHost: " + host + "\r\nDate: " + h.Get("Date") + "\r\n")
	for _, line := range m.header {
		if !strings.HasPrefix(line, "Date:") {
			b.WriteString(line + "\r\n")
		}
	}
	switch {
	case m.auth != "":
		b.WriteString("Authorization: " + m.auth + "\r\n")
	case m.as != "":
		r := sign.Request{Method: m.method, Path: path, Query: query, Header: h, Bucket: m.bucket}
		b.WriteString("Authorization: " + sign.Header(r, m.as, "secret-"+strings.ToLower(m.as)) + "\r\n")
	}
	return b.String()
}

// send makes an exchange on a connection of its own.
func (s *site) send(m message) reply {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	text := m.head(s.addr)
	switch {
	case m.chunked:
		text += "Transfer-Encoding: chunked\r\n\r\n"
		if m.body != "" {
			var b strings.Builder
			w := newChunks(&b)
			io.WriteString(w, m.body)
			text += b.String()
		}
		if !m.cut {
			text += "0\r\n\r\n"
		}
	case m.length == "none":
		text += "\r\n" + m.body
	case m.length != "":
		text += "Content-Length: " + m.length + "\r\n\r\n" + m.body
	case m.body != "" || m.method == "PUT" || m.method == "POST":
		text += "Content-Length: " + itoa(len(m.body)) + "\r\n\r\n" + m.body
	default:
		text += "\r\n"
	}
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	if m.cut {
		conn.(*net.TCPConn).CloseWrite()
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: m.method})
	if err != nil {
		s.t.Fatalf("%s %s: %v", m.method, m.path, err)
	}
	body, err := io.ReadAll(resp.Body)
	return reply{resp, string(body), err}
}

// want sends m and checks the status, and for an error that its body is complete. It returns the answer.
func (s *site) want(m message, status int, code string) reply {
	s.t.Helper()
	r := s.send(m)
	if r.StatusCode != status {
		s.t.Errorf("%s %s = %d %s, want %d %s", m.method, m.path, r.StatusCode, r.body, status, code)
		return r
	}
	if len(r.Header.Get("X-Qs-Request-Id")) != 32 {
		s.t.Errorf("%s %s: x-qs-request-id = %q, want 32 hex digits", m.method, m.path, r.Header.Get("X-Qs-Request-Id"))
	}
	if code != "" {
		checkError(s.t, m, r, code)
	}
	return r
}

type options = qsapi.Options

// put stores n empty objects.
func put(t testing.TB, st *store.Store, b store.Bucket, n int) {
	t.Helper()
	for i := range n {
		spool, err := st.NewSpool(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		m := object.Meta{ETag: `"d41d8cd98f00b204e9800998ecf8427e"`, LastModified: now, Created: now}
		if err := st.Put(t.Context(), b, "dir/object-"+itoa(i), m, spool); err != nil {
			t.Fatal(err)
		}
	}
}
