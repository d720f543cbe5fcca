package qsapi_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden exchanges anew")

func itoa(n int) string { return strconv.Itoa(n) }

// chunks writes each Write as chunks of at most 1,000 bytes, without the last one.
type chunks struct{ w io.Writer }

func newChunks(w io.Writer) io.Writer { return chunks{w} }

func (c chunks) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(len(p), 1000)
		if _, err := fmt.Fprintf(c.w, "%x\r\n%s\r\n", n, p[:n]); err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return total, nil
}

// checkError checks that an error's answer is complete.
func checkError(t testing.TB, m message, r reply, code string) {
	t.Helper()
	if r.Header.Get("Content-Type") != "application/json" || r.ContentLength < 0 && m.method != "HEAD" {
		t.Errorf("%s %s: type %q, length %d, want application/json with a length", m.method, m.path, r.Header.Get("Content-Type"), r.ContentLength)
	}
	if m.method == "HEAD" {
		if r.body != "" {
			t.Errorf("HEAD %s has a body: %q", m.path, r.body)
		}
		return
	}
	var e map[string]string
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		t.Fatalf("%s %s: %v in %q", m.method, m.path, err, r.body)
	}
	if e["code"] != code || e["message"] == "" || e["url"] == "" || e["request_id"] != r.Header.Get("X-Qs-Request-Id") {
		t.Errorf("%s %s: body %s, want %s and every field", m.method, m.path, r.body, code)
	}
}

// moving is what differs from run to run.
var moving = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(X-Qs-Request-Id: |"request_id":")[0-9a-f]{32}`), "$1<request id>"},
	{regexp.MustCompile(`(Last-Modified: )[A-Z].*GMT`), "$1<time>"},
	{regexp.MustCompile(`"upload_id":"[0-9a-f]{32}"`), `"upload_id":"<upload id>"`},
	{regexp.MustCompile(`"created":"[^"]*"`), `"created":"<time>"`},
	{regexp.MustCompile(`"modified":[0-9]{10}`), `"modified":<seconds>`},
	{regexp.MustCompile(`(boundary=|--)[A-Z0-9]{26}`), "$1<boundary>"},
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]+`), "127.0.0.1:<port>"},
}

// TestGolden runs through every operation on one server. The exchanges are in testdata/wire, readable as documentation; -update
// writes them anew.
func TestGolden(t *testing.T) {
	s := start(t, nil)
	const b = "/my-bucket"
	jsonType := "Content-Type: application/json"
	steps := []struct {
		name string
		message
	}{
		{"put-bucket", message{as: "ALICE", method: "PUT", path: b}},
		{"put-bucket-again", message{as: "ALICE", method: "PUT", path: b}},
		{"put-bucket-name", message{as: "ALICE", method: "PUT", path: "/My_Bucket"}},
		{"put-bucket-anonymous", message{method: "PUT", path: "/other-bucket"}},
		{"head-bucket", message{as: "ALICE", method: "HEAD", path: b}},
		{"head-bucket-missing", message{as: "ALICE", method: "HEAD", path: "/no-such-bucket"}},
		{"list-buckets", message{as: "ALICE", method: "GET", path: "/?limit=10"}},
		{"list-buckets-virtual-host", message{as: "ALICE", method: "GET", path: "/", host: "pek3a.cistern.local:9000"}},
		{"list-buckets-other-zone", message{as: "ALICE", method: "GET", path: "/", header: []string{"Location: sh1a"}}},
		{"list-buckets-anonymous", message{method: "GET", path: "/"}},
		{"list-objects-empty", message{as: "ALICE", method: "GET", path: b + "?delimiter=&limit=1000&marker=&prefix="}},

		{"put-mirror", message{as: "OPERATOR", method: "PUT", path: b + "?mirror=", header: []string{jsonType}, body: `{"source_site":"http://example.com:80/image/"}`}},
		{"get-mirror", message{as: "ALICE", method: "GET", path: b + "?mirror"}},
		{"get-mirror-other-user", message{as: "BOB", method: "GET", path: b + "?mirror"}},
		{"put-mirror-refused", message{as: "ALICE", method: "PUT", path: b + "?mirror", header: []string{jsonType}, body: `{"source_site":"ftp://example.com/"}`}},
		{"put-mirror-missing", message{as: "ALICE", method: "PUT", path: b + "?mirror", header: []string{jsonType}, body: `{"source_site":null}`}},
		{"put-mirror-no-json", message{as: "ALICE", method: "PUT", path: b + "?mirror", header: []string{jsonType}, body: `{"source_site":`}},
		{"put-mirror-wrong-type", message{as: "ALICE", method: "PUT", path: b + "?mirror", header: []string{jsonType}, body: `{"source_site":7}`}},
		{"delete-mirror", message{as: "ALICE", method: "DELETE", path: b + "?mirror"}},
		{"delete-mirror-again", message{as: "ALICE", method: "DELETE", path: b + "?mirror"}},
		{"get-mirror-none", message{as: "ALICE", method: "GET", path: b + "?mirror"}},

		{"get-acl", message{as: "ALICE", method: "GET", path: b + "?acl="}},
		{"put-acl", message{as: "ALICE", method: "PUT", path: b + "?acl=", header: []string{jsonType},
			body: `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"READ"},{"grantee":{"type":"user","id":"bob"},"permission":"WRITE"}]}`}},
		{"get-acl-set", message{as: "ALICE", method: "GET", path: b + "?acl="}},
		{"put-acl-refused", message{as: "ALICE", method: "PUT", path: b + "?acl", header: []string{jsonType},
			body: `{"acl":[{"grantee":{"type":"group","name":"EVERYONE"},"permission":"READ"}]}`}},

		{"put-policy", message{as: "ALICE", method: "PUT", path: b + "?policy=", header: []string{jsonType},
			body: `{"statement":[{"id":"1","user":"*","action":["get_object"],"effect":"allow","resource":["my-bucket/open/*"],"condition":{"string_like":{"Referer":["https://*.example.com/*"]}}}]}`}},
		{"get-policy", message{as: "ALICE", method: "GET", path: b + "?policy="}},
		{"put-policy-refused", message{as: "ALICE", method: "PUT", path: b + "?policy", header: []string{jsonType},
			body: `{"statement":[{"id":"1","user":"*","action":"get_object","effect":"allow","resource":"other-bucket/*"}]}`}},
		{"delete-policy", message{as: "ALICE", method: "DELETE", path: b + "?policy="}},
		{"get-policy-none", message{as: "ALICE", method: "GET", path: b + "?policy="}},
		{"options-object-no-rules", message{method: "OPTIONS", path: b + "/k", header: []string{"Origin: https://app.example.com", "Access-Control-Request-Method: PUT"}}},
		{"put-cors", message{as: "ALICE", method: "PUT", path: b + "?cors=", header: []string{jsonType},
			body: `{"cors_rules":[{"allowed_origin":"https://*.example.com","allowed_methods":["GET","PUT"],"allowed_headers":["x-qs-*"],"expose_headers":["ETag"],"max_age_seconds":600}]}`}},
		{"get-cors", message{as: "ALICE", method: "GET", path: b + "?cors="}},
		{"options-object", message{method: "OPTIONS", path: b + "/k", header: []string{"Origin: https://app.example.com", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-qs-date"}}},
		{"head-bucket-other-origin", message{as: "ALICE", method: "HEAD", path: b, header: []string{"Origin: https://app.example.com"}}},
		{"list-objects-other-origin", message{as: "ALICE", method: "GET", path: b, header: []string{"Origin: https://app.example.com"}}},
		{"delete-cors", message{as: "ALICE", method: "DELETE", path: b + "?cors="}},
		{"put-cname", message{as: "ALICE", method: "PUT", path: b + "?cname=", header: []string{jsonType}, body: `{"domain":"img.example.com","type":"normal"}`}},
		{"put-cname-refused", message{as: "ALICE", method: "PUT", path: b + "?cname=", header: []string{jsonType}, body: `{"domain":"img.cistern.local"}`}},
		{"get-cname", message{as: "ALICE", method: "GET", path: b + "?cname=&type=normal"}},
		{"list-objects-own-domain", message{as: "ALICE", method: "GET", path: "/", host: "img.example.com", bucket: "my-bucket"}},
		{"delete-cname", message{as: "ALICE", method: "DELETE", path: b + "?cname=", header: []string{jsonType}, body: `{"domain":"img.example.com"}`}},

		{"put-object", message{as: "ALICE", method: "PUT", path: b + "/dir/a%20b.txt", header: []string{"Content-Type: text/plain",
			"Content-MD5: eB5eJF1ptWaXm4bijSPyxw==", "x-qs-meta-colour: blue", "Cache-Control: max-age=60"}, body: "0123456789"}},
		{"put-object-chunked", message{as: "ALICE", method: "PUT", path: b + "/chunked", body: "abc", chunked: true}},
		{"put-object-empty", message{as: "ALICE", method: "PUT", path: b + "/dir/", chunked: true}},
		{"put-object-bad-digest", message{as: "ALICE", method: "PUT", path: b + "/bad", header: []string{"Content-MD5: 00000000000000000000000000000000"}, body: "abc"}},
		{"put-object-class", message{as: "ALICE", method: "PUT", path: b + "/bad", header: []string{"x-qs-storage-class: COLD"}, body: "abc"}},
		{"put-object-metadata", message{as: "ALICE", method: "PUT", path: b + "/bad", header: []string{"x-qs-meta-a: " + strings.Repeat("v", 2048)}, body: "abc"}},
		{"put-object-copy", message{as: "ALICE", method: "PUT", path: b + "/copy", header: []string{"x-qs-copy-source: /my-bucket/chunked"}}},
		{"put-object-move", message{as: "ALICE", method: "PUT", path: b + "/chunked", header: []string{"x-qs-move-source: /my-bucket/copy"}}},
		{"put-object-anonymous", message{method: "PUT", path: b + "/bad", body: "abc"}},
		{"put-object-too-large", message{as: "ALICE", method: "PUT", path: b + "/bad", length: "5368709121"}},

		{"get-object", message{as: "ALICE", method: "GET", path: b + "/dir/a%20b.txt"}},
		{"get-object-anonymous", message{method: "GET", path: b + "/dir/a%20b.txt"}},
		{"get-object-range", message{method: "GET", path: b + "/dir/a%20b.txt", header: []string{"Range: bytes=2-4"}}},
		{"get-object-suffix", message{method: "GET", path: b + "/dir/a%20b.txt", header: []string{"Range: bytes=-3"}}},
		{"get-object-ranges", message{method: "GET", path: b + "/dir/a%20b.txt", header: []string{"Range: bytes=0-1,8-"}}},
		{"get-object-range-beyond", message{method: "GET", path: b + "/dir/a%20b.txt", header: []string{"Range: bytes=10-"}}},
		{"get-object-range-malformed", message{method: "GET", path: b + "/dir/a%20b.txt", header: []string{"Range: bytes=x"}}},
		{"get-object-if-range", message{method: "GET", path: b + "/dir/a%20b.txt", header: []string{"Range: bytes=2-4", `If-Range: "other"`}}},
		{"get-object-not-modified", message{method: "GET", path: b + "/chunked", header: []string{`If-None-Match: "900150983cd24fb0d6963f7d28e17f72"`}}},
		{"get-object-precondition", message{method: "GET", path: b + "/chunked", header: []string{`If-Match: "other"`}}},
		{"get-object-overrides", message{as: "ALICE", method: "GET", path: b + "/chunked?response-content-type=video%2Fmp4%3B+charset%3Dutf8&response-expires=0"}},
		{"get-object-overrides-anonymous", message{method: "GET", path: b + "/chunked?response-content-type=text/html"}},
		{"get-object-missing", message{as: "ALICE", method: "GET", path: b + "/none"}},
		{"head-object", message{method: "HEAD", path: b + "/dir/a%20b.txt"}},
		{"head-object-range", message{method: "HEAD", path: b + "/dir/a%20b.txt", header: []string{"Range: bytes=2-4"}}},
		{"head-object-missing", message{method: "HEAD", path: b + "/none"}},

		{"list-objects", message{as: "ALICE", method: "GET", path: b + "?limit=1&prefix=&delimiter=%2F"}},
		{"list-objects-next", message{as: "ALICE", method: "GET", path: b + "/?limit=5000&prefix=dir%2F"}},
		{"list-objects-limit", message{as: "ALICE", method: "GET", path: b + "?limit=many"}},
		{"append-object", message{as: "ALICE", method: "POST", path: b + "/log?append&position=0", header: []string{"Content-Type: text/plain"}, body: "one\n"}},
		{"append-object-next", message{as: "ALICE", method: "POST", path: b + "/log?append=&position=4", body: "two\n"}},
		{"append-object-position", message{as: "ALICE", method: "POST", path: b + "/log?append&position=4", body: "two\n"}},
		{"append-object-put", message{as: "ALICE", method: "POST", path: b + "/chunked?append&position=3", body: "def"}},
		{"head-object-appendable", message{as: "ALICE", method: "HEAD", path: b + "/log"}},
		{"delete-object-log", message{as: "ALICE", method: "DELETE", path: b + "/log"}},
		{"initiate-upload", message{as: "ALICE", method: "POST", path: b + "/parts?uploads=", header: []string{"Content-Type: text/plain"}}},
		{"list-uploads", message{as: "ALICE", method: "GET", path: b + "?uploads=&prefix=p"}},
		{"upload-part-unknown", message{as: "ALICE", method: "PUT", path: b + "/parts?part_number=0&upload_id=dbb3d762975711e6b457525441715ab4", body: "part"}},
		{"list-parts-unknown", message{as: "ALICE", method: "GET", path: b + "/parts?upload_id=dbb3d762975711e6b457525441715ab4"}},
		{"complete-upload-unknown", message{as: "ALICE", method: "POST", path: b + "/parts?upload_id=dbb3d762975711e6b457525441715ab4", body: `{"object_parts":[{"part_number":0}]}`}},
		{"complete-upload-no-parts", message{as: "ALICE", method: "POST", path: b + "/parts?upload_id=dbb3d762975711e6b457525441715ab4", body: `{"object_parts":[]}`}},
		{"abort-upload-unknown", message{as: "ALICE", method: "DELETE", path: b + "/parts?upload_id=dbb3d762975711e6b457525441715ab4"}},
		{"delete-bucket-not-empty", message{as: "ALICE", method: "DELETE", path: b}},
		{"delete-object", message{as: "ALICE", method: "DELETE", path: b + "/dir/a%20b.txt"}},
		{"delete-object-again", message{as: "ALICE", method: "DELETE", path: b + "/dir/a%20b.txt"}},
		{"delete-object-chunked", message{as: "ALICE", method: "DELETE", path: b + "/chunked"}},
		{"delete-object-folder", message{as: "ALICE", method: "DELETE", path: b + "/dir/"}},
		{"delete-bucket", message{as: "ALICE", method: "DELETE", path: b}},
		{"delete-bucket-missing", message{as: "ALICE", method: "DELETE", path: b}},

		{"no-such-operation", message{as: "ALICE", method: "GET", path: b + "/k?position=3"}},
		{"method-not-allowed", message{as: "ALICE", method: "PATCH", path: b}},
		{"unknown-parameter", message{as: "ALICE", method: "GET", path: b + "?unknown"}},
		{"disabled-key", message{as: "MALLORY", method: "GET", path: b}},
		{"unknown-key", message{as: "NOBODY", method: "GET", path: b}},
		{"wrong-signature", message{method: "GET", path: b, auth: "QS ALICE:cvxOT8lITsA3icxS/vPWTNZm3+NJ74W0uJ+BA/i4U1Y="}},
		{"expired", message{as: "ALICE", method: "GET", path: b, header: []string{"Date: Sun, 22 Nov 2026 06:28:22 GMT"}}},
	}
	var names []string
	for _, step := range steps {
		names = append(names, step.name+".txt")
		t.Run(step.name, func(t *testing.T) {
			s.t = t
			r := s.send(step.message)
			if r.StatusCode >= 400 {
				checkError(t, step.message, r, codeOf(r))
			}
			got := dump(step.message, s.addr, r)
			file := filepath.Join("testdata", "wire", step.name+".txt")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s: -want +got\n%s", step.name, d)
			}
		})
	}
	s.t = t
	entries, err := os.ReadDir(filepath.Join("testdata", "wire"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			t.Errorf("testdata/wire/%s belongs to no exchange", e.Name())
		}
	}
}

func codeOf(r reply) string {
	var e struct{ Code string }
	if json.Unmarshal([]byte(r.body), &e) != nil {
		return ""
	}
	return e.Code
}

// dump writes an exchange without what differs from run to run.
func dump(m message, addr string, r reply) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(m.head(addr), "\r\n"), "\r\n") {
		if !strings.HasPrefix(line, "Authorization: ") {
			fmt.Fprintf(&b, "> %s\n", line)
		}
	}
	who := m.as
	switch {
	case m.auth != "":
		who = "somebody else's signature"
	case who == "":
		who = "nobody"
	}
	fmt.Fprintf(&b, "> (signed by %s)\n", who)
	if m.body != "" {
		fmt.Fprintf(&b, ">\n> %s\n", m.body)
	}
	fmt.Fprintf(&b, "\n< %s\n", r.Status)
	var names []string
	for name := range r.Header {
		if name != "Date" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "< %s: %s\n", name, strings.Join(r.Header[name], " | "))
	}
	if r.body != "" {
		fmt.Fprintf(&b, "<\n%s\n", strings.ReplaceAll(r.body, "\r\n", "\n"))
	}
	text := b.String()
	for _, mv := range moving {
		text = mv.pattern.ReplaceAllString(text, mv.with)
	}
	return text
}

func TestKeysAreBytes(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	// sent is the path behind the bucket, key what it means.
	keys := []struct{ sent, key string }{
		{"a//b", "a//b"}, {"/lead", "/lead"}, {"./x", "./x"}, {"a/../b", "a/../b"}, {"..", ".."}, {"a%2F%2fc", "a//c"}, {"%41", "A"}, {"%2541", "%41"},
		{"a+b", "a+b"}, {"a%2Bc", "a+c"}, {"a%20b", "a b"}, {"trail/", "trail/"}, {"trail", "trail"}, {"a;b", "a;b"}, {"a\\b", "a\\b"}, {"a|b\"<>^`{}", "a|b\"<>^`{}"},
		{"%00%01%7f", "\x00\x01\x7f"}, {"%3Facl", "?acl"}, {"%23", "#"}, {"%E4%B8%AD%E6%96%87", "中文"}, {"%F0%9F%98%80%E2%80%8D", "😀\u200d"}, {"!'()*%2a=~", "!'()**=~"},
	}
	var want []string
	for _, k := range keys {
		r := s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/" + k.sent, body: k.key}, 201, "")
		if r.StatusCode == 201 {
			want = append(want, k.key)
		}
	}
	for _, k := range keys {
		if r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/" + k.sent}, 200, ""); r.body != k.key {
			t.Errorf("GET %s = %q, want %q", k.sent, r.body, k.key)
		}
		m := message{as: "ALICE", method: "GET", path: "/" + k.sent, host: "my-bucket.any.cistern.local", bucket: "my-bucket"}
		if r := s.want(m, 200, ""); r.body != k.key {
			t.Errorf("GET %s (virtual host) = %q, want %q", k.sent, r.body, k.key)
		}
	}
	slices.Sort(want)
	var list struct{ Keys []struct{ Key string } }
	r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?limit=1000"}, 200, "")
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range list.Keys {
		got = append(got, k.Key)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("list: -want +got\n%s", d)
	}
}

func TestAbsoluteForm(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/a//b%2Fc", body: "x"}, 201, "")
	if r := s.want(message{as: "ALICE", method: "GET", path: "http://" + s.addr + "/my-bucket/a//b%2Fc"}, 200, ""); r.body != "x" {
		t.Errorf("body = %q, want x", r.body)
	}
}

func TestHTTP10(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", proto: "HTTP/1.0", body: "abc"}, 201, "")
	if r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/k", proto: "HTTP/1.0"}, 200, ""); r.body != "abc" || r.ContentLength != 3 {
		t.Errorf("GET = %q with length %d, want abc with 3", r.body, r.ContentLength)
	}
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", proto: "HTTP/1.0", body: "abc", chunked: true}, 400, "invalid_request")
	r := s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", proto: "HTTP/1.0", header: []string{"Connection: keep-alive"}, body: "abc"}, 201, "")
	if !r.Close {
		t.Error("an HTTP/1.0 connection stays open behind a body")
	}
}

func TestTruncatedBody(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: "abc", length: "10", cut: true}, 400, "incomplete_body")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: "abc", chunked: true, cut: true}, 400, "incomplete_body")
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/k"}, 404, "object_not_exists")
}

func TestStalledBody(t *testing.T) {
	s := start(t, func(o *options) { o.ReadStall = 50_000_000 }) // 50 ms
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: "abc", length: "10"}, 400, "incomplete_body")
}

func TestZoneDiscovery(t *testing.T) {
	s := start(t, nil)
	tests := []struct {
		name, host, path string
		status           int
		location         string
	}{
		{"virtual host", "my-bucket.cistern.local:9000", "/", 307, "http://my-bucket.pek3a.cistern.local:9000/"},
		{"path style on the domain", "cistern.local:9000", "/my-bucket", 301, "http://pek3a.cistern.local:9000/my-bucket"},
		{"path style with a slash", "cistern.local", "/my-bucket/", 301, "http://pek3a.cistern.local/my-bucket"},
		{"a zone is known", "pek3a.cistern.local", "/my-bucket", 404, ""},
		{"an address has no zone", "127.0.0.1:9000", "/my-bucket", 404, ""},
		{"an object", "my-bucket.cistern.local", "/k", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.send(message{method: "HEAD", path: tt.path, host: tt.host})
			if r.StatusCode != tt.status && !(tt.status == 404 && r.StatusCode == 403) || r.Header.Get("Location") != tt.location {
				t.Errorf("HEAD = %d to %q, want %d to %q", r.StatusCode, r.Header.Get("Location"), tt.status, tt.location)
			}
		})
	}
	// A signed one is a HEAD Bucket.
	m := message{as: "ALICE", method: "HEAD", path: "/my-bucket", host: "cistern.local"}
	s.want(m, 404, "bucket_not_exists")
}

func TestVirtualHost(t *testing.T) {
	s := start(t, nil)
	host := "my-bucket.sh1a.cistern.local:9000"
	s.want(message{as: "ALICE", method: "PUT", path: "/", host: host, bucket: "my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/k", host: host, bucket: "my-bucket", body: "x"}, 201, "")
	s.want(message{as: "ALICE", method: "GET", path: "/?acl=", host: host, bucket: "my-bucket"}, 200, "")
	// What was signed for one bucket is nothing for another.
	s.want(message{as: "ALICE", method: "GET", path: "/k", host: "other-bucket.sh1a.cistern.local", bucket: "my-bucket"}, 401, "signature_not_matched")
	r := s.want(message{as: "ALICE", method: "GET", path: "/", host: "sh1a.cistern.local"}, 200, "")
	if !strings.Contains(r.body, `"location":"sh1a","url":"http://my-bucket.sh1a.cistern.local"`) {
		t.Errorf("list = %s, want the bucket in its zone", r.body)
	}
}

func TestEveryRouteChecksTheSignature(t *testing.T) {
	s := start(t, nil)
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"} {
		for _, path := range []string{"/", "/my-bucket", "/my-bucket?acl", "/my-bucket?mirror", "/my-bucket?stats", "/my-bucket?unknown", "/my-bucket/k", "/my-bucket/k?uploads"} {
			s.want(message{method: method, path: path, auth: "QS ALICE:cvxOT8lITsA3icxS/vPWTNZm3+NJ74W0uJ+BA/i4U1Y="}, 401, "signature_not_matched")
		}
	}
}

func TestLogHoldsNoCredentials(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.reps.next(t)
	s.send(message{method: "GET", path: "/my-bucket/a%0A%7B%22level%22:1%7D?access_key_id=ALICE&expires=9999999999&signature=c2VjcmV0"})
	if rep := s.reps.next(t); rep.Status != 401 || rep.Code != "signature_not_matched" {
		t.Errorf("report = %+v, want 401 signature_not_matched", rep)
	}
	log := s.log.String()
	for _, secret := range []string{"signature=", "c2VjcmV0", "Authorization", "secret-", "QS ALICE"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want one a request:\n%s", len(lines), log)
	}
	var entry map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &entry); err != nil {
		t.Fatal(err)
	}
	if entry["key"] != "a\n{\"level\":1}" || entry["bucket"] != "my-bucket" || entry["code"] != "signature_not_matched" || entry["method"] != http.MethodGet {
		t.Errorf("line = %v", entry)
	}
}

func TestReportCounts(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.reps.next(t)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/k", body: "0123456789"}, 201, "")
	if rep := s.reps.next(t); rep.Operation != "PUT Object" || rep.Received != 10 || rep.Status != 201 || rep.Cache != 0 {
		t.Errorf("PUT: %+v", rep)
	}
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/k", header: []string{"Range: bytes=0-3"}}, 206, "")
	if rep := s.reps.next(t); rep.Operation != "GET Object" || rep.Sent != 4 || rep.Status != 206 || rep.Cache == 0 || rep.FirstByte <= 0 || rep.Duration < rep.FirstByte {
		t.Errorf("GET: %+v", rep)
	}
}
