package service

import "time"

// The helpers below convert between values and the pointers of inputs and outputs. X(v) points to a copy of v, XValue(p) is what p points
// to, or the zero value if p is nil. The slice and map forms convert element by element; theirs is nil for nil.

func pointer[T any](v T) *T { return &v }

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func convertSlice[A, B any](in []A, f func(A) B) []B {
	if in == nil {
		return nil
	}
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func convertMap[A, B any](in map[string]A, f func(A) B) map[string]B {
	if in == nil {
		return nil
	}
	out := make(map[string]B, len(in))
	for k, v := range in {
		out[k] = f(v)
	}
	return out
}

// String returns a pointer to v.
func String(v string) *string { return &v }

// StringValue returns what p points to, "" for nil.
func StringValue(p *string) string { return value(p) }

// StringSlice points to each element.
func StringSlice(v []string) []*string { return convertSlice(v, pointer[string]) }

// StringValueSlice returns what each element points to.
func StringValueSlice(p []*string) []string { return convertSlice(p, value[string]) }

// StringMap points to each value.
func StringMap(v map[string]string) map[string]*string { return convertMap(v, pointer[string]) }

// StringValueMap returns what each value points to.
func StringValueMap(p map[string]*string) map[string]string { return convertMap(p, value[string]) }

// Bool returns a pointer to v.
func Bool(v bool) *bool { return &v }

// BoolValue returns what p points to, false for nil.
func BoolValue(p *bool) bool { return value(p) }

// BoolSlice points to each element.
func BoolSlice(v []bool) []*bool { return convertSlice(v, pointer[bool]) }

// BoolValueSlice returns what each element points to.
func BoolValueSlice(p []*bool) []bool { return convertSlice(p, value[bool]) }

// BoolMap points to each value.
func BoolMap(v map[string]bool) map[string]*bool { return convertMap(v, pointer[bool]) }

// BoolValueMap returns what each value points to.
func BoolValueMap(p map[string]*bool) map[string]bool { return convertMap(p, value[bool]) }

// Int returns a pointer to v.
func Int(v int) *int { return &v }

// IntValue returns what p points to, 0 for nil.
func IntValue(p *int) int { return value(p) }

// IntSlice points to each element.
func IntSlice(v []int) []*int { return convertSlice(v, pointer[int]) }

// IntValueSlice returns what each element points to.
func IntValueSlice(p []*int) []int { return convertSlice(p, value[int]) }

// IntMap points to each value.
func IntMap(v map[string]int) map[string]*int { return convertMap(v, pointer[int]) }

// IntValueMap returns what each value points to.
func IntValueMap(p map[string]*int) map[string]int { return convertMap(p, value[int]) }

// Int64 returns a pointer to v.
func Int64(v int64) *int64 { return &v }

// Int64Value returns what p points to, 0 for nil.
func Int64Value(p *int64) int64 { return value(p) }

// Time returns a pointer to v.
func Time(v time.Time) *time.Time { return &v }

// TimeValue returns what p points to, the zero time for nil.
func TimeValue(p *time.Time) time.Time { return value(p) }

// TimeSlice points to each element.
func TimeSlice(v []time.Time) []*time.Time { return convertSlice(v, pointer[time.Time]) }

// TimeValueSlice returns what each element points to.
func TimeValueSlice(p []*time.Time) []time.Time { return convertSlice(p, value[time.Time]) }

// TimeMap points to each value.
func TimeMap(v map[string]time.Time) map[string]*time.Time { return convertMap(v, pointer[time.Time]) }

// TimeValueMap returns what each value points to.
func TimeValueMap(p map[string]*time.Time) map[string]time.Time {
	return convertMap(p, value[time.Time])
}

// TimeUnixMilli returns the milliseconds since 1970.
func TimeUnixMilli(t time.Time) int64 { return t.UnixMilli() }
