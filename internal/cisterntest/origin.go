// Package cisterntest starts whole servers for tests, each beside a source that does what the test says.
//
// Everything listens on loopback only and is gone when the test ends. No other package may import it outside of tests.
package cisterntest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// Origin is a source over raw TCP: a script decides, byte by byte, what each connection gets. It is safe for concurrent use.
type Origin struct {
	ln     net.Listener
	scheme string
	script func(*Conn)
	closed chan struct{}
	wg     sync.WaitGroup // the accepting goroutine and one for each connection

	mu       sync.Mutex // guards the fields below
	accepts  int
	requests []Request
	conns    map[net.Conn]struct{}
}

// Request is one request head as it came in.
type Request struct {
	// Raw is the head as it was sent, with the empty line.
	Raw string
	// Method and Target are the first two words of the request line.
	Method, Target string
	Header         http.Header
	// Conn is the number of the connection, from 1 on.
	Conn int
}

// NewOrigin starts a source that calls script for each connection, in a goroutine of its own. The connection is closed when
// script returns. The source ends with the test.
func NewOrigin(t testing.TB, script func(*Conn)) *Origin {
	t.Helper()
	return NewOriginAt(t, "127.0.0.1:0", script)
}

// NewOriginAt is NewOrigin at an address of the test's choice.
func NewOriginAt(t testing.TB, addr string, script func(*Conn)) *Origin {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("start origin: %v", err)
	}
	return startOrigin(t, ln, "http", script)
}

// NewTLSOrigin is NewOrigin behind TLS. The handshake takes place when the script first reads or writes.
func NewTLSOrigin(t testing.TB, config *tls.Config, script func(*Conn)) *Origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start origin: %v", err)
	}
	return startOrigin(t, tls.NewListener(ln, config), "https", script)
}

func startOrigin(t testing.TB, ln net.Listener, scheme string, script func(*Conn)) *Origin {
	o := &Origin{ln: ln, scheme: scheme, script: script, closed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	o.wg.Go(o.accept)
	t.Cleanup(o.Close)
	return o
}

// URL is the origin's address as a source site, without a path.
func (o *Origin) URL() string { return o.scheme + "://" + o.ln.Addr().String() }

// Addr is the origin's address.
func (o *Origin) Addr() netip.AddrPort { return o.ln.Addr().(*net.TCPAddr).AddrPort() }

// Accepts is how many connections were accepted.
func (o *Origin) Accepts() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.accepts
}

// Requests returns the request heads that were read, in order.
func (o *Origin) Requests() []Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Request(nil), o.requests...)
}

// Close ends the origin and every connection, and waits for the scripts. It may be called more than once.
func (o *Origin) Close() {
	o.mu.Lock()
	select {
	case <-o.closed:
	default:
		close(o.closed)
	}
	for c := range o.conns {
		_ = (&Conn{Conn: c}).below().Close() // TLS would wait for its goodbye to be taken
	}
	o.mu.Unlock()
	_ = o.ln.Close()
	o.wg.Wait()
}

func (o *Origin) accept() {
	for {
		c, err := o.ln.Accept()
		if err != nil {
			return // only Close ends the listener
		}
		conn := &Conn{Conn: c, o: o, in: bufio.NewReader(c)}
		if !o.enter(conn) {
			_ = c.Close()
			return
		}
		o.wg.Go(func() {
			defer o.leave(conn)
			o.script(conn)
		})
	}
}

func (o *Origin) enter(c *Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.closed:
		return false
	default:
	}
	o.accepts++
	c.N = o.accepts
	o.conns[c.Conn] = struct{}{}
	return true
}

func (o *Origin) leave(c *Conn) {
	o.mu.Lock()
	delete(o.conns, c.Conn)
	o.mu.Unlock()
	_ = c.Conn.Close()
}

// Conn is one connection to an Origin. A script uses it from one goroutine. Its helpers report whether the other end
// is still there; a script that got false had best return.
type Conn struct {
	net.Conn
	// N is the number of the connection, from 1 on.
	N int

	o    *Origin
	in   *bufio.Reader
	rate int // bytes a second, 0: as fast as the connection takes them
}

// ReadHead reads the next request's head, and its body if Content-Length announces one. It returns false at the end of
// the connection.
func (c *Conn) ReadHead() (Request, bool) {
	var raw bytes.Buffer
	for {
		line, err := c.in.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			return Request{}, false
		}
		if strings.TrimRight(line, "\r\n") == "" && raw.Len() > len(line) {
			break
		}
	}
	text := textproto.NewReader(bufio.NewReader(bytes.NewReader(raw.Bytes())))
	first, err := text.ReadLine()
	if err != nil {
		return Request{}, false
	}
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return Request{}, false
	}
	r := Request{Raw: raw.String(), Header: http.Header(header), Conn: c.N}
	words := strings.Fields(first)
	if len(words) == 3 {
		r.Method, r.Target = words[0], words[1]
	}
	var n int64
	if _, err := fmt.Sscan(r.Header.Get("Content-Length"), &n); err == nil && n > 0 {
		if _, err := io.CopyN(io.Discard, c.in, n); err != nil {
			return Request{}, false
		}
	}
	c.o.mu.Lock()
	c.o.requests = append(c.o.requests, r)
	c.o.mu.Unlock()
	return r, true
}

// Throttle makes the connection send at most this many bytes a second from now on; 0 lifts the limit.
func (c *Conn) Throttle(bytesPerSecond int) { c.rate = bytesPerSecond }

// Send writes text as it is.
func (c *Conn) Send(text string) bool { return c.SendBytes([]byte(text)) }

// Sendf writes a formatted text; each line break must be spelled \r\n.
func (c *Conn) Sendf(format string, args ...any) bool { return c.Send(fmt.Sprintf(format, args...)) }

// SendBytes writes p as it is.
func (c *Conn) SendBytes(p []byte) bool { return c.SendFrom(bytes.NewReader(p)) }

// SendFrom writes all of r.
func (c *Conn) SendFrom(r io.Reader) bool {
	if c.rate <= 0 {
		_, err := io.Copy(c.Conn, r)
		return err == nil
	}
	_, err := io.Copy(&slowWriter{w: c.Conn, rate: c.rate, closed: c.o.closed}, r)
	return err == nil
}

// Respond sends a whole answer with a Content-Length. header lines are given without their line breaks.
func (c *Conn) Respond(status int, body string, header ...string) bool {
	return c.Send(head(status, append(header, fmt.Sprintf("Content-Length: %d", len(body)))) + body)
}

// Head sends the head of an answer with these lines only.
func (c *Conn) Head(status int, header ...string) bool { return c.Send(head(status, header)) }

func head(status int, header []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// Chunk sends one chunk of a chunked body; an empty text would end the body, so it sends nothing.
func (c *Conn) Chunk(text string) bool {
	return text == "" || c.Sendf("%x\r\n%s\r\n", len(text), text)
}

// LastChunk ends a chunked body, with trailer lines if there are any.
func (c *Conn) LastChunk(trailer ...string) bool {
	var b strings.Builder
	b.WriteString("0\r\n")
	for _, line := range trailer {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return c.Send(b.String())
}

// Wait waits for gate. It returns false when the origin was closed instead.
func (c *Conn) Wait(gate *Gate) bool {
	select {
	case <-gate.open:
		return true
	case <-c.o.closed:
		return false
	}
}

// Hang sends nothing more, and returns when the other end or the origin has closed the connection.
func (c *Conn) Hang() {
	_, _ = io.Copy(io.Discard, c.in)
}

// Reset ends the connection with a reset instead of a clean end.
func (c *Conn) Reset() {
	below := c.below()
	if tcp, ok := below.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // an error leaves a clean close, and the test sees that
	}
	_ = below.Close()
}

// Cut ends the TCP connection and says no goodbye before, which TLS would.
func (c *Conn) Cut() { _ = c.below().Close() }

// below is the connection under TLS, or the connection itself.
func (c *Conn) below() net.Conn {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return c.Conn
}

// Gate holds scripts until it is released.
type Gate struct {
	once sync.Once
	open chan struct{}
}

// NewGate returns a gate that is shut.
func NewGate() *Gate { return &Gate{open: make(chan struct{})} }

// Release lets everybody through, for good. It may be called more than once.
func (g *Gate) Release() { g.once.Do(func() { close(g.open) }) }

// slowWriter spreads what it writes over time, in pieces of a hundredth of a second.
type slowWriter struct {
	w      io.Writer
	rate   int // bytes a second
	closed <-chan struct{}
	begun  time.Time
	sent   int64
}

func (s *slowWriter) Write(p []byte) (int, error) {
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	piece := max(s.rate/100, 1)
	done := 0
	for done < len(p) {
		n, err := s.w.Write(p[done:min(done+piece, len(p))])
		done += n
		s.sent += int64(n)
		if err != nil {
			return done, err
		}
		due := s.begun.Add(time.Duration(float64(s.sent) / float64(s.rate) * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-s.closed:
				timer.Stop()
				return done, net.ErrClosed
			}
		}
	}
	return done, nil
}
