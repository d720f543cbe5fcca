package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cisternhq/cistern/bench/content"
	"github.com/cisternhq/cistern/bench/load"
	"github.com/cisternhq/cistern/bench/origin"
	"github.com/cisternhq/cistern/bench/peer"
	"github.com/cisternhq/cistern/bench/proc"
	"github.com/cisternhq/cistern/bench/report"
)

// noise is the part of the machine that others may use before a round is called noisy.
const noise = 0.05

// bench is one run.
type bench struct {
	o      options
	env    peer.Env
	origin *proc.Tree
	client *http.Client // for the origin's counts
	log    io.Writer
}

// workload is something to measure.
type workload struct {
	report.Workload
	// profile is how the origin behaves.
	profile origin.Profile
	// full workloads are for long runs only.
	full bool
	// once are the peers that are measured in one round only: they take long, or no goal is about them.
	once []string
	// flags are added to Cistern's command line.
	flags []string
	// objects are there before it begins.
	objects []content.Object
	// prepare does what is not measured; may be nil.
	prepare func(ctx context.Context, t *trial) error
	// run is what is measured. It sets the figures.
	run func(ctx context.Context, t *trial) error
	// after checks what can be checked only then; may be nil.
	after func(ctx context.Context, t *trial) error
}

// trial is one round with one peer.
type trial struct {
	b       *bench
	s       *peer.Server
	name    string
	profile origin.Profile
	dir     string
	figures map[string]float64
	cpu     time.Duration // at the beginning of the measurement
	started time.Duration // how long the server took to answer

	// Of writers: what is to be written, the requests for that, and how many were answered.
	objects []content.Object
	heads   [][]byte
	written int
	// Of lists: the pages.
	pages [][]byte
}

func run(ctx context.Context, o options) (err error) {
	b := &bench{o: o, client: &http.Client{}, log: os.Stderr}
	defer b.client.CloseIdleConnections()
	var todo []workload
	wanted := map[string]bool{"wrk": true}
	all := workloads(o)
	for _, w := range all {
		if w.full && !o.full || !o.wants(w.Name, all) {
			continue
		}
		if o.profile != "" {
			w.Peers = []string{report.Subject}
		}
		if o.peers != "" {
			w.Peers = slices.DeleteFunc(slices.Clone(w.Peers), func(p string) bool { return !slices.Contains(strings.Split(o.peers, ","), p) })
		}
		todo = append(todo, w)
		for _, name := range w.Peers {
			p, err := o.find(name)
			if err != nil {
				return err
			}
			for _, need := range p.Needs {
				wanted[need] = true
			}
		}
	}
	if len(todo) == 0 {
		return errors.New("no such workload; see -list")
	}
	if err := b.setUp(ctx, wanted); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.tearDown()) }()

	begin := time.Now()
	limits, err := measureLimits(ctx, b.env.Dir, o.scale)
	if err != nil {
		return fmt.Errorf("the machine's limits: %w", err)
	}
	var lines io.Writer = io.Discard
	if o.json != "" {
		f, err := os.Create(o.json)
		if err != nil {
			return err
		}
		defer f.Close()
		lines = f
	}
	var set report.Set
	for _, w := range todo {
		fmt.Fprintf(b.log, "%s: %s\n", w.Name, w.Title)
		for round := range o.rounds {
			for _, name := range w.Peers {
				if round > 0 && slices.Contains(w.once, name) {
					continue
				}
				p, err := o.find(name)
				if err != nil {
					return err
				}
				if missing := p.Missing(b.env); missing != "" {
					if round == 0 {
						fmt.Fprintf(b.log, "  SKIPPED: %s, for want of %s\n", name, missing)
					}
					continue
				}
				r := b.round(ctx, w, p, round)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				fmt.Fprintf(b.log, "  %s\n", line(w, r))
				set = append(set, r)
				if err := report.WriteJSON(lines, r); err != nil {
					return err
				}
			}
		}
	}
	var doc strings.Builder
	b.write(ctx, &doc, todo, set, limits, time.Since(begin))
	fmt.Print(doc.String())
	if o.markdown != "" {
		err = os.WriteFile(o.markdown, []byte(doc.String()), 0o644)
	}
	for _, r := range set {
		if r.Error != "" {
			err = errors.Join(err, fmt.Errorf("%s with %s, round %d: void", r.Workload, r.Peer, r.Round+1))
		}
	}
	return err
}

// line is a round in short.
func line(w workload, r report.Record) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%-12s", r.Peer)
	for _, f := range w.Figures {
		if v, ok := r.Figures[f.Name]; ok {
			fmt.Fprintf(&t, "  %s %.*f", f.Title, f.Digits, v)
		}
	}
	if r.Noisy {
		fmt.Fprintf(&t, "  (noisy: others %.0f %%)", 100*r.Others)
	}
	if r.Error != "" {
		fmt.Fprintf(&t, "  VOID: %s", r.Error)
	}
	return t.String()
}

// setUp builds Cistern, finds or installs the peers, and starts the origin.
func (b *bench) setUp(ctx context.Context, wanted map[string]bool) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.o.cache, "bin"), 0o755); err != nil {
		return err
	}
	b.env = peer.Env{Self: self}
	if b.o.dir != "" {
		b.env.Dir, err = os.MkdirTemp(b.o.dir, "run-")
	} else {
		b.env.Dir, err = os.MkdirTemp(b.o.cache, "run-")
	}
	if err != nil {
		return err
	}
	if b.env.Dir, err = filepath.Abs(b.env.Dir); err != nil {
		return err
	}
	if b.o.install == 0 {
		wanted = nil
	}
	b.env.Programs = peer.Install(ctx, b.log, b.o.cache, wanted, b.o.install)
	name := filepath.Join(b.env.Dir, "cistern")
	version := b.version(ctx)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", name, "./cmd/cistern")
	build.Dir = b.o.tree
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build cistern: %w: %s", err, out)
	}
	b.env.Programs["cistern"] = name

	ln, err := freeAddr()
	if err != nil {
		return err
	}
	b.env.Origin = ln
	if b.origin, err = proc.Start(b.env.Dir, nil, self, "child", "origin", "-listen", ln); err != nil {
		return err
	}
	for range 500 {
		if _, err = b.counts(ctx); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("the origin does not answer: %w", err)
}

func (b *bench) version(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	cmd.Dir = b.o.tree
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func (b *bench) tearDown() error {
	if b.origin != nil {
		b.origin.Stop(2 * time.Second)
	}
	return os.RemoveAll(b.env.Dir)
}

// round measures once. What went wrong is in the record.
func (b *bench) round(ctx context.Context, w workload, p peer.Peer, round int) (r report.Record) {
	r = report.Record{Time: time.Now().UTC().Truncate(time.Second), Workload: w.Name, Peer: p.Name, Round: round}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("it took longer than 10 minutes"))
	defer cancel()
	dir, err := os.MkdirTemp(b.env.Dir, "trial-")
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer os.RemoveAll(dir)
	t := &trial{b: b, name: p.Name, profile: w.profile, dir: dir, figures: map[string]float64{}}
	r.Figures = t.figures
	if err := t.measure(ctx, w, p, &r); err != nil {
		r.Error = err.Error()
		if t.s != nil && t.s.Tree != nil {
			r.Error += "\n" + t.s.Log()
		}
	}
	return r
}

func (t *trial) measure(ctx context.Context, w workload, p peer.Peer, r *report.Record) error {
	env := t.b.env
	env.Dir = filepath.Join(t.dir, "server")
	env.Files = filepath.Join(t.dir, "files")
	env.Profile = w.profile.String()
	env.Flags = append(strings.Fields(t.b.o.flags), w.flags...)
	for _, dir := range []string{env.Dir, env.Files} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	begin := time.Now()
	s, err := p.Start(ctx, env)
	if err != nil {
		return err
	}
	t.started = time.Since(begin)
	t.s = s
	defer s.Close()
	// The first request of a process costs more than all others; nobody who measures wants to know.
	if s.Fills {
		o := content.Named("warm", 4096)
		if _, err := load.One(ctx, s.Addr, load.Request{Path: s.Path(o.Key), Object: o}); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	if err := t.lay(ctx, env.Files, w.objects); err != nil {
		return fmt.Errorf("lay objects: %w", err)
	}
	if w.prepare != nil {
		if err := w.prepare(ctx, t); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	if err := syncFolder(t.dir); err != nil {
		return err
	}
	runtime.GC() // not in the middle of the measurement
	if err := t.b.forget(ctx); err != nil {
		return err
	}
	if s.Tree != nil {
		s.ResetPeak()
	}
	window := proc.Watch()
	t.cpu = t.cpuNow()
	err = w.run(ctx, t)
	if s.Tree != nil {
		if _, ok := t.figures["cpu"]; !ok {
			t.figures["cpu"] = (t.cpuNow() - t.cpu).Seconds()
		}
		if _, ok := t.figures["peak"]; !ok {
			t.figures["peak"] = float64(s.Peak()) / (1 << 20)
		}
	}
	r.Others = window.Others()
	r.Noisy = r.Others > noise
	if err != nil {
		return err
	}
	if len(w.objects) > 0 && !s.Direct {
		if c, err := t.b.total(ctx); err != nil || c.GETs > 0 {
			return errors.Join(err, fmt.Errorf("the origin was asked %d times for what should have been there", c.GETs))
		}
	}
	if w.after != nil {
		return w.after(ctx, t)
	}
	return nil
}

func (t *trial) cpuNow() time.Duration {
	if t.s.Tree == nil {
		return 0
	}
	return t.s.CPU()
}

// lay brings objects to where the peer serves them from.
func (t *trial) lay(ctx context.Context, files string, objects []content.Object) error {
	for _, o := range objects {
		switch {
		case t.s.Fills:
			q := load.Request{Path: t.s.Path(o.Key), Object: o}
			if _, err := load.One(ctx, t.s.Addr, q); err != nil {
				return err
			}
		case t.s.Put != nil:
			c, err := load.Dial(ctx, t.s.Addr)
			if err != nil {
				return err
			}
			_, err = c.Send(t.s.Put(o.Key, o.Size), o.Bytes())
			c.Close()
			if err != nil {
				return err
			}
		case !t.s.Direct:
			if err := layFile(filepath.Join(files, filepath.FromSlash(o.Key)), o); err != nil {
				return err
			}
		}
	}
	return t.readAll(ctx, objects) // hits now, unless something is wrong
}

// readAll gets objects, one after the other.
func (t *trial) readAll(ctx context.Context, objects []content.Object) error {
	for _, o := range objects {
		if _, err := load.One(ctx, t.s.Addr, load.Request{Path: t.s.Path(o.Key), Object: o}); err != nil {
			return err
		}
	}
	return nil
}

func layFile(name string, o content.Object) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for off := int64(0); off < o.Size && err == nil; off += content.MaxSlice {
		_, err = f.Write(o.Slice(off, o.Size-off))
	}
	return errors.Join(err, f.Close())
}

// syncFolder writes back what was written to the disk of dir, so that it does not happen while something else is measured.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// counts are the origin's by path.
func (b *bench) counts(ctx context.Context) (map[string]origin.Count, error) {
	var all map[string]origin.Count
	return all, b.ask(ctx, http.MethodGet, &all)
}

// total is the sum of all counts.
func (b *bench) total(ctx context.Context) (origin.Count, error) {
	var sum origin.Count
	all, err := b.counts(ctx)
	for _, c := range all {
		sum.Requests += c.Requests
		sum.GETs += c.GETs
		sum.Ranged += c.Ranged
		sum.Bytes += c.Bytes
		sum.Most = max(sum.Most, c.Most)
	}
	return sum, err
}

func (b *bench) forget(ctx context.Context) error { return b.ask(ctx, http.MethodDelete, nil) }

func (b *bench) ask(ctx context.Context, method string, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+b.env.Origin+origin.CountsPath, nil)
	if err != nil {
		return err
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
