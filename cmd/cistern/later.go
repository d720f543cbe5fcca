package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/cisternhq/cistern/request"
)

const (
	// maxLater is how often in a row a request that is answered "later" is sent again.
	maxLater = 3
	// maxWait is the longest Retry-After that is waited for. Whoever is told more decides for himself.
	maxWait = time.Minute
)

// sendPatiently sends r, again after a while where the server says when: it does while its fills are too many, or a source is
// busy. The body of r, if it has one, must be able to seek.
func sendPatiently(ctx context.Context, r *request.Request) error {
	for try := 0; ; try++ {
		err := r.SendWithContext(ctx)
		if err == nil || try == maxLater {
			return err
		}
		wait := retryAfter(r.HTTPResponse)
		if wait <= 0 || wait > maxWait {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// retryAfter is how long an answer that says "later" wants its reader to wait; 0: it does not say so. Only the form in seconds is read: it is what
// Cistern sends.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
