package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// unfinishedTests are about bodies that one spool leaves and another one takes up.
var unfinishedTests = []test{
	{"what was left is reopened, written on and kept", func(t *testing.T, e store.Engine) {
		for _, n := range []int{2, 100, 100_000, 600_000} {
			content := Content(uint64(n), n)
			for _, hint := range []int64{int64(n), -1} {
				id := left(t, e, hint, content[:n/2])
				sp := reopen(t, e, id, n/2)
				if sp.ID() != id {
					t.Fatalf("the ID is %q after Reopen, was %q", sp.ID(), id)
				}
				b, err := sp.Open()
				check(t, err)
				wantBytes(t, "a reopened spool", readBody(t, b), content[:n/2])
				_, err = sp.WriteAt(content[n/2:], int64(n/2))
				check(t, err)
				wantBytes(t, "a reopened spool that is written on", readBody(t, b), content)
				keep(t, e, sp, n)
				wantBytes(t, "a reader of it, after Apply", readBody(t, b), content)
				check(t, b.Close())
				wantBody(t, e, id, content)
			}
		}
	}},
	{"a body may be left and reopened again and again", func(t *testing.T, e store.Engine) {
		const n, step = 300_000, 30_000
		content := Content(21, n)
		id := left(t, e, n, nil)
		for off := 0; off < n; off += step {
			sp := reopen(t, e, id, off)
			_, err := sp.WriteAt(content[off:off+step], int64(off))
			check(t, err)
			wantSync(t, sp, off+step)
			check(t, sp.Leave())
		}
		keep(t, e, reopen(t, e, id, n), n)
		wantBody(t, e, id, content)
	}},
	{"what is behind the size is cut off", func(t *testing.T, e store.Engine) {
		for _, n := range []int{1000, 300_000, 1 << 20} {
			content := Content(22, n)
			for _, size := range []int{0, 1, n / 2, n - 1} {
				id := left(t, e, int64(n), content)
				sp := reopen(t, e, id, size)
				b, err := sp.Open()
				check(t, err)
				wantBytes(t, "a reopened spool", readBody(t, b), content[:size])
				_, err = sp.WriteAt([]byte{'x'}, int64(n-1))
				check(t, err)
				want := append(append(bytes.Clone(content[:size]), make([]byte, n-1-size)...), 'x')
				wantBytes(t, "a reopened spool with a hole", readBody(t, b), want)
				check(t, b.Close())
				keep(t, e, sp, n)
				wantBody(t, e, id, want)
			}
		}
	}},
	{"what is not there, or shorter, is damage", func(t *testing.T, e store.Engine) {
		for _, id := range []store.BodyID{"", "x", "../../etc/passwd", "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdefs"} {
			_, err := e.Reopen(bg, id, 0)
			wantErr(t, "Reopen of nothing", err, object.ErrDamaged)
		}
		for _, n := range []int{100, 100_000} {
			content := Content(23, n)
			id := left(t, e, int64(n), content)
			for _, size := range []int64{int64(n) + 1, 1 << 60, -1} {
				_, err := e.Reopen(bg, id, size)
				wantErr(t, "Reopen of a body that is shorter", err, object.ErrDamaged)
			}
			keep(t, e, reopen(t, e, id, n), n) // it was not touched
			wantBody(t, e, id, content)
			_, err := e.Reopen(bg, id, 0)
			wantErr(t, "Reopen of a body at rest", err, object.ErrDamaged)
			wantBody(t, e, id, content)
		}
	}},
	{"an unfinished body is no body at rest", func(t *testing.T, e store.Engine) {
		id := left(t, e, 100_000, Content(24, 100_000))
		_, err := e.Open(bg, id)
		wantErr(t, "Open", err, object.ErrDamaged)
	}},
	{"a body that is being written is taken", func(t *testing.T, e store.Engine) {
		for _, n := range []int{100, 100_000} {
			sp := spoolOf(t, e, Content(25, n))
			wantSync(t, sp, n)
			_, err := e.Reopen(bg, sp.ID(), int64(n))
			wantErr(t, "Reopen of a new spool", err, store.ErrTaken)
			check(t, sp.Leave())
			again := reopen(t, e, sp.ID(), n)
			_, err = e.Reopen(bg, sp.ID(), int64(n))
			wantErr(t, "Reopen of a reopened spool", err, store.ErrTaken)
			if _, err := sp.WriteAt([]byte("x"), 0); err == nil {
				t.Fatal("who left the spool still writes")
			}
			if _, err := sp.Sync(); err == nil {
				t.Fatal("who left the spool still syncs")
			}
			wantErr(t, "Apply of a spool that was left", e.Apply(bg, &store.Batch{Keep: []store.Kept{{Spool: sp, Size: int64(n)}}}), object.ErrStore)
			check(t, sp.Discard())
			check(t, sp.Leave())
			_, err = e.Reopen(bg, sp.ID(), int64(n))
			wantErr(t, "Reopen after the first spool ended again", err, store.ErrTaken)
			check(t, again.Discard())
			_, err = e.Reopen(bg, sp.ID(), 0)
			wantErr(t, "Reopen of a discarded body", err, object.ErrDamaged)
		}
	}},
	{"of many who reopen a body at once, one gets it", func(t *testing.T, e store.Engine) {
		id := left(t, e, 100_000, Content(26, 100_000))
		var got atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := e.Reopen(bg, id, 100_000)
				if err == nil {
					got.Add(1)
				} else if !errors.Is(err, store.ErrTaken) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Fatalf("%d got it, want 1", got.Load())
		}
	}},
	{"a spool that was never synced leaves nothing", func(t *testing.T, e store.Engine) {
		for _, n := range []int{0, 100, 100_000} {
			sp := spoolOf(t, e, Content(27, n))
			check(t, sp.Leave())
			_, err := e.Reopen(bg, sp.ID(), 0)
			wantErr(t, "Reopen", err, object.ErrDamaged)
		}
	}},
	{"Leave after the end changes nothing", func(t *testing.T, e store.Engine) {
		for _, n := range []int{100, 100_000} {
			content := Content(28, n)
			sp := spoolOf(t, e, content)
			wantSync(t, sp, n)
			keep(t, e, sp, n)
			check(t, sp.Leave())
			wantBody(t, e, sp.ID(), content)
			sp = spoolOf(t, e, content)
			wantSync(t, sp, n)
			check(t, sp.Discard())
			check(t, sp.Leave())
			_, err := e.Reopen(bg, sp.ID(), 0)
			wantErr(t, "Reopen", err, object.ErrDamaged)
		}
	}},
	{"who reads a spool that is left reads on", func(t *testing.T, e store.Engine) {
		for _, n := range []int{100, 100_000} {
			content := Content(29, n)
			sp := spoolOf(t, e, content)
			b, err := sp.Open()
			check(t, err)
			wantSync(t, sp, n)
			wantBytes(t, "a reader after Sync", readBody(t, b), content)
			check(t, sp.Leave())
			wantBytes(t, "a reader after Leave", readBody(t, b), content)
			forget(t, e, sp.ID())
			wantBytes(t, "a reader after Forget", readBody(t, b), content)
			check(t, b.Close())
		}
	}},
	{"a spool is synced while it is written", func(t *testing.T, e store.Engine) {
		const n, step = 400_000, 4_000
		content := Content(30, n)
		sp, err := e.NewSpool(bg, -1)
		check(t, err)
		b, err := sp.Open()
		check(t, err)
		defer b.Close()
		var there atomic.Int64
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for last := int64(0); ; {
				before := there.Load()
				size, err := sp.Sync()
				if err != nil || size < before || size < last {
					t.Errorf("Sync = %d, %v, want at least %d", size, err, max(before, last))
					return
				}
				last = size
				select {
				case <-done:
					return
				default:
				}
			}
		})
		for off := 0; off < n; off += step {
			_, err := sp.WriteAt(content[off:off+step], int64(off))
			check(t, err)
			there.Store(int64(off + step))
		}
		close(done)
		wg.Wait()
		wantBytes(t, "a reader", readBody(t, b), content)
		keep(t, e, sp, n)
		wantBody(t, e, sp.ID(), content)
	}},
	{"Forget removes what was left, and nothing else", func(t *testing.T, e store.Engine) {
		for _, n := range []int{100, 100_000} {
			content := Content(31, n)
			gone, stays := left(t, e, int64(n), content), left(t, e, int64(n), content)
			atRest := spoolOf(t, e, content)
			keep(t, e, atRest, n)
			taken := spoolOf(t, e, content)
			wantSync(t, taken, n)
			wantErr(t, "Apply", e.Apply(bg, &store.Batch{
				Require: []store.Condition{{Key: []byte("k"), Equals: []byte("v")}}, Forget: []store.BodyID{stays},
			}), store.ErrConflict)
			forget(t, e, gone, atRest.ID(), taken.ID(), "x")
			forget(t, e, gone)
			_, err := e.Reopen(bg, gone, 0)
			wantErr(t, "Reopen of a forgotten body", err, object.ErrDamaged)
			check(t, reopen(t, e, stays, n).Discard())
			wantBody(t, e, atRest.ID(), content)
			keep(t, e, taken, n)
			wantBody(t, e, taken.ID(), content)
		}
	}},
	{"Reopen stops with its context and with the engine", func(t *testing.T, e store.Engine) {
		id := left(t, e, 100_000, Content(32, 100_000))
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_, err := e.Reopen(ctx, id, 100_000)
		wantErr(t, "Reopen", err, context.Canceled)
		sp := reopen(t, e, id, 100_000)
		check(t, e.Close())
		check(t, sp.Leave())
		_, err = e.Reopen(bg, id, 100_000)
		wantErr(t, "Reopen after Close", err, object.ErrStore)
	}},
}

// left returns the ID of a body that a spool left.
func left(t tb, e store.Engine, hint int64, content []byte) store.BodyID {
	t.Helper()
	sp, err := e.NewSpool(bg, hint)
	check(t, err)
	_, err = sp.WriteAt(content, 0)
	check(t, err)
	wantSync(t, sp, len(content))
	check(t, sp.Leave())
	return sp.ID()
}

func reopen(t tb, e store.Engine, id store.BodyID, size int) store.Spool {
	t.Helper()
	sp, err := e.Reopen(bg, id, int64(size))
	check(t, err)
	return sp
}

func wantSync(t tb, sp store.Spool, want int) {
	t.Helper()
	size, err := sp.Sync()
	check(t, err)
	if size != int64(want) {
		t.Fatalf("Sync = %d, want %d", size, want)
	}
}

func forget(t tb, e store.Engine, ids ...store.BodyID) {
	t.Helper()
	check(t, e.Apply(bg, &store.Batch{Forget: ids}))
}
