package utils

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		c := NewConn(a)
		c.SetReadTimeout(30 * time.Second)
		c.SetWriteTimeout(10 * time.Second)

		// The transport waits for the answer from the moment it begins to send. An upload of 100 s that goes on must not end it.
		answer := make(chan error, 1)
		go func() {
			buf := make([]byte, 2)
			n, err := c.Read(buf)
			if err == nil && string(buf[:n]) != "ok" {
				err = errors.New("read " + string(buf[:n]))
			}
			answer <- err
		}()
		for range 5 {
			<-time.After(20 * time.Second)
			go func() { _, _ = io.ReadFull(b, make([]byte, 1)) }()
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatalf("Write: %v", err)
			}
		}
		if _, err := b.Write([]byte("ok")); err != nil {
			t.Fatal(err)
		}
		if err := <-answer; err != nil {
			t.Errorf("Read beside an upload of 100 s = %v, want the answer", err)
		}

		start := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 30*time.Second {
			t.Errorf("Read of nothing = %v after %v, want a timeout after 30s", err, time.Since(start))
		}
		start = time.Now()
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || !IsTimeoutError(fmt.Errorf("wrapped: %w", err)) || time.Since(start) != 10*time.Second {
			t.Errorf("Write to nobody = %v after %v, want a timeout after 10s", err, time.Since(start))
		}
		if NewConn(c) != c {
			t.Error("NewConn of a Conn is another one")
		}
		if IsTimeoutError(io.EOF) || IsTimeoutError(nil) {
			t.Error("IsTimeoutError of what is none = true")
		}
	})
}
