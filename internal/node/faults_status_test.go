package node_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
)

// page is an error page with this status; none of it may reach a client.
func page(status string, header ...string) string {
	const page = "<html>secret of the source</html>"
	return answer(status, append(header, fmt.Sprintf("Content-Length: %d", len(page)), `ETag: "page"`, "Set-Cookie: secret=1", "X-Secret: yes")...) + page
}

// busy is a test: the source's answer, given once, makes the client come back after that many seconds.
func busy(answer string, seconds int) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		o := cisterntest.NewOrigin(t, steps(says(answer)))
		b := memoryBench(t, o.URL())
		r, _ := b.miss("k")
		r.failed()
		r.has("Retry-After", strconv.Itoa(seconds))
		b.nothing()
		b.sees(o, 1)
	}
}

func all(tests ...func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		for _, test := range tests {
			test(t)
		}
	}
}

func statusFaults() []fault {
	return []fault{
		{"ST02 origin answers 410", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(page("410 Gone"))))
			b := newBench(t, o.URL())
			r, report := b.miss("k")
			r.refused(404, "object_not_exists")
			b.nothing()
			b.sees(o, 1)
			if report.Outcome != fill.Absent {
				t.Errorf("the fill's outcome is %s, want %s", report.Outcome, fill.Absent)
			}
		}},
		{"ST03 origin answers 401", failsAll(page("401 Unauthorized", `WWW-Authenticate: Basic realm="secret"`), page("403 Forbidden"), page("407 Proxy Authentication Required", "Proxy-Authenticate: Basic"))},
		{"ST08 origin answers 412", failsAll(page("412 Precondition Failed"))},
		{"ST11 origin answers 502 / 504", all(
			fails(3, steps(says(page("502 Bad Gateway")))),
			fails(3, steps(says(page("504 Gateway Timeout")))),
			serves(2, "body", steps(says(page("502 Bad Gateway")), says(whole("body"))), nil), // a retry that helps
		)},
		{"ST12 origin answers 503", all(busy(answer("503 Service Unavailable", "Retry-After: 7", "Content-Length: 0"), 7), busy(answer("503 Service Unavailable", "Content-Length: 0"), 1))},
		{"ST13 origin answers 503 with error page CL", busy(page("503 Service Unavailable", "Retry-After: 7"), 7)},
		{"ST15 origin answers 429 Retry-After: date in the past / 10 years / junk", all(
			busy(page("429 Too Many Requests", "Retry-After: "+monday), 1),
			busy(page("429 Too Many Requests", "Retry-After: "+time.Now().AddDate(10, 0, 0).UTC().Format(http.TimeFormat)), 3600),
			busy(page("429 Too Many Requests", "Retry-After: 315360000"), 3600),
			busy(page("429 Too Many Requests", "Retry-After: 99999999999999999999999"), 1),
			busy(page("429 Too Many Requests", "Retry-After: -1"), 1),
			busy(page("429 Too Many Requests", "Retry-After: soon"), 1),
		)},
		{"ST16 origin answers 204", failsAll(answer("204 No Content"), answer("205 Reset Content", "Content-Length: 0"))},
		{"ST18 origin answers 201 / 202 / 203 / 226", failsAll(page("201 Created"), page("202 Accepted"), page("203 Non-Authoritative Information"), page("226 IM Used"))},
		{"ST20 origin answers 300 / 305 / 306", failsAll(
			page("300 Multiple Choices", "Location: /b"), page("305 Use Proxy", "Location: http://127.0.0.1:1/"), page("306 Unused", "Location: /b"),
		)},
		{"ST21 origin answers 999", failsAll(page("999 Whatever"))},
		{"ST24 404 then 200 after the negative window", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(page("404 Not Found")), says(whole("here now"))))
			b := newBench(t, o.URL(), func(o *node.Options) { o.Fill.NegativeTTL = 50 * time.Millisecond })
			first := time.Now()
			b.send("GET", "k").refused(404, "object_not_exists")
			var r reply
			b.until("the 404 to be forgotten", func() bool {
				r = b.send("GET", "k")
				return r.status != 404
			})
			r.ok(200, "here now")
			if took := time.Since(first); took < 50*time.Millisecond {
				t.Errorf("the 404 was forgotten after %v, want it remembered for 50 ms", took)
			}
			b.landed()
			b.landed()
			b.stored("k", "here now")
			b.sees(o, 2) // however often the client asked meanwhile
		}},
		{"ST25 login redirect", func(t *testing.T) {
			// A source that hides its objects behind a login page gives the page for each of them. Nothing tells it from an object.
			o := cisterntest.NewOrigin(t, pages(map[string]string{
				"/k":     answer("302 Found", "Location: /login", "Content-Length: 0"),
				"/login": whole("<html>log in</html>", "Content-Type: text/html", "Set-Cookie: session=1"),
			}))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.ok(200, "<html>log in</html>")
			r.hasNot("Set-Cookie", "Location")
			b.stored("k", "<html>log in</html>").hasNot("Set-Cookie", "Location")
			b.sees(o, 2)

			off := newBench(t, o.URL(), func(o *node.Options) { o.Origin.MaxRedirects = -1 })
			r, _ = off.miss("k")
			r.failed()
			off.nothing()
		}},
	}
}

// pages is a script that answers by the target of the request, 404 for all others, on connections that stay.
func pages(answers map[string]string) func(*cisterntest.Conn) {
	return func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			if !ok {
				return
			}
			text, found := answers[r.Target]
			if !found {
				text = page("404 Not Found")
			}
			if !c.Send(text) {
				return
			}
		}
	}
}

// moved is a redirect.
func moved(status, location string) string {
	return answer(status, "Location: "+location, "Content-Length: 5", `ETag: "redirect"`) + "moved"
}

// chain is n redirects from /k on, and the object at the end.
func chain(n int) map[string]string {
	answers, at := map[string]string{}, "/k"
	for i := range n {
		next := fmt.Sprintf("/hop%d", i)
		answers[at] = moved("302 Found", next)
		at = next
	}
	answers[at] = whole("the end")
	return answers
}

func threeHops(o *node.Options) { o.Origin.MaxRedirects = 3 }

// notRedirected checks that what the redirect said of itself is not what the object is.
func notRedirected(r reply) { r.hasNot("Location") }

// publicDial lets a test's origin on loopback stand for a public address, and notes what was dialled.
type publicDial struct {
	public netip.Addr
	to     netip.AddrPort

	mu     sync.Mutex // guards dialed
	dialed []netip.AddrPort
}

func (d *publicDial) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	d.mu.Lock()
	d.dialed = append(d.dialed, to)
	d.mu.Unlock()
	if to.Addr() != d.public {
		return nil, fmt.Errorf("%v is not part of this test", to)
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, d.to.String())
	if err != nil {
		return nil, err
	}
	return publicConn{c, to}, nil
}

func (d *publicDial) list() []netip.AddrPort {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]netip.AddrPort(nil), d.dialed...)
}

type publicConn struct {
	net.Conn
	remote netip.AddrPort
}

func (c publicConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func redirectFaults() []fault {
	return []fault{
		{"RE01 301 same host", serves(2, "body of b", pages(map[string]string{"/k": moved("301 Moved Permanently", "/b"), "/b": whole("body of b", `ETag: "b"`)}), notRedirected)},
		{"RE05 308 same host", func(t *testing.T) {
			for _, status := range []string{"308 Permanent Redirect", "307 Temporary Redirect", "303 See Other"} {
				o := cisterntest.NewOrigin(t, pages(map[string]string{"/k": moved(status, "/b"), "/b": whole("body of b")}))
				b := newBench(t, o.URL())
				r, _ := b.miss("k")
				r.ok(200, "body of b")
				b.stored("k", "body of b")
				if keys := b.listed(); len(keys) != 1 {
					t.Errorf("the list names %q, want the asked key alone", keys)
				}
				b.sees(o, 2)
			}
		}},
		{"RE06 chain of redirects.max", serves(4, "the end", pages(chain(3)), notRedirected, threeHops)},
		{"RE07 chain of redirects.max + 1", fails(4, pages(chain(4)), threeHops)},
		{"RE09 two-node loop", fails(4, pages(map[string]string{"/k": moved("302 Found", "/b"), "/b": moved("302 Found", "/k")}), threeHops)},
		{"RE13 to a denied address", func(t *testing.T) {
			target := cisterntest.NewOrigin(t, serveAll(whole("secret of the network")))
			// From a public source into the server's own network, be the bucket the operator's.
			o := cisterntest.NewOrigin(t, serveAll(moved("302 Found", target.URL()+"/k")))
			d := &publicDial{public: netip.MustParseAddr("1.1.1.1"), to: o.Addr()}
			b := newBench(t, "http://1.1.1.1/", func(o *node.Options) { o.Origin.Dial = d.dial })
			r, _ := b.miss("k")
			r.failed()
			b.nothing()
			b.sees(o, 1)
			if dialed := d.list(); len(dialed) != 1 || target.Accepts() != 0 {
				t.Errorf("%v were dialled and %d connections came to the target, want the source alone", dialed, target.Accepts())
			}
			// From any source to where credentials are, and to the server itself.
			o = cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				if r, ok := c.ReadHead(); ok {
					c.Send(moved("302 Found", map[string]string{
						"/metadata": "http://169.254.169.254/latest", "/mapped": "http://[::ffff:169.254.169.254]/latest", "/zero": "http://0.0.0.0:1/k",
					}[r.Target]))
				}
			})
			b = newBench(t, o.URL())
			for i, key := range []string{"metadata", "mapped", "zero"} {
				r, _ := b.miss(key)
				r.failed()
				b.sees(o, i+1)
			}
			b.nothing()
		}},
		{"RE15 two Locations", fails(1, serveAll(answer("302 Found", "Location: /b", "Location: /c", "Content-Length: 0")))},
		{"RE16 Location with non-http scheme", failsAll(
			moved("302 Found", "file:///etc/passwd"), moved("302 Found", "ftp://127.0.0.1/k"), moved("302 Found", "javascript:alert(1)"),
			moved("302 Found", "gopher://127.0.0.1/k"), moved("302 Found", "data:text/plain,k"),
		)},
		{"RE17 Location with control character", failsAll(
			moved("302 Found", "/b\rX-Secret: yes"), moved("302 Found", "/b\x00c"), moved("302 Found", "/b\tc"), moved("302 Found", "/b\x7f"),
		)},
		{"RE20 307 with endless redirect body", func(t *testing.T) {
			for _, status := range []string{"307 Temporary Redirect", "302 Found"} {
				ended := make(chan struct{})
				o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
					defer close(ended)
					c.Send(answer(status, "Location: /b", "Content-Length: 99999999999999"))
					c.SendFrom(endless{})
				}, says(whole("body of b"))))
				b := newBench(t, o.URL())
				r, _ := b.miss("k")
				r.ok(200, "body of b")
				b.stored("k", "body of b")
				b.sees(o, 2)
				<-ended // the connection was closed
				if rs := o.Requests(); rs[1].Conn != 2 {
					t.Errorf("the redirect was followed over connection %d, want a new one", rs[1].Conn)
				}
			}
		}},
	}
}

func headerFaults() []fault {
	return []fault{
		{"HE02 5000 header lines", func(t *testing.T) {
			serves(1, "body", serveAll(answer("200 OK", append(strings.Split(strings.Repeat("X-A: a,", 5000), ",")[:5000], "Content-Length: 4")...)+"body"),
				func(r reply) { r.hasNot("X-A") })(t)
			// Beyond the limit of a head in bytes there is none.
			fails(1, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Send(answer("200 OK", append(strings.Split(strings.Repeat("X-A: "+strings.Repeat("a", 100)+",", 5000), ",")[:5000], "Content-Length: 4")...) + "body")
				c.Hang()
			}))(t)
		}},
		{"HE04 obs-fold", serves(1, "body", serveAll(answer("200 OK", "X-Folded: one\r\n two", "Content-Disposition: attachment;\r\n\tfilename=a", "Content-Length: 4")+"body"), func(r reply) {
			r.hasNot("X-Folded")
			// A folded field that is kept is so on one line, as RFC 9112 §5.2 has it; the line break never goes on.
			if v := r.header.Get("Content-Disposition"); v != "" && v != "attachment; filename=a" {
				r.Errorf("the folded field became %q", v)
			}
		})},
		{"HE07 header injection via stored metadata", func(t *testing.T) {
			inert := func(r reply) {
				r.hasNot("X-Secret")
				for name, values := range r.header {
					if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
						r.Errorf("the answer carries %s: %q", name, values)
					}
				}
			}
			serves(1, "body", serveAll(whole("body", `Content-Disposition: attachment; filename="a%0d%0aX-Secret: yes"`, "x-qs-meta-a: %0d%0aX-Secret: yes")), inert)(t)
			for _, raw := range []string{"a\rX-Secret: yes", "a\x00b", "a\x01"} {
				o := cisterntest.NewOrigin(t, serveAll(whole("body", "Content-Disposition: "+raw, "x-qs-meta-a: "+raw, "Content-Type: "+raw)))
				b := newBench(t, o.URL())
				r, _ := b.miss("k")
				if r.status == 200 {
					r.ok(200, "body")
					inert(r)
					inert(b.stored("k", "body"))
					r.hasNot("Content-Disposition", "X-Qs-Meta-A")
				} else {
					r.failed()
					b.nothing()
				}
			}
		}},
		{"HE09 hop-by-hop headers", serves(1, "body", serveAll(whole("body", "Connection: close, X-Secret", "X-Secret: yes", "Keep-Alive: timeout=5", "Upgrade: h2c",
			"Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x", "Trailer: X-End", "TE: trailers", "Set-Cookie: a=b", "Strict-Transport-Security: max-age=1", "Alt-Svc: h2=\":1\"")),
			func(r reply) {
				r.hasNot("X-Secret", "Keep-Alive", "Upgrade", "Proxy-Authenticate", "Proxy-Authentication-Info", "Trailer", "TE", "Set-Cookie", "Strict-Transport-Security", "Alt-Svc")
			})},
		{"HE12 x-qs-meta-* / x-amz-meta-* from the origin", serves(1, "body", serveAll(whole("body", "x-qs-meta-a: 1", "X-Amz-Meta-B: 2", "x-oss-meta-c: 3", "x-cos-meta-d: 4", "x-other-meta-e: 5",
			"x-amz-meta-huge: "+strings.Repeat("x", 3000))), func(r reply) {
			for name, value := range map[string]string{"X-Qs-Meta-A": "1", "X-Qs-Meta-B": "2", "X-Qs-Meta-C": "3", "X-Qs-Meta-D": "4"} {
				r.has(name, value)
			}
			r.hasNot("X-Amz-Meta-B", "X-Qs-Meta-E", "X-Other-Meta-E", "X-Qs-Meta-Huge", "X-Amz-Meta-Huge")
		})},
		{"HE13 Vary: *", serves(1, "body", serveAll(whole("body", "Vary: *")), func(r reply) { r.hasNot("Vary") })},
		{"HE14 Date / Server / Via from the origin", serves(1, "body", serveAll(whole("body", "Date: "+monday, "Server: secret/1.0", "Via: 1.1 secret", "Age: 100", "X-Powered-By: secret", "X-Cache: HIT")), func(r reply) {
			r.has("Server", "Cistern")
			r.hasNot("Via", "Age", "X-Powered-By", "X-Cache")
			if at, err := http.ParseTime(r.header.Get("Date")); err != nil || time.Since(at) > time.Minute {
				r.Errorf("the answer carries Date: %q, want the server's own", r.header.Values("Date"))
			}
		})},
	}
}

func interimFaults() []fault {
	return []fault{
		{"IN02 103 once / ten times", func(t *testing.T) {
			hint := answer("103 Early Hints", "Link: </style.css>; rel=preload")
			for _, n := range []int{1, 10} {
				serves(1, "body", serveAll(strings.Repeat(hint, n)+whole("body")), func(r reply) { r.hasNot("Link") })(t)
			}
		}},
		{"IN04 102 then close", fails(3, steps(says(answer("102 Processing"))))},
	}
}
