package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cisternhq/cistern/internal/cisterntest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cistern": main,
		"fetch":   func() { os.Exit(fetchURL(os.Args[1:])) },
	})
}

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

// The scripts in testdata/script show what each command does. Beside testscript's own commands they have
//
//	server start [FLAG...]   run "cistern serve" on a free port until the script or "server stop" ends it; sets URL, and
//	                         what the first start prints to be exported
//	server stop|kill         end it with SIGTERM, which must give exit code 0, or at once
//	server interrupted       end it with two SIGTERMs, the second one as soon as the log says that it has seen the first
//	server log TEXT          check that a line of its log holds TEXT
//	server await TEXT        wait for one that does
//	site [-slow] KEY=SIZE... run a source with these objects; sets SITE
//	asked KEY N              check that the source got N requests for KEY
//	canned DIR               run a source that answers a request for /KEY with the bytes of the file DIR/KEY, or with those of
//	                         DIR/KEY.range if a range is asked for; "/" in the key is "," in the name, $AT in the file the source's
//	                         host and port; sets CANNED
//	broken                   run a source that closes every connection in the middle of the body; sets BROKEN
//	fetch [-i] [-f] [-r RANGE] URL
//	                         a small curl: the body, with -i status and headers before it; with -f a status of 400 and above fails
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("NO_PROXY", "*")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command sleeps a second at its end under the race detector
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": serverCommand,
			"site":   siteCommand,
			"asked":  askedCommand,
			"broken": brokenCommand,
			"canned": cannedCommand,
		},
	})
}

// process is a server that a script runs.
type process struct {
	cmd *exec.Cmd
	wg  sync.WaitGroup // the goroutine that reads the log

	mu   sync.Mutex // guards log
	more *sync.Cond // told of each line, and of the end
	log  []string
	over bool // the log has ended
}

// await waits for a line of the log that holds text, and reports whether there was one.
func (p *process) await(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if slices.ContainsFunc(p.log, func(l string) bool { return strings.Contains(l, text) }) {
			return true
		}
		if p.over {
			return false
		}
		p.more.Wait()
	}
}

var (
	processMu sync.Mutex // guards the maps
	processes = map[*testscript.TestScript]*process{}
	sites     = map[*testscript.TestScript]*cisterntest.Site{}
)

func serverCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: server start|stop|kill|interrupted|log|await")
	}
	processMu.Lock()
	p := processes[ts]
	processMu.Unlock()
	if (p == nil) != (args[0] == "start") {
		ts.Fatalf("server %s: it runs already, or does not run", args[0])
	}
	switch args[0] {
	case "start":
		startServer(ts, args[1:])
	case "stop", "kill":
		sig := syscall.SIGTERM
		if args[0] == "kill" {
			sig = syscall.SIGKILL
		}
		ts.Check(p.cmd.Process.Signal(sig))
		err := p.wait()
		processMu.Lock()
		delete(processes, ts)
		processMu.Unlock()
		if args[0] == "stop" && err != nil {
			ts.Fatalf("the server ended with %v\n%s", err, strings.Join(p.log, "\n"))
		}
	case "interrupted":
		ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
		if !p.await(`"msg":"shutting down"`) {
			ts.Fatalf("the server's log does not say that it is shutting down")
		}
		ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
		_ = p.wait() // the state says more than the error
		processMu.Lock()
		delete(processes, ts)
		processMu.Unlock()
		if by := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !by.Signaled() || by.Signal() != syscall.SIGTERM {
			ts.Fatalf("the server ended with %v, want it ended by the second SIGTERM\n%s", p.cmd.ProcessState, strings.Join(p.log, "\n"))
		}
	case "await":
		if !p.await(args[1]) {
			ts.Fatalf("the server ended, and no line of its log holds %q:\n%s", args[1], strings.Join(p.log, "\n"))
		}
	case "log":
		p.mu.Lock()
		defer p.mu.Unlock()
		if !slices.ContainsFunc(p.log, func(l string) bool { return strings.Contains(l, args[1]) }) {
			ts.Fatalf("no line of the log holds %q:\n%s", args[1], strings.Join(p.log, "\n"))
		}
	}
}

func startServer(ts *testscript.TestScript, args []string) {
	path, err := exec.LookPath(filepath.Join(binDir(ts), "cistern"))
	ts.Check(err)
	printed := ts.MkAbs("server.out")
	out, err := os.Create(printed)
	ts.Check(err)
	defer out.Close()
	p := &process{cmd: exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json"}, args...)...)}
	p.more = sync.NewCond(&p.mu)
	p.cmd.Dir = ts.Getenv("WORK")
	p.cmd.Stdout = out
	for _, name := range []string{"PATH", "HOME", "WORK", "NO_PROXY", "GORACE", "CISTERN_ACCESS_KEY_ID", "CISTERN_SECRET_ACCESS_KEY", "CISTERN_MIRROR", "GOCOVERDIR"} {
		if v := ts.Getenv(name); v != "" {
			p.cmd.Env = append(p.cmd.Env, name+"="+v)
		}
	}
	stderr, err := p.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	url := make(chan string, 1)
	p.wg.Go(func() { p.read(stderr, url) })
	processMu.Lock()
	processes[ts] = p
	processMu.Unlock()
	ts.Defer(func() {
		processMu.Lock()
		mine := processes[ts] == p
		delete(processes, ts)
		processMu.Unlock()
		if mine {
			_ = p.cmd.Process.Kill()
			_ = p.wait()
		}
	})
	at, ok := <-url
	if !ok {
		err := p.wait()
		processMu.Lock()
		delete(processes, ts)
		processMu.Unlock()
		ts.Fatalf("the server ended before it listened: %v\n%s", err, strings.Join(p.log, "\n"))
	}
	ts.Setenv("URL", at)
	ts.Setenv("QINGSTOR_ENDPOINT", at)
	text, err := os.ReadFile(printed)
	ts.Check(err)
	for line := range strings.Lines(string(text)) {
		if assign, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			name, v, _ := strings.Cut(assign, "=")
			ts.Setenv(name, v)
		}
	}
}

// binDir is where testscript put the commands of this test.
func binDir(ts *testscript.TestScript) string {
	dir, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	return dir
}

// read collects the log, and sends the address once the server listens.
func (p *process) read(r io.Reader, url chan<- string) {
	defer close(url)
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.over = true
		p.more.Broadcast()
	}()
	sent := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		p.mu.Lock()
		p.log = append(p.log, lines.Text())
		p.more.Broadcast()
		p.mu.Unlock()
		var line struct{ Msg, URL string }
		if !sent && json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			url <- line.URL
			sent = true
		}
	}
}

// wait reads the log to its end before it waits for the process, as StderrPipe wants it.
func (p *process) wait() error {
	p.wg.Wait()
	return p.cmd.Wait()
}

func siteCommand(ts *testscript.TestScript, neg bool, args []string) {
	o := cisterntest.SiteOptions{Objects: map[string]int64{}}
	if len(args) > 0 && args[0] == "-slow" {
		o.Rate = 64 << 10
		args = args[1:]
	}
	for _, a := range args {
		key, size, _ := strings.Cut(a, "=")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || neg {
			ts.Fatalf("usage: site [-slow] KEY=SIZE...")
		}
		o.Objects[key] = n
	}
	s := cisterntest.NewSite(&scriptTB{TB: nil, ts: ts}, o)
	processMu.Lock()
	sites[ts] = s
	processMu.Unlock()
	ts.Setenv("SITE", s.URL())
	for key, n := range o.Objects {
		ts.Check(os.WriteFile(ts.MkAbs("want-"+strings.ReplaceAll(key, "/", "-")), cisterntest.NewContent(key, n).Bytes(), 0o600))
	}
}

func askedCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: asked KEY N")
	}
	processMu.Lock()
	s := sites[ts]
	processMu.Unlock()
	if got := strconv.Itoa(s.Requests(args[0])); got != args[1] {
		ts.Fatalf("the source got %s requests for %s, want %s", got, args[0], args[1])
	}
}

func brokenCommand(ts *testscript.TestScript, _ bool, _ []string) {
	o := cisterntest.NewOrigin(&scriptTB{ts: ts}, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); ok {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly the beginning")
		}
	})
	ts.Setenv("BROKEN", o.URL())
}

func cannedCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: canned DIR")
	}
	dir := ts.MkAbs(args[0])
	o := cisterntest.NewOrigin(&scriptTB{ts: ts}, func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			if !ok {
				return
			}
			key, _, _ := strings.Cut(strings.TrimPrefix(r.Target, "/"), "?")
			name := filepath.Join(dir, strings.ReplaceAll(key, "/", ","))
			if r.Header.Get("Range") != "" {
				name += ".range"
			}
			text, err := os.ReadFile(name)
			if err != nil {
				text = []byte("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n")
			}
			// The head as HTTP wants it, and the body as it stands, without the end of its last line.
			head, body, _ := strings.Cut(strings.ReplaceAll(string(text), "$AT", c.LocalAddr().String()), "\n\n")
			c.Send(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + strings.TrimSuffix(body, "\n"))
		}
	})
	ts.Setenv("CANNED", o.URL())
}

// scriptTB lets a script own what a test owns elsewhere. It has the methods that those use.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (s *scriptTB) Helper()                           {}
func (s *scriptTB) Cleanup(f func())                  { s.ts.Defer(f) }
func (s *scriptTB) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }
func (s *scriptTB) Errorf(format string, args ...any) { s.ts.Logf(format, args...) }

// fetchURL is the program "fetch" of the scripts.
func fetchURL(args []string) int {
	fs := flag.NewFlagSet("fetch", flag.ContinueOnError)
	head := fs.Bool("i", false, "print status and headers, too")
	fail := fs.Bool("f", false, "fail on a status of 400 and above")
	span := fs.String("r", "", "Range header")
	if err := fs.Parse(args); err != nil || fs.NArg() != 1 {
		return 2
	}
	r, err := http.NewRequest(http.MethodGet, fs.Arg(0), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		return 2
	}
	if *span != "" {
		r.Header.Set("Range", *span)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		return 1
	}
	defer resp.Body.Close()
	if *fail && resp.StatusCode >= 400 {
		fmt.Fprintln(os.Stderr, "fetch:", resp.Status)
		return 1
	}
	if *head {
		fmt.Println(resp.StatusCode)
		names := make([]string, 0, len(resp.Header))
		for name := range resp.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Printf("%s: %s\n", name, strings.Join(resp.Header[name], ", "))
		}
		fmt.Println()
	}
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		return 1
	}
	return 0
}
