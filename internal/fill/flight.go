package fill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
)

// flight is one fill under way. Its life is [flight.run]: look once more, ask, stream, verify, commit.
//
// Three kinds of goroutines meet here. The run goroutine decides (begin, which bytes next, end). Each connection has one that brings bytes
// (fetch.go). Readers come and go on their callers' goroutines (reader.go). They share the state below mu and wake each other
// through two channels: progress, closed and replaced whenever a reader may find more, and kick, which asks run to look
// whether a reader waits for bytes that nobody is bringing.
type flight struct {
	f      *Filler
	key    flightKey
	want   Want
	source string // name in limits and logs
	start  time.Time
	// put stores what was fetched, see Filler.Fetch; nil: this is a fill.
	put func(object.Meta, store.Spool) error

	ctx    context.Context
	cancel context.CancelCauseFunc
	kick   chan struct{}    // capacity 1
	ended  chan *connection // connections that ended; capacity for all of them

	requests atomic.Int64
	bytes    atomic.Int64

	mu         sync.Mutex    // guards all below
	progress   chan struct{} // closed when something changed that readers wait for
	waiting    bool          // somebody waits on progress
	head       *origin.Response
	meta       object.Meta // of the head; after verification as it is stored
	spool      store.Spool
	body       store.Body // the flight's own, for hashing
	hash       *hasher
	have       segments
	size       int64 // -1: not known yet
	ranges     bool  // the source serves ranges, as far as we know
	lied       bool  // it offered them, and does not serve them
	gaveWay    bool  // a stream of the whole object was ended, because another connection began where it stopped
	conns      map[*connection]struct{}
	most       int           // connections at once
	waited     time.Duration // of connections for the source, together, but for what they wait now
	readers    map[*Reader]struct{}
	joined     int64
	relay      *window // not nil: the disk fails, bytes go straight through
	relayErr   error
	verified   bool  // whole, and every claim of the source holds
	superseded bool  // nothing will be committed
	landed     bool  // run is over
	result     error // why the object is not in the store, once landed
	err        error // why readers get no more
}

func newFlight(f *Filler, k flightKey, w Want) *flight {
	fl := &flight{
		f: f, key: k, want: w, source: sourceName(w.Source), start: time.Now(), size: -1,
		kick: make(chan struct{}, 1), ended: make(chan *connection, f.o.MaxConnsPerFlight),
		progress: make(chan struct{}), conns: make(map[*connection]struct{}), readers: make(map[*Reader]struct{}),
	}
	// The flight's context is the filler's, not the first reader's: this is the one place where that is decided.
	fl.ctx, fl.cancel = context.WithCancelCause(f.ctx)
	return fl
}

// run is the flight.
func (fl *flight) run() {
	defer fl.cancel(context.Canceled)
	intent, err := fl.fly()
	if err == nil {
		err = fl.commit(intent)
	}
	left := err != nil && intent != nil && fl.leaveForLater(*intent, err)
	if err != nil && intent != nil && !left {
		if eerr := fl.f.o.Store.EndFill(context.WithoutCancel(fl.ctx), *intent); eerr != nil {
			fl.f.o.Logger.Warn("fill intent was not removed", "bucket", fl.want.Bucket.Name, "key", fl.key.key, "err", eerr)
		}
	}
	fl.land(err, left)
}

// fly gets the whole object into the spool. The intent is not nil once the store knows of the fill.
func (fl *flight) fly() (*store.Intent, error) {
	// A flight has one connection's place from here on until all bytes are there; further connections come and go.
	if err := fl.f.limits.acquire(fl.ctx, fl.source); err != nil {
		return nil, err
	}
	defer fl.f.limits.release(fl.source)
	if fl.put != nil {
		first, resp, err := fl.anew()
		if err == nil {
			err = fl.follow(first, resp, &noter{}) // which notes nothing
		}
		return nil, err
	}
	// The second look. A GET may have missed just before another flight of the same key committed:
	//
	//	reader A: store.Open → no such key
	//	flight 1:                            commit, leaves the table
	//	reader A:                                                     begins flight 2
	//
	// Without the look flight 2 would fetch again what is there.
	intent, err := fl.f.o.Store.BeginFill(fl.ctx, fl.want.Bucket, fl.key.key, fl.want.Setting)
	if err != nil {
		return nil, err
	}
	first, resp, ok, err := fl.resume(intent)
	if err == nil && !ok {
		first, resp, err = fl.anew()
	}
	if err != nil {
		return &intent, err
	}
	return &intent, fl.follow(first, resp, newNoter(fl, intent))
}

// follow brings all that follows the first answer.
func (fl *flight) follow(first *connection, resp *origin.Response, n *noter) error {
	defer first.cancel(context.Canceled)
	err := fl.transfer(first, resp, n)
	n.stop()
	if err != nil {
		return err
	}
	return fl.verify()
}

// at is the key that the source is asked for.
func (fl *flight) at() string {
	if fl.put != nil {
		return "" // the source is the object's own URL
	}
	return fl.key.key
}

// anew begins with the whole object.
func (fl *flight) anew() (*connection, *origin.Response, error) {
	c := fl.newConnection(0, math.MaxInt64)
	resp, err := fl.f.ask(c.ctx, fl.source, origin.Request{Source: fl.key.source, Key: fl.at(), Hops: fl.want.Hops}, &fl.requests)
	if err != nil {
		c.cancel(context.Canceled)
		fl.f.rememberFlight(fl, err)
		return nil, nil, err
	}
	if err := fl.begin(resp, nil, segments{}); err != nil {
		resp.Body.Close()
		c.cancel(context.Canceled)
		return nil, nil, err
	}
	return c, resp, nil
}

// begin takes head as what the object is, and lets the readers go. have is what spool holds of it already; without a spool it
// opens an empty one.
func (fl *flight) begin(head *origin.Response, spool store.Spool, have segments) error {
	o := &fl.f.o
	if head.Meta.Size > o.MaxSize {
		return object.Explain(object.ErrSourceBad, "the object has %d bytes at the source; at most %d are filled", head.Meta.Size, o.MaxSize)
	}
	var err error
	if spool == nil {
		spool, err = o.Store.NewSpool(fl.ctx, head.Meta.Size)
	}
	var body store.Body
	if err == nil {
		if body, err = spool.Open(); err != nil {
			err = errors.Join(err, spool.Discard())
		}
	}
	if err != nil && fl.put != nil {
		return fl.unwritten(err)
	}
	if err != nil && len(have.spans) > 0 {
		return err // what was taken up cannot be read: the caller begins anew
	}
	if err != nil {
		defer fl.f.detach(fl)
	}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if err != nil {
		have = segments{}
		fl.straightThrough(err)
	} else {
		fl.spool, fl.body = spool, body
	}
	fl.head, fl.meta, fl.size, fl.have = head, head.Meta, head.Meta.Size, have
	if fl.meta.LastModified.IsZero() {
		fl.meta.LastModified = time.Now().UTC().Truncate(time.Second)
	}
	fl.ranges = head.Ranges && head.Validator != "" && fl.size > o.SegmentSize
	fl.hash = newHasher(head.Claims, head.Meta.ETag == "" || looksLikeMD5(head.Meta.ETag))
	fl.wake()
	return nil
}

// verify makes sure that what arrived is what the source meant to send. Until it has, readers of the whole object do
// not get the last piece: a mismatch is a broken connection for them, never a corrupt file with a good end.
func (fl *flight) verify() error {
	fl.mu.Lock()
	relayed, size := fl.relay != nil, fl.size
	fl.mu.Unlock()
	if !relayed {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		if err := fl.hash.catchUp(fl.body, size, *buf); err != nil {
			return err
		}
	}
	var claimed []string
	switch whole := fl.hash.hashed() == size; {
	case whole:
		var err error
		if claimed, err = fl.hash.check(); err != nil {
			return err
		}
	case len(fl.head.Claims) > 0:
		return fl.relayErr // it went straight through with a gap, so nobody can say that it is right
	}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.meta.Size = size
	fl.meta.Digest = fl.hash.digest()
	fl.meta.ETag = finalETag(fl.meta.ETag, fl.meta.Digest)
	fl.meta.Created = time.Now().UTC()
	p := fl.head.Provenance
	p.Verified = claimed
	fl.meta.Filled = &p
	fl.verified = true
	fl.wake()
	if fl.relay != nil {
		return fl.relayErr
	}
	return nil
}

// commit makes the spool the object, unless a client's PUT or DELETE, or a change of the bucket, came first.
func (fl *flight) commit(intent *store.Intent) error {
	fl.mu.Lock()
	meta, spool := fl.meta, fl.spool
	fl.mu.Unlock()
	var err error
	if fl.put != nil {
		err = fl.put(meta, spool)
	} else {
		// Everything is there: the end of the server may wait for the disk.
		err = fl.f.o.Store.CommitFill(context.WithoutCancel(fl.ctx), *intent, meta, spool)
	}
	if errors.Is(err, object.ErrStore) {
		return fmt.Errorf("%w: %w", errUnstored, err)
	}
	return err
}

// land ends the flight: err is why the object is not in the store, nil if it is; left says that what arrived stays for later.
func (fl *flight) land(err error, left bool) {
	// Out of the table first: who is told of a failure and asks again must begin anew.
	defer fl.f.landed(fl)
	fl.f.detach(fl)
	fl.mu.Lock()
	fl.landed, fl.result = true, err
	if err != nil && !fl.verified {
		fl.err = err
	}
	spool, body := fl.spool, fl.body
	fl.wake()
	fl.mu.Unlock()
	if body != nil {
		body.Close()
	}
	if err != nil && !left && spool != nil {
		if derr := spool.Discard(); derr != nil {
			fl.f.o.Logger.Warn("spool was not removed", "bucket", fl.want.Bucket.Name, "key", fl.key.key, "err", derr)
		}
	}
	fl.report(err)
}

// outcome names how the flight ended.
func outcome(err error) Outcome {
	switch {
	case err == nil:
		return Stored
	case errors.Is(err, object.ErrExists):
		return Existed
	case errors.Is(err, object.ErrSuperseded), errors.Is(err, object.ErrPrecondition):
		return Superseded
	case errors.Is(err, object.ErrNoSuchKey):
		return Absent
	case errors.Is(err, object.ErrBadDigest):
		return Mismatched
	case errors.Is(err, object.ErrThrottled):
		return Throttled
	case errors.Is(err, object.ErrShuttingDown):
		return Aborted
	case errors.Is(err, errUnstored):
		return Unstored
	}
	return Failed
}

func (fl *flight) report(err error) {
	c := &fl.f.stats
	r := Report{
		Bucket: fl.want.Bucket.Name, Key: fl.key.key, Source: fl.source, Attempts: fl.requests.Load(), Bytes: fl.bytes.Load(),
		Duration: time.Since(fl.start), Outcome: outcome(err), Err: err,
	}
	fl.mu.Lock()
	r.Connections, r.Size, r.Readers = fl.most, fl.size, fl.joined
	if fl.head != nil {
		r.URL, r.FirstByte = fl.head.Provenance.URL, fl.head.FirstByte
	}
	fl.mu.Unlock()
	if r.URL == "" {
		r.URL = origin.Address(fl.key.source, fl.at())
	}
	switch r.Outcome {
	case Stored, Existed:
		c.completed.Add(1)
	case Absent:
		c.absent.Add(1)
	default:
		c.failed.Add(1)
	}
	switch r.Outcome {
	case Mismatched:
		c.mismatched.Add(1)
	case Unstored:
		c.unstored.Add(1)
	case Throttled:
		c.throttled.Add(1)
	}
	if fl.f.o.OnReport != nil {
		fl.f.o.OnReport(r)
	}
}

// supersede lets the flight's readers go to their end but commits nothing: the store refuses that by itself, because the intent is gone.
// Nobody being there, there is nothing left to fly for.
func (fl *flight) supersede() {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.superseded = true
	if len(fl.readers) == 0 && !fl.landed {
		fl.cancel(object.ErrSuperseded)
	}
}

// wake lets everybody who waits on progress look again; mu is held.
func (fl *flight) wake() {
	if fl.waiting {
		close(fl.progress)
		fl.progress = make(chan struct{})
		fl.waiting = false
	}
}

// nudge asks run to look at what readers wait for.
func (fl *flight) nudge() {
	select {
	case fl.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// knownMeta returns the object's metadata if the source has answered.
func (fl *flight) knownMeta() (object.Meta, bool) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	m := fl.meta
	m.Size = fl.size
	return m, fl.head != nil
}

func (fl *flight) progressNow() Progress {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	p := Progress{
		Bucket: fl.want.Bucket.Name, Key: fl.key.key, Size: fl.size, Arrived: fl.have.total(), Connections: len(fl.conns),
		Readers: int64(len(fl.readers)), Attempts: fl.requests.Load(), Started: fl.start,
	}
	if fl.head != nil {
		p.URL = fl.head.Provenance.URL
	} else {
		p.URL = origin.Address(fl.key.source, fl.at())
	}
	return p
}

// transfer brings all bytes: the first answer's stream, and further connections where readers, a broken connection or a slow source
// ask for them. It returns when every byte is in the spool or the flight cannot go on. All connections have ended then.
//
// The first answer's connection to the source is counted already.
func (fl *flight) transfer(first *connection, resp *origin.Response, n *noter) (err error) {
	defer func() {
		if err != nil {
			fl.fail(err) // readers need not wait for the connections to end
		}
		fl.cancelConns(err)
		fl.drain()
	}()
	fl.mu.Lock()
	fl.launch(first, resp)
	fl.mu.Unlock()

	g := newGrowth(fl)
	defer g.stop()
	var failures int             // in a row, of the last connection, without a byte in between
	var refusals int             // in a row, of further connections
	var pause <-chan time.Time   // before the flight asks again, having no connection
	var further <-chan time.Time // before it asks for one more, having some
	for {
		select {
		case <-fl.ctx.Done():
			return context.Cause(fl.ctx)
		case <-pause:
			pause = nil
		case <-further:
			further = nil
		case <-fl.kick:
		case <-g.tick:
			g.judge()
		case <-n.tick:
			n.write()
		case c := <-fl.ended:
			again, err := fl.settle(c)
			if err != nil {
				return err
			}
			if c.got > 0 {
				failures = 0
			}
			if !again {
				if c.got > 0 {
					refusals = 0
				}
				break
			}
			later := (*object.Retry)(nil)
			refused := errors.As(c.err, &later)
			if others := fl.connections(); others > 0 {
				g.hold(others) // this one was too many
				wait := min(fl.f.o.RetryPause<<min(refusals, 10), refusedPause)
				if refusals++; refused {
					wait = max(later.After, refusedPause)
				}
				further = time.After(wait)
				break
			}
			if failures++; failures > fl.f.o.Retries {
				return c.err
			}
			wait := fl.f.o.RetryPause << (failures - 1)
			if refused {
				if wait = later.After; wait == 0 || wait > fl.f.o.Patience {
					return c.err
				}
			}
			pause = time.After(wait)
		}
		fl.mu.Lock()
		done := fl.complete()
		if !done && (len(fl.conns) > 0 || pause == nil) {
			fl.schedule(g.target, further == nil)
		}
		fl.mu.Unlock()
		if done {
			return nil
		}
	}
}

// refusedPause is how long a flight makes do with the connections that it has, at most where one more failed, at least where the source
// refused it without saying how long.
const refusedPause = 10 * time.Second

// connections is how many there are now.
func (fl *flight) connections() int {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return len(fl.conns)
}

// complete reports whether every byte is there, or went through; mu is held.
func (fl *flight) complete() bool {
	if fl.relay != nil && fl.relay.done {
		return true
	}
	return fl.size >= 0 && fl.have.missing(0) >= fl.size
}

// settle judges a connection that ended. It returns true if what it did not bring may be asked for again after a pause, and an
// error if the flight cannot go on.
func (fl *flight) settle(c *connection) (again bool, err error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.leave(c)
	if fl.relay != nil && c.err == nil && fl.size >= 0 && c.pos >= fl.size && (fl.relay.open || fl.size == 0) {
		fl.relay.done = true
	}
	switch {
	case c.err == nil, errors.Is(c.err, errRerouted), fl.complete():
		fl.gaveWay = fl.gaveWay || c.err == nil && c.whole && c.pos < fl.size
		return false, nil
	case errors.Is(c.err, errLied):
		// It does not do ranges, whatever it said. A stream that still runs takes the region over. One that was sound may just have
		// ended in favour of the range:
		//
		//	the stream is at 100k; a reader wants 800k     run launches d there: the stream is to end at 800k
		//	the stream comes to 800k and ends
		//	d is answered with something else
		//
		// Then the whole object is asked for again, and what is there is passed over. Otherwise there is nothing to hold on to.
		fl.ranges = false
		fl.lied = fl.lied || fl.gaveWay && fl.relay == nil
		fl.bounds()
		if len(fl.conns) == 0 && !fl.lied {
			return false, c.err
		}
		return false, nil
	case !errors.Is(c.err, object.ErrSourceDown), fl.relay != nil:
		return false, c.err
	case fl.head.Validator == "", fl.size < 0:
		return false, c.err // nothing says that the rest would belong to the same object
	}
	return true, nil
}

// leave takes c out, and gives its place back unless it is the flight's own; mu is held.
func (fl *flight) leave(c *connection) {
	delete(fl.conns, c)
	if len(fl.conns) > 0 {
		fl.f.limits.release(fl.source)
	}
	fl.bounds()
}

// fail tells the readers.
func (fl *flight) fail(err error) {
	fl.f.detach(fl)
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.err = err
	fl.wake()
}

func (fl *flight) cancelConns(err error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for c := range fl.conns {
		c.cancel(err)
	}
}

// drain waits for the connections to end.
func (fl *flight) drain() {
	for {
		fl.mu.Lock()
		n := len(fl.conns)
		fl.mu.Unlock()
		if n == 0 {
			return
		}
		c := <-fl.ended
		fl.mu.Lock()
		fl.leave(c)
		fl.mu.Unlock()
	}
}

// ask sends one request to a source, again after a pause where retrying can help, and asks the source's breaker before.
func (f *Filler) ask(ctx context.Context, source string, req origin.Request, requests *atomic.Int64) (*origin.Response, error) {
	done, err := f.limits.admit(source)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		requests.Add(1)
		f.stats.originRequests.Add(1)
		var resp *origin.Response
		resp, err = f.o.Origin.Fetch(ctx, req)
		if err == nil {
			done(nil)
			return resp, nil
		}
		if ctx.Err() != nil {
			break
		}
		pause := f.o.RetryPause << try
		var later *object.Retry
		if errors.As(err, &later) {
			// The source said "later". Asking before the time that it named would be rude, and waiting longer than our patience useless.
			if later.After == 0 || later.After > f.o.Patience {
				break
			}
			pause = later.After
		}
		if !errors.Is(err, object.ErrSourceDown) || try >= f.o.Retries {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			done(context.Cause(ctx))
			return nil, context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // we gave it up: that says nothing about the source
	}
	done(err)
	return nil, err
}
