package fill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"
)

// limits shares the connections to sources out: so many to one source, so many in all, first come first served among those that
// wait. A source that has reached its own bound does not keep others waiting behind it.
type limits struct {
	o Options

	mu      sync.Mutex // guards all below
	total   int
	sources map[string]*share
	queue   []*ticket // first come first
}

// share is what one source has of the limits. It lives while something is in it, and as long as its breaker remembers.
type share struct {
	conns   int
	bytes   *rate.Limiter // nil: any
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	state   atomic.Int32 // of the breaker, a gobreaker.State: asking the breaker itself could change it
	used    time.Time
}

type ticket struct {
	source string
	ready  chan struct{} // closed when the connection is granted
}

func newLimits(o Options) *limits {
	return &limits{o: o, sources: make(map[string]*share)}
}

// maxShares bounds the sources that are remembered while nothing runs on them.
const maxShares = 4096

// share returns the share of source; mu is held.
func (l *limits) share(source string) *share {
	s := l.sources[source]
	if s == nil {
		if len(l.sources) >= maxShares {
			l.forget()
		}
		s = &share{}
		if l.o.SourceBytesPerSecond > 0 {
			s.bytes = rate.NewLimiter(rate.Limit(l.o.SourceBytesPerSecond), int(max(l.o.SourceBytesPerSecond, bufferSize)))
		}
		if l.o.BreakerFailures > 0 {
			s.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
				Timeout: l.o.BreakerPause,
				// What we gave up ourselves says nothing about the source.
				IsExcluded:  func(err error) bool { return err != nil && !errors.Is(err, object.ErrSourceDown) },
				ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(l.o.BreakerFailures) },
				OnStateChange: func(_ string, _, to gobreaker.State) {
					s.state.Store(int32(to))
					if l.o.OnBreaker != nil {
						l.o.OnBreaker(source, to.String())
					}
				},
			})
		}
		l.sources[source] = s
	}
	s.used = time.Now()
	return s
}

// forget drops the shares that nothing runs on and that were used longest ago; those of sources that are left alone now only if there are
// no others.
func (l *limits) forget() {
	var idle []string
	for name, s := range l.sources {
		if s.conns == 0 {
			idle = append(idle, name)
		}
	}
	open := func(name string) int {
		if gobreaker.State(l.sources[name].state.Load()) == gobreaker.StateOpen {
			return 1
		}
		return 0
	}
	slices.SortFunc(idle, func(a, b string) int {
		return cmp.Or(open(a)-open(b), l.sources[a].used.Compare(l.sources[b].used))
	})
	for _, name := range idle[:(len(idle)+1)/2] {
		delete(l.sources, name)
	}
}

// grant takes a connection to source if the bounds allow; mu is held.
func (l *limits) grant(source string) bool {
	s := l.share(source)
	if l.total >= l.o.MaxConns || s.conns >= l.o.MaxConnsPerSource {
		return false
	}
	l.total++
	s.conns++
	return true
}

// acquire waits for a connection to source. It fails with [object.ErrThrottled], and when to come back, if the queue is full or
// the wait too long.
func (l *limits) acquire(ctx context.Context, source string) error {
	l.mu.Lock()
	if !l.waiting(source) && l.grant(source) {
		l.mu.Unlock()
		return nil
	}
	if len(l.queue) >= l.o.MaxQueue {
		l.mu.Unlock()
		return l.throttled("%d fills wait already", l.o.MaxQueue)
	}
	t := &ticket{source: source, ready: make(chan struct{})}
	l.queue = append(l.queue, t)
	l.mu.Unlock()

	timeout := time.NewTimer(l.o.QueueWait)
	defer timeout.Stop()
	var err error
	select {
	case <-t.ready:
		return nil
	case <-timeout.C:
		err = l.throttled("no connection was free for %v", l.o.QueueWait)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, t); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		return err
	}
	// Granted at the same moment: give it back.
	l.giveBack(source)
	return err
}

func (l *limits) throttled(format string, args ...any) error {
	return &object.Retry{
		After: max(l.o.QueueWait/10, time.Second).Round(time.Second),
		Err:   &object.Explained{Kind: object.ErrThrottled, Text: "too many fills are running; try again later", Cause: fmt.Errorf(format, args...)},
	}
}

// waiting reports whether somebody waits for source already; mu is held.
func (l *limits) waiting(source string) bool {
	return slices.ContainsFunc(l.queue, func(t *ticket) bool { return t.source == source })
}

// try takes a further connection if one is free and nobody waits for it.
func (l *limits) try(source string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && (l.total+1 >= l.o.MaxConns || l.waiting(source)) {
		return false
	}
	return l.grant(source)
}

// release gives a connection to source back, and on to whoever waits longest among those that may have one.
func (l *limits) release(source string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.giveBack(source)
}

func (l *limits) giveBack(source string) {
	l.total--
	l.sources[source].conns--
	for i := 0; i < len(l.queue); {
		t := l.queue[i]
		if !l.grant(t.source) {
			if l.total >= l.o.MaxConns {
				return
			}
			i++
			continue
		}
		l.queue = slices.Delete(l.queue, i, i+1)
		close(t.ready)
	}
}

// pace waits until n more bytes from source are within the bytes-a-second limits.
func (l *limits) pace(ctx context.Context, source string, all *rate.Limiter, n int) error {
	l.mu.Lock()
	own := l.share(source).bytes
	l.mu.Unlock()
	for _, lim := range []*rate.Limiter{own, all} {
		if lim == nil {
			continue
		}
		if err := lim.WaitN(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// admit asks the breaker of source. done reports how it went; it must be called once.
func (l *limits) admit(source string) (done func(error), err error) {
	l.mu.Lock()
	b := l.share(source).breaker
	l.mu.Unlock()
	if b == nil {
		return func(error) {}, nil
	}
	report, err := b.Allow()
	if err != nil {
		return nil, &object.Retry{
			After: max(l.o.BreakerPause, time.Second).Round(time.Second),
			Err: object.Explain(object.ErrSourceDown, "the source failed %d times in a row and is left alone for up to %v (circuit breaker %s)",
				l.o.BreakerFailures, l.o.BreakerPause, b.State()),
		}
	}
	return func(err error) {
		if errors.Is(err, object.ErrNoSuchKey) || errors.Is(err, object.ErrSourceBad) || errors.Is(err, object.ErrSourceChanged) {
			err = nil // it answered, be it badly
		}
		report(err)
	}, nil
}
