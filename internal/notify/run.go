package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Options are the settings of a Notifier. The zero value of each field means the default that its comment names.
type Options struct {
	// Store must be set, and have been made with Consumer.
	Store *store.Store
	// Post sends a document to where r says and returns the status of the answer. It must be set.
	Post func(ctx context.Context, r Rule, body []byte) (status int, err error)
	// Make makes of the object under key what p says. It must be set.
	Make func(ctx context.Context, b store.Bucket, key string, p Picture) error
	// MakeTimeout bounds that; 0 means 1 min.
	MakeTimeout time.Duration
	// Timeout bounds one attempt to tell; 0 means 5 s (QingStor API, "PUT Bucket Notification").
	Timeout time.Duration
	// FirstRetry is the pause before an attempt that failed is made again, doubled for each further one up to MaxRetry. 0 means 1 s and 5 min.
	FirstRetry, MaxRetry time.Duration
	// MaxAge is how old an event gets: then it is given up. 0 means a day.
	MaxAge time.Duration
	// Workers bounds the attempts that run at once, BucketWorkers those for one bucket. 0 means 16 and 4.
	Workers, BucketWorkers int
	// Logger gets a line for each attempt that failed; nil means none.
	Logger *slog.Logger
}

// Stats counts what a Notifier did since it was made.
type Stats struct {
	Delivered int64 // events of which an address said that it has them
	Failed    int64 // attempts
	Expired   int64 // events that were given up
	Lost      int64 // events that their queue had no room for, as far as it is known by now
}

// Notifier tells of events. The events of a rule are told one by one, in order; the next one waits until the one before was taken or given up. Make one with
// [New]; it does nothing before Start.
type Notifier struct {
	o      Options
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	freed  chan struct{} // has room for one: a worker ended

	mu      sync.Mutex // guards the fields below
	active  map[store.Queue]bool
	buckets map[uint64]int // how many of the active ones are of the bucket
	retries map[store.Queue]retry

	delivered, failed, expired, lost atomic.Int64
}

// retry is when a queue is gone on with whose first event failed.
type retry struct {
	at    time.Time
	pause time.Duration
}

// New returns a Notifier with settings o.
func New(o Options) *Notifier {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Timeout, 5 * time.Second}, {&o.MakeTimeout, time.Minute}, {&o.FirstRetry, time.Second}, {&o.MaxRetry, 5 * time.Minute}, {&o.MaxAge, 24 * time.Hour}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Workers <= 0 {
		o.Workers = 16
	}
	if o.BucketWorkers <= 0 {
		o.BucketWorkers = 4
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Notifier{
		o: o, log: o.Logger, freed: make(chan struct{}, 1),
		active: map[store.Queue]bool{}, buckets: map[uint64]int{}, retries: map[store.Queue]retry{},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Start begins to tell.
func (n *Notifier) Start() { n.wg.Go(n.run) }

// Close ends it, aborts running attempts and waits for them. What was not told stays in the store.
func (n *Notifier) Close() {
	n.cancel()
	n.wg.Wait()
}

// Stats returns the counts up to now.
func (n *Notifier) Stats() Stats {
	return Stats{Delivered: n.delivered.Load(), Failed: n.failed.Load(), Expired: n.expired.Load(), Lost: n.lost.Load()}
}

// Pending returns how many events wait.
func (n *Notifier) Pending(ctx context.Context) (int64, error) {
	list, err := n.o.Store.Waiting(ctx, tag)
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

func (n *Notifier) run() {
	for {
		news := n.o.Store.News()
		wait := n.dispatch()
		timer := time.NewTimer(wait)
		select {
		case <-news:
		case <-n.freed:
		case <-timer.C:
		case <-n.ctx.Done():
			timer.Stop()
			return
		}
		timer.Reset(gather)
		select {
		case <-timer.C:
		case <-n.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// dispatch sets workers to the queues that are to be gone on with now, and returns how long to wait for the next one.
func (n *Notifier) dispatch() time.Duration {
	list, err := n.o.Store.Waiting(n.ctx, tag)
	if err != nil {
		n.problem("the events cannot be read", err)
		return time.Second
	}
	n.forget(list)
	now, wait := time.Now(), idle
	for _, b := range list {
		if b.Lost > 0 {
			n.admit(b.Queue)
		}
		if b.Pending == 0 {
			continue
		}
		n.mu.Lock()
		again, failed := n.retries[b.Queue]
		switch {
		case n.active[b.Queue], len(n.active) >= n.o.Workers, n.buckets[b.Bucket] >= n.o.BucketWorkers:
			// Whoever is working there says when there is room.
		case failed && again.at.After(now):
			wait = min(wait, again.at.Sub(now))
		default:
			n.active[b.Queue] = true
			n.buckets[b.Bucket]++
			n.wg.Go(func() { n.work(b.Queue) })
		}
		n.mu.Unlock()
	}
	return wait
}

// forget lets go of queues that are empty.
func (n *Notifier) forget(list []store.Backlog) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.retries) == 0 {
		return
	}
	there := make(map[store.Queue]bool, len(list))
	for _, b := range list {
		there[b.Queue] = true
	}
	for q := range n.retries {
		if !there[q] {
			delete(n.retries, q)
		}
	}
}

// admit says that events were lost.
func (n *Notifier) admit(q store.Queue) {
	lost, err := n.o.Store.Admit(n.ctx, q)
	if err != nil {
		n.problem("lost events cannot be counted", err)
		return
	}
	n.lost.Add(lost)
	n.log.Error("notification: events were lost, the queue is full", "bucket_id", q.Bucket, "notification", q.Lane, "lost", lost)
}

// work goes on with a queue until it is empty, or an attempt fails, or others had to wait long enough.
func (n *Notifier) work(q store.Queue) {
	defer func() {
		n.mu.Lock()
		delete(n.active, q)
		if n.buckets[q.Bucket]--; n.buckets[q.Bucket] == 0 {
			delete(n.buckets, q.Bucket)
		}
		n.mu.Unlock()
		select {
		case n.freed <- struct{}{}:
		default: // somebody said so already
		}
	}()
	if err := n.tell(q); err != nil {
		n.problem("events cannot be taken from the store", err)
		n.later(q)
	}
}

// turn is how many events of a queue are told before others get their turn.
const turn = 50

// tell tells of the first events of a queue. Its error is the store's.
func (n *Notifier) tell(q store.Queue) error {
	events, err := n.o.Store.Events(n.ctx, q, turn)
	if err != nil || len(events) == 0 {
		return err
	}
	b, r, ok, err := n.rule(q, events[0].Bucket)
	if err != nil {
		return err
	}
	if !ok {
		return n.o.Store.DropQueue(n.ctx, q)
	}
	for _, e := range events {
		if n.ctx.Err() != nil {
			return nil
		}
		if r.wants(e) { // the rule may have changed since
			if why, final := n.do(b, r, e); why != "" {
				if n.ctx.Err() != nil {
					return nil
				}
				n.failed.Add(1)
				gaveUp := final || time.Since(e.At) >= n.o.MaxAge
				n.log.Warn("notification failed", "bucket", b.Name, "notification", r.ID, "key", e.Key, "url", withoutQuery(r.URL), "error", why, "given_up", gaveUp)
				if !gaveUp {
					n.later(q)
					return nil
				}
				n.expired.Add(1)
			} else {
				n.delivered.Add(1)
			}
		}
		n.mu.Lock()
		delete(n.retries, q)
		n.mu.Unlock()
		if err := n.o.Store.Done(n.ctx, q, e); err != nil {
			return err
		}
	}
	return nil
}

// later puts a queue off.
func (n *Notifier) later(q store.Queue) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pause := n.o.FirstRetry
	if r, ok := n.retries[q]; ok {
		pause = min(2*r.pause, n.o.MaxRetry)
	}
	n.retries[q] = retry{time.Now().Add(pause), pause}
}

// rule returns the rule that a queue's events are for; ok is false if it is gone, or its bucket.
func (n *Notifier) rule(q store.Queue, bucket string) (b store.Bucket, r Rule, ok bool, err error) {
	b, err = n.o.Store.Bucket(n.ctx, bucket)
	if errors.Is(err, object.ErrNoSuchBucket) || err == nil && b.ID != q.Bucket {
		return b, r, false, nil
	}
	if err != nil {
		return b, r, false, err
	}
	doc, err := n.o.Store.Setting(n.ctx, b, Setting)
	if errors.Is(err, object.ErrNoSetting) {
		return b, r, false, nil
	}
	if err != nil {
		return b, r, false, err
	}
	rules, err := Parse(doc)
	for _, r := range rules {
		if r.ID == q.Lane {
			return b, r, true, nil
		}
	}
	return b, r, false, err
}

// do does what the rule says about an event, and says what went wrong; final: trying again will not help.
func (n *Notifier) do(b store.Bucket, r Rule, e store.Event) (why string, final bool) {
	if r.Func == FuncImage && makes(e.Kind) {
		ctx, cancel := context.WithTimeout(n.ctx, n.o.MakeTimeout)
		defer cancel()
		err := n.o.Make(store.WithCause(ctx, store.Cause{Derived: true}), b, e.Key, *r.Picture)
		switch {
		case errors.Is(err, object.ErrNoSuchKey): // it is gone again
		case err != nil:
			return err.Error(), !passing(err)
		}
	}
	if r.URL == "" {
		return "", false
	}
	return n.deliver(b, r, e), false
}

// passing reports whether it may go better another time.
func passing(err error) bool {
	for _, e := range []error{object.ErrStore, object.ErrBusy, object.ErrThrottled, object.ErrSourceDown, object.ErrSourceChanged, object.ErrSuperseded,
		context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// deliver makes one attempt, and says what went wrong.
func (n *Notifier) deliver(b store.Bucket, r Rule, e store.Event) (why string) {
	body, err := json.Marshal(message{[]sent{describe(b, r, e)}})
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.o.Timeout)
	defer cancel()
	status, err := n.o.Post(ctx, r, body)
	switch {
	case err != nil:
		return err.Error()
	case status < 200 || status > 299:
		return "the answer was " + strconv.Itoa(status)
	}
	return ""
}

// withoutQuery is an address as it may stand in a log: what lets the one who tells in is often in the query.
func withoutQuery(url string) string {
	address, _, _ := strings.Cut(url, "?")
	return address
}

// problem logs an error of the store, unless the notifier is ending.
func (n *Notifier) problem(what string, err error) {
	if n.ctx.Err() == nil {
		n.log.Error("notification: "+what, "error", err.Error())
	}
}

// message is what is sent (QingStor manual, "Event notification").
type message struct {
	Events []sent `json:"events"`
}

type sent struct {
	Source   string `json:"event_source"`
	Version  string `json:"event_version"`
	Type     string `json:"event_type"`
	Time     string `json:"event_time"` // ISO 8601
	Zone     string `json:"zone_id"`
	Identity struct {
		Principal string `json:"principal_id"`
	} `json:"user_identify"`
	Response struct {
		RequestID string `json:"request_id"`
	} `json:"response_elements"`
	QingStor struct {
		Version string `json:"schema_version"`
		ID      string `json:"notification_id"`
		Bucket  struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Name string `json:"name"`
			ETag string `json:"etag"` // without quotes
			Size int64  `json:"size"`
		} `json:"object"`
	} `json:"qingstor"`
}

func describe(b store.Bucket, r Rule, e store.Event) sent {
	s := sent{Source: "qingstor", Version: "1.0", Time: e.At.Format("2006-01-02T15:04:05.000Z"), Zone: b.Zone}
	for _, k := range kinds {
		if k.kind == e.Kind {
			s.Type = k.sent
		}
	}
	s.Identity.Principal, s.Response.RequestID = e.Principal, e.RequestID
	q := &s.QingStor
	q.Version, q.ID, q.Bucket.Name = "1.0", r.ID, b.Name
	q.Object.Name, q.Object.ETag, q.Object.Size = e.Key, strings.Trim(e.ETag, `"`), e.Size
	return s
}
