package node_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cisternhq/cistern/internal/cisterntest"
)

// childJob tells a process of this test binary that it is a child, and what to do.
const childJob = "CISTERN_TEST_CHILD"

// TestChild does what a test in another process cannot have done in its own: be killed, or be short of files.
func TestChild(t *testing.T) {
	job, args, _ := strings.Cut(os.Getenv(childJob), "\n")
	switch job {
	case "":
		t.Skip("this is for tests that need a process of their own")
	case "serve":
		dir, site, _ := strings.Cut(args, "\n")
		s := cisterntest.Start(t, cisterntest.OnDisk(dir))
		fmt.Println("at " + s.Mirror("demo", site))
		_, _ = io.Copy(io.Discard, os.Stdin) // until the end
	case "files":
		runShortOfFiles(t)
	default:
		t.Fatalf("unknown job %q", job)
	}
}

// child is a process of this test binary.
type child struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Scanner
}

// startChild starts TestChild in a process of its own. It is gone when the test ends.
func startChild(t *testing.T, job ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.CommandContext(t.Context(), exe, "-test.run=^TestChild$", "-test.v")}
	c.cmd.Env = append(os.Environ(), childJob+"="+strings.Join(job, "\n"))
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// line returns what the child says after "at ".
func (c *child) line(t *testing.T) string {
	t.Helper()
	for c.out.Scan() {
		if at, ok := strings.CutPrefix(c.out.Text(), "at "); ok {
			return at
		}
	}
	t.Fatalf("the child said nothing: %v", errors.Join(c.out.Err(), c.cmd.Wait()))
	return ""
}

// kill ends the child as a power cut would, and waits.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("the child ended with %v, want it killed", err)
	}
}

// end waits for the child to end by itself, and returns what it said.
func (c *child) end() (string, error) {
	_ = c.in.Close()
	var said strings.Builder
	for c.out.Scan() {
		said.WriteString(c.out.Text() + "\n")
	}
	return said.String(), c.cmd.Wait()
}

// runShortOfFiles lets a server meet the limit on open files while a client is connected, and then lifts it.
func runShortOfFiles(t *testing.T) {
	o := cisterntest.NewOrigin(t, serveAll(whole("body")))
	b := startBench(t, o.URL(), nil) // in memory: nothing else opens or closes files meanwhile
	warm, err := b.client.Get(b.s.URL + "/-/healthz")
	if err != nil {
		t.Fatal(err)
	}
	b.rest(warm).ok(200, "ok\n") // the client is connected now

	limit := func(soft uint64) (was uint64) {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			t.Fatal(err)
		}
		was, l.Cur = l.Cur, soft
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			t.Fatal(err)
		}
		return was
	}
	free, err := os.Open(os.DevNull) // it gets the lowest number that is free
	if err != nil {
		t.Fatal(err)
	}
	lowest := uint64(free.Fd())
	_ = free.Close()
	was := limit(lowest)
	short := b.send("GET", "k")
	_, dialed := net.Dial("tcp", o.Addr().String())
	limit(was)

	if dialed == nil {
		t.Error("a file could be opened, want none")
	}
	if short.status != http.StatusServiceUnavailable {
		t.Errorf("without files: %d %s, want 503", short.status, short.body)
	}
	short.failed()
	b.landed()
	b.sees(o, 0)
	b.nothing()
	r, _ := b.miss("k")
	r.ok(200, "body")
	b.stored("k", "body")
	b.sees(o, 1)
}
