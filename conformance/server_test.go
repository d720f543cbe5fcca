package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/yunify/qingstor-sdk-go/v3/config"
	qserrors "github.com/yunify/qingstor-sdk-go/v3/request/errors"
	"github.com/yunify/qingstor-sdk-go/v3/request/signer"
	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// The key pair of the SDK's documentation, so that its snippets run as they are printed.
const (
	keyID  = "YOUR-ACCESS-KEY-ID"
	secret = "YOUR--SECRET-ACCESS-KEY"
)

// patience bounds each wait for the server's process.
const patience = 30 * time.Second

// binary is the path of the command, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "conformance")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "cistern")
		build := exec.Command("go", "build", "-o", binary, "./cmd/cistern")
		build.Dir = ".."
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the command: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// server is a running Cistern with an empty data directory.
type server struct {
	host string // host:port
	port int
}

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

// start runs the command until the test ends, then stops it as an operator would and wants a clean exit.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{host: listener.Addr().String(), port: listener.Addr().(*net.TCPAddr).Port}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(binary, append([]string{"serve", "--data", t.TempDir(), "--listen", s.host}, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CISTERN_") && !strings.HasPrefix(v, "QINGSTOR_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "CISTERN_ACCESS_KEY_ID="+keyID, "CISTERN_SECRET_ACCESS_KEY="+secret)
	printed := &log{}
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		defer func() {
			if t.Failed() {
				t.Logf("the server printed:\n%s", printed)
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
		case <-time.After(patience):
			t.Errorf("the server still runs %v after SIGTERM", patience)
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-exited
		}
	})

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := poll(ctx, exited, func() bool { return s.ready(ctx) }); err != nil {
		t.Fatalf("the server is not ready: %v\n%s", err, printed)
	}
	return s
}

// poll asks again and again until done says yes, the context ends or the process does.
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

func (s *server) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.host+"/-/readyz", nil)
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

// config is the SDK's configuration for the server, otherwise as config.New makes it.
func (s *server) config(t *testing.T) *config.Config {
	t.Helper()
	conf, err := config.New(keyID, secret)
	if err != nil {
		t.Fatal(err)
	}
	conf.Protocol, conf.Host, conf.Port = "http", "127.0.0.1", s.port
	t.Cleanup(conf.Connection.CloseIdleConnections)
	return conf
}

// zonedConfig is for clients that name a zone. The host "pek3a.127.0.0.1" resolves nowhere, so the connection goes to
// the server whatever the URL's host is; what the SDK sends is untouched.
func (s *server) zonedConfig(t *testing.T) *config.Config {
	t.Helper()
	conf := s.config(t)
	conf.Connection.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.host)
	}
	return conf
}

func (s *server) service(t *testing.T) *service.Service {
	t.Helper()
	return newService(t, s.config(t))
}

func newService(t *testing.T, conf *config.Config) *service.Service {
	t.Helper()
	svc, err := service.Init(conf)
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// bucket makes a bucket, in path style without a zone.
func (s *server) bucket(t *testing.T, name string) *service.Bucket {
	t.Helper()
	return makeBucket(t, s.service(t), name, "")
}

func makeBucket(t *testing.T, svc *service.Service, name, zone string) *service.Bucket {
	t.Helper()
	b := openBucket(t, svc, name, zone)
	out, err := b.Put()
	if err != nil {
		t.Fatalf("PUT bucket %s: %v", name, err)
	}
	wantStatus(t, "PUT bucket "+name, out.StatusCode, 201)
	return b
}

func openBucket(t *testing.T, svc *service.Service, name, zone string) *service.Bucket {
	t.Helper()
	b, err := svc.Bucket(name, zone)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// raw sends a request that the SDK's calls cannot make, signed by the SDK's signer.
func (s *server) raw(t *testing.T, method, path string, header http.Header, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	sign := signer.QingStorSigner{AccessKeyID: keyID, SecretAccessKey: secret}
	if err := sign.WriteSignature(req); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// anonymous gets a URL without any signature.
func anonymous(t *testing.T, url string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, readAll(t, resp.Body)
}

func readAll(t *testing.T, body io.ReadCloser) string {
	t.Helper()
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("read the body: %v", err)
	}
	return string(text)
}

func wantStatus(t *testing.T, what string, got *int, want int) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: no status, want %d", what, want)
		return
	}
	if *got != want {
		t.Errorf("%s = %d, want %d", what, *got, want)
	}
}

// wantError wants the SDK's error with this status and code; "" is for answers without a body. Every refusal carries a
// request id.
func wantError(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var qs *qserrors.QingStorError
	if !errors.As(err, &qs) {
		t.Errorf("%s: error = %v, want a QingStorError with %d %s", what, err, status, code)
		return
	}
	if qs.StatusCode != status || qs.Code != code {
		t.Errorf("%s: error = %d %q (%s), want %d %q", what, qs.StatusCode, qs.Code, qs.Message, status, code)
	}
	if code != "" && (qs.RequestID == "" || qs.Message == "" || qs.ReferenceURL == "") {
		t.Errorf("%s: error body = %+v, want every field filled", what, *qs)
	}
}

// value is what a pointer of the SDK points to, or the zero value.
func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

func ptr[T any](v T) *T { return &v }
