// Package telemetry tells operators what a server does: its log, its Prometheus metrics.
//
// It holds no global state: each server has its own registry. It knows nothing of buckets, keys or clients, and nothing that a
// client or a source can choose ever becomes the value of a label, but for the names of the few sources that are in trouble now. The
// other packages do not know it; they give numbers when asked, or call a function that they were given.
package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// requestBuckets and fillBuckets are the upper bounds of the histograms, in seconds. They go on for hours, because a download over
// a slow line and a fill of a huge object do, and a histogram that ends early makes them all look alike.
var (
	requestBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600}
	fillBuckets    = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600}
	byteBuckets    = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
)

// Metrics are the numbers of one server. It is safe for concurrent use.
type Metrics struct {
	reg *prometheus.Registry

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	firstByte prometheus.Histogram
	hits      prometheus.Counter
	misses    prometheus.Counter
	received  prometheus.Counter
	sent      prometheus.Counter
	running   prometheus.Gauge

	fills         *prometheus.CounterVec
	fillDurations *prometheus.HistogramVec
	fillFirstByte prometheus.Histogram

	operations sync.Map // name to *Operation
}

// New returns the metrics of a server of this version.
func New(version string) *Metrics {
	m := &Metrics{
		reg: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cistern_requests_total", Help: "Requests answered, by operation and status code.",
		}, []string{"operation", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cistern_request_duration_seconds", Help: "Time from a request's head to the last byte of its answer.", Buckets: requestBuckets,
		}, []string{"operation"}),
		firstByte: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "cistern_request_first_byte_seconds", Help: "Time from a request's head to the first byte of its answer.", Buckets: byteBuckets,
		}),
		hits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cistern_hits_total", Help: "Reads of objects that were in the store.",
		}),
		misses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cistern_misses_total", Help: "Reads of objects that were not in the store, so that a source was asked or nothing found.",
		}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cistern_client_received_bytes_total", Help: "Bytes of request bodies received from clients.",
		}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cistern_client_sent_bytes_total", Help: "Bytes of answers' bodies sent to clients.",
		}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cistern_requests_in_flight", Help: "Requests being answered now.",
		}),
		fills: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cistern_fill_outcomes_total", Help: "Ended fills, by outcome.",
		}, []string{"outcome"}),
		fillDurations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cistern_fill_duration_seconds", Help: "Time that fills took, by outcome.", Buckets: fillBuckets,
		}, []string{"outcome"}),
		fillFirstByte: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "cistern_fill_first_byte_seconds", Help: "Time that sources took to the first byte of a fill.", Buckets: byteBuckets,
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "cistern_build_info", Help: "1, with the version as a label.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.reg.MustRegister(
		m.requests, m.durations, m.firstByte, m.hits, m.misses, m.received, m.sent, m.running,
		m.fills, m.fillDurations, m.fillFirstByte, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler serves the metrics to a scraper.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{Registry: m.reg})
}

// Begin counts a request that is being answered; End must follow.
func (m *Metrics) Begin() { m.running.Inc() }

// End counts a request that was answered.
func (m *Metrics) End() { m.running.Dec() }

// Request is what one answered request did.
type Request struct {
	Status         int   // the status code sent
	Received, Sent int64 // bytes of the two bodies
	FirstByte      time.Duration
	Duration       time.Duration
	Cache          Cache
}

// Cache says how a read of an object was served.
type Cache int

// NoCache is for requests that are not reads of an object.
const (
	NoCache Cache = iota
	Hit
	Miss
)

// Operation counts the requests of one operation. Its handles are looked up once for each status code, so that a request costs no
// look-up and no allocation.
type Operation struct {
	m        *Metrics
	name     string
	duration prometheus.Observer
	codes    [600]atomic.Pointer[prometheus.Counter] // by status code; 0 for what is none
}

// Operation returns the counters of the operation of this name. The name must come from the program, never from a request.
func (m *Metrics) Operation(name string) *Operation {
	if o, ok := m.operations.Load(name); ok {
		return o.(*Operation)
	}
	o, _ := m.operations.LoadOrStore(name, &Operation{m: m, name: name, duration: m.durations.WithLabelValues(name)})
	return o.(*Operation)
}

// Observe counts one request.
func (o *Operation) Observe(r Request) {
	code := r.Status
	if code < 100 || code >= len(o.codes) {
		code = 0
	}
	c := o.codes[code].Load()
	if c == nil {
		label := "none"
		if code != 0 {
			label = strconv.Itoa(code)
		}
		made := o.m.requests.WithLabelValues(o.name, label) // the same one whoever asks first
		c = &made
		o.codes[code].Store(c)
	}
	(*c).Inc()
	o.duration.Observe(r.Duration.Seconds())
	switch r.Cache {
	case Hit:
		o.m.hits.Inc()
	case Miss:
		o.m.misses.Inc()
	}
	if r.Cache != NoCache && r.FirstByte > 0 {
		o.m.firstByte.Observe(r.FirstByte.Seconds())
	}
	if r.Received > 0 {
		o.m.received.Add(float64(r.Received))
	}
	if r.Sent > 0 {
		o.m.sent.Add(float64(r.Sent))
	}
}

// Fill is what one ended fill did.
type Fill struct {
	Outcome   string // one of a fixed set of words
	FirstByte time.Duration
	Duration  time.Duration
}

// Fill counts one ended fill.
func (m *Metrics) Fill(f Fill) {
	m.fills.WithLabelValues(f.Outcome).Inc()
	m.fillDurations.WithLabelValues(f.Outcome).Observe(f.Duration.Seconds())
	if f.FirstByte > 0 {
		m.fillFirstByte.Observe(f.FirstByte.Seconds())
	}
}
