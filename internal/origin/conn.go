package origin

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

var errAmbiguous = errors.New("ambiguous response framing")

// strictConn reads along on an HTTP/1 connection and refuses responses whose length could be read in two ways. net/http takes the
// likelier reading and hides the other: with both Transfer-Encoding and Content-Length it drops the length, and a field name with a
// blank before the colon is no field at all to it. Two readers of such a response may see different bytes, so it is
// no object.
//
// Bytes behind the end of a response never get through, and end the connection: net/http could take them for the response to the next
// key. Some servers send a body with the answer to HEAD; whoever may store an object there would choose what the next key is.
type strictConn struct {
	net.Conn

	mu     sync.Mutex // guards all below: net/http reads and writes from two goroutines
	over   bool       // bytes came that nobody asked for
	inHead bool
	head   bool   // the request is a HEAD: its response has no body, whatever its head says
	line   []byte // the current line so far, of the head or between chunks
	first  bool   // the line is the status line
	status string
	names  map[string]bool
	left   int64 // bytes of the body that are to come, -1 if its end is the connection's

	chunked bool  // more chunks are to come; left is 0
	chunk   int64 // bytes that are left of the current chunk, with the line break behind it
	trailer bool  // the last chunk is over
}

func (c *strictConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	over := c.over
	if !over && !c.inHead { // a new request: what comes next is a head
		c.inHead, c.first, c.line = true, true, c.line[:0]
		c.names = make(map[string]bool)
		c.head = bytes.HasPrefix(p, []byte("HEAD "))
	}
	c.mu.Unlock()
	if over {
		return 0, net.ErrClosed // net/http sends the request over another connection
	}
	return c.Conn.Write(p)
}

func (c *strictConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	solicited, bad := c.look(p[:n])
	switch {
	case bad != nil:
		c.Conn.Close()
		return 0, bad
	case solicited == n:
		return n, err
	case solicited > 0:
		return solicited, nil
	}
	c.Conn.Close()
	return 0, io.EOF
}

// look follows the bytes of one read, and returns how many of them belong to a response that was asked for.
func (c *strictConn) look(p []byte) (solicited int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := len(p)
	if c.over {
		return 0, nil
	}
	for c.inHead && len(p) > 0 {
		line, rest, ok := c.nextLine(p)
		if !ok {
			return all, nil
		}
		p = rest
		if err := c.headLine(line); err != nil {
			return 0, err
		}
	}
	if c.chunked {
		p = c.afterChunks(p)
	}
	if c.left < 0 {
		return all, nil
	}
	n := min(c.left, int64(len(p)))
	c.left -= n
	surplus := len(p) - int(n)
	c.over = surplus > 0
	return all - surplus, nil
}

// nextLine takes a line, without its end, from p. While there is none it keeps what there is; net/http ends what gets too long.
func (c *strictConn) nextLine(p []byte) (line string, rest []byte, ok bool) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		c.line = append(c.line, p...)
		return "", nil, false
	}
	line = string(bytes.TrimSuffix(append(c.line, p[:i]...), []byte("\r")))
	c.line = c.line[:0]
	return line, p[i+1:], true
}

func (c *strictConn) headLine(line string) error {
	if c.first {
		if !strings.HasPrefix(line, "HTTP/1.") {
			return errAmbiguous // net/http would let "HTTP/2.0" pass, and with it a body that nothing says the end of
		}
		c.first, c.left = false, -1
		c.chunked, c.chunk, c.trailer = false, 0, false
		_, c.status, _ = strings.Cut(line, " ")
		return nil
	}
	if line == "" {
		if strings.HasPrefix(c.status, "1") && !strings.HasPrefix(c.status, "101") {
			c.first = true // an interim response: another head follows
			clear(c.names)
			return nil
		}
		return c.headEnd()
	}
	if line[0] == ' ' || line[0] == '\t' {
		return nil // a folded line
	}
	name, value, _ := strings.Cut(line, ":")
	if strings.ContainsAny(name, " \t") {
		return errAmbiguous
	}
	name = strings.ToLower(name)
	switch value = strings.TrimSpace(value); name {
	case "content-length":
		n, err := parseSize(value)
		if err != nil || c.names[name] && n != c.left {
			return errAmbiguous
		}
		c.left = n
	case "transfer-encoding":
		if c.names[name] || !strings.EqualFold(value, "chunked") {
			return errAmbiguous
		}
	}
	c.names[name] = true
	return nil
}

// headEnd judges the head as a whole.
func (c *strictConn) headEnd() error {
	c.inHead = false
	if c.names["transfer-encoding"] && c.names["content-length"] {
		return errAmbiguous
	}
	switch {
	case c.head, strings.HasPrefix(c.status, "204"), strings.HasPrefix(c.status, "304"):
		c.left = 0
	case c.names["transfer-encoding"]:
		c.left, c.chunked = 0, true
	}
	return nil
}

// afterChunks returns the part of p that lies behind the end of a chunked body (RFC 9112 §7.1). It need not find fault: net/http
// reads the same bytes, and ends the connection where they are no chunks.
func (c *strictConn) afterChunks(p []byte) []byte {
	for c.chunked && len(p) > 0 {
		if c.chunk > 0 {
			n := min(c.chunk, int64(len(p)))
			c.chunk -= n
			p = p[n:]
			continue
		}
		line, rest, ok := c.nextLine(p)
		if !ok {
			return nil
		}
		p = rest
		if c.trailer {
			c.chunked = line != ""
			continue
		}
		digits, _, _ := strings.Cut(line, ";")
		size, _ := strconv.ParseUint(strings.TrimSpace(digits), 16, 62)
		if c.trailer = size == 0; !c.trailer {
			c.chunk = int64(size) + 2
		}
	}
	return p
}
