package replicate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// A bucket is compared with the other one, key by key, when it has a new setting with a rule that asks for it, and when events were lost.

// state is what is noted of a bucket's comparison.
type state struct {
	// Setting is the SHA-256 of the setting that it is about.
	Setting string `json:"setting"`
	// All: every rule's objects are compared, not only those of rules that ask for it.
	All bool `json:"all,omitempty"`
	// Marker is the key that it came to.
	Marker string `json:"marker,omitempty"`
	// Failed: something was not copied, so it begins again after a while, at Again.
	Failed bool      `json:"failed,omitempty"`
	Again  time.Time `json:"again,omitzero"`
	Done   bool      `json:"done,omitempty"`
}

// job is the name of the state in the store.
const job = "replication"

// page is how many keys are looked at before the place is noted.
const page = 1000

func (r *Replicator) compare() {
	t := time.NewTicker(r.o.Look)
	defer t.Stop()
	for {
		if err := r.compareAll(); err != nil {
			r.problem("buckets cannot be compared", err)
		}
		select {
		case <-t.C:
		case <-r.ctx.Done():
			return
		}
	}
}

func (r *Replicator) compareAll() error {
	lost := map[uint64]store.Queue{}
	waiting, err := r.o.Store.Waiting(r.ctx, tag)
	if err != nil {
		return err
	}
	for _, b := range waiting {
		if b.Lost > 0 {
			lost[b.Bucket] = b.Queue
		}
	}
	buckets, err := r.o.Store.Buckets(r.ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		q, isLost := lost[b.ID]
		if err := r.compareBucket(b, q, isLost); err != nil {
			r.problem("a bucket was not compared to the end", err, "bucket", b.Name)
		}
		if r.ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

func (r *Replicator) compareBucket(b store.Bucket, q store.Queue, lost bool) error {
	doc, err := r.o.Store.Setting(r.ctx, b, Setting)
	if errors.Is(err, object.ErrNoSetting) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := r.state(b)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(doc)
	setting := hex.EncodeToString(sum[:])
	switch {
	case lost:
		// First it is noted that all is to be compared, then that it is known: between the two nothing may be forgotten.
		s = state{Setting: setting, All: true}
		if err := r.note(b, s); err != nil {
			return err
		}
		n, err := r.o.Store.Admit(r.ctx, q)
		if err != nil {
			return err
		}
		r.lost.Add(n)
		r.log.Error("replication: events were lost, the queue is full; all is compared", "bucket", b.Name, "lost", n)
	case s.Setting != setting:
		s = state{Setting: setting}
	case s.Done, s.Again.After(time.Now()):
		return nil
	}
	rules, err := Parse(doc)
	if err != nil {
		return err
	}
	if !s.All {
		rules = only(rules, func(rule Rule) bool { return rule.Existing })
	}
	return r.pass(b, only(rules, func(rule Rule) bool { return !rule.Off }), s)
}

func only(rules []Rule, ok func(Rule) bool) []Rule {
	var list []Rule
	for _, rule := range rules {
		if ok(rule) {
			list = append(list, rule)
		}
	}
	return list
}

// pass goes through the objects that rules are about, from where s is on.
func (r *Replicator) pass(b store.Bucket, rules []Rule, s state) error {
	for _, rule := range rules {
		// The rules need no order: an object that is there already costs a look.
		marker := ""
		if strings.HasPrefix(s.Marker, rule.Prefix) {
			marker = s.Marker
		}
		for {
			p, err := r.o.Store.List(r.ctx, b, store.ListQuery{Prefix: rule.Prefix, Marker: marker, Limit: page})
			if err != nil {
				return err
			}
			var failed atomic.Bool
			r.each(func(yield func(store.Event)) {
				for _, e := range p.Entries {
					yield(store.Event{Kind: store.Created, Key: e.Key, At: e.Meta.Created})
				}
			}, func(e store.Event) {
				if err := r.one(b, rule, e); err != nil && r.ctx.Err() == nil {
					r.failed.Add(1)
					if !errors.Is(err, object.ErrDamaged) { // which stays so
						failed.Store(true)
					}
					r.log.Warn("replication failed", "bucket", b.Name, "rule", rule.ID, "to", rule.Bucket, "key", e.Key, "error", err.Error())
				}
			})
			if r.ctx.Err() != nil {
				return nil
			}
			s.Failed = s.Failed || failed.Load()
			if !p.More {
				break
			}
			marker, s.Marker = p.Next, p.Next
			if err := r.note(b, s); err != nil {
				return err
			}
		}
	}
	if s.Failed {
		s.Failed, s.Marker, s.Again = false, "", time.Now().UTC().Add(r.o.MaxRetry)
	} else {
		s = state{Setting: s.Setting, Done: true}
	}
	return r.note(b, s)
}

func (r *Replicator) state(b store.Bucket) (state, error) {
	doc, err := r.o.Store.State(r.ctx, b, job)
	var s state
	if err != nil || doc == nil || json.Unmarshal(doc, &s) != nil {
		return state{}, err
	}
	return s, nil
}

func (r *Replicator) note(b store.Bucket, s state) error {
	doc, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return r.o.Store.SetState(r.ctx, b, job, doc)
}
