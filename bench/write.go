package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cisternhq/cistern/bench/report"
)

// write makes the document.
func (b *bench) write(ctx context.Context, out io.Writer, todo []workload, set report.Set, limits map[string]string, took time.Duration) {
	fmt.Fprint(out, `# Benchmarks

Made by the benchmark itself; do not edit. Servers run one at a time on one machine, over the loopback, each of them fresh for each round. Rounds of
the peers take turns, and a figure is the median of its rounds; in brackets it is divided by that of the first peer. Every byte
that the benchmark's own clients receive is checked, and every request that reaches the origin is counted; a wrong byte or a failed request makes a round
void. CPU and memory are those of the server with all its processes. A round is noisy if other programs used more than
`)
	fmt.Fprintf(out, "%.0f %% of the machine meanwhile.\n\n", 100*noise)
	command := "bench " + strings.Join(os.Args[1:], " ")
	if b.o.markdown != "" && b.o.only == "" && b.o.peers == "" {
		command = "make bench"
		if b.o.full {
			command = "make bench-full"
		}
	}
	facts := map[string]string{
		"date":                       time.Now().UTC().Format(time.DateOnly),
		"command":                    "`" + command + "`, which took " + took.Round(time.Second).String(),
		"machine":                    machine(),
		"the benchmark's Go version": runtime.Version(),
	}
	if b.o.scale != 1 {
		facts["scale"] = fmt.Sprintf("%g: sizes and times are not those that the titles name", b.o.scale)
	}
	report.Facts(out, facts)
	fmt.Fprint(out, "\nWhat the machine can do:\n\n")
	report.Facts(out, limits)
	fmt.Fprint(out, "\n| peer | version | on disk when it answers |\n| --- | --- | --- |\n")
	var seen []string
	for _, w := range todo {
		for _, name := range w.Peers {
			p, err := b.o.find(name)
			if err != nil || slices.Contains(seen, name) {
				continue
			}
			seen = append(seen, name)
			version := "this program"
			switch missing := p.Missing(b.env); {
			case missing != "":
				version = "SKIPPED, for want of " + missing
			case p.Version != nil:
				version = strings.Join(strings.Fields(p.Version(ctx, b.env)), " ")
			}
			fmt.Fprintf(out, "| %s | %s | %s |\n", name, version, p.Sync)
		}
	}
	fmt.Fprint(out, "\n")
	for _, w := range todo {
		set.Table(out, w.Workload)
	}
}

// machine is its processors and memory.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.Trim(name, "\t :\n")
				break
			}
		}
	}
	memory := "unknown memory"
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var k int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &k); err == nil {
			memory = fmt.Sprintf("%.1f GiB", float64(k)/(1<<20))
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d × %s, %s, Linux %s", runtime.NumCPU(), model, memory, strings.TrimSpace(string(kernel)))
}
