package telemetry_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/telemetry"
)

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/-/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape = %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(text, "\n"+l+"\n") {
			t.Errorf("the scrape has no line %q", l)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	m := telemetry.New("1.2.3")
	get := m.Operation("GET Object")
	get.Observe(telemetry.Request{Status: 200, Sent: 10, Duration: time.Second, FirstByte: time.Millisecond, Cache: telemetry.Hit})
	get.Observe(telemetry.Request{Status: 200, Sent: 5, Duration: 3 * time.Hour, Cache: telemetry.Miss})
	get.Observe(telemetry.Request{Status: 404, Duration: time.Millisecond, Cache: telemetry.Miss})
	m.Operation("PUT Object").Observe(telemetry.Request{Status: 201, Received: 7})
	m.Operation("PUT Object").Observe(telemetry.Request{Status: 7000})
	m.Begin()
	text := scrape(t, m)
	want(t, text,
		`cistern_requests_total{code="200",operation="GET Object"} 2`,
		`cistern_requests_total{code="404",operation="GET Object"} 1`,
		`cistern_requests_total{code="201",operation="PUT Object"} 1`,
		`cistern_requests_total{code="none",operation="PUT Object"} 1`,
		`cistern_hits_total 1`,
		`cistern_misses_total 2`,
		`cistern_client_sent_bytes_total 15`,
		`cistern_client_received_bytes_total 7`,
		`cistern_requests_in_flight 1`,
		`cistern_request_duration_seconds_bucket{operation="GET Object",le="3600"} 2`,
		`cistern_request_duration_seconds_bucket{operation="GET Object",le="14400"} 3`,
	)
	if !strings.Contains(text, `version="1.2.3"`) {
		t.Error("the scrape does not name the version")
	}
	m.End()
	want(t, scrape(t, m), `cistern_requests_in_flight 0`)
}

func TestFillsAreCounted(t *testing.T) {
	m := telemetry.New("")
	var s telemetry.Snapshot
	m.Watch(func() telemetry.Snapshot { return s })
	m.Fill(telemetry.Fill{Outcome: "stored", FirstByte: time.Millisecond, Duration: 2 * time.Hour})
	m.Fill(telemetry.Fill{Outcome: "failed", Duration: time.Second})
	s = telemetry.Snapshot{Started: 7, Completed: 1, Absent: 1, Failed: 2, Mismatched: 1, Throttled: 2, Coalesced: 99, OriginBytes: 1 << 40, OriginRequests: 5, Unstored: 1, Queued: 4, InFlight: 3}
	want(t, scrape(t, m),
		`cistern_fill_outcomes_total{outcome="stored"} 1`,
		`cistern_fill_outcomes_total{outcome="failed"} 1`,
		`cistern_fill_duration_seconds_bucket{outcome="stored",le="3600"} 0`,
		`cistern_fill_duration_seconds_bucket{outcome="stored",le="7200"} 1`,
		`cistern_origin_requests_total 5`,
		`cistern_fills_started_total 7`,
		`cistern_fills_completed_total 1`,
		`cistern_fills_failed_total 2`,
		`cistern_fills_absent_total 1`,
		`cistern_fills_mismatched_total 1`,
		`cistern_fills_throttled_total 2`,
		`cistern_breakers_not_closed 0`,
		`cistern_fills_coalesced_total 99`,
		`cistern_origin_received_bytes_total 1.099511627776e+12`,
		`cistern_fills_in_flight 3`,
		`cistern_fills_queued 4`,
		`cistern_fills_unstored_total 1`,
	)
}

// Sources are named only while they are in trouble, and never more than a hundred of them.
func TestBreakersAreBounded(t *testing.T) {
	m := telemetry.New("")
	var s telemetry.Snapshot
	m.Watch(func() telemetry.Snapshot { return s })
	if text := scrape(t, m); strings.Contains(text, "cistern_breaker_state{") {
		t.Error("the scrape names a source though none is in trouble")
	}
	s.Breakers = []telemetry.Breaker{{Source: "http://a.example"}, {Source: "http://[::1]:8080", HalfOpen: true}}
	s.NotClosed = 2
	want(t, scrape(t, m),
		`cistern_breaker_state{source="http://a.example"} 2`,
		`cistern_breaker_state{source="http://[::1]:8080"} 1`,
		`cistern_breakers_not_closed 2`,
	)
	for i := range 500 {
		s.Breakers = append(s.Breakers, telemetry.Breaker{Source: fmt.Sprintf("http://%d.example", i)})
	}
	s.NotClosed = 502
	text := scrape(t, m)
	want(t, text, `cistern_breakers_not_closed 502`)
	if n := strings.Count(text, "\ncistern_breaker_state{"); n != 100 {
		t.Errorf("%d sources are named, want 100", n)
	}
}

// Two servers in one process must not see each other's numbers.
func TestServersAreApart(t *testing.T) {
	a, b := telemetry.New(""), telemetry.New("")
	a.Operation("GET Object").Observe(telemetry.Request{Status: 200, Cache: telemetry.Hit})
	want(t, scrape(t, a), "cistern_hits_total 1")
	want(t, scrape(t, b), "cistern_hits_total 0")
}

func TestNamesCarryTheirUnit(t *testing.T) {
	m := telemetry.New("")
	m.Watch(func() telemetry.Snapshot { return telemetry.Snapshot{} })
	m.Operation("x").Observe(telemetry.Request{Status: 200})
	m.Fill(telemetry.Fill{Outcome: "stored"})
	types := regexp.MustCompile(`(?m)^# TYPE (cistern_\S+) (\S+)$`).FindAllStringSubmatch(scrape(t, m), -1)
	if len(types) < 15 {
		t.Fatalf("the scrape has %d metrics of ours, want at least 15", len(types))
	}
	for _, x := range types {
		name, kind := x[1], x[2]
		switch {
		case kind == "counter" && !strings.HasSuffix(name, "_total"),
			kind == "histogram" && !strings.HasSuffix(name, "_seconds"),
			kind == "gauge" && strings.HasSuffix(name, "_total"):
			t.Errorf("%s %s: the name does not say what it is", kind, name)
		}
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	o := telemetry.New("").Operation("GET Object")
	r := telemetry.Request{Status: 200, Sent: 10, Duration: time.Second, FirstByte: time.Millisecond, Cache: telemetry.Hit}
	o.Observe(r)
	if n := testing.AllocsPerRun(100, func() { o.Observe(r) }); n != 0 {
		t.Errorf("Observe allocates %v times, want 0", n)
	}
}

func TestLogger(t *testing.T) {
	for _, tt := range []struct{ format, level, want string }{
		{"", "", `{"time":`},
		{"json", "info", `{"time":`},
		{"text", "warn", `time=`},
	} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, tt.format, tt.level)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("hidden")
		log.Warn("shown")
		if got := out.String(); !strings.HasPrefix(got, tt.want) || !strings.Contains(got, "shown") || strings.Contains(got, "hidden") {
			t.Errorf("NewLogger(%q, %q) wrote %q, want it to begin with %q and to hold the warning only", tt.format, tt.level, got, tt.want)
		}
	}
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "json", "")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("x", "duration", 1500*time.Millisecond)
	if !strings.Contains(out.String(), `"duration":1.5}`) {
		t.Errorf("a duration in JSON: %s, want seconds", out.String())
	}
	for _, bad := range [][2]string{{"xml", ""}, {"", "loud"}} {
		if _, err := telemetry.NewLogger(&bytes.Buffer{}, bad[0], bad[1]); err == nil {
			t.Errorf("NewLogger(%q, %q) succeeded", bad[0], bad[1])
		}
	}
}
