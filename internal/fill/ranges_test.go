package fill_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

const seg = 64 << 10

// small makes segments small, so that tests need no large objects.
func small(o *fill.Options) { o.SegmentSize = seg }

// A seek into a cold object is answered by a request of its own, the object completes, and no byte is fetched twice (mirror-asks 9, 17-20).
func TestSeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(100 * seg)
		var g *gate
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if n == 1 {
				if req.Range.Length != 0 {
					t.Errorf("the first request carries a range: %+v", req.Range)
				}
				return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
			}
			return part(ctx, data, req.Range, nil), nil
		}}
		r := newRig(t, o, small, func(o *fill.Options) { o.GrowAfter = time.Hour })
		defer r.close()
		at := int64(90*seg + 100)
		got, err := r.get(t.Context(), "k", object.Range{Offset: at, Length: 1000})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "seek", got, data[at:at+1000])
		if n := o.count(); n != 2 {
			t.Errorf("requests = %d, want 2: the object and the range", n)
		}
		// Many small ranges near each other cost no request each.
		synctest.Wait()
		for off := at; off < 91*seg-1000; off += 5000 {
			got, err := r.get(t.Context(), "k", object.Range{Offset: off, Length: 1000})
			if err != nil {
				t.Fatal(err)
			}
			same(t, "near", got, data[off:off+1000])
		}
		if n := o.count(); n != 2 {
			t.Errorf("requests after more ranges nearby = %d, want 2", n)
		}
		g.open(int64(len(data)))
		synctest.Wait()
		r.wantStored("k", data)
	})
}

// A source that gives each connection only so much is read over several, up to the limit.
func TestThrottledSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(64 * seg)
		const rate = 2 * seg // bytes/s a connection: 32 s over one
		slow := func(r io.Reader) io.Reader { return &throttle{r, rate} }
		var mu sync.Mutex
		var sent int64
		count := func(r io.Reader) io.Reader {
			return readerFunc(func(p []byte) (int, error) {
				n, err := r.Read(p)
				mu.Lock()
				sent += int64(n)
				mu.Unlock()
				return n, err
			})
		}
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if req.Range.Length == 0 {
				return whole(ctx, data, func(r io.Reader) io.Reader { return slow(count(r)) }), nil
			}
			return part(ctx, data, req.Range, func(r io.Reader) io.Reader { return slow(count(r)) }), nil
		}}
		r := newRig(t, o, small)
		defer r.close()
		begin := time.Now()
		got, err := r.get(t.Context(), "k", all)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "reader", got, data)
		if d := time.Since(begin); d > 32*time.Second/4 {
			t.Errorf("it took %v; one connection takes 32 s, 8 should take less than a quarter", d)
		}
		synctest.Wait()
		r.wantStored("k", data)
		if rep := <-r.reports; rep.Connections > 8 || rep.Connections < 4 {
			t.Errorf("connections = %d, want 4 to 8", rep.Connections)
		}
		if waste := sent - int64(len(data)); waste > 4*seg {
			t.Errorf("the source sent %d bytes more than the object has", waste)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A source that is quick over one connection is left with one.
func TestQuickSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(64 * seg)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			return whole(ctx, data, func(r io.Reader) io.Reader { return &throttle{r, 64 * seg} }), nil
		}}
		r := newRig(t, o, small)
		defer r.close()
		got, err := r.get(t.Context(), "k", all)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "reader", got, data)
		if n := o.count(); n != 1 {
			t.Errorf("requests = %d, want 1", n)
		}
	})
}

// A source that offers ranges and does not serve them: nothing wrong is sent or stored, one stream does it.
func TestLyingSource(t *testing.T) {
	data := content(20 * seg)
	for _, tt := range []struct {
		name string
		lie  func(ctx context.Context, req origin.Request) (*origin.Response, error)
	}{
		{"200 to a range", func(ctx context.Context, _ origin.Request) (*origin.Response, error) {
			return whole(ctx, data, nil), nil
		}},
		{"a wrong range", func(context.Context, origin.Request) (*origin.Response, error) {
			return nil, object.Explain(object.ErrSourceBad, "the source answered another range than it was asked for")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g *gate
				o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
					if n == 1 {
						return whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g }), nil
					}
					return tt.lie(ctx, req)
				}}
				r := newRig(t, o, small)
				defer r.close()
				var wg sync.WaitGroup
				rd := r.start(t.Context(), &wg, "k", object.Range{Offset: 10 * seg, Length: 100})
				synctest.Wait()
				if rd.finished() {
					t.Fatalf("a range came from a source that serves none: %s, %v", brief(rd.data), rd.err)
				}
				g.open(int64(len(data)))
				wg.Wait()
				if rd.err != nil {
					t.Fatal(rd.err)
				}
				same(t, "range", rd.data, data[10*seg:10*seg+100])
				synctest.Wait()
				r.wantStored("k", data)
			})
		})
	}
}

// A version that changes between the connections of one flight ends it: nothing is mixed, nothing is stored.
func TestChangedDuringFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(20 * seg)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			if n == 1 {
				return whole(ctx, data, func(r io.Reader) io.Reader { return newGate(ctx, r) }), nil
			}
			return nil, object.Explain(object.ErrSourceChanged, "the source answered a range of another version")
		}}
		r := newRig(t, o, small)
		defer r.close()
		got, err := r.get(t.Context(), "k", object.Range{Offset: 10 * seg, Length: 100})
		if !errors.Is(err, object.ErrSourceChanged) || len(got) > 0 {
			t.Errorf("got %s, %v; want %v", brief(got), err, object.ErrSourceChanged)
		}
		synctest.Wait()
		r.wantAbsent("k")
	})
}

// Readers all over a large object, connections that break at random: everybody gets his bytes, each byte is fetched about once.
func TestManySeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(50 * seg)
		o := &script{fetch: func(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
			slow := func(r io.Reader) io.Reader { return &throttle{r, 10 * seg} }
			if req.Range.Length == 0 {
				return whole(ctx, data, func(r io.Reader) io.Reader { return slow(r) }), nil
			}
			if n%5 == 0 { // every fifth connection breaks off half way
				return part(ctx, data, req.Range, func(r io.Reader) io.Reader { return slow(cut(req.Range.Length / 2)(r)) }), nil
			}
			return part(ctx, data, req.Range, slow), nil
		}}
		r := newRig(t, o, small)
		defer r.close()
		var wg sync.WaitGroup
		var readers []*reader
		var ranges []object.Range
		for i := range int64(40) {
			rng := object.Range{Offset: (i * 7919 * 131) % (49 * seg), Length: 1 + (i*104729)%(seg)}
			ranges = append(ranges, rng)
			readers = append(readers, r.start(t.Context(), &wg, "k", rng))
		}
		wg.Wait()
		for i, rd := range readers {
			if rd.err != nil {
				t.Errorf("range %+v: %v", ranges[i], rd.err)
				continue
			}
			same(t, "range", rd.data, data[ranges[i].Offset:ranges[i].End()])
		}
		rep := <-r.reports
		if rep.Outcome != fill.Stored {
			t.Fatalf("outcome = %s (%v)", rep.Outcome, rep.Err)
		}
		r.wantStored("k", data)
		if rep.Bytes > int64(len(data))*11/10 {
			t.Errorf("%d bytes came from the source, the object has %d", rep.Bytes, len(data))
		}
	})
}

// The same headers on the first answer and on the second; what the source sent last is what is stored.
func TestMetadata(t *testing.T) {
	data := content(1000)
	modified := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name, etag, want string
	}{
		{"a strong ETag is kept", `"abc"`, `"abc"`},
		{"none: the MD5", "", `"` + md5hex(data) + `"`},
		{"the MD5 itself", `"` + md5hex(data) + `"`, `"` + md5hex(data) + `"`},
		{"looks like an MD5 and is none", `"00000000000000000000000000000000"`, `"00000000000000000000000000000000-m"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
					resp := whole(ctx, data, nil)
					resp.Meta.ETag, resp.Meta.LastModified, resp.Meta.CacheControl = tt.etag, modified, "max-age=5"
					resp.Meta.User = map[string]string{"colour": "blue"}
					return resp, nil
				}}
				r := newRig(t, o)
				defer r.close()
				rd, err := r.filler.Get(t.Context(), r.want("k"))
				if err != nil {
					t.Fatal(err)
				}
				if err := rd.WriteRange(t.Context(), io.Discard, all); err != nil {
					t.Fatal(err)
				}
				first := rd.Meta()
				rd.Close()
				synctest.Wait()
				m, err := r.store.Stat(t.Context(), r.bucket, "k")
				if err != nil {
					t.Fatal(err)
				}
				if m.ETag != tt.want {
					t.Errorf("ETag = %s, want %s", m.ETag, tt.want)
				}
				if m.Size != first.Size || m.ContentType != first.ContentType || !m.LastModified.Equal(first.LastModified) ||
					m.CacheControl != first.CacheControl || m.User["colour"] != first.User["colour"] {
					t.Errorf("stored %+v, first answer %+v", m, first)
				}
				if m.Filled == nil || m.Filled.URL != "http://source.test/k" {
					t.Errorf("provenance = %+v", m.Filled)
				}
			})
		})
	}
}

// A chunked source: the size is known at the end, and who waits for it gets it.
func TestUnknownSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := content(300_000)
		var g *gate
		o := &script{fetch: func(ctx context.Context, _ int, _ origin.Request) (*origin.Response, error) {
			resp := whole(ctx, data, func(r io.Reader) io.Reader { g = newGate(ctx, r); return g })
			resp.Meta.Size, resp.Range.Length = -1, -1
			return resp, nil
		}}
		r := newRig(t, o)
		defer r.close()
		var wg sync.WaitGroup
		rd, err := r.filler.Get(t.Context(), r.want("k"))
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		wg.Go(func() { err = rd.WriteRange(t.Context(), &buf, all) })
		synctest.Wait()
		g.open(100_000)
		synctest.Wait()
		if buf.Len() != 100_000 {
			t.Errorf("%d bytes went out, want 100000 at once", buf.Len())
		}
		g.open(int64(len(data)) + 1)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		same(t, "reader", buf.Bytes(), data)
		if n, err := rd.Size(t.Context()); n != int64(len(data)) || err != nil {
			t.Errorf("Size() = %d, %v", n, err)
		}
		rd.Close()
		synctest.Wait()
		r.wantStored("k", data)
	})
}
