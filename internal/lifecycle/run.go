package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Options are the settings of a Runner. The zero value of each field means the default that its comment names.
type Options struct {
	// Store must be set.
	Store *store.Store
	// Interval is the time from the beginning of a run to that of the next one; 0 means a day.
	Interval time.Duration
	// Page is how many keys are looked at before the place is noted and others get their turn; 0 means 1,000.
	Page int
	// Pause is the turn of the others; 0 means 10 ms.
	Pause time.Duration
	// Deleted is called for each object that was deleted; nil means nobody asks.
	Deleted func(b store.Bucket, key string)
	// Logger gets a line for each rule that did something; nil means none.
	Logger *slog.Logger
}

// workers is how many objects are changed at once: each change waits for the disk, and they wait together.
const workers = 8

// Stats counts what a Runner did since it was made.
type Stats struct {
	Runs                           int64 // that came to their end
	Expired, Transitioned, Aborted int64 // objects and uploads
	Failed                         int64 // of them, or of buckets that could not be read; the next run tries again
	LastRun                        time.Time
}

// Runner applies the rules of all buckets at intervals. How far it came is noted in the store: it goes on there after a restart, and makes up for a run that
// was missed. Make one with [New]; it does nothing before Start.
type Runner struct {
	o      Options
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	runs, expired, transitioned, aborted, failed, last atomic.Int64
}

// New returns a Runner with settings o.
func New(o Options) *Runner {
	if o.Interval <= 0 {
		o.Interval = 24 * time.Hour
	}
	if o.Page <= 0 {
		o.Page = 1000
	}
	if o.Pause <= 0 {
		o.Pause = 10 * time.Millisecond
	}
	if o.Deleted == nil {
		o.Deleted = func(store.Bucket, string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Runner{o: o, log: o.Logger}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Start begins the runs.
func (r *Runner) Start() { r.wg.Go(r.run) }

// Close ends them and waits until nothing runs any more.
func (r *Runner) Close() {
	r.cancel()
	r.wg.Wait()
}

// Stats returns the counts up to now.
func (r *Runner) Stats() Stats {
	s := Stats{
		Runs: r.runs.Load(), Expired: r.expired.Load(), Transitioned: r.transitioned.Load(), Aborted: r.aborted.Load(), Failed: r.failed.Load(),
	}
	if at := r.last.Load(); at != 0 {
		s.LastRun = time.Unix(at, 0).UTC()
	}
	return s
}

// state is what is noted of the last run.
type state struct {
	Started time.Time `json:"started"`
	Done    bool      `json:"done,omitempty"`
	// Where the run is, while it is not done: in the rule with ID Rule of Bucket, behind the key Marker.
	Bucket string `json:"bucket,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Marker string `json:"marker,omitempty"`
	Upload string `json:"upload,omitempty"` // the ID, where the rule is about uploads
}

// job is the name of the state in the store.
const job = "lifecycle"

func (r *Runner) run() {
	for {
		s, err := r.state()
		wait := time.Duration(0)
		switch {
		case err != nil:
			r.problem("the state of the last run cannot be read", err)
			wait = time.Minute
		case s.Done:
			wait = time.Until(s.Started.Add(r.o.Interval))
			// A clock that was wrong must not put the next run off for years.
			wait = min(wait, r.o.Interval)
		}
		if !r.sleep(wait) {
			return
		}
		if err != nil {
			continue
		}
		if s.Done || s.Started.IsZero() {
			s = state{Started: time.Now().UTC()}
		}
		r.pass(s)
		if r.ctx.Err() != nil {
			return
		}
	}
}

// sleep reports whether the time passed; else the runner ends.
func (r *Runner) sleep(d time.Duration) bool {
	if d <= 0 {
		return r.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}

func (r *Runner) state() (state, error) {
	doc, err := r.o.Store.State(r.ctx, store.Bucket{}, job)
	if err != nil || doc == nil {
		return state{}, err
	}
	var s state
	if json.Unmarshal(doc, &s) != nil {
		return state{}, nil // as if there had been none
	}
	return s, nil
}

func (r *Runner) note(s state) {
	doc, err := json.Marshal(s)
	if err == nil {
		err = r.o.Store.SetState(r.ctx, store.Bucket{}, job, doc)
	}
	if err != nil {
		r.problem("how far the run came cannot be noted", err)
	}
}

// problem logs an error, unless the runner is ending.
func (r *Runner) problem(what string, err error, attrs ...any) {
	if r.ctx.Err() != nil {
		return
	}
	r.failed.Add(1)
	r.log.Error("lifecycle: "+what, append(attrs, "error", err.Error())...)
}

// pass goes on with the run that s is of, to its end.
func (r *Runner) pass(s state) {
	buckets, err := r.o.Store.Buckets(r.ctx)
	if err != nil {
		// The run is not done, or else nothing would age for a whole interval.
		r.problem("the buckets cannot be listed", err)
		r.sleep(time.Minute)
		return
	}
	for _, b := range buckets {
		if b.Name < s.Bucket {
			continue
		}
		if b.Name > s.Bucket {
			s.Bucket, s.Rule, s.Marker, s.Upload = b.Name, "", "", ""
		}
		if err := r.bucket(b, &s); err != nil {
			r.problem("a bucket's rules were not applied to the end", err, "bucket", b.Name)
		}
		if r.ctx.Err() != nil {
			return
		}
	}
	r.note(state{Started: s.Started, Done: true})
	if r.ctx.Err() == nil {
		r.runs.Add(1)
		r.last.Store(time.Now().Unix())
	}
}

// bucket applies the rules of b from where s is on.
func (r *Runner) bucket(b store.Bucket, s *state) error {
	doc, err := r.o.Store.Setting(r.ctx, b, Setting)
	if errors.Is(err, object.ErrNoSetting) {
		return nil
	}
	if err != nil {
		return err
	}
	rules, err := Parse(doc)
	if err != nil {
		return err
	}
	from := 0
	for i, rule := range rules {
		if rule.ID == s.Rule {
			from = i
		}
	}
	if len(rules) > 0 && rules[from].ID != s.Rule { // it was removed meanwhile: all from the front
		s.Marker, s.Upload = "", ""
	}
	for _, rule := range rules[from:] {
		if rule.ID != s.Rule {
			s.Rule, s.Marker, s.Upload = rule.ID, "", ""
		}
		if !rule.enabled() {
			continue
		}
		n, err := r.apply(b, rule, s)
		if n > 0 {
			r.log.Info("lifecycle", "bucket", b.Name, "rule", rule.ID, "action", rule.action(), "prefix", rule.Prefix, "count", n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// apply does what one rule says, and returns to how many objects or uploads.
func (r *Runner) apply(b store.Bucket, rule Rule, s *state) (int64, error) {
	if rule.Abort != 0 {
		return r.abort(b, rule, s)
	}
	var count atomic.Int64
	for {
		page, err := r.o.Store.List(r.ctx, b, store.ListQuery{Prefix: rule.Prefix, Marker: s.Marker, Limit: r.o.Page})
		if err != nil {
			return count.Load(), err
		}
		keys := make(chan string)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for key := range keys {
					if r.object(b, key, rule, s.Started) {
						count.Add(1)
					}
				}
			})
		}
		for _, e := range page.Entries {
			if rule.due(e.Meta, s.Started) {
				keys <- e.Key
			}
		}
		close(keys)
		wg.Wait()
		if !page.More {
			return count.Load(), r.ctx.Err()
		}
		s.Marker = page.Next
		r.note(*s)
		if !r.sleep(r.o.Pause) {
			return count.Load(), r.ctx.Err()
		}
	}
}

// abort gives up uploads that began too long ago. An upload never changes its beginning, so it is due or not whatever happens meanwhile.
func (r *Runner) abort(b store.Bucket, rule Rule, s *state) (count int64, err error) {
	for {
		page, err := r.o.Store.ListUploads(r.ctx, b, store.ListQuery{Prefix: rule.Prefix, Marker: s.Marker, Limit: r.o.Page}, s.Upload)
		if err != nil {
			return count, err
		}
		for _, u := range page.Uploads {
			if s.Started.Sub(u.Meta.Created) < time.Duration(rule.Abort)*24*time.Hour {
				continue
			}
			switch err := r.o.Store.AbortUpload(r.ctx, b, u.Key, u.ID); {
			case err == nil:
				count++
				r.aborted.Add(1)
			case !errors.Is(err, object.ErrNoSuchUpload): // else it was completed, or given up by somebody else
				r.problem("an upload was not given up", err, "bucket", b.Name, "key", u.Key, "rule", rule.ID)
			}
			if r.ctx.Err() != nil {
				return count, r.ctx.Err()
			}
		}
		if !page.More {
			return count, nil
		}
		s.Marker, s.Upload = page.NextKey, page.NextID
		r.note(*s)
		if !r.sleep(r.o.Pause) {
			return count, r.ctx.Err()
		}
	}
}

// due reports whether there is something to do to an object.
func (rule Rule) due(m object.Meta, now time.Time) bool {
	days := rule.Expire
	if rule.Transition != 0 {
		if m.StorageClass == rule.Class {
			return false
		}
		days = rule.Transition
	}
	// A filled object has the Last-Modified of its source, which may be years ago. Its days count from the fill.
	since := m.LastModified
	if m.Created.After(since) {
		since = m.Created
	}
	return now.Sub(since) >= time.Duration(days)*24*time.Hour
}

// errNotDue: the object is another one by now.
var errNotDue = errors.New("not due")

// object does what the rule says to one object, if it is still due, and reports whether it did.
//
// The look at the page may be long ago. A PUT in between made another object of it, which is not due; so what counts is the look in the batch that
// changes the object.
func (r *Runner) object(b store.Bucket, key string, rule Rule, now time.Time) bool {
	if r.ctx.Err() != nil {
		return false
	}
	if rule.Transition != 0 {
		changed, err := r.o.Store.Relabel(r.ctx, b, key, func(m *object.Meta) bool {
			if !rule.due(*m, now) {
				return false
			}
			m.StorageClass = rule.Class
			return true
		})
		if err != nil && !errors.Is(err, object.ErrNoSuchKey) {
			r.problem("an object was not changed", err, "bucket", b.Name, "key", key, "rule", rule.ID)
		}
		if changed {
			r.transitioned.Add(1)
		}
		return changed
	}
	err := r.o.Store.DeleteIf(r.ctx, b, key, func(old *object.Meta) error {
		if old == nil || !rule.due(*old, now) {
			return errNotDue
		}
		return nil
	})
	if errors.Is(err, errNotDue) {
		return false
	}
	if err != nil {
		r.problem("an object was not deleted", err, "bucket", b.Name, "key", key, "rule", rule.ID)
		return false
	}
	r.o.Deleted(b, key)
	r.expired.Add(1)
	return true
}
