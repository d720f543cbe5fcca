package fill_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

var errDisk = errors.New("no space left on device")

// disk is a memory engine whose spools fail, or take their time, when a test says so. A nil function lets all pass.
type disk struct {
	store.Engine
	spool func() error                     // before a spool is made
	write func(off int64, n int) error     // before a write
	apply func(b *store.Batch) error       // before a batch
	get   func(key []byte, value []byte)   // behind a look at a record
	open  func(s store.Spool, n int) error // before the n-th opening of a spool

	intent []byte // key of the first intent that was noted
}

func newDisk() *disk { return &disk{Engine: memstore.New()} }

func (d *disk) NewSpool(ctx context.Context, size int64) (store.Spool, error) {
	if d.spool != nil {
		if err := d.spool(); err != nil {
			return nil, err
		}
	}
	s, err := d.Engine.NewSpool(ctx, size)
	if err != nil {
		return nil, err
	}
	return &diskSpool{Spool: s, d: d}, nil
}

func (d *disk) Get(ctx context.Context, key []byte) ([]byte, error) {
	v, err := d.Engine.Get(ctx, key)
	if d.get != nil && err == nil {
		d.get(key, v)
	}
	return v, err
}

func (d *disk) Apply(ctx context.Context, b *store.Batch) error {
	if d.apply != nil {
		if err := d.apply(b); err != nil {
			return err
		}
	}
	own := *b
	own.Keep = nil
	for _, k := range b.Keep {
		k.Spool = k.Spool.(*diskSpool).Spool
		own.Keep = append(own.Keep, k)
	}
	return d.Engine.Apply(ctx, &own)
}

type diskSpool struct {
	store.Spool
	d *disk

	mu    sync.Mutex // guards opens
	opens int
}

func (s *diskSpool) WriteAt(p []byte, off int64) (int, error) {
	if s.d.write != nil {
		if err := s.d.write(off, len(p)); err != nil {
			return 0, err
		}
	}
	return s.Spool.WriteAt(p, off)
}

func (s *diskSpool) Open() (store.Body, error) {
	s.mu.Lock()
	s.opens++
	n := s.opens
	s.mu.Unlock()
	if s.d.open != nil {
		if err := s.d.open(s.Spool, n); err != nil {
			return nil, err
		}
	}
	return s.Spool.Open()
}

// failAt fails the n-th write, from 1, and all that follow.
func failAt(n int) func(int64, int) error {
	var mu sync.Mutex
	return func(int64, int) error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n <= 0 {
			return errDisk
		}
		return nil
	}
}

// breakable is a disk that works until a test breaks it.
type breakable struct {
	mu     sync.Mutex // guards broken
	broken bool
}

func (b *breakable) fail() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = true
}

func (b *breakable) write(int64, int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return errDisk
	}
	return nil
}

// newRigOn is newRig over an engine of the test's.
func newRigOn(t *testing.T, e store.Engine, o fill.Origin, options ...func(*fill.Options)) *rig {
	t.Helper()
	st := store.New(e)
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

// valve is a writer that takes nothing while it is shut.
type valve struct {
	ctx context.Context

	mu   sync.Mutex // guards all below
	buf  bytes.Buffer
	open chan struct{}
	most int // bytes of one write
}

func newValve(ctx context.Context) *valve { return &valve{ctx: ctx, open: make(chan struct{})} }

func (v *valve) Write(p []byte) (int, error) {
	select {
	case <-v.open:
	case <-v.ctx.Done():
		return 0, context.Cause(v.ctx)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.most = max(v.most, len(p))
	return v.buf.Write(p)
}

func (v *valve) bytes() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return bytes.Clone(v.buf.Bytes())
}

// startTo is start with a writer of the test's.
func (r *rig) startTo(ctx context.Context, wg *sync.WaitGroup, key string, rng object.Range, w io.Writer) *reader {
	rd := &reader{done: make(chan struct{})}
	wg.Go(func() {
		defer close(rd.done)
		var fr *fill.Reader
		if fr, rd.err = r.filler.Get(ctx, r.want(key)); rd.err == nil {
			defer fr.Close()
			rd.err = fr.WriteRange(ctx, w, rng)
		}
	})
	return rd
}

// anHour is more than anything here may take; the time is not real. It ends early for a reader who looks around and around without
// waiting: no time passes for him.
func anHour(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	ctx, spins := context.WithCancelCause(ctx)
	return &patience{Context: ctx, left: 50_000, end: spins}
}

var errSpins = errors.New("the reader spins")

type patience struct {
	context.Context
	end context.CancelCauseFunc

	mu   sync.Mutex // guards left
	left int        // looks
}

func (p *patience) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left--; p.left < 0 {
		p.end(errSpins)
	}
	return p.Context.Done()
}

// wantSettled fails unless everything has ended and the counters add up. A flight lands a moment after its last reader has everything.
func (r *rig) wantSettled() {
	r.t.Helper()
	synctest.Wait()
	s := r.filler.Stats()
	if s.InFlight != 0 || s.Connections != 0 || s.Queued != 0 || s.Started != s.Completed+s.Absent+s.Failed {
		r.t.Errorf("stats = %+v, want nothing left and started = completed + failed", s)
	}
}

func md5sum(b []byte) []byte {
	sum := md5.Sum(b)
	return sum[:]
}
