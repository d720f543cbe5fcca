package origin_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

func TestJudge(t *testing.T) {
	dns := cisterntest.NewDNS(t)
	dns.Set("mixed.example", "127.0.0.1", "192.0.2.1", "169.254.169.254", "93.184.215.14", "::1")
	c := origin.New(origin.Options{Resolver: dns.Resolver()})
	defer c.Close()
	for _, tt := range []struct {
		name string
		src  object.Source
		want []string
	}{
		{"operator's", object.Source{Scheme: "http", Host: "mixed.example", Port: 80, Path: "/", Private: true},
			[]string{"127.0.0.1 yes", "169.254.169.254 no", "192.0.2.1 no", "93.184.215.14 yes", "::1 yes"}},
		{"anybody's", object.Source{Scheme: "http", Host: "mixed.example", Port: 80, Path: "/"},
			[]string{"127.0.0.1 operator's only", "169.254.169.254 no", "192.0.2.1 no", "93.184.215.14 yes", "::1 operator's only"}},
		{"literal", object.Source{Scheme: "http", Host: "10.0.0.1", Port: 80, Path: "/"}, []string{"10.0.0.1 operator's only"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := c.Judge(t.Context(), tt.src)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range list {
				word := "yes"
				switch {
				case v.Private:
					word = "operator's only"
				case v.Err != nil:
					word = "no"
				}
				if v.Err != nil && !origin.Refused(v.Err) {
					t.Errorf("%v: %v is no refusal of the guard", v.Addr, v.Err)
				}
				got = append(got, v.Addr.String()+" "+word)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := c.Judge(t.Context(), object.Source{Scheme: "http", Host: "none.example", Port: 80, Path: "/"}); err == nil {
		t.Error("a host that does not exist has verdicts")
	}
}

// A trace is told of each step: connections with the guard's refusals, handshakes, and every answer, without the queries of redirects.
func TestTrace(t *testing.T) {
	ca := cisterntest.NewCA(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(cisterntest.NewKey(t), nil, "127.0.0.1")}}
	site := cisterntest.NewTLSOrigin(t, config, func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			if !ok {
				return
			}
			location := "/b?signature=secret"
			if strings.HasPrefix(r.Target, "/b") {
				location = "https://169.254.169.254/c"
			}
			c.Send("HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n")
		}
	})
	src, err := origin.ParseSite(site.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	src.Private = true
	c := origin.New(origin.Options{RootCAs: ca.Pool()})
	defer c.Close()

	var mu sync.Mutex // guards got
	var got []string
	tell := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, strings.ReplaceAll(line, site.Addr().String(), "SITE"))
	}
	told := func() (all []string) { // since it was asked last
		mu.Lock()
		defer mu.Unlock()
		all, got = got, nil
		return all
	}
	ctx := origin.WithTrace(t.Context(), &origin.Trace{
		Connected: func(c origin.Connection) {
			switch {
			case origin.Refused(c.Err):
				tell("refused " + c.Host)
			case c.Err != nil:
				tell("not connected " + c.Host)
			default:
				tell("connected " + c.Host + " at " + c.To.String())
			}
		},
		Secured: func(h origin.Handshake) {
			if h.Err != nil || len(h.State.PeerCertificates) == 0 {
				tell("not secured " + h.Host)
				return
			}
			tell("secured " + h.Host)
		},
		Answered: func(a origin.Answer) { tell(a.Method + " " + a.URL + " 302 to " + a.Header.Get("Location")) },
	})
	_, err = c.Fetch(ctx, origin.Request{Source: src, Key: "a"})
	if !errors.Is(err, object.ErrSourceBad) {
		t.Errorf("Fetch = %v, want %v", err, object.ErrSourceBad)
	}
	want := []string{
		"connected SITE at SITE", "secured SITE", "GET https://SITE/a 302 to /b?signature=secret",
		"GET https://SITE/b 302 to https://169.254.169.254/c", "refused 169.254.169.254:443",
	}
	if diff := cmp.Diff(want, told()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}

	// One who does not trust the authority is told so by the handshake.
	stranger := origin.New(origin.Options{})
	defer stranger.Close()
	_, err = stranger.Fetch(ctx, origin.Request{Source: src, Key: "a"})
	if diff := cmp.Diff([]string{"connected SITE at SITE", "not secured SITE"}, told()); diff != "" || err == nil {
		t.Errorf("Fetch = %v, steps (-want +got):\n%s", err, diff)
	}
}
