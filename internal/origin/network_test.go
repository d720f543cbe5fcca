package origin_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network is all that a client in these tests can reach: what it dials is noted, and answered by a script on loopback. Nothing
// leaves the machine.
type network struct {
	// answer returns the bytes of a whole response; "" closes the connection instead.
	answer func(r *http.Request, to netip.AddrPort) string
	// refuse makes nobody listen.
	refuse bool

	ln   net.Listener // everybody's end of the connections
	cert tls.Certificate
	wg   sync.WaitGroup // one for each connection

	mu    sync.Mutex // guards the fields below
	dials []netip.AddrPort
	heads []string // of the requests, as they were sent
	conns []net.Conn
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// newNetwork returns a network where everybody answers "ok", and options with which a client lives in it.
func newNetwork(t *testing.T) (*network, origin.Options) {
	t.Helper()
	n := &network{answer: func(*http.Request, netip.AddrPort) string { return okAnswer }}
	var pool *x509.CertPool
	n.cert, pool = certificate(t)
	var err error
	if n.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n, origin.Options{Dial: n.dial, RootCAs: pool}
}

func (n *network) close() {
	n.mu.Lock()
	for _, c := range n.conns {
		_ = c.Close()
	}
	n.mu.Unlock()
	_ = n.ln.Close()
	n.wg.Wait()
}

// dialled is what was dialled so far, in order.
func (n *network) dialled() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dials)
}

func (n *network) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.heads)
}

func (n *network) dial(ctx context.Context, _ string, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials = append(n.dials, to)
	if n.refuse {
		return nil, errors.New("connection refused")
	}
	var d net.Dialer
	ours, err := d.DialContext(ctx, "tcp", n.ln.Addr().String())
	if err != nil {
		return nil, err
	}
	theirs, err := n.ln.Accept() // one after the other, so it is the other end of ours
	if err != nil {
		return nil, err
	}
	n.conns = append(n.conns, theirs)
	n.wg.Go(func() { n.serve(theirs, to) })
	return remoteConn{ours, net.TCPAddrFromAddrPort(to)}, nil
}

// remoteConn says whom it was dialled to, as a socket does.
type remoteConn struct {
	net.Conn
	to net.Addr
}

func (c remoteConn) RemoteAddr() net.Addr { return c.to }

func (n *network) serve(c net.Conn, to netip.AddrPort) {
	defer c.Close()
	if to.Port() == 443 {
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{n.cert}})
	}
	in := bufio.NewReader(c)
	for {
		const handshake = 0x16 // a TLS record where none is expected
		if first, err := in.Peek(1); err != nil || first[0] == handshake {
			return
		}
		var raw strings.Builder
		for !strings.HasSuffix(raw.String(), "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			raw.WriteString(line)
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw.String())))
		if err != nil {
			return
		}
		n.mu.Lock()
		n.heads = append(n.heads, raw.String())
		n.mu.Unlock()
		text := n.answer(r, to)
		if text == "" {
			return
		}
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

// certificate is one for the names that the tests use over TLS.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sources of a test"}, DNSNames: []string{"ok.test", "src.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// newClient is origin.New with an end.
func newClient(t *testing.T, o origin.Options) *origin.Client {
	t.Helper()
	c := origin.New(o)
	t.Cleanup(c.Close)
	return c
}

// source is ParseSite of a site that is known to be good.
func source(t *testing.T, site string, private bool) object.Source {
	t.Helper()
	src, err := origin.ParseSite(site)
	if err != nil {
		t.Fatalf("ParseSite(%q) = %v", site, err)
	}
	src.Private = private
	return src
}

// fetch asks for a key and returns the body as text.
func fetch(t *testing.T, c *origin.Client, src object.Source, key string) (string, error) {
	t.Helper()
	r, err := c.Fetch(t.Context(), origin.Request{Source: src, Key: key})
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}
