package object

import (
	"fmt"
	"strconv"
	"strings"
)

// Range is Length bytes from Offset on, resolved against a size.
type Range struct {
	Offset, Length int64
}

// End is the offset after the last byte.
func (r Range) End() int64 { return r.Offset + r.Length }

// ByteRange is one range as a client asked for it, not yet resolved.
type ByteRange struct {
	// First is the first byte's offset, or -1 for the last Last bytes.
	First int64
	// Last is the last byte's offset, or -1 for all that follow; with First -1 a number of bytes.
	Last int64
}

// maxRanges bounds the ranges of one request: more are a sign of abuse, not of a reader (RFC 9110 §14.2).
const maxRanges = 64

// ParseRange reads the value of a Range header (RFC 9110 §14.1.2).
// It returns nil, nil for a unit other than bytes, which is to be ignored,
// and an error that matches [ErrInvalidRange] for a value that is no range.
func ParseRange(value string) ([]ByteRange, error) {
	unit, list, ok := strings.Cut(value, "=")
	if !ok {
		return nil, fmt.Errorf("%w: %q has no unit", ErrInvalidRange, value)
	}
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return nil, nil
	}
	var ranges []ByteRange
	for spec := range strings.SplitSeq(list, ",") {
		spec = strings.Trim(spec, " \t")
		if spec == "" {
			continue
		}
		first, last, ok := strings.Cut(spec, "-")
		if !ok {
			return nil, fmt.Errorf("%w: %q has no \"-\"", ErrInvalidRange, spec)
		}
		r := ByteRange{First: -1, Last: -1}
		var err error
		if first != "" {
			if r.First, err = parseDigits(first); err != nil {
				return nil, err
			}
		}
		if last != "" {
			if r.Last, err = parseDigits(last); err != nil {
				return nil, err
			}
		}
		if first == "" && last == "" {
			return nil, fmt.Errorf("%w: %q names no byte", ErrInvalidRange, spec)
		}
		if r.First >= 0 && r.Last >= 0 && r.Last < r.First {
			return nil, fmt.Errorf("%w: %q ends before it begins", ErrInvalidRange, spec)
		}
		if len(ranges) == maxRanges {
			return nil, fmt.Errorf("%w: more than %d ranges", ErrInvalidRange, maxRanges)
		}
		ranges = append(ranges, r)
	}
	if len(ranges) == 0 {
		return nil, fmt.Errorf("%w: %q holds no range", ErrInvalidRange, value)
	}
	return ranges, nil
}

func parseDigits(s string) (int64, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%w: %q is no number", ErrInvalidRange, s)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is too large", ErrInvalidRange, s)
	}
	return n, nil
}

// Resolve returns the bytes of r that an object of size bytes has.
// It fails with [ErrInvalidRange] when there is none.
func (r ByteRange) Resolve(size int64) (Range, error) {
	if r.First < 0 {
		n := min(r.Last, size)
		if n == 0 {
			return Range{}, fmt.Errorf("%w: the last %d bytes of %d are none", ErrInvalidRange, r.Last, size)
		}
		return Range{Offset: size - n, Length: n}, nil
	}
	if r.First >= size {
		return Range{}, fmt.Errorf("%w: it begins at %d, the object has %d bytes", ErrInvalidRange, r.First, size)
	}
	last := size - 1
	if r.Last >= 0 {
		last = min(last, r.Last)
	}
	return Range{Offset: r.First, Length: last - r.First + 1}, nil
}
