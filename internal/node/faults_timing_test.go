package node_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/service"
)

// within checks that something took no longer than it may. The margin is wide: other tests run beside it.
func within(t *testing.T, begin time.Time, limit time.Duration) {
	t.Helper()
	if took := time.Since(begin); took > limit {
		t.Errorf("it took %v, want at most %v", took, limit)
	}
}

// blackHole connects to nobody, and never says so.
type blackHole struct{ dials atomic.Int32 }

func (h *blackHole) dial(ctx context.Context, _ string, _ netip.AddrPort) (net.Conn, error) {
	h.dials.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// halfThen is a step that sends a head and the first half of body, and then does what then says.
func halfThen(body string, then func(c *cisterntest.Conn), header ...string) step {
	return func(c *cisterntest.Conn, _ cisterntest.Request) {
		c.Head(200, append(header, fmt.Sprintf("Content-Length: %d", len(body)))...)
		if c.Send(body[:len(body)/2]) {
			then(c)
		}
	}
}

func timingFaults() []fault {
	return []fault{
		{"TI01 connect black hole", func(t *testing.T) {
			var hole blackHole
			b := newBench(t, "http://127.0.0.1:8081/", func(o *node.Options) { o.Origin.Dial, o.Origin.ConnectTimeout = hole.dial, 50*time.Millisecond })
			begin := time.Now()
			r, _ := b.miss("k")
			r.failed()
			within(t, begin, 5*time.Second)
			b.nothing()
			if n := hole.dials.Load(); n != 3 {
				t.Errorf("%d dials, want one and two retries", n)
			}
		}},
		{"TI03 dripped headers", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Throttle(100)
				c.Send(whole("body", "X-A: "+strings.Repeat("a", 10_000)))
			}))
			b := newBench(t, o.URL(), func(o *node.Options) { o.Origin.FirstByteTimeout = 200 * time.Millisecond })
			begin := time.Now()
			r, _ := b.miss("k")
			r.failed()
			within(t, begin, 5*time.Second)
			b.nothing()
			b.sees(o, 1) // waiting for it as long again would not make it faster
		}},
		{"TI06 slow but fair", func(t *testing.T) {
			// Far above the least rate, and longer under way than any of the limits on silence.
			body := text(64 << 10)
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Throttle(64 << 10)
				c.Send(whole(body))
			}))
			b := newBench(t, o.URL(), func(o *node.Options) {
				o.Origin.FirstByteTimeout, o.Origin.IdleTimeout = 900*time.Millisecond, 900*time.Millisecond
				o.Origin.MinRate, o.Origin.MinRateWindow = 512, 200*time.Millisecond
			})
			r, report := b.miss("k")
			r.ok(200, body)
			b.stored("k", body)
			b.sees(o, 1)
			if report.Duration < 900*time.Millisecond {
				t.Errorf("it took %v, want it slower than any silence may be", report.Duration)
			}
		}},
		{"TI09 slow client, fast origin", func(t *testing.T) {
			// More than the sockets between take, so that a flight at the client's speed could not land.
			const size = 48 << 20
			site := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"k": size}})
			b := newBench(t, site.URL())
			resp := b.open("GET", "k")
			defer resp.Body.Close()
			first := make([]byte, 1)
			if _, err := io.ReadFull(resp.Body, first); err != nil {
				t.Fatal(err)
			}
			if report := b.landed(); report.Outcome != fill.Stored {
				t.Fatalf("the fill's outcome is %s (%v) while its client waits, want %s", report.Outcome, report.Err, fill.Stored)
			}
			if err := cisterntest.NewContent("k", size).Check(resp.Body, 1, size-1); err != nil {
				t.Errorf("the slow client: %v", err)
			}
			if keys := b.listed(); len(keys) != 1 {
				t.Errorf("the list names %q, want k", keys)
			}
		}},
		{"TI11 client goes away, origin stalls", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, steps(halfThen(long, (*cisterntest.Conn).Hang)))
			b := newBench(t, o.URL(), func(o *node.Options) { o.Origin.IdleTimeout = 300 * time.Millisecond })
			resp := b.open("GET", "k")
			_ = resp.Body.Close()
			if report := b.landed(); report.Outcome != fill.Failed {
				t.Errorf("the fill's outcome is %s (%v), want %s", report.Outcome, report.Err, fill.Failed)
			}
			b.nothing()
			b.sees(o, 1)
		}},
		{"TI12 server shutdown mid-fetch", func(t *testing.T) {
			for _, ends := range []bool{true, false} {
				dir, gate := t.TempDir(), cisterntest.NewGate()
				o := cisterntest.NewOrigin(t, steps(halfThen(long, func(c *cisterntest.Conn) {
					if c.Wait(gate) {
						c.Send(long[100_000:])
					}
				}), says(whole(long))))
				b := startBench(t, o.URL(), []cisterntest.Option{cisterntest.OnDisk(dir)})
				resp := b.open("GET", "k")
				grace := 10 * time.Millisecond
				if ends {
					grace = patience
				}
				var stopped sync.WaitGroup
				stopped.Go(func() { b.s.Stop(grace) })
				if ends {
					b.until("the listener to be closed", func() bool {
						c, err := net.Dial("tcp", strings.TrimPrefix(b.s.URL, "http://"))
						if err == nil {
							_ = c.Close()
						}
						return err != nil
					})
					gate.Release()
					b.rest(resp).ok(200, long)
				} else {
					b.rest(resp).cut(long)
				}
				stopped.Wait()
				again := startBench(t, o.URL(), []cisterntest.Option{cisterntest.OnDisk(dir)})
				if ends {
					again.stored("k", long)
					again.sees(o, 1)
				} else {
					again.nothing()
					wantNoFiles(t, dir)
					r, _ := again.miss("k")
					r.ok(200, long)
					again.sees(o, 2)
				}
				again.s.Stop(patience)
			}
		}},
		{"TI13 kill -9 mid-fetch", func(t *testing.T) {
			dir := t.TempDir()
			// Without a validator nothing of the first try can be of use to the second.
			o := cisterntest.NewOrigin(t, steps(halfThen(long, (*cisterntest.Conn).Hang), says(whole(long))))
			child := startChild(t, "serve", dir, o.URL())
			at := child.line(t)
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get(at + "k")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 100_000)); err != nil {
				t.Fatalf("the first half: %v", err)
			}
			child.kill(t)
			if n, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Errorf("after the kill came %d bytes and a clean end, want a cut connection", n)
			}
			if left := bodies(t, dir); len(left) != 1 {
				t.Errorf("the kill left the bodies %q, want the one that was being written", left)
			}
			b := startBench(t, o.URL(), []cisterntest.Option{cisterntest.OnDisk(dir)})
			b.nothing()
			wantNoFiles(t, dir)
			r, _ := b.miss("k")
			r.ok(200, long)
			b.stored("k", long)
			b.sees(o, 2)
		}},
	}
}

// bodies are the files in a data directory that hold bodies, whole or not.
func bodies(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join(dir, "bodies"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantNoFiles checks that no body is left in a data directory.
func wantNoFiles(t *testing.T, dir string) {
	t.Helper()
	if left := bodies(t, dir); len(left) != 0 {
		t.Errorf("the bodies %q are left, want none", left)
	}
}

func connectionFaults() []fault {
	return []fault{
		{"CO03 stale keep-alive", func(t *testing.T) {
			// The first connection takes a second request and ends instead of answering it, as one does that has just timed out.
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				for {
					r, ok := c.ReadHead()
					if !ok || c.N == 1 && r.Target == "/two" {
						return
					}
					c.Send(whole("body of " + r.Target))
				}
			})
			b := newBench(t, o.URL())
			for _, key := range []string{"one", "two"} {
				r, _ := b.miss(key)
				r.ok(200, "body of /"+key)
				b.stored(key, "body of /"+key)
			}
			b.sees(o, 3)
		}},
		{"CO05 garbage instead of HTTP", failsAll(
			"\x16\x03\x01\x00\x05hello", "\x15\x03\x01\x00\x02\x02\x50", "<html>HTTP/0.9</html>\n", "\n", "\x00\x00\x00\x00", "SSH-2.0-OpenSSH_9.2\r\n", "220 ftp ready\r\n",
		)},
		{"CO07 HTTP/2.0 in an HTTP/1 status line", func(t *testing.T) {
			for _, text := range []string{
				"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", "HTTP/3.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
				"HTTP/2.0 200 OK\r\n\r\nnothing says where this ends", "HTTP/2.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
			} {
				o := cisterntest.NewOrigin(t, steps(says(text)))
				b := newBench(t, o.URL())
				if r, _ := b.miss("k"); r.status == 200 && strings.Contains(text, "Content-Length") {
					r.ok(200, "body")
					b.stored("k", "body")
				} else {
					r.failed()
					b.nothing()
				}
				b.sees(o, 1)
			}
		}},
		{"CO08 bytes after the response", func(t *testing.T) {
			// The poison waits on the connection before the next request is made, or comes together with it.
			for _, late := range []bool{false, true} {
				poison := whole("poison")
				o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
					for {
						r, ok := c.ReadHead()
						if !ok {
							return
						}
						good := whole("body of " + r.Target)
						if late {
							c.Send(good)
							c.Send(poison)
						} else {
							c.Send(good + poison)
						}
					}
				})
				b := newBench(t, o.URL())
				for i := range 10 {
					key := fmt.Sprintf("key%d", i)
					r, _ := b.miss(key)
					r.ok(200, "body of /"+key)
					b.stored(key, "body of /"+key)
				}
			}
		}},
	}
}

// outcome is what one of a crowd got.
type outcome struct {
	status     int
	retryAfter string
	body       string
	err        error // of the connection or the body
}

// crowd sends n GETs at once, one for each key.
func (b *bench) crowd(ctx context.Context, n int, key func(i int) string) func() []outcome {
	got := make([]outcome, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			resp, err := b.try(ctx, "GET", key(i))
			if err != nil {
				got[i].err = err
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			got[i] = outcome{resp.StatusCode, resp.Header.Get("Retry-After"), string(body), err}
		})
	}
	return func() []outcome {
		wg.Wait()
		return got
	}
}

func same(int) string { return "k" }

// joined waits until n requests wait for flights that others began.
func (b *bench) joined(n int64) {
	b.Helper()
	b.until(fmt.Sprintf("%d requests to join", n), func() bool { return b.s.Node.Filler().Stats().Coalesced == n })
}

func concurrencyFaults() []fault {
	return []fault{
		{"CC01 100 GETs of one missing key", func(t *testing.T) {
			gate := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				if c.Wait(gate) {
					c.Send(whole(long))
				}
			}))
			b := newBench(t, o.URL())
			wait := b.crowd(t.Context(), 100, same)
			b.joined(99)
			gate.Release()
			for i, got := range wait() {
				if got.err != nil || got.status != 200 || got.body != long {
					t.Errorf("client %d got %d and %d bytes, %v; want all %d", i, got.status, len(got.body), got.err, len(long))
				}
			}
			b.landed()
			b.stored("k", long)
			b.sees(o, 1)
		}},
		{"CC02 100 GETs, origin fails", func(t *testing.T) {
			for _, header := range [][]string{nil, {`ETag: "v1"`}} { // with a validator the rest is asked for, in vain
				gate := cisterntest.NewGate()
				o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, r cisterntest.Request) {
					if c.Wait(gate) {
						halfThen(long, (*cisterntest.Conn).Reset, header...)(c, r)
					}
				}, func(c *cisterntest.Conn, _ cisterntest.Request) { c.Reset() }))
				b := newBench(t, o.URL())
				wait := b.crowd(t.Context(), 100, same)
				b.joined(99)
				gate.Release()
				for i, got := range wait() {
					if got.status == 200 && got.err == nil || got.status != 200 && got.status != 503 {
						t.Errorf("client %d got %d and %d bytes and a clean end, want an error or a cut connection", i, got.status, len(got.body))
					}
				}
				b.landed()
				b.nothing()
				b.sees(o, 1+2*len(header))
			}
		}},
		{"CC04 leader goes away", func(t *testing.T) {
			gate := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, r cisterntest.Request) {
				if c.Wait(gate) {
					c.Send(whole(long))
				}
			}))
			b := newBench(t, o.URL())
			ctx, leave := context.WithCancel(t.Context())
			leader := b.crowd(ctx, 1, same)
			b.until("the flight to begin", func() bool { return len(o.Requests()) == 1 })
			others := b.crowd(t.Context(), 99, same)
			b.joined(99)
			leave()
			if got := leader()[0]; got.err == nil {
				t.Errorf("the leader got %d, want it gone", got.status)
			}
			b.until("the server to notice", func() bool {
				flights := b.s.Node.Filler().Flights()
				return len(flights) == 1 && flights[0].Readers == 99
			})
			gate.Release()
			for i, got := range others() {
				if got.err != nil || got.status != 200 || got.body != long {
					t.Errorf("client %d got %d and %d bytes, %v; want all %d", i, got.status, len(got.body), got.err, len(long))
				}
			}
			b.landed()
			b.stored("k", long)
			b.sees(o, 1)
		}},
		{"CC07 PUT ?mirror during a fetch", func(t *testing.T) {
			was, is := text(200_000), strings.Repeat("new source ", 20_000)
			gate := cisterntest.NewGate()
			before := cisterntest.NewOrigin(t, steps(halfThen(was, func(c *cisterntest.Conn) {
				if c.Wait(gate) {
					c.Send(was[100_000:])
				}
			})))
			after := cisterntest.NewOrigin(t, serveAll(whole(is)))
			b := newBench(t, before.URL())
			resp := b.open("GET", "k")
			site := after.URL() + "/"
			if _, err := b.s.Bucket("demo").PutExternalMirror(&service.PutBucketExternalMirrorInput{SourceSite: &site}); err != nil {
				t.Fatal(err)
			}
			now := b.send("GET", "k") // while the old flight is in the air
			now.ok(200, is)
			if report := b.landed(); report.Outcome != fill.Stored {
				t.Errorf("the new source's fill: %s (%v), want %s", report.Outcome, report.Err, fill.Stored)
			}
			gate.Release()
			b.rest(resp).ok(200, was)
			if report := b.landed(); report.Err == nil {
				t.Errorf("the old source's fill is %s, want it not to be", report.Outcome)
			}
			b.stored("k", is)
			b.sees(before, 1)
			b.sees(after, 1)
		}},
		{"CC10 1000 different missing keys", func(t *testing.T) {
			const keys, limit = 1000, 32
			var now, most atomic.Int32
			full := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				for {
					r, ok := c.ReadHead()
					if !ok {
						return
					}
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					if n == limit {
						full.Release()
					}
					c.Wait(full) // so many at once there must be
					now.Add(-1)
					if !c.Send(whole("body of " + r.Target)) {
						return
					}
				}
			})
			key := func(i int) string { return fmt.Sprintf("key%d", i) }
			b := newBench(t, o.URL(), func(o *node.Options) { o.Fill.MaxConnsPerSource = limit })
			for i, got := range b.crowd(t.Context(), keys, key)() {
				if got.err != nil || got.status != 200 || got.body != "body of /"+key(i) {
					t.Errorf("client %d got %d %q, %v; want its object", i, got.status, got.body, got.err)
				}
			}
			for range keys {
				b.landed()
			}
			b.sees(o, keys)
			if n := most.Load(); n != limit {
				t.Errorf("the source had %d requests at once, want no more than %d, and so many", n, limit)
			}

			// With a short queue the others are told to come back: 429 fetch_throttled, as the design has it, not 503.
			gate := cisterntest.NewGate()
			o = cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
				for {
					if _, ok := c.ReadHead(); !ok || !c.Wait(gate) || !c.Send(whole("body")) {
						return
					}
				}
			})
			b = newBench(t, o.URL(), func(o *node.Options) { o.Fill.MaxConnsPerSource, o.Fill.MaxQueue = 2, 10 })
			wait := b.crowd(t.Context(), 100, key)
			b.until("the others to be refused", func() bool { return b.s.Node.Filler().Stats().Throttled == 88 })
			gate.Release()
			served := 0
			for i, got := range wait() {
				switch {
				case got.status == 200 && got.err == nil && got.body == "body":
					served++
				case got.status != 429 || got.retryAfter == "" || !strings.Contains(got.body, "fetch_throttled"):
					t.Errorf("client %d got %d %q, Retry-After %q, %v; want its object, or fetch_throttled and when to come back", i, got.status, got.body, got.retryAfter, got.err)
				}
			}
			if served != 12 {
				t.Errorf("%d clients got their objects, want the 2 at the source and the 10 in the queue", served)
			}
			b.sees(o, 12)
		}},
	}
}
