// Package floor is the least that a Go program has to do for the same service.
//
// Both servers are what one writes in an afternoon with net/http: one for files, one for a mirror whose readers share fetches. They
// check nothing and sync nothing. What Cistern costs above them is the price of what it does more.
package floor

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Files serves the files below dir under their own paths.
func Files(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(filepath.Clean(r.URL.Path))))
		if err != nil {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		defer f.Close()
		s, err := f.Stat()
		if err != nil {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Etag", `"`+strconv.FormatInt(s.ModTime().UnixNano(), 16)+"-"+strconv.FormatInt(s.Size(), 16)+`"`)
		http.ServeContent(w, r, "", s.ModTime(), f)
	})
}

// Server gives h to clients as both floors do.
func Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
}
