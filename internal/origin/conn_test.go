package origin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
)

// over plays a request and then what the other end sends, in pieces of n bytes, and returns what gets through.
func over(t *testing.T, request, sent string, n int) (got string, conn *strictConn, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		conn = &strictConn{Conn: ours}
		var wg sync.WaitGroup // the other end
		wg.Go(func() {
			defer theirs.Close()
			buf := make([]byte, len(request))
			if _, err := io.ReadFull(theirs, buf); err != nil {
				return
			}
			for p := []byte(sent); len(p) > 0; {
				m := min(n, len(p))
				if _, err := theirs.Write(p[:m]); err != nil {
					return // the client had enough
				}
				p = p[m:]
			}
		})
		if _, err = conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		var b []byte
		b, err = io.ReadAll(conn)
		got = string(b)
		ours.Close()
		wg.Wait()
	})
	return got, conn, err
}

func TestStrictConn(t *testing.T) {
	const get, head = "GET / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n"
	for _, tt := range []struct {
		name, request, sent string
		through             string // "": all of it
		ambiguous           bool
	}{
		{name: "length", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "chunks", request: get, sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n"},
		{name: "until the end", request: get, sent: "HTTP/1.0 200 OK\r\n\r\nabc"},
		{name: "bare line feeds", request: get, sent: "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"},
		{name: "folded line", request: get, sent: "HTTP/1.1 200 OK\r\nX: a\r\n b : c\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "blank in a value", request: get, sent: "HTTP/1.1 200 OK\r\nX: a : b\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "interim", request: get, sent: "HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "a body that reads like a head", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\nTransfer-Encoding : x\r\n\r\n"},
		{name: "the same length twice", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "HEAD with a length", request: head, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"},

		{name: "length and chunks", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ambiguous: true},
		{name: "chunks and length, oddly spelled", request: get, sent: "HTTP/1.1 200 OK\r\ntransfer-ENCODING: chunked\r\nx: y\r\ncontent-LENGTH:3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ambiguous: true},
		{name: "HEAD with length and chunks", request: head, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", ambiguous: true},
		{name: "blank before the colon", request: get, sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc", ambiguous: true},
		{name: "tab before the colon", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length\t: 3\r\n\r\nabc", ambiguous: true},
		{name: "two lengths", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", ambiguous: true},
		{name: "lengths in a list", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", ambiguous: true},
		{name: "signed length", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc", ambiguous: true},
		{name: "two codings", request: get, sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ambiguous: true},
		{name: "another coding", request: get, sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", ambiguous: true},

		{name: "surplus behind a length", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", through: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
		{
			name: "surplus behind chunks", request: get, sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
			through: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		},
		{name: "body of HEAD", request: head, sent: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", through: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"},
		{name: "chunks of HEAD", request: head, sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", through: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "body of a 204", request: get, sent: "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc", through: "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n"},
		{name: "body of a 304", request: get, sent: "HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\nabc", through: "HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n"},
		{name: "second response", request: get, sent: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", through: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	} {
		for name, n := range map[string]int{"at once": 1 << 20, "byte by byte": 1} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				got, conn, err := over(t, tt.request, tt.sent, n)
				if tt.ambiguous {
					if !errors.Is(err, errAmbiguous) {
						t.Errorf("read %q, %v, want it refused", got, err)
					}
					return
				}
				want := tt.through
				if want == "" {
					want = tt.sent
				}
				if got != want || err != nil {
					t.Errorf("read %q, %v, want %q", got, err, want)
				}
				if tt.through != "" {
					if _, err := conn.Write([]byte(get)); err == nil {
						t.Error("the connection takes another request")
					}
				}
			})
		}
	}
}

// Before anything was asked for, nothing may come.
func TestStrictConnWithoutRequest(t *testing.T) {
	c := &strictConn{}
	if n, err := c.look([]byte("HTTP/1.1 200 OK\r\n\r\n")); n != 0 || err != nil || !c.over {
		t.Errorf("look = %d, %v, want every byte refused", n, err)
	}
}

// net/http and strictConn agree on where a response ends, or strictConn refuses it.
func FuzzStrictConn(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nrest", "HTTP/1.1 200 OK\r\n\r\nabc",
		"HTTP/1.1 200 OK\nContent-Length:3\n\nabc", "HTTP/1.1 204 No\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0003;x\r\nabc\r\n00\r\nA: b\r\n\r\nrest",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nX: y\r\n Content-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s), false, 3)
		f.Add([]byte(s), true, 1000)
	}
	f.Fuzz(func(t *testing.T, sent []byte, head bool, piece int) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		in := bufio.NewReaderSize(bytes.NewReader(sent), 1<<16)
		if len(sent) > 1<<15 {
			return
		}
		r, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil || r.StatusCode < 200 {
			return // net/http refuses it itself, or reads on
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			return
		}
		if r.ContentLength < 0 && len(r.TransferEncoding) == 0 && !head {
			return // it goes on to the end of the connection
		}
		rest, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}

		c := &strictConn{Conn: discard{}}
		if _, err := c.Write([]byte(method + " / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		through := 0
		for p := sent; len(p) > 0; {
			n := min(max(piece, 1), len(p))
			m, err := c.look(p[:n])
			if err != nil {
				if !errors.Is(err, errAmbiguous) {
					t.Fatalf("look = %v", err)
				}
				return
			}
			through += m
			p = p[n:]
		}
		if through != len(sent)-len(rest) {
			t.Fatalf("%q to %s: %d bytes get through, net/http reads %d", sent, method, through, len(sent)-len(rest))
		}
		if c.over != (len(rest) > 0) {
			t.Fatalf("%q: over = %t, but %d bytes are left", sent, c.over, len(rest))
		}
	})
}

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error) { return len(p), nil }
