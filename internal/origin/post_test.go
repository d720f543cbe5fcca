package origin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     string // scheme://host:port/path?query; "" for a refusal
	}{
		{"a name", "http://user_notify_url", "http://user_notify_url/"},
		{"a query", "https://Example.org/hook?a=b&c=%20/?x", "https://example.org/hook?a=b&c=%20/?x"},
		{"a query without a path", "example.org?a", "http://example.org/?a"},
		{"no address", "", ""},
		{"another scheme", "ftp://example.org/", ""},
		{"user information", "http://a:b@example.org/", ""},
		{"a fragment", "http://example.org/?a#b", ""},
		{"a line break in the query", "http://example.org/?a\r\nX: y", ""},
		{"a blank in the query", "http://example.org/?a b", ""},
		{"too long", "http://example.org/?" + strings.Repeat("a", 2048), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := origin.ParseTarget(tt.in)
			if tt.want == "" {
				if !errors.Is(err, object.ErrInvalidArgument) || strings.Contains(err.Error(), "source_site") {
					t.Fatalf("ParseTarget = %+v, %v, want an invalid argument that does not speak of a source_site", got, err)
				}
				return
			}
			s := got.Source.Scheme + "://" + got.Source.Host + got.Source.Path + "?" + got.Query
			if err != nil || strings.TrimSuffix(s, "?") != tt.want {
				t.Fatalf("ParseTarget = %s, %v, want %s", s, err, tt.want)
			}
		})
	}
}

func TestPost(t *testing.T) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type")+" "+string(body))
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/much":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer srv.Close()
	c := origin.New(origin.Options{})
	defer c.Close()
	post := func(path string, private bool) (int, error) {
		target, err := origin.ParseTarget(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		target.Source.Private = private
		return c.Post(t.Context(), target, "application/json", []byte(`{"a":1}`))
	}
	for _, tt := range []struct {
		path   string
		status int
	}{{"/a%2Fb?x=%20y", 202}, {"/moved", 307}, {"/much", 200}} {
		if status, err := post(tt.path, true); status != tt.status || err != nil {
			t.Errorf("Post to %s = %d, %v, want %d", tt.path, status, err, tt.status)
		}
		want := "POST " + tt.path + ` application/json {"a":1}`
		if len(asked) != 1 || asked[0] != want {
			t.Errorf("the server saw %q, want %q", asked, want)
		}
		asked = nil
	}
	if status, err := post("/", false); !errors.Is(err, object.ErrSourceBad) || len(asked) != 0 {
		t.Errorf("Post to a private address = %d, %v, and the server saw %q; want a refusal", status, err, asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	target, _ := origin.ParseTarget(srv.URL)
	target.Source.Private = true
	if _, err := c.Post(ctx, target, "text/plain", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Post that was called off = %v", err)
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("http://example.org/hook?a=b")
	f.Add("http://[::1]:80?%")
	f.Fuzz(func(t *testing.T, s string) {
		target, err := origin.ParseTarget(s)
		if err != nil {
			if !errors.Is(err, object.ErrInvalidArgument) {
				t.Errorf("ParseTarget(%q): error without a name: %v", s, err)
			}
			return
		}
		if strings.ContainsAny(target.Query, " \r\n#\\") || target.Source.Host == "" {
			t.Errorf("ParseTarget(%q) = %+v", s, target)
		}
	})
}
