package node_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
)

// trust makes the server trust ca, and nobody else.
func trust(ca *cisterntest.CA) setting {
	return func(o *node.Options) { o.Origin.RootCAs = ca.Pool() }
}

// untrusted is a test: no object comes from a source with this TLS configuration, and it is connected to once, by TLS alone.
func untrusted(config func(t *testing.T, ca *cisterntest.CA) *tls.Config) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		ca := cisterntest.NewCA(t)
		o := cisterntest.NewTLSOrigin(t, config(t, ca), serveAll(whole("body")))
		b := memoryBench(t, o.URL(), trust(ca))
		r, report := b.miss("k")
		r.failed()
		b.nothing()
		b.sees(o, 0) // none that could be read: neither over TLS nor without
		if n := o.Accepts(); n != 1 {
			t.Errorf("the source was connected to %d times (%v), want once", n, report.Err)
		}
	}
}

func with(c ...tls.Certificate) *tls.Config { return &tls.Config{Certificates: c} }

// rsaKey makes a key of a length that nobody should use any more.
func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// withCertificate has a certificate for names that change, which may be nil, has altered.
func withCertificate(change func(*x509.Certificate), names ...string) func(*testing.T, *cisterntest.CA) *tls.Config {
	return func(t *testing.T, ca *cisterntest.CA) *tls.Config {
		return with(ca.Issue(cisterntest.NewKey(t), change, names...))
	}
}

func yesterday(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

func tomorrow(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(12*time.Hour), time.Now().Add(24*time.Hour)
}

func bySHA1(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }

func tlsFaults() []fault {
	return []fault{
		{"TL01 expired certificate", untrusted(withCertificate(yesterday, "127.0.0.1"))},
		{"TL05 unknown CA", untrusted(func(t *testing.T, _ *cisterntest.CA) *tls.Config {
			return with(cisterntest.NewCA(t).Issue(cisterntest.NewKey(t), nil, "127.0.0.1"))
		})},
		{"TL06 TLS 1.1 only", untrusted(func(t *testing.T, ca *cisterntest.CA) *tls.Config {
			c := with(ca.Issue(cisterntest.NewKey(t), nil, "127.0.0.1"))
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return c
		})},
		{"TL07 client certificate demanded", all(
			untrusted(func(t *testing.T, ca *cisterntest.CA) *tls.Config { // TLS 1.3 says so only after the handshake
				c := with(ca.Issue(cisterntest.NewKey(t), nil, "127.0.0.1"))
				c.ClientAuth = tls.RequireAnyClientCert
				return c
			}),
			untrusted(func(t *testing.T, ca *cisterntest.CA) *tls.Config {
				c := with(ca.Issue(cisterntest.NewKey(t), nil, "127.0.0.1"))
				c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
				return c
			}),
		)},
		{"TL08 weak RSA-1024 / SHA-1 chain", all(
			untrusted(func(t *testing.T, ca *cisterntest.CA) *tls.Config {
				return with(ca.Issue(rsaKey(t, 1024), nil, "127.0.0.1"))
			}),
			untrusted(withCertificate(bySHA1, "127.0.0.1")),
		)},
		{"TL13 truncation by missing close_notify", func(t *testing.T) {
			ca, gate := cisterntest.NewCA(t), cisterntest.NewGate()
			o := cisterntest.NewTLSOrigin(t, with(ca.Issue(cisterntest.NewKey(t), nil, "127.0.0.1")), steps(halfThen(long, func(c *cisterntest.Conn) {
				if c.Wait(gate) {
					c.Cut()
				}
			})))
			b := newBench(t, o.URL(), trust(ca))
			resp := b.open("GET", "k")
			gate.Release()
			b.rest(resp).cut(long)
			b.landed()
			b.nothing()
			b.sees(o, 1)
		}},
		{"TL14 SNI needed", func(t *testing.T) {
			ca := cisterntest.NewCA(t)
			certs := map[string]tls.Certificate{}
			for _, name := range []string{"a.source.test", "b.source.test"} {
				certs[name] = ca.Issue(cisterntest.NewKey(t), nil, name)
			}
			config := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				c, ok := certs[hello.ServerName]
				if !ok {
					return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
				}
				return &c, nil
			}}
			o := cisterntest.NewTLSOrigin(t, config, func(c *cisterntest.Conn) {
				for {
					r, ok := c.ReadHead()
					if !ok || !c.Send(whole("of "+r.Header.Get("Host"))) {
						return
					}
				}
			})
			names := newNameServer(t, func(lookup) records {
				return records{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
			})
			b := newBench(t, fmt.Sprintf("https://a.source.test:%d/", o.Addr().Port()), trust(ca), func(o *node.Options) { o.Origin.Resolver = names.resolver() })
			for _, name := range []string{"a.source.test", "b.source.test"} {
				host := fmt.Sprintf("%s:%d", name, o.Addr().Port())
				b.s.Mirror("demo", "https://"+host+"/")
				r, _ := b.miss(name)
				r.ok(200, "of "+host)
				b.stored(name, "of "+host)
			}
			b.sees(o, 2)
		}},
	}
}

// h2 is an HTTP/2 connection of an origin, frame by frame.
type h2 struct {
	*http2.Framer
	c *cisterntest.Conn
}

// newH2Origin starts a source that speaks HTTP/2 only, and calls serve for each request, one after the other. The connection ends when serve returns
// false. The count is of the requests.
func newH2Origin(t *testing.T, ca *cisterntest.CA, serve func(h *h2, n int32, stream uint32) bool) (*cisterntest.Origin, *atomic.Int32) {
	config := with(ca.Issue(cisterntest.NewKey(t), nil, "127.0.0.1"))
	config.NextProtos = []string{http2.NextProtoTLS}
	var requests atomic.Int32
	return cisterntest.NewTLSOrigin(t, config, func(c *cisterntest.Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c.Conn, preface); err != nil || string(preface) != http2.ClientPreface {
			return
		}
		h := &h2{http2.NewFramer(c.Conn, c.Conn), c}
		if h.WriteSettings() != nil {
			return
		}
		for {
			f, err := h.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() && h.WriteSettingsAck() != nil {
					return
				}
			case *http2.HeadersFrame:
				if !serve(h, requests.Add(1), f.StreamID) {
					return
				}
			}
		}
	}), &requests
}

// head sends a HEADERS frame with these fields, name and value in turn.
func (h *h2) head(stream uint32, end bool, fields ...string) bool {
	return h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block(fields...), EndHeaders: true, EndStream: end}) == nil
}

func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0) // each block stands for itself
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // into memory
	}
	return b.Bytes()
}

// data sends a body in frames.
func (h *h2) data(stream uint32, end bool, body string) bool {
	for {
		n := min(len(body), 16<<10)
		if h.WriteData(stream, end && n == len(body), []byte(body[:n])) != nil {
			return false
		}
		if body = body[n:]; body == "" {
			return true
		}
	}
}

// whole sends a good answer.
func (h *h2) whole(stream uint32, body string) bool {
	return h.head(stream, false, ":status", "200", "content-length", fmt.Sprint(len(body))) && h.data(stream, true, body)
}

// small is a body that fits in the windows of HTTP/2, so that nobody has to wait for them.
var small = text(30_000)

// overH2 is a test: serve answers, the client gets small, and it is stored.
func overH2(requests int32, serve func(h *h2, n int32, stream uint32) bool, check func(r reply)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		ca := cisterntest.NewCA(t)
		o, seen := newH2Origin(t, ca, serve)
		b := newBench(t, o.URL(), trust(ca))
		r, report := b.miss("k")
		r.ok(200, small)
		if r.status != 200 {
			t.Fatalf("the fill: %s (%v)", report.Outcome, report.Err)
		}
		hit := b.stored("k", small)
		if check != nil {
			check(r)
			check(hit)
		}
		if n := seen.Load(); n != requests {
			t.Errorf("the source saw %d requests, want %d", n, requests)
		}
	}
}

// cutOverH2 is a test: the source sends half of small, and then does what then says. The client is cut.
func cutOverH2(then func(h *h2, stream uint32)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		ca, gate := cisterntest.NewCA(t), cisterntest.NewGate()
		o, seen := newH2Origin(t, ca, func(h *h2, _ int32, stream uint32) bool {
			if h.head(stream, false, ":status", "200", "content-length", fmt.Sprint(len(small))) && h.data(stream, false, small[:len(small)/2]) && h.c.Wait(gate) {
				then(h, stream)
			}
			return false
		})
		b := newBench(t, o.URL(), trust(ca))
		resp := b.open("GET", "k")
		gate.Release()
		b.rest(resp).cut(small)
		b.landed()
		b.nothing()
		if n := seen.Load(); n != 1 {
			t.Errorf("the source saw %d requests, want 1", n)
		}
	}
}

// failsOverH2 is a test: what the source does for its first request makes the GET fail, and it is not asked again. The connection ends.
func failsOverH2(serve func(h *h2, stream uint32)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		ca := cisterntest.NewCA(t)
		var once sync.Once
		ended := make(chan struct{})
		o, seen := newH2Origin(t, ca, func(h *h2, _ int32, stream uint32) bool {
			serve(h, stream)
			once.Do(func() { close(ended) })
			return true
		})
		b := memoryBench(t, o.URL(), trust(ca))
		r, report := b.miss("k")
		r.failed()
		b.nothing()
		<-ended
		if n := seen.Load(); n != 1 {
			t.Errorf("the source saw %d requests, want 1 (%v)", n, report.Err)
		}
	}
}

func http2Faults() []fault {
	return []fault{
		{"H203 GOAWAY before the stream", overH2(2, func(h *h2, n int32, stream uint32) bool {
			if n == 1 {
				_ = h.WriteGoAway(0, http2.ErrCodeNo, nil) // nothing was done for this request: it may be sent again
				return false
			}
			return h.whole(stream, small)
		}, nil)},
		{"H204 GOAWAY mid-stream", cutOverH2(func(h *h2, stream uint32) { _ = h.WriteGoAway(stream, http2.ErrCodeNo, nil) })},
		{"H208 header block 1 MB / CONTINUATION flood", all(
			failsOverH2(func(h *h2, stream uint32) {
				part := block("x-a", strings.Repeat("a", 16_000))
				sent := h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block(":status", "200")}) == nil
				for i := 0; sent && i < 64; i++ {
					sent = h.WriteContinuation(stream, i == 63, part) == nil
				}
			}),
			failsOverH2(func(h *h2, stream uint32) {
				sent := h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block(":status", "200")}) == nil
				for part := block("x-a", "a"); sent; { // until the connection ends
					sent = h.WriteContinuation(stream, false, part) == nil
				}
			}),
		)},
		{"H209 103 then 200", overH2(1, func(h *h2, _ int32, stream uint32) bool {
			return h.head(stream, false, ":status", "103", "link", "</style.css>") && h.whole(stream, small)
		}, func(r reply) { r.hasNot("Link") })},
		{"H210 trailers with END_STREAM", overH2(1, func(h *h2, _ int32, stream uint32) bool {
			return h.head(stream, false, ":status", "200", "trailer", "x-secret, etag") && h.data(stream, false, small) &&
				h.head(stream, true, "x-secret", "yes", "etag", `"trailer"`, "content-length", "7")
		}, func(r reply) {
			r.hasNot("X-Secret", "Trailer")
			if r.header.Get("Etag") == `"trailer"` || len(r.resp.Trailer) > 0 {
				r.Errorf("the answer carries what the trailers said: Etag %q, trailers %v", r.header.Get("Etag"), r.resp.Trailer)
			}
		})},
	}
}

const sourceName = "source.test"

// named starts a server whose source is sourceName at port, looked up at a name server that answers as told.
func named(t *testing.T, port uint16, answer func(lookup) records) (*bench, *nameServer) {
	t.Helper()
	names := newNameServer(t, answer)
	return newBench(t, fmt.Sprintf("%s:%d", sourceName, port), func(o *node.Options) {
		o.Origin.Resolver, o.Origin.ConnectTimeout = names.resolver(), time.Second
	}), names
}

func addrs(list ...string) records {
	var a records
	for _, s := range list {
		a.addrs = append(a.addrs, netip.MustParseAddr(s))
	}
	return a
}

// unresolved is a test: with these answers of the name server there is no source to ask.
func unresolved(answer records, settings ...setting) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		o := cisterntest.NewOrigin(t, serveAll(whole("body")))
		names := newNameServer(t, func(lookup) records { return answer })
		b := memoryBench(t, fmt.Sprintf("%s:%d", sourceName, o.Addr().Port()), append(settings, func(o *node.Options) { o.Origin.Resolver = names.resolver() })...)
		begin := time.Now()
		r, _ := b.miss("k")
		r.failed()
		within(t, begin, 5*time.Second)
		b.nothing()
		b.sees(o, 0)
		if len(names.asked()) == 0 {
			t.Error("the name server was not asked")
		}
	}
}

func dnsFaults() []fault {
	return []fault{
		{"DS03 time-out", unresolved(records{silent: true}, func(o *node.Options) { o.Origin.ConnectTimeout = 50 * time.Millisecond })},
		{"DS04 empty answer", unresolved(records{})},
		{"DS05 truncated UDP answer, TCP works", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, serveAll(whole("body")))
			b, names := named(t, o.Addr().Port(), func(l lookup) records {
				if l.tcp {
					return addrs("127.0.0.1")
				}
				return records{truncated: true}
			})
			r, _ := b.miss("k")
			r.ok(200, "body")
			b.stored("k", "body")
			b.sees(o, 1)
			byTCP := 0
			for _, l := range names.asked() {
				if l.tcp {
					byTCP++
				}
			}
			if byTCP == 0 {
				t.Errorf("the name server was asked %v, want it asked by TCP, too", names.asked())
			}
		}},
		{"DS06 answer changes between fetches", func(t *testing.T) {
			if ln, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
				t.Skipf("this system has one loopback address only: %v", err)
			} else {
				_ = ln.Close()
			}
			was := cisterntest.NewOrigin(t, steps(says(whole("old address", "Connection: close"))))
			is := cisterntest.NewOriginAt(t, fmt.Sprintf("127.0.0.2:%d", was.Addr().Port()), steps(says(whole("new address", "Connection: close"))))
			var moved atomic.Bool
			b, _ := named(t, was.Addr().Port(), func(lookup) records {
				if moved.Load() {
					return addrs("127.0.0.2")
				}
				return addrs("127.0.0.1")
			})
			r, _ := b.miss("one")
			r.ok(200, "old address")
			moved.Store(true)
			r, _ = b.miss("two")
			r.ok(200, "new address")
			b.stored("one", "old address")
			b.stored("two", "new address")
			b.sees(was, 1)
			b.sees(is, 1)
		}},
	}
}

func localFaults() []fault {
	return []fault{
		{"LO01 origin down, key stored", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, serveAll(whole(long)))
			b := newBench(t, o.URL())
			b.miss("k")
			o.Close()
			b.stored("k", long)
			b.sees(o, 1)
			r, _ := b.miss("another")
			r.failed() // the source is down indeed
		}},
		{"LO02 origin changed, key stored", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(whole("old", `ETag: "old"`)), says(whole("new", `ETag: "new"`))))
			b := newBench(t, o.URL())
			b.miss("k")
			b.stored("k", "old").has("Etag", `"old"`)
			b.sees(o, 1)
		}},
		{"LO05 EIO on data write", func(t *testing.T) {
			for _, from := range []int64{0, 1, 100_000, math.MaxInt64} {
				e := &cisterntest.FaultyEngine{OnWrite: func(off int64, n int) error {
					if off+int64(n) > from {
						return syscall.EIO
					}
					return nil
				}}
				o := cisterntest.NewOrigin(t, serveAll(whole(long)))
				b := startBench(t, o.URL(), []cisterntest.Option{onEngine(e)})
				r, report := b.miss("k")
				r.ok(200, long)
				b.sees(o, 1)
				if from == math.MaxInt64 { // the same disk without trouble
					b.stored("k", long)
					continue
				}
				b.nothing()
				if n := b.s.Node.Filler().Stats().Unstored; n != 1 || report.Outcome != fill.Unstored {
					t.Errorf("from byte %d: %d fills count as unstored, and this one as %s; want 1, %s", from, n, report.Outcome, fill.Unstored)
				}
				if log := b.s.Log(); !strings.Contains(log, "spool cannot be written") || !strings.Contains(log, syscall.EIO.Error()) {
					t.Errorf("from byte %d: the log does not say what happened", from)
				}
				// The next one asks the source anew.
				r, _ = b.miss("k")
				r.ok(200, long)
				b.sees(o, 2)
			}
		}},
		{"LO07 too many open files", func(t *testing.T) {
			said, err := startChild(t, "files").end()
			if err != nil || !strings.Contains(said, "--- PASS: TestChild") {
				t.Errorf("%v:\n%s", err, said)
			}
		}},
	}
}
