package sdk4

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/qingstor/qingstor-sdk-go/v4/config"
	qserrors "github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	"github.com/qingstor/qingstor-sdk-go/v4/service"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

const domain = "cistern.test"

// binary is the path of Cistern's command, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(cistern.Main(m, func(path string) { binary = path }))
}

type server struct{ *cistern.Server }

func start(t *testing.T) *server {
	t.Helper()
	return &server{cistern.Start(t, binary, "--domain", domain)}
}

// config is the SDK's configuration for a host that need not resolve: every connection goes to the server.
func (s *server) config(t *testing.T, id, secret, host string) *config.Config {
	t.Helper()
	conf, err := config.New(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	conf.Protocol, conf.Host, conf.Port = "http", host, s.Port
	conf.Connection.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Host)
	}
	t.Cleanup(conf.Connection.CloseIdleConnections)
	return conf
}

func open(t *testing.T, conf *config.Config, name, zone string) *service.Bucket {
	t.Helper()
	svc, err := service.Init(conf)
	if err != nil {
		t.Fatal(err)
	}
	b, err := svc.Bucket(name, zone)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bucket makes a bucket, as the owner of the server's key pair sees it.
func (s *server) bucket(t *testing.T, name string) *service.Bucket {
	t.Helper()
	b := open(t, s.config(t, cistern.KeyID, cistern.Secret, domain), name, "pek3a")
	out, err := b.Put()
	ok(t, "PUT bucket "+name, err, value(out).StatusCode, 201)
	return b
}

// ok ends the test unless a call succeeded with this status.
func ok(t *testing.T, what string, err error, got *int, want int) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if value(got) != want {
		t.Fatalf("%s = %d, want %d", what, value(got), want)
	}
}

// refused wants the SDK's own type of error, which it makes only of answers in the API's form.
func refused(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var qs *qserrors.QingStorError
	if !errors.As(err, &qs) {
		t.Errorf("%s: error = %T %v, want a QingStorError with %d %s", what, err, err, status, code)
		return
	}
	if qs.StatusCode != status || qs.Code != code || qs.RequestID == "" {
		t.Errorf("%s: error = %d %q, request id %q; want %d %q and an id", what, qs.StatusCode, qs.Code, qs.RequestID, status, code)
	}
}

func put(t *testing.T, b *service.Bucket, key, body string) {
	t.Helper()
	out, err := b.PutObject(key, &service.PutObjectInput{Body: strings.NewReader(body)})
	ok(t, "PUT "+key, err, value(out).StatusCode, 201)
}

func get(t *testing.T, b *service.Bucket, key, want string) *service.GetObjectOutput {
	t.Helper()
	out, err := b.GetObject(key, nil)
	ok(t, "GET "+key, err, value(out).StatusCode, 200)
	defer out.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("GET %q: %v", key, err)
	}
	if string(body) != want {
		t.Errorf("GET %q: %d bytes that differ from the %d wanted", key, len(body), len(want))
	}
	return out
}

func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

func ptr[T any](v T) *T { return &v }
