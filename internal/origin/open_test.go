package origin_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

func TestOpen(t *testing.T) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI+" hops "+r.Header.Get(origin.HopHeader))
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/a%2Fb?x=%20y", http.StatusFound)
		case "/none":
			w.WriteHeader(http.StatusNotFound)
		default:
			io.WriteString(w, "a picture")
		}
	}))
	defer srv.Close()
	c := origin.New(origin.Options{})
	defer c.Close()
	open := func(path string, private bool, hops int) (string, error) {
		asked = nil
		target, err := origin.ParseTarget(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		target.Source.Private = private
		resp, err := c.Open(t.Context(), target, hops)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	if got, err := open("/a%2Fb?x=%20y", true, 1); got != "a picture" || err != nil || len(asked) != 1 || asked[0] != "GET /a%2Fb?x=%20y hops 2" {
		t.Errorf("Open = %q, %v, and the server saw %q; want the body of the address with its query, one hop on", got, err, asked)
	}
	if got, err := open("/moved", true, 0); got != "a picture" || err != nil || len(asked) != 2 {
		t.Errorf("Open of what moved = %q, %v, and the server saw %q; want what it leads to", got, err, asked)
	}
	if _, err := open("/none", true, 0); !errors.Is(err, object.ErrNoSuchKey) {
		t.Errorf("Open of nothing = %v, want no such key", err)
	}
	if _, err := open("/", false, 0); !errors.Is(err, object.ErrSourceBad) || len(asked) != 0 {
		t.Errorf("Open of a private address = %v, and the server saw %q; want a refusal", err, asked)
	}
	if _, err := open("/", true, origin.MaxHops); !errors.Is(err, object.ErrSourceBad) || len(asked) != 0 {
		t.Errorf("Open after %d hops = %v, and the server saw %q; want a refusal", origin.MaxHops, err, asked)
	}
}
