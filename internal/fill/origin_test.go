package fill_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

// script is an origin whose every answer a test writes. It is the only fake here: the store is a real one.
type script struct {
	mu       sync.Mutex // guards requests
	requests []origin.Request
	fetch    func(ctx context.Context, n int, req origin.Request) (*origin.Response, error)
}

func (s *script) Fetch(ctx context.Context, req origin.Request) (*origin.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, req)
	n := len(s.requests)
	s.mu.Unlock()
	return s.fetch(ctx, n, req)
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// whole answers with all of data, through body if that is not nil.
func whole(ctx context.Context, data []byte, body func(io.Reader) io.Reader) *origin.Response {
	var r io.Reader = bytes.NewReader(data)
	if body != nil {
		r = body(r)
	}
	return &origin.Response{
		Meta: object.Meta{Size: int64(len(data)), ContentType: "text/plain", ETag: `"v1"`}, Status: 200, Ranges: true, Validator: `"v1"`,
		Range:      object.Range{Length: int64(len(data))},
		Provenance: object.Provenance{URL: "http://source.test/k", ETag: `"v1"`},
		Body:       io.NopCloser(&ctxReader{ctx, r}),
	}
}

// part answers with the range that was asked for.
func part(ctx context.Context, data []byte, rng object.Range, body func(io.Reader) io.Reader) *origin.Response {
	resp := whole(ctx, data, nil)
	resp.Status, resp.Range = 206, rng
	var r io.Reader = bytes.NewReader(data[rng.Offset:rng.End()])
	if body != nil {
		r = body(r)
	}
	resp.Body = io.NopCloser(&ctxReader{ctx, r})
	return resp
}

// ctxReader ends when its request does, as a response body does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// gate lets bytes through up to an offset that a test raises.
type gate struct {
	ctx context.Context
	r   io.Reader
	at  int64

	mu   sync.Mutex // guards below
	upTo int64
	more chan struct{}
}

func newGate(ctx context.Context, r io.Reader) *gate {
	return &gate{ctx: ctx, r: r, more: make(chan struct{})}
}

func (g *gate) open(upTo int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.upTo = upTo
	close(g.more)
	g.more = make(chan struct{})
}

func (g *gate) Read(p []byte) (int, error) {
	for {
		g.mu.Lock()
		upTo, more := g.upTo, g.more
		g.mu.Unlock()
		if g.at < upTo {
			n, err := g.r.Read(p[:min(int64(len(p)), upTo-g.at)])
			g.at += int64(n)
			return n, err
		}
		select {
		case <-more:
		case <-g.ctx.Done():
			return 0, context.Cause(g.ctx)
		}
	}
}

// throttle lets so many bytes through per second of (fake) time.
type throttle struct {
	r    io.Reader
	rate int
}

func (l *throttle) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(len(p), max(l.rate/100, 1))])
	<-time.After(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	return n, err
}

// cut breaks off after n bytes.
func cut(n int64) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, n), errReader{object.Explain(object.ErrSourceDown, "the source broke off")})
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// content is n bytes that differ from place to place.
func content(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// rig is a filler over a memory store with one bucket.
type rig struct {
	t       *testing.T
	store   *store.Store
	bucket  store.Bucket
	filler  *fill.Filler
	setting []byte
	reports chan fill.Report
}

func newRig(t *testing.T, o fill.Origin, options ...func(*fill.Options)) *rig {
	t.Helper()
	st := store.New(memstore.New())
	b, err := st.CreateBucket(t.Context(), "bucket", "owner", "zone")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: st, bucket: b, setting: []byte("site"), reports: make(chan fill.Report, 100)}
	if err := st.SetSetting(t.Context(), b, "mirror", r.setting); err != nil {
		t.Fatal(err)
	}
	opts := fill.Options{Origin: o, Store: st, OnReport: func(p fill.Report) { r.reports <- p }}
	for _, f := range options {
		f(&opts)
	}
	r.filler = fill.New(opts)
	return r
}

// close ends the rig within the test, so that a bubble has no goroutine left.
func (r *rig) close() {
	r.t.Helper()
	if err := r.filler.Close(context.Background()); err != nil {
		r.t.Errorf("Close() = %v", err)
	}
	if err := r.store.Close(); err != nil {
		r.t.Errorf("store.Close() = %v", err)
	}
}

func (r *rig) want(key string) fill.Want {
	return fill.Want{
		Bucket: r.bucket, Key: key, Setting: r.setting,
		Source: object.Source{Scheme: "http", Host: "source.test", Port: 80, Path: "/"},
	}
}

// get reads a range of key; nil, err when the source failed before the first byte.
func (r *rig) get(ctx context.Context, key string, rng object.Range) ([]byte, error) {
	rd, err := r.filler.Get(ctx, r.want(key))
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	var buf bytes.Buffer
	err = rd.WriteRange(ctx, &buf, rng)
	return buf.Bytes(), err
}

// wantStored fails unless the store has data under key.
func (r *rig) wantStored(key string, data []byte) {
	r.t.Helper()
	o, err := r.store.Open(context.Background(), r.bucket, key)
	if err != nil {
		r.t.Errorf("store.Open(%q) = %v, want the object", key, err)
		return
	}
	defer o.Body.Close()
	got := make([]byte, o.Meta.Size)
	if _, err := o.Body.ReadAt(got, 0); err != nil && err != io.EOF {
		r.t.Errorf("read %q: %v", key, err)
	}
	if !bytes.Equal(got, data) {
		r.t.Errorf("store has %d bytes of %q, MD5 %x, want %d, MD5 %x", len(got), key, md5.Sum(got), len(data), md5.Sum(data))
	}
}

func (r *rig) wantAbsent(key string) {
	r.t.Helper()
	if _, err := r.store.Stat(context.Background(), r.bucket, key); !errors.Is(err, object.ErrNoSuchKey) {
		r.t.Errorf("store.Stat(%q) = %v, want no such key", key, err)
	}
}

// reader is one reader on its own goroutine.
type reader struct {
	data []byte
	err  error
	done chan struct{}
}

func (r *rig) start(ctx context.Context, wg *sync.WaitGroup, key string, rng object.Range) *reader {
	rd := &reader{done: make(chan struct{})}
	wg.Go(func() {
		defer close(rd.done)
		rd.data, rd.err = r.get(ctx, key, rng)
	})
	return rd
}

func (rd *reader) finished() bool {
	select {
	case <-rd.done:
		return true
	default:
		return false
	}
}

var all = object.Range{Length: -1}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %s, want %s", what, brief(got), brief(want))
	}
}

func brief(b []byte) string {
	if len(b) <= 32 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes, MD5 %x", len(b), md5.Sum(b))
}

func md5hex(b []byte) string { return fmt.Sprintf("%x", md5.Sum(b)) }
