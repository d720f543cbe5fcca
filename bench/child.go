package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/cisternhq/cistern/bench/floor"
	"github.com/cisternhq/cistern/bench/origin"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/store/diskstore"
)

// child is one of the servers that the program itself can be. It ends with a SIGTERM.
func child(args []string) error {
	if len(args) == 0 {
		return errors.New("which server?")
	}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	listen := fs.String("listen", "127.0.0.1:0", "address")
	dir := fs.String("dir", ".", "folder")
	site := fs.String("site", "", "what to mirror")
	data := fs.String("data", "", "folder of objects")
	mirror := fs.String("mirror", "", "BUCKET=URL")
	profiles := fs.String("profiles", "", "folder for profiles")
	maxConns := fs.Int("max-connections", 10_000, "connections of clients")
	sourceConns := fs.Int("source-connections", 0, "connections to one source")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	switch args[0] {
	case "origin":
		return origin.New().Serve(ctx, ln)
	case "floor":
		return serve(ctx, ln, floor.Files(*dir))
	case "mirror":
		m := floor.NewMirror(*dir, *site)
		defer m.Close()
		return serve(ctx, ln, m)
	case "node":
		return profiled(ctx, ln, *profiles, *data, *mirror, *maxConns, *sourceConns)
	}
	return fmt.Errorf("no server %q", args[0])
}

func serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := floor.Server(h)
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// profiled is the server that `cistern serve` is, with its default settings, and profiles of all its life.
func profiled(ctx context.Context, ln net.Listener, dir, data, mirror string, maxConns, sourceConns int) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	runtime.SetBlockProfileRate(10_000) // of a wait of 10 µs, one on average
	runtime.SetMutexProfileFraction(10)
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return err
	}
	defer cpu.Close()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	defer func() {
		pprof.StopCPUProfile()
		for _, name := range []string{"allocs", "block", "mutex", "goroutine"} {
			err = errors.Join(err, writeProfile(dir, name))
		}
	}()
	engine, err := diskstore.Open(data, diskstore.Options{})
	if err != nil {
		return err
	}
	ring, err := keys.Open(filepath.Join(data, "keys.json"))
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	if _, err := ring.ReplaceOperator(os.Getenv("CISTERN_ACCESS_KEY_ID"), os.Getenv("CISTERN_SECRET_ACCESS_KEY")); err != nil {
		return errors.Join(err, engine.Close())
	}
	if maxConns == 0 {
		maxConns = -1 // as the command takes it: any number
	}
	o := node.Options{Engine: engine, Keys: ring, MaxConnections: maxConns, Version: "profiled"}
	o.Fill.MaxConnsPerSource = sourceConns
	n, err := node.New(ctx, o)
	if err != nil {
		return err
	}
	n.Own(ln.Addr())
	bucket, site, _ := strings.Cut(mirror, "=")
	if err := n.Mirror(ctx, bucket, site); err != nil {
		return err
	}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		ended <- n.Shutdown(grace)
	})
	defer stop()
	if err := n.Serve(ln); err != nil {
		return err
	}
	return <-ended
}

func writeProfile(dir, name string) error {
	f, err := os.Create(filepath.Join(dir, name+".pprof"))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
}
