package fill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// queue is limits with flights that wait, and the order in which they got their connections.
type queue struct {
	t  *testing.T
	l  *limits
	wg sync.WaitGroup

	mu    sync.Mutex // guards below
	order []string
	errs  map[string]error
}

func newQueue(t *testing.T, perSource, total, waiting int, wait time.Duration) *queue {
	o := Options{MaxConnsPerSource: perSource, MaxConns: total, MaxQueue: waiting, QueueWait: wait}
	o.setDefaults()
	return &queue{t: t, l: newLimits(o), errs: make(map[string]error)}
}

// enter is a flight called name that wants a connection to source. When enter returns, it has one, has failed, or waits.
func (q *queue) enter(ctx context.Context, name, source string) {
	q.wg.Go(func() {
		err := q.l.acquire(ctx, source)
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.errs[name] = err; err == nil {
			q.order = append(q.order, name)
		}
	})
	synctest.Wait()
}

func (q *queue) wantOrder(names ...string) {
	q.t.Helper()
	synctest.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Equal(q.order, names) {
		q.t.Errorf("served %q, want %q", q.order, names)
	}
}

// wantEmpty fails unless every place is free and nobody waits.
func (q *queue) wantEmpty() {
	q.t.Helper()
	q.wg.Wait()
	q.l.mu.Lock()
	defer q.l.mu.Unlock()
	if q.l.total != 0 || len(q.l.queue) != 0 {
		q.t.Errorf("%d connections and %d waiting are left, want none", q.l.total, len(q.l.queue))
	}
	for name, s := range q.l.sources {
		if s.conns != 0 {
			q.t.Errorf("%d connections to %s are left", s.conns, name)
		}
	}
}

// First come, first served.
func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, 1, 1, 10, time.Hour)
		for _, name := range []string{"first", "second", "third", "fourth"} {
			q.enter(t.Context(), name, "source of "+name)
		}
		q.wantOrder("first")
		q.l.release("source of first")
		q.wantOrder("first", "second")
		q.l.release("source of second")
		q.wantOrder("first", "second", "third")
		q.l.release("source of third")
		q.wantOrder("first", "second", "third", "fourth")
		q.l.release("source of fourth")
		q.wantEmpty()
	})
}

// A source that has all its connections keeps nobody waiting who is after another one, and does not lose its own order.
func TestQueueOfOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, 1, 3, 10, time.Hour)
		q.enter(t.Context(), "slow 1", "slow")
		q.enter(t.Context(), "slow 2", "slow")
		q.enter(t.Context(), "slow 3", "slow")
		q.enter(t.Context(), "other", "other")
		q.wantOrder("slow 1", "other")
		if q.l.try("slow") {
			t.Error("a further connection took what others wait for")
		}
		q.l.release("slow")
		q.wantOrder("slow 1", "other", "slow 2")
		q.l.release("other")
		q.wantOrder("slow 1", "other", "slow 2") // what came free is not the slow source's
		q.l.release("slow")
		q.wantOrder("slow 1", "other", "slow 2", "slow 3")
		q.l.release("slow")
		q.wantEmpty()
	})
}

// Who comes newly does not pass those who wait for the same source.
func TestQueueNotPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, 2, 2, 10, time.Hour)
		q.enter(t.Context(), "a", "s")
		q.enter(t.Context(), "b", "s")
		q.enter(t.Context(), "waits", "s")
		q.l.release("s")
		q.enter(t.Context(), "late", "s")
		q.wantOrder("a", "b", "waits")
		q.l.release("s")
		q.wantOrder("a", "b", "waits", "late")
		q.l.release("s")
		q.l.release("s")
		q.wantEmpty()
	})
}

// A full queue turns away at once, a long one after the wait; both say when to come back.
func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, 1, 1, 2, 20*time.Second)
		for _, name := range []string{"runs", "waits 1", "waits 2", "too many"} {
			q.enter(t.Context(), name, "s")
		}
		throttled := func(name string) {
			t.Helper()
			q.mu.Lock()
			err, ok := q.errs[name]
			q.mu.Unlock()
			var later *object.Retry
			var told *object.Explained
			if !ok || !errors.Is(err, object.ErrThrottled) || !errors.As(err, &later) || later.After < time.Second || !errors.As(err, &told) {
				t.Errorf("%s: %v, want throttled, with a time of a second at least and a text", name, err)
			}
		}
		throttled("too many")
		<-time.After(20*time.Second - 1)
		q.mu.Lock()
		if n := len(q.errs); n != 2 {
			t.Errorf("%d have ended before the wait was over, want 2", n)
		}
		q.mu.Unlock()
		<-time.After(1)
		synctest.Wait()
		throttled("waits 1")
		throttled("waits 2")
		q.enter(t.Context(), "fresh", "s") // the queue has room again
		q.l.release("s")
		q.wantOrder("runs", "fresh")
		q.l.release("s")
		q.wantEmpty()
	})
}

// Who leaves the queue gives his place in it back, and a connection that he was just given.
func TestQueueLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, 1, 1, 2, time.Hour)
		q.enter(t.Context(), "runs", "s")
		ctx, cancel := context.WithCancelCause(t.Context())
		q.enter(ctx, "leaves", "s")
		q.enter(t.Context(), "stays", "s")
		cancel(object.ErrSuperseded)
		synctest.Wait()
		q.mu.Lock()
		if err := q.errs["leaves"]; !errors.Is(err, object.ErrSuperseded) {
			t.Errorf("who leaves gets %v, want the cause", err)
		}
		q.mu.Unlock()
		q.enter(t.Context(), "new", "s")
		q.l.release("s")
		q.wantOrder("runs", "stays")
		q.l.release("s")
		q.wantOrder("runs", "stays", "new")
		q.l.release("s")
		q.wantEmpty()
	})
	// Granted and cancelled in the same moment, in both orders.
	for i := range 200 {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(t, 1, 1, 10, time.Hour)
			q.enter(t.Context(), "runs", "s")
			ctx, cancel := context.WithCancel(t.Context())
			q.enter(ctx, "leaves", "s")
			q.enter(t.Context(), "stays", "s")
			if i%2 == 0 {
				q.l.release("s")
				cancel()
			} else {
				cancel()
				q.l.release("s")
			}
			synctest.Wait()
			q.mu.Lock()
			served := slices.Clone(q.order)
			q.mu.Unlock()
			for n := len(served); n < 3; n++ {
				if slices.Contains(served, "stays") {
					break
				}
				q.l.release("s") // "leaves" was quicker, and ends now
				synctest.Wait()
				q.mu.Lock()
				served = slices.Clone(q.order)
				q.mu.Unlock()
			}
			if !slices.Contains(served, "stays") {
				t.Fatalf("served %q: the place of who left was lost", served)
			}
			q.l.release("s")
			q.wantEmpty()
		})
	}
}

// Further connections take what is free beyond the queue's needs, and never the last place while somebody waits.
func TestTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, 3, 4, 10, time.Hour)
		for i, want := range []bool{true, true, true, false} {
			if got := q.l.try("s"); got != want {
				t.Errorf("try %d = %v, want %v", i+1, got, want)
			}
		}
		if !q.l.try("other") || q.l.try("third") {
			t.Error("the bound of all sources does not hold")
		}
		q.enter(t.Context(), "waits", "s")
		q.l.release("other")
		q.wantOrder() // the source's own bound
		q.l.release("s")
		q.wantOrder("waits")
		for range 3 {
			q.l.release("s")
		}
		q.wantEmpty()
	})
}

// The sources that are remembered are bounded, and those in use are not forgotten.
func TestSharesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, 1, 10, 10, time.Hour)
		q.enter(t.Context(), "runs", "used")
		for i := range 3 * maxShares {
			if _, err := q.l.admit(fmt.Sprintf("source %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		q.l.mu.Lock()
		n, used := len(q.l.sources), q.l.sources["used"]
		q.l.mu.Unlock()
		if n > maxShares {
			t.Errorf("%d sources are remembered, want %d at most", n, maxShares)
		}
		if used == nil || used.conns != 1 {
			t.Error("a source in use was forgotten")
		}
		q.l.release("used")
		q.wantEmpty()
	})
}

// A source that is left alone is remembered before those that are well, however many of them come by.
func TestOpenBreakerRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{BreakerFailures: 1, BreakerPause: time.Hour}
		o.setDefaults()
		l := newLimits(o)
		done, err := l.admit("bad")
		if err != nil {
			t.Fatal(err)
		}
		done(object.ErrSourceDown)
		if _, err := l.admit("bad"); !errors.Is(err, object.ErrSourceDown) {
			t.Fatalf("admit = %v, want the breaker to be open", err)
		}
		for i := range 2 * maxShares {
			<-time.After(time.Millisecond)
			done, err := l.admit(fmt.Sprintf("source %d", i))
			if err != nil {
				t.Fatal(err)
			}
			done(nil)
		}
		if _, err := l.admit("bad"); !errors.Is(err, object.ErrSourceDown) {
			t.Errorf("admit = %v after %d other sources: its breaker was forgotten", err, 2*maxShares)
		}
	})
}

// What a breaker counts: failures of the source, not what we gave up ourselves.
func TestBreakerCounts(t *testing.T) {
	for _, tt := range []struct {
		name string
		errs []error
		open bool
	}{
		{"down", []error{object.ErrSourceDown, object.ErrSourceDown, object.ErrSourceDown}, true},
		{"down, with a time to come back", []error{object.ErrSourceDown, object.ErrSourceDown, &object.Retry{Err: object.ErrSourceDown}}, true},
		{"an answer in between", []error{object.ErrSourceDown, object.ErrSourceDown, nil, object.ErrSourceDown}, false},
		{"absent is an answer", []error{object.ErrSourceDown, object.ErrSourceDown, object.ErrNoSuchKey, object.ErrSourceDown}, false},
		{"given up by us: cancelled", []error{object.ErrSourceDown, object.ErrSourceDown, context.Canceled, object.ErrSourceDown}, true},
		{"given up by us: too late", []error{object.ErrSourceDown, object.ErrSourceDown, context.DeadlineExceeded, object.ErrSourceDown}, true},
		{"given up by us: superseded", []error{object.ErrSourceDown, object.ErrSourceDown, object.ErrSuperseded, object.ErrSourceDown}, true},
		{"given up by us: shutting down", []error{object.ErrSourceDown, object.ErrSourceDown, object.ErrShuttingDown, object.ErrSourceDown}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{BreakerFailures: 3, BreakerPause: time.Hour}
			o.setDefaults()
			l := newLimits(o)
			for i, err := range tt.errs {
				done, refused := l.admit("s")
				if refused != nil {
					t.Fatalf("admit %d = %v", i, refused)
				}
				done(err)
			}
			if _, err := l.admit("s"); (err != nil) != tt.open {
				t.Errorf("admit = %v, want open: %v", err, tt.open)
			}
		})
	}
}

// pace holds the rate of each source and that of all, over whatever many connections.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{SourceBytesPerSecond: 1 << 20, BytesPerSecond: 3 << 19}
		o.setDefaults()
		f := New(o)
		begin := time.Now()
		var wg sync.WaitGroup
		for _, source := range []string{"a", "a", "b", "b"} {
			wg.Go(func() {
				for range 5 << 20 / bufferSize { // 5 MiB
					if err := f.limits.pace(t.Context(), source, f.pace, bufferSize); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		// 20 MiB at 1.5 MiB/s, the first 1.5 MiB at once.
		if d := time.Since(begin); d < 12*time.Second || d > 13*time.Second {
			t.Errorf("20 MiB took %v, want about 12.3 s", d)
		}
	})
}

// OnBreaker may ask for the limits, as metrics do: it is not called with them locked.
func TestOnBreakerUnlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *limits
		o := Options{BreakerFailures: 1, BreakerPause: time.Second}
		calls := 0
		o.OnBreaker = func(source, state string) {
			calls++
			if !l.mu.TryLock() {
				t.Errorf("OnBreaker(%q, %q) with the limits locked", source, state)
				return
			}
			l.mu.Unlock()
		}
		o.setDefaults()
		l = newLimits(o)
		done, err := l.admit("bad")
		if err != nil {
			t.Fatal(err)
		}
		done(object.ErrSourceDown)
		<-time.After(time.Minute) // by now it would be half-open, if somebody asked
		for i := range 2 * maxShares {
			if _, err := l.admit(fmt.Sprintf("source %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if calls == 0 {
			t.Error("OnBreaker was never called")
		}
	})
}

// Sources that are all left alone are bounded, too.
func TestOpenBreakersBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{BreakerFailures: 1, BreakerPause: time.Hour}
		o.setDefaults()
		l := newLimits(o)
		for i := range maxShares + 100 {
			done, err := l.admit(fmt.Sprintf("source %d", i))
			if err != nil {
				t.Fatal(err)
			}
			done(object.ErrSourceDown)
		}
		if n := len(l.sources); n > maxShares {
			t.Errorf("%d sources are remembered, want %d at most", n, maxShares)
		}
	})
}
