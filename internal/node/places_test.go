package node

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
)

// A server with two places serves two clients at a time, the third one when a place is free, and its connections are those of the listener: so a
// file is sent without a copy.
func TestPlaces(t *testing.T) {
	p := newPlaces(2)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 10)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }),
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns <- c
			}
			p.changed(c, s)
		},
	}
	done := make(chan error, 1)
	bound := p.listen(ln)
	srvDone := func() { done <- srv.Serve(bound) }
	go srvDone()

	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second, third := dial(), dial(), dial()
	for range 2 {
		if c := <-conns; !isTCP(c) {
			t.Errorf("connection is a %T, want the listener's own", c)
		}
	}
	if _, err := io.WriteString(third, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-conns:
		t.Error("a third client was let in")
	default:
	}
	first.Close() // its place is free
	answer, err := io.ReadAll(third)
	if err != nil || len(answer) == 0 {
		t.Errorf("third client: %q, %v", answer, err)
	}
	second.Close()
	third.Close()
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve = %v", err)
	}
}

func isTCP(c net.Conn) bool {
	_, ok := c.(*net.TCPConn)
	return ok
}
