package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cisternhq/cistern/bench/content"
	"github.com/cisternhq/cistern/bench/load"
	"github.com/cisternhq/cistern/bench/report"
)

// lists are a client that lists a large bucket, page after page.
func lists(count func(int) int) []workload {
	const size, perPage = 16, 1000
	object := func(i int) content.Object { return content.Named(fmt.Sprintf("k%08d", i), size) }
	listed := func(i int) string { return object(i).Key }
	w := func(name string, keys int, full bool, peers ...string) workload {
		return workload{
			Workload: report.Workload{
				Name: name, Title: fmt.Sprintf("One client lists %d keys, 1,000 a page, three times or for 20 s.", keys), Peers: peers,
				Figures: []report.Figure{{Name: "rate", Title: "pages a second", Digits: 1}, colP50, colP99, colCPU, colPeak, {Name: "filled", Title: "PUTs a second, 64 writers", Digits: 0, Alone: true}},
				Goals:   []report.Goal{{Figure: "rate", Peer: peers[0], Factor: 20, Least: true}},
			},
			full: full,
			once: peers, // the bucket takes long to fill
			prepare: func(ctx context.Context, t *trial) error {
				if t.s.Folder != "" {
					for i := range keys {
						o := object(i)
						if err := layFile(filepath.Join(t.s.Folder, filepath.FromSlash(o.Key)), o); err != nil {
							return err
						}
					}
					return nil
				}
				f, err := load.Drive(ctx, t.s.Addr, 64, time.Hour, func(c *load.Conn, i int) (int64, bool, error) {
					if i >= keys {
						return 0, false, nil
					}
					o := object(i)
					_, err := c.Send(t.s.Put(o.Key, o.Size), o.Bytes())
					return size, true, err
				})
				t.figures["filled"] = f.Rate()
				return err
			},
			run: func(ctx context.Context, t *trial) error {
				pages := (keys + perPage - 1) / perPage
				t.pages = make([][]byte, pages)
				// The keys are known, and with them the markers, so that nothing of a page has to be understood while the clock runs.
				f, err := load.Drive(ctx, t.s.Addr, 1, 20*time.Second, func(c *load.Conn, i int) (int64, bool, error) {
					if i == 3*pages {
						return 0, false, nil
					}
					marker := ""
					if i%pages > 0 {
						marker = listed(i%pages*perPage - 1)
					}
					text, err := c.Text(t.s.List(marker))
					if err != nil {
						return 0, false, err
					}
					if i < pages {
						t.pages[i] = text
					} else if !bytes.Equal(text, t.pages[i%pages]) {
						return 0, false, fmt.Errorf("page %d is another one than before", i%pages)
					}
					return int64(len(text)), true, nil
				})
				t.flow(f)
				return err
			},
			after: func(_ context.Context, t *trial) error {
				for i, text := range t.pages {
					if text == nil {
						break // the time was over
					}
					got, err := t.s.Keys(text)
					if err != nil {
						return err
					}
					if want := min(perPage, keys-i*perPage); len(got) != want {
						return fmt.Errorf("page %d has %d keys, want %d", i, len(got), want)
					}
					for k, key := range got {
						if want := listed(i*perPage + k); key != want {
							return fmt.Errorf("page %d has key %q, want %q", i, key, want)
						}
					}
				}
				return nil
			},
		}
	}
	return []workload{
		w("list", count(200_000), false, "versitygw", "cistern"),
		w("list-minio", count(200_000), true, "minio", "cistern"),
	}
}
