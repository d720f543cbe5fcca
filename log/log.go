// Package log passes a logger to the SDK in a context, as programs written for QingStor's SDK do.
//
// The SDK has little to say: errors are returned to the caller, who knows what they mean. What it does by itself, sending a request again, it tells the
// context's logger.
package log

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/cisternhq/cistern/request"
)

type key struct{}

// ContextWithLogger returns ctx with l as its logger: calls of the SDK within it tell l at level warn of each request that they send again. A nil ctx means
// context.Background, a nil l changes nothing.
func ContextWithLogger(ctx context.Context, l *zap.Logger) context.Context {
	if ctx == nil {
		ctx = context.Background()
	}
	if l == nil {
		return ctx
	}
	ctx = request.OnRetry(ctx, func(err error, wait time.Duration) {
		l.Warn("send the request again", zap.Error(err), zap.Duration("after", wait))
	})
	return context.WithValue(ctx, key{}, l)
}

// FromContext returns the logger of ctx, or one of zap's for production that writes warnings and worse to standard error. ctx may be nil.
func FromContext(ctx context.Context) *zap.Logger {
	if ctx != nil {
		if l, ok := ctx.Value(key{}).(*zap.Logger); ok {
			return l
		}
	}
	return fallback()
}

var fallback = sync.OnceValue(func() *zap.Logger {
	l, err := zap.NewProduction(zap.IncreaseLevel(zapcore.WarnLevel))
	if err != nil {
		return zap.NewNop() // standard error is not there
	}
	return l
})
