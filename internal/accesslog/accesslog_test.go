package accesslog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/accesslog"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

// logged is a store with a bucket that is logged to another one.
type logged struct {
	t        *testing.T
	e        store.Engine
	s        *store.Store
	from, to store.Bucket
	o        accesslog.Options
}

func loggedTest(t *testing.T, run func(t *testing.T, l *logged)) {
	synctest.Test(t, func(t *testing.T) {
		l := &logged{t: t, e: memstore.New()}
		l.open()
		l.from, l.to = l.make("from", "owner"), l.make("to", "owner")
		l.set(l.from, "to", "logs/")
		run(t, l)
	})
}

func (l *logged) open() {
	l.s = store.New(l.e)
	l.o.Store = l.s
}

func (l *logged) make(name, owner string) store.Bucket {
	l.t.Helper()
	b, err := l.s.CreateBucket(l.t.Context(), name, owner, "zone")
	l.check(err)
	return b
}

func (l *logged) set(b store.Bucket, to, prefix string) {
	l.t.Helper()
	doc, err := json.Marshal(map[string]any{"rules": accesslog.Target{Bucket: to, Prefix: prefix}})
	l.check(err)
	l.check(l.s.SetSetting(l.t.Context(), b, accesslog.Setting, doc))
}

func (l *logged) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *logged) start() *accesslog.Log {
	a := accesslog.New(l.o)
	a.Start()
	return a
}

// want compares the request ids in each object of a bucket, "key: ids".
func (l *logged) want(b store.Bucket, want ...string) {
	l.t.Helper()
	synctest.Wait()
	page, err := l.s.List(l.t.Context(), b, store.ListQuery{Limit: 1000})
	l.check(err)
	var got []string
	for _, e := range page.Entries {
		o, err := l.s.Open(l.t.Context(), b, e.Key)
		l.check(err)
		r, err := o.Body.Section(0, o.Size)
		l.check(err)
		text, err := io.ReadAll(r)
		l.check(err)
		l.check(o.Body.Close())
		var ids []string
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			ids = append(ids, fields[len(fields)-1])
		}
		got = append(got, e.Key+": "+strings.Join(ids, " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Fatalf("bucket %s at %v (-want +got):\n%s", b.Name, time.Now().UTC(), diff)
	}
}

func request(bucket, id string) accesslog.Entry {
	return accesslog.Entry{Bucket: bucket, Address: "192.0.2.1", Time: time.Now(), Method: "GET", Path: "/" + bucket + "/key", Status: 200, RequestID: id}
}

func later(d time.Duration) { <-time.After(d) }

func TestLogsAreDeliveredByTheHour(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		var changed []string
		l.o.Changed = func(b store.Bucket, key string) { changed = append(changed, b.Name+"/"+key) }
		a := l.start()
		defer a.Close()
		a.Add(request("from", "one"))
		a.Add(request("to", "not-logged"))
		a.Add(request("nowhere", "not-logged"))
		later(30 * time.Minute)
		a.Add(request("from", "two"))
		l.want(l.to)
		later(31 * time.Minute)
		l.want(l.to, "logs/from-2000-01-01-00-1.log: one two")
		a.Add(request("from", "three"))
		later(2 * time.Hour)
		l.want(l.to, "logs/from-2000-01-01-00-1.log: one two", "logs/from-2000-01-01-01-1.log: three")
		if diff := cmp.Diff([]string{"to/logs/from-2000-01-01-00-1.log", "to/logs/from-2000-01-01-01-1.log"}, changed); diff != "" {
			t.Errorf("told of (-want +got):\n%s", diff)
		}
		if s := a.Stats(); s != (accesslog.Stats{Lines: 3, Delivered: 2}) {
			t.Errorf("stats = %+v, want 3 lines in 2 objects", s)
		}
	})
}

func TestLinesSurviveARestart(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		a := l.start()
		a.Add(request("from", "one"))
		a.Close() // before the lines were written
		l.open()
		a = l.start()
		a.Add(request("from", "two"))
		later(time.Second)
		a.Close()
		later(3 * time.Hour)
		l.open()
		a = l.start()
		defer a.Close()
		l.want(l.to, "logs/from-2000-01-01-00-1.log: one two")
	})
}

func TestALargeLogIsDeliveredInSlices(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		l.o.Slice = 300 // three lines and a bit
		a := l.start()
		defer a.Close()
		for i := range 5 {
			a.Add(request("from", fmt.Sprint(i)))
			later(2 * time.Second) // chunks of one line
		}
		later(time.Minute)
		l.want(l.to, "logs/from-2000-01-01-00-1.log: 0 1 2")
		later(time.Hour)
		l.want(l.to, "logs/from-2000-01-01-00-1.log: 0 1 2", "logs/from-2000-01-01-00-2.log: 3 4")
	})
}

// A key that has an object already is not taken: it may be a log from before a restore, or somebody's own.
// noScan is a disk that cannot be read for a while.
type noScan struct {
	store.Engine
	broken atomic.Bool
}

func (e *noScan) Scan(ctx context.Context, lower, upper []byte) (store.Iterator, error) {
	if e.broken.Load() {
		return nil, errors.New("input/output error")
	}
	return e.Engine.Scan(ctx, lower, upper)
}

func TestASettingIsHeededWhateverBecomesOfItsRequest(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		disk := &noScan{Engine: l.e}
		l.e = disk
		l.open()
		log := l.start()
		defer log.Close()
		l.set(l.to, "to", "own/")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		log.Refresh(gone)
		if !log.Wants("to") {
			t.Error("who set it went away: the requests are not written down")
		}

		l.check(l.s.DeleteSetting(t.Context(), l.to, accesslog.Setting))
		disk.broken.Store(true)
		log.Refresh(t.Context())
		disk.broken.Store(false)
		later(time.Minute)
		if log.Wants("to") || !log.Wants("from") {
			t.Errorf("a minute after the disk failed, to is written down: %v, from: %v; want false, true", log.Wants("to"), log.Wants("from"))
		}
	})
}

// onKeep lets something happen before a body is kept.
type onKeep struct {
	store.Engine
	before func()
}

func (e *onKeep) Apply(ctx context.Context, b *store.Batch) error {
	if before := e.before; before != nil && len(b.Keep) > 0 {
		e.before = nil
		before()
	}
	return e.Engine.Apply(ctx, b)
}

// A key is free, a client puts an object there, the log is delivered to it.
func TestWhatIsPutMeanwhileStays(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		hooked := &onKeep{Engine: l.e}
		l.e = hooked
		l.open()
		key := accesslog.Target{Prefix: "logs/"}.Key("from", time.Now(), 1)
		hooked.before = func() { l.check(l.s.Put(t.Context(), l.to, key, object.Meta{ETag: `"client's"`}, discarded{})) }
		log := l.start()
		log.Add(request("from", "id"))
		later(time.Hour + time.Minute)
		log.Close()
		if hooked.before != nil {
			t.Fatal("nothing was delivered: the test shows nothing")
		}
		m, err := l.s.Stat(t.Context(), l.to, key)
		l.check(err)
		if m.ETag != `"client's"` {
			t.Errorf("the client's object is %+v, want it as it was put", m)
		}
		if _, err := l.s.Stat(t.Context(), l.to, strings.Replace(key, "-1.log", "-2.log", 1)); err != nil {
			t.Errorf("the log behind it = %v, want it there", err)
		}
	})
}

// discarded is the spool of an object without bytes.
type discarded struct{ store.Spool }

func (discarded) Discard() error { return nil }

func TestNothingIsOverwritten(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		l.set(l.from, "from", "") // into the bucket itself: a delivery is no request, so nothing goes round
		a := l.start()
		defer a.Close()
		a.Add(request("from", "one"))
		later(2 * time.Hour)
		l.want(l.from, "from-2000-01-01-00-1.log: one")
		l.check(l.s.AppendJournal(t.Context(), []store.Chunk{{Bucket: l.from, File: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 3600, Lines: []byte("late\n")}}))
		later(time.Hour)
		l.want(l.from, "from-2000-01-01-00-1.log: one", "from-2000-01-01-00-2.log: late")
	})
}

func TestALogThatMayGoNowhereIsDropped(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		foreign := l.make("foreign", "somebody")
		off, gone := l.make("off-bucket", "owner"), l.make("gone", "owner")
		l.set(l.from, "foreign", "")
		l.set(off, "to", "")
		l.set(gone, "to", "")
		a := l.start()
		defer a.Close()
		for _, b := range []string{"from", "off-bucket", "gone"} {
			a.Add(request(b, "x"))
		}
		later(2 * time.Second)
		l.check(l.s.DeleteSetting(t.Context(), off, accesslog.Setting))
		l.check(l.s.DeleteBucket(t.Context(), gone))
		later(2 * time.Hour)
		l.want(foreign)
		l.want(l.to)
		if s := a.Stats(); s.Pending != 0 || s.Delivered != 0 {
			t.Errorf("stats = %+v, want nothing left and nothing delivered", s)
		}
	})
}

func TestLinesAreBounded(t *testing.T) {
	loggedTest(t, func(t *testing.T, l *logged) {
		l.o.Buffer = 500
		a := l.start()
		defer a.Close()
		for range 100 {
			a.Add(request("from", "x"))
		}
		if s := a.Stats(); s.Lines+s.Lost != 100 || s.Lines > 5 || s.Lines == 0 {
			t.Errorf("stats = %+v, want five lines at most, and the others lost", s)
		}
		later(time.Second + time.Millisecond)
		a.Add(request("from", "y"))
		later(time.Hour)
		l.check(l.s.DeleteSetting(t.Context(), l.from, accesslog.Setting))
		a.Refresh(t.Context())
		before := a.Stats()
		a.Add(request("from", "off"))
		if after := a.Stats(); before.Lines != after.Lines || before.Lost != after.Lost {
			t.Errorf("a line was taken after logging was switched off: %+v, then %+v", before, after)
		}
	})
}

// form is what every line looks like, whatever a client sends.
var form = regexp.MustCompile(`^\S+ - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "\S+ \S+" \d+ \d+\.\d{3} \d+ \d+ "[^"\n]*" "[^"\n]*" \S+ \S+ \S+ \S+\n$`)

func TestLines(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 44, 22, 0, time.UTC)
	for _, tc := range []struct {
		name  string
		entry accesslog.Entry
		want  string
	}{
		{"all there is", accesslog.Entry{
			Bucket: "bucket", Address: "2001:db8::1", Time: at, Duration: 1234 * time.Millisecond, Method: "PUT", Path: "/bucket/a%20b", Query: "part_number=1",
			Status: 201, Received: 10, Sent: 20, UserAgent: "curl/8 (x; y)", Referer: "https://example.org/page?x=y", Action: "put_object", User: "alice", RequestID: "id",
		}, `2001:db8::1 - [22/Nov/2026:06:44:22 +0000] "PUT /bucket/a%20b?part_number=1" 201 1.234 10 20 "curl/8 (x; y)" "https://example.org/page?x=y" bucket put_object alice id` + "\n"},
		{"nothing", accesslog.Entry{Time: at}, `- - [22/Nov/2026:06:44:22 +0000] "- -" 0 0.000 0 0 "-" "-" - - - -` + "\n"},
		{"credentials", accesslog.Entry{
			Time: at, Method: "GET", Path: "/b/k", Query: "access_key_id=ABC&expires=1&Signature=x%3D&signatur%65=y&image", Referer: "http://a/?signature=z",
		}, `- - [22/Nov/2026:06:44:22 +0000] "GET /b/k?access_key_id=***&expires=1&Signature=***&signatur%65=***&image" 0 0.000 0 0 "-" "http://a/?signature=***" - - - -` + "\n"},
		{"injection", accesslog.Entry{
			Time: at, Method: "GET", Path: "/b/\"k \n", UserAgent: "a\"b\\\r\n1.2.3.4 - [", Referer: "\x1b[31m\u0085\u2028é\xff", User: "a b",
		}, `- - [22/Nov/2026:06:44:22 +0000] "GET /b/\x22k\x20\x0A" 0 0.000 0 0 "a\x22b\x5C\x0D\x0A1.2.3.4 - [" "\x1B[31m\xC2\x85\xE2\x80\xA8é\xFF" - - a\x20b -` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := accesslog.Line(tc.entry)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
			if !form.MatchString(got) {
				t.Errorf("the line has not the form of all lines: %q", got)
			}
		})
	}
}

func FuzzLine(f *testing.F) {
	f.Add("GET", "/bucket/key", "signature=x&a=b", "agent", "http://example.org/?signature=y", "user")
	f.Add("\n", "\"", "%73ignature=SECRET", "\xff\"", "\\", " ")
	f.Fuzz(func(t *testing.T, method, path, query, agent, referer, user string) {
		got := accesslog.Line(accesslog.Entry{Method: method, Path: path, Query: query, UserAgent: agent, Referer: referer, User: user})
		if !form.MatchString(got) {
			t.Errorf("the line has not the form of all lines: %q", got)
		}
	})
}
