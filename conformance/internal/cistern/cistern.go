// Package cistern runs the command for the tests of clients, as a user would start it.
//
// It knows nothing of any client, so that each module of tests can use it.
package cistern

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The key pair of the SDKs' documentation, so that its snippets run as they are printed.
const (
	KeyID  = "YOUR-ACCESS-KEY-ID"
	Secret = "YOUR--SECRET-ACCESS-KEY"
)

// Patience bounds each wait for the server's process.
const Patience = 30 * time.Second

// Build makes the command in dir and returns its path.
func Build(dir string) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	binary := filepath.Join(dir, "cistern")
	build := exec.Command("go", "build", "-o", binary, "./cmd/cistern")
	build.Dir = filepath.Join(filepath.Dir(here), "..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return binary, nil
}

// Main is for a package's TestMain: it builds the command, hands its path to use, and runs the tests.
func Main(m *testing.M, use func(binary string)) (exit int) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, err := Build(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	use(binary)
	return m.Run()
}

// Server is a running Cistern with an empty data directory.
type Server struct {
	Host string // host:port
	Port int

	printed *log
}

// Log is what the server's process has printed so far.
func (s *Server) Log() string { return s.printed.String() }

// log collects what the server's process prints.
type log struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Start runs the command until the test ends, then stops it as an operator would and wants a clean exit.
func Start(t *testing.T, binary string, args ...string) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Host: listener.Addr().String(), Port: listener.Addr().(*net.TCPAddr).Port, printed: &log{}}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(binary, append([]string{"serve", "--data", t.TempDir(), "--listen", s.Host}, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CISTERN_") && !strings.HasPrefix(v, "QINGSTOR_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "CISTERN_ACCESS_KEY_ID="+KeyID, "CISTERN_SECRET_ACCESS_KEY="+Secret)
	cmd.Stdout, cmd.Stderr = s.printed, s.printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() { exited <- cmd.Wait() })
	t.Cleanup(func() {
		defer waiting.Wait()
		defer func() {
			if t.Failed() {
				t.Logf("the server printed:\n%s", s.printed)
			}
		}()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stop the server: %v", err)
			return
		}
		select {
		case err := <-exited:
			if err != nil {
				t.Errorf("the server ended with %v, want a clean exit after SIGTERM", err)
			}
		case <-time.After(Patience):
			t.Errorf("the server still runs %v after SIGTERM", Patience)
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-exited
		}
	})

	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if err := poll(ctx, exited, func() bool { return s.ready(ctx) }); err != nil {
		t.Fatalf("the server is not ready: %v\n%s", err, s.printed)
	}
	return s
}

// Poll asks again and again until done says yes or the context ends.
func Poll(ctx context.Context, done func() bool) error { return poll(ctx, nil, done) }

// poll ends with the process, too.
func poll(ctx context.Context, exited chan error, done func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case err := <-exited:
			exited <- err // for whoever waits next
			return fmt.Errorf("the process ended: %v", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (s *Server) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Host+"/-/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
