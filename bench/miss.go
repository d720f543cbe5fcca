package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cisternhq/cistern/bench/content"
	"github.com/cisternhq/cistern/bench/load"
	"github.com/cisternhq/cistern/bench/origin"
	"github.com/cisternhq/cistern/bench/report"
)

var colFirst = report.Figure{Name: "first", Title: "first byte ms", Digits: 2, Alone: true}

// missLarge is one reader of one large object that is not there.
func missLarge(size func(int64) int64) []workload {
	o := content.Named("large", size(gib))
	total := report.Figure{Name: "total", Title: "total s", Digits: 3}
	w := func(name, title string, p origin.Profile, goals []report.Goal, peers ...string) workload {
		return workload{
			Workload: report.Workload{
				Name: name, Title: title, Peers: peers, Goals: goals,
				Figures: []report.Figure{colFirst, total, colCPU, colPeak, colByte, colGETs},
			},
			profile: p,
			once:    []string{"mirror"},
			run: func(ctx context.Context, t *trial) error {
				got, err := load.One(ctx, t.s.Addr, load.Request{Path: t.s.Path(o.Key), Object: o})
				t.figures["first"] = milliseconds(got.First)
				t.figures["total"] = got.Last.Seconds()
				return err
			},
			after: func(ctx context.Context, t *trial) error { return t.kept(ctx, o) },
		}
	}
	return []workload{
		w("miss-large", "One reader gets a cold object of 1 GiB; the origin is as fast as memory.", origin.Profile{},
			[]report.Goal{{Figure: "total", Peer: "nginx-cache", Factor: 0.8}, {Figure: "total", Peer: "varnish", Factor: 1}},
			"nginx-cache", "cistern", "direct", "varnish", "mirror"),
		w("miss-large-256", "The same; the origin sends 256 MiB/s on each connection.", origin.Profile{Rate: 256 * mib},
			[]report.Goal{{Figure: "first", Peer: "direct", Factor: 1, Plus: 1}, {Figure: "total", Peer: "direct", Factor: 1.05}},
			"direct", "cistern", "nginx-cache"),
	}
}

// kept reads o once more, which must not cost the origin anything, and sets what it was asked for in all.
func (t *trial) kept(ctx context.Context, o content.Object) error {
	if !t.s.Direct {
		if _, err := load.One(ctx, t.s.Addr, load.Request{Path: t.s.Path(o.Key), Object: o}); err != nil {
			return fmt.Errorf("the second time: %w", err)
		}
	}
	c, err := t.b.settled(ctx)
	if err != nil {
		return err
	}
	t.figures["gets"] = float64(c.GETs)
	t.figures["fetched"] = float64(c.Bytes) / float64(o.Size)
	if !t.s.Direct && float64(c.Bytes) > 1.5*float64(o.Size) {
		return fmt.Errorf("%d bytes were fetched for %d: it was not kept", c.Bytes, o.Size)
	}
	return nil
}

// settled are the counts once the origin sends nothing any more: a request is counted when it has ended, which may be a moment after its
// last byte was read.
func (b *bench) settled(ctx context.Context) (origin.Count, error) {
	last, err := b.total(ctx)
	for range 100 {
		time.Sleep(20 * time.Millisecond)
		c, err := b.total(ctx)
		if err != nil || c == last {
			return c, err
		}
		last = c
	}
	return last, err
}

// missSmall is many clients that ask for small objects, each of them once.
func missSmall(while func(time.Duration) time.Duration) []workload {
	const size, clients = 16 << 10, 64
	w := func(name, title string, delay time.Duration, goals []report.Goal, peers ...string) workload {
		return workload{
			Workload: report.Workload{
				Name: name, Title: title, Peers: peers, Goals: goals,
				Figures: []report.Figure{colRate, colP50, colP99, colCPU, colPeak},
			},
			profile: origin.Profile{Delay: delay},
			once:    []string{"nginx-store", "varnish", "mirror"},
			run: func(ctx context.Context, t *trial) error {
				f, err := load.Drive(ctx, t.s.Addr, clients, while(3*time.Second), func(c *load.Conn, i int) (int64, bool, error) {
					o := content.Named(fmt.Sprintf("s%d", i), size)
					got, err := c.Get(load.Request{Path: t.s.Path(o.Key), Object: o})
					return got.Bytes, true, err
				})
				t.flow(f)
				if err != nil {
					return err
				}
				c, err := t.b.settled(ctx)
				if err == nil && c.GETs != f.Requests {
					err = fmt.Errorf("the origin was asked %d times for %d keys", c.GETs, f.Requests)
				}
				return err
			},
		}
	}
	return []workload{
		w("miss-small", "64 clients get distinct cold objects of 16 KiB; the origin answers at once.", 0,
			[]report.Goal{{Figure: "rate", Peer: "nginx-cache", Factor: 1, Least: true}},
			"nginx-cache", "cistern", "nginx-store", "varnish", "mirror", "direct"),
		w("miss-small-20ms", "The same; the origin answers after 20 ms.", 20*time.Millisecond,
			[]report.Goal{{Figure: "p50", Peer: "direct", Factor: 1, Plus: 1}},
			"direct", "cistern", "nginx-cache", "nginx-store", "varnish"),
	}
}

// flow sets the figures of many requests.
func (t *trial) flow(f load.Flow) {
	t.figures["rate"] = f.Rate()
	t.figures["p50"] = milliseconds(f.Quantile(0.5))
	t.figures["p99"] = milliseconds(f.Quantile(0.99))
}

// seek is one reader who begins at the end of a large object that is not there.
func seek(size func(int64) int64) workload {
	o := content.Named("large", size(gib))
	part := min(mib, o.Size)
	return workload{
		Workload: report.Workload{
			Name:  "seek",
			Title: "One reader gets the last MiB of a cold object of 1 GiB; the origin sends 64 MiB/s on each connection. Then the whole object is read, and it must have been kept.",
			Peers: []string{"direct", "cistern", "nginx-slice", "nginx-cache"},
			Figures: []report.Figure{
				colFirst, {Name: "part", Title: "the MiB ms", Digits: 2}, {Name: "whole", Title: "whole object s", Digits: 2}, colCPU, colPeak, colByte, colGETs,
			},
			Goals: []report.Goal{{Figure: "first", Peer: "direct", Factor: 1, Plus: 2}, {Figure: "part", Peer: "direct", Factor: 1, Plus: 2}},
		},
		profile: origin.Profile{Rate: 64 * mib},
		once:    []string{"nginx-slice", "nginx-cache"},
		run: func(ctx context.Context, t *trial) error {
			begin := time.Now()
			got, err := load.One(ctx, t.s.Addr, load.Request{Path: t.s.Path(o.Key), Object: o, From: o.Size - part, To: o.Size})
			t.figures["first"] = milliseconds(got.First)
			t.figures["part"] = milliseconds(got.Last)
			if err != nil || t.s.Direct {
				return err
			}
			if _, err := load.One(ctx, t.s.Addr, load.Request{Path: t.s.Path(o.Key), Object: o}); err != nil {
				return fmt.Errorf("the whole object: %w", err)
			}
			t.figures["whole"] = time.Since(begin).Seconds()
			return nil
		},
		after: func(ctx context.Context, t *trial) error {
			if t.s.Direct {
				return nil
			}
			return t.kept(ctx, o)
		},
	}
}

// throttled is one reader behind an origin that gives each connection little.
func throttled(size func(int64) int64) workload {
	o := content.Named("large", size(256*mib))
	return workload{
		Workload: report.Workload{
			Name:  "throttled",
			Title: "One reader gets a cold object of 256 MiB; the origin sends 16 MiB/s on each connection, of which Cistern opens up to 8.",
			Peers: []string{"direct", "cistern", "nginx-cache"},
			Figures: []report.Figure{
				colFirst, {Name: "total", Title: "total s", Digits: 2}, {Name: "most", Title: "connections", Digits: 0, Alone: true}, colCPU, colPeak, colByte, colGETs,
			},
			Goals: []report.Goal{{Figure: "total", Peer: "direct", Factor: 1.0 / 4}, {Figure: "total", Peer: "direct", Factor: 1.0 / 7}},
		},
		profile: origin.Profile{Rate: 16 * mib},
		once:    []string{"nginx-cache"},
		run: func(ctx context.Context, t *trial) error {
			got, err := load.One(ctx, t.s.Addr, load.Request{Path: t.s.Path(o.Key), Object: o})
			t.figures["first"] = milliseconds(got.First)
			t.figures["total"] = got.Last.Seconds()
			if err != nil {
				return err
			}
			c, err := t.b.total(ctx)
			t.figures["most"] = float64(c.Most)
			return err
		},
		after: func(ctx context.Context, t *trial) error { return t.kept(ctx, o) },
	}
}
