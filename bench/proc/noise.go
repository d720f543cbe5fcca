package proc

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Window watches the machine while something is measured.
type Window struct {
	begin  time.Time
	busy   time.Duration // of all processors
	own    time.Duration // of ours among that
	kernel time.Duration // of the kernel's threads among that: they write back what somebody wrote, which is mostly us
}

// Watch begins a window.
func Watch() Window {
	w := Window{begin: time.Now()}
	w.busy, w.own, w.kernel = sample()
	return w
}

// Others is the part of all processors that other programs used since the window began, from 0 to 1.
func (w Window) Others() float64 {
	busy, own, kernel := sample()
	others := busy - w.busy - (own - w.own) - (kernel - w.kernel)
	whole := time.Since(w.begin) * time.Duration(runtime.NumCPU())
	if whole <= 0 {
		return 0
	}
	return min(1, max(0, float64(others)/float64(whole)))
}

func sample() (busy, own, kernel time.Duration) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(line)
	// cpu user nice system idle iowait irq softirq steal; interrupts belong to nobody.
	for _, i := range []int{1, 2, 3, 8} {
		if i < len(f) {
			v, _ := strconv.ParseInt(f[i], 10, 64)
			busy += time.Duration(v) * tick
		}
	}
	mine := map[int]bool{}
	for _, pid := range Descendants(os.Getpid()) {
		mine[pid] = true
	}
	for _, p := range all() {
		switch {
		case p.kernel:
			kernel += p.cpu
		case mine[p.pid]:
			own += p.cpu + p.reaped
		}
	}
	return busy, own, kernel
}

// Self is the processor time of this process alone, children excluded.
func Self() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
