package origin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cisternhq/cistern/bench/content"
)

func TestProfile(t *testing.T) {
	for _, p := range []Profile{{}, {Rate: 5, Delay: 20 * time.Millisecond, NoRanges: true}} {
		if got, err := ParseProfile(p.String()); err != nil || got != p {
			t.Errorf("ParseProfile(%q) = %+v, %v; want %+v", p.String(), got, err, p)
		}
	}
	if _, err := ParseProfile("plain-fast"); err == nil {
		t.Error(`ParseProfile("plain-fast") = nil error`)
	}
}

func TestRangesAreCounted(t *testing.T) {
	srv := httptest.NewServer(New())
	defer srv.Close()
	o := content.Named("a", 1000)
	for _, tt := range []struct {
		profile, header, ifRange string
		status                   int
		from, to                 int64
	}{
		{"plain", "", "", 200, 0, 1000},
		{"plain", "bytes=10-19", o.ETag(), 206, 10, 20},
		{"plain", "bytes=990-", "", 206, 990, 1000},
		{"plain", "bytes=-5", "", 206, 995, 1000},
		{"plain", "bytes=10-19", `"other"`, 200, 0, 1000},
		{"plain-noranges", "bytes=10-19", "", 200, 0, 1000},
		{"plain-rate100000", "bytes=100-399", "", 206, 100, 400},
	} {
		r, err := http.NewRequest("GET", srv.URL+"/"+tt.profile+"/"+o.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.header != "" {
			r.Header.Set("Range", tt.header)
		}
		if tt.ifRange != "" {
			r.Header.Set("If-Range", tt.ifRange)
		}
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || int64(len(body)) != tt.to-tt.from || o.Check(body, tt.from) != nil {
			t.Errorf("%s %q = %d, %d bytes, %v; want %d, bytes %d to %d", tt.profile, tt.header, resp.StatusCode, len(body), err, tt.status, tt.from, tt.to)
		}
	}
	resp, err := srv.Client().Get(srv.URL + CountsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var counts map[string]Count
	if err := json.NewDecoder(resp.Body).Decode(&counts); err != nil {
		t.Fatal(err)
	}
	// The connection is one and the same, so that each answer was counted before the next request came.
	want := Count{Requests: 5, GETs: 5, Ranged: 4, Bytes: 1000 + 10 + 10 + 5 + 1000, Most: 1}
	if got := counts["/plain/"+o.Key]; got != want {
		t.Errorf("counts = %+v, want %+v", got, want)
	}
}
