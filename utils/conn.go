// Package utils holds what QingStor's SDK has beside its packages with a job of their own.
//
// It is there for programs that import it already: connections whose single reads or writes are bounded, how keys stand in paths, whether user
// metadata keeps to the API's rules. The SDK's own client uses the connections.
package utils

import (
	"context"
	"errors"
	"net"
	"time"
)

// Dialer makes connections whose single reads and writes are bounded.
type Dialer struct {
	*net.Dialer
	// ReadTimeout is how long a connection that something is read from may stand still. 0 means no limit.
	ReadTimeout time.Duration
	// WriteTimeout bounds a single write. 0 means no limit.
	WriteTimeout time.Duration
}

// NewDialer returns a dialer whose connections are made within connTimeout. 0 means no limit, for each of the three.
func NewDialer(connTimeout, readTimeout, writeTimeout time.Duration) *Dialer {
	return &Dialer{Dialer: &net.Dialer{Timeout: connTimeout}, ReadTimeout: readTimeout, WriteTimeout: writeTimeout}
}

// Dial connects to addr, as net.Dialer does.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext connects to addr within ctx, as net.Dialer does.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &Conn{netConn: c, read: d.ReadTimeout, write: d.WriteTimeout}, nil
}

type netConn net.Conn

// Conn moves its deadlines with every read and write.
type Conn struct {
	netConn
	read, write time.Duration // 0 means no limit
}

// NewConn returns c with no limits yet, or c itself if it is a *Conn.
func NewConn(c netConn) *Conn {
	if conn, ok := c.(*Conn); ok {
		return conn
	}
	return &Conn{netConn: c}
}

// SetReadTimeout sets how long the connection may stand still while something is read from it. 0 means no limit.
// It must not be called beside Read or Write.
func (c *Conn) SetReadTimeout(d time.Duration) { c.read = d }

// SetWriteTimeout bounds each single write. 0 means no limit. It must not be called beside Write.
func (c *Conn) SetWriteTimeout(d time.Duration) { c.write = d }

// Read reads; where nothing comes within the read timeout it fails with an error that matches os.ErrDeadlineExceeded.
func (c Conn) Read(buf []byte) (n int, err error) {
	if c.read > 0 {
		if err := c.SetReadDeadline(time.Now().Add(c.read)); err != nil {
			return 0, err
		}
	}
	return c.netConn.Read(buf)
}

// Write writes, and moves the read deadline, too. The transport waits for the answer from the moment it begins to send, so that otherwise
// every upload that takes longer than the read timeout would be cut off, however well it goes on.
func (c Conn) Write(buf []byte) (n int, err error) {
	if c.write > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.write)); err != nil {
			return 0, err
		}
	}
	n, err = c.netConn.Write(buf)
	if c.read > 0 && err == nil {
		err = c.SetReadDeadline(time.Now().Add(c.read))
	}
	return n, err
}

// Close closes the connection.
func (c Conn) Close() (err error) { return c.netConn.Close() }

// IsTimeoutError reports whether err, or what it wraps, is a network error that says so of itself.
func IsTimeoutError(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
