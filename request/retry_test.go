package request_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/config"
	qserrors "github.com/cisternhq/cistern/request/errors"
	"github.com/cisternhq/cistern/service"
)

// answers is a transport that gives its answers in turn, the last one for ever, and notes when it was asked and what it was sent.
type answers struct {
	of     []reply
	times  []time.Duration
	bodies []string
	start  time.Time
}

type reply struct {
	status int
	after  string // Retry-After
	unread bool   // the answer comes before the body is read
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.times = append(a.times, time.Since(a.start))
	next := a.of[min(len(a.times), len(a.of))-1]
	body := ""
	if r.Body != nil {
		if !next.unread {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			body = string(b)
		}
		r.Body.Close()
	}
	a.bodies = append(a.bodies, body)
	h := http.Header{"Content-Type": {"application/json"}}
	if next.after != "" {
		h.Set("Retry-After", next.after)
	}
	return &http.Response{StatusCode: next.status, Header: h, Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"code":"answer_%d"}`, len(a.times)))), ContentLength: -1, Request: r}, nil
}

// bucketOf returns a bucket whose requests a answers.
func (a *answers) bucket(c *config.Config) *service.Bucket {
	a.start = time.Now()
	c.Connection = &http.Client{Transport: a}
	s, _ := service.Init(c)
	b, _ := s.Bucket("mybucket", "")
	return b
}

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }

// onlySeeker can seek, but not be read at an offset.
type onlySeeker struct{ io.ReadSeeker }

func TestRetry(t *testing.T) {
	busy, down, ok := reply{status: 429}, reply{status: 503}, reply{status: 200}
	date := reply{status: 503, after: "Sat, 01 Jan 2000 00:00:07 GMT"} // bubbles begin at midnight
	head := func(ctx context.Context, b *service.Bucket) error { _, err := b.HeadWithContext(ctx); return err }
	put := func(key string, in func() *service.PutObjectInput) func(context.Context, *service.Bucket) error {
		return func(ctx context.Context, b *service.Bucket) error {
			_, err := b.PutObjectWithContext(ctx, key, in())
			return err
		}
	}
	body := func(r io.Reader) func() *service.PutObjectInput {
		return func() *service.PutObjectInput { return &service.PutObjectInput{Body: r} }
	}
	const s = time.Second
	tests := []struct {
		name    string
		answers []reply
		call    func(context.Context, *service.Bucket) error
		retries int
		limit   time.Duration
		within  time.Duration
		// waits are the times between the requests at least; each is at most twice that where the SDK chooses.
		waits []time.Duration
		exact bool
		code  string // of the error; "" for success
	}{
		{name: "busy, then not", answers: []reply{busy, ok}, call: head, retries: 2, waits: []time.Duration{s / 10}},
		{name: "down for ever", answers: []reply{down}, call: head, retries: 2, waits: []time.Duration{s / 10, s / 5}, code: "answer_3"},
		{name: "the wait grows to its limit", answers: []reply{down}, call: head, retries: 5, limit: s / 2, waits: []time.Duration{s / 10, s / 5, s / 4, s / 4, s / 4}, code: "answer_6"},
		{name: "switched off", answers: []reply{down}, call: head, code: "answer_1"},
		{name: "Retry-After in seconds", answers: []reply{{status: 503, after: "3"}, ok}, call: head, retries: 2, waits: []time.Duration{3 * s}, exact: true},
		{name: "Retry-After as a date", answers: []reply{date, ok}, call: head, retries: 2, waits: []time.Duration{7 * s}, exact: true},
		{name: "Retry-After in the past", answers: []reply{{status: 503, after: "Fri, 31 Dec 1999 23:00:00 GMT"}, ok}, call: head, retries: 2, waits: []time.Duration{s / 10}},
		{name: "Retry-After 0", answers: []reply{{status: 429, after: "0"}, ok}, call: head, retries: 2, waits: []time.Duration{s / 10}},
		{name: "Retry-After that is none", answers: []reply{{status: 429, after: "soon"}, ok}, call: head, retries: 2, waits: []time.Duration{s / 10}},
		{name: "Retry-After beyond the limit", answers: []reply{{status: 503, after: "11"}}, call: head, retries: 2, code: "answer_1"},
		{name: "Retry-After beyond every limit", answers: []reply{{status: 503, after: "99999999999999999999"}, ok}, call: head, retries: 2, waits: []time.Duration{s / 10}},
		{name: "Retry-After beyond the deadline", answers: []reply{{status: 503, after: "3"}}, call: head, retries: 2, within: 2 * s, code: "answer_1"},
		{name: "another failure", answers: []reply{{status: 500}}, call: head, retries: 2, code: "answer_1"},
		{name: "a failure of what stands between", answers: []reply{{status: 502}}, call: head, retries: 2, code: "answer_1"},
		{name: "a body that can seek", answers: []reply{down, {status: 201}}, call: put("k", body(strings.NewReader("hello"))), retries: 2, waits: []time.Duration{s / 10}},
		{name: "a body that can only seek", answers: []reply{{status: 503, unread: true}, down, {status: 201}}, call: put("k", body(onlySeeker{strings.NewReader("hello")})), retries: 2, waits: []time.Duration{s / 10, s / 5}},
		{name: "a body that is gone once read", answers: []reply{down}, call: put("k", body(onlyReader{strings.NewReader("hello")})), retries: 2, code: "answer_1"},
		{name: "a buffer is gone once read", answers: []reply{down}, call: put("k", body(bytes.NewBufferString("hello"))), retries: 2, code: "answer_1"},
		{name: "copy", answers: []reply{down, {status: 201}}, call: put("k", func() *service.PutObjectInput { return &service.PutObjectInput{XQSCopySource: ptr("/b/k")} }), retries: 2, waits: []time.Duration{s / 10}},
		{name: "move", answers: []reply{down}, call: put("k", func() *service.PutObjectInput { return &service.PutObjectInput{XQSMoveSource: ptr("/b/k")} }), retries: 2, code: "answer_1"},
		{name: "append", answers: []reply{down}, call: func(ctx context.Context, b *service.Bucket) error {
			_, err := b.AppendObjectWithContext(ctx, "k", &service.AppendObjectInput{Position: ptr(int64(0)), Body: strings.NewReader("hello")})
			return err
		}, retries: 2, code: "answer_1"},
		{name: "initiate", answers: []reply{down}, call: func(ctx context.Context, b *service.Bucket) error {
			_, err := b.InitiateMultipartUploadWithContext(ctx, "k", nil)
			return err
		}, retries: 2, code: "answer_1"},
		{name: "complete", answers: []reply{down}, call: func(ctx context.Context, b *service.Bucket) error {
			_, err := b.CompleteMultipartUploadWithContext(ctx, "k", &service.CompleteMultipartUploadInput{UploadID: ptr("u"), ObjectParts: []*service.ObjectPartType{{PartNumber: ptr(0)}}})
			return err
		}, retries: 2, code: "answer_1"},
		{name: "batch delete", answers: []reply{busy, ok}, call: func(ctx context.Context, b *service.Bucket) error {
			_, err := b.DeleteMultipleObjectsWithContext(ctx, &service.DeleteMultipleObjectsInput{Objects: []*service.KeyType{{Key: ptr("a")}}})
			return err
		}, retries: 2, waits: []time.Duration{s / 10}},
		{name: "make a bucket", answers: []reply{busy}, call: func(ctx context.Context, b *service.Bucket) error { _, err := b.PutWithContext(ctx); return err }, retries: 2, code: "answer_1"},
		{name: "delete a bucket", answers: []reply{busy}, call: func(ctx context.Context, b *service.Bucket) error { _, err := b.DeleteWithContext(ctx); return err }, retries: 2, code: "answer_1"},
		{name: "delete an object", answers: []reply{busy, {status: 204}}, call: func(ctx context.Context, b *service.Bucket) error {
			_, err := b.DeleteObjectWithContext(ctx, "k")
			return err
		}, retries: 2, waits: []time.Duration{s / 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t)
			c.MaxRetries, c.MaxRetryWait = tt.retries, tt.limit
			synctest.Test(t, func(t *testing.T) {
				a := &answers{of: tt.answers}
				b := a.bucket(c)
				ctx := t.Context()
				if tt.within > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.within)
					defer cancel()
				}
				err := tt.call(ctx, b)
				var refused *qserrors.QingStorError
				if tt.code == "" && err != nil || tt.code != "" && (!errors.As(err, &refused) || refused.Code != tt.code && refused.Code != "") {
					t.Errorf("error = %v, want code %q", err, tt.code)
				}
				if len(a.times) != len(tt.waits)+1 {
					t.Fatalf("%d requests, want %d", len(a.times), len(tt.waits)+1)
				}
				for i, want := range tt.waits {
					if got := a.times[i+1] - a.times[i]; got < want || tt.exact && got != want || got > 2*want {
						t.Errorf("wait %d = %v, want %v to twice that (exact: %t)", i+1, got, want, tt.exact)
					}
				}
				for i, body := range a.bodies {
					if body != a.bodies[len(a.bodies)-1] && !tt.answers[min(i, len(tt.answers)-1)].unread {
						t.Errorf("bodies = %q, want the same each time", a.bodies)
					}
				}
			})
		})
	}
}

// Whoever goes away while the SDK waits hears of both: why it ended, and what the server said.
func TestRetryCancelled(t *testing.T) {
	c := testConfig(t)
	c.MaxRetries = 9
	synctest.Test(t, func(t *testing.T) {
		a := &answers{of: []reply{{status: 503, after: "9"}}}
		b := a.bucket(c)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			<-time.After(4 * time.Second)
			cancel()
		})
		_, err := b.HeadWithContext(ctx)
		var refused *qserrors.QingStorError
		if !errors.Is(err, context.Canceled) || !errors.As(err, &refused) || refused.StatusCode != 503 || len(a.times) != 1 {
			t.Errorf("Head = %v after %d requests, want context.Canceled and the server's 503 after one", err, len(a.times))
		}
		if got := time.Since(a.start); got != 4*time.Second {
			t.Errorf("Head returned after %v, want 4s: when it was cancelled", got)
		}
		wg.Wait()
	})
}

// slowTransport answers at once and goes on reading the body until it is told to stop, as net/http may.
type slowTransport struct {
	read chan struct{}
	wg   sync.WaitGroup
	seen []byte
}

func (s *slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	s.wg.Go(func() {
		<-s.read
		s.seen, _ = io.ReadAll(r.Body)
		r.Body.Close()
	})
	return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// A call returns when nobody reads its body any more: the caller may use the memory again.
func TestBodyIsGivenBack(t *testing.T) {
	c := testConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := &slowTransport{read: make(chan struct{})}
		c.Connection = &http.Client{Transport: s}
		c.MaxRetries = 0
		sv, _ := service.Init(c)
		b, _ := sv.Bucket("mybucket", "")
		buf := []byte("hello")
		returned := make(chan error, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := b.PutObject("k", &service.PutObjectInput{Body: bytes.NewReader(buf)})
			returned <- err
		})
		synctest.Wait()
		select {
		case err := <-returned:
			t.Fatalf("PutObject returned %v while its body was being read", err)
		default:
		}
		close(s.read)
		wg.Wait()
		copy(buf, "other") // the race detector would see a reader
		s.wg.Wait()
		if err := <-returned; err == nil || string(s.seen) != "hello" {
			t.Errorf("PutObject = %v, body read as %q; want the server's 503 and hello", err, s.seen)
		}
	})
}

// A transport that never gives the body back breaks net/http's rules; the call ends all the same, and is not repeated.
func TestBodyIsNeverGivenBack(t *testing.T) {
	c := testConfig(t)
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		c.Connection = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			requests++
			return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})}
		c.MaxRetries = 3
		s, _ := service.Init(c)
		b, _ := s.Bucket("mybucket", "")
		if _, err := b.PutObject("k", &service.PutObjectInput{Body: strings.NewReader("hello")}); err == nil || requests != 1 {
			t.Errorf("PutObject = %v after %d requests, want the server's 503 after one", err, requests)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
