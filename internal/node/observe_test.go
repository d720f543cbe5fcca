package node_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/node"
)

// Each fill ends as one of completed, absent and failed, in the metrics as in the log; a source that has no such object is no failure.
func TestFillsAddUp(t *testing.T) {
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			switch {
			case !ok:
				return
			case strings.HasSuffix(r.Target, "good"):
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
			case strings.HasSuffix(r.Target, "corrupt"):
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nhello")
			case strings.HasSuffix(r.Target, "secret"):
				c.Send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
			default:
				c.Send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	ended := make(chan fill.Report, 1)
	s := cisterntest.Start(t, cisterntest.With(func(n *node.Options) {
		n.Fill.OnReport = func(r fill.Report) { ended <- r }
	}))
	at := s.Mirror("demo", o.URL())
	for _, key := range []string{"good", "none", "gone", "secret", "corrupt"} {
		r, err := newClient(t).Get(at + key)
		if err == nil {
			_ = r.Body.Close()
		}
		<-ended
	}
	_, text := do(t, keys.Key{}, "GET", s.URL+"/-/metrics", "", "")
	for _, line := range []string{
		"cistern_fills_started_total 5", "cistern_fills_completed_total 1", "cistern_fills_absent_total 2", "cistern_fills_failed_total 2",
		"cistern_fills_mismatched_total 1", "cistern_fills_throttled_total 0", "cistern_fills_unstored_total 0", "cistern_fills_in_flight 0",
		`cistern_fill_outcomes_total{outcome="absent"} 2`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics have no line %q", line)
		}
	}
	levels := map[string]string{}
	for line := range strings.Lines(s.Log()) {
		if _, rest, ok := strings.Cut(line, "level="); ok && strings.Contains(line, " msg=fill ") {
			level, rest, _ := strings.Cut(rest, " ")
			_, rest, _ = strings.Cut(rest, "key=")
			key, rest, _ := strings.Cut(rest, " ")
			word := ""
			for _, w := range []string{" error=", " reason="} {
				if strings.Contains(rest, w) {
					word += w
				}
			}
			levels[key] = level + word
		}
	}
	for key, want := range map[string]string{
		"good": "INFO", "none": "INFO reason=", "gone": "INFO reason=", "secret": "WARN error=", "corrupt": "WARN error=",
	} {
		if levels[key] != want {
			t.Errorf("the line of the fill of %q has %q, want %q", key, levels[key], want)
		}
	}
}

// A source that is left alone is named in the metrics and in the error, until it answers again.
func TestBreakerIsSeen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close() // nobody listens there
	s := cisterntest.Start(t, cisterntest.With(func(n *node.Options) {
		n.Fill.BreakerFailures, n.Fill.Retries = 2, -1
	}))
	at := s.Mirror("demo", "http://"+addr)
	for i, want := range []string{"could not be asked", "could not be asked", "left alone"} {
		status, text := do(t, keys.Key{}, "GET", fmt.Sprint(at, i), "", "")
		if status != 503 || !strings.Contains(text, want) {
			t.Errorf("GET %d = %d %s, want 503 and %q", i, status, text, want)
		}
	}
	_, text := do(t, keys.Key{}, "GET", s.URL+"/-/metrics", "", "")
	for _, line := range []string{`cistern_breaker_state{source="http://` + addr + `"} 2`, "cistern_breakers_not_closed 1"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics have no line %q", line)
		}
	}
}

// The list of fills has what the operator asks first: how far, how fast, for whom.
func TestFillsAreListed(t *testing.T) {
	gate := cisterntest.NewGate()
	o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
		if _, ok := c.ReadHead(); ok {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")
			c.Wait(gate)
			c.Send(strings.Repeat("x", 90))
		}
	})
	s := cisterntest.Start(t)
	at := s.Mirror("demo", o.URL())
	resp, err := newClient(t).Get(at + "dir/a%20b")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	var list []struct {
		fill.Progress
		Age float64 `json:"age"`
	}
	status, text := do(t, s.Operator, "GET", s.URL+"/-/fills", "", "")
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != 200 || len(list) != 1 {
		t.Fatalf("GET /-/fills = %d %s (%v), want one fill", status, text, err)
	}
	f := list[0]
	if f.Bucket != "demo" || f.Key != "dir/a b" || f.URL != o.URL()+"/dir/a%20b" || f.Size != 100 || f.Arrived != 10 ||
		f.Connections != 1 || f.Readers != 1 || f.Attempts != 1 || f.Started.IsZero() || f.Age < 0 {
		t.Errorf("GET /-/fills = %s", text)
	}
	gate.Release()
}
