package cistern

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCross(t *testing.T) {
	hour := 3600
	exact := CORSRule{Origin: "https://app.example.com", Methods: []string{"GET", "PUT"}, Headers: []string{"x-qs-*", "Content-Type"}, Expose: []string{"ETag"}, MaxAge: &hour}
	sub := CORSRule{Origin: "https://*.example.org", Methods: []string{"GET"}}
	public := CORSRule{Origin: "*", Methods: []string{"*"}, Headers: []string{"*"}}
	tests := []struct {
		name  string
		rules []CORSRule
		x     Crossing
		want  Crossed
	}{
		{"no rules", nil, Crossing{Origin: "https://a", Method: "GET"}, Crossed{}},
		{"the origin", []CORSRule{exact}, Crossing{Origin: "https://app.example.com", Method: "PUT"},
			Crossed{Origin: "https://app.example.com", Methods: exact.Methods, Expose: exact.Expose, MaxAge: &hour, Vary: true}},
		{"case of an origin", []CORSRule{sub}, Crossing{Origin: "HTTPS://WWW.example.ORG", Method: "GET"}, Crossed{Origin: "HTTPS://WWW.example.ORG", Methods: sub.Methods, Vary: true}},
		{"another scheme", []CORSRule{exact}, Crossing{Origin: "http://app.example.com", Method: "GET"}, Crossed{Vary: true}},
		{"another port", []CORSRule{exact}, Crossing{Origin: "https://app.example.com:8443", Method: "GET"}, Crossed{Vary: true}},
		{"an origin that goes on", []CORSRule{exact}, Crossing{Origin: "https://app.example.com.evil.test", Method: "GET"}, Crossed{Vary: true}},
		{"another method", []CORSRule{exact}, Crossing{Origin: "https://app.example.com", Method: "DELETE"}, Crossed{Vary: true}},
		{"headers", []CORSRule{exact}, Crossing{Origin: "https://app.example.com", Method: "GET", Headers: []string{"X-QS-Meta-a", "content-type"}},
			Crossed{Origin: "https://app.example.com", Methods: exact.Methods, Expose: exact.Expose, MaxAge: &hour, Vary: true}},
		{"another header", []CORSRule{exact}, Crossing{Origin: "https://app.example.com", Method: "GET", Headers: []string{"content-type", "authorization"}}, Crossed{Vary: true}},
		{"a subdomain", []CORSRule{sub}, Crossing{Origin: "https://a.b.example.org", Method: "GET"}, Crossed{Origin: "https://a.b.example.org", Methods: sub.Methods, Vary: true}},
		{"not the domain itself", []CORSRule{sub}, Crossing{Origin: "https://example.org", Method: "GET"}, Crossed{Vary: true}},
		{"the star does not overlap", []CORSRule{{Origin: "ab*ba", Methods: []string{"GET"}}}, Crossing{Origin: "aba", Method: "GET"}, Crossed{Vary: true}},
		{"everybody", []CORSRule{public}, Crossing{Origin: "https://a", Method: "DELETE", Headers: []string{"authorization"}}, Crossed{Origin: "*", Methods: corsMethods}},
		{"every method is those of the API", []CORSRule{public}, Crossing{Origin: "https://a", Method: "PATCH"}, Crossed{}},
		{"an opaque origin", []CORSRule{public}, Crossing{Origin: "null", Method: "GET"}, Crossed{Origin: "*", Methods: corsMethods}},
		{"a header that is none", []CORSRule{public}, Crossing{Origin: "https://a", Method: "GET", Headers: []string{"a b"}}, Crossed{}},
		{"too many headers", []CORSRule{public}, Crossing{Origin: "https://a", Method: "GET", Headers: strings.Split(strings.Repeat("a,", 101), ",")}, Crossed{}},
		{"an origin that is none", []CORSRule{public}, Crossing{Origin: "https://a b", Method: "GET"}, Crossed{}},
		{"the first rule that is one for it", []CORSRule{sub, exact, public}, Crossing{Origin: "https://app.example.com", Method: "DELETE"}, Crossed{Origin: "*", Methods: corsMethods, Vary: true}},
		{"a slash behind the origin", []CORSRule{{Origin: "https://a/", Methods: []string{"GET"}}}, Crossing{Origin: "https://a", Method: "GET"}, Crossed{Origin: "https://a", Methods: []string{"GET"}, Vary: true}},
		{"no origin", []CORSRule{exact}, Crossing{Method: "GET"}, Crossed{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := CORS{Rules: tt.rules}
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, c.cross(tt.x)); d != "" {
				t.Errorf("cross(%+v): -want +got\n%s", tt.x, d)
			}
		})
	}
	c := CORS{Rules: []CORSRule{public}, Vary: "enabled"}
	if got := c.cross(Crossing{Method: "GET"}); !got.Vary || got.Origin != "" {
		t.Errorf("with resp_vary, and no origin: %+v, want Vary alone", got)
	}
}

func TestCORSRefuses(t *testing.T) {
	less, rules := -1, make([]CORSRule, 101)
	ok := CORSRule{Origin: "*", Methods: []string{"GET"}}
	with := func(change func(*CORSRule)) CORS {
		r := ok
		change(&r)
		return CORS{Rules: []CORSRule{ok, r}}
	}
	for _, tt := range []struct {
		in   CORS
		text string
	}{
		{CORS{Vary: "yes"}, `resp_vary is "yes"`},
		{CORS{Rules: rules}, "cors_rules has 101 rules, 100"},
		{with(func(r *CORSRule) { r.Origin = "" }), "cors_rules[1].allowed_origin is missing"},
		{with(func(r *CORSRule) { r.Origin = "https://*.a.*" }), "has more than one"},
		{with(func(r *CORSRule) { r.Origin = "https://a\r\nX: y" }), "is no origin"},
		{with(func(r *CORSRule) { r.Origin = "https://a, https://b" }), "is no origin"},
		{with(func(r *CORSRule) { r.Origin = strings.Repeat("a", 513) }), "is no origin"},
		{with(func(r *CORSRule) { r.Methods = nil }), "allowed_methods is missing"},
		{with(func(r *CORSRule) { r.Methods = []string{"GET", "get"} }), `allowed_methods holds "get"`},
		{with(func(r *CORSRule) { r.Headers = []string{"a b"} }), `allowed_headers holds "a b"`},
		{with(func(r *CORSRule) { r.Headers = []string{"*-*"} }), `allowed_headers holds "*-*"`},
		{with(func(r *CORSRule) { r.Headers = make([]string, 101) }), "allowed_headers has 101 entries"},
		{with(func(r *CORSRule) { r.Expose = []string{"a\nb"} }), "expose_headers holds"},
		{with(func(r *CORSRule) { r.MaxAge = &less }), "max_age_seconds is -1"},
	} {
		if err := tt.in.check(); err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("check(%+v) = %v, want %q", tt.in, err, tt.text)
		}
	}
}

// FuzzCross: no text of a rule or of a request makes an answer that names an origin which did not ask, or which no rule allows.
func FuzzCross(f *testing.F) {
	f.Add(`{"cors_rules":[{"allowed_origin":"https://*.example.com","allowed_methods":["GET"],"allowed_headers":["x-*"]}]}`, "https://a.example.com", "x-a,x-b")
	f.Add(`{"cors_rules":[{"allowed_origin":"*","allowed_methods":["*"],"allowed_headers":["*"]}],"resp_vary":"enabled"}`, "null", "")
	f.Fuzz(func(t *testing.T, doc, origin, headers string) {
		var c CORS
		if json.Unmarshal([]byte(doc), &c) != nil || c.check() != nil {
			return
		}
		x := Crossing{Origin: origin, Method: "GET"}
		if headers != "" {
			x.Headers = strings.Split(headers, ",")
		}
		got := c.cross(x)
		if got.Origin == "" {
			return
		}
		if got.Origin != "*" && got.Origin != origin || strings.ContainsAny(got.Origin, "\r\n ,") {
			t.Fatalf("cross(%q) names %q", origin, got.Origin)
		}
		for _, r := range c.Rules {
			before, after, star := strings.Cut(strings.ToLower(strings.TrimSuffix(r.Origin, "/")), "*")
			o := strings.ToLower(origin)
			if o == before && !star || star && strings.HasPrefix(o, before) && strings.HasSuffix(o, after) {
				return
			}
		}
		t.Fatalf("no rule of %s is one for %q", doc, origin)
	})
}
