// Package fill makes missing objects from their sources: one flight a key, which every reader of that key joins.
//
// A flight belongs to the [Filler], not to the request that began it: it ends when the object is whole, when its source
// fails, or when the Filler is closed, whoever comes and goes meanwhile. This package knows no HTTP and no API.
package fill

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
	"golang.org/x/time/rate"
)

// Origin is where missing objects come from. [origin.Client] is the real one.
type Origin interface {
	// Fetch opens a key, or a part of it, at its source. The caller closes the body. It fails as [origin.Client.Fetch] says.
	Fetch(ctx context.Context, req origin.Request) (*origin.Response, error)
}

// bufferSize is what one connection reads at once, in bytes; with the number of connections it bounds the memory of all fills.
const bufferSize = 256 << 10

// Options are a filler's settings. The zero value of each field means the default that its comment names.
type Options struct {
	Origin Origin
	Store  *store.Store
	// Logger gets what no caller can be told; nil means none.
	Logger *slog.Logger
	// OnReport is called once for each ended flight, from its goroutine; may be nil.
	OnReport func(Report)
	// OnBreaker is called when the breaker of a source changes its state ("open", "half-open", "closed"); may be nil. It must not block.
	OnBreaker func(source, state string)

	// SegmentSize is the unit of ranged requests, in bytes; objects up to it are fetched by one request. 0 means 8 MiB.
	SegmentSize int64
	// MaxConnsPerFlight bounds the connections of one flight; 0 means 8.
	MaxConnsPerFlight int
	// MaxConnsPerSource bounds the connections to one source; 0 means 64.
	MaxConnsPerSource int
	// MaxConns bounds the connections to all sources; 0 means 256.
	MaxConns int
	// MaxQueue bounds the flights that wait for a connection; 0 means 1024.
	MaxQueue int
	// QueueWait bounds how long one waits; 0 means 30 s.
	QueueWait time.Duration
	// BytesPerSecond and SourceBytesPerSecond limit what is read from all sources and from one; 0 means any.
	BytesPerSecond, SourceBytesPerSecond int64

	// Retries is how often in a row a flight asks again without having got a byte; 0 means 2, negative none.
	Retries int
	// RetryPause is the pause before the first retry; it doubles with each. 0 means 100 ms.
	RetryPause time.Duration
	// Patience is how long a Retry-After of the source is waited out before the readers are told to come back; 0 means not at all.
	Patience time.Duration
	// BreakerFailures opens a source's breaker after so many flights in a row that it failed; 0 means 10, negative never.
	BreakerFailures int
	// BreakerPause is how long an open breaker lets nobody through; 0 means 5 s.
	BreakerPause time.Duration
	// NegativeTTL is how long a source's "not there" is remembered; 0 means not at all.
	NegativeTTL time.Duration

	// MaxSize bounds an object, in bytes; 0 means 5 TiB.
	MaxSize int64
	// MaxUnsized bounds an object whose length the source does not say, in bytes; 0 means 5 GiB.
	MaxUnsized int64

	// ResumeSize is the size, in bytes, from which on an interrupted fill leaves on disk what has arrived, for later; 0 means
	// 64 MiB, negative never.
	ResumeSize int64
	// NoteEvery is how often it is noted what has arrived; 0 means 5 s.
	NoteEvery time.Duration

	// GrowAfter is how much longer than this a fill must be expected to take for further connections to be opened; 0 means 2 s.
	GrowAfter time.Duration
}

func (o *Options) setDefaults() {
	def(&o.SegmentSize, 8<<20)
	def(&o.MaxConnsPerFlight, 8)
	def(&o.MaxConnsPerSource, 64)
	def(&o.MaxConns, 256)
	def(&o.MaxQueue, 1024)
	def(&o.QueueWait, 30*time.Second)
	def(&o.Retries, 2)
	def(&o.RetryPause, 100*time.Millisecond)
	def(&o.BreakerFailures, 10)
	def(&o.BreakerPause, 5*time.Second)
	def(&o.MaxSize, 5<<40)
	def(&o.MaxUnsized, 5<<30)
	def(&o.ResumeSize, 64<<20)
	def(&o.NoteEvery, 5*time.Second)
	def(&o.GrowAfter, 2*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Filler runs flights. Make one with [New], end it with [Filler.Close].
type Filler struct {
	o      Options
	limits *limits
	pace   *rate.Limiter // of all sources together; nil: any
	stats  counters
	absent *absences

	ctx  context.Context // every flight's; ends when the filler is closed
	stop context.CancelCauseFunc
	wg   sync.WaitGroup // flights

	mu      sync.Mutex            // guards all below
	flights map[flightKey]*flight // those that can be joined
	air     map[*flight]struct{}  // all that have not landed
	forgets uint64                // how often something was forgotten
	closed  bool
}

// flightKey says which flight a reader joins. The source is a part of it: whoever reads after a change of the setting gets nothing
// of the old source.
type flightKey struct {
	bucket uint64
	key    string
	source object.Source
	// hops is how many mirrors the flight's first request came through. A request joins no flight of fewer: in a ring it could be
	// the flight's own request that comes back, and both would wait for each other.
	hops int
}

// Want is the object that a reader misses.
type Want struct {
	Bucket store.Bucket
	Key    string
	// Source is where to fill from, and Setting the bucket's document that says so, as the store has it.
	Source  object.Source
	Setting []byte
	// Hops is how many mirrors the request came through.
	Hops int
}

// New returns a filler with settings o; Origin and Store must be set.
func New(o Options) *Filler {
	o.setDefaults()
	f := &Filler{o: o, limits: newLimits(o), flights: make(map[flightKey]*flight), air: make(map[*flight]struct{}), absent: newAbsences(o.NegativeTTL)}
	if o.BytesPerSecond > 0 {
		f.pace = rate.NewLimiter(rate.Limit(o.BytesPerSecond), int(max(o.BytesPerSecond, bufferSize)))
	}
	f.ctx, f.stop = context.WithCancelCause(context.Background())
	return f
}

// Get joins the flight of w, or begins it, and returns once the source has said what the object is. The caller closes the reader.
// It fails with
//
//   - [object.ErrExists]: the store has the object by now; look there again;
//   - [object.ErrNoSuchKey]: the source has none either;
//   - [object.ErrSourceDown], [object.ErrSourceBad], [object.ErrThrottled], [object.ErrShuttingDown], the first and the third perhaps
//     with an [*object.Retry].
//
// The end of ctx ends the wait, not the flight.
func (f *Filler) Get(ctx context.Context, w Want) (*Reader, error) {
	k := flightKey{bucket: w.Bucket.ID, key: w.Key, source: w.Source}
	if f.absent.has(k) {
		return nil, object.Explain(object.ErrNoSuchKey, "the source had no such object a moment ago")
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, object.ErrShuttingDown
	}
	var r *Reader
	k.hops = min(w.Hops, origin.MaxHops)
	if fl := f.joinable(k); fl != nil {
		r = fl.join(true)
		f.stats.coalesced.Add(1)
	} else {
		fl = newFlight(f, k, w)
		f.flights[k] = fl
		f.air[fl] = struct{}{}
		f.stats.started.Add(1)
		r = fl.join(false) // before it runs: a flight whose bytes go straight through ends when it has no readers
		f.wg.Go(fl.run)
	}
	f.mu.Unlock()
	if err := r.awaitHead(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Head asks the source what the object of w is, or the flight that knows it already. It stores nothing. It fails as [Filler.Get] does.
func (f *Filler) Head(ctx context.Context, w Want) (object.Meta, error) {
	k := flightKey{bucket: w.Bucket.ID, key: w.Key, source: w.Source}
	if f.absent.has(k) {
		return object.Meta{}, object.Explain(object.ErrNoSuchKey, "the source had no such object a moment ago")
	}
	f.mu.Lock()
	k.hops = min(w.Hops, origin.MaxHops)
	fl, closed, forgets := f.joinable(k), f.closed, f.forgets
	f.mu.Unlock()
	if closed {
		return object.Meta{}, object.ErrShuttingDown
	}
	if fl != nil {
		if m, ok := fl.knownMeta(); ok {
			return m, nil
		}
	}
	source := sourceName(w.Source)
	if err := f.limits.acquire(ctx, source); err != nil {
		return object.Meta{}, err
	}
	defer f.limits.release(source)
	resp, err := f.ask(ctx, source, origin.Request{Source: w.Source, Key: w.Key, Head: true, Hops: w.Hops}, new(atomic.Int64))
	if err != nil {
		f.remember(k, err, func() bool { return f.forgets == forgets })
		return object.Meta{}, err
	}
	resp.Body.Close()
	return resp.Meta, nil
}

// joinable returns the flight that a request for k may join, nil if there is none; mu is held.
func (f *Filler) joinable(k flightKey) *flight {
	for ; k.hops <= origin.MaxHops; k.hops++ {
		if fl := f.flights[k]; fl != nil {
			return fl
		}
	}
	return nil
}

// remember notes a source's "not there" for as long as the settings say, if it is still true: a PUT, or a change of the setting, may have
// come between the answer and this. still is asked with mu held.
func (f *Filler) remember(k flightKey, err error, still func() bool) {
	if !errors.Is(err, object.ErrNoSuchKey) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if still() {
		k.hops = 0
		f.absent.add(k)
	}
}

// rememberFlight is remember for what fl was told.
func (f *Filler) rememberFlight(fl *flight, err error) {
	f.remember(fl.key, err, func() bool { return f.flights[fl.key] == fl })
}

// Forget ends what is known of the key and of its flight: who asks from now on begins anew. The readers of the flight are served to
// the end, but it commits nothing; without readers it is aborted. To be called after the key was deleted or put.
func (f *Filler) Forget(bucket uint64, key string) {
	f.forget(func(k flightKey) bool { return k.bucket == bucket && k.key == key })
}

// ForgetBucket is [Filler.Forget] for all keys of a bucket: its setting was changed, or it was deleted.
func (f *Filler) ForgetBucket(bucket uint64) {
	f.forget(func(k flightKey) bool { return k.bucket == bucket })
}

func (f *Filler) forget(which func(flightKey) bool) {
	f.mu.Lock()
	f.forgets++
	f.absent.forget(which)
	var gone []*flight
	for k, fl := range f.flights {
		if which(k) {
			delete(f.flights, k)
			gone = append(gone, fl)
		}
	}
	f.mu.Unlock()
	for _, fl := range gone {
		fl.supersede()
	}
}

// detach takes fl out of the table, so that nobody joins it any more.
func (f *Filler) detach(fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flights[fl.key] == fl {
		delete(f.flights, fl.key)
	}
}

// landed takes fl out of the air.
func (f *Filler) landed(fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.air, fl)
}

// Close lets no new flight begin, waits for those in the air until ctx ends, then aborts them without a trace and waits until
// they are down.
func (f *Filler) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	landed := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() {
		f.wg.Wait()
		close(landed)
	})
	var err error
	select {
	case <-landed:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	f.stop(object.ErrShuttingDown)
	waiter.Wait()
	return err
}

// sourceName is a source's name in limits, logs and metrics.
func sourceName(s object.Source) string {
	return origin.Name(s)
}
