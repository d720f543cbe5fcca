package cisterntest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Site is a well-behaved source: deterministic objects with validators and ranges. It is safe for concurrent use.
type Site struct {
	o      SiteOptions
	ln     net.Listener
	srv    *http.Server
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup // the serving goroutine

	mu      sync.Mutex // guards the fields below
	objects map[string]int64
	count   map[string]int
	sent    map[string]int64
}

// SiteOptions say how a Site behaves. The zero value is an empty site that answers at once.
type SiteOptions struct {
	// Objects are the sizes in bytes by key, without a leading slash.
	Objects map[string]int64
	// Rate is how many bytes a second each connection gets. Zero: as many as it takes.
	Rate int
	// Delay is the time before the first byte of each answer. Zero: none.
	Delay time.Duration
	// NoRanges makes the site ignore Range.
	NoRanges bool
	// NoValidators makes the site send neither ETag nor Last-Modified.
	NoValidators bool
}

// SiteModified is the Last-Modified of every object of a Site.
var SiteModified = time.Date(2024, time.May, 6, 7, 8, 9, 0, time.UTC)

// NewSite starts a site that ends with the test.
func NewSite(t testing.TB, o SiteOptions) *Site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start site: %v", err)
	}
	s := &Site{o: o, ln: ln, closed: make(chan struct{}), objects: map[string]int64{}, count: map[string]int{}, sent: map[string]int64{}}
	for key, size := range o.Objects {
		s.objects[key] = size
	}
	s.srv = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.wg.Go(func() {
		if err := s.srv.Serve(&slowListener{Listener: ln, rate: o.Rate, closed: s.closed}); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("site: %v", err)
		}
	})
	t.Cleanup(s.Close)
	return s
}

// Close ends the site and its connections. It may be called more than once.
func (s *Site) Close() {
	s.once.Do(func() { close(s.closed) })
	_ = s.srv.Close()
	s.wg.Wait()
}

// URL is the site's address as a source site, without a path.
func (s *Site) URL() string { return "http://" + s.ln.Addr().String() }

// Set adds an object, or changes its size and with it its bytes.
func (s *Site) Set(key string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = size
}

// Remove takes an object away.
func (s *Site) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
}

// Requests is how many requests came for key, whatever their method.
func (s *Site) Requests(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[key]
}

// Sent is how many bytes of key's bodies were sent.
func (s *Site) Sent(key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[key]
}

// ServeHTTP answers GET and HEAD.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
	if err != nil {
		http.Error(w, "bad path", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	size, ok := s.objects[key]
	s.count[key]++
	s.mu.Unlock()
	if s.o.Delay > 0 {
		timer := time.NewTimer(s.o.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.closed:
			return
		case <-r.Context().Done():
			return
		}
	}
	if !ok {
		http.Error(w, "no such object", http.StatusNotFound)
		return
	}
	c := NewContent(key, size)
	w.Header().Set("Content-Type", "application/octet-stream")
	modified := time.Time{}
	if !s.o.NoValidators {
		w.Header().Set("ETag", c.ETag())
		modified = SiteModified
	}
	if s.o.NoRanges {
		r = r.Clone(context.WithoutCancel(r.Context()))
		r.Header.Del("Range")
		w = noRanges{w}
	}
	counted := &countingWriter{ResponseWriter: w}
	http.ServeContent(counted, r, "", modified, c.Reader())
	s.mu.Lock()
	s.sent[key] += counted.n
	s.mu.Unlock()
}

type countingWriter struct {
	http.ResponseWriter
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// noRanges takes back the offer that http.ServeContent makes.
type noRanges struct{ http.ResponseWriter }

func (n noRanges) WriteHeader(status int) {
	n.Header().Del("Accept-Ranges")
	n.ResponseWriter.WriteHeader(status)
}

// slowListener throttles each connection that it accepts.
type slowListener struct {
	net.Listener
	rate   int
	closed <-chan struct{}
}

func (l *slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.rate <= 0 {
		return c, err
	}
	return &slowConn{Conn: c, out: &slowWriter{w: c, rate: l.rate, closed: l.closed}}, nil
}

// slowConn hides the connection's ReadFrom, which would go round the throttle.
type slowConn struct {
	net.Conn
	out io.Writer
}

func (c *slowConn) Write(p []byte) (int, error) { return c.out.Write(p) }

func (s *Site) String() string { return fmt.Sprintf("site at %s", s.URL()) }
