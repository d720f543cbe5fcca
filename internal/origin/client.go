package origin

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// HopHeader counts the mirrors that a request came through, so that a ring of them ends.
const HopHeader = "Cistern-Hops"

// MaxHops is the number of mirrors that may stand in a row.
const MaxHops = 3

// Options are a client's settings. The zero value of each field means the default that its comment names.
type Options struct {
	// UserAgent is sent to sources; "" means "Cistern".
	UserAgent string
	// ConnectTimeout bounds looking a name up and connecting; 0 means 10 s.
	ConnectTimeout time.Duration
	// TLSTimeout bounds the TLS handshake; 0 means 10 s.
	TLSTimeout time.Duration
	// FirstByteTimeout bounds the wait for the whole response head; 0 means 30 s.
	FirstByteTimeout time.Duration
	// IdleTimeout bounds one silence within a body; 0 means 30 s.
	IdleTimeout time.Duration
	// MinRate is the least a source must send on average, in bytes/s over MinRateWindow of waiting for it; 0 means 256, negative any.
	MinRate int64
	// MinRateWindow is what MinRate is judged over; 0 means 1 min.
	MinRateWindow time.Duration
	// MaxRedirects bounds the redirects that one request follows; 0 means 10, negative none.
	MaxRedirects int
	// MaxHeaderBytes bounds a response head; 0 means 256 KiB.
	MaxHeaderBytes int64
	// MaxIdle bounds the idle connections that are kept to one source; 0 means 64, as many as fills may have to one.
	MaxIdle int

	// Allow opens destinations beyond the public ones for every setting.
	Allow []Allow
	// OnlyAllowed refuses every destination that Allow does not name.
	OnlyAllowed bool
	// OwnHosts are names of this server; it is no source of its own.
	OwnHosts []string
	// RootCAs verifies the sources' certificates; nil means the system's.
	RootCAs *x509.CertPool
	// Resolver looks names up; nil means the pure Go resolver with the system's settings.
	Resolver *net.Resolver
	// Dial connects to an address that the guard let pass; nil means to do just that. For tests, which must send nothing anywhere.
	Dial func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

// Client asks sources. It is safe for concurrent use; make one with [New].
type Client struct {
	o     Options
	guard *guard
	// A pool for each reach: a connection that one setting may use must not serve another setting that may not.
	pools [reaches]*http.Transport
}

// New returns a client with settings o.
func New(o Options) *Client {
	def(&o.UserAgent, "Cistern")
	def(&o.ConnectTimeout, 10*time.Second)
	def(&o.TLSTimeout, 10*time.Second)
	def(&o.FirstByteTimeout, 30*time.Second)
	def(&o.IdleTimeout, 30*time.Second)
	def(&o.MinRate, 256)
	def(&o.MinRateWindow, time.Minute)
	def(&o.MaxRedirects, 10)
	def(&o.MaxHeaderBytes, 256<<10)
	def(&o.MaxIdle, 64)
	if o.Resolver == nil {
		o.Resolver = &net.Resolver{PreferGo: true}
	}
	own := make([]string, len(o.OwnHosts))
	for i, host := range o.OwnHosts {
		own[i] = strings.TrimSuffix(lowerASCII(host), ".") // as ParseSite spells it
	}
	o.OwnHosts = own
	c := &Client{o: o, guard: newGuard(o.Allow, o.OnlyAllowed)}
	for r := range c.pools {
		c.pools[r] = c.newPool(reach(r))
	}
	return c
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// SetOwn names the server's own listeners, which are never asked.
func (c *Client) SetOwn(own []netip.AddrPort) { c.guard.setOwn(own) }

// Close closes the idle connections. Running fetches go on.
func (c *Client) Close() {
	for _, p := range c.pools {
		p.CloseIdleConnections()
	}
}

func (c *Client) newPool(r reach) *http.Transport {
	tlsConfig := &tls.Config{
		RootCAs: c.o.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, VerifyConnection: strongKeys,
	}
	return &http.Transport{
		Proxy: nil, // never the environment's: it could lead anywhere
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := c.dial(ctx, network, addr, r)
			if err != nil {
				return nil, err
			}
			return &strictConn{Conn: conn}, nil
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.dialTLS(ctx, network, addr, r, tlsConfig)
		},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // an object is what the source sends
		ResponseHeaderTimeout:  c.o.FirstByteTimeout,
		MaxResponseHeaderBytes: c.o.MaxHeaderBytes,
		MaxIdleConnsPerHost:    c.o.MaxIdle,
		IdleConnTimeout:        60 * time.Second,
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        16 << 10, // a request is one write: strictConn counts on it
	}
}

// dial connects to addr unless the guard refuses the address that it resolved to. Each address that is tried is judged, so
// that a name which changes its mind between two look-ups gains nothing.
func (c *Client) dial(ctx context.Context, network, addr string, r reach) (conn net.Conn, err error) {
	defer func(begin time.Time) { traceOf(ctx).connected(addr, begin, conn, err) }(time.Now())
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if c.o.Dial != nil {
		return c.dialResolved(ctx, network, addr, r)
	}
	d := &net.Dialer{
		Timeout:  c.o.ConnectTimeout,
		Resolver: c.o.Resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %w", errGuard, err)
			}
			return c.guard.check(to, host, r)
		},
	}
	return d.DialContext(ctx, network, addr)
}

// dialResolved is dial with the caller's own way to connect.
func (c *Client) dialResolved(ctx context.Context, network, addr string, r reach) (net.Conn, error) {
	host, port, _ := net.SplitHostPort(addr)
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.ConnectTimeout)
	defer cancel()
	ips, err := c.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, ip := range ips {
		to := netip.AddrPortFrom(ip.Unmap(), uint16(n))
		if err := c.guard.check(to, host, r); err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := c.o.Dial(ctx, network, to)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (c *Client) dialTLS(ctx context.Context, network, addr string, r reach, config *tls.Config) (net.Conn, error) {
	conn, err := c.dial(ctx, network, addr, r)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr)
	config = config.Clone()
	config.ServerName = host
	secure := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, c.o.TLSTimeout)
	defer cancel()
	begin := time.Now()
	err = secure.HandshakeContext(ctx)
	traceOf(ctx).secured(addr, begin, secure, err)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %w", errTLS, err)
	}
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		return secure, nil // the transport looks for a *tls.Conn to speak HTTP/2
	}
	return &strictConn{Conn: secure}, nil
}

var errTLS = errors.New("TLS handshake")

// minRSA is the shortest RSA key of a certificate, in bits. No public authority has signed a shorter one since 2014; crypto/tls takes any.
const minRSA = 2048

// strongKeys refuses a connection where every chain of certificates has a key that is too short.
func strongKeys(state tls.ConnectionState) error {
	weak := func(cert *x509.Certificate) bool {
		key, ok := cert.PublicKey.(*rsa.PublicKey)
		return ok && key.N.BitLen() < minRSA
	}
	for _, chain := range state.VerifiedChains {
		if !slices.ContainsFunc(chain, weak) {
			return nil
		}
	}
	return fmt.Errorf("the certificate, or one above it, has an RSA key of less than %d bits", minRSA)
}

// Fetch asks for req.Key. The caller closes the body. It fails with an error that matches
//
//   - [object.ErrNoSuchKey]: the source has no such object (404, 410), or the key has no address there;
//   - [object.ErrSourceDown]: no answer, or one that says "later" (5xx, 429; with an [*object.Retry] if the source said when);
//   - [object.ErrSourceBad]: any other answer, and a destination that the guard refuses: asking again will not help;
//   - [object.ErrSourceChanged]: the answer to a Range is of another object than Validator names.
func (c *Client) Fetch(ctx context.Context, req Request) (*Response, error) {
	if req.Hops >= MaxHops {
		return nil, object.Explain(object.ErrSourceBad, "the request came through %d mirrors already: do they mirror one another?", req.Hops)
	}
	u, err := URL(req.Source, req.Key)
	if err != nil {
		return nil, err
	}
	if !req.Head {
		return c.get(ctx, u, req)
	}
	resp, err := c.send(ctx, http.MethodHead, u, req)
	if err == nil && headRefused(resp.StatusCode) {
		// Some sources know no HEAD: ask with GET and stop at once.
		resp.Body.Close()
		resp, err = c.send(ctx, http.MethodGet, u, req)
	}
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	r, err := c.response(resp, req)
	if err != nil {
		return nil, err
	}
	r.Body = http.NoBody
	return r, nil
}

func headRefused(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

func (c *Client) get(ctx context.Context, u *url.URL, req Request) (*Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := c.send(ctx, http.MethodGet, u, req)
	if err != nil {
		cancel(context.Canceled)
		return nil, err
	}
	r, err := c.response(resp, req)
	if err != nil {
		cancel(context.Canceled)
		resp.Body.Close()
		return nil, err
	}
	r.Body = newBody(resp.Body, cancel, c.o)
	return r, nil
}

// answer is an http.Response with what the way to it was.
type answer struct {
	*http.Response
	url       *url.URL
	firstByte time.Duration
}

// send asks u and follows redirects: by its own code, because every hop is judged like the first one.
func (c *Client) send(ctx context.Context, method string, u *url.URL, req Request) (*answer, error) {
	r := reachOf(req.Source)
	begin := time.Now()
	for hop := 0; ; hop++ {
		public, connected := false, false
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			connected = true
			if to, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
				public = c.guard.isPublic(to.Addr())
			}
		}}
		out, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), method, u.String(), nil)
		if err != nil {
			return nil, object.Explain(object.ErrSourceBad, "the source's address cannot be asked for")
		}
		out.URL = u // as it was built: String and Parse could spell it anew
		out.Header.Set("User-Agent", c.o.UserAgent)
		out.Header.Set("Accept-Encoding", "identity")
		out.Header.Set(HopHeader, strconv.Itoa(req.Hops+1))
		if req.Range.Length > 0 {
			out.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", req.Range.Offset, req.Range.End()-1))
			out.Header.Set("If-Range", req.Validator)
		}
		resp, err := c.pools[r].RoundTrip(out)
		if err != nil {
			err = failure(ctx, err)
			if late := (net.Error)(nil); connected && errors.As(err, &late) && late.Timeout() {
				// It had all the time that an answer may take. Asked again at once it would let whoever waits do so as long again.
				err = &object.Retry{Err: err}
			}
			return nil, err
		}
		traceOf(ctx).answered(method, u, begin, resp)
		if !isRedirect(resp.StatusCode) {
			return &answer{Response: resp, url: u, firstByte: time.Since(begin)}, nil
		}
		drain(resp.Body)
		if hop >= c.o.MaxRedirects {
			return nil, object.Explain(object.ErrSourceBad, "the source redirected more than %d times", max(c.o.MaxRedirects, 0))
		}
		if u, err = redirect(u, resp.Header["Location"]); err != nil {
			return nil, err
		}
		if public {
			// From here on the chain stays outside: a public source must not lead into a private network.
			r = reachPublic
		}
	}
}

// drain reads the few bytes of a redirect's body so that the connection can be used again. Who sends more, or takes longer, loses
// it: nothing else would end the wait for a body that never comes.
func drain(body io.ReadCloser) {
	late := time.AfterFunc(time.Second, func() { body.Close() })
	defer late.Stop()
	io.CopyN(io.Discard, body, 4<<10)
	body.Close()
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect returns where a Location leads from u. It is held to the rules of a source site, except that it may have a query:
// signed links do.
func redirect(u *url.URL, locations []string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) {
		return nil, object.Explain(object.ErrSourceBad, "the source redirected %s", why)
	}
	if len(locations) != 1 || locations[0] == "" {
		return bad("without saying where, or to several places")
	}
	location := locations[0]
	if len(location) > 4*maxSite {
		return bad("to an address that is too long")
	}
	for i := range len(location) {
		if location[i] <= 0x20 || location[i] == 0x7f || location[i] == '\\' {
			return bad("to an address with a blank, a control character or a backslash")
		}
	}
	next, err := u.Parse(location)
	if err != nil {
		return bad("to something that is no address")
	}
	switch {
	case next.Scheme != "http" && next.Scheme != "https":
		return bad("to another scheme than http or https")
	case u.Scheme == "https" && next.Scheme == "http":
		return bad("from https to http")
	case next.User != nil:
		return bad("to an address with user information")
	}
	// Each part is read as strictly as a setting's, so that no look-alike of a host passes.
	site := next.Scheme + "://" + next.Host
	src, err := ParseSite(site)
	if err != nil {
		return bad("to a host or port that is not allowed")
	}
	next.Host = authority(src)
	next.Fragment, next.RawFragment = "", ""
	return next, nil
}

// failure turns an error of the transport into one of ours. To the client they all read alike, whether the guard refused,
// nobody listened or nothing came: the difference would tell who chose the source what stands in the server's network.
func failure(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, context.Canceled) {
		return cause
	}
	kind := object.ErrSourceDown
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "remote error": // an alert: with TLS 1.3 it may come after the handshake
		kind = object.ErrSourceBad
	case errors.Is(err, errGuard), errors.Is(err, errTLS), errors.As(err, &certificate), errors.Is(err, errAmbiguous),
		strings.Contains(err.Error(), "malformed "), strings.Contains(err.Error(), "bad trailer"), strings.Contains(err.Error(), "headers exceeded"),
		strings.Contains(err.Error(), "connection error: "), strings.Contains(err.Error(), "header list larger"): // HTTP/2
		kind = object.ErrSourceBad
	}
	return &object.Explained{Kind: kind, Text: "the source could not be asked, or did not answer as HTTP should", Cause: err}
}

// response judges what the source said.
func (c *Client) response(a *answer, req Request) (*Response, error) {
	h := a.Header
	switch status := a.StatusCode; {
	case status == http.StatusOK:
	case status == http.StatusPartialContent && req.Range.Length > 0:
	case status == http.StatusNotFound, status == http.StatusGone:
		return nil, object.Explain(object.ErrNoSuchKey, "the source has no such object (it answered %d)", status)
	case status == http.StatusRequestedRangeNotSatisfiable && req.Range.Length > 0, status == http.StatusPreconditionFailed && req.Range.Length > 0:
		return nil, object.Explain(object.ErrSourceChanged, "the source answered %d to a range of the object", status)
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		// The source said "later": when, if it said that too, is for the caller to respect.
		return nil, &object.Retry{
			After: retryAfter(h, time.Now()),
			Err:   object.Explain(object.ErrSourceDown, "the source answered %d", status),
		}
	case status >= 500 && status <= 599 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported,
		status == http.StatusRequestTimeout:
		return nil, object.Explain(object.ErrSourceDown, "the source answered %d", status)
	default:
		return nil, object.Explain(object.ErrSourceBad, "the source answered %d", status)
	}

	if a.ContentLength < 0 && len(h["Content-Length"]) > 0 {
		// HTTP/2 does without a length, and net/http drops one that is no number, or several.
		return nil, object.Explain(object.ErrSourceBad, "the source sent a length that is none")
	}

	r := &Response{
		Meta:      keep(h),
		Status:    a.StatusCode,
		Ranges:    strings.EqualFold(h.Get("Accept-Ranges"), "bytes") || a.StatusCode == http.StatusPartialContent,
		Validator: validator(h),
		FirstByte: a.firstByte,
		Provenance: object.Provenance{
			URL:          withoutQuery(a.url),
			ETag:         bounded(h.Get("Etag")),
			LastModified: bounded(h.Get("Last-Modified")),
			At:           time.Now().UTC(),
		},
	}
	if a.StatusCode == http.StatusPartialContent {
		return r, c.partial(r, a, req)
	}
	r.Meta.Size = a.ContentLength
	r.Range = object.Range{Length: a.ContentLength}
	r.Claims = claims(h)
	if req.Head {
		return r, nil
	}
	if a.ContentLength < 0 && a.ProtoMajor == 1 && len(a.TransferEncoding) == 0 {
		return nil, object.Explain(object.ErrSourceBad, "the source sent neither a length nor chunks: nothing tells a whole body from a broken one")
	}
	return r, nil
}

// byteranges is what several ranges come in (RFC 9110 §14.6). One is always asked for at a time.
const byteranges = "multipart/byteranges"

// partial completes r for a 206.
func (c *Client) partial(r *Response, a *answer, req Request) error {
	if kind := a.Header.Get("Content-Type"); len(kind) >= len(byteranges) && strings.EqualFold(kind[:len(byteranges)], byteranges) {
		return object.Explain(object.ErrSourceBad, "the source wrapped a range that it was asked for alone")
	}
	fields := a.Header["Content-Range"]
	if len(fields) != 1 {
		return object.Explain(object.ErrSourceBad, "the source answered a range without saying which")
	}
	got, size, err := parseContentRange(fields[0])
	if err != nil || got.Offset != req.Range.Offset || got.End() > req.Range.End() {
		return object.Explain(object.ErrSourceBad, "the source answered another range than it was asked for")
	}
	if a.ContentLength >= 0 && a.ContentLength != got.Length {
		return object.Explain(object.ErrSourceBad, "the source's Content-Range and Content-Length contradict each other")
	}
	if v := a.Header.Get("Etag"); v != "" && strongETag(req.Validator) && v != req.Validator {
		return object.Explain(object.ErrSourceChanged, "the source answered a range of another version")
	}
	if v := a.Header.Get("Last-Modified"); v != "" && !strongETag(req.Validator) && v != req.Validator {
		return object.Explain(object.ErrSourceChanged, "the source answered a range of another version")
	}
	r.Range, r.Meta.Size = got, size
	return nil
}

func withoutQuery(u *url.URL) string {
	v := *u
	v.RawQuery, v.ForceQuery, v.User = "", false, nil
	return v.String()
}
