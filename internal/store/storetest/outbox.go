package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// told are two consumers: one with a lane for each line of its setting, one with the one lane "".
const (
	lined = 'l'
	plain = 'p'
)

type outbox struct {
	*fills
	consumers []*store.Consumer
}

func outboxTest(name string, run func(t *testing.T, o *outbox)) test {
	return test{name, func(t *testing.T, e store.Engine) {
		o := &outbox{consumers: []*store.Consumer{
			{Tag: lined, Setting: "lined", MaxPending: 5, Lanes: func(doc []byte) (func(store.Event) []string, error) {
				if string(doc) == "damaged" {
					return nil, errors.New("damaged")
				}
				lanes := strings.Split(string(doc), "\n")
				return func(e store.Event) []string {
					if e.Kind == store.Deleted {
						return lanes[:1]
					}
					return lanes
				}, nil
			}},
			{Tag: plain, Setting: "plain", Lanes: func([]byte) (func(store.Event) []string, error) {
				return func(e store.Event) []string {
					if e.Replica {
						return nil
					}
					return []string{""}
				}, nil
			}},
		}}
		s := store.New(e, o.consumers...)
		o.fills = &fills{t: t, e: e, s: s, b: newBucket(t, s, "bucket")}
		check(t, s.SetSetting(bg, o.b, "mirror", site))
		run(t, o)
	}}
}

// waiting lists the queues of a consumer as "lane: pending, lost".
func (o *outbox) waiting(tag byte) []string {
	o.t.Helper()
	list, err := o.s.Waiting(bg, tag)
	check(o.t, err)
	var lines []string
	for _, b := range list {
		lines = append(lines, fmt.Sprintf("%s: %d, %d", b.Lane, b.Pending, b.Lost))
	}
	return lines
}

// queue returns a queue in which something waits.
func (o *outbox) queue(tag byte, lane string) store.Queue {
	o.t.Helper()
	list, err := o.s.Waiting(bg, tag)
	check(o.t, err)
	for _, b := range list {
		if b.Lane == lane && b.Bucket == o.b.ID {
			return b.Queue
		}
	}
	o.t.Fatalf("nothing waits in lane %q of consumer %c", lane, tag)
	return store.Queue{}
}

func (o *outbox) events(tag byte, lane string) []store.Event {
	o.t.Helper()
	list, err := o.s.Events(bg, o.queue(tag, lane), 100)
	check(o.t, err)
	return list
}

func (o *outbox) want(tag byte, lane string, want ...string) {
	o.t.Helper()
	var got []string
	for _, e := range o.events(tag, lane) {
		got = append(got, fmt.Sprintf("%d %s %s %d", e.Kind, e.Key, e.ETag, e.Size))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		o.t.Fatalf("events of lane %q (-want +got):\n%s", lane, diff)
	}
}

var outboxTests = []test{
	outboxTest("a bucket without a consumer's setting has no events", func(t *testing.T, o *outbox) {
		put(t, o.s, o.b, "key", []byte("put"))
		check(t, o.s.Delete(bg, o.b, "key"))
		if left := keys(t, o.e, "Q", "R"); len(left) > 0 {
			t.Fatalf("records %q are left", left)
		}
	}),
	outboxTest("every change is told, in order, to every lane that wants it", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "lined", []byte("one\ntwo")))
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		put(t, o.s, o.b, "key", []byte("put"))
		put(t, o.s, o.b, "key", []byte("again"))
		check(t, o.s.Delete(bg, o.b, "key"))
		check(t, o.s.Delete(bg, o.b, "key")) // there is nothing: nothing happens
		wantErr(t, "commit", o.commit(o.begin("filled"), "filled"), nil)
		all := []string{`1 key "3" 3`, `1 key "5" 5`, `2 key "5" 5`, `1 filled "6" 6`}
		o.want(lined, "one", all...)
		o.want(lined, "two", all[0], all[1], all[3])
		o.want(plain, "", all...)
		events := o.events(plain, "")
		for i := range events[1:] {
			if !events[i].At.Before(events[i+1].At) {
				t.Errorf("event %d is of %v, the one before of %v", i+1, events[i+1].At, events[i].At)
			}
		}
	}),
	outboxTest("an event knows its cause", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		ctx := store.WithCause(bg, store.Cause{Principal: "user", RequestID: "id"})
		check(t, o.s.Put(ctx, o.b, "key", meta(nil), spoolFor(t, o.s, nil)))
		check(t, o.s.Delete(store.WithCause(bg, store.Cause{Replica: true}), o.b, "key"))
		events := o.events(plain, "")
		if len(events) != 1 || events[0].Principal != "user" || events[0].RequestID != "id" || events[0].Bucket != "bucket" {
			t.Fatalf("events = %+v, want the one of the request", events)
		}
	}),
	outboxTest("what is refused does not happen", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		i := o.begin("key")
		put(t, o.s, o.b, "key", []byte("put"))
		wantErr(t, "commit", o.commit(i, "filled"), object.ErrExists)
		o.want(plain, "", `1 key "3" 3`)
	}),
	outboxTest("done events are gone, and with the last one the queue", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		put(t, o.s, o.b, "a", nil)
		put(t, o.s, o.b, "b", nil)
		put(t, o.s, o.b, "c", nil)
		q, events := o.queue(plain, ""), o.events(plain, "")
		check(t, o.s.Done(bg, q, events[0], events[1]))
		check(t, o.s.Done(bg, q, events[0])) // again
		o.want(plain, "", `1 c "0" 0`)
		if diff := cmp.Diff([]string{": 1, 0"}, o.waiting(plain)); diff != "" {
			t.Fatalf("waiting (-want +got):\n%s", diff)
		}
		check(t, o.s.Done(bg, q, events[2]))
		if left := keys(t, o.e, "Q", "R"); len(left) > 0 {
			t.Fatalf("records %q are left", left)
		}
	}),
	outboxTest("a full lane loses what comes, counts it, and holds up no other", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "lined", []byte("one\ntwo")))
		for i := range 4 {
			put(t, o.s, o.b, fmt.Sprint(i), nil)
		}
		check(t, o.s.Done(bg, o.queue(lined, "two"), o.events(lined, "two")...))
		for i := range 4 {
			put(t, o.s, o.b, fmt.Sprint(i), nil)
		}
		if diff := cmp.Diff([]string{"one: 5, 3", "two: 4, 0"}, o.waiting(lined)); diff != "" {
			t.Fatalf("waiting (-want +got):\n%s", diff)
		}
		q := o.queue(lined, "one")
		check(t, o.s.Done(bg, q, o.events(lined, "one")...))
		if diff := cmp.Diff([]string{"one: 0, 3", "two: 4, 0"}, o.waiting(lined)); diff != "" {
			t.Fatalf("waiting (-want +got):\n%s", diff)
		}
		lost, err := o.s.Admit(bg, q)
		check(t, err)
		again, err := o.s.Admit(bg, q)
		check(t, err)
		if lost != 3 || again != 0 {
			t.Fatalf("Admit = %d, then %d, want 3, then 0", lost, again)
		}
		if diff := cmp.Diff([]string{"two: 4, 0"}, o.waiting(lined)); diff != "" {
			t.Fatalf("waiting (-want +got):\n%s", diff)
		}
	}),
	outboxTest("another setting counts from the next change on", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "lined", []byte("one")))
		put(t, o.s, o.b, "a", nil)
		check(t, o.s.SetSetting(bg, o.b, "lined", []byte("two")))
		put(t, o.s, o.b, "b", nil)
		check(t, o.s.SetSetting(bg, o.b, "lined", []byte("damaged")))
		put(t, o.s, o.b, "c", nil)
		check(t, o.s.DeleteSetting(bg, o.b, "lined"))
		put(t, o.s, o.b, "d", nil)
		o.want(lined, "one", `1 a "0" 0`)
		o.want(lined, "two", `1 b "0" 0`)
		check(t, o.s.DropQueue(bg, o.queue(lined, "one")))
		if diff := cmp.Diff([]string{"two: 1, 0"}, o.waiting(lined)); diff != "" {
			t.Fatalf("waiting (-want +got):\n%s", diff)
		}
	}),
	outboxTest("queues go with their bucket, and Done counts nothing then", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		put(t, o.s, o.b, "key", nil)
		q, events := o.queue(plain, ""), o.events(plain, "")
		check(t, o.s.Delete(bg, o.b, "key"))
		check(t, o.s.DeleteBucket(bg, o.b))
		check(t, o.s.Done(bg, q, events...))
		if left := keys(t, o.e, "Q", "R"); len(left) > 0 {
			t.Fatalf("records %q are left", left)
		}
	}),
	outboxTest("events are there after a restart, and new ones come behind them", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		put(t, o.s, o.b, "a", nil)
		o.s = store.New(o.e, o.consumers...)
		check(t, o.s.Recover(bg))
		put(t, o.s, o.b, "b", nil)
		o.want(plain, "", `1 a "0" 0`, `1 b "0" 0`)
	}),
	outboxTest("a damaged event is lost alone", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		put(t, o.s, o.b, "a", nil)
		put(t, o.s, o.b, "b", nil)
		for _, k := range keys(t, o.e, "Q", "R") {
			if v, err := o.e.Get(bg, []byte(k)); err == nil && strings.Contains(string(v), "\x01a\x03\"0\"") {
				v[len(v)-1] ^= 1
				check(t, o.e.Apply(bg, &store.Batch{Set: []store.Record{{Key: []byte(k), Value: v}}}))
			}
		}
		o.want(plain, "", `1 b "0" 0`)
		if diff := cmp.Diff([]string{": 1, 0"}, o.waiting(plain)); diff != "" {
			t.Fatalf("waiting (-want +got):\n%s", diff)
		}
	}),
	outboxTest("who waits is woken", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		news := o.s.News()
		check(t, o.s.Delete(bg, o.b, "key")) // nothing happens
		select {
		case <-news:
			t.Fatal("woken without an event")
		default:
		}
		put(t, o.s, o.b, "key", nil)
		select {
		case <-news:
		default:
			t.Fatal("an event came in and woke nobody")
		}
	}),
	outboxTest("writers and a consumer at once: the count is right, each event comes once", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		const writers, each = 4, 25
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					if err := tryPut(t, o.s, o.b, fmt.Sprintf("%d/%d", w, n), nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		seen := map[string]int{}
		for len(seen) < writers*each && !t.Failed() {
			news := o.s.News()
			list, err := o.s.Waiting(bg, plain)
			check(t, err)
			if len(list) == 0 {
				<-news
				continue
			}
			events, err := o.s.Events(bg, list[0].Queue, 7)
			check(t, err)
			for _, e := range events {
				seen[e.Key]++
			}
			check(t, o.s.Done(bg, list[0].Queue, events...))
		}
		wg.Wait()
		for key, n := range seen {
			if n != 1 {
				t.Errorf("the event of %s came %d times", key, n)
			}
		}
		if left := keys(t, o.e, "Q", "R"); len(left) > 0 {
			t.Fatalf("records %q are left", left)
		}
	}),
}
