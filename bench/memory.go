package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/bench/content"
	"github.com/cisternhq/cistern/bench/load"
	"github.com/cisternhq/cistern/bench/origin"
	"github.com/cisternhq/cistern/bench/report"
)

// memory is what servers take for doing nothing, and for many who are slow.
func memory(size func(int64) int64, while func(time.Duration) time.Duration, count func(int) int) []workload {
	flights, readers := count(100), count(1000)
	colIdle := report.Figure{Name: "idle", Title: "idle MiB", Digits: 1}
	return []workload{
		{
			Workload: report.Workload{
				Name: "idle", Title: "From the start of the process to its first answer, and its memory a second after that.",
				Peers:   []string{"nginx", "cistern", "varnish", "minio", "versitygw", "floor"},
				Figures: []report.Figure{{Name: "start", Title: "start ms", Digits: 0}, colIdle},
				Goals:   []report.Goal{{Figure: "idle", Plus: 40}},
			},
			once: []string{"varnish", "minio", "versitygw"},
			run: func(ctx context.Context, t *trial) error {
				t.figures["start"] = milliseconds(t.started)
				return t.idle(ctx)
			},
		},
		{
			Workload: report.Workload{
				Name:  "slow-readers",
				Title: fmt.Sprintf("%d readers with 64 KiB/s each, on %d cold objects of 1 GiB that are being filled with 256 KiB/s a connection. Memory is the highest within 12 s.", readers, flights),
				Peers: []string{"nginx-cache", "cistern"},
				Figures: []report.Figure{
					colIdle, {Name: "above", Title: "above idle MiB", Digits: 1}, {Name: "starved", Title: "readers without a byte", Digits: 0, Alone: true}, {Name: "read", Title: "read MiB", Digits: 0, Alone: true}, colCPU,
				},
				Goals: []report.Goal{{Figure: "above", Plus: 150}, {Figure: "starved", Plus: 0}},
			},
			profile: origin.Profile{Rate: 256 * kib},
			once:    []string{"nginx-cache"},
			// One address stands for all sources here.
			flags:   []string{"--source-connections", "256"},
			prepare: func(ctx context.Context, t *trial) error { return t.idle(ctx) },
			run: func(ctx context.Context, t *trial) error {
				starved, read, err := slowReaders(ctx, t, readers, flights, size(gib), while(12*time.Second))
				t.figures["starved"] = float64(starved)
				t.figures["read"] = float64(read) / float64(mib)
				t.figures["above"] = float64(t.s.Peak())/float64(mib) - t.figures["idle"]
				return err
			},
		},
	}
}

// idle sets the memory of a server that had a second to settle.
func (t *trial) idle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
	}
	t.figures["idle"] = float64(t.s.RSS()) / float64(mib)
	return nil
}

// slowReaders holds readers on objects for a while and cuts them then. It returns how many got nothing, and how many bytes all got together.
func slowReaders(ctx context.Context, t *trial, readers, objects int, size int64, while time.Duration) (starved int, all int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	got := make([]atomic.Int64, readers)
	errs := make([]error, readers)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			o := content.Named(fmt.Sprintf("slow%d", i%objects), size)
			err := load.Slowly(ctx, t.s.Addr, load.Request{Path: t.s.Path(o.Key), Object: o}, 16<<10, 250*time.Millisecond, &got[i])
			if ctx.Err() == nil { // else it was we who cut it
				errs[i] = err
			}
		})
	}
	wg.Wait()
	for i := range got {
		n := got[i].Load()
		all += n
		if n == 0 {
			starved++
		}
	}
	return starved, all, load.First(errs)
}
