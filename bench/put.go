package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cisternhq/cistern/bench/content"
	"github.com/cisternhq/cistern/bench/load"
	"github.com/cisternhq/cistern/bench/report"
)

// puts are writers of small and of larger objects.
func puts(while func(time.Duration) time.Duration) []workload {
	var list []workload
	for _, kind := range []struct {
		name    string
		size    int64
		writers int
		most    int // requests that are made ready
		factor  float64
		full    bool
	}{
		{"put-4k-1", 4 * kib, 1, 30_000, 5, false}, {"put-4k-16", 4 * kib, 16, 60_000, 5, true}, {"put-4k-64", 4 * kib, 64, 90_000, 5, false},
		{"put-1m-16", mib, 16, 6_000, 1.5, false},
	} {
		list = append(list, workload{
			Workload: report.Workload{
				Name: kind.name, Title: fmt.Sprintf("Signed PUTs of %d KiB, writers: %d. What is written is read back and checked.", kind.size>>10, kind.writers),
				Peers:   []string{"minio", "cistern", "versitygw"},
				Figures: []report.Figure{colRate, colP50, colP99, colCPU, colPeak},
				Goals:   []report.Goal{{Figure: "rate", Peer: "minio", Factor: kind.factor, Least: true}},
			},
			full: kind.full,
			once: []string{"versitygw"},
			prepare: func(_ context.Context, t *trial) error {
				t.heads = t.heads[:0]
				for i := range kind.most {
					o := content.Named(fmt.Sprintf("p%d", i), kind.size)
					t.objects = append(t.objects, o)
					t.heads = append(t.heads, t.s.Put(o.Key, o.Size))
				}
				return nil
			},
			run: func(ctx context.Context, t *trial) error {
				f, err := load.Drive(ctx, t.s.Addr, kind.writers, while(3*time.Second), func(c *load.Conn, i int) (int64, bool, error) {
					if i >= len(t.heads) {
						return 0, false, nil
					}
					body := t.objects[i].Slice(0, kind.size)
					if int64(len(body)) < kind.size {
						body = t.objects[i].Bytes()
					}
					_, err := c.Send(t.heads[i], body)
					return kind.size, true, err
				})
				t.written = int(f.Requests)
				t.flow(f)
				return err
			},
			after: func(ctx context.Context, t *trial) error {
				// Requests may have ended in another order than they began, but every one that began has ended.
				step := max(1, t.written/500)
				c, err := load.Dial(ctx, t.s.Addr)
				if err != nil {
					return err
				}
				defer c.Close()
				for i := 0; i < t.written; i += step {
					o := t.objects[i]
					if _, err := c.Get(load.Request{Path: t.s.Path(o.Key), Object: o}); err != nil {
						return fmt.Errorf("read back: %w", err)
					}
				}
				if sum, err := t.b.total(ctx); err != nil || sum.Requests > 0 {
					return errors.Join(err, fmt.Errorf("what was written came from the origin %d times", sum.Requests))
				}
				return nil
			},
		})
	}
	return list
}
