package qsapi_test

import (
	"net/netip"
	"strings"
	"testing"
)

const jsonType = "Content-Type: application/json"

// set puts a document of a bucket.
func (s *site) set(as, path, body string) {
	s.t.Helper()
	s.want(message{as: as, method: "PUT", path: path, header: []string{jsonType}, body: body}, 200, "")
}

// The client's address is what a trusted proxy says of it, and nobody else.
func TestTrustedProxies(t *testing.T) {
	s := start(t, func(o *options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	})
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: "x"}, 201, "")
	s.set("ALICE", "/my-bucket?policy", `{"statement":[{"id":"1","user":"*","action":"get_object","effect":"allow","resource":"my-bucket/*","condition":{"ip_address":{"source_ip":["192.0.2.7"]}}}]}`)
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"the proxy itself", nil, 403},
		{"a client of the proxy", []string{"X-Forwarded-For: 192.0.2.7"}, 200},
		{"another client", []string{"X-Forwarded-For: 192.0.2.8"}, 403},
		{"a client that claims to be a proxy for it", []string{"X-Forwarded-For: 192.0.2.7, 198.51.100.1"}, 403},
		{"proxies in a row", []string{"X-Forwarded-For: 198.51.100.1, 192.0.2.7, 2001:db8::1, 10.1.2.3"}, 200},
		{"several fields", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.7,10.1.2.3"}, 200},
		{"with a port", []string{"X-Forwarded-For: 192.0.2.7:12345"}, 200},
		{"as IPv6", []string{"X-Forwarded-For: ::ffff:192.0.2.7"}, 200},
		{"what is no address", []string{"X-Forwarded-For: 192.0.2.7, unknown"}, 403},
		{"an empty one", []string{"X-Forwarded-For: "}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			if r := s.send(message{method: "GET", path: "/my-bucket/k", header: tt.header}); r.StatusCode != tt.status {
				t.Errorf("GET with %v = %d, want %d", tt.header, r.StatusCode, tt.status)
			}
		})
	}
}

func TestPolicySetting(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?policy"}, 404, "setting_not_exists")

	// As the SDK sends it, nulls included.
	const doc = `{"statement":[{"action":["get_object","upload_multipart"],"condition":{"ip_address":null,"is_null":{"Referer":true},"not_ip_address":null,` +
		`"string_like":null,"string_not_like":null},"effect":"allow","id":"one","resource":["my-bucket/*"],"user":["*"]}]}`
	s.set("ALICE", "/my-bucket?policy=", doc)
	const want = `{"statement":[{"id":"one","user":["*"],"action":["get_object","upload_multipart"],"effect":"allow","resource":["my-bucket/*"],"condition":{"is_null":{"Referer":true}}}]}`
	if r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?policy"}, 200, ""); r.body != want {
		t.Errorf("GET ?policy = %s, want %s", r.body, want)
	}
	// Texts in place of lists.
	s.set("ALICE", "/my-bucket?policy", `{"statement":[{"id":"two","user":"*","action":"head_bucket","effect":"deny"}]}`)
	if r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?policy"}, 200, ""); r.body != `{"statement":[{"id":"two","user":["*"],"action":["head_bucket"],"effect":"deny"}]}` {
		t.Errorf("GET ?policy = %s, want lists", r.body)
	}
	for _, tt := range []struct{ body, code, text string }{
		{`{"statement":[{"id":"x","user":"*","action":"get_objects","effect":"allow","resource":"my-bucket/*"}]}`, "invalid_argument", `action \"get_objects\" is unknown`},
		{`{"statement":[{"id":"x","user":"*","action":"get_object","effect":"allow","resource":"my-bucket/*","principal":"*"}]}`, "invalid_argument", `statement[0].principal`},
		{`{"statement":[{"id":"x","user":"*","action":"get_object","effect":"allow","resource":"my-bucket/*","condition":{"string_equals":{"Referer":"x"}}}]}`, "invalid_argument", `string_equals`},
		{`{"statement":[{"id":"x","user":"*","action":"get_object","effect":"allow","resource":"my-bucket/*","condition":{"ip_address":{"Referer":"x"}}}]}`, "invalid_argument", `ip_address.Referer`},
		{`{"statement":null}`, "invalid_argument", "statement is missing"},
		{`{"Statement":[]}`, "invalid_argument", "Statement"},
		{`{"statement":[{"id":"x","id":"y"}]}`, "invalid_json", "given twice"},
		{`[`, "invalid_json", ""},
		{``, "invalid_json", ""},
	} {
		r := s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket?policy", header: []string{jsonType}, body: tt.body}, 400, tt.code)
		if !strings.Contains(r.body, tt.text) {
			t.Errorf("PUT ?policy %s = %s, want the text %s", tt.body, r.body, tt.text)
		}
	}
	if r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?policy"}, 200, ""); !strings.Contains(r.body, `"two"`) {
		t.Errorf("a refused policy replaced the one that was set: %s", r.body)
	}
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?policy"}, 204, "")
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?policy"}, 204, "")
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?policy"}, 404, "setting_not_exists")
}

// A policy is asked for each request, with what the request says of itself, and its changes count at once.
func TestPolicyDecides(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/open/a", body: "x"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/shut/a", body: "x"}, 201, "")
	get := func(as, key string, status int, header ...string) {
		t.Helper()
		code := ""
		if status != 200 {
			code = "permission_denied"
		}
		s.want(message{as: as, method: "GET", path: "/my-bucket/" + key, header: header}, status, code)
	}
	get("", "open/a", 403)
	s.set("ALICE", "/my-bucket?policy", `{"statement":[
		{"id":"1","user":"bob","action":"get_object","effect":"deny","resource":"my-bucket/*","condition":{"string_like":{"Referer":"http://bad/*"}}},
		{"id":"2","user":"*","action":["get_object","list_objects"],"effect":"allow","resource":"my-bucket/open/*"}]}`)
	get("", "open/a", 200)
	get("BOB", "open/a", 200)
	get("BOB", "open/a", 403, "Referer: http://bad/page")
	get("CAROL", "open/a", 200, "Referer: http://bad/page")
	get("", "shut/a", 403)
	get("BOB", "shut/a", 403)
	s.want(message{method: "HEAD", path: "/my-bucket/open/a"}, 403, "permission_denied") // it is another action
	s.want(message{method: "GET", path: "/my-bucket?prefix=open/"}, 200, "")
	s.want(message{method: "GET", path: "/my-bucket?prefix="}, 403, "permission_denied")
	s.want(message{method: "PUT", path: "/my-bucket/open/b", body: "x"}, 403, "permission_denied")

	// Silence leads on to the access control list, a denial does not.
	s.set("ALICE", "/my-bucket?acl", `{"acl":[{"grantee":{"type":"user","id":"bob"},"permission":"READ"}]}`)
	get("BOB", "shut/a", 200)
	get("BOB", "shut/a", 403, "Referer: http://bad/page")

	// The address is the connection's.
	s.set("ALICE", "/my-bucket?policy", `{"statement":[{"id":"1","user":"*","action":"get_object","effect":"deny","resource":"my-bucket/*","condition":{"not_ip_address":{"source_ip":"192.0.2.0/24"}}}]}`)
	get("BOB", "shut/a", 403)
	get("BOB", "shut/a", 403, "X-Forwarded-For: 192.0.2.1") // nobody trusts who says so
	// It binds the owner, but not for what he needs to change it, and never the operator.
	get("ALICE", "shut/a", 403)
	get("OPERATOR", "shut/a", 200)
	s.set("ALICE", "/my-bucket?policy", `{"statement":[{"id":"1","user":"*","action":"get_object","effect":"allow","resource":"my-bucket/*","condition":{"ip_address":{"source_ip":"127.0.0.0/8"}}}]}`)
	get("", "shut/a", 200)
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?policy"}, 204, "")
	get("", "shut/a", 403)

	// Nobody who is not the owner changes any of it, whatever the policy.
	s.set("ALICE", "/my-bucket?acl", `{"acl":[{"grantee":{"type":"user","id":"bob"},"permission":"FULL_CONTROL"}]}`)
	s.want(message{as: "BOB", method: "PUT", path: "/my-bucket?policy", header: []string{jsonType}, body: `{"statement":[]}`}, 403, "permission_denied")
	s.want(message{as: "BOB", method: "GET", path: "/my-bucket?policy"}, 403, "permission_denied")
}
