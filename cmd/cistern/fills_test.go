package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// screen is a writer that keeps each drawing.
type screen struct{ drawn []string }

func (s *screen) Write(p []byte) (int, error) {
	s.drawn = append(s.drawn, string(p))
	return len(p), nil
}

const head = "    size      done        rate  conns  readers       age  object\n"

func TestWatch(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	big := flying{Bucket: "demo", Key: "big", Size: 800 << 20, Arrived: 100 << 20, Connections: 1, Readers: 2, Started: began, Age: 10}
	later := big
	later.Arrived, later.Age, later.Connections = 150<<20, 10.5, 8
	unsized := flying{Bucket: "demo", Key: "a\x1b[2Jb", Size: -1, Arrived: 2048, Readers: 1, Started: began, Age: 1}
	answers := [][]flying{{big, unsized}, {later}, nil}

	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time, len(answers))
	var got screen
	asked := 0
	err := watch(ctx, &got, func() (int, int) { return 80, 24 }, tick, func(context.Context) ([]flying, error) {
		if asked == len(answers) {
			cancel() // as an interrupt does while the server is being asked
			return nil, context.Canceled
		}
		asked++
		tick <- time.Time{}
		return answers[asked-1], nil
	})
	if err != nil {
		t.Errorf("watch = %v, want an interrupt to be its good end", err)
	}
	want := []string{
		head +
			" 800 MiB       12%    10 MiB/s      1        2       10s  qs://demo/big\n" +
			"       ?   2.0 KiB   2.0 KiB/s      0        1        1s  \"qs://demo/a\\x1b[2Jb\"\n",
		"\x1b[3A\r\x1b[J" + head +
			" 800 MiB       18%   100 MiB/s      8        2       11s  qs://demo/big\n", // 50 MiB came in the last half second
		"\x1b[2A\r\x1b[Jno fills\n",
	}
	if diff := cmp.Diff(want, got.drawn); diff != "" {
		t.Errorf("drawings (-want +got):\n%s", diff)
	}
}

// No drawing is larger than the screen: what scrolled off could not be drawn over.
func TestWatchFitsTheScreen(t *testing.T) {
	var list []flying
	for i := range 30 {
		list = append(list, flying{Bucket: "demo", Key: fmt.Sprintf("%s/%d", strings.Repeat("漢字", 100), i), Size: 0, Started: time.Unix(int64(i), 0)})
	}
	for _, size := range [][2]int{{80, 24}, {80, 3}, {60, 10}, {20, 10}, {1, 1}} {
		ctx, cancel := context.WithCancel(t.Context())
		tick := make(chan time.Time, 1)
		tick <- time.Time{}
		var got screen
		asked := 0
		err := watch(ctx, &got, func() (int, int) { return size[0], size[1] }, tick, func(context.Context) ([]flying, error) {
			if asked++; asked == 2 {
				cancel()
			}
			return list, nil
		})
		if err != nil || len(got.drawn) != 1 {
			t.Fatalf("watch = %v after %d drawings, want one", err, len(got.drawn))
		}
		lines := strings.Split(strings.TrimSuffix(got.drawn[0], "\n"), "\n")
		if most := max(size[1]-1, 2); len(lines) > most {
			t.Errorf("%d lines on a screen of %d, want at most %d", len(lines), size[1], most)
		}
		if last := lines[len(lines)-1]; !strings.HasSuffix(last, " more") {
			t.Errorf("the last line is %q, want it to say how many are left out", last)
		}
		for _, line := range lines[:len(lines)-1] {
			columns := 0
			for _, r := range line {
				columns += cells(r)
			}
			if columns > size[0] {
				t.Errorf("%q has %d columns on a screen of %d", line, columns, size[0])
			}
		}
	}
}

func TestWatchEndsWithTheServersError(t *testing.T) {
	boom := errors.New("boom")
	err := watch(t.Context(), &bytes.Buffer{}, func() (int, int) { return 80, 24 }, nil, func(context.Context) ([]flying, error) { return nil, boom })
	if !errors.Is(err, boom) {
		t.Errorf("watch = %v, want %v", err, boom)
	}
}

func TestFitted(t *testing.T) {
	for _, tt := range []struct {
		text    string
		columns int
		want    string
	}{
		{"qs://demo/a", 11, "qs://demo/a"},
		{"qs://demo/abc", 11, "qs:/…o/abc"},
		{"漢字漢字", 8, "漢字漢字"},
		{"漢字漢字", 7, "漢…字"},
		{"a\nb", 80, `"a\nb"`},
		{"abc", 2, "…"},
		{"abc", 1, ""},
		{"abc", -5, ""},
		{"", 0, ""},
	} {
		if got := fitted(tt.text, tt.columns); got != tt.want {
			t.Errorf("fitted(%q, %d) = %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}
