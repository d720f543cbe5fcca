package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/service"
)

// canned answers a client's requests one after another; the last answer again and again.
type canned struct {
	answers []string // each a status line, a space and what Retry-After says, such as "503 7"
	asked   int
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	text := c.answers[min(c.asked, len(c.answers)-1)]
	c.asked++
	status, after, _ := strings.Cut(text, " ")
	resp := &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("hello")), ContentLength: 5, Request: r}
	if status != "200" {
		resp.StatusCode = map[string]int{"429": 429, "503": 503, "404": 404}[status]
		body := `{"code":"x","message":"later","request_id":"1"}`
		resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		resp.Header.Set("Content-Type", "application/json")
		if after != "" {
			resp.Header.Set("Retry-After", after)
		}
	}
	return resp, nil
}

// A download waits as long as the server wants, a bounded number of times, and never where it was not told to.
func TestDownloadComesBackLater(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers []string
		want    string // the body; "" for an error
		asked   int
		took    time.Duration
	}{
		{"at once", []string{"200"}, "hello", 1, 0},
		{"throttled twice", []string{"429 3", "429 5", "200"}, "hello", 3, 8 * time.Second},
		{"source busy", []string{"503 60", "200"}, "hello", 2, time.Minute},
		{"for ever", []string{"429 1"}, "", 4, 3 * time.Second},
		{"source down, nobody says when", []string{"503", "200"}, "", 1, 0},
		{"much later", []string{"503 61", "200"}, "", 1, 0},
		{"nonsense", []string{"429 soon", "200"}, "", 1, 0},
		{"negative", []string{"429 -1", "200"}, "", 1, 0},
		{"not a later", []string{"404 1", "200"}, "", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &canned{answers: tt.answers}
				b := bucketOf(t, server)
				began := time.Now()
				var got bytes.Buffer
				_, err := download(t.Context(), b, "k", nil, &got, &bar{})
				if (err != nil) != (tt.want == "") || got.String() != tt.want {
					t.Errorf("download = %q, %v; want %q", got.String(), err, tt.want)
				}
				if took := time.Since(began); server.asked != tt.asked || took != tt.took {
					t.Errorf("it took %d requests and %v, want %d and %v", server.asked, took, tt.asked, tt.took)
				}
			})
		})
	}
}

// An interrupt ends the wait.
func TestDownloadIsInterruptedWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := download(ctx, bucketOf(t, &canned{answers: []string{"429 30"}}), "k", nil, io.Discard, &bar{})
		if took := time.Since(began); err == nil || took != time.Second {
			t.Errorf("download = %v after %v, want an error after 1 s", err, took)
		}
	})
}

func bucketOf(t *testing.T, server http.RoundTripper) *service.Bucket {
	t.Helper()
	c, err := config.New("", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Endpoint, c.MaxRetries = "http://127.0.0.1:9", 0 // as in open
	c.Connection = &http.Client{Transport: server}
	svc, err := service.Init(c)
	if err != nil {
		t.Fatal(err)
	}
	b, err := svc.Bucket("demo", "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}
