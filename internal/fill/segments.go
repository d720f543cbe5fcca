package fill

import "sort"

// segments is the set of the bytes that have arrived: disjoint, ascending, never touching spans. The zero value is empty.
type segments struct{ spans []span }

// span is the bytes from From up to, not including, To.
type span struct{ From, To int64 }

// at returns the index of the first span that ends after off.
func (s *segments) at(off int64) int {
	return sort.Search(len(s.spans), func(i int) bool { return s.spans[i].To > off })
}

// add puts [from, to) into the set and returns how many of its bytes are new.
func (s *segments) add(from, to int64) int64 {
	if from >= to {
		return 0
	}
	fresh := to - from
	i := sort.Search(len(s.spans), func(i int) bool { return s.spans[i].To >= from })
	j := i
	merged := span{from, to}
	for j < len(s.spans) && s.spans[j].From <= to {
		fresh -= max(0, min(to, s.spans[j].To)-max(from, s.spans[j].From))
		merged.From = min(merged.From, s.spans[j].From)
		merged.To = max(merged.To, s.spans[j].To)
		j++
	}
	if i == j { // nothing touches: insert
		s.spans = append(s.spans, span{})
		copy(s.spans[i+1:], s.spans[i:])
		s.spans[i] = merged
		return fresh
	}
	s.spans[i] = merged
	s.spans = append(s.spans[:i+1], s.spans[j:]...)
	return fresh
}

// missing returns the first offset at or after off that is not in the set.
func (s *segments) missing(off int64) int64 {
	if i := s.at(off); i < len(s.spans) && s.spans[i].From <= off {
		return s.spans[i].To
	}
	return off
}

// next returns the first offset at or after off that is in the set, or limit if there is none before it.
func (s *segments) next(off, limit int64) int64 {
	if i := s.at(off); i < len(s.spans) {
		return min(max(off, s.spans[i].From), limit)
	}
	return limit
}

// total is the number of bytes in the set.
func (s *segments) total() int64 {
	var n int64
	for _, p := range s.spans {
		n += p.To - p.From
	}
	return n
}
