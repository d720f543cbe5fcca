package node_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/http2"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
)

// Faults that the file does not name. They are of the same kinds, and each was thought of because something could have gone wrong there.

func framingBeyond() []fault {
	return []fault{
		{"two different Content-Lengths", failsAll(
			answer("200 OK", "Content-Length: 4", "Content-Length: 5")+"body",
			answer("200 OK", "Content-Length: 4, 5")+"body",
		)},
		{"the same Content-Length twice", serves(1, "body", serveAll(answer("200 OK", "Content-Length: 4", "Content-Length: 4")+"body"), nil)},
		{"Content-Length beyond int64", failsAll(
			answer("200 OK", "Content-Length: 9223372036854775808")+"body",
			answer("200 OK", "Content-Length: 99999999999999999999999999")+"body",
			answer("200 OK", "Content-Length: 18446744073709551620")+"body", // 4, to those who count modulo 2^64
		)},
		{"Content-Length empty, folded or in other digits", failsAll(
			answer("200 OK", "Content-Length:")+"body",
			answer("200 OK", "Content-Length:\r\n 4")+"body",
			answer("200 OK", "Content-Length: ٤")+"body",
			answer("200 OK", "Content-Length: 4 0")+"body",
			answer("200 OK", "Content-Length: 4.0")+"body",
			answer("200 OK", "Content-Length: 1_0")+"body",
		)},
		{"Transfer-Encoding that only looks like chunked", failsAll(
			answer("200 OK", "Transfer-Encoding: xchunked")+"4\r\nbody\r\n0\r\n\r\n",
			answer("200 OK", "Transfer-Encoding: chunked, chunked")+"4\r\nbody\r\n0\r\n\r\n",
			answer("200 OK", "Transfer-Encoding: identity")+"body",
			answer("200 OK", "Transfer-Encoding: \x0bchunked")+"4\r\nbody\r\n0\r\n\r\n",
			answer("200 OK", "Transfer-Encoding : chunked")+"4\r\nbody\r\n0\r\n\r\n",
		)},
		{"chunk size that overflows", failsAll(
			answer("200 OK", "Transfer-Encoding: chunked")+"10000000000000004\r\nbody\r\n0\r\n\r\n", // 4, to those who count modulo 2^64
			answer("200 OK", "Transfer-Encoding: chunked")+"0x4\r\nbody\r\n0\r\n\r\n",
			answer("200 OK", "Transfer-Encoding: chunked")+"+4\r\nbody\r\n0\r\n\r\n",
			answer("200 OK", "Transfer-Encoding: chunked")+strings.Repeat("0", 100)+"4\r\nbody\r\n0\r\n\r\n",
		)},
		{"chunk longer than its size", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(answer("200 OK", "Transfer-Encoding: chunked")+"4\r\nbody and more\r\n0\r\n\r\n")))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.notSound("body and more")
			b.nothing()
			b.sees(o, 1)
		}},
		{"chunked without the last chunk", cutChunked(hangUp)},
		{"chunked without the empty line at the end", cutChunked(func(c *cisterntest.Conn) { c.Send("0\r\n") })},
		{"chunked, then a reset", cutChunked((*cisterntest.Conn).Reset)},
		{"trailer that announces a Content-Length", failsAll(answer("200 OK", "Transfer-Encoding: chunked", "Trailer: Content-Length") + "4\r\nbody\r\n0\r\nContent-Length: 2\r\n\r\n")},
		{"trailer that claims a Content-Length", serves(1, "body", steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
			c.Head(200, "Transfer-Encoding: chunked", "Trailer: ETag, X-Secret")
			c.Chunk("body")
			c.LastChunk("Content-Length: 2", `ETag: "trailer"`, "X-Secret: yes", "Content-MD5: "+base64MD5("another"))
		}), func(r reply) {
			r.hasNot("X-Secret", "Trailer")
			if r.header.Get("Etag") == `"trailer"` || len(r.resp.Trailer) > 0 {
				r.Errorf("the answer carries what the trailers said: ETag %q, trailers %v", r.header.Get("Etag"), r.resp.Trailer)
			}
		})},
		{"gzip with a length that is wrong", func(t *testing.T) {
			coded := zip(t, text(200_000))
			// Too long a length is a body that breaks off; nobody tries to make sense of what came.
			gate := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Head(200, "Content-Encoding: gzip", fmt.Sprintf("Content-Length: %d", len(coded)+1))
				if c.Send(coded) {
					c.Wait(gate)
				}
			}))
			b := newBench(t, o.URL())
			resp := b.open("GET", "k")
			gate.Release()
			b.rest(resp).cut(coded + "!")
			b.landed()
			b.nothing()
			// Too short a length is the length.
			serves(1, coded[:1000], serveAll(answer("200 OK", "Content-Encoding: gzip", "Content-Length: 1000")+coded), func(r reply) { r.has("Content-Encoding", "gzip") })(t)
		}},
		{"HEAD answered with a body", func(t *testing.T) {
			// Whoever may store an object there would choose what the next key is.
			o := cisterntest.NewOrigin(t, byMethod(whole(whole("poison")), whole("body")))
			b := newBench(t, o.URL())
			for i := range 5 {
				b.send("HEAD", fmt.Sprintf("head%d", i)).ok(200, "")
				key := fmt.Sprintf("key%d", i)
				r, _ := b.miss(key)
				r.ok(200, "body")
				b.stored(key, "body")
			}
		}},
		{"status without a body, and one behind it", func(t *testing.T) {
			for _, status := range []string{"204 No Content", "304 Not Modified"} {
				o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
					for {
						r, ok := c.ReadHead()
						text := whole("body")
						if r.Target == "/odd" {
							text = answer(status, "Content-Length: 6") + whole("poison")
						}
						if !ok || !c.Send(text) {
							return
						}
					}
				})
				b := newBench(t, o.URL())
				r, _ := b.miss("odd")
				r.failed()
				r, _ = b.miss("k")
				r.ok(200, "body")
				b.stored("k", "body")
			}
		}},
	}
}

// cutChunked is a test: a chunked body that ends in another way than it should cuts the client's connection.
func cutChunked(then func(c *cisterntest.Conn)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		gate := cisterntest.NewGate()
		o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
			c.Head(200, "Transfer-Encoding: chunked", `ETag: "v1"`)
			c.Chunk(long)
			if c.Wait(gate) {
				then(c)
			}
		}))
		b := newBench(t, o.URL())
		resp := b.open("GET", "k")
		gate.Release()
		b.rest(resp).cut(long + "the end")
		b.landed()
		b.nothing()
		b.sees(o, 1) // without a length nothing says what the rest would be
	}
}

func bodyBeyond() []fault {
	return []fault{
		{"one byte too few", cuts(1, long, nil, func(c *cisterntest.Conn) { c.Send(long[100_000 : len(long)-1]) }, nil)},
		{"no byte of the body", fails(1, steps(says(answer("200 OK", "Content-Length: 5"))))},
		{"reset in the middle", cuts(1, long, nil, (*cisterntest.Conn).Reset, nil)},
		{"silence in the middle", cuts(1, long, nil, (*cisterntest.Conn).Hang, nil, func(o *node.Options) { o.Origin.IdleTimeout = 300 * time.Millisecond })},
		{"body below the least rate", cuts(1, long, nil, func(c *cisterntest.Conn) {
			c.Throttle(200)
			c.Send(long[100_000:])
		}, nil, func(o *node.Options) { o.Origin.MinRate, o.Origin.MinRateWindow = 10_000, 100*time.Millisecond })},
		{"error with an endless body", func(t *testing.T) {
			for status, want := range map[string]int{"404 Not Found": 404, "403 Forbidden": 503} {
				ended := make(chan struct{})
				o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
					defer close(ended)
					c.Send(answer(status, "Content-Length: 99999999999999"))
					c.SendFrom(endless{})
				}))
				b := newBench(t, o.URL())
				if r, _ := b.miss("k"); r.status != want {
					t.Errorf("%s: the client got %d, want %d", status, r.status, want)
				}
				b.nothing()
				<-ended // the connection was closed
			}
		}},
		{"every reader of a broken flight is told, and the next asks anew", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(answer("200 OK", "Content-Length: 5")), says(whole("whole"))))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.failed()
			r, _ = b.miss("k")
			r.ok(200, "whole")
			b.stored("k", "whole")
			b.sees(o, 2)
		}},
	}
}

// badPart is a step that answers a range with a Content-Range of its own making.
func badPart(contentRange, body string) step {
	return says(answer("206 Partial Content", `ETag: "v1"`, "Last-Modified: "+monday, "Content-Range: "+contentRange, fmt.Sprintf("Content-Length: %d", len(body))) + body)
}

func resumeBeyond() []fault {
	return []fault{
		{"resume answered with another ETag", cuts(2, long, strongV1, hangUp, []step{parts(long, `ETag: "v2"`)})},
		{"resume answered from another place", cuts(2, long, strongV1, hangUp, []step{badPart("bytes 99999-199999/200000", long[99_999:])})},
		{"resume answered beyond its end", cuts(2, long, strongV1, hangUp, []step{badPart("bytes 100000-200000/200001", long[100_000:]+"!")})},
		{"resume answered of another size", cuts(2, long, strongV1, hangUp, []step{badPart("bytes 100000-199999/200001", long[100_000:])})},
		{"resume answered of an unknown size", cuts(2, long, strongV1, hangUp, []step{badPart("bytes 100000-199999/*", long[100_000:])})},
		{"resume answered with numbers that contradict each other", cuts(2, long, strongV1, hangUp, []step{badPart("bytes 100000-199999/200000", long[100_001:])})},
		{"resume answered 416", cuts(2, long, strongV1, hangUp, []step{says(page("416 Range Not Satisfiable", "Content-Range: bytes */100000"))})},
		{"resume answered 412", cuts(2, long, strongV1, hangUp, []step{says(page("412 Precondition Failed"))})},
		{"resume answered 404", cuts(2, long, strongV1, hangUp, []step{says(page("404 Not Found"))})},
		{"resume answered 403", cuts(2, long, strongV1, hangUp, []step{says(page("403 Forbidden"))})},
		{"resume answered 503", cuts(2, long, strongV1, hangUp, []step{says(page("503 Service Unavailable"))})}, // it said "later", and not when
		{"resume answered 200 of the same object", func(t *testing.T) {
			// It does not do ranges: what is there already is passed over.
			o := cisterntest.NewOrigin(t, steps(halfThen(long, hangUp, strongV1...), says(whole(long, strongV1...))))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.ok(200, long)
			b.stored("k", long)
			b.sees(o, 2)
		}},
		{"resume broken off again and again", func(t *testing.T) {
			// As long as each answer brings something there is a reason to go on.
			half := func(c *cisterntest.Conn, r cisterntest.Request) {
				var from, last int
				if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &last); err != nil {
					return
				}
				c.Head(206, `ETag: "v1"`, fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, last, len(long)), fmt.Sprintf("Content-Length: %d", last+1-from))
				c.Send(long[from : from+(last+2-from)/2])
			}
			o := cisterntest.NewOrigin(t, steps(halfThen(long, hangUp, `ETag: "v1"`), half))
			b := newBench(t, o.URL())
			r, report := b.miss("k")
			r.ok(200, long)
			b.stored("k", long)
			if report.Bytes != int64(len(long)) {
				t.Errorf("%d bytes were fetched, want each of the %d once", report.Bytes, len(long))
			}
		}},
		{"strong Last-Modified instead of an ETag", func(t *testing.T) {
			header := []string{"Last-Modified: " + monday, "Date: " + tuesday}
			o := cisterntest.NewOrigin(t, steps(halfThen(long, hangUp, header...), parts(long, header...)))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.ok(200, long)
			b.stored("k", long)
			if got := o.Requests()[1].Header.Get("If-Range"); got != monday {
				t.Errorf("the rest was asked for with If-Range: %q, want the date", got)
			}
			// Of the second in which the source answered it says nothing (RFC 9110 §8.8.2.2).
			cuts(1, long, []string{"Last-Modified: " + monday, "Date: " + monday}, hangUp, nil)(t)
		}},
		{"weak ETag, cut, ranges offered", cuts(1, long, []string{`ETag: W/"v1"`, "Last-Modified: " + monday, "Date: " + tuesday, "Accept-Ranges: bytes"}, hangUp, nil)},
	}
}

func claimBeyond() []fault {
	return []fault{
		{"Digest sha-256 wrong", liesAbout("Digest: sha-256=" + base64SHA256("another"))},
		{"Repr-Digest wrong", liesAbout("Repr-Digest: sha-256=:" + base64SHA256("another") + ":")},
		{"Content-Digest wrong, Repr-Digest right", func(t *testing.T) {
			serves(1, long, serveAll(whole(long, "Repr-Digest: sha-256=:"+base64SHA256(long)+":")), nil)(t)
			o := cisterntest.NewOrigin(t, serveAll(whole(long, "Repr-Digest: sha-256=:"+base64SHA256(long)+":", "Content-Digest: sha-256=:"+base64SHA256("another")+":")))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.notSound(long)
			b.nothing()
		}},
		{"two Content-MD5", func(t *testing.T) {
			for _, header := range [][]string{
				{"Content-MD5: " + base64MD5(long), "Content-MD5: " + base64MD5("another")},
				{"Content-MD5: " + base64MD5("another"), "Content-MD5: " + base64MD5(long)},
			} {
				o := cisterntest.NewOrigin(t, serveAll(whole(long, header...)))
				b := newBench(t, o.URL())
				r, _ := b.miss("k")
				r.notSound(long)
				b.nothing()
			}
		}},
		{"digests that are none", serves(1, long, serveAll(whole(long, "Content-MD5: no base64!", "Digest: sha-256=short, unknown=eHh4", "Repr-Digest: sha-256=missing colons",
			"x-amz-checksum-sha256: "+base64SHA256("parts")+"-3", "x-goog-hash: crc32c=AA==")), nil)},
		{"ETag of a store that is not the MD5", liesAbout("ETag: "+md5Tag("another"), "x-amz-request-id: 1")},
		{"32 hex digits that claim nothing", func(t *testing.T) {
			// Any source may have such a tag. It is served with a suffix, so that no client takes it for the MD5.
			o := cisterntest.NewOrigin(t, serveAll(whole(long, "ETag: "+md5Tag("another"))))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.ok(200, long)
			if tag := b.stored("k", long).header.Get("Etag"); tag == md5Tag("another") || !strings.HasPrefix(tag, strings.TrimSuffix(md5Tag("another"), `"`)) {
				t.Errorf("the ETag of what is stored is %s, want that of the source with a suffix", tag)
			}
		}},
		{"ETag without quotes", serves(1, long, serveAll(whole(long, "ETag: v1")), func(r reply) {
			if tag := r.header.Get("Etag"); tag != "" && tag != md5Tag(long) {
				r.Errorf("the answer carries ETag: %s, want none or the MD5", tag)
			}
		})},
		{"ETag without quotes, cut", cuts(1, long, []string{"ETag: v1"}, hangUp, nil)},
		{"ETag with what no header may hold", serves(1, long, serveAll(whole(long, "ETag: \"a\"b\"", "Last-Modified: yesterday")), func(r reply) {
			if tag := r.header.Get("Etag"); tag != "" && tag != md5Tag(long) {
				r.Errorf("the answer carries ETag: %s, want none or the MD5", tag)
			}
			if _, err := http.ParseTime(r.header.Get("Last-Modified")); err != nil {
				r.Errorf("the answer carries Last-Modified: %q", r.header.Get("Last-Modified"))
			}
		})},
	}
}

func redirectBeyond() []fault {
	return []fault{
		{"to the same address with a fragment", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, serveAll(moved("302 Found", "/k#part")))
			b := newBench(t, o.URL(), threeHops)
			r, _ := b.miss("k")
			r.failed()
			b.nothing()
			b.sees(o, 4)
			for _, r := range o.Requests() {
				if r.Target != "/k" {
					t.Errorf("the source saw the target %q, want /k without the fragment", r.Target)
				}
			}
		}},
		{"relative, with dot segments", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, pages(map[string]string{"/a/b/k": moved("302 Found", "../c/./d?x=%2F"), "/a/c/d?x=%2F": whole("body of d")}))
			b := newBench(t, o.URL()+"/a/b/")
			r, _ := b.miss("k")
			r.ok(200, "body of d")
			b.stored("k", "body of d")
			b.sees(o, 2)
		}},
		{"above the root", serves(2, "body", pages(map[string]string{"/k": moved("302 Found", "/../../../b"), "/b": whole("body")}), notRedirected)},
		{"without a Location", failsAll(answer("302 Found", "Content-Length: 0"), answer("302 Found", "Location:", "Content-Length: 0"))},
		{"with user information", failsAll(moved("302 Found", "http://user:secret@127.0.0.1/k"), moved("302 Found", "http://127.0.0.1@evil.test/k"))},
		{"to a host in disguise", failsAll(
			moved("302 Found", "http://0x7f000001/k"), moved("302 Found", "http://2130706433/k"), moved("302 Found", "http://127.1/k"), moved("302 Found", "http://0177.0.0.1/k"),
		)},
		{"to another protocol's port", failsAll(moved("302 Found", "http://127.0.0.1:22/k"), moved("302 Found", "http://127.0.0.1:25/k"))},
		{"from https to http", func(t *testing.T) {
			ca := cisterntest.NewCA(t)
			plain := cisterntest.NewOrigin(t, serveAll(whole("plain")))
			o := cisterntest.NewTLSOrigin(t, with(ca.Issue(cisterntest.NewKey(t), nil, "127.0.0.1")), serveAll(moved("302 Found", plain.URL()+"/k")))
			b := newBench(t, o.URL(), trust(ca))
			r, _ := b.miss("k")
			r.failed()
			b.nothing()
			b.sees(o, 1)
			if n := plain.Accepts(); n != 0 {
				t.Errorf("%d connections were made to the plain one, want none", n)
			}
		}},
		{"with a body that never comes", serves(2, "body", steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
			c.Send(answer("302 Found", "Location: /b", "Content-Length: 100"))
			c.Hang()
		}, says(whole("body"))), nil)},
		{"Location of 100 KB", failsAll(moved("302 Found", "/"+strings.Repeat("x", 100_000)))},
		{"to the server itself", func(t *testing.T) {
			self := make(chan string, 1)
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				if _, ok := c.ReadHead(); ok {
					c.Send(moved("302 Found", <-self))
				}
			})
			b := newBench(t, o.URL())
			self <- b.at + "k"
			r, _ := b.miss("k")
			r.failed()
			b.nothing()
			b.sees(o, 1)
		}},
	}
}

func answerBeyond() []fault {
	return []fault{
		{"101 to a request for no upgrade", failsAll(answer("101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"))},
		{"304 to a request without a condition", failsAll(answer("304 Not Modified", `ETag: "v1"`))},
		{"416 to a request without a range", failsAll(page("416 Range Not Satisfiable", "Content-Range: bytes */5"))},
		{"500 that heals, and one that does not", all(
			serves(3, "body", steps(says(page("500 Internal Server Error")), says(page("500 Internal Server Error")), says(whole("body"))), nil),
			fails(3, steps(says(page("500 Internal Server Error")))),
		)},
		{"501 and 505, which will not heal", failsAll(page("501 Not Implemented"), page("505 HTTP Version Not Supported"))},
		{"several Retry-After", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(page("503 Service Unavailable", "Retry-After: 5", "Retry-After: 9"))))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.failed()
			if v := r.header.Values("Retry-After"); len(v) != 1 {
				t.Errorf("the answer carries Retry-After: %q, want one", v)
			}
			b.sees(o, 1)
		}},
		{"HEAD refused, GET not", func(t *testing.T) {
			for _, status := range []string{"405 Method Not Allowed", "501 Not Implemented", "403 Forbidden"} {
				o := cisterntest.NewOrigin(t, steps(says(answer(status, "Content-Length: 0")), says(whole(text(20)))))
				b := newBench(t, o.URL())
				r := b.send("HEAD", "k")
				r.ok(200, "")
				r.has("Content-Length", "20")
				b.nothing()
				if got := methods(o); !slices.Equal(got, []string{"HEAD", "GET"}) {
					t.Errorf("the source saw %v, want a HEAD and a GET in its place", got)
				}
			}
		}},
		{"HEAD of a source that fails", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(answer("500 Internal Server Error", "Content-Length: 5"))))
			b := newBench(t, o.URL())
			r := b.send("HEAD", "k")
			if r.status != 503 || len(r.body) > 0 || r.err != nil {
				t.Errorf("the client got %d, %d bytes, %v; want 503 and no body", r.status, len(r.body), r.err)
			}
			b.nothing()
		}},
		{"header with NUL or other control characters", func(t *testing.T) {
			for _, value := range []string{"a\x00b", "a\x7fb", "a\x1bb"} {
				o := cisterntest.NewOrigin(t, serveAll(whole("body", "Content-Type: "+value, "Cache-Control: "+value, "ETag: \""+value+"\"", "x-amz-meta-a: "+value)))
				b := newBench(t, o.URL())
				r, _ := b.miss("k")
				if r.status != 200 {
					r.failed()
					b.nothing()
					continue
				}
				r.ok(200, "body")
				for _, r := range []reply{r, b.stored("k", "body")} {
					for name, values := range r.header {
						if strings.Contains(strings.Join(values, ""), value) {
							t.Errorf("the answer carries %s: %q", name, values)
						}
					}
				}
			}
		}},
		{"header line without a colon, or without a name", failsAll(
			answer("200 OK", "Content-Length: 4", "no colon here")+"body",
			answer("200 OK", "Content-Length: 4", ": no name")+"body",
			answer("200 OK", " folded first line: 1", "Content-Length: 4")+"body",
		)},
		{"header lines for ever", fails(1, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
			for sent := c.Send("HTTP/1.1 200 OK\r\n"); sent; sent = c.Send(strings.Repeat("X-A: aaaaaaaaaa\r\n", 1000)) {
			}
		}))},
		{"a header line for ever", fails(1, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
			if c.Send("HTTP/1.1 200 OK\r\nX-A: ") {
				c.SendFrom(endless{})
			}
		}))},
		{"nothing of the client's reaches the source", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, serveAll(whole("body")))
			b := newBench(t, o.URL())
			r, _ := b.miss("k?x=secret", "Cookie: secret=1", "X-Forwarded-For: 1.2.3.4", "Forwarded: for=secret", "Referer: http://secret.test/", "Accept-Language: secret",
				"If-None-Match: \"secret\"", "If-Modified-Since: "+monday, "Range: bytes=0-1", "Origin: http://secret.test", "Via: 1.1 secret", "X-Secret: secret", "User-Agent: secret")
			if r.status != 206 {
				t.Errorf("the client got %d %s, want its range", r.status, r.body)
			}
			want := fmt.Sprintf("GET /k HTTP/1.1\r\nHost: %s\r\nUser-Agent: Cistern\r\nAccept-Encoding: identity\r\nCistern-Hops: 1\r\n\r\n", o.Addr())
			if got := o.Requests(); len(got) != 1 || got[0].Raw != want {
				t.Errorf("the source saw %v, want %q", got, want)
			}
		}},
		{"a key that would leave the path is never asked for", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, serveAll(whole("secret")))
			b := newBench(t, o.URL()+"/public/")
			for _, key := range []string{"%2e%2e/secret", "a/%2E%2E/%2E%2E/secret", "..%2Fsecret", "%252e%252e/secret", "..%5Csecret"} {
				b.send("GET", key).refused(404, "object_not_exists")
			}
			b.nothing()
			b.sees(o, 0)
		}},
	}
}

func wireBeyond() []fault {
	return []fault{
		{"reset before the first byte", fails(3, steps(func(c *cisterntest.Conn, _ cisterntest.Request) { c.Reset() }))},
		{"reset within the head", all(
			fails(3, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n")
				c.Reset()
			})),
			// A torn line cannot be told from a bad one, and is not asked for again.
			fails(1, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A")
				c.Reset()
			})),
		)},
		{"silence instead of an answer", fails(1, steps(func(c *cisterntest.Conn, _ cisterntest.Request) { c.Hang() }),
			func(o *node.Options) { o.Origin.FirstByteTimeout = 50 * time.Millisecond })},
		{"flood of 100 Continue", fails(1, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
			for c.Send(strings.Repeat(answer("100 Continue"), 1000)) {
			}
		}))},
		{"empty status line", failsAll("\r\n\r\n"+whole("body"), "HTTP/1.1\r\n\r\n", "HTTP/1.1 \r\n\r\n", " 200 OK\r\n\r\n")},
		{"status that is no number, or none of three digits", failsAll(
			"HTTP/1.1 OK OK\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nbody",
			"HTTP/1.1 -20 OK\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 +20 OK\r\nContent-Length: 4\r\n\r\nbody",
		)},
		{"keep-alive promised and not kept", func(t *testing.T) {
			// Each answer promises that the connection stays, and it does not.
			o := cisterntest.NewOrigin(t, steps(says(whole("body", "Connection: keep-alive", "Keep-Alive: timeout=60"))))
			b := newBench(t, o.URL())
			for i := range 20 {
				key := fmt.Sprintf("key%d", i)
				r, _ := b.miss(key)
				r.ok(200, "body")
				b.stored(key, "body")
			}
			b.sees(o, 20)
		}},
		{"certificate for another name", untrusted(withCertificate(nil, "another.test", "127.0.0.2"))},
		{"certificate not valid yet", untrusted(withCertificate(tomorrow, "127.0.0.1"))},
		{"plain HTTP where TLS was asked for", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				c.Send(whole("plain")) // it reads no TLS
				c.Hang()
			})
			b := newBench(t, strings.Replace(o.URL(), "http://", "https://", 1))
			r, _ := b.miss("k")
			r.failed()
			b.nothing()
			if n := o.Accepts(); n != 1 {
				t.Errorf("the source was connected to %d times, want once", n)
			}
		}},
		{"TLS handshake that never ends", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) { c.Hang() })
			b := newBench(t, strings.Replace(o.URL(), "http://", "https://", 1), func(o *node.Options) { o.Origin.TLSTimeout = 50 * time.Millisecond })
			begin := time.Now()
			r, _ := b.miss("k")
			r.failed()
			within(t, begin, 5*time.Second)
			b.nothing()
		}},
		{"HTTP/2 stream reset in the middle", cutOverH2(func(h *h2, stream uint32) { _ = h.WriteRSTStream(stream, http2.ErrCodeInternal) })},
		{"HTTP/2 stream that ends early", cutOverH2(func(h *h2, stream uint32) { _ = h.WriteData(stream, true, nil) })},
		{"HTTP/2 connection cut in the middle", cutOverH2(func(h *h2, _ uint32) { h.c.Cut() })},
		{"HTTP/2 body longer than its length", func(t *testing.T) {
			ca := cisterntest.NewCA(t)
			o, _ := newH2Origin(t, ca, func(h *h2, _ int32, stream uint32) bool {
				return h.head(stream, false, ":status", "200", "content-length", "4") && h.data(stream, true, "body and more")
			})
			b := newBench(t, o.URL(), trust(ca))
			r, _ := b.miss("k")
			if r.status == 200 && r.err == nil {
				r.ok(200, "body")
			} else {
				r.notSound("body and more")
				b.nothing()
			}
		}},
		{"HTTP/2 without a length", overH2(1, func(h *h2, _ int32, stream uint32) bool {
			return h.head(stream, false, ":status", "200") && h.data(stream, true, small) // its end is a clean one
		}, nil)},
		{"HTTP/2 with two lengths, or one that is none", all(
			failsOverH2(func(h *h2, stream uint32) {
				_ = h.head(stream, false, ":status", "200", "content-length", "4", "content-length", "5") && h.data(stream, true, "body")
			}),
			failsOverH2(func(h *h2, stream uint32) {
				_ = h.head(stream, false, ":status", "200", "content-length", "4x") && h.data(stream, true, "body")
			}),
		)},
		{"HTTP/2 stream refused", overH2(2, func(h *h2, n int32, stream uint32) bool {
			if n == 1 {
				return h.WriteRSTStream(stream, http2.ErrCodeRefusedStream) == nil // nothing was done: it may be sent again
			}
			return h.whole(stream, small)
		}, nil)},
		{"no such name", unresolved(records{rcode: dnsmessage.RCodeNameError})},
		{"name server that fails", unresolved(records{rcode: dnsmessage.RCodeServerFailure})},
		{"name with a good address and a denied one", func(t *testing.T) {
			// The denied one is passed over, whatever the order.
			o := cisterntest.NewOrigin(t, serveAll(whole("body")))
			for _, list := range [][]string{{"169.254.169.254", "127.0.0.1"}, {"127.0.0.1", "169.254.169.254"}} {
				b, _ := named(t, o.Addr().Port(), func(lookup) records { return addrs(list...) })
				r, _ := b.miss("k")
				r.ok(200, "body")
				b.stored("k", "body")
			}
			b, _ := named(t, o.Addr().Port(), func(lookup) records { return addrs("169.254.169.254", "0.0.0.0", "224.0.0.1") })
			r, _ := b.miss("k")
			r.failed()
			b.nothing()
		}},
		{"name that changes to a denied address", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(says(whole("body", "Connection: close"))))
			d := &publicDial{public: netip.MustParseAddr("1.1.1.1"), to: o.Addr()}
			turn := make(chan struct{})
			names := newNameServer(t, func(lookup) records {
				select {
				case <-turn:
					return addrs("169.254.169.254")
				default:
					return addrs("1.1.1.1")
				}
			})
			b := newBench(t, sourceName, func(o *node.Options) { o.Origin.Dial, o.Origin.Resolver = d.dial, names.resolver() })
			r, _ := b.miss("one")
			r.ok(200, "body")
			close(turn)
			r, _ = b.miss("two")
			r.failed()
			b.sees(o, 1)
			if dialed := d.list(); len(dialed) != 1 {
				t.Errorf("%v were dialled, want the public address alone", dialed)
			}
		}},
		{"a source that always fails is left alone", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) { c.Reset() }))
			b := newBench(t, o.URL(), func(o *node.Options) { o.Fill.BreakerFailures, o.Fill.BreakerPause, o.Fill.Retries = 3, time.Hour, -1 })
			for i := range 6 {
				r, _ := b.miss(fmt.Sprintf("key%d", i))
				r.failed()
				if i >= 3 && r.header.Get("Retry-After") == "" {
					t.Errorf("request %d is not told when to come back", i+1)
				}
			}
			b.sees(o, 3)
		}},
		{"reader that leaves before the answer", func(t *testing.T) {
			gate := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				if c.Wait(gate) {
					c.Send(whole("body"))
				}
			}))
			b := newBench(t, o.URL())
			ctx, leave := context.WithCancel(t.Context())
			wait := b.crowd(ctx, 1, same)
			b.until("the flight to begin", func() bool { return len(o.Requests()) == 1 })
			leave()
			wait()
			gate.Release()
			if report := b.landed(); report.Outcome != fill.Stored {
				t.Errorf("the fill's outcome is %s (%v), want %s: it is the server's, not the reader's", report.Outcome, report.Err, fill.Stored)
			}
			b.stored("k", "body")
			b.sees(o, 1)
		}},
	}
}
