package fill

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSegmentsModel holds the set against a plain array of booleans.
func TestSegmentsModel(t *testing.T) {
	const size = 64
	rapid.Check(t, func(t *rapid.T) {
		var s segments
		var model [size]bool
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				from := rapid.Int64Range(0, size).Draw(t, "from")
				to := rapid.Int64Range(0, size).Draw(t, "to")
				want := int64(0)
				for i := from; i < to; i++ {
					if !model[i] {
						want++
					}
					model[i] = true
				}
				if got := s.add(from, to); got != want {
					t.Fatalf("add(%d, %d) = %d new bytes, want %d", from, to, got, want)
				}
			},
			"": func(t *rapid.T) {
				total := int64(0)
				for off := range int64(size) {
					missing := off
					for missing < size && model[missing] {
						missing++
					}
					if got := s.missing(off); got != missing {
						t.Fatalf("missing(%d) = %d, want %d in %v", off, got, missing, s.spans)
					}
					next := off
					for next < size && !model[next] {
						next++
					}
					if got := s.next(off, size); got != next {
						t.Fatalf("next(%d) = %d, want %d in %v", off, got, next, s.spans)
					}
					if model[off] {
						total++
					}
				}
				if got := s.total(); got != total {
					t.Fatalf("total() = %d, want %d", got, total)
				}
				for i := 1; i < len(s.spans); i++ {
					if s.spans[i-1].To >= s.spans[i].From {
						t.Fatalf("spans touch: %v", s.spans)
					}
				}
			},
		})
	})
}

func FuzzSegments(f *testing.F) {
	f.Add([]byte{0, 4, 2, 6, 10, 12})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s segments
		var model [256]bool
		for i := 0; i+1 < len(ops); i += 2 {
			s.add(int64(ops[i]), int64(ops[i+1]))
			for j := int(ops[i]); j < int(ops[i+1]); j++ {
				model[j] = true
			}
		}
		for off := range model {
			if got := s.missing(int64(off)) == int64(off); got == model[off] {
				t.Fatalf("byte %d: missing = %v, present = %v", off, got, model[off])
			}
		}
	})
}
