package fill

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Outcome is how a flight ended.
type Outcome string

const (
	Stored     Outcome = "stored"     // the object is in the store
	Existed    Outcome = "existed"    // somebody had put it meanwhile
	Superseded Outcome = "superseded" // a DELETE, or a change of the bucket, won
	Absent     Outcome = "absent"     // the source has no such object
	Failed     Outcome = "failed"     // the source failed
	Mismatched Outcome = "mismatched" // a digest of the source did not hold
	Throttled  Outcome = "throttled"  // no connection was free
	Unstored   Outcome = "unstored"   // the readers got it, the disk did not
	Aborted    Outcome = "aborted"    // the server was shut down
)

// Report is what one ended flight did.
type Report struct {
	Bucket, Key string
	// URL is the address that answered, after redirects, without its query; "" if none did.
	URL         string
	Source      string        // scheme, host and port
	Attempts    int64         // requests sent to the source
	Connections int           // most of them at once
	Bytes       int64         // received from the source
	Size        int64         // of the object, -1 if it never became known
	FirstByte   time.Duration // from the beginning of the flight to the source's first answer
	Duration    time.Duration
	Readers     int64 // that joined, the first one included
	Outcome     Outcome
	Err         error // why it is not stored; nil if it is
}

// Stats are a filler's counters since it was made. Started = Completed + Absent + Failed + the flights in the air.
type Stats struct {
	Started   int64 // flights
	Completed int64 // left the object in the store, or found it there
	Absent    int64 // the source has no such object: nothing is wrong with either
	Failed    int64 // ended in any other way

	Mismatched, Unstored, Throttled int64 // flights, counted among the failed ones

	Coalesced                   int64 // readers that joined a flight in the air
	OriginBytes, OriginRequests int64

	InFlight    int
	Queued      int
	Connections int

	// Breakers are the sources that are left alone now or on probation, in order of their names; at most [MaxBreakers] of NotClosed.
	Breakers  []Breaker
	NotClosed int
}

// MaxBreakers bounds the sources that [Stats] names.
const MaxBreakers = 100

// Breaker is a source whose breaker is not closed.
type Breaker struct {
	// Source is scheme, host and port.
	Source string
	// HalfOpen: the next request to the source decides. Otherwise the breaker is open, and the source is left alone.
	HalfOpen bool
}

type counters struct {
	started, completed, absent, failed, coalesced, originBytes, originRequests, mismatched, unstored, throttled atomic.Int64
}

// Stats returns the counters as they are now.
func (f *Filler) Stats() Stats {
	f.mu.Lock()
	inFlight := len(f.air)
	f.mu.Unlock()
	f.limits.mu.Lock()
	queued, conns := len(f.limits.queue), f.limits.total
	f.limits.mu.Unlock()
	breakers := f.limits.breakers()
	c := &f.stats
	return Stats{
		Breakers: breakers[:min(len(breakers), MaxBreakers)], NotClosed: len(breakers),
		Started: c.started.Load(), Completed: c.completed.Load(), Absent: c.absent.Load(), Failed: c.failed.Load(), Coalesced: c.coalesced.Load(),
		OriginBytes: c.originBytes.Load(), OriginRequests: c.originRequests.Load(),
		Mismatched: c.mismatched.Load(), Unstored: c.unstored.Load(), Throttled: c.throttled.Load(),
		InFlight: inFlight, Queued: queued, Connections: conns,
	}
}

// breakers returns the sources whose breakers are not closed, in order of their names.
func (l *limits) breakers() []Breaker {
	l.mu.Lock()
	shares := make(map[string]*share, len(l.sources))
	for name, s := range l.sources {
		if s.breaker != nil {
			shares[name] = s
		}
	}
	l.mu.Unlock()
	// Asking for a state may change it, which calls OnBreaker: not with the lock held.
	var list []Breaker
	for name, s := range shares {
		if state := s.breaker.State(); state != gobreaker.StateClosed {
			list = append(list, Breaker{Source: name, HalfOpen: state == gobreaker.StateHalfOpen})
		}
	}
	slices.SortFunc(list, func(a, b Breaker) int { return cmp.Compare(a.Source, b.Source) })
	return list
}

// Progress is a flight in the air.
type Progress struct {
	Bucket      string    `json:"bucket"`
	Key         string    `json:"key"`
	URL         string    `json:"url"`
	Size        int64     `json:"size"`    // -1: not known
	Arrived     int64     `json:"arrived"` // bytes
	Connections int       `json:"connections"`
	Readers     int64     `json:"readers"` // now
	Attempts    int64     `json:"attempts"`
	Started     time.Time `json:"started"`
}

// Flights returns the flights in the air, in no order.
func (f *Filler) Flights() []Progress {
	f.mu.Lock()
	flights := slices.Collect(maps.Keys(f.air))
	f.mu.Unlock()
	list := make([]Progress, 0, len(flights))
	for _, fl := range flights {
		list = append(list, fl.progressNow())
	}
	return list
}
