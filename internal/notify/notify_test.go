package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/notify"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

func TestCheck(t *testing.T) {
	ok := notify.Rule{ID: "a", Events: []string{"create_object"}, Func: notify.FuncNotifier, URL: "http://example.org/"}
	with := func(change func(*notify.Rule)) []notify.Rule {
		r := ok
		change(&r)
		return []notify.Rule{r}
	}
	for _, tc := range []struct {
		name  string
		rules []notify.Rule
		want  string // in the error; "" for none
	}{
		{"one", []notify.Rule{ok}, ""},
		{"all events", with(func(r *notify.Rule) {
			r.Events = []string{"create_object", "delete_object", "abort_multipart", "complete_multipart"}
		}), ""},
		{"none", nil, "there are 0"},
		{"too many", make([]notify.Rule, 101), "there are 101"},
		{"no id", with(func(r *notify.Rule) { r.ID = "" }), "[0].id is missing"},
		{"long id", with(func(r *notify.Rule) { r.ID = strings.Repeat("é", 256) }), "[0].id has 256"},
		{"no events", with(func(r *notify.Rule) { r.Events = nil }), "[0].event_types is missing"},
		{"the name that is sent", with(func(r *notify.Rule) { r.Events = []string{"create_object", "complete_upload"} }), `[0].event_types[1] is "complete_upload"`},
		{"another function", with(func(r *notify.Rule) { r.Func = "mail" }), `[0].cloudfunc is "mail"`},
		{"nobody to notify", with(func(r *notify.Rule) { r.URL = "" }), "[0].notify_url is missing"},
		{"moderation for nobody", with(func(r *notify.Rule) { r.Func, r.URL = notify.FuncModeration, "" }), ""},
		{"a picture without an action", with(func(r *notify.Rule) { r.Func, r.Picture = notify.FuncImage, &notify.Picture{} }), "[0].cloudfunc_args.action is missing"},
		{"a picture", with(func(r *notify.Rule) { r.Func, r.URL, r.Picture = notify.FuncImage, "", &notify.Picture{Action: "info"} }), ""},
		{"arguments for the notifier", with(func(r *notify.Rule) { r.Picture = &notify.Picture{Action: "info"} }), "[0].cloudfunc_args is for"},
		{"many filters", with(func(r *notify.Rule) { r.Filters = make([]string, 21) }), "[0].object_filters has 21"},
		{"an empty filter", with(func(r *notify.Rule) { r.Filters = []string{"*", ""} }), "[0].object_filters[1]"},
		{"a filter of bytes", with(func(r *notify.Rule) { r.Filters = []string{"\xff"} }), "[0].object_filters[0]"},
		{"same id", []notify.Rule{ok, ok}, "[1].id is that of notifications[0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := notify.Check(tc.rules)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("Check = %v, want nil", err)
				}
				return
			}
			if !errors.Is(err, object.ErrInvalidRequest) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Check = %v, want an invalid request with %q", err, tc.want)
			}
		})
	}
}

func TestFilters(t *testing.T) {
	for _, tc := range []struct {
		pattern, key string
		want         bool
	}{
		{"*", "", true}, {"*", "a/b", true}, {"*.jpg", "dir/a.jpg", true}, {"*.jpg", "a.jpg.txt", false}, {"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbY", false}, {"a?c", "abc", true}, {"a?c", "aéc", true}, {"a?c", "ac", false}, {"logs/*", "logs/x", true}, {"logs/*", "log/x", false},
		{"a", "ab", false}, {"ab", "a", false}, {"a**", "a", true}, {"[a]", "a", false}, {"[a]", "[a]", true}, {`\*`, "*", false},
		{"*?", "é", true}, {"*aab", "aaaab", true}, {strings.Repeat("*a", 500), strings.Repeat("a", 1023), true},
		{strings.Repeat("*a", 500) + "b", strings.Repeat("a", 1023), false},
	} {
		e := store.Event{Kind: store.Created, Key: tc.key}
		lanes, err := notify.Consumer(0).Lanes(setting(t, notify.Rule{ID: "x", Events: []string{"create_object"}, Func: "notifier", Filters: []string{"no", tc.pattern}}))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(lanes(e)) == 1; got != tc.want {
			t.Errorf("%q matches %q: %v, want %v", tc.pattern, tc.key, got, tc.want)
		}
	}
}

func setting(t *testing.T, rules ...notify.Rule) []byte {
	t.Helper()
	doc, err := json.Marshal(map[string]any{"rules": rules})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// told is a store with a bucket, and addresses that answer as they are told to.
type told struct {
	t *testing.T
	e store.Engine
	s *store.Store
	b store.Bucket
	o notify.Options

	mu   sync.Mutex        // guards the fields below
	fail map[string]string // by URL: what goes wrong
	got  []string          // "seconds url type key"
	last map[string]any    // the last document
	at   time.Time
}

func toldTest(t *testing.T, run func(t *testing.T, o *told)) {
	synctest.Test(t, func(t *testing.T) {
		o := &told{t: t, e: memstore.New(), fail: map[string]string{}, at: time.Now()}
		o.open()
		var err error
		o.b, err = o.s.CreateBucket(t.Context(), "bucket", "owner", "pek3a")
		o.check(err)
		run(t, o)
	})
}

func (o *told) open() {
	o.s = store.New(o.e, notify.Consumer(20))
	o.check(o.s.Recover(o.t.Context()))
	o.o.Store, o.o.Post = o.s, o.post
}

func (o *told) post(ctx context.Context, r notify.Rule, body []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = nil
	if err := json.Unmarshal(body, &o.last); err != nil {
		o.t.Errorf("sent %s: %v", body, err)
		return 0, err
	}
	var m struct {
		Events []struct {
			Type     string `json:"event_type"`
			QingStor struct {
				Object struct{ Name string }
			}
		}
	}
	_ = json.Unmarshal(body, &m)
	o.got = append(o.got, fmt.Sprintf("%.0f %s %s %s", time.Since(o.at).Seconds(), r.URL, m.Events[0].Type, m.Events[0].QingStor.Object.Name))
	switch o.fail[r.URL] {
	case "":
		return 204, nil
	case "hang":
		o.mu.Unlock()
		<-ctx.Done()
		o.mu.Lock()
		return 0, ctx.Err()
	case "status":
		return 500, nil
	}
	return 0, errors.New("connection refused")
}

func (o *told) check(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *told) set(rules ...notify.Rule) {
	o.t.Helper()
	o.check(o.s.SetSetting(o.t.Context(), o.b, notify.Setting, setting(o.t, rules...)))
}

func (o *told) put(keys ...string) {
	o.t.Helper()
	for _, key := range keys {
		sp, err := o.s.NewSpool(o.t.Context(), 0)
		o.check(err)
		o.check(o.s.Put(o.t.Context(), o.b, key, object.Meta{ETag: `"tag"`}, sp))
	}
}

func (o *told) answers(url, fail string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail[url] = fail
}

// want compares what was told since the last call.
func (o *told) want(lines ...string) {
	o.t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff(lines, o.got); diff != "" {
		o.t.Fatalf("told (-want +got):\n%s", diff)
	}
	o.got = nil
}

func (o *told) start() *notify.Notifier {
	n := notify.New(o.o)
	n.Start()
	return n
}

func later(d time.Duration) { <-time.After(d) }

func to(url string, events ...string) notify.Rule {
	return notify.Rule{ID: "id-" + url, Events: events, Func: notify.FuncNotifier, URL: url}
}

func TestWhatIsSent(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.set(to("a", "create_object"))
		n := o.start()
		defer n.Close()
		ctx := store.WithCause(t.Context(), store.Cause{Principal: "user", RequestID: "req"})
		sp, err := o.s.NewSpool(ctx, 0)
		o.check(err)
		o.check(o.s.Put(ctx, o.b, "dir/<key>", object.Meta{ETag: `"tag"`}, sp))
		later(time.Second)
		o.want("0 a create_object dir/<key>")
		want := map[string]any{"events": []any{map[string]any{
			"event_source": "qingstor", "event_version": "1.0", "event_type": "create_object", "event_time": "2000-01-01T00:00:00.000Z", "zone_id": "pek3a",
			"user_identify": map[string]any{"principal_id": "user"}, "response_elements": map[string]any{"request_id": "req"},
			"qingstor": map[string]any{
				"schema_version": "1.0", "notification_id": "id-a", "bucket": map[string]any{"name": "bucket"},
				"object": map[string]any{"name": "dir/<key>", "etag": "tag", "size": 0.0},
			},
		}}}
		if diff := cmp.Diff(want, o.last); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestEveryRuleIsToldWhatItWants(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.set(to("all", "create_object", "delete_object", "abort_multipart", "complete_multipart"), to("gone", "delete_object"),
			notify.Rule{ID: "picture", Events: []string{"create_object"}, Func: notify.FuncModeration, URL: "moderation"})
		n := o.start()
		defer n.Close()
		u, err := o.s.CreateUpload(t.Context(), o.b, "up", object.Meta{})
		o.check(err)
		o.check(o.s.AbortUpload(t.Context(), o.b, "up", u.ID))
		later(time.Second)
		o.want("0 all abort_upload up")
		u, err = o.s.CreateUpload(t.Context(), o.b, "up", object.Meta{})
		o.check(err)
		_, err = o.s.CompleteUpload(t.Context(), o.b, "up", u.ID, func(store.Upload, []store.Part) ([]store.Part, object.Meta, error) {
			return nil, object.Meta{}, nil
		})
		o.check(err)
		later(time.Second)
		o.want("1 all complete_upload up")
		o.put("a")
		later(time.Second)
		o.want("2 all create_object a")
		o.check(o.s.Delete(t.Context(), o.b, "a"))
		later(time.Second)
		o.mu.Lock()
		if len(o.got) != 2 || o.got[0] == o.got[1] {
			t.Errorf("told %q of the deletion, want both", o.got)
		}
		o.mu.Unlock()
		if s := n.Stats(); s != (notify.Stats{Delivered: 5}) {
			t.Errorf("stats = %+v, want 5 delivered", s)
		}
	})
}

// An address that fails is tried after 1, 2, 4 s and so on; its events stay in order, and others are not held up.
func TestFailuresAreRetriedInOrder(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.answers("bad", "refused")
		o.set(to("bad", "create_object"), to("good", "delete_object"))
		n := o.start()
		defer n.Close()
		o.put("a", "b")
		later(10 * time.Second)
		o.want("0 bad create_object a", "1 bad create_object a", "3 bad create_object a", "7 bad create_object a")
		o.check(o.s.Delete(t.Context(), o.b, "a"))
		o.answers("bad", "status")
		later(10 * time.Second)
		o.want("10 good delete_object a", "15 bad create_object a")
		o.answers("bad", "")
		later(20 * time.Second)
		o.want("31 bad create_object a", "31 bad create_object b")
		if s := n.Stats(); s != (notify.Stats{Delivered: 3, Failed: 5}) {
			t.Errorf("stats = %+v, want 3 delivered after 5 failures", s)
		}
	})
}

func TestASilentAddressIsGivenUpInTime(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.answers("a", "hang")
		o.set(to("a", "create_object"))
		n := o.start()
		defer n.Close()
		o.put("a")
		later(12500 * time.Millisecond)
		o.want("0 a create_object a", "6 a create_object a") // 5 s and a pause of 1 s; then 5 and 2
	})
}

func TestOldEventsAreGivenUp(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.o.MaxRetry, o.o.MaxAge = time.Hour, 3*time.Hour
		o.answers("a", "refused")
		o.set(to("a", "create_object"))
		n := o.start()
		defer n.Close()
		o.put("old")
		later(2 * time.Hour)
		o.put("new")
		later(2 * time.Hour)
		o.answers("a", "")
		o.mu.Lock()
		o.got = nil
		o.mu.Unlock()
		later(2 * time.Hour)
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.got) != 1 || !strings.HasSuffix(o.got[0], " new") {
			t.Errorf("told %q, want the new one only", o.got)
		}
		if s := n.Stats(); s.Expired != 1 || s.Delivered != 1 {
			t.Errorf("stats = %+v, want one given up and one delivered", s)
		}
	})
}

func TestLogsHoldNoQuery(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		var log bytes.Buffer
		o.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		const url = "http://hook.example/events?token=secret"
		o.answers(url, "status")
		r := to(url, "create_object")
		r.ID = "hook"
		o.set(r)
		n := o.start()
		o.put("a")
		later(100 * time.Millisecond)
		n.Close() // nobody writes to the log any more
		if got := log.String(); !strings.Contains(got, "http://hook.example/events") || strings.Contains(got, "secret") {
			t.Errorf("the log is %q, want the address without its query", got)
		}
	})
}

func TestWhatWaitsSurvivesARestart(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.answers("a", "hang")
		o.set(to("a", "create_object"))
		o.put("before")
		n := o.start()
		later(time.Second)
		o.put("meanwhile")
		o.want("0 a create_object before")
		n.Close()
		if pending, err := n.Pending(t.Context()); pending != 2 || err != nil {
			t.Errorf("%d events wait, %v; want 2", pending, err)
		}
		o.answers("a", "")
		o.open()
		n = o.start()
		defer n.Close()
		later(time.Second)
		o.want("1 a create_object before", "1 a create_object meanwhile")
	})
}

func TestEventsOfARuleThatIsGoneAreDropped(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.answers("a", "refused")
		o.answers("b", "refused")
		o.set(to("a", "create_object"), to("b", "create_object"))
		n := o.start()
		defer n.Close()
		o.put("x")
		later(time.Second / 2)
		o.answers("a", "")
		o.set(to("a", "create_object"))
		later(time.Minute)
		if s := n.Stats(); s.Delivered != 1 || s.Failed != 2 {
			t.Errorf("stats = %+v, want the one of the rule that is left", s)
		}
		o.put("y")
		o.check(o.s.DeleteSetting(t.Context(), o.b, notify.Setting))
		later(time.Minute)
		if pending, err := n.Pending(t.Context()); pending != 0 || err != nil {
			t.Errorf("%d events wait for nobody, %v", pending, err)
		}
	})
}

func TestAFullQueueLosesWhatComesAndSaysSo(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		o.answers("a", "refused")
		o.set(to("a", "create_object"))
		for i := range 25 {
			o.put(fmt.Sprint(i))
		}
		n := o.start()
		defer n.Close()
		later(time.Second / 2)
		o.answers("a", "")
		later(time.Minute)
		if s := n.Stats(); s.Delivered != 20 || s.Lost != 5 {
			t.Errorf("stats = %+v, want 20 delivered and 5 lost", s)
		}
	})
}

func TestPicturesAreMade(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		var made []string
		fails := object.ErrBusy
		o.o.Make = func(ctx context.Context, b store.Bucket, key string, p notify.Picture) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			made = append(made, fmt.Sprintf("%.0f %s %s%s", time.Since(o.at).Seconds(), p.Action, p.Prefix, key))
			if key == "no picture" {
				return object.ErrNoImage
			}
			if fails != nil {
				return fails
			}
			sp, err := o.s.NewSpool(ctx, 0)
			o.check(err)
			return o.s.Put(ctx, b, p.Prefix+key, object.Meta{}, sp)
		}
		picture := &notify.Picture{Action: "info", Prefix: "gen_", Bucket: "bucket"}
		o.set(notify.Rule{ID: "p", Events: []string{"create_object", "delete_object"}, Func: notify.FuncImage, URL: "hook", Picture: picture})
		n := o.start()
		defer n.Close()
		o.put("no picture", "a")
		later(time.Second / 2)
		o.mu.Lock()
		fails = nil
		o.mu.Unlock()
		later(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"0 info gen_no picture", "0 info gen_a", "1 info gen_a"}, made); diff != "" {
			t.Errorf("made (-want +got):\n%s", diff)
		}
		o.want("1 hook create_object a") // and nothing is made of gen_a
		o.check(o.s.Delete(t.Context(), o.b, "a"))
		later(time.Minute)
		o.want("61 hook delete_object a")
		if s := n.Stats(); s != (notify.Stats{Delivered: 2, Failed: 2, Expired: 1}) {
			t.Errorf("stats = %+v, want two delivered, one given up and one failure", s)
		}
	})
}

// One owner with many dead addresses must not keep all workers.
func TestABucketHasABoundOfItsOwn(t *testing.T) {
	toldTest(t, func(t *testing.T, o *told) {
		var dead []notify.Rule
		for i := range 20 {
			url := fmt.Sprint("dead", i)
			o.answers(url, "hang")
			dead = append(dead, to(url, "create_object"))
		}
		o.set(dead...)
		other, err := o.s.CreateBucket(t.Context(), "other", "owner", "pek3a")
		o.check(err)
		o.check(o.s.SetSetting(t.Context(), other, notify.Setting, setting(t, to("good", "create_object"))))
		n := o.start()
		defer n.Close()
		o.put("x")
		later(time.Second)
		sp, err := o.s.NewSpool(t.Context(), 0)
		o.check(err)
		o.check(o.s.Put(t.Context(), other, "y", object.Meta{}, sp))
		later(time.Second)
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.got) != 5 || o.got[4] != "1 good create_object y" {
			t.Errorf("told %q, want four of the dead and then the good one", o.got)
		}
	})
}
