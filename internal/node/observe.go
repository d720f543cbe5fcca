package node

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/accesslog"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/qsapi"
	"github.com/cisternhq/cistern/internal/telemetry"
)

// answered counts a request. Its log line is the API's.
func (n *Node) answered(r qsapi.Report) {
	o, ok := n.operations[r.Operation]
	if !ok {
		o = n.metrics.Operation(r.Operation)
	}
	cache := telemetry.NoCache
	switch r.Cache {
	case qsapi.Hit:
		cache = telemetry.Hit
	case qsapi.Miss:
		cache = telemetry.Miss
	}
	o.Observe(telemetry.Request{
		Status: r.Status, Received: r.Received, Sent: r.Sent, FirstByte: r.FirstByte, Duration: r.Duration, Cache: cache,
	})
	if n.accessLog.Wants(r.Bucket) {
		n.accessLog.Add(entry(r))
	}
}

// entry is a request as its bucket's owner sees it in the access log.
func entry(r qsapi.Report) accesslog.Entry {
	e := accesslog.Entry{
		Bucket: r.Bucket, Address: r.Request.RemoteAddr, Time: r.Began, Duration: r.Duration, Method: r.Request.Method, Path: r.Request.URL.EscapedPath(),
		Query: r.Request.URL.RawQuery, Status: r.Status, Received: r.Received, Sent: r.Sent, UserAgent: r.Request.UserAgent(), Referer: r.Request.Referer(),
		Action: action(r.Operation), User: r.User, RequestID: r.ID,
	}
	if host, _, err := net.SplitHostPort(e.Address); err == nil {
		e.Address = host
	}
	return e
}

// action is the title of an operation's page as one word, such as get_object.
func action(title string) string {
	if title == "none" {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ':
			return '_'
		case '(', ')':
			return -1
		}
		return r
	}, strings.ToLower(title))
}

// filled counts an ended flight and writes its line.
func (n *Node) filled(r fill.Report) {
	n.metrics.Fill(telemetry.Fill{Outcome: string(r.Outcome), FirstByte: r.FirstByte, Duration: r.Duration})
	level := slog.LevelInfo
	switch r.Outcome {
	case fill.Failed, fill.Mismatched, fill.Throttled, fill.Aborted:
		level = slog.LevelWarn
	case fill.Unstored:
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("bucket", r.Bucket),
		slog.String("key", r.Key),
		slog.String("outcome", string(r.Outcome)),
		slog.String("source", r.Source),
		slog.String("url", r.URL),
		slog.Int64("attempts", r.Attempts),
		slog.Int("connections", r.Connections),
		slog.Int64("received", r.Bytes),
		slog.Int64("size", r.Size),
		slog.Duration("first_byte", r.FirstByte),
		slog.Duration("duration", r.Duration),
		slog.Int64("readers", r.Readers),
	}
	if r.Err != nil {
		name := "error"
		if level == slog.LevelInfo {
			name = "reason" // nothing went wrong: the source has none, or a client was faster
		}
		attrs = append(attrs, slog.String(name, r.Err.Error()))
	}
	n.log.LogAttrs(context.Background(), level, "fill", attrs...)
}

// breaker says that a source is left alone, or asked again.
func (n *Node) breaker(source, state string) {
	n.log.Warn("circuit breaker", "source", source, "state", state)
}

// snapshot is what the metrics show of the fills and of what the server does by itself.
func (n *Node) snapshot() telemetry.Snapshot {
	s := n.filler.Stats()
	breakers := make([]telemetry.Breaker, len(s.Breakers))
	for i, b := range s.Breakers {
		breakers[i] = telemetry.Breaker(b)
	}
	aged, told, repeated := n.lifecycle.Stats(), n.notifier.Stats(), n.replicator.Stats()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	untold, _ := n.notifier.Pending(ctx) // a store that cannot be read shows elsewhere
	unrepeated, _ := n.replicator.Pending(ctx)
	written := n.accessLog.Stats()
	return telemetry.Snapshot{
		LifecycleRuns: aged.Runs, Expired: aged.Expired, Transitioned: aged.Transitioned, Aborted: aged.Aborted, LifecycleFailed: aged.Failed,
		LastLifecycle: aged.LastRun,
		Delivered:     told.Delivered, DeliveryFailed: told.Failed, DeliveryExpired: told.Expired, EventsLost: told.Lost, Untold: untold,
		LogLines: written.Lines, LogLost: written.Lost, LogsDelivered: written.Delivered, LogPending: written.Pending,
		Replicated: repeated.Copied, ReplicaDeleted: repeated.Deleted, ReplicationFailed: repeated.Failed, ReplicationExpired: repeated.Expired,
		ReplicationLost: repeated.Lost, Unrepeated: unrepeated,
		Breakers: breakers, NotClosed: int64(s.NotClosed),
		Started: s.Started, Completed: s.Completed, Absent: s.Absent, Failed: s.Failed, Coalesced: s.Coalesced,
		Mismatched: s.Mismatched, Unstored: s.Unstored, Throttled: s.Throttled,
		OriginBytes: s.OriginBytes, OriginRequests: s.OriginRequests,
		InFlight: int64(s.InFlight), Queued: int64(s.Queued), Connections: int64(s.Connections),
	}
}
