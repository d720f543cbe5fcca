package node_test

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

// onEngine puts an engine that fails in the place of the disk.
func onEngine(e *cisterntest.FaultyEngine) cisterntest.Option {
	e.Engine = memstore.New()
	return cisterntest.With(func(o *node.Options) { o.Engine = e })
}

func md5Tag(body string) string {
	sum := md5.Sum([]byte(body))
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// endless yields bytes for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// serveAll is a script that gives the same answer to every request, on connections that stay.
func serveAll(s string) func(*cisterntest.Conn) {
	return func(c *cisterntest.Conn) {
		for {
			if _, ok := c.ReadHead(); !ok || !c.Send(s) {
				return
			}
		}
	}
}

func lengthFaults() []fault {
	return []fault{
		{"LN01 exact length", func(t *testing.T) {
			body := text(100_000)
			o := cisterntest.NewOrigin(t, serveAll(whole(body)))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.ok(200, body)
			r.has("Content-Length", "100000")
			b.stored("k", body).has("Etag", md5Tag(body)) // the source gave none
			b.sees(o, 1)
		}},
		{"LN02 empty object", serves(1, "", serveAll(whole("")), func(r reply) { r.has("Content-Length", "0") })},
		{"LN07 one byte too many", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				for {
					r, ok := c.ReadHead()
					if !ok || !c.Send(whole("body of "+r.Target)+"!") {
						return
					}
				}
			})
			b := newBench(t, o.URL())
			for _, key := range []string{"one", "two", "six"} {
				r, _ := b.miss(key)
				r.ok(200, "body of /"+key)
				b.stored(key, "body of /"+key)
			}
			b.sees(o, 3)
			for i, r := range o.Requests() {
				if r.Conn != i+1 {
					t.Errorf("request %d came over connection %d, want one of its own: the one before carried a byte too many", i+1, r.Conn)
				}
			}
		}},
		{"LN09 no length, close-delimited, reset", fails(1, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
			c.Send(answer("200 OK") + text(1000))
			c.Reset()
		}))},
		{"LN10 HTTP/1.0 without length", fails(1, steps(says("HTTP/1.0 200 OK\r\n\r\nbody")))},
		{"LN14 negative / signed / junk length", failsAll(
			answer("200 OK", "Content-Length: -5")+"hello",
			answer("200 OK", "Content-Length: +5")+"hello",
			answer("200 OK", "Content-Length: 5x")+"hello",
			answer("200 OK", "Content-Length: 0x5")+"hello",
		)},
		{"LN16 length over the object limit", func(t *testing.T) {
			const limit = 1 << 20
			ended := make(chan struct{})
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				defer close(ended)
				c.Head(200, fmt.Sprintf("Content-Length: %d", limit+1))
				c.SendFrom(endless{})
			}))
			b := newBench(t, o.URL(), func(o *node.Options) { o.Fill.MaxSize = limit })
			r, report := b.miss("k")
			r.failed()
			b.nothing()
			b.sees(o, 1)
			<-ended // the connection was closed, or the body would go on for ever
			if report.Bytes != 0 {
				t.Errorf("%d bytes of the body were read, want 0", report.Bytes)
			}
		}},
		{"LN17 length over free disk", func(t *testing.T) {
			// The disk says so when the spool is made, or when it is written.
			body := text(300_000)
			full := func(size int64) error {
				if size > 100_000 {
					return syscall.ENOSPC
				}
				return nil
			}
			for name, e := range map[string]*cisterntest.FaultyEngine{
				"at the beginning": {OnSpool: full},
				"on the way":       {OnWrite: func(off int64, n int) error { return full(off + int64(n)) }},
			} {
				o := cisterntest.NewOrigin(t, serveAll(whole(body)))
				b := startBench(t, o.URL(), []cisterntest.Option{onEngine(e)})
				r, report := b.miss("k")
				r.ok(200, body)
				b.nothing()
				b.sees(o, 1)
				if n := b.s.Node.Filler().Stats().Unstored; n != 1 || report.Outcome != fill.Unstored {
					t.Errorf("full %s: %d fills count as unstored, and this one as %s; want 1, %s", name, n, report.Outcome, fill.Unstored)
				}
			}
		}},
		{"LN18 space before the colon", fails(1, steps(says(answer("200 OK", "Content-Length : 5")+"hello")))},
	}
}

func chunkedFaults() []fault {
	return []fault{
		{"CK01 chunked, complete", func(t *testing.T) {
			body := text(100_000)
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Head(200, "Transfer-Encoding: chunked")
				for rest := body; rest != ""; {
					n := min(len(rest), 7777)
					c.Chunk(rest[:n])
					rest = rest[n:]
				}
				c.LastChunk()
			}))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.ok(200, body)
			b.stored("k", body)
			b.sees(o, 1)
		}},
		{"CK03 chunked, bad chunk size", func(t *testing.T) {
			chunked := answer("200 OK", "Transfer-Encoding: chunked")
			failsAll(chunked+"zz\r\nhello\r\n0\r\n\r\n", chunked+"-5\r\nhello\r\n0\r\n\r\n", chunked+"\r\nhello\r\n0\r\n\r\n")(t)

			// After a good chunk went out, the client's connection is cut.
			gate := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Send(chunked)
				c.Chunk("hello")
				if c.Wait(gate) {
					c.Send("zz\r\nhello\r\n0\r\n\r\n")
				}
			}))
			b := newBench(t, o.URL())
			resp := b.open("GET", "k")
			gate.Release()
			b.rest(resp).cut("hello hello")
			b.landed()
			b.nothing()
			b.sees(o, 1)
		}},
		{"CK04 chunked + Content-Length", failsAll(
			answer("200 OK", "Transfer-Encoding: chunked", "Content-Length: 5")+"5\r\nhello\r\n0\r\n\r\n",
			answer("200 OK", "Content-Length: 20", "Transfer-Encoding: chunked")+"5\r\nhello\r\n0\r\n\r\n",
		)},
		{"CK06 many tiny chunks with extensions", func(t *testing.T) {
			chunk := "1;x=" + strings.Repeat("y", 2048) + "\r\nz\r\n"
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				for sent := c.Head(200, "Transfer-Encoding: chunked"); sent; sent = c.Send(chunk) {
				}
			}))
			b := newBench(t, o.URL())
			r, report := b.miss("k")
			r.notSound(strings.Repeat("z", 1<<20))
			b.nothing()
			b.sees(o, 1)
			if report.Bytes > 1000 {
				t.Errorf("%d bytes were taken, each with 2 KB around it; want it given up soon", report.Bytes)
			}
		}},
		{"CK09 TE gzip, chunked", failsAll(
			answer("200 OK", "Transfer-Encoding: gzip, chunked")+"5\r\nhello\r\n0\r\n\r\n",
			answer("200 OK", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked")+"5\r\nhello\r\n0\r\n\r\n",
		)},
		{"CK11 endless chunked body", func(t *testing.T) {
			const limit = 1 << 20
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				for sent := c.Head(200, "Transfer-Encoding: chunked"); sent; sent = c.Chunk(strings.Repeat("x", 10_000)) {
				}
			}))
			b := newBench(t, o.URL(), func(o *node.Options) { o.Fill.MaxUnsized = limit })
			r, report := b.miss("k")
			r.notSound(strings.Repeat("x", limit+1)) // it may fail before the client has its first byte
			b.nothing()
			b.sees(o, 1)
			if report.Bytes > limit+1<<20 {
				t.Errorf("%d bytes were taken, want little more than the limit of %d", report.Bytes, limit)
			}
		}},
	}
}

func codingFaults() []fault {
	return []fault{
		{"CE02 br / zstd / deflate", func(t *testing.T) {
			for _, coding := range []string{"br", "zstd", "deflate"} {
				body := text(3000)
				serves(1, body, serveAll(whole(body, "Content-Encoding: "+coding)), func(r reply) { r.has("Content-Encoding", coding) })(t)
			}
		}},
		{"CE03 double coding", func(t *testing.T) {
			body := zip(t, zip(t, text(3000)))
			serves(1, body, serveAll(whole(body, "Content-Encoding: gzip, gzip")), func(r reply) { r.has("Content-Encoding", "gzip, gzip") })(t)
		}},
		{"CE04 gzip bomb", func(t *testing.T) {
			// Many members of 16 MiB of zeros each: 10 MB that would be 10 GB.
			var member bytes.Buffer
			z, err := gzip.NewWriterLevel(&member, gzip.BestSpeed)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(z, zeros{}, 16<<20); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			bomb := strings.Repeat(member.String(), 10_000_000/member.Len())
			if decoded := len(bomb) / member.Len() * 16; decoded < 1000 {
				t.Fatalf("the bomb has %d bytes and would be %d MiB, want it to be worth its name", len(bomb), decoded)
			}
			o := cisterntest.NewOrigin(t, serveAll(whole(bomb, "Content-Encoding: gzip")))
			b := newBench(t, o.URL())
			r, report := b.miss("k")
			r.ok(200, bomb)
			r.has("Content-Encoding", "gzip")
			b.stored("k", bomb).has("Content-Encoding", "gzip")
			if report.Size != int64(len(bomb)) {
				t.Errorf("the fill counts %d bytes, want the %d that were sent", report.Size, len(bomb))
			}
			for _, r := range o.Requests() {
				if got := r.Header.Values("Accept-Encoding"); len(got) != 1 || got[0] != "identity" {
					t.Errorf("the source was told Accept-Encoding: %q, want identity", got)
				}
			}
		}},
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// zip is s with the coding gzip.
func zip(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
