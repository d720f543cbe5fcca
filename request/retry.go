package request

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long to wait before a request is sent again, where the server does not say: 0.2 s, doubled each time, less a random part of up to half of
// it, so that clients which were refused together do not come back together.
const (
	firstWait      = 200 * time.Millisecond
	defaultMaxWait = 10 * time.Second // where the configuration says nothing
	returnPatience = 5 * time.Second  // how long a transport may keep the body of a request that is over
)

// again reports whether the request may be sent once more, and after which time. attempt counts from 0.
//
// Only a server that says that it did nothing is asked again: 429 Too Many Requests, or 503 Service Unavailable. One that answers nothing may have done
// everything.
func (r *Request) again(ctx context.Context, attempt int) (wait time.Duration, ok bool) {
	c, resp := r.config(), r.HTTPResponse
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	if attempt >= c.MaxRetries || r.spent || !r.repeatable() {
		return 0, false
	}
	limit := c.MaxRetryWait
	if limit <= 0 {
		limit = defaultMaxWait
	}
	wait = backoff(attempt, limit)
	if said, ok := retryAfter(resp.Header, time.Now()); ok {
		if said > limit {
			return 0, false // the caller hears at once that it will take long
		}
		wait = max(said, wait)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return 0, false
	}
	return wait, true
}

// repeatable reports whether the request may arrive twice without harm: a server behind a proxy may have done what the proxy says was not done.
// Then a second append would add the bytes again, a second move find no source, a second initiation leave an upload behind, a second completion
// find no upload, and the second making or deletion of a bucket fail because of the first.
func (r *Request) repeatable() bool {
	switch r.HTTPRequest.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	case http.MethodPut:
		return r.Operation.APIName != "PUT Bucket" && r.HTTPRequest.Header.Get("X-QS-Move-Source") == ""
	case http.MethodDelete:
		return r.Operation.APIName != "DELETE Bucket"
	}
	return r.Operation.APIName == "Delete Multiple Objects"
}

func backoff(attempt int, limit time.Duration) time.Duration {
	wait := limit
	if attempt < 16 {
		wait = min(limit, firstWait<<attempt)
	}
	return wait - rand.N(wait/2+1)
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3): seconds, or a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return max(t.Sub(now), 0), true
}

type onRetry struct{}

// OnRetry returns ctx with f, which is told of each request within it that will be sent again: why, and after which time. f must be safe for
// concurrent use if ctx is.
func OnRetry(ctx context.Context, f func(err error, wait time.Duration)) context.Context {
	return context.WithValue(ctx, onRetry{}, f)
}

// pause waits, unless ctx is over before. last is why there is something to wait for.
func pause(ctx context.Context, wait time.Duration, last error) error {
	if tell, ok := ctx.Value(onRetry{}).(func(error, time.Duration)); ok {
		tell(last, wait)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return sdkError("wait before sending again", fmt.Errorf("%w; the last answer was: %w", ctx.Err(), last))
	}
}

// loans are the readers of one body that the transport holds. It may read on after the answer is there, until it closes what it was given, so that
// neither may the body be sought to send it again, nor may the caller use what it reads from for something else.
type loans struct {
	mu   sync.Mutex // guards what follows
	open int
	idle chan struct{} // closed when open comes back to 0; nil if nobody waits
}

// lend returns body as something that is given back by closing it. The body itself is not closed: it is the caller's.
func (l *loans) lend(body io.Reader) io.ReadCloser {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	return &loan{Reader: body, from: l}
}

type loan struct {
	io.Reader
	from *loans
	once sync.Once
}

func (b *loan) Close() error {
	b.once.Do(func() {
		b.from.mu.Lock()
		defer b.from.mu.Unlock()
		if b.from.open--; b.from.open == 0 && b.from.idle != nil {
			close(b.from.idle)
			b.from.idle = nil
		}
	})
	return nil
}

// wait waits until everything is given back; false if that takes a transport more than its time.
func (l *loans) wait() bool {
	l.mu.Lock()
	if l.open == 0 {
		l.mu.Unlock()
		return true
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	l.mu.Unlock()
	t := time.NewTimer(returnPatience)
	defer t.Stop()
	select {
	case <-idle:
		return true
	case <-t.C:
		return false
	}
}
