// Package load is the client's side: it asks, checks every byte of what it gets, or says how long that took.
//
// It is as cheap as it can be, since it shares the machine with what it measures: connections are plain ones, requests are bytes that were
// made ready before, and nothing of a body is kept.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/cisternhq/cistern/bench/content"
)

// Conn is a connection that is used by one goroutine at a time.
type Conn struct {
	ctx   context.Context // that of its life, which is one workload
	addr  string
	c     net.Conn
	r     *bufio.Reader
	buf   []byte
	stop  func() bool
	ended bool // the server said that it takes no further request
}

// Dial connects to addr. The connection is cut when ctx ends, so that nothing hangs for longer than its workload may.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	c := &Conn{ctx: ctx, addr: addr, buf: make([]byte, 64<<10)}
	if err := c.dial(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Conn) dial() error {
	var d net.Dialer
	conn, err := d.DialContext(c.ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.c, c.r, c.ended = conn, bufio.NewReaderSize(conn, 4<<10), false
	c.stop = context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	return nil
}

// ask sends a request and returns the head of the answer. Where the server ended the connection politely after the last one, it connects
// again, as every client would.
func (c *Conn) ask(head, body []byte) (*http.Response, error) {
	if c.ended {
		c.Close()
		if err := c.dial(); err != nil {
			return nil, err
		}
	}
	bufs := net.Buffers{head, body}
	if len(body) == 0 {
		bufs = bufs[:1]
	}
	if _, err := bufs.WriteTo(c.c); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	c.ended = resp.Close
	return resp, nil
}

// Grow makes the buffer n bytes long; it is 64 KiB to begin with.
func (c *Conn) Grow(n int) { c.buf = make([]byte, n) }

// Close ends the connection.
func (c *Conn) Close() {
	c.stop()
	_ = c.c.Close() // nothing is waiting to be written
}

// Request is a GET of an object, or of a part of it.
type Request struct {
	// Path is what is asked for, with the query if there is one.
	Path string
	// Object is what has to come.
	Object content.Object
	// From and To say which bytes; both 0 means all.
	From, To int64
	// Header is added to the head, each line with its end.
	Header string
	// Pause is how long to wait after each read of a body, to play a slow reader; 0 means not at all.
	Pause time.Duration
}

// Got is a good answer.
type Got struct {
	// First is the time from sending the request to the first byte of the body, Last to its last.
	First, Last time.Duration
	// Bytes is the body's length.
	Bytes int64
	// Header is that of the answer.
	Header http.Header
}

// Head returns the bytes of a request without a body.
func (q Request) Head(host string) []byte {
	b := make([]byte, 0, 256)
	b = append(b, "GET "...)
	b = append(b, q.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	if q.To > 0 {
		b = append(b, "Range: bytes="...)
		b = strconv.AppendInt(b, q.From, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, q.To-1, 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, q.Header...)
	return append(b, "\r\n"...)
}

// Get sends q and checks the whole answer. After an error the connection is of no use.
func (c *Conn) Get(q Request) (Got, error) {
	got, err := c.get(q)
	if err != nil {
		return got, fmt.Errorf("GET %s: %w", q.Path, err)
	}
	return got, nil
}

func (c *Conn) get(q Request) (got Got, err error) {
	head := q.Head(c.addr)
	begin := time.Now()
	resp, err := c.ask(head, nil)
	if err != nil {
		return got, err
	}
	from, to, want := int64(0), q.Object.Size, http.StatusOK
	if q.To > 0 {
		from, to, want = q.From, q.To, http.StatusPartialContent
	}
	if resp.StatusCode != want {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return got, fmt.Errorf("status %d, want %d: %.300s", resp.StatusCode, want, text)
	}
	got.Header = resp.Header
	off := from
	for {
		n, err := resp.Body.Read(c.buf)
		if n > 0 {
			if off == from {
				got.First = time.Since(begin)
			}
			if err := q.Object.Check(c.buf[:n], off); err != nil {
				return got, err
			}
			off += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return got, fmt.Errorf("after %d of %d bytes: %w", off-from, to-from, err)
		}
		if q.Pause > 0 {
			time.Sleep(q.Pause)
		}
	}
	got.Last = time.Since(begin)
	got.Bytes = off - from
	if off != to {
		return got, fmt.Errorf("%d bytes, want %d", off-from, to-from)
	}
	return got, nil
}

// Send writes a head, made ready before, and a body, and returns the status of the answer, whose body it drops.
func (c *Conn) Send(head, body []byte) (int, error) {
	resp, err := c.ask(head, body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return resp.StatusCode, fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// Text sends a head and returns the whole body of the answer, which must be a good one.
func (c *Conn) Text(head []byte) ([]byte, error) {
	resp, err := c.ask(head, nil)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("status %d: %.500s", resp.StatusCode, text)
	}
	return text, err
}

// One connects, gets q with a buffer that suits its size, and leaves.
func One(ctx context.Context, addr string, q Request) (Got, error) {
	c, err := Dial(ctx, addr)
	if err != nil {
		return Got{}, err
	}
	defer c.Close()
	if q.Object.Size >= 1<<20 {
		c.Grow(content.MaxSlice)
	}
	return c.Get(q)
}

// ErrNothing is a workload in which nothing happened.
var ErrNothing = errors.New("nothing was measured")
