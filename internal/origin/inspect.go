package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Verdict is what the address guard says of one address.
type Verdict struct {
	Addr netip.Addr
	// Err is why the address is refused; nil if it may be connected to.
	Err error
	// Private: it is refused only because the setting is not the operator's.
	Private bool
}

// Judge looks the host of src up and says of each of its addresses whether a request for src may go there. Nothing is connected to, and the
// next look-up may answer otherwise. It fails if the host cannot be looked up.
func (c *Client) Judge(ctx context.Context, src object.Source) ([]Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.ConnectTimeout)
	defer cancel()
	ips, err := c.o.Resolver.LookupNetIP(ctx, "ip", src.Host)
	if err != nil {
		return nil, err
	}
	var list []Verdict
	for _, ip := range ips {
		to := netip.AddrPortFrom(ip.Unmap(), src.Port)
		v := Verdict{Addr: to.Addr()}
		if v.Err = c.guard.check(to, src.Host, reachOf(src)); v.Err != nil && !src.Private {
			v.Private = c.guard.check(to, src.Host, reachLAN) == nil
		}
		list = append(list, v)
	}
	return list, nil
}

// Refused reports whether err is, or was caused by, the address guard.
func Refused(err error) bool { return errors.Is(err, errGuard) }

// Trace is told what requests do on their way. It is for those who may know everything of the way: what it is told must not reach a client.
// Its functions may be nil; they are called from several goroutines, perhaps after the request has ended.
type Trace struct {
	// Connected is told of each attempt to connect to addr (host and port).
	Connected func(Connection)
	// Secured is told of each TLS handshake.
	Secured func(Handshake)
	// Answered is told of each response head, those of redirects included.
	Answered func(Answer)
}

// Connection is one attempt to connect.
type Connection struct {
	Host string         // with its port
	To   netip.AddrPort // not valid if Err is not nil
	Took time.Duration
	Err  error // why there is no connection; the guard's refusals, too
}

// Handshake is one attempt to speak TLS.
type Handshake struct {
	Host  string // with its port
	State tls.ConnectionState
	Took  time.Duration
	Err   error
}

// Answer is one response head.
type Answer struct {
	Method string
	URL    string // without its query
	Status int
	Header http.Header
	Took   time.Duration // since the request began, the redirects before this answer included
}

// traceKey is the context's key for a *Trace.
type traceKey struct{}

// WithTrace returns a context whose requests tell t what they do.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// noTrace stands in where nobody asks.
var noTrace = &Trace{}

func traceOf(ctx context.Context) *Trace {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		return t
	}
	return noTrace
}

func (t *Trace) connected(host string, begin time.Time, conn net.Conn, err error) {
	if t.Connected == nil {
		return
	}
	c := Connection{Host: host, Took: time.Since(begin), Err: err}
	if err == nil {
		c.To, _ = netip.ParseAddrPort(conn.RemoteAddr().String()) // of a test's own kind of connection it may be none
	}
	t.Connected(c)
}

func (t *Trace) secured(host string, begin time.Time, conn *tls.Conn, err error) {
	if t.Secured != nil {
		t.Secured(Handshake{Host: host, State: conn.ConnectionState(), Took: time.Since(begin), Err: err})
	}
}

func (t *Trace) answered(method string, u *url.URL, begin time.Time, resp *http.Response) {
	if t.Answered != nil {
		t.Answered(Answer{Method: method, URL: withoutQuery(u), Status: resp.StatusCode, Header: resp.Header, Took: time.Since(begin)})
	}
}
