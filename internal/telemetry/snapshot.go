package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Snapshot is what the fills of a server come to at one moment. The first ones only ever grow.
type Snapshot struct {
	Started, Completed, Absent, Failed, Coalesced int64
	Mismatched, Unstored, Throttled               int64 // fills, counted among the failed ones
	OriginBytes, OriginRequests                   int64 // bytes received from sources, requests sent to them

	InFlight, Queued, Connections int64 // now

	// Breakers are some of the sources whose breakers are not closed now; NotClosed is how many there are. The first maxBreakers
	// are shown by name.
	Breakers  []Breaker
	NotClosed int64

	// Of the runs of lifecycle rules: the objects that they deleted or moved to another storage class, the multipart uploads that they gave up, and
	// what failed. LastLifecycle is the end of the last run; zero while there was none.
	LifecycleRuns, Expired, Transitioned, Aborted, LifecycleFailed int64
	LastLifecycle                                                  time.Time

	// Of notifications: the events that were delivered, attempts that failed, events that were given up and that found their queue full, and
	// those that wait now.
	Delivered, DeliveryFailed, DeliveryExpired, EventsLost, Untold int64

	// Of replication between buckets: objects that were copied and deleted, attempts that failed, changes that were given up and that found their
	// queue full, and those that wait now.
	Replicated, ReplicaDeleted, ReplicationFailed, ReplicationExpired, ReplicationLost, Unrepeated int64

	// Of access logs: lines that were written and that were lost, objects that were delivered, and bytes that wait to be.
	LogLines, LogLost, LogsDelivered, LogPending int64
}

// Breaker is a source that is left alone (open), or whose next answer decides (half-open).
type Breaker struct {
	Source   string // scheme, host and port, in ASCII; no two are the same
	HalfOpen bool
}

// maxBreakers bounds the values of the one label that bucket owners choose.
const maxBreakers = 100

// Watch makes each scrape call read, which must be quick and safe for concurrent use. It is called once for a server:
// a second call panics.
func (m *Metrics) Watch(read func() Snapshot) {
	m.reg.MustRegister(&watcher{read: read, rows: []row{
		{desc("cistern_fills_started_total", "Fills begun."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Started }},
		{desc("cistern_fills_completed_total", "Fills whose object is in the store."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Completed }},
		{desc("cistern_fills_absent_total", "Fills that ended because the source has no such object."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Absent }},
		{desc("cistern_fills_failed_total", "Fills that ended without an object, though the source did not say that it has none."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Failed }},
		{desc("cistern_fills_coalesced_total", "Reads that joined a running fill."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Coalesced }},
		{desc("cistern_fills_mismatched_total", "Fills whose bytes were not what the source's digest says."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Mismatched }},
		{desc("cistern_fills_unstored_total", "Fills that reached their readers and could not be stored."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Unstored }},
		{desc("cistern_fills_throttled_total", "Fills refused because no connection was free."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Throttled }},
		{desc("cistern_origin_received_bytes_total", "Bytes of objects received from sources."), prometheus.CounterValue, func(s Snapshot) int64 { return s.OriginBytes }},
		{desc("cistern_origin_requests_total", "Requests sent to sources."), prometheus.CounterValue, func(s Snapshot) int64 { return s.OriginRequests }},
		{desc("cistern_breakers_not_closed", "Sources that are left alone, or on probation, because they failed."), prometheus.GaugeValue, func(s Snapshot) int64 { return s.NotClosed }},
		{desc("cistern_fills_in_flight", "Fills running now."), prometheus.GaugeValue, func(s Snapshot) int64 { return s.InFlight }},
		{desc("cistern_fills_queued", "Fills that wait for a connection now."), prometheus.GaugeValue, func(s Snapshot) int64 { return s.Queued }},
		{desc("cistern_origin_connections", "Connections to sources that fills use now."), prometheus.GaugeValue, func(s Snapshot) int64 { return s.Connections }},
		{desc("cistern_lifecycle_runs_total", "Runs of the lifecycle rules of all buckets."), prometheus.CounterValue, func(s Snapshot) int64 { return s.LifecycleRuns }},
		{desc("cistern_lifecycle_last_run_timestamp_seconds", "When the last of them ended; 0 if none did since the start."), prometheus.GaugeValue, func(s Snapshot) int64 { return unix(s.LastLifecycle) }},
		{desc("cistern_lifecycle_expired_total", "Objects deleted by lifecycle rules."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Expired }},
		{desc("cistern_lifecycle_transitioned_total", "Objects moved to another storage class by lifecycle rules."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Transitioned }},
		{desc("cistern_lifecycle_aborted_uploads_total", "Multipart uploads given up by lifecycle rules."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Aborted }},
		{desc("cistern_lifecycle_failures_total", "What lifecycle rules could not do; the next run tries again."), prometheus.CounterValue, func(s Snapshot) int64 { return s.LifecycleFailed }},
		{desc("cistern_notifications_delivered_total", "Events that a notification's address took."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Delivered }},
		{desc("cistern_notifications_failed_total", "Attempts to deliver an event that failed."), prometheus.CounterValue, func(s Snapshot) int64 { return s.DeliveryFailed }},
		{desc("cistern_notifications_expired_total", "Events given up because nobody took them in time."), prometheus.CounterValue, func(s Snapshot) int64 { return s.DeliveryExpired }},
		{desc("cistern_notifications_lost_total", "Events for which a notification's queue had no room."), prometheus.CounterValue, func(s Snapshot) int64 { return s.EventsLost }},
		{desc("cistern_notifications_pending", "Events that wait to be delivered now."), prometheus.GaugeValue, func(s Snapshot) int64 { return s.Untold }},
		{desc("cistern_replication_copied_total", "Objects copied to another bucket."), prometheus.CounterValue, func(s Snapshot) int64 { return s.Replicated }},
		{desc("cistern_replication_deleted_total", "Objects deleted in another bucket."), prometheus.CounterValue, func(s Snapshot) int64 { return s.ReplicaDeleted }},
		{desc("cistern_replication_failed_total", "Attempts to repeat a change in another bucket that failed."), prometheus.CounterValue, func(s Snapshot) int64 { return s.ReplicationFailed }},
		{desc("cistern_replication_expired_total", "Changes given up because they could not be repeated in time."), prometheus.CounterValue, func(s Snapshot) int64 { return s.ReplicationExpired }},
		{desc("cistern_replication_lost_total", "Changes for which a bucket's queue had no room; the bucket is compared as a whole then."), prometheus.CounterValue, func(s Snapshot) int64 { return s.ReplicationLost }},
		{desc("cistern_replication_pending", "Changes that wait to be repeated now."), prometheus.GaugeValue, func(s Snapshot) int64 { return s.Unrepeated }},
		{desc("cistern_access_log_lines_total", "Lines written to access logs of buckets."), prometheus.CounterValue, func(s Snapshot) int64 { return s.LogLines }},
		{desc("cistern_access_log_lost_lines_total", "Lines that there was no room for in an access log."), prometheus.CounterValue, func(s Snapshot) int64 { return s.LogLost }},
		{desc("cistern_access_logs_delivered_total", "Objects made of access logs."), prometheus.CounterValue, func(s Snapshot) int64 { return s.LogsDelivered }},
		{desc("cistern_access_log_pending_bytes", "Bytes of access logs that wait to become an object now."), prometheus.GaugeValue, func(s Snapshot) int64 { return s.LogPending }},
	}})
}

// breakerState has a source as its label, so it has rows only while sources are in trouble, and not more than maxBreakers.
var breakerState = prometheus.NewDesc("cistern_breaker_state",
	"2 for a source that is left alone (breaker open), 1 for one whose next answer decides (half-open). Other sources have no row; at most 100 are shown.",
	[]string{"source"}, nil)

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func desc(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

// watcher turns one snapshot into all of its rows, so that the numbers of one scrape belong together.
type watcher struct {
	read func() Snapshot
	rows []row
}

type row struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(Snapshot) int64
}

var _ prometheus.Collector = (*watcher)(nil)

func (w *watcher) Describe(to chan<- *prometheus.Desc) {
	for _, r := range w.rows {
		to <- r.desc
	}
	to <- breakerState
}

func (w *watcher) Collect(to chan<- prometheus.Metric) {
	s := w.read()
	for _, r := range w.rows {
		to <- prometheus.MustNewConstMetric(r.desc, r.kind, float64(r.of(s)))
	}
	for _, b := range s.Breakers[:min(len(s.Breakers), maxBreakers)] {
		state := 2.0
		if b.HalfOpen {
			state = 1
		}
		to <- prometheus.MustNewConstMetric(breakerState, prometheus.GaugeValue, state, b.Source)
	}
}
