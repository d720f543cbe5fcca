package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// printJSON writes v as one line.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// isTerminal reports whether w is one that people look at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// fitted is printable, cut in its middle to at most columns of a terminal: the two ends of a key say most.
func fitted(s string, columns int) string {
	runes := []rune(printable(s))
	total := 0
	for _, r := range runes {
		total += cells(r)
	}
	if total <= columns {
		return string(runes)
	}
	if columns < 2 {
		return ""
	}
	head, tail := 0, len(runes)
	for room := (columns - 2) / 2; head < tail && cells(runes[head]) <= room; head++ {
		room -= cells(runes[head])
	}
	for room := (columns - 1) / 2; tail > head && cells(runes[tail-1]) <= room; tail-- {
		room -= cells(runes[tail-1])
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}

// cells is how many columns of a terminal r takes at most. Terminals do not agree, and a line that is short is better than one that wraps.
func cells(r rune) int {
	if r < 0x300 {
		return 1
	}
	return 2
}

// formatTime writes a time for people and scripts alike; it is always UTC.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// human writes a number of bytes with three digits at most.
func human(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f /= 1 << 10; f < 1000 {
			break
		}
	}
	if f < 10 {
		return fmt.Sprintf("%.1f %s", f, unit)
	}
	return fmt.Sprintf("%.0f %s", f, unit)
}

// batch is one action on many objects: it goes on after one fails, and sums up at the end.
type batch struct {
	verb  string    // in the past tense: "copied"
	json  bool      // one line of JSON for each object on out
	quiet bool      // no line for what went well
	out   io.Writer // what was done
	log   io.Writer // what failed, and the sum

	mu           sync.Mutex // guards the fields below and the two writers
	done, failed int
	bytes        int64
	err          error // the last failure
}

// result is one object's line of JSON.
type result struct {
	From  string `json:"from"`
	To    string `json:"to,omitempty"`
	Bytes int64  `json:"bytes"`
	Error string `json:"error,omitempty"`
}

// add counts one object that was done, or that failed with err.
func (b *batch) add(from, to string, n int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := result{From: from, To: to, Bytes: n}
	if err != nil {
		err = explain(err)
		b.failed++
		b.err = err
		r.Error = err.Error()
		fmt.Fprintf(b.log, "cistern: %s: %v\n", printable(from), err)
	} else {
		b.done++
		b.bytes += n
	}
	switch {
	case b.json:
		_ = printJSON(b.out, r) // a reader that went away is no failure of the objects
	case err == nil && !b.quiet && to != "":
		fmt.Fprintf(b.out, "%s -> %s\n", printable(from), printable(to))
	case err == nil && !b.quiet:
		fmt.Fprintf(b.out, "%s %s\n", b.verb, printable(from))
	}
}

// end writes the sum if there was more than one object, and returns the error that the exit code comes from.
func (b *batch) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done+b.failed != 1 {
		noun := "objects"
		if b.done == 1 {
			noun = "object"
		}
		sum := fmt.Sprintf("%s %d %s", b.verb, b.done, noun)
		if b.bytes > 0 {
			sum += ", " + human(b.bytes)
		}
		if b.failed > 0 {
			sum += fmt.Sprintf("; %d failed", b.failed)
		}
		fmt.Fprintln(b.log, sum)
	}
	switch {
	case b.failed == 0:
		return nil
	case b.done > 0:
		return &coded{code: exitPartial, err: errReported}
	case b.failed == 1:
		return &coded{code: exitCode(b.err), err: errReported}
	default:
		return &coded{code: exitFailed, err: errReported}
	}
}
