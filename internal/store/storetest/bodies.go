package storetest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// sizes are lengths of bodies around the borders that engines have.
var sizes = []int{1, 100, 4095, 4096, 32<<10 - 1, 32 << 10, 32<<10 + 1, 100_000, 256<<10 - 1, 256 << 10, 600_000}

var bodyTests = []test{
	{"what was written and kept is read", func(t *testing.T, e store.Engine) {
		for _, n := range sizes {
			for _, hint := range []int64{int64(n), -1, 1, 1 << 20} {
				content := Content(uint64(n), n)
				sp, err := e.NewSpool(bg, hint)
				check(t, err)
				for off := 0; off < n; off += 10_007 {
					_, err := sp.WriteAt(content[off:min(n, off+10_007)], int64(off))
					check(t, err)
				}
				keep(t, e, sp, n)
				wantBody(t, e, sp.ID(), content)
			}
		}
	}},
	{"an empty body is a body", func(t *testing.T, e store.Engine) {
		sp, err := e.NewSpool(bg, 0)
		check(t, err)
		keep(t, e, sp, 0)
		wantBody(t, e, sp.ID(), nil)
	}},
	{"segments may come in any order, at once", func(t *testing.T, e store.Engine) {
		const n, segment = 300_000, 20_000
		content := Content(7, n)
		for _, hint := range []int64{n, -1} {
			sp, err := e.NewSpool(bg, hint)
			check(t, err)
			var wg sync.WaitGroup
			for w := range 5 {
				wg.Go(func() {
					for i := n/segment - 1 - w; i >= 0; i -= 5 {
						if _, err := sp.WriteAt(content[i*segment:(i+1)*segment], int64(i*segment)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			keep(t, e, sp, n)
			wantBody(t, e, sp.ID(), content)
		}
	}},
	{"a spool is read where it was written, while it is written and after", func(t *testing.T, e store.Engine) {
		const n, step = 200_000, 5_000
		content := Content(8, n)
		for _, hint := range []int64{n, -1} {
			sp, err := e.NewSpool(bg, hint)
			check(t, err)
			early, err := sp.Open()
			check(t, err)
			defer early.Close()
			// The progress of the writer: each value says that so many bytes are there.
			progress := make([]chan int, 4)
			var wg sync.WaitGroup
			for i := range progress {
				progress[i] = make(chan int, n/step)
				wg.Go(func() {
					b, err := sp.Open()
					if err != nil {
						t.Error(err)
						return
					}
					defer b.Close()
					at := 0
					for there := range progress[i] {
						part := make([]byte, there-at)
						if i%2 == 0 {
							_, err = b.ReadAt(part, int64(at))
						} else {
							var r io.Reader
							if r, err = b.Section(int64(at), int64(len(part))); err == nil {
								_, err = io.ReadFull(r, part)
							}
						}
						if (err != nil && err != io.EOF) || !bytes.Equal(part, content[at:there]) {
							t.Errorf("reader %d: bytes %d to %d are wrong (%v)", i, at, there, err)
							return
						}
						at = there
					}
				})
			}
			for off := 0; off < n; off += step {
				_, err := sp.WriteAt(content[off:off+step], int64(off))
				check(t, err)
				for _, p := range progress {
					p <- off + step
				}
			}
			for _, p := range progress {
				close(p)
			}
			wg.Wait()
			keep(t, e, sp, n)
			wantBytes(t, "a reader that was there before the first byte", readBody(t, early), content)
			late, err := sp.Open()
			check(t, err)
			defer late.Close()
			wantBytes(t, "a reader that came after Apply", readBody(t, late), content)
			check(t, sp.Discard())
			wantBody(t, e, sp.ID(), content)
		}
	}},
	{"a discarded spool leaves nothing, and its readers read on", func(t *testing.T, e store.Engine) {
		for _, n := range []int{100, 100_000} {
			content := Content(9, n)
			sp := spoolOf(t, e, content)
			b, err := sp.Open()
			check(t, err)
			check(t, sp.Discard())
			check(t, sp.Discard())
			wantBytes(t, "a reader after Discard", readBody(t, b), content)
			check(t, b.Close())
			_, err = e.Open(bg, sp.ID())
			wantErr(t, "Open", err, object.ErrDamaged)
			if _, err := sp.WriteAt([]byte("x"), 0); err == nil {
				t.Fatal("WriteAt after Discard succeeded")
			}
			wantErr(t, "Apply", e.Apply(bg, &store.Batch{
				Set:  []store.Record{{Key: []byte("k")}},
				Keep: []store.Kept{{Spool: sp, Size: int64(n)}},
			}), object.ErrStore)
			if got := scan(t, e, "", "\xff"); got != "" {
				t.Fatalf("records = %q, want none", got)
			}
		}
	}},
	{"a spool of another length than announced is not kept", func(t *testing.T, e store.Engine) {
		for _, n := range []int{100, 100_000} {
			for _, size := range []int{n - 1, n + 1} {
				sp := spoolOf(t, e, Content(10, n))
				wantErr(t, fmt.Sprintf("Apply of %d bytes as %d", n, size), e.Apply(bg, &store.Batch{
					Set:  []store.Record{{Key: []byte("k")}},
					Keep: []store.Kept{{Spool: sp, Size: int64(size)}},
				}), object.ErrStore)
				check(t, sp.Discard())
			}
		}
		if got := scan(t, e, "", "\xff"); got != "" {
			t.Fatalf("records = %q, want none", got)
		}
	}},
	{"a dropped body goes, who has it open reads on", func(t *testing.T, e store.Engine) {
		for _, n := range []int{100, 100_000} {
			content := Content(11, n)
			sp := spoolOf(t, e, content)
			keep(t, e, sp, n)
			b, err := e.Open(bg, sp.ID())
			check(t, err)
			check(t, e.Apply(bg, &store.Batch{Drop: []store.BodyID{sp.ID()}}))
			_, err = e.Open(bg, sp.ID())
			wantErr(t, "Open of a dropped body", err, object.ErrDamaged)
			wantBytes(t, "an open body after its drop", readBody(t, b), content)
			check(t, b.Close())
			check(t, e.Apply(bg, &store.Batch{Drop: []store.BodyID{sp.ID()}}))
		}
	}},
	{"a body that is not there is damage, never a miss", func(t *testing.T, e store.Engine) {
		for _, id := range []store.BodyID{"", "x", "../../etc/passwd", "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdefs"} {
			_, err := e.Open(bg, id)
			wantErr(t, fmt.Sprintf("Open(%q)", id), err, object.ErrDamaged)
		}
	}},
	{"ReadAt and Section read what is asked for, and end at the end", func(t *testing.T, e store.Engine) {
		for _, n := range []int{1000, 100_000} {
			content := Content(12, n)
			sp := spoolOf(t, e, content)
			writing, err := sp.Open()
			check(t, err)
			defer writing.Close()
			keep(t, e, sp, n)
			rest, err := e.Open(bg, sp.ID())
			check(t, err)
			defer rest.Close()
			for name, b := range map[string]store.Body{"spool": writing, "at rest": rest} {
				for _, tc := range []struct{ off, n int }{{0, n}, {0, 10}, {n - 10, 10}, {n - 10, 20}, {n, 1}, {n + 5, 5}, {500, 0}, {17, n}} {
					want := content[min(n, tc.off):min(n, tc.off+tc.n)]
					p := make([]byte, tc.n)
					got, err := b.ReadAt(p, int64(tc.off))
					if got < tc.n && err != io.EOF || got == tc.n && err != nil && err != io.EOF {
						t.Fatalf("%s: ReadAt(%d bytes, %d of %d) = %d, %v", name, tc.n, tc.off, n, got, err)
					}
					wantBytes(t, name+": ReadAt", p[:got], want)
					r, err := b.Section(int64(tc.off), int64(tc.n))
					check(t, err)
					if f, ok := r.(*io.LimitedReader); ok {
						if _, ok := f.R.(*os.File); !ok {
							t.Fatalf("%s: Section is a LimitedReader over a %T, want an *os.File", name, f.R)
						}
					}
					all, err := io.ReadAll(r)
					check(t, err)
					wantBytes(t, name+": Section", all, want)
				}
				if _, err := b.ReadAt(make([]byte, 1), -1); err == nil {
					t.Fatalf("%s: ReadAt(-1) succeeded", name)
				}
				if _, err := b.Section(-1, 1); err == nil {
					t.Fatalf("%s: Section(-1) succeeded", name)
				}
			}
		}
	}},
	{"many bodies at once", func(t *testing.T, e store.Engine) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 6 {
					n := sizes[(w+i)%len(sizes)]
					content := Content(uint64(w*100+i), n)
					sp, err := e.NewSpool(bg, int64(n))
					if err == nil {
						_, err = sp.WriteAt(content, 0)
					}
					if err == nil {
						err = e.Apply(bg, &store.Batch{
							Set:  []store.Record{{Key: fmt.Appendf(nil, "%d/%d", w, i), Value: []byte(sp.ID())}},
							Keep: []store.Kept{{Spool: sp, Size: int64(n), Label: []byte("label")}},
						})
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		for w := range 8 {
			for i := range 6 {
				id := store.BodyID(mustGet(t, e, fmt.Sprintf("%d/%d", w, i)))
				wantBody(t, e, id, Content(uint64(w*100+i), sizes[(w+i)%len(sizes)]))
			}
		}
	}},
}

func keep(t tb, e store.Engine, sp store.Spool, n int) {
	t.Helper()
	check(t, e.Apply(bg, &store.Batch{Keep: []store.Kept{{Spool: sp, Size: int64(n), Label: []byte("label of " + sp.ID())}}}))
}

func wantBody(t tb, e store.Engine, id store.BodyID, want []byte) {
	t.Helper()
	b, err := e.Open(bg, id)
	check(t, err)
	defer b.Close()
	wantBytes(t, "body", readBody(t, b), want)
}
