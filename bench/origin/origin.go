// Package origin is the source that everything under test fills from.
//
// How it behaves is the first part of the path, so that one server plays all origins of a run: /rate16777216-noranges/33554432/name is an
// object of 32 MiB, sent with 16 MiB/s a connection, whatever Range asks for. It counts by path what it was asked for.
package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cisternhq/cistern/bench/content"
)

// Profile is how an origin behaves. The zero value answers at once, with ranges, as fast as memory.
type Profile struct {
	// Rate is how many bytes a second each connection gets; 0 means any.
	Rate int64
	// Delay is the time before each answer.
	Delay time.Duration
	// NoRanges ignores Range.
	NoRanges bool
}

// String is the profile as a part of the path.
func (p Profile) String() string {
	parts := []string{"plain"}
	if p.Rate > 0 {
		parts = append(parts, "rate"+strconv.FormatInt(p.Rate, 10))
	}
	if p.Delay > 0 {
		parts = append(parts, "delay"+p.Delay.String())
	}
	if p.NoRanges {
		parts = append(parts, "noranges")
	}
	return strings.Join(parts, "-")
}

// ParseProfile is the reverse of String.
func ParseProfile(s string) (p Profile, err error) {
	for part := range strings.SplitSeq(s, "-") {
		switch {
		case part == "plain":
		case part == "noranges":
			p.NoRanges = true
		case strings.HasPrefix(part, "rate"):
			p.Rate, err = strconv.ParseInt(part[4:], 10, 64)
		case strings.HasPrefix(part, "delay"):
			p.Delay, err = time.ParseDuration(part[5:])
		default:
			err = errors.New("unknown word")
		}
		if err != nil {
			return p, fmt.Errorf("profile %q: %q: %w", s, part, err)
		}
	}
	return p, nil
}

// Count is what an origin was asked for under one path.
type Count struct {
	// Requests are all of them, GETs those with a body, Ranged those of the latter with a Range header.
	Requests, GETs, Ranged int64
	// Bytes are those of bodies that the connections took.
	Bytes int64
	// Most is the largest number of bodies that were being sent at a time.
	Most int64
}

// Server is a running origin.
type Server struct {
	mu     sync.Mutex // guards the fields below
	counts map[string]*entry
}

type entry struct {
	Count
	now int64
}

// New returns a server without counts.
func New() *Server { return &Server{counts: map[string]*entry{}} }

// connKey finds a connection's throttle in a request's context.
type connKey struct{}

// throttle paces one connection; requests on it come one after the other.
type throttle struct {
	next time.Time // when the connection may send again
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, &throttle{})
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// CountsPath returns all counts as JSON by path; a DELETE empties them.
const CountsPath = "/-/counts"

// ServeHTTP answers GET and HEAD of objects, as well as requests for the counts.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path == CountsPath {
		s.serveCounts(w, r)
		return
	}
	word, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	p, err := ParseProfile(word)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	o, err := content.Parse(key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	from, to, status := int64(0), o.Size, http.StatusOK
	if header := r.Header.Get("Range"); header != "" && !p.NoRanges {
		if cond := r.Header.Get("If-Range"); cond == "" || cond == o.ETag() || cond == content.Modified.Format(http.TimeFormat) {
			if from, to, err = parseRange(header, o.Size); err != nil {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", o.Size))
				http.Error(w, err.Error(), http.StatusRequestedRangeNotSatisfiable)
				return
			}
			status = http.StatusPartialContent
		}
	}
	e := s.enter(path, r)
	var sent int64
	defer func() { s.leave(e, r, sent) }()
	if p.Delay > 0 && !wait(r.Context(), p.Delay) {
		return
	}
	h := w.Header()
	h["Content-Length"] = []string{strconv.FormatInt(to-from, 10)}
	h["Content-Type"] = []string{"application/octet-stream"}
	h["Etag"] = []string{o.ETag()}
	h["Last-Modified"] = []string{content.Modified.Format(http.TimeFormat)}
	if !p.NoRanges {
		h["Accept-Ranges"] = []string{"bytes"}
	}
	if status == http.StatusPartialContent {
		h["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", from, to-1, o.Size)}
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	piece := int64(content.MaxSlice)
	var t *throttle
	if p.Rate > 0 {
		if t, _ = r.Context().Value(connKey{}).(*throttle); t == nil {
			t = &throttle{} // another server than that of Serve
		}
		piece = max(1, min(piece, p.Rate/512)) // about 2 ms of the rate
	}
	for off := from; off < to; {
		b := o.Slice(off, min(piece, to-off))
		if t != nil && !t.pace(r.Context(), int64(len(b)), p.Rate) {
			return
		}
		n, err := w.Write(b)
		sent += int64(n)
		off += int64(n)
		if err != nil {
			return
		}
	}
}

// pace waits until n more bytes may go. A connection that did not use its share for a while gets no more than 5 ms of it back.
func (t *throttle) pace(ctx context.Context, n, rate int64) bool {
	now := time.Now()
	if earliest := now.Add(-5 * time.Millisecond); t.next.Before(earliest) {
		t.next = earliest
	}
	t.next = t.next.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return wait(ctx, t.next.Sub(now))
}

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) enter(path string, r *http.Request) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.counts[path]
	if e == nil {
		e = &entry{}
		s.counts[path] = e
	}
	e.Requests++
	if r.Method == http.MethodGet {
		e.GETs++
		if r.Header.Get("Range") != "" {
			e.Ranged++
		}
		e.now++
		e.Most = max(e.Most, e.now)
	}
	return e
}

func (s *Server) leave(e *entry, r *http.Request, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Bytes += sent
	if r.Method == http.MethodGet {
		e.now--
	}
}

func (s *Server) serveCounts(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodDelete {
		clear(s.counts)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	all := make(map[string]Count, len(s.counts))
	for path, e := range s.counts {
		all[path] = e.Count
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // the other end notices
}

// parseRange understands one range of bytes; to is behind its last byte.
func parseRange(header string, size int64) (from, to int64, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return 0, 0, fmt.Errorf("range %q: want one of bytes", header)
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 {
			return 0, 0, fmt.Errorf("range %q: bad suffix", header)
		}
		return max(0, size-n), size, nil
	}
	if from, err = strconv.ParseInt(first, 10, 64); err != nil || from < 0 || from >= size {
		return 0, 0, fmt.Errorf("range %q: bad first byte", header)
	}
	if last == "" {
		return from, size, nil
	}
	end, err := strconv.ParseInt(last, 10, 64)
	if err != nil || end < from {
		return 0, 0, fmt.Errorf("range %q: bad last byte", header)
	}
	return from, min(end+1, size), nil
}
