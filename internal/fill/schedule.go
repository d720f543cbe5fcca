package fill

import (
	"math"
	"slices"
	"time"
)

// nearBytes is how far ahead of a connection bytes may lie that are better waited for than asked for anew; to it comes what
// the connection brings in nearTime.
const (
	nearBytes = 256 << 10
	nearTime  = 250 * time.Millisecond
)

// skipMax is how much of what is there already a connection reads and drops rather than being given up: an eighth of a segment.
func (fl *flight) skipMax() int64 { return fl.f.o.SegmentSize / 8 }

// bounds sets where each connection stops: where its response ends, where another connection began, or where enough is there
// already that a new request is cheaper. mu is held.
func (fl *flight) bounds() {
	for c := range fl.conns {
		c.end = c.reach
		if fl.size >= 0 {
			c.end = min(c.end, fl.size)
		}
		if !fl.ranges || fl.relay != nil {
			continue
		}
		for d := range fl.conns {
			if d != c && d.pos > c.pos {
				c.end = min(c.end, max(d.front(), c.pos))
			}
		}
		for from := fl.have.next(c.pos, c.end); from < c.end; {
			to := fl.have.missing(from)
			if to-from > fl.skipMax() {
				c.end = from
				break
			}
			from = fl.have.next(to, c.end)
		}
	}
}

// front is where what c has not written yet begins; the flight's mu is held.
func (c *connection) front() int64 {
	if c.busy != (span{}) {
		return c.busy.From
	}
	return c.pos
}

// schedule launches a connection if there is none, and, with further, more of them for what readers wait for and for as much more as
// target allows; mu is held.
func (fl *flight) schedule(target int, further bool) {
	needs := fl.needs()
	if len(fl.conns) == 0 {
		from := fl.have.missing(0)
		switch {
		case fl.relay != nil && fl.relay.open:
			from = fl.relay.hi() // it answered less than it was asked for
		case fl.relay != nil:
			from = fl.lowest()
		case len(needs) > 0:
			from = needs[0]
		}
		fl.launchAt(from)
	}
	if !further || !fl.ranges || fl.relay != nil {
		return
	}
	for _, need := range needs {
		if !fl.covered(need) && !fl.another(need) {
			return
		}
	}
	for len(fl.conns) < target {
		from, ok := fl.hole()
		if !ok || !fl.another(from) {
			return
		}
	}
}

// needs returns the first missing byte of each reader that waits, ascending; mu is held.
func (fl *flight) needs() []int64 {
	var needs []int64
	for r := range fl.readers {
		if !r.reading {
			continue
		}
		need := fl.have.missing(r.off)
		if need < r.end && (fl.size < 0 || need < fl.size) {
			needs = append(needs, need)
		}
	}
	slices.Sort(needs)
	return slices.Compact(needs)
}

// covered reports whether a connection brings the byte at off soon; mu is held.
func (fl *flight) covered(off int64) bool {
	for c := range fl.conns {
		if c.busy.From <= off && off < c.busy.To {
			return true
		}
		if c.pos <= off && off < c.end && off-c.pos <= c.near() {
			return true
		}
	}
	return false
}

// near is how far ahead of c bytes are better waited for.
func (c *connection) near() int64 {
	age := time.Since(c.begun)
	if age <= 0 {
		return nearBytes
	}
	return nearBytes + int64(float64(c.total)*min(1, float64(nearTime)/float64(age)))
}

// another launches one more connection at from if the bounds allow; mu is held.
func (fl *flight) another(from int64) bool {
	if len(fl.conns) >= fl.f.o.MaxConnsPerFlight {
		return false
	}
	if len(fl.conns) > 0 && !fl.f.limits.try(fl.source) { // the first one has its place for the whole flight
		return false
	}
	fl.launchAt(from)
	return true
}

// launchAt launches a connection for what is missing from from on: to the end of the segment, or of the object where ranges
// are not split. mu is held.
func (fl *flight) launchAt(from int64) {
	if fl.lied || fl.have.total() == 0 && from == 0 && fl.relay == nil {
		fl.launch(fl.newConnection(0, math.MaxInt64), nil)
		return
	}
	to := fl.size
	if fl.relay == nil {
		to = fl.have.next(from, to)
	}
	if fl.ranges && fl.relay == nil {
		to = min(to, (from/fl.f.o.SegmentSize+1)*fl.f.o.SegmentSize)
		for c := range fl.conns {
			if c.pos > from {
				to = min(to, c.front())
			}
		}
	}
	if to <= from {
		return // somebody is writing it at this moment
	}
	fl.launch(fl.newConnection(from, to), nil)
}

// hole returns where one more connection helps: the first missing byte that no connection is about to bring, on the grid of segments,
// from the reader that is furthest behind on. mu is held.
func (fl *flight) hole() (int64, bool) {
	start := int64(0)
	if needs := fl.needs(); len(needs) > 0 {
		start = needs[0]
	}
	seg := fl.f.o.SegmentSize
	for _, begin := range []int64{start, 0} {
		for off := begin; off < fl.size; {
			off = fl.have.missing(off)
			if off >= fl.size {
				break
			}
			owner := fl.owner(off)
			if owner == nil {
				return off, true
			}
			// The owner reads on; whoever helps begins a segment further on, or two if the owner is nearly there.
			next := (max(off, owner.pos)/seg + 1) * seg
			if next-owner.pos < seg/2 {
				next += seg
			}
			if next < owner.end && next < fl.size && fl.have.missing(next) == next {
				return next, true
			}
			off = min(max(next, off+1), max(owner.end, off+1))
		}
	}
	return 0, false
}

// owner returns the connection whose part off is in; mu is held.
func (fl *flight) owner(off int64) *connection {
	for c := range fl.conns {
		if c.busy.From <= off && off < c.busy.To || c.pos <= off && off < c.end {
			return c
		}
	}
	return nil
}

const (
	// growthTick is how often the speed of a flight is looked at.
	growthTick = 100 * time.Millisecond
	// growthProof is how long new connections are watched at least before they count as a help, and growthPatience how long
	// at most before they count as none: throttles come in bursts.
	growthProof    = 200 * time.Millisecond
	growthPatience = 2 * time.Second
	// growthGain is how much faster a flight must have become by a step.
	growthGain = 1.2
	// growthWait is the part of its time that a connection must spend waiting for the source: where it does not, the source is not
	// what is slow, and more connections only take turns with it.
	growthWait = 0.7
)

// growth finds out how many connections a flight is worth. A source may give each connection only so much; then twice as many bring
// twice as much. Where they do not, they only cost the source more, and it stays at what did help.
type growth struct {
	fl     *flight
	ticker *time.Ticker
	tick   <-chan time.Time

	target int           // connections to have
	best   int           // the number before the last step, and
	rate   float64       // how fast the flight was then, in bytes/s
	since  time.Time     // of the last step
	bytes  int64         // of the flight then
	waited time.Duration // of its connections then
	over   bool
}

func newGrowth(fl *flight) *growth {
	g := &growth{fl: fl, target: 1, best: 1, since: time.Now()}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.ranges {
		g.ticker = time.NewTicker(growthTick)
		g.tick = g.ticker.C
	}
	return g
}

func (g *growth) stop() {
	if g.ticker != nil {
		g.ticker.Stop()
	}
}

// hold stops the growth at n connections: the source refused one more.
func (g *growth) hold(n int) {
	g.target, g.over = n, true
}

// waitedNow is how long connections have waited for the source, together, what they wait now included; mu is held.
func (fl *flight) waitedNow() time.Duration {
	waited := fl.waited
	for c := range fl.conns {
		if !c.asked.IsZero() {
			waited += time.Since(c.asked)
		}
	}
	return waited
}

// judge sets the target.
func (g *growth) judge() {
	fl := g.fl
	watched := time.Since(g.since)
	if g.over || watched < growthProof {
		return
	}
	bytes := fl.bytes.Load()
	rate := float64(bytes-g.bytes) / watched.Seconds()
	if rate == 0 {
		return // nothing has come yet: there is nothing to compare with
	}
	fl.mu.Lock()
	waited := fl.waitedNow()
	left := float64(fl.size - fl.have.total())
	possible := fl.ranges && fl.relay == nil
	idle := float64(waited-g.waited) / (float64(watched) * float64(max(len(fl.conns), 1)))
	fl.mu.Unlock()
	switch {
	case !possible:
		g.over = true
	case g.target > 1 && rate < g.rate*growthGain:
		if watched >= growthPatience {
			g.hold(g.best)
		}
	case g.target >= fl.f.o.MaxConnsPerFlight:
		g.over = true
	case left/rate > fl.f.o.GrowAfter.Seconds() && idle >= growthWait:
		g.best, g.rate = g.target, rate
		step := 2
		if left/rate > 4*fl.f.o.GrowAfter.Seconds() {
			step = 4 // there is far to go
		}
		g.target = min(step*g.target, fl.f.o.MaxConnsPerFlight)
		g.since, g.bytes, g.waited = time.Now(), bytes, waited
	}
}
