package replicate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Options are the settings of a Replicator. The zero value of each field means the default that its comment names.
type Options struct {
	// Store must be set, and have been made with Consumer.
	Store *store.Store
	// May returns the bucket to, if the owner of from may make, or with remove delete, the object under key there. It must be set.
	May func(ctx context.Context, from store.Bucket, to, key string, remove bool) (store.Bucket, error)
	// Changed is called for each object that was copied or deleted; nil means nobody asks.
	Changed func(b store.Bucket, key string)
	// Workers bounds the copies that run at once for one bucket, Buckets the buckets. 0 means 4 and 4.
	Workers, Buckets int
	// FirstRetry is the pause before what failed is tried again, doubled for each further time up to MaxRetry. 0 means 1 s and 5 min.
	FirstRetry, MaxRetry time.Duration
	// MaxAge is how old an event gets that cannot be repeated: then it is given up. 0 means a day.
	MaxAge time.Duration
	// Look is how often it is looked whether a bucket's existing objects are to be copied; 0 means 10 s.
	Look time.Duration
	// Logger gets a line for each object that could not be copied; nil means none.
	Logger *slog.Logger
}

// Stats counts what a Replicator did since it was made.
type Stats struct {
	Copied, Deleted int64 // objects
	Failed          int64 // attempts
	Expired         int64 // events that were given up
	Lost            int64 // events that their queue had no room for; what is there is compared as a whole then
}

// Replicator repeats changes. Make one with [New]; it does nothing before Start.
type Replicator struct {
	o      Options
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	freed  chan struct{} // has room for one: a worker ended

	mu      sync.Mutex // guards the fields below
	active  map[store.Queue]bool
	retries map[store.Queue]retry

	copied, deleted, failed, expired, lost atomic.Int64
}

// retry is when a queue is gone on with in which something failed.
type retry struct {
	at    time.Time
	pause time.Duration
}

// New returns a Replicator with settings o.
func New(o Options) *Replicator {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.FirstRetry, time.Second}, {&o.MaxRetry, 5 * time.Minute}, {&o.MaxAge, 24 * time.Hour}, {&o.Look, 10 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Buckets <= 0 {
		o.Buckets = 4
	}
	if o.Changed == nil {
		o.Changed = func(store.Bucket, string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replicator{o: o, log: o.Logger, freed: make(chan struct{}, 1), active: map[store.Queue]bool{}, retries: map[store.Queue]retry{}}
	// A copy is nobody's request, and is copied no further.
	r.ctx, r.cancel = context.WithCancel(store.WithCause(context.Background(), store.Cause{Replica: true}))
	return r
}

// Start begins to repeat.
func (r *Replicator) Start() {
	r.wg.Go(r.run)
	r.wg.Go(r.compare)
}

// Close ends it, aborts running copies and waits for them. What was not repeated goes on at the next start.
func (r *Replicator) Close() {
	r.cancel()
	r.wg.Wait()
}

// Stats returns the counts up to now.
func (r *Replicator) Stats() Stats {
	return Stats{Copied: r.copied.Load(), Deleted: r.deleted.Load(), Failed: r.failed.Load(), Expired: r.expired.Load(), Lost: r.lost.Load()}
}

// Pending returns how many events wait.
func (r *Replicator) Pending(ctx context.Context) (int64, error) {
	list, err := r.o.Store.Waiting(ctx, tag)
	var sum int64
	for _, b := range list {
		sum += b.Pending
	}
	return sum, err
}

const (
	// idle is how long nobody looks when nothing happens.
	idle = time.Minute
	// gather is the least time between two looks: many changes a second need not be many looks.
	gather = 10 * time.Millisecond
)

func (r *Replicator) run() {
	for {
		news := r.o.Store.News()
		timer := time.NewTimer(r.dispatch())
		select {
		case <-news:
		case <-r.freed:
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			return
		}
		timer.Reset(gather)
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// dispatch sets workers to the queues that are to be gone on with now, and returns how long to wait for the next one.
func (r *Replicator) dispatch() time.Duration {
	list, err := r.o.Store.Waiting(r.ctx, tag)
	if err != nil {
		r.problem("the events cannot be read", err)
		return time.Second
	}
	now, wait := time.Now(), idle
	for _, b := range list {
		if b.Pending == 0 {
			continue // what was lost is compare's to find
		}
		r.mu.Lock()
		again, failed := r.retries[b.Queue]
		switch {
		case r.active[b.Queue], len(r.active) >= r.o.Buckets:
			// Whoever is working says when there is room.
		case failed && again.at.After(now):
			wait = min(wait, again.at.Sub(now))
		default:
			r.active[b.Queue] = true
			r.wg.Go(func() { r.work(b.Queue) })
		}
		r.mu.Unlock()
	}
	return wait
}

// work repeats the first events of a queue.
func (r *Replicator) work(q store.Queue) {
	defer func() {
		r.mu.Lock()
		delete(r.active, q)
		r.mu.Unlock()
		select {
		case r.freed <- struct{}{}:
		default: // somebody said so already
		}
	}()
	failed, err := r.repeat(q)
	if err != nil {
		r.problem("events cannot be taken from the store", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !failed && err == nil {
		delete(r.retries, q)
		return
	}
	pause := r.o.FirstRetry
	if was, ok := r.retries[q]; ok {
		pause = min(2*was.pause, r.o.MaxRetry)
	}
	r.retries[q] = retry{time.Now().Add(pause), pause}
}

// turn is how many events of a bucket are repeated before others get their turn. As many that fail are what holds a bucket's queue up, until they are given up.
const turn = 200

// repeat repeats the first events of a queue, and reports whether some of them failed. Its error is the store's.
func (r *Replicator) repeat(q store.Queue) (failed bool, err error) {
	events, err := r.o.Store.Events(r.ctx, q, turn)
	if err != nil || len(events) == 0 {
		return false, err
	}
	b, rules, ok, err := r.rules(events[0].Bucket)
	if err != nil {
		return false, err
	}
	if !ok || b.ID != q.Bucket {
		return false, r.o.Store.DropQueue(r.ctx, q)
	}
	// Of the events of one key only the last counts: what the bucket holds now is copied, not what it held then.
	last := make(map[string]store.Event, len(events))
	for _, e := range events {
		last[e.Key] = e
	}
	var mu sync.Mutex // guards done and failed
	var done []store.Event
	r.each(func(yield func(store.Event)) {
		for _, e := range last {
			yield(e)
		}
	}, func(e store.Event) {
		settled := true
		if rule, ok := ruleFor(rules, e.Key); ok {
			settled = r.settle(b, rule, e)
		}
		mu.Lock()
		defer mu.Unlock()
		if !settled {
			failed = true
			return
		}
		for _, other := range events {
			if other.Key == e.Key {
				done = append(done, other)
			}
		}
	})
	if r.ctx.Err() != nil {
		return false, nil
	}
	return failed, r.o.Store.Done(r.ctx, q, done...)
}

// each calls do for what list yields, for a bounded number at once.
func (r *Replicator) each(list func(yield func(store.Event)), do func(store.Event)) {
	work := make(chan store.Event)
	var wg sync.WaitGroup
	for range r.o.Workers {
		wg.Go(func() {
			for e := range work {
				if r.ctx.Err() == nil {
					do(e)
				}
			}
		})
	}
	list(func(e store.Event) { work <- e })
	close(work)
	wg.Wait()
}

// settle repeats one event and reports whether nothing is left to do about it.
func (r *Replicator) settle(b store.Bucket, rule Rule, e store.Event) bool {
	err := r.one(b, rule, e)
	if err == nil {
		return true
	}
	if r.ctx.Err() != nil {
		return false
	}
	r.failed.Add(1)
	gaveUp := time.Since(e.At) >= r.o.MaxAge || errors.Is(err, object.ErrDamaged)
	r.log.Warn("replication failed", "bucket", b.Name, "rule", rule.ID, "to", rule.Bucket, "key", e.Key, "error", err.Error(), "given_up", gaveUp)
	if gaveUp {
		r.expired.Add(1)
	}
	return gaveUp
}

// rules returns a bucket and its rules; ok is false if it is gone or has none.
func (r *Replicator) rules(name string) (b store.Bucket, rules []Rule, ok bool, err error) {
	b, err = r.o.Store.Bucket(r.ctx, name)
	if errors.Is(err, object.ErrNoSuchBucket) {
		return b, nil, false, nil
	}
	if err != nil {
		return b, nil, false, err
	}
	doc, err := r.o.Store.Setting(r.ctx, b, Setting)
	if errors.Is(err, object.ErrNoSetting) {
		return b, nil, false, nil
	}
	if err != nil {
		return b, nil, false, err
	}
	rules, err = Parse(doc)
	return b, rules, err == nil, err
}

// problem logs an error of the store, unless the replicator is ending.
func (r *Replicator) problem(what string, err error, attrs ...any) {
	if r.ctx.Err() == nil {
		r.log.Error("replication: "+what, append(attrs, "error", err.Error())...)
	}
}
