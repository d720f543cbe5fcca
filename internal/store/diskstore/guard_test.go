package diskstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// faultyDisk is a disk under the database that fails on demand.
type faultyDisk struct {
	mu   sync.Mutex // guards fail
	fail func(errorfs.Op) bool
	hits atomic.Int64
}

func (d *faultyDisk) set(fail func(errorfs.Op) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *faultyDisk) MaybeError(op errorfs.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail == nil || !d.fail(op) {
		return nil
	}
	d.hits.Add(1)
	return syscall.EIO
}

func (d *faultyDisk) String() string { return "faulty disk" }

func openFaulty(t *testing.T, dir string) (*Engine, *faultyDisk) {
	t.Helper()
	d := new(faultyDisk)
	e, err := Open(dir, Options{fs: errorfs.Wrap(vfs.Default, d)})
	if err != nil {
		t.Fatal(err)
	}
	return e, d
}

func setRecord(e *Engine, key, value string) error {
	return e.Apply(context.Background(), &store.Batch{Set: []store.Record{{Key: []byte(key), Value: []byte(value)}}})
}

// A log that cannot be written makes every write an error, not the end of the process, and the rest stays readable.
func TestFailingLog(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func(errorfs.Op) bool
	}{
		{"sync", func(op errorfs.Op) bool {
			return strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo)
		}},
		{"write", func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileWrite }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			e, disk := openFaulty(t, dir)
			if err := setRecord(e, "a", "1"); err != nil {
				t.Fatal(err)
			}
			disk.set(tc.fail)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					sp, err := e.NewSpool(context.Background(), 100_000)
					if err == nil {
						if _, err := sp.WriteAt(make([]byte, 100_000), 0); err != nil {
							t.Error(err)
						}
						err = e.Apply(context.Background(), &store.Batch{
							Set:  []store.Record{{Key: fmt.Appendf(nil, "b%d", i), Value: []byte(sp.ID())}},
							Keep: []store.Kept{{Spool: sp, Size: 100_000}},
						})
						if derr := sp.Discard(); derr != nil {
							t.Error(derr)
						}
					}
					if !errors.Is(err, object.ErrStore) {
						t.Errorf("Apply = %v, want %v", err, object.ErrStore)
					}
				})
			}
			wg.Wait()
			if disk.hits.Load() == 0 {
				t.Fatal("the disk did not fail")
			}
			if err := setRecord(e, "c", "1"); !errors.Is(err, object.ErrStore) {
				t.Errorf("Apply after the failure = %v, want %v", err, object.ErrStore)
			}
			if v, err := e.Get(context.Background(), []byte("a")); err != nil || string(v) != "1" {
				t.Errorf("Get after the failure = %q, %v, want 1", v, err)
			}
			if err := e.Close(); !errors.Is(err, object.ErrStore) {
				t.Errorf("Close = %v, want %v", err, object.ErrStore)
			}
			if _, err := Open(dir, Options{}); err == nil {
				t.Error("the directory can be opened beside the failed engine")
			}
			// Nobody was told that b0 to b3 are there. If they are after the next start all the same, they are whole.
			again, err := Open(copyDir(t, dir), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if v, err := again.Get(context.Background(), []byte("a")); err != nil || string(v) != "1" {
				t.Errorf("Get after the next start = %q, %v, want 1", v, err)
			}
			for i := range 4 {
				id, err := again.Get(context.Background(), fmt.Appendf(nil, "b%d", i))
				if errors.Is(err, store.ErrNoRecord) {
					continue
				}
				b, err := again.Open(context.Background(), store.BodyID(id))
				if err != nil {
					t.Errorf("record b%d is there after the next start, its body: %v", i, err)
				} else if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A log that cannot be begun (too many open files, for example) is tried again: writes fail meanwhile and work afterwards.
func TestLogCannotBeBegun(t *testing.T) {
	e, disk := openFaulty(t, t.TempDir())
	if err := setRecord(e, "a", "1"); err != nil {
		t.Fatal(err)
	}
	failing := make(chan struct{})
	var once sync.Once
	disk.set(func(op errorfs.Op) bool {
		begin := strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite)
		if begin {
			once.Do(func() { close(failing) })
		}
		return begin
	})
	value := strings.Repeat("v", 300<<10)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { // goes on until the memtable is full and a new log is due
		for i := range 100 {
			if err := setRecord(e, fmt.Sprint(i), value); err != nil {
				ended <- fmt.Errorf("Apply %d: %w", i, err)
				return
			}
		}
		ended <- nil
	})
	<-failing
	if _, err := e.Get(context.Background(), []byte("a")); err != nil {
		t.Errorf("Get while no log can be begun = %v", err)
	}
	disk.set(nil)
	wg.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// A memtable that cannot be flushed (a full disk, for example) makes writes fail, and they work again when it can.
func TestFlushFails(t *testing.T) {
	e, disk := openFaulty(t, t.TempDir())
	disk.set(func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpCreate })
	value := strings.Repeat("v", 300<<10)
	var err error
	n := 0
	for ; err == nil && n < 500; n++ {
		err = setRecord(e, fmt.Sprint(n), value)
	}
	if !errors.Is(err, object.ErrStore) {
		t.Fatalf("Apply = %v, want %v", err, object.ErrStore)
	}
	if _, err := e.Get(context.Background(), []byte("0")); err != nil {
		t.Errorf("Get while nothing can be flushed = %v", err)
	}
	disk.set(nil)
	for err != nil { // until the flush got through; the test's own time limit ends it
		err = setRecord(e, "last", "1")
		runtime.Gosched()
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// A manifest that cannot be written ends writing; what was acknowledged is there at the next start, here of a copy.
func TestFailingManifest(t *testing.T) {
	dir := t.TempDir()
	e, disk := openFaulty(t, dir)
	disk.set(func(op errorfs.Op) bool {
		return strings.Contains(op.Path, "MANIFEST") && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileSync)
	})
	value := strings.Repeat("v", 300<<10)
	acknowledged := 0
	var err error
	for acknowledged < 500 {
		if err = setRecord(e, fmt.Sprint(acknowledged), value); err != nil {
			break
		}
		acknowledged++
	}
	if !errors.Is(err, object.ErrStore) {
		t.Fatalf("Apply = %v, want %v", err, object.ErrStore)
	}
	if err := e.Close(); !errors.Is(err, object.ErrStore) {
		t.Errorf("Close = %v, want %v", err, object.ErrStore)
	}
	again, err := Open(copyDir(t, dir), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range acknowledged {
		if v, err := again.Get(context.Background(), fmt.Append(nil, i)); err != nil || string(v) != value {
			t.Fatalf("record %d of %d after the next start: %d bytes, %v", i, acknowledged, len(v), err)
		}
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
