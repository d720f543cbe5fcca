package qsapi

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTarget(t *testing.T) {
	h := newHosts([]string{"cistern.local", "Store.Example:9000", "localhost"}, "home")
	tests := []struct {
		name, host, path string
		want             target
	}{
		{"address", "127.0.0.1:9000", "/b/k", target{bucket: "b", key: "k", named: true, port: ":9000"}},
		{"IPv6 address", "[::1]:9000", "/b/k", target{bucket: "b", key: "k", named: true, port: ":9000"}},
		{"IPv6 address without port", "[::1]", "/b", target{bucket: "b", named: true}},
		{"zone in front of an address", "pek3a.127.0.0.1:9000", "/b/k", target{bucket: "b", key: "k", named: true, zone: "pek3a", port: ":9000"}},
		{"unknown name", "pek3a.elsewhere.example", "/b/k", target{bucket: "b", key: "k", named: true}},
		{"no host", "", "/b/k", target{bucket: "b", key: "k", named: true}},
		{"service", "127.0.0.1", "/", target{}},
		{"domain", "cistern.local:9000", "/b/k", target{bucket: "b", key: "k", named: true, domain: "cistern.local", port: ":9000"}},
		{"domain in capitals, with a dot", "CISTERN.local.", "/", target{domain: "cistern.local"}},
		{"zone", "pek3a.cistern.local", "/b/k", target{bucket: "b", key: "k", named: true, zone: "pek3a", domain: "cistern.local"}},
		{"another zone", "zone1.cistern.local", "/b", target{bucket: "b", named: true, zone: "zone1", domain: "cistern.local"}},
		{"configured zone", "home.localhost:80", "/b", target{bucket: "b", named: true, zone: "home", domain: "localhost", port: ":80"}},
		{"bucket", "my-bucket.cistern.local", "/k", target{bucket: "my-bucket", key: "k", named: true, vhost: true, domain: "cistern.local"}},
		{"bucket and zone", "my-bucket.any.cistern.local", "/dir/k", target{bucket: "my-bucket", key: "dir/k", named: true, vhost: true, zone: "any", domain: "cistern.local"}},
		{"bucket root, virtual host", "my-bucket.pek3a.store.example:9000", "/", target{bucket: "my-bucket", named: true, vhost: true, zone: "pek3a", domain: "store.example", port: ":9000"}},
		{"bucket root with a slash", "h", "/b/", target{bucket: "b", named: true}},
		{"double slash", "h", "/b//k", target{bucket: "b", key: "/k", named: true}},
		{"double slash, virtual host", "bb.zz1.localhost", "//k", target{bucket: "bb", key: "/k", named: true, vhost: true, zone: "zz1", domain: "localhost"}},
		{"dots", "h", "/b/a/../b/./c", target{bucket: "b", key: "a/../b/./c", named: true}},
		{"escaped slash", "h", "/b/a%2Fb%2fc", target{bucket: "b", key: "a/b/c", named: true}},
		{"escaped escape", "h", "/b/%2541%41", target{bucket: "b", key: "%41A", named: true}},
		{"plus", "h", "/b/a+b%2B%20c", target{bucket: "b", key: "a+b+ c", named: true}},
		{"trailing slash", "h", "/b/dir/", target{bucket: "b", key: "dir/", named: true}},
		{"odd bytes", "h", "/b/a%00;b\\c|d#e", target{bucket: "b", key: "a\x00;b\\c|d#e", named: true}},
		{"no bucket before the key", "h", "//k", target{key: "k", named: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := h.target(tt.host, tt.path, unbound)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(target{})); d != "" {
				t.Errorf("target(%q, %q): -want +got\n%s", tt.host, tt.path, d)
			}
		})
	}
}

// unbound knows no bucket's domain.
func unbound(string) (bound, error) { return bound{}, nil }

func TestTargetRefuses(t *testing.T) {
	h := newHosts(nil, "home")
	for path, code := range map[string]string{
		"/b/%zz":                          "invalid_argument",
		"/b%2/k":                          "invalid_argument",
		"/b/%ff":                          "invalid_object_name",
		"/b/" + strings.Repeat("k", 1024): "invalid_object_name",
	} {
		_, err := h.target("h", path, unbound)
		if _, got, _ := describe(err); err == nil || got != code {
			t.Errorf("target(%.20q) = %v, want %s", path, err, code)
		}
	}
	if _, err := h.target("h", "/b/"+strings.Repeat("k", 1023), unbound); err != nil {
		t.Errorf("a key of 1,023 bytes: %v, want none", err)
	}
}

func TestSplitURI(t *testing.T) {
	tests := []struct{ line, path, query string }{
		{"GET /b/k?a=b?c HTTP/1.1", "/b/k", "a=b?c"},
		{"GET //b//./../k? HTTP/1.1", "//b//./../k", ""},
		{"GET /b/a|b\"%2f HTTP/1.1", "/b/a|b\"%2f", ""},
		{"GET http://h:1/b/a%2Fb?acl HTTP/1.1", "/b/a%2Fb", "acl"},
		{"GET http://h HTTP/1.1", "/", ""},
		{"GET http://h?acl HTTP/1.1", "/", "acl"},
	}
	for _, tt := range tests {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(tt.line + "\r\nHost: h\r\n\r\n")))
		if err != nil {
			t.Fatalf("%s: %v", tt.line, err)
		}
		path, query, err := splitURI(r)
		if path != tt.path || query != tt.query || err != nil {
			t.Errorf("splitURI(%s) = %q, %q, %v, want %q, %q", tt.line, path, query, err, tt.path, tt.query)
		}
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := splitURI(r); err == nil {
		t.Error("splitURI(*) = nil, want an error")
	}
}

func TestRoutes(t *testing.T) {
	rs := newRoutes()
	tests := []struct {
		method, path, query string
		want                string // operation, or code
	}{
		{"GET", "/", "", "List Buckets"},
		{"GET", "/", "limit=3&offset=1", "List Buckets"},
		{"PUT", "/b", "", "PUT Bucket"},
		{"GET", "/b", "prefix=a&delimiter=&marker=&limit=10", "GET Bucket (List Objects)"},
		{"GET", "/b/", "acl", "GET Bucket ACL"},
		{"PUT", "/b", "acl=", "PUT Bucket ACL"},
		{"PUT", "/b", "mirror&", "PUT Bucket External Mirror"},
		{"DELETE", "/b", "mirror=&access_key_id=a&expires=1&signature=s", "DELETE Bucket External Mirror"},
		{"GET", "/b/k", "response-expires=x", "GET Object"},
		{"HEAD", "/b/k", "", "HEAD Object"},
		{"GET", "/b", "stats", "GET Bucket Statistics"},
		{"POST", "/b", "delete", "Delete Multiple Objects"},
		{"POST", "/b", "", "POST Object"},
		{"PUT", "/b/k", "part_number=0&upload_id=u", "Upload Multipart"},
		{"GET", "/b/k", "upload_id=u", "List Multipart"},
		{"POST", "/b/k", "uploads", "Initiate Multipart Upload"},
		{"POST", "/b/k", "append&position=3", "Append Object"},
		{"GET", "/b/k", "image&action=info", "Image Process"},
		{"OPTIONS", "/b/k", "", "OPTIONS Object"},
		{"OPTIONS", "/b", "uploads", "OPTIONS Object"},
		{"OPTIONS", "/b/k", "part_number=1&upload_id=u&more", "OPTIONS Object"},
		{"OPTIONS", "/", "", "method_not_allowed"},
		{"GET", "/b/k", "version_id=3", "GET Object"},
		{"GET", "/b", "unknown", "invalid_argument"},
		{"GET", "/b", "acl&mirror", "invalid_argument"},
		{"GET", "/b", "acl&limit=3", "GET Bucket ACL"},
		{"PUT", "/b", "acl&limit=3", "invalid_argument"},
		{"GET", "/b/k", "acl", "invalid_argument"},
		{"GET", "/b/k", "v=1", "GET Object"},
		{"GET", "/b/k", "v=", "invalid_argument"},
		{"DELETE", "/b/k", "v=1", "invalid_argument"},
		{"HEAD", "/b/k", "response-expires=x", "invalid_argument"},
		{"GET", "/b/k", "a=1&a=2", "invalid_argument"},
		{"GET", "/b/k", "a=%zz", "invalid_argument"},
		{"GET", "/b/k", "=x", "invalid_argument"},
		{"PATCH", "/b/k", "", "method_not_allowed"},
		{"POST", "/", "", "method_not_allowed"},
		{"POST", "/b", "acl", "method_not_allowed"},
		{"HEAD", "/b", "mirror", "method_not_allowed"},
	}
	h := newHosts(nil, "")
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path+"?"+tt.query, func(t *testing.T) {
			if got := route(rs, h, tt.method, "h", tt.path, tt.query); got != tt.want {
				t.Errorf("route = %s, want %s", got, tt.want)
			}
		})
	}
}

// route returns the operation of a request, or the code of its error, as API.handle finds them.
func route(rs routes, h hosts, method, host, path, query string) string {
	name, err := func() (string, error) {
		tg, err := h.target(host, path, unbound)
		if err != nil {
			return "", err
		}
		ps, err := parseParams(query)
		if err != nil {
			return "", err
		}
		e, err := rs.find(method, tg.scope(), ps)
		if err != nil {
			return "", err
		}
		return e.name, e.check(method, ps)
	}()
	if err != nil {
		_, code, _ := describe(err)
		return code
	}
	return name
}

func TestEveryOperationHasARoute(t *testing.T) {
	rs := newRoutes()
	served := 0
	for at, es := range rs.at {
		for _, e := range es {
			var ps params
			for _, name := range e.needs {
				ps = append(ps, param{name: name})
			}
			got, err := rs.find(at.method, at.scope, ps)
			if err != nil || got != e {
				t.Errorf("find(%s %v) = %v, %v, want %s", at.method, e.needs, got, err, e.name)
			}
			if e.handle != nil {
				served++
			}
		}
	}
	if served != len(operations) {
		t.Errorf("%d operations are routed, want %d", served, len(operations))
	}
}

func TestMethodNotAllowedSaysWhatIs(t *testing.T) {
	_, err := newRoutes().find("POST", onBucket, params{{name: "acl"}})
	var missing *missingMethod
	if !errors.As(err, &missing) {
		t.Fatalf("find = %v, want a missing method", err)
	}
	if d := cmp.Diff([]string{"GET", "PUT"}, missing.allow); d != "" {
		t.Errorf("allowed methods: -want +got\n%s", d)
	}
}

// FuzzRoute holds that whatever comes is routed or refused by the client's fault, and that a key is the path's own bytes.
func FuzzRoute(f *testing.F) {
	f.Add("GET", "my-bucket.pek3a.cistern.local:9000", "/a%2Fb//../c", "acl=&x=%zz")
	f.Add("PUT", "pek3a.127.0.0.1", "/b/k", "part_number=0&upload_id=u")
	f.Add("HEAD", "[::1", "/", "mirror&acl")
	rs, h := newRoutes(), newHosts([]string{"cistern.local", "local"}, "pek3a")
	f.Fuzz(func(t *testing.T, method, host, path, query string) {
		if !strings.HasPrefix(path, "/") {
			return // splitURI gives none
		}
		got := route(rs, h, method, host, path, query)
		if got == "" || got == "internal_error" {
			t.Errorf("route(%q %q %q %q) = %q", method, host, path, query, got)
		}
		tg, err := h.target(host, path, unbound)
		if err != nil {
			return
		}
		if len(tg.key) > 1023 || !utf8.ValidString(tg.key) {
			t.Errorf("target(%q) has the key %q", path, tg.key)
		}
		if !strings.Contains(path, "%") && !strings.HasSuffix(path, tg.key) {
			t.Errorf("target(%q) has the key %q, which is not its end", path, tg.key)
		}
	})
}
