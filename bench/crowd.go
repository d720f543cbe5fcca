package main

import (
	"context"
	"time"

	"github.com/cisternhq/cistern/bench/content"
	"github.com/cisternhq/cistern/bench/load"
	"github.com/cisternhq/cistern/bench/origin"
	"github.com/cisternhq/cistern/bench/report"
)

// crowds are many readers who want the same cold object at the same moment.
func crowds(size func(int64) int64, count func(int) int) []workload {
	last := report.Figure{Name: "last", Title: "last reader s", Digits: 3}
	p99 := report.Figure{Name: "first", Title: "first byte p99 ms", Digits: 1, Alone: true}
	w := func(name, title string, readers, direct int, o content.Object, p origin.Profile, goals []report.Goal, peers ...string) workload {
		return workload{
			Workload: report.Workload{
				Name: name, Title: title, Peers: peers, Goals: goals,
				Figures: []report.Figure{last, p99, colCPU, colPeak, colByte, colGETs},
			},
			profile: p,
			once:    []string{"nginx-cache", "mirror"},
			run: func(ctx context.Context, t *trial) error {
				n := readers
				if t.s.Direct {
					n = direct
				}
				got, err := load.Crowd(ctx, t.s.Addr, n, load.Request{Path: t.s.Path(o.Key), Object: o})
				var firsts []time.Duration
				var longest time.Duration
				for _, g := range got {
					firsts = append(firsts, g.First)
					longest = max(longest, g.Last)
				}
				t.figures["last"] = longest.Seconds()
				t.figures["first"] = milliseconds(load.Sorted(firsts, 0.99))
				return err
			},
			after: func(ctx context.Context, t *trial) error { return t.kept(ctx, o) },
		}
	}
	many := count(200)
	return []workload{
		w("crowd-100", "100 readers of one cold object of 32 MiB; the origin has no ranges and sends 16 MiB/s on each connection. Direct is one reader.",
			count(100), 1, content.Named("crowd", size(32*mib)), origin.Profile{Rate: 16 * mib, NoRanges: true},
			[]report.Goal{{Figure: "last", Peer: "direct", Factor: 1.1}, {Figure: "first", Plus: 50}, {Figure: "gets", Plus: 1}},
			"direct", "cistern", "nginx-cache", "varnish", "mirror"),
		w("crowd-200", "200 readers of one cold object of 64 MiB; the origin sends 64 MiB/s on each connection. Direct is 200 readers, too: what the machine can do at all.",
			many, many, content.Named("crowd", size(64*mib)), origin.Profile{Rate: 64 * mib},
			[]report.Goal{{Figure: "last", Peer: "varnish", Factor: 1}, {Figure: "last", Peer: "direct", Factor: 1.1}, {Figure: "fetched", Plus: 1}},
			"varnish", "cistern", "direct", "nginx-cache", "mirror"),
	}
}
