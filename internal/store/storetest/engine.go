package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

var engineTests = []test{
	{"a missing record is ErrNoRecord", func(t *testing.T, e store.Engine) {
		_, err := e.Get(bg, []byte("a"))
		wantErr(t, "Get", err, store.ErrNoRecord)
	}},
	{"Get returns a copy", func(t *testing.T, e store.Engine) {
		value := []byte("1")
		set(t, e, "a", string(value))
		v := mustGet(t, e, "a")
		v[0] = 'x'
		if got := mustGet(t, e, "a"); string(got) != "1" {
			t.Fatalf("Get = %q after a change of the slice it returned, want 1", got)
		}
	}},
	{"Apply copies what it is given", func(t *testing.T, e store.Engine) {
		k, v := []byte("a"), []byte("1")
		check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: k, Value: v}}}))
		k[0], v[0] = 'x', 'x'
		if got := scan(t, e, "", "\xff"); got != "a=1" {
			t.Fatalf("records = %q, want a=1", got)
		}
	}},
	{"an empty value is a record", func(t *testing.T, e store.Engine) {
		check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: []byte("a")}}}))
		v := mustGet(t, e, "a")
		if v == nil || len(v) != 0 {
			t.Fatalf("Get = %#v, want an empty value", v)
		}
		wantErr(t, "a condition that it be missing", e.Apply(bg, &store.Batch{Require: []store.Condition{{Key: []byte("a")}}}), store.ErrConflict)
		check(t, e.Apply(bg, &store.Batch{Require: []store.Condition{{Key: []byte("a"), Equals: []byte{}}}}))
	}},
	{"Set replaces, Delete removes, missing ones too", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1", "b", "2")
		set(t, e, "a", "3")
		check(t, e.Apply(bg, &store.Batch{Delete: [][]byte{[]byte("b"), []byte("c")}}))
		if got := scan(t, e, "", "\xff"); got != "a=3" {
			t.Fatalf("records = %q, want a=3", got)
		}
	}},
	{"records are in the order of their bytes", func(t *testing.T, e store.Engine) {
		set(t, e, "b", "", "a\xff", "", "a", "", "a\x00", "", "\x00", "", "a/", "", "\xff\xff", "", "é", "", "a\x00\x00", "")
		want := []string{"\x00", "a", "a\x00", "a\x00\x00", "a/", "a\xff", "b", "é"}
		if diff := cmp.Diff(want, keys(t, e, "", "\xff")); diff != "" {
			t.Fatalf("keys (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"\x00", "a", "a\x00", "a\x00\x00", "a/", "a\xff", "b", "é", "\xff\xff"}, unbounded(t, e)); diff != "" {
			t.Fatalf("keys without an upper bound (-want +got):\n%s", diff)
		}
	}},
	{"Scan has its lower bound and not its upper one", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1", "b", "2", "c", "3", "d", "4")
		if got := scan(t, e, "b", "d"); got != "b=2 c=3" {
			t.Fatalf("Scan(b, d) = %q, want b=2 c=3", got)
		}
		if got := scan(t, e, "b", "b"); got != "" {
			t.Fatalf("Scan(b, b) = %q, want nothing", got)
		}
	}},
	{"Seek moves both ways, within the bounds", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1", "b", "2", "d", "4", "e", "5", "g", "7")
		it, err := e.Scan(bg, []byte("b"), []byte("g"))
		check(t, err)
		defer it.Close()
		for _, step := range []struct{ seek, want string }{
			{"c", "d"}, {"a", "b"}, {"e", "e"}, {"b", "b"}, {"f", ""}, {"d", "d"}, {"z", ""}, {"", "b"},
		} {
			got := ""
			if it.Seek([]byte(step.seek)) {
				got = string(it.Key())
			}
			if got != step.want {
				t.Fatalf("Seek(%q) is at %q, want %q", step.seek, got, step.want)
			}
		}
		if !it.Next() || string(it.Key()) != "d" || string(it.Value()) != "4" {
			t.Fatalf("Next after Seek is not at d=4")
		}
		check(t, it.Err())
	}},
	{"Seek may be the first move, and Next ends for good", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1", "b", "2")
		it, err := e.Scan(bg, nil, []byte("z"))
		check(t, err)
		defer it.Close()
		if !it.Seek([]byte("b")) || string(it.Key()) != "b" {
			t.Fatal("Seek(b) is not at b")
		}
		first, second := it.Next(), it.Next()
		if first || second {
			t.Fatal("Next after the last record found one")
		}
		check(t, it.Err())
	}},
	{"an iterator does not see later changes", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1", "b", "2", "c", "3")
		it, err := e.Scan(bg, nil, []byte("z"))
		check(t, err)
		defer it.Close()
		if !it.Next() {
			t.Fatal("no record")
		}
		set(t, e, "aa", "new", "c", "new")
		check(t, e.Apply(bg, &store.Batch{Delete: [][]byte{[]byte("b")}}))
		var got []string
		for it.Next() {
			got = append(got, string(it.Key())+"="+string(it.Value()))
		}
		if s := strings.Join(got, " "); s != "b=2 c=3" {
			t.Fatalf("the rest of the walk = %q, want b=2 c=3", s)
		}
	}},
	{"a condition that does not hold applies nothing", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1", "p/x", "")
		for _, tc := range []struct {
			name string
			c    store.Condition
		}{
			{"equals another value", store.Condition{Key: []byte("a"), Equals: []byte("2")}},
			{"equals, but is missing", store.Condition{Key: []byte("q"), Equals: []byte("1")}},
			{"missing, but is there", store.Condition{Key: []byte("a")}},
			{"no record in a range that has one", store.Condition{Key: []byte("p/"), Until: []byte("p0")}},
		} {
			sp := spoolOf(t, e, []byte("body"))
			err := e.Apply(bg, &store.Batch{
				Require: []store.Condition{{Key: []byte("a"), Equals: []byte("1")}, tc.c},
				Set:     []store.Record{{Key: []byte("new"), Value: []byte("n")}},
				Delete:  [][]byte{[]byte("a")},
				Add:     []store.Delta{{Key: []byte("count"), By: 1}},
				Keep:    []store.Kept{{Spool: sp, Size: 4}},
			})
			wantErr(t, tc.name, err, store.ErrConflict)
			if got := scan(t, e, "", "\xff"); got != "a=1 p/x=" {
				t.Fatalf("%s: records = %q, want a=1 p/x=", tc.name, got)
			}
			// The spool is still the caller's, for another try.
			check(t, e.Apply(bg, &store.Batch{Keep: []store.Kept{{Spool: sp, Size: 4, Label: []byte("other")}}}))
			wantBody(t, e, sp.ID(), []byte("body"))
		}
	}},
	{"conditions that hold do", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1", "p", "", "p0", "")
		check(t, e.Apply(bg, &store.Batch{
			Require: []store.Condition{
				{Key: []byte("a"), Equals: []byte("1")}, {Key: []byte("b")}, {Key: []byte("p/"), Until: []byte("p0")},
			},
			Set: []store.Record{{Key: []byte("b"), Value: []byte("2")}},
		}))
		if got := string(mustGet(t, e, "b")); got != "2" {
			t.Fatalf("b = %q, want 2", got)
		}
	}},
	{"counters add up", func(t *testing.T, e store.Engine) {
		for _, by := range []int64{5, -7, 1 << 40, -(1 << 40), 0} {
			check(t, e.Apply(bg, &store.Batch{Add: []store.Delta{{Key: []byte("n"), By: by}}}))
		}
		wantCounter(t, e, "n", -2)
		check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: []byte("n"), Value: binary.BigEndian.AppendUint64(nil, 40)}}}))
		check(t, e.Apply(bg, &store.Batch{Add: []store.Delta{{Key: []byte("n"), By: 1}, {Key: []byte("n"), By: 1}}}))
		wantCounter(t, e, "n", 42)
		check(t, e.Apply(bg, &store.Batch{Delete: [][]byte{[]byte("n")}}))
		_, err := e.Get(bg, []byte("n"))
		wantErr(t, "Get of a deleted counter", err, store.ErrNoRecord)
		check(t, e.Apply(bg, &store.Batch{Add: []store.Delta{{Key: []byte("n"), By: 3}}}))
		wantCounter(t, e, "n", 3)
	}},
	{"a batch that only asks", func(t *testing.T, e store.Engine) {
		check(t, e.Apply(bg, &store.Batch{}))
		check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: []byte("a"), Value: []byte("1")}}, NoSync: true}))
		check(t, e.Apply(bg, &store.Batch{Require: []store.Condition{{Key: []byte("a"), Equals: []byte("1")}}}))
		check(t, e.Apply(bg, &store.Batch{}))
		if got := scan(t, e, "", "\xff"); got != "a=1" {
			t.Fatalf("records = %q, want a=1", got)
		}
	}},
	{"of those who change one record at once, one gets through", func(t *testing.T, e store.Engine) {
		const writers, rounds = 8, 25
		set(t, e, "n", "0")
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for done := 0; done < rounds; {
					old, err := e.Get(bg, []byte("n"))
					if err != nil {
						t.Error(err)
						return
					}
					var n int
					if _, err := fmt.Sscan(string(old), &n); err != nil {
						t.Error(err)
						return
					}
					err = e.Apply(bg, &store.Batch{
						Require: []store.Condition{{Key: []byte("n"), Equals: old}},
						Set:     []store.Record{{Key: []byte("n"), Value: fmt.Append(nil, n+1)}},
						Add:     []store.Delta{{Key: []byte("count"), By: 1}},
						NoSync:  done%2 == 0,
					})
					if err == nil {
						done++
					}
				}
			})
		}
		wg.Wait()
		if got := string(mustGet(t, e, "n")); got != fmt.Sprint(writers*rounds) {
			t.Fatalf("n = %s, want %d", got, writers*rounds)
		}
		wantCounter(t, e, "count", writers*rounds)
	}},
	{"a batch is never half visible", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "0", "b", "0")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(stop)
			for i := range 200 {
				v := fmt.Append(nil, i)
				err := e.Apply(bg, &store.Batch{NoSync: true, Set: []store.Record{{Key: []byte("a"), Value: v}, {Key: []byte("b"), Value: v}}})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		for running := true; running; {
			select {
			case <-stop:
				running = false
			default:
			}
			kv := strings.Fields(scan(t, e, "a", "c"))
			if strings.TrimPrefix(kv[0], "a=") != strings.TrimPrefix(kv[1], "b=") {
				t.Errorf("records = %v, want equal values", kv)
				break
			}
		}
		wg.Wait()
	}},
	{"a context that has ended stops calls", func(t *testing.T, e store.Engine) {
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_, err := e.Get(ctx, []byte("a"))
		wantErr(t, "Get", err, context.Canceled)
		_, err = e.Scan(ctx, nil, nil)
		wantErr(t, "Scan", err, context.Canceled)
		wantErr(t, "Apply", e.Apply(ctx, &store.Batch{Set: []store.Record{{Key: []byte("a")}}}), context.Canceled)
		_, err = e.NewSpool(ctx, 1)
		wantErr(t, "NewSpool", err, context.Canceled)
		if got := scan(t, e, "", "\xff"); got != "" {
			t.Fatalf("records = %q, want none", got)
		}
	}},
	{"after Close nothing works, and nothing panics", func(t *testing.T, e store.Engine) {
		set(t, e, "a", "1")
		sp := spoolOf(t, e, []byte("x"))
		check(t, e.Close())
		_, err := e.Get(bg, []byte("a"))
		wantErr(t, "Get", err, object.ErrStore)
		_, err = e.Scan(bg, nil, nil)
		wantErr(t, "Scan", err, object.ErrStore)
		wantErr(t, "Apply", e.Apply(bg, &store.Batch{}), object.ErrStore)
		_, err = e.NewSpool(bg, 1)
		wantErr(t, "NewSpool", err, object.ErrStore)
		_, err = e.Open(bg, sp.ID())
		wantErr(t, "Open", err, object.ErrStore)
		check(t, sp.Discard())
		check(t, e.Close())
	}},
}

var bg = context.Background()

func set(t tb, e store.Engine, kv ...string) {
	t.Helper()
	var b store.Batch
	for i := 0; i < len(kv); i += 2 {
		b.Set = append(b.Set, store.Record{Key: []byte(kv[i]), Value: []byte(kv[i+1])})
	}
	check(t, e.Apply(bg, &b))
}

func mustGet(t tb, e store.Engine, key string) []byte {
	t.Helper()
	v, err := e.Get(bg, []byte(key))
	check(t, err)
	return v
}

func wantCounter(t tb, e store.Engine, key string, want int64) {
	t.Helper()
	v := mustGet(t, e, key)
	if len(v) != 8 || int64(binary.BigEndian.Uint64(v)) != want {
		t.Fatalf("counter = %x, want %d", v, want)
	}
	it, err := e.Scan(bg, []byte(key), append([]byte(key), 0))
	check(t, err)
	defer it.Close()
	if !it.Next() || !bytes.Equal(it.Value(), v) {
		t.Fatalf("Scan does not find the counter as Get does")
	}
}

// scan renders the records in [lower, upper).
func scan(t tb, e store.Engine, lower, upper string) string {
	t.Helper()
	it, err := e.Scan(bg, []byte(lower), []byte(upper))
	check(t, err)
	defer it.Close()
	var kv []string
	for it.Next() {
		kv = append(kv, string(it.Key())+"="+string(it.Value()))
	}
	check(t, it.Err())
	return strings.Join(kv, " ")
}

func keys(t tb, e store.Engine, lower, upper string) []string {
	t.Helper()
	return walk(t, e, []byte(lower), []byte(upper))
}

func unbounded(t tb, e store.Engine) []string {
	t.Helper()
	return walk(t, e, nil, nil)
}

func walk(t tb, e store.Engine, lower, upper []byte) []string {
	t.Helper()
	it, err := e.Scan(bg, lower, upper)
	check(t, err)
	defer it.Close()
	var got []string
	for it.Next() {
		got = append(got, string(it.Key()))
	}
	check(t, it.Err())
	return got
}
