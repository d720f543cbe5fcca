package qsapi_test

import (
	"net/http"
	"strings"
	"testing"
)

const corsDoc = `{"cors_rules":[{"allowed_origin":"https://*.example.com","allowed_methods":["GET","PUT","DELETE"],"allowed_headers":["x-qs-*","authorization"],` +
	`"expose_headers":["x-qs-request-id","ETag"],"max_age_seconds":600},{"allowed_origin":"*","allowed_methods":["HEAD","POST"]}]}`

func TestCORSSetting(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?cors"}, 404, "setting_not_exists")
	s.set("ALICE", "/my-bucket?cors=", `{"cors_rules":[{"allowed_headers":null,"allowed_methods":["GET"],"allowed_origin":"http://*.qingcloud.com","expose_headers":["x"],"max_age_seconds":null}],"resp_vary":"enabled"}`)
	const want = `{"cors_rules":[{"allowed_methods":["GET"],"allowed_origin":"http://*.qingcloud.com","expose_headers":["x"]}],"resp_vary":"enabled"}`
	if r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?cors"}, 200, ""); r.body != want {
		t.Errorf("GET ?cors = %s, want %s", r.body, want)
	}
	for _, tt := range []struct{ body, code, text string }{
		{`{"cors_rules":[{"allowed_origin":"a*b*","allowed_methods":["GET"]}]}`, "invalid_argument", `cors_rules[0].allowed_origin`},
		{`{"cors_rules":[{"allowed_origin":"*"}]}`, "invalid_argument", `cors_rules[0].allowed_methods is missing`},
		{`{"cors_rules":[{"allowed_origin":"*","allowed_methods":["GET"],"max_age":3}]}`, "invalid_argument", `cors_rules[0].max_age`},
		{`{"cors_rules":[{"allowed_origin":"*","allowed_methods":["GET"],"max_age_seconds":"3"}]}`, "invalid_argument", `max_age_seconds`},
		{`{"cors_rules":[null]}`, "invalid_argument", `cors_rules[0]`},
		{`{}`, "invalid_argument", `cors_rules`},
		{`{"cors_rules":[]} x`, "invalid_json", ``},
	} {
		r := s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket?cors", header: []string{jsonType}, body: tt.body}, 400, tt.code)
		if !strings.Contains(r.body, tt.text) {
			t.Errorf("PUT ?cors %s = %s, want the text %s", tt.body, r.body, tt.text)
		}
	}
	s.want(message{as: "BOB", method: "GET", path: "/my-bucket?cors"}, 403, "permission_denied")
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?cors"}, 204, "")
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?cors"}, 204, "")
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?cors"}, 404, "setting_not_exists")
}

// crossHeaders are the fields of CORS of an answer.
func crossHeaders(h http.Header) string {
	var b strings.Builder
	for _, name := range []string{"Allow-Origin", "Allow-Methods", "Allow-Headers", "Expose-Headers", "Max-Age", "Allow-Credentials"} {
		if v := h.Get("Access-Control-" + name); v != "" {
			b.WriteString(name + ": " + v + "; ")
		}
	}
	if v := h.Get("Vary"); v != "" {
		b.WriteString("Vary: " + v + "; ")
	}
	return b.String()
}

func TestPreflight(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	ask := func(path, origin, method, headers string) message {
		m := message{method: "OPTIONS", path: path, header: []string{"Origin: " + origin, "Access-Control-Request-Method: " + method}}
		if headers != "" {
			m.header = append(m.header, "Access-Control-Request-Headers: "+headers)
		}
		return m
	}
	// The official scenario: no rule in force.
	r := s.want(ask("/my-bucket/k", "qingcloud.com", "GET", ""), 200, "")
	if got := crossHeaders(r.Header); got != "" || r.ContentLength != 0 {
		t.Errorf("without rules: %q, length %d; want nothing", got, r.ContentLength)
	}
	s.set("ALICE", "/my-bucket?cors", corsDoc)
	const vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers; "
	const granted = "Allow-Origin: https://a.example.com; Allow-Methods: GET, PUT, DELETE; "
	const rest = "Expose-Headers: x-qs-request-id, ETag; Max-Age: 600; " + vary
	for _, tt := range []struct {
		name string
		m    message
		want string
	}{
		{"an object", ask("/my-bucket/no/such/key", "https://a.example.com", "PUT", ""), granted + rest},
		{"headers", ask("/my-bucket/k", "https://a.example.com", "PUT", "authorization,x-qs-date"), granted + "Allow-Headers: authorization, x-qs-date; " + rest},
		{"the bucket", ask("/my-bucket", "https://a.example.com", "GET", ""), granted + rest},
		{"the bucket with a query", ask("/my-bucket?acl&uploads", "https://a.example.com", "GET", ""), granted + rest},
		{"a signed link to another method", ask("/my-bucket/k?access_key_id=ALICE&expires=9999999999&signature=c2VjcmV0", "https://a.example.com", "PUT", ""), granted + rest},
		{"virtual host", func() message {
			m := ask("/k", "https://a.example.com", "GET", "")
			m.host = "my-bucket.pek3a.cistern.local"
			return m
		}(), granted + rest},
		{"signed", func() message {
			m := ask("/my-bucket/k", "https://a.example.com", "GET", "")
			m.as = "BOB"
			return m
		}(), granted + rest},
		{"everybody", ask("/my-bucket", "https://evil.test", "POST", ""), "Allow-Origin: *; Allow-Methods: HEAD, POST; " + vary},
		{"another origin", ask("/my-bucket/k", "https://evil.test", "GET", ""), vary},
		{"another method", ask("/my-bucket/k", "https://a.example.com", "PATCH", ""), vary},
		{"another header", ask("/my-bucket/k", "https://a.example.com", "GET", "x-other"), vary},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			r := s.want(tt.m, 200, "")
			if got := crossHeaders(r.Header); got != tt.want {
				t.Errorf("answer has %q, want %q", got, tt.want)
			}
		})
	}
	s.t = t
	s.want(message{method: "OPTIONS", path: "/my-bucket/k", header: []string{"Access-Control-Request-Method: GET"}}, 400, "invalid_argument")
	s.want(message{method: "OPTIONS", path: "/my-bucket/k", header: []string{"Origin: https://a.example.com"}}, 400, "invalid_argument")
	s.want(ask("/no-such-bucket/k", "https://a.example.com", "GET", ""), 404, "bucket_not_exists")
	s.want(ask("/", "https://a.example.com", "GET", ""), 405, "method_not_allowed")
}

// A cache must not keep what it got without an origin for a page of one, where the bucket says so.
func TestAnswersVary(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: "abc"}, 201, "")
	for _, tt := range []struct{ vary, want string }{{"disabled", ""}, {"enabled", "Origin"}, {"enable", "Origin"}} {
		s.set("ALICE", "/my-bucket?cors", `{"cors_rules":[{"allowed_origin":"*","allowed_methods":["GET"]}],"resp_vary":"`+tt.vary+`"}`)
		for _, m := range []message{
			{as: "ALICE", method: "GET", path: "/my-bucket/k"},
			{as: "ALICE", method: "HEAD", path: "/my-bucket/k"},
			{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{"If-None-Match: *"}},
			{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{"Range: bytes=9-"}},
			{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{"Origin: https://a.example.com"}},
		} {
			if got := s.send(m).Header.Values("Vary"); strings.Join(got, "; ") != tt.want {
				t.Errorf("resp_vary %s: %s %s %v has Vary %q, want %q", tt.vary, m.method, m.path, m.header, got, tt.want)
			}
		}
	}
}

func TestAnswersToOtherOrigins(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.set("ALICE", "/my-bucket?cors", corsDoc)
	const from, granted = "Origin: https://a.example.com", "Allow-Origin: https://a.example.com; Expose-Headers: x-qs-request-id, ETag; Vary: Origin; "
	for _, tt := range []struct {
		name   string
		m      message
		status int
		code   string
		want   string
	}{
		{"PUT", message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: "abc", header: []string{from}}, 201, "", granted},
		{"GET", message{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{from}}, 200, "", granted},
		{"a range", message{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{from, "Range: bytes=0-1"}}, 206, "", granted},
		{"not modified", message{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{from, `If-None-Match: "900150983cd24fb0d6963f7d28e17f72"`}}, 304, "", granted},
		{"HEAD, which is everybody's", message{as: "ALICE", method: "HEAD", path: "/my-bucket/k", header: []string{from}}, 200, "", "Allow-Origin: *; Vary: Origin; "},
		{"a list", message{as: "ALICE", method: "GET", path: "/my-bucket", header: []string{from}}, 200, "", granted},
		{"nothing there", message{as: "ALICE", method: "GET", path: "/my-bucket/none", header: []string{from}}, 404, "object_not_exists", granted},
		{"no leave", message{method: "GET", path: "/my-bucket/k", header: []string{from}}, 403, "permission_denied", granted},
		{"a wrong signature", message{method: "GET", path: "/my-bucket/k", header: []string{from}, auth: "QS ALICE:cvxOT8lITsA3icxS/vPWTNZm3+NJ74W0uJ+BA/i4U1Y="}, 401, "signature_not_matched", granted},
		{"a range beyond", message{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{from, "Range: bytes=9-"}}, 416, "invalid_range", granted},
		{"a wrong parameter", message{as: "ALICE", method: "GET", path: "/my-bucket/k?x", header: []string{from}}, 400, "invalid_argument", granted},
		{"another origin", message{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{"Origin: https://evil.test"}}, 200, "", "Vary: Origin; "},
		{"an origin that is none", message{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{"Origin: https://a.example.com, https://evil.example.com"}}, 200, "", "Vary: Origin; "},
		{"no origin", message{as: "ALICE", method: "GET", path: "/my-bucket/k"}, 200, "", ""},
		{"no such bucket", message{as: "ALICE", method: "GET", path: "/no-such-bucket/k", header: []string{from}}, 404, "bucket_not_exists", ""},
		{"the service", message{as: "ALICE", method: "GET", path: "/", header: []string{from}}, 200, "", ""},
		{"DELETE", message{as: "ALICE", method: "DELETE", path: "/my-bucket/k", header: []string{from}}, 204, "", granted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			r := s.want(tt.m, tt.status, tt.code)
			if got := crossHeaders(r.Header); got != tt.want {
				t.Errorf("answer has %q, want %q", got, tt.want)
			}
		})
	}
}
