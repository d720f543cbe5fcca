package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cisternhq/cistern/bench/content"
	"github.com/cisternhq/cistern/bench/load"
	"github.com/cisternhq/cistern/bench/report"
)

// hitSmall is many clients that ask for small objects that are there.
func hitSmall(while func(time.Duration) time.Duration) []workload {
	const clients, keys = 64, 64
	var list []workload
	for _, kind := range []struct {
		name  string
		size  int64
		goals []report.Goal
	}{
		{"hit-1k", kib, []report.Goal{{Figure: "rate", Peer: "floor", Factor: 0.85, Least: true}, {Figure: "rate", Peer: "minio", Factor: 3, Least: true}}},
		{"hit-16k", 16 * kib, []report.Goal{{Figure: "rate", Peer: "floor", Factor: 0.85, Least: true}, {Figure: "rate", Peer: "minio", Factor: 3, Least: true}, {Figure: "peak", Plus: 80}}},
		{"hit-256k", 256 * kib, []report.Goal{
			{Figure: "rate", Peer: "nginx", Factor: 1, Least: true}, {Figure: "rate", Peer: "floor", Factor: 0.95, Least: true}, {Figure: "cpugib", Plus: 0.45},
		}},
	} {
		var objects []content.Object
		for i := range keys {
			objects = append(objects, content.Named(fmt.Sprintf("h%d", i), kind.size))
		}
		list = append(list, workload{
			Workload: report.Workload{
				Name: kind.name, Title: fmt.Sprintf("%d connections ask for %d objects of %d KiB that are there (wrk).", clients, keys, kind.size>>10),
				Peers:   []string{"floor", "cistern", "nginx", "varnish", "minio", "versitygw"},
				Figures: []report.Figure{colRate, {Name: "cpugib", Title: "CPU s a GiB", Digits: 2}, {Name: "cpureq", Title: "CPU µs a request", Digits: 1}, colPeak},
				Goals:   kind.goals,
			},
			once:    []string{"varnish", "minio", "versitygw"},
			objects: objects,
			run: func(ctx context.Context, t *trial) error {
				var paths []string
				for _, o := range objects {
					paths = append(paths, t.s.Path(o.Key))
				}
				var f load.Flow
				var err error
				if load.HasWrk() {
					f, err = load.Wrk(ctx, t.dir, t.s.Addr, paths, "", clients, while(3*time.Second))
				} else {
					f, err = load.Drive(ctx, t.s.Addr, clients, while(3*time.Second), func(c *load.Conn, i int) (int64, bool, error) {
						got, err := c.Get(load.Request{Path: paths[i%keys], Object: objects[i%keys]})
						return got.Bytes, true, err
					})
				}
				t.throughput(f)
				return err
			},
			after: func(ctx context.Context, t *trial) error { return t.readAll(ctx, objects) },
		})
	}
	return list
}

// throughput sets the figures of hits.
func (t *trial) throughput(f load.Flow) {
	cpu := t.cpuNow() - t.cpu
	t.figures["rate"] = f.Rate()
	t.figures["gbs"] = float64(f.Bytes) / f.Time.Seconds() / 1e9
	t.figures["cpugib"] = cpu.Seconds() / (float64(f.Bytes) / float64(gib))
	t.figures["cpureq"] = float64(cpu.Microseconds()) / float64(f.Requests)
}

// hitLarge is few clients that ask for a large object that is there.
func hitLarge(size func(int64) int64, while func(time.Duration) time.Duration) []workload {
	var list []workload
	for _, kind := range []struct {
		name    string
		size    int64
		clients int
		full    bool
	}{{"hit-64m-1", 64 * mib, 1, true}, {"hit-64m-8", 64 * mib, 8, true}, {"hit-1g-1", gib, 1, true}, {"hit-1g-8", gib, 8, false}} {
		o := content.Named("large", size(kind.size))
		list = append(list, workload{
			Workload: report.Workload{
				Name: kind.name, Title: fmt.Sprintf("An object of %d MiB that is there, clients: %d.", kind.size>>20, kind.clients),
				Peers:   []string{"nginx", "cistern", "floor"},
				Figures: []report.Figure{{Name: "gbs", Title: "GB/s", Digits: 2}, {Name: "cpugib", Title: "CPU s a GiB", Digits: 3}, colPeak},
				Goals: []report.Goal{
					{Figure: "gbs", Peer: "nginx", Factor: 1, Least: true}, {Figure: "gbs", Peer: "floor", Factor: 0.95, Least: true}, {Figure: "cpugib", Plus: 0.45},
				},
			},
			full:    kind.full,
			objects: []content.Object{o},
			run: func(ctx context.Context, t *trial) error {
				q := load.Request{Path: t.s.Path(o.Key), Object: o}
				f, err := load.Drive(ctx, t.s.Addr, kind.clients, while(3*time.Second), func(c *load.Conn, _ int) (int64, bool, error) {
					got, err := c.Get(q)
					return got.Bytes, true, err
				})
				if err == nil {
					t.throughput(f)
				}
				return err
			},
		})
	}
	return list
}
