package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// redraw is how often the live display asks the server.
const redraw = 500 * time.Millisecond

func newFills() *cobra.Command {
	var cl client
	var once, asJSON bool
	c := &cobra.Command{
		Use:   "fills",
		Short: "Show which objects a server is fetching from their sources",
		Long: `Show which objects a server is fetching from their sources now, the oldest first: size, part that has arrived, rate, connections to the
source, readers, and how long it has run. On a terminal the display is renewed twice a second until it is interrupted; elsewhere,
and with --once or --json, it is printed once, with the average rate. Only the operator's key may see it. It is a part of Cistern, not of the
QingStor API.`,
		Example: `  cistern fills
  cistern fills --once
  cistern fills --json`,
		Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			ask := func(ctx context.Context) ([]flying, error) {
				var list []flying
				err := cl.admin(ctx, http.MethodGet, "/-/fills", nil, &list)
				return list, explain(err)
			}
			out := c.OutOrStdout()
			if !once && !asJSON && isTerminal(out) {
				ticker := time.NewTicker(redraw)
				defer ticker.Stop()
				return watch(c.Context(), out, screenOf(out), ticker.C, ask)
			}
			list, err := ask(c.Context())
			if err != nil {
				return err
			}
			if !asJSON {
				_, err := out.Write(table(list, math.MaxInt))
				return err
			}
			for _, f := range list {
				f.Rate = f.average()
				if err := printJSON(out, f); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&once, "once", false, "print once, also on a terminal")
	c.Flags().BoolVar(&asJSON, "json", false, "print once, one JSON object a line")
	return c
}

// flying is a fill as the server's /-/fills describes it.
type flying struct {
	Bucket      string    `json:"bucket"`
	Key         string    `json:"key"`
	URL         string    `json:"url"`
	Size        int64     `json:"size"`    // -1: not known
	Arrived     int64     `json:"arrived"` // bytes
	Connections int       `json:"connections"`
	Readers     int64     `json:"readers"`
	Attempts    int64     `json:"attempts"`
	Started     time.Time `json:"started"`
	Age         float64   `json:"age"` // seconds
	// Rate is in bytes a second. The server does not send it.
	Rate float64 `json:"rate"`
}

// average is the rate since the fill began.
func (f flying) average() float64 {
	if f.Age <= 0 {
		return 0
	}
	return float64(f.Arrived) / f.Age
}

// sameFill names a fill among those of one server.
type sameFill struct {
	bucket, key, url string
	started          int64
}

func (f flying) name() sameFill { return sameFill{f.Bucket, f.Key, f.URL, f.Started.UnixNano()} }

// watch draws what ask answers, now and at each tick, each drawing over the one before, until ctx ends. That is no error; one of ask is.
func watch(ctx context.Context, w io.Writer, screen func() (width, height int), tick <-chan time.Time, ask func(context.Context) ([]flying, error)) error {
	before := map[sameFill]flying{}
	drawn := 0 // lines
	for {
		list, err := ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		now := make(map[sameFill]flying, len(list))
		for i := range list {
			f := &list[i]
			f.Rate = f.average()
			if was, ok := before[f.name()]; ok && f.Age > was.Age {
				f.Rate = float64(f.Arrived-was.Arrived) / (f.Age - was.Age)
			}
			now[f.name()] = *f
		}
		before = now

		width, height := screen()
		text := table(list, width)
		text, lines := fit(text, height-1)
		if drawn > 0 {
			// Up to the first line of the last drawing, then erase all below.
			text = append(fmt.Appendf(nil, "\x1b[%dA\r\x1b[J", drawn), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		drawn = lines
		select {
		case <-tick:
		case <-ctx.Done():
			return nil
		}
	}
}

// fit cuts text to height lines: what scrolled off the screen could not be drawn over.
func fit(text []byte, height int) ([]byte, int) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines = lines[:len(lines)-1] // behind the last end of a line is nothing
	height = max(height, 2)
	if len(lines) <= height {
		return text, len(lines)
	}
	more := fmt.Sprintf("… %d more\n", len(lines)-height+1)
	return append(bytes.Join(lines[:height-1], nil), more...), height
}

// table is the display without what renews it. A line has at most width characters.
func table(list []flying, width int) []byte {
	if len(list) == 0 {
		return []byte("no fills\n")
	}
	var b bytes.Buffer
	line := func(size, percent, rate, conns, readers, age, name string) {
		before := fmt.Sprintf("%8s  %8s  %10s  %5s  %7s  %8s  ", size, percent, rate, conns, readers, age)
		fmt.Fprintf(&b, "%s\n", fitted(before+fitted(name, width-len(before)), width))
	}
	line("size", "done", "rate", "conns", "readers", "age", "object")
	for _, f := range list {
		size, percent := "?", human(f.Arrived) // of an unknown size this is all that can be said
		if f.Size >= 0 {
			size, percent = human(f.Size), "100%"
			if f.Size > 0 {
				percent = fmt.Sprintf("%d%%", int64(float64(f.Arrived)/float64(f.Size)*100))
			}
		}
		age := time.Duration(f.Age * float64(time.Second)).Round(time.Second)
		line(size, percent, human(int64(f.Rate))+"/s", fmt.Sprint(f.Connections), fmt.Sprint(f.Readers), age.String(), location{f.Bucket, f.Key}.String())
	}
	return b.Bytes()
}

// screenOf returns a function that measures w's terminal, in characters. One that does not say has 80 columns and 24 lines.
func screenOf(w io.Writer) func() (width, height int) {
	return func() (int, int) {
		if f, ok := w.(*os.File); ok {
			if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
				return width, height
			}
		}
		return 80, 24
	}
}
