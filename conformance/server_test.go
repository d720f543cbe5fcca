package conformance

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/yunify/qingstor-sdk-go/v3/config"
	qserrors "github.com/yunify/qingstor-sdk-go/v3/request/errors"
	"github.com/yunify/qingstor-sdk-go/v3/request/signer"
	"github.com/yunify/qingstor-sdk-go/v3/service"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

// The pair that every server of these tests knows.
const (
	keyID  = cistern.KeyID
	secret = cistern.Secret
)

// patience bounds each wait for the server's process.
const patience = cistern.Patience

// binary is the path of the command, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(cistern.Main(m, func(path string) { binary = path }))
}

// server is a running Cistern with an empty data directory.
type server struct {
	host string // host:port
	port int
}

// start runs the command until the test ends.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	s := cistern.Start(t, binary, args...)
	return &server{host: s.Host, port: s.Port}
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
