package fill_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

var (
	stressSeed   = flag.Uint64("stress.seed", 0, "run only this round of the stress test")
	stressRounds = flag.Uint64("stress.rounds", 300, "rounds of the stress test")
)

// world is one round of the stress test: what the source has and does, and what readers do, all from one seed.
type world struct {
	seed     uint64
	versions [2][]byte

	segment          int64
	ranges, strong   bool // the source offers ranges; it has a validator
	sized            bool
	claims           int // 0: none, 1: right ones, 2: wrong ones
	wicked           int // of 100 requests, how many go wrong
	lies             bool
	rate             int           // bytes/s of a connection, 0: at once
	changeAt, stopAt time.Duration // 0: never
	forgetAt         time.Duration
	diskAt           int // the write that fails first, 0: none
	noSpool          bool
	slowDisk         time.Duration

	begin time.Time
}

// stressData is what sources have: two versions that differ in every place.
var stressData = sync.OnceValue(func() (v [2][]byte) {
	v[0] = content(2 << 20)
	v[1] = bytes.Clone(v[0])
	for i := range v[1] {
		v[1][i] ^= 0xff
	}
	return v
})

func newWorld(seed uint64) *world {
	rnd := rand.New(rand.NewPCG(seed, 1))
	one := func(of int) bool { return rnd.IntN(of) == 0 }
	w := &world{
		seed: seed, segment: []int64{8 << 10, 32 << 10, 64 << 10, 200 << 10}[rnd.IntN(4)],
		ranges: !one(5), strong: !one(6), sized: !one(6), claims: rnd.IntN(3), wicked: []int{0, 5, 20, 50}[rnd.IntN(4)], lies: one(4),
		rate: []int{0, 64 << 10, 512 << 10, 8 << 20}[rnd.IntN(4)],
	}
	if one(5) {
		w.changeAt = time.Duration(rnd.IntN(5000)) * time.Millisecond
	}
	if one(6) {
		w.stopAt = time.Duration(1+rnd.IntN(8000)) * time.Millisecond
	}
	if one(5) {
		w.forgetAt = time.Duration(1+rnd.IntN(3000)) * time.Millisecond
	}
	if one(3) {
		w.diskAt = 1 + rnd.IntN(40)
	}
	w.noSpool = one(12)
	if one(3) {
		w.slowDisk = time.Duration(rnd.IntN(20)) * time.Millisecond
	}
	all := stressData()
	size := []int{0, 1, 1000, 64 << 10, 65<<10 + 1, 300_000, 1 << 20, 2 << 20}[rnd.IntN(8)]
	w.versions = [2][]byte{all[0][:size], all[1][:size]}
	if w.changeAt > 0 && one(2) {
		w.versions[1] = w.versions[1][:size/2] // another length, too
	}
	return w
}

func (w *world) String() string {
	v := *w
	v.versions = [2][]byte{}
	return fmt.Sprintf("%+v, %d and %d bytes", v, len(w.versions[0]), len(w.versions[1]))
}

// Fetch answers as a real source and origin.Client would together.
func (w *world) fetch(ctx context.Context, n int, req origin.Request) (*origin.Response, error) {
	rnd := rand.New(rand.NewPCG(w.seed, 1000+uint64(n)))
	v := 0
	if w.changeAt > 0 && time.Since(w.begin) >= w.changeAt {
		v = 1
	}
	data := w.versions[v]
	if !sleep(ctx, time.Duration(rnd.IntN(50))*time.Millisecond) {
		return nil, context.Cause(ctx)
	}
	wicked := rnd.IntN(100) < w.wicked
	if wicked {
		switch rnd.IntN(6) {
		case 0:
			return nil, object.Explain(object.ErrSourceDown, "the source answered 500")
		case 1:
			if !sleep(ctx, 30*time.Second) { // nothing comes
				return nil, context.Cause(ctx)
			}
			return nil, object.Explain(object.ErrSourceDown, "the source could not be asked")
		case 2:
			if n > 1 {
				return nil, &object.Retry{After: time.Duration(rnd.IntN(3)) * time.Second, Err: object.Explain(object.ErrSourceDown, "the source answered 503")}
			}
		}
	}
	resp := whole(ctx, data, nil)
	tag := fmt.Sprintf(`"v%d"`, v+1)
	resp.Ranges = w.ranges
	if resp.Meta.ETag, resp.Validator, resp.Provenance.ETag = tag, tag, tag; !w.strong {
		resp.Meta.ETag, resp.Validator, resp.Provenance.ETag = "", "", ""
		resp.Meta.User = map[string]string{"version": tag}
	}
	switch w.claims {
	case 1:
		resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: md5sum(data)}}
	case 2:
		resp.Claims = []origin.Claim{{Header: "content-md5", Algorithm: "md5", Sum: make([]byte, 16)}}
	}
	from, to := int64(0), int64(len(data))
	switch asked := req.Range.Length > 0; {
	case asked && w.lies && rnd.IntN(2) == 0:
		if rnd.IntN(2) == 0 {
			return nil, object.Explain(object.ErrSourceBad, "the source answered another range than it was asked for")
		}
	case asked && req.Validator != tag: // If-Range: all of the new version
	case asked && w.ranges && req.Range.Offset < to:
		from, to = req.Range.Offset, min(to, req.Range.End())
		if rnd.IntN(20) == 0 {
			to = from + 1 + (to-from)/2 // less than was asked for
		}
		resp.Status, resp.Range, resp.Claims = 206, object.Range{Offset: from, Length: to - from}, nil
	}
	if !w.sized && resp.Status == 200 {
		resp.Meta.Size, resp.Range.Length = -1, -1
	}
	b := &wild{ctx: ctx, data: data[from:to], rate: w.rate, rnd: rnd}
	if wicked && to > from {
		b.at, b.fault = rnd.Int64N(to-from+1), 1+rnd.IntN(3)
		if !w.sized && b.fault == 2 {
			b.fault = 1 // a clean end of an unsized body is its end
		}
	}
	resp.Body = b
	return resp, nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// wild is a body that goes wrong at a place: 1 broken, 2 ended as if it were whole, 3 stalled until the client's patience ends.
type wild struct {
	ctx   context.Context
	data  []byte
	rate  int
	rnd   *rand.Rand
	read  int64
	at    int64
	fault int
}

func (w *wild) Close() error { return nil }

func (w *wild) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	p = p[:min(len(p), 1+w.rnd.IntN(len(p)))]
	left := int64(len(w.data)) - w.read
	if w.fault > 0 && w.read+int64(len(p)) > w.at {
		if p = p[:w.at-w.read]; len(p) == 0 {
			switch w.fault {
			case 2:
				return 0, io.EOF
			case 3:
				sleep(w.ctx, 30*time.Second)
			}
			return 0, object.Explain(object.ErrSourceDown, "the source broke off")
		}
	}
	if left == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.data[w.read:])
	w.read += int64(n)
	if w.rate > 0 {
		// What was under way arrives, even if the request is given up meanwhile.
		<-time.After(time.Duration(float64(n) / float64(w.rate) * float64(time.Second)))
	}
	if w.read == int64(len(w.data)) && w.fault == 0 && w.rnd.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// judge takes what one reader gets and compares it at once.
type judge struct {
	want  []byte
	at    int64
	n     int64
	wrong bool
	ctx   context.Context
	pause time.Duration
}

func (j *judge) Write(p []byte) (int, error) {
	if j.at+int64(len(p)) > int64(len(j.want)) || !bytes.Equal(p, j.want[j.at:j.at+int64(len(p))]) {
		j.wrong = true
	}
	j.at += int64(len(p))
	j.n += int64(len(p))
	if j.pause > 0 && !sleep(j.ctx, j.pause) {
		return len(p), context.Cause(j.ctx)
	}
	return len(p), nil
}

// read is one reader: he comes at some time, reads one range or several, slowly or quickly, and perhaps leaves early.
func (w *world) read(t *testing.T, r *rig, i int, key string) {
	rnd := rand.New(rand.NewPCG(w.seed, 100_000+uint64(i)))
	ctx := anHour(t)
	sleep(ctx, time.Duration(rnd.IntN(3)*rnd.IntN(1500))*time.Millisecond)
	stay := time.Hour
	if rnd.IntN(4) == 0 {
		stay = time.Duration(rnd.IntN(5000)) * time.Millisecond
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, stay)
		defer leave()
	}
	rd, err := r.filler.Get(ctx, r.want(key))
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && stay == time.Hour || errors.Is(err, errSpins) {
			t.Errorf("reader %d of %q waits for ever: %v", i, key, err)
		}
		return
	}
	defer rd.Close()
	tag := rd.Meta().ETag
	if !w.strong {
		tag = rd.Meta().User["version"]
	}
	data := w.versions[0]
	if tag == `"v2"` {
		data = w.versions[1]
	}
	size := int64(len(data))
	for k := range 1 + rnd.IntN(3) {
		rng := object.Range{Length: -1}
		if size > 0 && rnd.IntN(3) > 0 {
			if rd.Meta().Size < 0 {
				if n, err := rd.Size(ctx); err != nil {
					return
				} else if n != size {
					t.Errorf("reader %d: size %d, want %d", i, n, size)
					return
				}
			}
			rng.Offset = rnd.Int64N(size)
			rng.Length = min(1+rnd.Int64N(size), size-rng.Offset)
			switch rnd.IntN(4) {
			case 0:
				rng.Length = size - rng.Offset
			case 1:
				rng = object.Range{Length: size}
			}
		}
		j := &judge{want: data, at: rng.Offset, ctx: ctx}
		if rnd.IntN(3) == 0 {
			j.pause = time.Duration(rnd.IntN(300)) * time.Millisecond
		}
		err := rd.WriteRange(ctx, j, rng)
		want := rng.Length
		if want < 0 {
			want = size
		}
		switch {
		case j.wrong:
			t.Errorf("reader %d of %q, range %+v: wrong bytes within %d", i, key, rng, j.n)
		case err == nil && j.n != want:
			t.Errorf("reader %d of %q, range %+v: a clean end after %d of %d bytes", i, key, rng, j.n, want)
		case err == nil && want == size && size > 0 && w.claims == 2:
			t.Errorf("reader %d of %q, range %+v: a clean end of an object whose digest does not hold", i, key, rng)
		case errors.Is(err, context.DeadlineExceeded) && stay == time.Hour, errors.Is(err, errSpins):
			t.Errorf("reader %d of %q, range %+v waits for ever after %d bytes: %v", i, key, rng, j.n, err)
		case err != nil && w.wicked == 0 && !w.lies && w.changeAt == 0 && w.stopAt == 0 && w.claims != 2 && stay == time.Hour && w.kept(k):
			t.Errorf("reader %d of %q, range %+v: %v after %d bytes, although the source is good", i, key, rng, err, j.n)
		}
		if err != nil {
			return
		}
	}
}

// kept reports whether a reader may count on the bytes of his k-th range when the source is good. Where everything goes straight through, only
// what lies ahead comes.
func (w *world) kept(k int) bool { return w.diskAt == 0 && !w.noSpool || k == 0 && w.sized }

func (w *world) round(t *testing.T) {
	w.begin = time.Now()
	o := &script{fetch: w.fetch}
	d := newDisk()
	fails := failAt(w.diskAt)
	d.write = func(off int64, n int) error {
		if w.slowDisk > 0 {
			<-time.After(w.slowDisk)
		}
		if w.diskAt > 0 {
			return fails(off, n)
		}
		return nil
	}
	if w.noSpool {
		d.spool = func() error { return errDisk }
	}
	rnd := rand.New(rand.NewPCG(w.seed, 2))
	r := newRigOn(t, d, o, func(o *fill.Options) {
		o.SegmentSize, o.GrowAfter = w.segment, time.Duration(1+rnd.IntN(2000))*time.Millisecond
		o.MaxConnsPerFlight, o.MaxConnsPerSource = 1+rnd.IntN(8), 1+rnd.IntN(12)
		o.MaxConns, o.MaxQueue = 1+rnd.IntN(16), 1+rnd.IntN(8)
		o.BreakerFailures = []int{-1, 2, 0}[rnd.IntN(3)]
		if rnd.IntN(4) == 0 {
			o.SourceBytesPerSecond = 1 << 20
		}
	})
	var wg sync.WaitGroup
	keys := []string{"one", "two"}[:1+rnd.IntN(2)]
	for i := range 1 + rnd.IntN(10) {
		wg.Go(func() { w.read(t, r, i, keys[i%len(keys)]) })
	}
	if w.forgetAt > 0 {
		wg.Go(func() {
			<-time.After(w.forgetAt)
			if rnd.IntN(2) == 0 {
				if err := r.store.Delete(context.Background(), r.bucket, "one"); err != nil {
					t.Error(err)
				}
			}
			r.filler.Forget(r.bucket.ID, "one")
		})
	}
	stopped := make(chan error, 1)
	if w.stopAt > 0 {
		wg.Go(func() {
			<-time.After(w.stopAt)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			stopped <- r.filler.Close(ctx)
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := r.filler.Close(ctx); err != nil {
		t.Errorf("a flight without readers did not end within an hour: %v", err)
	}
	r.wantSettled()
	stored := map[string]bool{}
	for len(r.reports) > 0 {
		rep := <-r.reports
		if rep.Outcome == fill.Stored {
			stored[rep.Key] = true
		}
		if rep.Attempts > 1000 {
			t.Errorf("%d requests for %q", rep.Attempts, rep.Key)
		}
	}
	for _, key := range keys {
		so, err := r.store.Open(context.Background(), r.bucket, key)
		if err != nil {
			if !errors.Is(err, object.ErrNoSuchKey) {
				t.Errorf("store.Open(%q) = %v", key, err)
			}
			continue
		}
		got := make([]byte, so.Meta.Size)
		so.Body.ReadAt(got, 0)
		so.Body.Close()
		if !bytes.Equal(got, w.versions[0]) && !bytes.Equal(got, w.versions[1]) || w.claims == 2 || w.diskAt == 1 && len(got) > 0 || w.noSpool || !stored[key] {
			t.Errorf("the store has %d bytes of %q, the versions have %d and %d; reported as stored: %v", len(got), key, len(w.versions[0]), len(w.versions[1]), stored[key])
		}
	}
	r.store.Close()
}

// Sources that break off, stall, lie and change; disks that fail; readers that seek, join and leave; a server that ends. What a reader got is
// right, a clean end is a whole object, the store has a version or nothing, and nothing is left over. A round that fails is run again
// with -stress.seed.
func TestStress(t *testing.T) {
	first, last := uint64(1), *stressRounds
	if *stressSeed > 0 {
		first, last = *stressSeed, *stressSeed
	}
	for seed := first; seed <= last; seed++ {
		w := newWorld(seed)
		synctest.Test(t, func(t *testing.T) {
			w.round(t)
			if t.Failed() {
				t.Logf("seed %d: %v", seed, w)
			}
		})
		if t.Failed() {
			return
		}
	}
}
