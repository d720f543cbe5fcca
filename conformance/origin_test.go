package conformance

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// origin is a web site with files at decoded paths, which counts what it is asked for.
type origin struct {
	url   string
	files map[string]string

	mu   sync.Mutex     // guards gets
	gets map[string]int // GET requests by decoded path
}

// originModified is the Last-Modified of all files.
var originModified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newOrigin(t *testing.T, files map[string]string) *origin {
	t.Helper()
	o := &origin{files: files, gets: map[string]int{}}
	site := httptest.NewServer(o)
	t.Cleanup(site.Close)
	o.url = site.URL
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		o.mu.Lock()
		o.gets[r.URL.Path]++
		o.mu.Unlock()
	}
	body, ok := o.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Content-Type", "text/x-origin")
	w.Header().Set("ETag", `"origin-tag"`)
	w.Header().Set("Last-Modified", originModified.Format(http.TimeFormat))
	if r.Method == http.MethodHead {
		return
	}
	// A write that fails is the client's leaving; there is nobody left to tell.
	_, _ = w.Write([]byte(body))
}

// count says how many GET requests came for a decoded path.
func (o *origin) count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gets[path]
}
