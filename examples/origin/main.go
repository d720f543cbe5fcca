// Command origin serves a few files over HTTP, so that Cistern can be tried without any other source.
//
// The files are made up on the fly and always the same. Any name below /image/ that begins with a size works, such as
// /image/1MiB.bin or /image/700KiB.iso, up to 1 TiB. It is an example, no server for real use.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const hello = `This file came from the example origin.

Ask Cistern for it twice and compare the Cache-Status headers: the second answer did not need this origin at all.
`

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address to listen on")
	rate := flag.String("rate", "4MiB", "bytes a second for each connection, such as 512KiB; 0 for no limit")
	flag.Parse()
	bytesPerSecond, err := parseSize(*rate)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "origin: -rate takes a size such as 512KiB, and there are no other arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, bytesPerSecond, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "origin:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, listen string, bytesPerSecond int64, out io.Writer) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: site{rate: bytesPerSecond, log: out}, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stopped()
	fmt.Fprintf(out, `Serving on http://%[1]s

  http://%[1]s/hello.txt
  http://%[1]s/image/1MiB.bin      any size: /image/700KiB.bin, /image/1GiB.iso
  http://%[1]s/docs/a.txt          a few small files: a.txt to e.txt

Try it with Cistern, in another terminal:

  cistern serve --mirror demo=http://%[1]s/
  curl -i http://127.0.0.1:9000/demo/hello.txt
  curl -o /dev/null http://127.0.0.1:9000/demo/image/64MiB.bin

Requests are listed below: each object is asked for once.
`, ln.Addr())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type site struct {
	rate int64 // bytes a second for each answer, 0: no limit
	log  io.Writer
}

// modified is the time of every file, so that a restart changes nothing.
var modified = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(s.log, "%s %s %s\n", r.Method, r.URL.EscapedPath(), r.Header.Get("Range"))
	body, kind, ok := file(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", fmt.Sprintf(`"example-%x"`, body.Size()))
	if s.rate > 0 {
		w = &slow{ResponseWriter: w, rate: s.rate, begun: time.Now(), done: r.Context().Done()}
	}
	http.ServeContent(w, r, "", modified, body)
}

// file returns the bytes and the type of the file at a path.
func file(p string) (body *io.SectionReader, kind string, ok bool) {
	text := func(s string) (*io.SectionReader, string, bool) {
		return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s))), "text/plain; charset=utf-8", true
	}
	dir, name := path.Split(p)
	switch {
	case p == "/hello.txt":
		return text(hello)
	case dir == "/docs/" && len(name) == len("a.txt") && name[0] >= 'a' && name[0] <= 'e' && name[1:] == ".txt":
		return text(strings.Repeat("This is "+name+".\n", 100))
	case dir == "/image/":
		size, _, _ := strings.Cut(name, ".")
		n, err := parseSize(size)
		if err != nil {
			return nil, "", false
		}
		return io.NewSectionReader(pattern{}, 0, n), "application/octet-stream", true
	}
	return nil, "", false
}

// pattern is an endless file: the 8 bytes at each offset that 8 divides are that offset.
type pattern struct{}

func (pattern) ReadAt(p []byte, off int64) (int, error) {
	var word [8]byte
	for n := 0; n < len(p); {
		at := off + int64(n)
		binary.BigEndian.PutUint64(word[:], uint64(at&^7))
		n += copy(p[n:], word[at&7:])
	}
	return len(p), nil
}

// maxSize bounds the files that a name can ask for.
const maxSize = 1 << 40

// parseSize reads a number of bytes with or without KiB, MiB, GiB or TiB.
func parseSize(s string) (int64, error) {
	unit := int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = digits, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseUint(s, 10, 41)
	if err != nil {
		return 0, err
	}
	if int64(n) > maxSize/unit {
		return 0, errors.New("too large")
	}
	return int64(n) * unit, nil
}

// slow spreads a body over time. It hides ReadFrom, which would send everything at once.
type slow struct {
	http.ResponseWriter
	rate  int64
	begun time.Time
	sent  int64
	done  <-chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	// A twentieth of a second at a time, so that a reader sees it flow.
	step := max(s.rate/20, 1)
	written := 0
	for written < len(p) {
		n, err := s.ResponseWriter.Write(p[written:min(int64(len(p)), int64(written)+step)])
		written += n
		s.sent += int64(n)
		if err != nil {
			return written, err
		}
		if err := http.NewResponseController(s.ResponseWriter).Flush(); err != nil {
			return written, err
		}
		due := time.Duration(float64(s.sent) / float64(s.rate) * float64(time.Second))
		select {
		case <-time.After(due - time.Since(s.begun)):
		case <-s.done:
			return written, context.Canceled
		}
	}
	return written, nil
}
