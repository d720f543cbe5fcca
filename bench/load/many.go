package load

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Crowd lets n clients ask for q at the same moment, over connections that stand already, and returns their answers.
func Crowd(ctx context.Context, addr string, n int, q Request) ([]Got, error) {
	conns := make([]*Conn, n)
	for i := range conns {
		c, err := Dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		conns[i] = c
	}
	got, errs := make([]Got, n), make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			<-start
			got[i], errs[i] = conns[i].Get(q)
		})
	}
	close(start)
	wg.Wait()
	return got, First(errs)
}

// Flow is what many requests came to.
type Flow struct {
	// Requests that were answered within Time, and the bytes of their bodies.
	Requests, Bytes int64
	// Time from the first request to the last answer.
	Time time.Duration
	// Lasts are the times of the requests from asking to the last byte, in order of length.
	Lasts []time.Duration
}

// Rate is requests a second.
func (f Flow) Rate() float64 { return float64(f.Requests) / f.Time.Seconds() }

// Quantile is the time that the part q of all requests stays below.
func (f Flow) Quantile(q float64) time.Duration { return Quantile(f.Lasts, q) }

// Quantile of times that are sorted.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Drive lets n clients call do one after the other until next has no more work, or for a while, whichever is first. next is called with the
// number of the request, from 0 on, and says whether there is one.
func Drive(ctx context.Context, addr string, n int, while time.Duration, do func(c *Conn, i int) (bytes int64, more bool, err error)) (Flow, error) {
	conns := make([]*Conn, n)
	for i := range conns {
		c, err := Dial(ctx, addr)
		if err != nil {
			return Flow{}, err
		}
		defer c.Close()
		conns[i] = c
	}
	var f Flow
	var next, bytes atomic.Int64
	var failed atomic.Bool
	times, errs := make([][]time.Duration, n), make([]error, n)
	start := make(chan struct{})
	var begin time.Time
	var wg sync.WaitGroup
	for k, c := range conns {
		wg.Go(func() {
			<-start
			for !failed.Load() && time.Since(begin) < while {
				at := time.Now()
				b, more, err := do(c, int(next.Add(1)-1))
				if err != nil {
					errs[k] = err
					failed.Store(true)
					return
				}
				if !more {
					return
				}
				bytes.Add(b)
				times[k] = append(times[k], time.Since(at))
			}
		})
	}
	begin = time.Now()
	close(start)
	wg.Wait()
	f.Time = time.Since(begin)
	f.Bytes = bytes.Load()
	f.Lasts = slices.Concat(times...)
	f.Requests = int64(len(f.Lasts))
	slices.Sort(f.Lasts)
	if err := First(errs); err != nil {
		return f, err
	}
	if f.Requests == 0 {
		return f, ErrNothing
	}
	return f, nil
}

// First is the first error of many clients, with their number; nil if there is none.
func First(errs []error) error {
	var first error
	n := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		if n++; first == nil {
			first = err
		}
	}
	if n > 1 {
		return fmt.Errorf("%w (the first of %d errors)", first, n)
	}
	return first
}

// HasWrk says whether wrk can be used.
func HasWrk() bool {
	_, err := exec.LookPath("wrk")
	return err == nil
}

// Wrk lets wrk ask for paths in turn, over conns connections, for a while, and returns its requests a second. dir takes its script. wrk looks at
// the status only: whoever calls this checks the bytes before and after.
func Wrk(ctx context.Context, dir, addr string, paths []string, header string, conns int, while time.Duration) (Flow, error) {
	var script strings.Builder
	script.WriteString("local q = {}\n")
	for i, path := range paths {
		head := Request{Path: path, Header: header}.Head(addr)
		fmt.Fprintf(&script, "q[%d] = %s\n", i, strconv.Quote(string(head)))
	}
	fmt.Fprintf(&script, "local i, n = 0, %d\nfunction request()\n  i = (i + 1) %% n\n  return q[i]\nend\n", len(paths))
	script.WriteString(`function done(s, l, r)
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", s.requests, s.bytes, s.duration,
    s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout, s.errors.status, l:percentile(50), l:percentile(99)))
end
`)
	name := filepath.Join(dir, "wrk.lua")
	if err := os.WriteFile(name, []byte(script.String()), 0o644); err != nil {
		return Flow{}, err
	}
	seconds := max(1, int(while.Round(time.Second)/time.Second))
	out, err := exec.CommandContext(ctx, "wrk", "-t1", "-c"+strconv.Itoa(conns), "-d"+strconv.Itoa(seconds)+"s", "--timeout", "30s", "-s", name, "http://"+addr).CombinedOutput()
	if err != nil {
		return Flow{}, fmt.Errorf("wrk: %w: %.500s", err, out)
	}
	_, line, ok := strings.Cut(string(out), "RESULT ")
	var n [7]int64
	if _, err := fmt.Sscan(line, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6]); !ok || err != nil {
		return Flow{}, fmt.Errorf("wrk says %.500q", out)
	}
	f := Flow{Requests: n[0], Bytes: n[1], Time: time.Duration(n[2]) * time.Microsecond}
	f.Lasts = []time.Duration{time.Duration(n[5]) * time.Microsecond, time.Duration(n[6]) * time.Microsecond}
	if n[3]+n[4] > 0 {
		return f, fmt.Errorf("wrk: %d broken connections, %d answers with an error", n[3], n[4])
	}
	if f.Requests == 0 || f.Time == 0 {
		return f, ErrNothing
	}
	return f, nil
}

// Sorted puts times in order and returns what the part q of them stays below.
func Sorted(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return Quantile(times, q)
}
