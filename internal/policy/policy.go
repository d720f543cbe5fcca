// Package policy decides by a bucket's policy what a request may do.
//
// A policy is a list of statements (QingStor API, "Bucket Policy"); the first one that is about a request decides. The package
// checks documents and answers questions. It knows no owners and no access control lists: what to make of silence is the caller's business.
package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Decision is what a policy says to a request.
type Decision int

// Silent: no statement is about the request, so whatever else there is decides.
const (
	Silent Decision = iota
	Allow
	Deny
)

// Request is what a policy is asked about.
type Request struct {
	// User is who asks; "" for somebody who did not sign.
	User string
	// Action is the name that policies have for what is asked for, in the spelling of the API's pages: "get_object". One that policies do not
	// have matches no statement.
	Action string
	// Key is the object's key. For list_objects it is the prefix of the listing. Other actions on a bucket have none.
	Key string
	// Address is where the request came from, and Referer its header of that name. The zero Address is an unknown one.
	Address netip.Addr
	Referer string
}

// Policy is a checked policy. Make one with [Parse]; it is safe for concurrent use. The zero value is silent.
type Policy struct {
	statements []statement
	doc        []byte
}

// statement is a Statement as requests are held against it.
type statement struct {
	users    []string
	everyone bool
	actions  map[string]bool
	effect   Decision
	// bucket: it is about the bucket itself, and about listings of any prefix.
	bucket bool
	keys   []glob
	when   []condition
}

// Document is the policy as JSON, a list of statements: as it was set, with a list wherever a single text may stand for one.
func (p *Policy) Document() []byte { return p.doc }

// Decide returns what the first statement says that is about r.
func (p *Policy) Decide(r Request) Decision {
	r.Address = r.Address.Unmap().WithZone("")
	for i := range p.statements {
		if s := &p.statements[i]; s.matches(&r) {
			return s.effect
		}
	}
	return Silent
}

func (s *statement) matches(r *Request) bool {
	if !s.actions[r.Action] || !s.everyone && (r.User == "" || !slices.Contains(s.users, r.User)) || !s.covers(r) {
		return false
	}
	for _, c := range s.when {
		if !c.holds(r, s.effect) {
			return false
		}
	}
	return true
}

// covers reports whether the statement's resources hold what is asked for.
//
// A listing shows all keys that begin with its prefix. So it is allowed only where every one of them would be, and denied as soon as there
// can be one that would be.
func (s *statement) covers(r *Request) bool {
	switch on := actionsOn[r.Action]; {
	case on == onBucket:
		return s.bucket
	case on == onListing:
		return s.bucket || slices.ContainsFunc(s.keys, func(g glob) bool {
			if s.effect == Deny {
				return g.reaches(r.Key)
			}
			return g.open() && g.matches(r.Key)
		})
	}
	return slices.ContainsFunc(s.keys, func(g glob) bool { return g.matches(r.Key) })
}

// condition is one operator of a statement.
type condition interface {
	holds(r *Request, effect Decision) bool
}

// maxReferer is the longest header that is held against patterns, in bytes.
const maxReferer = 8192

// referer is string_like, and with not string_not_like. A header that is not there counts as an empty one.
type referer struct {
	patterns []glob
	not      bool
}

func (c referer) holds(r *Request, effect Decision) bool {
	if len(r.Referer) > maxReferer {
		return effect == Deny // its sender wants work to be done; browsers send no more than half of that
	}
	return c.not != slices.ContainsFunc(c.patterns, func(g glob) bool { return g.matches(r.Referer) })
}

// address is ip_address, and with not not_ip_address.
type address struct {
	networks []netip.Prefix
	not      bool
}

func (c address) holds(r *Request, effect Decision) bool {
	if !r.Address.IsValid() {
		return effect == Deny // nobody gets in because nobody knows where he comes from
	}
	return c.not != slices.ContainsFunc(c.networks, func(n netip.Prefix) bool { return n.Contains(r.Address) })
}

// noReferer is is_null: the header is not there or empty, or with false that it is there.
type noReferer bool

func (c noReferer) holds(r *Request, _ Decision) bool { return bool(c) == (r.Referer == "") }

// glob is a pattern whose "*" stands for any text, also none. It is kept in the pieces between the stars.
//
// The pieces are looked for from left to right, each where it comes first. That is enough, as a later place of a piece leaves less text for those
// behind it. So the time is that of a few searches for a text in a text, whatever the pattern; there is no backtracking to blow up.
type glob []string

func newGlob(pattern string) glob { return strings.Split(pattern, "*") }

// matches reports whether the pattern is one for all of text.
func (g glob) matches(text string) bool {
	if len(g) == 1 {
		return text == g[0]
	}
	first, last := g[0], g[len(g)-1]
	rest, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for _, piece := range g[1 : len(g)-1] {
		i := strings.Index(rest, piece)
		if i < 0 {
			return false
		}
		rest = rest[i+len(piece):]
	}
	return strings.HasSuffix(rest, last)
}

// open reports whether the pattern ends in a star, so that what goes on behind a match matches, too.
func (g glob) open() bool { return len(g) > 1 && g[len(g)-1] == "" }

// reaches reports whether some text that begins with prefix matches.
func (g glob) reaches(prefix string) bool {
	if strings.HasPrefix(g[0], prefix) {
		return true
	}
	return len(g) > 1 && strings.HasPrefix(prefix, g[0])
}
