package log_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/log"
	"github.com/cisternhq/cistern/service"
)

type busyOnce struct{ asked int }

func (b *busyOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	b.asked++
	status := 503
	if b.asked > 1 {
		status = 200
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"1"}}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// What the SDK does by itself stands in the log of the context.
func TestRetriesAreLogged(t *testing.T) {
	t.Setenv(config.EnvEndpoint, "http://127.0.0.1:9")
	c, err := config.New("id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c.Connection = &http.Client{Transport: &busyOnce{}}
		s, _ := service.Init(c)
		b, _ := s.Bucket("mybucket", "")
		core, logs := observer.New(zapcore.DebugLevel)
		ctx := log.ContextWithLogger(t.Context(), zap.New(core))
		if _, err := b.HeadWithContext(ctx); err != nil {
			t.Fatal(err)
		}
		all := logs.All()
		if len(all) != 1 || all[0].Level != zapcore.WarnLevel || all[0].Message != "send the request again" || all[0].ContextMap()["after"] == nil {
			t.Errorf("log = %v, want one warning that the request is sent again", all)
		}
	})
}

func TestContext(t *testing.T) {
	l := zap.NewNop()
	//lint:ignore SA1012 a nil context is allowed here
	if got := log.FromContext(log.ContextWithLogger(nil, l)); got != l {
		t.Error("FromContext is not the logger that was put there")
	}
	ctx := context.Background()
	if log.ContextWithLogger(ctx, nil) != ctx {
		t.Error("a nil logger changes the context")
	}
	//lint:ignore SA1012 a nil context is allowed here
	d := log.FromContext(nil)
	if d != log.FromContext(ctx) || d.Core().Enabled(zapcore.InfoLevel) || !d.Core().Enabled(zapcore.WarnLevel) {
		t.Error("without a logger FromContext is not one for warnings and worse, the same each time")
	}
}
