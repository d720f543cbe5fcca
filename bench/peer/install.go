package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// packages are the Debian packages by the program that they bring, modules those of Go.
var (
	packages = []struct{ program, name string }{{"nginx", "nginx-light"}, {"wrk", "wrk"}, {"varnishd", "varnish"}}
	modules  = []struct{ program, path string }{
		{"minio", "github.com/minio/minio@latest"},
		{"versitygw", "github.com/versity/versitygw/cmd/versitygw@v1.8.0"},
		{"rclone", "github.com/rclone/rclone@v1.76.0"},
	}
)

// Install finds the peers' programs, gets those in wanted that are missing, and returns their paths. It says to log what it does, also that
// something cannot be had, and why. cache is a folder outside of the tree. Nothing is tried for longer than limit.
func Install(ctx context.Context, log io.Writer, cache string, wanted map[string]bool, limit time.Duration) map[string]string {
	bin := filepath.Join(cache, "bin")
	found := map[string]string{}
	find := func(program string) bool {
		for _, name := range []string{filepath.Join(bin, program), program, "/usr/sbin/" + program} {
			if path, err := exec.LookPath(name); err == nil {
				found[program] = path
				return true
			}
		}
		return false
	}
	updated := false
	for _, p := range packages {
		if find(p.program) || !wanted[p.program] {
			continue
		}
		fmt.Fprintf(log, "installing %s (Debian)\n", p.name)
		err := apt(ctx, p.name, &updated, limit)
		if !find(p.program) {
			fmt.Fprintf(log, "SKIPPED: %s cannot be installed: %v\n", p.program, err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards errs
	errs := map[string]error{}
	for _, m := range modules {
		if find(m.program) || !wanted[m.program] {
			continue
		}
		fmt.Fprintf(log, "building %s (at most %v)\n", m.path, limit)
		wg.Go(func() {
			err := goInstall(ctx, bin, m.path, limit)
			mu.Lock()
			defer mu.Unlock()
			errs[m.program] = err
		})
	}
	wg.Wait()
	for program, err := range errs {
		if !find(program) {
			fmt.Fprintf(log, "SKIPPED: %s cannot be built: %v\n", program, err)
		}
	}
	return found
}

// apt installs a package without starting the services in it.
func apt(ctx context.Context, name string, updated *bool, limit time.Duration) error {
	if os.Getuid() != 0 {
		return errors.New("only root may install packages")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	const policy = "/usr/sbin/policy-rc.d" // Debian's way of saying that nothing is to be started
	if f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755); err == nil {
		_, werr := f.WriteString("#!/bin/sh\nexit 101\n")
		if err := errors.Join(werr, f.Close()); err != nil {
			return err
		}
		defer os.Remove(policy)
	}
	run := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, out[max(0, len(out)-300):])
		}
		return nil
	}
	if !*updated {
		if err := run("update", "-q"); err != nil {
			return err
		}
		*updated = true
	}
	return run("install", "-qy", "--no-install-recommends", name)
}

func goInstall(ctx context.Context, bin, path string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", path)
	cmd.Dir = os.TempDir() // outside of every module
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out[max(0, len(out)-300):])
	}
	return nil
}
