package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// body is a response body that ends with an error when the source stalls, drips or breaks off.
type body struct {
	rc     io.ReadCloser
	cancel context.CancelCauseFunc
	idle   time.Duration
	timer  *time.Timer

	minRate int64         // bytes a second, 0: any
	window  time.Duration // over which minRate is judged
	waited  time.Duration // spent in Read in this window: only the source's time counts, not ours
	got     int64         // bytes in this window
}

var errIdle = errors.New("source sends nothing")

func newBody(rc io.ReadCloser, cancel context.CancelCauseFunc, o Options) *body {
	b := &body{rc: rc, cancel: cancel, idle: o.IdleTimeout, minRate: o.MinRate, window: o.MinRateWindow}
	b.timer = time.AfterFunc(b.idle, func() { cancel(errIdle) })
	b.timer.Stop()
	return b
}

func (b *body) Read(p []byte) (int, error) {
	begin := time.Now()
	b.timer.Reset(b.idle)
	n, err := b.rc.Read(p)
	stalled := !b.timer.Stop()
	b.waited += time.Since(begin)
	b.got += int64(n)
	switch {
	case err == io.EOF:
		return n, err
	case err != nil && stalled:
		return n, object.Explain(object.ErrSourceDown, "the source sent nothing for %v", b.idle)
	case err != nil:
		return n, &object.Explained{Kind: object.ErrSourceDown, Text: "the source broke off", Cause: err}
	}
	if b.minRate > 0 && b.waited >= b.window {
		if float64(b.got) < float64(b.minRate)*b.waited.Seconds() {
			b.cancel(errIdle)
			return n, object.Explain(object.ErrSourceDown, "the source sent less than %d bytes/s", b.minRate)
		}
		b.waited, b.got = 0, 0
	}
	return n, nil
}

func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(context.Canceled)
	if err := b.rc.Close(); err != nil {
		return fmt.Errorf("close body: %w", err)
	}
	return nil
}
