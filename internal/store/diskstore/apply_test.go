package diskstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cisternhq/cistern/internal/store"
)

// slowDisk makes every sync of the log wait for the gate.
func slowDisk(d *faultyDisk) (gate chan struct{}, waiting chan struct{}, syncs *atomic.Int64) {
	gate, waiting, syncs = make(chan struct{}), make(chan struct{}), new(atomic.Int64)
	var once sync.Once
	d.set(func(op errorfs.Op) bool {
		sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
		if sync && strings.HasSuffix(op.Path, ".log") {
			syncs.Add(1)
			once.Do(func() { close(waiting) })
			<-gate
		}
		return false
	})
	return gate, waiting, syncs
}

// A batch that changes nothing is not answered before what it saw is durable: a second DELETE of a key must not be told that the key is gone
// while the first one still waits for the disk.
func TestApplyWaitsForWhatItSaw(t *testing.T) {
	e, disk := openFaulty(t, t.TempDir())
	gate, waiting, _ := slowDisk(disk)
	var opened atomic.Bool
	var wg sync.WaitGroup
	apply := func(what string, b *store.Batch) {
		wg.Go(func() {
			if err := e.Apply(context.Background(), b); err != nil {
				t.Error(err)
			}
			if !opened.Load() {
				t.Errorf("%s was answered before the log was synced", what)
			}
		})
	}
	apply("a change", &store.Batch{Set: []store.Record{{Key: []byte("a"), Value: []byte("1")}}})
	<-waiting
	if v, err := e.Get(context.Background(), []byte("a")); err != nil || string(v) != "1" {
		t.Errorf("Get while the log is synced = %q, %v, want 1", v, err)
	}
	apply("a batch that only asks", &store.Batch{Require: []store.Condition{{Key: []byte("a"), Equals: []byte("1")}}})
	for i := range 200 { // time for the ones above to be answered, if they do not wait
		err := e.Apply(context.Background(), &store.Batch{NoSync: true, Set: []store.Record{{Key: fmt.Append(nil, i)}}})
		if err != nil {
			t.Error(err)
		}
	}
	opened.Store(true)
	close(gate)
	wg.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// Writers that come while the disk is busy share the next sync.
func TestWritersShareASync(t *testing.T) {
	const writers = 50
	e, disk := openFaulty(t, t.TempDir())
	gate, waiting, syncs := slowDisk(disk)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := setRecord(e, "first", ""); err != nil {
			t.Error(err)
		}
	})
	<-waiting
	for i := range writers {
		wg.Go(func() {
			if err := setRecord(e, fmt.Sprint(i), ""); err != nil {
				t.Error(err)
			}
		})
	}
	// All are applied, and so visible, while the one sync is still under way: nobody holds anything while waiting for it.
	for i := range writers {
		for {
			if _, err := e.Get(context.Background(), fmt.Append(nil, i)); err == nil {
				break
			}
		}
	}
	before := syncs.Load()
	close(gate)
	wg.Wait()
	if n := syncs.Load() - before; n > writers/5 {
		t.Errorf("%d writers needed %d syncs", writers, n)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// Idle, the engine is small; so it opens quickly.
func BenchmarkOpenClose(b *testing.B) {
	for b.Loop() {
		e, err := Open(b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 256 << 10} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%dKiB/%dwriters", size>>10, writers), func(b *testing.B) {
				e, err := Open(b.TempDir(), Options{})
				if err != nil {
					b.Fatal(err)
				}
				s := store.New(e)
				bucket, err := s.CreateBucket(context.Background(), "bucket", "owner", "zone")
				if err != nil {
					b.Fatal(err)
				}
				content := make([]byte, size)
				b.SetBytes(int64(size))
				b.SetParallelism(writers / 2)
				var n atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := putOne(s, bucket, fmt.Sprint(n.Add(1)), content); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.StopTimer()
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func BenchmarkList(b *testing.B) {
	e, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := store.New(e)
	bucket, err := s.CreateBucket(context.Background(), "bucket", "owner", "zone")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := range 300 {
				if err := putOne(s, bucket, fmt.Sprintf("dir%02d/%05d", w, i), []byte("content")); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		p, err := s.List(context.Background(), bucket, store.ListQuery{Marker: "dir10/00100", Limit: 1000})
		if err != nil || len(p.Entries) != 1000 {
			b.Fatalf("%d entries, %v", len(p.Entries), err)
		}
	}
	b.StopTimer()
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
