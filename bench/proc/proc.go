// Package proc runs a server as a child process, measured as a whole tree from /proc.
//
// It ends only what it started, by process id.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tick is the unit of the times in /proc: every Linux that Go runs on says 100 a second.
const tick = 10 * time.Millisecond

// Tree is a started process with all that it started.
type Tree struct {
	cmd  *exec.Cmd
	wg   sync.WaitGroup // the goroutine that reaps it
	done chan struct{}  // closed when it has ended
	err  error          // how; valid once done is closed
	log  tail
}

// Start runs a command. What it prints is kept for Log, at most 16 KiB of it.
func Start(dir string, env []string, name string, args ...string) (*Tree, error) {
	t := &Tree{cmd: exec.Command(name, args...), done: make(chan struct{})}
	t.cmd.Dir = dir
	t.cmd.Env = append(os.Environ(), env...)
	t.cmd.Stdout, t.cmd.Stderr = &t.log, &t.log
	// If the benchmark itself is killed, its children must not stay. It is not enough for servers of several processes, which are ended
	// by Stop in all other cases.
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	t.wg.Go(func() {
		t.err = t.cmd.Wait()
		close(t.done)
	})
	return t, nil
}

// PID is that of the process at the top.
func (t *Tree) PID() int { return t.cmd.Process.Pid }

// Log is the end of what the tree printed.
func (t *Tree) Log() string { return t.log.String() }

// Done is closed when the process at the top has ended.
func (t *Tree) Done() <-chan struct{} { return t.done }

// Stop ends the tree: politely at first, after grace by force.
func (t *Tree) Stop(grace time.Duration) {
	family := t.pids()
	_ = t.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
		_ = t.cmd.Process.Kill()
	}
	t.wg.Wait()
	// What is left of the family has lost its parent. A process id is used anew only after all others were, so that it is still theirs.
	for _, pid := range family[1:] {
		if p, err := readStat(pid); err == nil && p.state != 'Z' {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// pids are those of the tree, the top one first.
func (t *Tree) pids() []int { return Descendants(t.PID()) }

// Descendants are the ids of pid and of everything below it.
func Descendants(pid int) []int {
	children := map[int][]int{}
	for _, p := range all() {
		children[p.parent] = append(children[p.parent], p.pid)
	}
	list := []int{pid}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list
}

// CPU is the processor time of the tree so far, in user and kernel mode.
func (t *Tree) CPU() time.Duration {
	var sum time.Duration
	for _, pid := range t.pids() {
		if p, err := readStat(pid); err == nil {
			sum += p.cpu + p.reaped
		}
	}
	return sum
}

// RSS is the tree's resident memory now, in bytes.
func (t *Tree) RSS() int64 { return t.memory("VmRSS:") }

// Peak is the sum of each process's highest resident memory since it began, or since ResetPeak, in bytes.
func (t *Tree) Peak() int64 { return t.memory("VmHWM:") }

// ResetPeak begins the peak anew.
func (t *Tree) ResetPeak() {
	for _, pid := range t.pids() {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // then the peak counts from the start
	}
}

func (t *Tree) memory(field string) int64 {
	var sum int64
	for _, pid := range t.pids() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, field); ok {
				kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				sum += kib << 10
			}
		}
	}
	return sum
}

// stat is a line of /proc/PID/stat.
type stat struct {
	pid, parent int
	state       byte
	kernel      bool          // a thread of the kernel
	cpu, reaped time.Duration // its own, and that of children that ended
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name may hold anything, but it ends at the last parenthesis.
	i := bytes.LastIndexByte(text, ')')
	f := strings.Fields(string(text[i+1:]))
	if i < 0 || len(f) < 15 {
		return stat{}, errors.New("unexpected form of /proc/PID/stat")
	}
	n := func(i int) time.Duration {
		v, _ := strconv.ParseInt(f[i], 10, 64)
		return time.Duration(v) * tick
	}
	parent, _ := strconv.Atoi(f[1])
	flags, _ := strconv.ParseUint(f[6], 10, 64)
	const kthread = 0x00200000 // PF_KTHREAD
	return stat{pid: pid, parent: parent, state: f[0][0], kernel: flags&kthread != 0, cpu: n(11) + n(12), reaped: n(13) + n(14)}, nil
}

func all() []stat {
	var list []stat
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			list = append(list, s)
		}
	}
	return list
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex // guards b
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - 16<<10; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
