package origin

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
)

var errAmbiguous = errors.New("ambiguous response framing")

// strictConn reads along on an HTTP/1 connection and refuses responses whose length could be read in two ways. net/http takes the
// likelier reading and hides the other: with both Transfer-Encoding and Content-Length it drops the length, and a field name with a
// blank before the colon is no field at all to it. Two readers of such a response may see different bodies, so it is
// no object. It also refuses to send a request over a connection that brought more bytes than its last response had: they would
// be taken for the next key's response.
type strictConn struct {
	net.Conn

	mu     sync.Mutex // guards all below: net/http reads and writes from two goroutines
	inHead bool
	line   []byte // the head's current line so far
	first  bool   // the line is the status line
	status string
	names  map[string]bool
	length int64 // of the body as the head says, -1 if it does not
	got    int64 // bytes behind the head
}

func (c *strictConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	surplus := !c.inHead && c.names != nil && c.length >= 0 && c.got > c.length
	if !c.inHead { // a new request: what comes next is a head
		c.inHead, c.first, c.line = true, true, c.line[:0]
		c.names = make(map[string]bool)
	}
	c.mu.Unlock()
	if surplus {
		c.Conn.Close()
		return 0, errors.New("connection carries surplus bytes")
	}
	return c.Conn.Write(p)
}

func (c *strictConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if bad := c.look(p[:n]); bad != nil {
			c.Conn.Close()
			return 0, bad
		}
	}
	return n, err
}

// look follows the bytes of one read.
func (c *strictConn) look(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.inHead && len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.line = append(c.line, p...) // net/http ends a head that is too long
			return nil
		}
		line := string(bytes.TrimSuffix(append(c.line, p[:i]...), []byte("\r")))
		c.line, p = c.line[:0], p[i+1:]
		if err := c.headLine(line); err != nil {
			return err
		}
	}
	c.got += int64(len(p))
	return nil
}

func (c *strictConn) headLine(line string) error {
	if c.first {
		c.first, c.length, c.got = false, -1, 0
		_, c.status, _ = strings.Cut(line, " ")
		return nil
	}
	if line == "" {
		if strings.HasPrefix(c.status, "1") && !strings.HasPrefix(c.status, "101") {
			c.first = true // an interim response: another head follows
			clear(c.names)
			return nil
		}
		c.inHead = false
		if c.names["transfer-encoding"] && c.names["content-length"] {
			return errAmbiguous
		}
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		return nil // a folded line
	}
	name, value, _ := strings.Cut(line, ":")
	if strings.ContainsAny(name, " \t") {
		return errAmbiguous
	}
	name = strings.ToLower(name)
	c.names[name] = true
	if name == "content-length" {
		if n, err := parseSize(strings.TrimSpace(value)); err == nil {
			c.length = n
		}
	}
	return nil
}
