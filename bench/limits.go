package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cisternhq/cistern/bench/content"
)

// freeAddr is an address that nobody listened on a moment ago.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// measureLimits says what the machine itself can do, for whoever wonders what a figure is a part of.
func measureLimits(ctx context.Context, dir string, scale float64) (map[string]string, error) {
	while := time.Duration(scale * float64(time.Second))
	syncs, err := syncRate(filepath.Join(dir, "limit"), while)
	if err != nil {
		return nil, err
	}
	facts := map[string]string{"fdatasync of 4 KiB appended": fmt.Sprintf("%.0f a second", syncs)}
	o := content.Named("limit", 64<<20)
	name := filepath.Join(dir, "limit")
	if err := layFile(name, o); err != nil {
		return nil, err
	}
	defer os.Remove(name)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for title, send := range map[string]func(net.Conn) error{
		"loopback, from memory": func(c net.Conn) error {
			_, err := c.Write(o.Slice(0, content.MaxSlice))
			return err
		},
		"loopback, sendfile": func(c net.Conn) error {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return err
			}
			_, err := io.Copy(c, f)
			return err
		},
	} {
		rate, err := loopback(ctx, while, send)
		if err != nil {
			return nil, err
		}
		facts[title] = fmt.Sprintf("%.2f GB/s, one connection, bytes not looked at", rate/1e9)
	}
	return facts, nil
}

func syncRate(name string, while time.Duration) (rate float64, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	page := make([]byte, 4096)
	begin, n := time.Now(), 0
	for time.Since(begin) < while {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// loopback is how many bytes a second send gets through.
func loopback(ctx context.Context, while time.Duration, send func(net.Conn) error) (rate float64, err error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	var wg sync.WaitGroup
	var received int64
	var readErr error
	wg.Go(func() {
		c, err := ln.Accept()
		if err != nil {
			readErr = err
			return
		}
		defer c.Close()
		buf := make([]byte, 256<<10)
		for {
			n, err := c.Read(buf)
			received += int64(n)
			if err != nil {
				if err != io.EOF {
					readErr = err
				}
				return
			}
		}
	})
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		ln.Close()
		wg.Wait()
		return 0, err
	}
	begin := time.Now()
	for err == nil && time.Since(begin) < while {
		err = send(c)
	}
	c.Close()
	wg.Wait()
	return float64(received) / time.Since(begin).Seconds(), errors.Join(err, readErr)
}
