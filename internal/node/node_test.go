package node_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/sign"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// do sends a request, signed if k is not the zero key, and returns the answer with its body.
func do(t *testing.T, k keys.Key, method, url, host, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if k.ID != "" {
		r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		r.Header.Set("Authorization", sign.Header(sign.Request{Method: method, Path: r.URL.EscapedPath(), Header: r.Header}, k.ID, k.Secret))
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp.StatusCode, string(text)
}

// newClient returns a client whose connections end with the test.
func newClient(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestKeysBelongToTheOperator(t *testing.T) {
	s := cisterntest.Start(t)
	user := s.NewUser()
	wrong := s.Operator
	wrong.Secret = "another-secret"
	for _, tt := range []struct {
		name   string
		key    keys.Key
		method string
		path   string
		want   int
	}{
		{"anonymous", keys.Key{}, "GET", "/-/keys", 403},
		{"another user", user, "GET", "/-/keys", 403},
		{"another user makes", user, "POST", "/-/keys", 403},
		{"another user removes", user, "DELETE", "/-/keys/" + user.ID, 403},
		{"another user's fills", user, "GET", "/-/fills", 403},
		{"wrong secret", wrong, "GET", "/-/keys", 401},
		{"operator", s.Operator, "GET", "/-/keys", 200},
		{"operator's fills", s.Operator, "GET", "/-/fills", 200},
		{"wrong method", s.Operator, "PUT", "/-/keys", 405},
		{"wrong body", s.Operator, "POST", "/-/keys", 400},
		{"no such key", s.Operator, "DELETE", "/-/keys/NOBODY", 404},
		{"own key", s.Operator, "DELETE", "/-/keys/" + s.Operator.ID, 409},
		{"another user disables", user, "PUT", "/-/keys/" + user.ID, 403},
		{"wrong body of a change", s.Operator, "PUT", "/-/keys/" + user.ID, 400},
		{"wrong method on a key", s.Operator, "GET", "/-/keys/" + user.ID, 405},
		{"no such path", s.Operator, "GET", "/-/kyes", 404},
		{"removed", s.Operator, "DELETE", "/-/keys/" + user.ID, 204},
	} {
		status, text := do(t, tt.key, tt.method, s.URL+tt.path, "", "[")
		if status != tt.want {
			t.Errorf("%s: %s %s = %d %s, want %d", tt.name, tt.method, tt.path, status, text, tt.want)
		}
		if strings.Contains(text, user.Secret) || strings.Contains(text, s.Operator.Secret) {
			t.Errorf("%s: the answer shows a secret: %s", tt.name, text)
		}
		if status >= 400 {
			var e struct{ Code, Message, URL string }
			if json.Unmarshal([]byte(text), &e) != nil || e.Code == "" || e.Message == "" || e.URL == "" {
				t.Errorf("%s: error body %s, want every field filled", tt.name, text)
			}
		}
	}
	if strings.Contains(s.Log(), user.Secret) || strings.Contains(s.Log(), s.Operator.Secret) {
		t.Error("the log shows a secret")
	}
}

// Where the Host names a bucket, "-/healthz" is a key like any other.
func TestOwnPathsAreKeysOfBucketHosts(t *testing.T) {
	s := cisterntest.Start(t, cisterntest.With(func(o *node.Options) { o.Domains = []string{"store.example"} }))
	for host, want := range map[string]int{"": 200, "store.example": 200, "STORE.example:80": 200, "demo.pek3a.store.example": 404} {
		if status, text := do(t, keys.Key{}, "GET", s.URL+"/-/healthz", host, ""); status != want {
			t.Errorf("Host %q: GET /-/healthz = %d %s, want %d", host, status, text, want)
		}
	}
}

// Under a domain of a bucket's own, too, and nobody reads the metrics on a website.
func TestOwnPathsAreKeysOfOwnDomains(t *testing.T) {
	s := cisterntest.Start(t)
	core, op := s.Node.Core(), node.Operator()
	if err := core.CreateBucket(t.Context(), op, "site", "pek3a"); err != nil {
		t.Fatal(err)
	}
	if err := core.BindDomain(t.Context(), op, "site", "www.example.com", "website"); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"www.example.com": 403, "WWW.example.com.": 403, "www.example.com:80": 403, "www.example.org": 200, "": 200} {
		if status, text := do(t, keys.Key{}, "GET", s.URL+"/-/metrics", host, ""); status != want {
			t.Errorf("Host %q: GET /-/metrics = %d %.60s, want %d", host, status, text, want)
		}
	}
}

func TestMirrorIsRepeatable(t *testing.T) {
	s := cisterntest.Start(t)
	ctx, op := t.Context(), node.Operator()
	for _, site := range []string{"a.example", "a.example", "b.example"} {
		if err := s.Node.Mirror(ctx, "demo", site); err != nil {
			t.Fatalf("Mirror(%s) = %v", site, err)
		}
		if got, err := s.Node.Core().Mirror(ctx, op, "demo"); err != nil || got != site {
			t.Errorf("the setting is %q, %v; want %q", got, err, site)
		}
	}
	_, grants, err := s.Node.Core().ACL(ctx, op, "demo")
	public := 0
	for _, g := range grants {
		if g.Name == cistern.AllUsers {
			public++
		}
	}
	if err != nil || public != 1 {
		t.Errorf("grants = %v, %v; want one for everybody", grants, err)
	}
	if err := s.Node.Mirror(ctx, "loop", s.URL); err == nil || !strings.Contains(err.Error(), "this server") {
		t.Errorf("Mirror of the server itself = %v, want it refused", err)
	}
}

// A source that never ends must not keep the server from ending: after the grace period the reader is cut, and nothing is left behind.
func TestShutdownAbortsWhatDoesNotEnd(t *testing.T) {
	begun := make(chan struct{})
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); ok {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 100_000))
			close(begun)
			c.Hang()
		}
	})
	ended := make(chan fill.Report, 1)
	s := cisterntest.Start(t, cisterntest.With(func(n *node.Options) {
		n.Fill.OnReport = func(r fill.Report) { ended <- r }
	}))
	at := s.Mirror("demo", o.URL())
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(at + "k")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-begun
	s.Stop(50 * time.Millisecond)
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("the reader got %d bytes and a clean end, want a cut connection", n)
	}
	if r := <-ended; r.Outcome != fill.Aborted {
		t.Errorf("the fill's outcome = %s, want %s", r.Outcome, fill.Aborted)
	}
}

// A fill that can end within the grace period does, and its reader gets all of it.
func TestShutdownLetsFillsEnd(t *testing.T) {
	gate := cisterntest.NewGate()
	begun := make(chan struct{})
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); ok {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 100_000))
			close(begun)
			c.Wait(gate)
			c.Send(strings.Repeat("y", 100_000))
		}
	})
	ended := make(chan fill.Report, 1)
	s := cisterntest.Start(t, cisterntest.With(func(n *node.Options) {
		n.Fill.OnReport = func(r fill.Report) { ended <- r }
	}))
	at := s.Mirror("demo", o.URL())
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(at + "k")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-begun
	stopped := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	context.AfterFunc(ctx, func() { s.Stop(20 * time.Second); close(stopped) })
	cancel()
	refused(t, strings.TrimPrefix(s.URL, "http://"))
	gate.Release()
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(body) != 200_000 || body[199_999] != 'y' {
		t.Errorf("the reader got %d bytes, %v; want all 200000", len(body), err)
	}
	if r := <-ended; r.Outcome != fill.Stored {
		t.Errorf("the fill's outcome = %s (%v), want %s", r.Outcome, r.Err, fill.Stored)
	}
	<-stopped
}

// refused returns once nobody accepts connections at addr.
func refused(t *testing.T, addr string) {
	t.Helper()
	for range 10_000 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.Close()
	}
	t.Error("the server still accepts connections")
}
