package floor

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Mirror serves what it has in dir and fetches the rest from site, once a key. It forgets everything when it ends.
type Mirror struct {
	dir, site string
	client    *http.Client
	wg        sync.WaitGroup // fetches

	mu      sync.Mutex // guards flights
	flights map[string]*flight
}

// flight is a key that is there or on its way.
type flight struct {
	name string
	ok   chan struct{} // closed when size, or err, is known
	size int64

	mu    sync.Mutex // guards the fields below
	have  int64
	err   error
	moved chan struct{} // closed when have or err changes
}

// NewMirror returns a mirror of site, a URL without a slash at its end.
func NewMirror(dir, site string) *Mirror {
	return &Mirror{
		dir: dir, site: site, flights: map[string]*flight{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}},
	}
}

// ServeHTTP answers from the first byte on that is there.
func (m *Mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := m.flight(r.URL.EscapedPath())
	<-f.ok
	if f.size < 0 {
		http.Error(w, "source failed", http.StatusServiceUnavailable)
		return
	}
	file, err := os.Open(f.name)
	if err != nil {
		http.Error(w, "gone", http.StatusInternalServerError)
		return
	}
	defer file.Close()
	from, to := int64(0), f.size
	w.Header().Set("Content-Type", "application/octet-stream")
	if spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		first, last, _ := strings.Cut(spec, "-")
		from, _ = strconv.ParseInt(first, 10, 64)
		if end, err := strconv.ParseInt(last, 10, 64); err == nil {
			to = min(to, end+1)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, f.size))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	if to-from < f.size {
		w.WriteHeader(http.StatusPartialContent)
	}
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		panic(http.ErrAbortHandler)
	}
	for from < to {
		have, err := f.await(from)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		n, err := io.CopyN(w, file, min(have, to)-from)
		from += n
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// await returns how much is there once it is more than off.
func (f *flight) await(off int64) (int64, error) {
	for {
		f.mu.Lock()
		have, err, moved := f.have, f.err, f.moved
		f.mu.Unlock()
		if have > off || err != nil {
			return have, err
		}
		<-moved
	}
}

func (m *Mirror) flight(path string) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flights[path]
	if f == nil {
		f = &flight{name: filepath.Join(m.dir, strconv.Itoa(len(m.flights))), ok: make(chan struct{}), size: -1, moved: make(chan struct{})}
		m.flights[path] = f
		m.wg.Go(func() { m.fetch(f, path) })
	}
	return f
}

func (m *Mirror) fetch(f *flight, path string) {
	resp, err := m.client.Get(m.site + path)
	if err != nil {
		close(f.ok)
		return
	}
	defer resp.Body.Close()
	file, err := os.Create(f.name)
	if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		close(f.ok)
		return
	}
	defer file.Close()
	f.size = resp.ContentLength
	close(f.ok)
	buf := make([]byte, 128<<10)
	for {
		n, rerr := resp.Body.Read(buf)
		_, werr := file.Write(buf[:n])
		f.mu.Lock()
		f.have += int64(n)
		switch {
		case werr != nil:
			f.err = werr
		case rerr != nil && f.have < f.size:
			f.err = rerr
		}
		moved := f.moved
		f.moved = make(chan struct{})
		end := f.err != nil || rerr != nil
		f.mu.Unlock()
		close(moved)
		if end {
			return
		}
	}
}

// Close waits for the fetches.
func (m *Mirror) Close() {
	m.client.CloseIdleConnections()
	m.wg.Wait()
}
