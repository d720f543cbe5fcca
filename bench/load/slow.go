package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Slowly reads q in pieces of n bytes with a pause after each, checks them, and adds them to got. It ends with the object, with an error,
// or with ctx. The kernel buffers little for it, so that the server feels how slow it is.
func Slowly(ctx context.Context, addr string, q Request, n int, pause time.Duration, got *atomic.Int64) error {
	c, err := Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if tcp, ok := c.c.(*net.TCPConn); ok {
		if err := tcp.SetReadBuffer(n); err != nil {
			return err
		}
	}
	c.Grow(n)
	resp, err := c.ask(q.Head(addr), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &StatusError{resp.StatusCode}
	}
	for off := int64(0); ; {
		k, err := io.ReadFull(resp.Body, c.buf[:min(int64(n), max(1, q.Object.Size-off))])
		if err := q.Object.Check(c.buf[:k], off); err != nil {
			return err
		}
		off += int64(k)
		got.Add(int64(k))
		if off == q.Object.Size {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// StatusError is an answer that was not 200.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return "status " + http.StatusText(e.Status) }
