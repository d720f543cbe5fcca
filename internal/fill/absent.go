package fill

import (
	"sync"
	"time"
)

// absences remembers for a while which keys a source did not have.
type absences struct {
	ttl time.Duration // 0: nothing is remembered

	mu    sync.Mutex // guards until
	until map[flightKey]time.Time
}

// maxAbsences bounds what is remembered; beyond it the oldest half of the entries goes.
const maxAbsences = 100_000

func newAbsences(ttl time.Duration) *absences {
	return &absences{ttl: ttl, until: make(map[flightKey]time.Time)}
}

func (a *absences) has(k flightKey) bool {
	if a.ttl <= 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.until[k]
	if ok && !time.Now().Before(until) {
		delete(a.until, k)
		return false
	}
	return ok
}

func (a *absences) add(k flightKey) {
	if a.ttl <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if len(a.until) >= maxAbsences {
		for k, until := range a.until {
			if until.Sub(now) < a.ttl/2 {
				delete(a.until, k)
			}
		}
		if len(a.until) >= maxAbsences { // all of them young: better to forget than to grow
			clear(a.until)
		}
	}
	a.until[k] = now.Add(a.ttl)
}

func (a *absences) forget(which func(flightKey) bool) {
	if a.ttl <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.until {
		if which(k) {
			delete(a.until, k)
		}
	}
}
