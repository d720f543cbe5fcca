// Package peer starts the servers that are measured, each of them alike.
//
// An adapter says how a program is started, where its objects are found, what it does before it calls a write durable. It
// measures nothing.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cisternhq/cistern/bench/proc"
)

// Env is where a server runs, with what it gets.
type Env struct {
	// Dir is a fresh folder, on the disk under test.
	Dir string
	// Programs are the paths of installed programs by name.
	Programs map[string]string
	// Self is the benchmark's own program.
	Self string
	// Origin is the origin's address, Profile the first part of the paths there.
	Origin, Profile string
	// Files is a folder with objects as files, for those that serve files.
	Files string
	// Flags are added to Cistern's command line.
	Flags []string
}

// site is where to fill from, without a slash at its end.
func (e Env) site() string { return "http://" + e.Origin + "/" + e.Profile }

// Server is a running peer.
type Server struct {
	// Tree is nil for the origin itself, which is asked directly.
	*proc.Tree
	// Addr is what clients connect to.
	Addr string
	// Path is where an object is found.
	Path func(key string) string
	// Put makes the head of a request that writes an object; nil where nothing can be written.
	Put func(key string, size int64) []byte
	// List makes the head of a request for a page of 1,000 keys behind marker; nil where there are no lists.
	List func(marker string) []byte
	// Keys finds the keys in such a page.
	Keys func(page []byte) (keys []string, err error)
	// Folder is where a file becomes an object of the same name; "" where files do not.
	Folder string
	// Fills says that a GET of what is missing is answered from the origin.
	Fills bool
	// Direct says that there is nothing between the clients and the origin.
	Direct bool
}

// Close ends the server.
func (s *Server) Close() {
	if s.Tree != nil {
		s.Stop(5 * time.Second)
	}
}

// Peer is a kind of server.
type Peer struct {
	// Name is a word.
	Name string
	// Sync says what is on disk when a write, or a fill, is answered.
	Sync string
	// Needs are the names of programs, as in Env.
	Needs []string
	// Version asks the program.
	Version func(ctx context.Context, e Env) string
	// Start returns once the server answers.
	Start func(ctx context.Context, e Env) (*Server, error)
}

// All returns every kind.
func All() []Peer {
	return []Peer{
		{Name: "direct", Sync: "none: the clients ask the origin, which keeps nothing", Start: startDirect},
		cistern(),
		{Name: "floor", Sync: "none: serves files that are there", Start: startFloor},
		{Name: "mirror", Sync: "none: written to files, forgotten at its end", Start: startMirror},
		nginx("nginx", "none: serves files that are there", nginxFiles),
		nginx("nginx-cache", "none: proxy_cache writes files without fsync", nginxCache),
		nginx("nginx-store", "none: proxy_store writes files without fsync", nginxStore),
		nginx("nginx-slice", "none: proxy_cache of slices of 1 MiB without fsync", nginxSlice),
		varnish(),
		minio(),
		versitygw(),
	}
}

// Find returns the kind of that name.
func Find(name string) (Peer, bool) {
	for _, p := range All() {
		if p.Name == name {
			return p, true
		}
	}
	return Peer{}, false
}

// Missing is the first program that is not there; "" if none is.
func (p Peer) Missing(e Env) string {
	for _, name := range p.Needs {
		if e.Programs[name] == "" {
			return name
		}
	}
	return ""
}

// freePort is one that nobody listened on a moment ago.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port), nil
}

// launch starts a program that listens on addr, and waits until it answers to a request for path, whatever it says.
func launch(ctx context.Context, e Env, addr, path string, env []string, name string, args ...string) (*proc.Tree, error) {
	t, err := proc.Start(e.Dir, env, name, args...)
	if err != nil {
		return nil, err
	}
	if err := ready(ctx, t, "http://"+addr+path); err != nil {
		t.Stop(time.Second)
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, t.Log())
	}
	return t, nil
}

func ready(ctx context.Context, t *proc.Tree, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				return nil
			}
		}
		select {
		case <-t.Done():
			return errors.New("it ended by itself")
		case <-ctx.Done():
			return errors.New("it does not answer")
		case <-time.After(time.Millisecond):
		}
	}
}

// firstLine runs a program for what it says of itself.
func firstLine(ctx context.Context, match, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, name, args...).CombinedOutput() // some end with an error and say it all the same
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, match) {
			return strings.TrimSpace(line)
		}
	}
	return "unknown"
}

func slash(key string) string { return "/" + key }

func startDirect(_ context.Context, e Env) (*Server, error) {
	return &Server{Addr: e.Origin, Direct: true, Path: func(key string) string { return "/" + e.Profile + "/" + key }}, nil
}

func startFloor(ctx context.Context, e Env) (*Server, error) {
	return self(ctx, e, slash, "floor", "-dir", e.Files)
}

func startMirror(ctx context.Context, e Env) (*Server, error) {
	return self(ctx, e, slash, "mirror", "-dir", e.Dir, "-site", e.site())
}

func self(ctx context.Context, e Env, path func(string) string, role string, args ...string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + port
	t, err := launch(ctx, e, addr, "/0/ready", nil, e.Self, append([]string{"child", role, "-listen", addr}, args...)...)
	if err != nil {
		return nil, err
	}
	return &Server{Tree: t, Addr: addr, Path: path, Fills: role == "mirror"}, nil
}

// write makes a configuration file in the server's folder.
func write(e Env, name, text string) (string, error) {
	name = filepath.Join(e.Dir, name)
	return name, os.WriteFile(name, []byte(text), 0o644)
}
