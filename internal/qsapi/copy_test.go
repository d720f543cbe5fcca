package qsapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bench is a server with the bucket my-bucket of ALICE.
func startBench(t *testing.T) *site {
	t.Helper()
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	return s
}

// put stores body under the escaped path, as ALICE.
func (s *site) put(path, body string, header ...string) reply {
	s.t.Helper()
	return s.want(message{as: "ALICE", method: "PUT", path: path, header: header, body: body}, 201, "")
}

// wantObject reads the object at the escaped path, as ALICE.
func (s *site) wantObject(path, body string, header ...string) reply {
	s.t.Helper()
	r := s.want(message{as: "ALICE", method: "GET", path: path, header: header}, 200, "")
	if r.body != body {
		s.t.Errorf("GET %s = %d bytes, want %d", path, len(r.body), len(body))
	}
	return r
}

func (s *site) wantNone(path string) {
	s.t.Helper()
	s.want(message{as: "ALICE", method: "GET", path: path}, 404, "object_not_exists")
}

// from is a PUT that takes its object from elsewhere, as ALICE.
func from(path string, header ...string) message {
	return message{as: "ALICE", method: "PUT", path: path, header: header}
}

func TestCopy(t *testing.T) {
	s := startBench(t)
	large := strings.Repeat("0123456789", 30_000)
	put := s.put("/my-bucket/dir/from", large, "Content-Type: text/plain", "x-qs-meta-colour: blue", "Cache-Control: max-age=60",
		"Content-Disposition: attachment", "Content-Language: de", "Expires: Wed, 10 Dec 2036 17:20:31 GMT", "x-qs-storage-class: STANDARD_IA")
	etag := put.Header.Get("ETag")

	// Clients send a Content-Type with every PUT: a copy keeps that of its source, and everything else.
	r := s.want(from("/my-bucket/to", "x-qs-copy-source: /my-bucket/dir/from", "Content-Type: application/octet-stream", "x-qs-meta-other: x"), 201, "")
	if r.Header.Get("ETag") != etag || r.body != "" || r.Header.Get("Content-Length") != "0" {
		t.Errorf("copy = ETag %s, %q, want that of the source, %s, and no body", r.Header.Get("ETag"), r.body, etag)
	}
	describes := func(path string, want map[string]string) {
		t.Helper()
		h := s.wantObject(path, large).Header
		for name, value := range want {
			if h.Get(name) != value {
				t.Errorf("%s: %s = %q, want %q", path, name, h.Get(name), value)
			}
		}
	}
	describes("/my-bucket/to", map[string]string{
		"Content-Type": "text/plain", "x-qs-meta-colour": "blue", "x-qs-meta-other": "", "Cache-Control": "max-age=60", "Content-Disposition": "attachment",
		"Content-Language": "de", "Expires": "Wed, 10 Dec 2036 17:20:31 GMT", "x-qs-storage-class": "STANDARD_IA", "ETag": etag,
	})
	// COPY is what Go's client says, copy what the documentation does.
	for _, directive := range []string{"copy", "COPY"} {
		s.want(from("/my-bucket/to", "x-qs-copy-source: /my-bucket/dir/from", "x-qs-metadata-directive: "+directive, "x-qs-storage-class: STANDARD"), 201, "")
		describes("/my-bucket/to", map[string]string{"Content-Type": "text/plain", "x-qs-storage-class": "STANDARD"})
	}
	for _, directive := range []string{"replace", "REPLACE"} {
		s.want(from("/my-bucket/to", "x-qs-copy-source: /my-bucket/dir/from", "x-qs-metadata-directive: "+directive, "x-qs-meta-new: n", "Content-Encoding: br"), 201, "")
		describes("/my-bucket/to", map[string]string{
			"Content-Type": "application/octet-stream", "x-qs-meta-colour": "", "x-qs-meta-new": "n", "Cache-Control": "", "Content-Encoding": "br",
			"x-qs-storage-class": "STANDARD_IA", "ETag": etag,
		})
	}
	describes("/my-bucket/dir/from", map[string]string{"Content-Type": "text/plain", "x-qs-meta-colour": "blue", "ETag": etag})

	// Over an object that is there, and of an empty one.
	s.put("/my-bucket/empty", "")
	s.want(from("/my-bucket/to", "x-qs-copy-source: my-bucket/empty"), 201, "")
	s.wantObject("/my-bucket/to", "")
	// Several clients send a body that turns out to be empty.
	chunked := from("/my-bucket/to", "x-qs-copy-source: /my-bucket/dir/from")
	chunked.chunked = true
	s.want(chunked, 201, "")
}

func TestCopyIsRefused(t *testing.T) {
	s := startBench(t)
	s.put("/my-bucket/from", "from")
	s.put("/my-bucket/to", "to")
	for _, tt := range []struct {
		name   string
		m      message
		status int
		code   string
	}{
		{"no such source", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/none"), 404, "object_not_exists"},
		{"no such bucket of the source", from("/my-bucket/to", "x-qs-copy-source: /no-bucket/from"), 404, "bucket_not_exists"},
		{"no such bucket", from("/no-bucket/to", "x-qs-copy-source: /my-bucket/from"), 404, "bucket_not_exists"},
		{"no source", from("/my-bucket/to", "x-qs-copy-source: "), 400, "invalid_argument"},
		{"no key", from("/my-bucket/to", "x-qs-copy-source: /my-bucket"), 400, "invalid_argument"},
		{"an empty key", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/"), 400, "invalid_argument"},
		{"no bucket", from("/my-bucket/to", "x-qs-copy-source: /"), 400, "invalid_argument"},
		{"a key that is too long", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/"+strings.Repeat("k", 1024)), 400, "invalid_argument"},
		{"a key that is no UTF-8", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/%ff%fe"), 404, "object_not_exists"}, // as it stands it is a key
		{"a directive that is none", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/from", "x-qs-metadata-directive: merge"), 400, "invalid_argument"},
		{"a class that is none", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/from", "x-qs-storage-class: COLD"), 400, "invalid_request"},
		{"metadata that is too large", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/from", "x-qs-metadata-directive: replace",
			"x-qs-meta-a: "+strings.Repeat("v", 2048)), 400, "metadata_too_large"},
		{"a body", message{as: "ALICE", method: "PUT", path: "/my-bucket/to", header: []string{"x-qs-copy-source: /my-bucket/from"}, body: "x"}, 400, "invalid_request"},
		{"a copy and a move", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/from", "x-qs-move-source: /my-bucket/from"), 400, "invalid_request"},
		{"a copy and a fetch", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/from", "x-qs-fetch-source: http://example.com/"), 400, "invalid_request"},
		{"a condition without a source", message{as: "ALICE", method: "PUT", path: "/my-bucket/to", header: []string{`x-qs-copy-source-if-match: "x"`}, body: "x"}, 400, "invalid_request"},
		{"a header that nobody knows", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/from", "x-qs-copy-source-version: 1"), 400, "invalid_argument"},
		{"a range", from("/my-bucket/to", "x-qs-copy-source: /my-bucket/from", "x-qs-copy-range: bytes=0-1"), 400, "invalid_argument"},
		{"a key of the source that needs none", from("/my-bucket/to", append(keyHeaders("x-qs-copy-source-", 'x'), "x-qs-copy-source: /my-bucket/from")...), 400, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.want(tt.m, tt.status, tt.code)
			s.wantObject("/my-bucket/to", "to")
			s.wantObject("/my-bucket/from", "from")
		})
	}
}

// The forms in which clients send one and the same source.
func TestCopySourceForms(t *testing.T) {
	s := startBench(t)
	keys := []string{
		"plain", "a b", "a+b", "a%b", "100%", "!@#$%^&*()`~", "?x=y&z#f", "中文/キー", "dir//double", "/lead", "trail/", "%41", "a%2Fb", "😀", "back\\slash", "=;,",
	}
	escape := func(key string) string { return strings.ReplaceAll(url.PathEscape(key), "%2F", "/") }
	for i, key := range keys {
		s.put("/my-bucket/"+escape(key), key+" ")
		forms := map[string]string{
			"documented": "/my-bucket/" + escape(key),          // Python and JavaScript
			"as forms":   "/my-bucket/" + url.QueryEscape(key), // go-storage
			"all of it":  strings.ReplaceAll(url.PathEscape("/my-bucket/"+key), "+", "%2B"),
		}
		if !strings.Contains(key, "%41") && !strings.Contains(key, "%2F") { // an ASCII key that reads as an escape cannot be sent as it is
			forms["as it is"] = "/my-bucket/" + key // Go, where it is ASCII
		}
		for name, value := range forms {
			to := fmt.Sprintf("/my-bucket/to-%d", i)
			s.want(from(to, "x-qs-copy-source: "+value), 201, "")
			s.wantObject(to, key+" ")
			s.want(message{as: "ALICE", method: "DELETE", path: to}, 204, "")
			if t.Failed() {
				t.Fatalf("key %q, %s: %s", key, name, value)
			}
		}
	}
	// Where several readings are there, the documented one is meant.
	s.put("/my-bucket/A", "decoded")
	s.want(from("/my-bucket/to", "x-qs-copy-source: /my-bucket/%41"), 201, "")
	s.wantObject("/my-bucket/to", "decoded")
	s.want(from("/my-bucket/to", "x-qs-copy-source: /my-bucket/a+b"), 201, "")
	s.wantObject("/my-bucket/to", "a+b ")
}

func TestSourceConditions(t *testing.T) {
	s := startBench(t)
	etag := s.put("/my-bucket/from", "from").Header.Get("ETag")
	past, future := now.AddDate(-20, 0, 0).Format(http.TimeFormat), time.Now().AddDate(20, 0, 0).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		condition string
		status    int
		code      string
	}{
		{"if-match: " + etag, 201, ""},
		{"if-match: " + strings.Trim(etag, `"`), 201, ""},
		{"if-match: " + strings.ReplaceAll(etag, `"`, "%22"), 201, ""},
		{`if-match: "other"`, 412, "precondition_failed"},
		{`if-none-match: "other"`, 201, ""},
		{"if-none-match: " + etag, 412, "precondition_failed"},
		{"if-none-match: *", 412, "precondition_failed"},
		{"if-modified-since: " + past, 201, ""},
		{"if-modified-since: " + future, 412, "precondition_failed"},
		{"if-unmodified-since: " + future, 201, ""},
		{"if-unmodified-since: " + strings.ReplaceAll(future, " ", "%20"), 201, ""},
		{"if-unmodified-since: " + past, 412, "precondition_failed"},
		{"if-unmodified-since: yesterday", 400, "invalid_argument"},
	} {
		for _, mode := range []string{"copy", "move"} {
			s.put("/my-bucket/to", "to")
			s.want(from("/my-bucket/to", "x-qs-"+mode+"-source: /my-bucket/from", "x-qs-"+mode+"-source-"+tt.condition), tt.status, tt.code)
			if tt.status == 201 {
				s.wantObject("/my-bucket/to", "from")
				s.put("/my-bucket/from", "from")
			} else {
				s.wantObject("/my-bucket/to", "to")
				s.wantObject("/my-bucket/from", "from")
			}
			if t.Failed() {
				t.Fatalf("%s, %s", mode, tt.condition)
			}
		}
	}
}

func TestCopyOntoItself(t *testing.T) {
	s := startBench(t)
	large := strings.Repeat("0123456789", 30_000)
	etag := s.put("/my-bucket/k", large, "Content-Type: text/plain", "x-qs-meta-a: 1").Header.Get("ETag")
	const itself = "x-qs-copy-source: /my-bucket/k"
	s.want(from("/my-bucket/k", itself, "x-qs-storage-class: STANDARD_IA"), 201, "")
	h := s.wantObject("/my-bucket/k", large).Header
	if h.Get("x-qs-storage-class") != "STANDARD_IA" || h.Get("Content-Type") != "text/plain" || h.Get("x-qs-meta-a") != "1" || h.Get("ETag") != etag {
		t.Errorf("after a change of the class: %v", h)
	}
	s.want(from("/my-bucket/k", itself, "x-qs-metadata-directive: REPLACE", "Content-Type: text/html", "x-qs-meta-b: 2"), 201, "")
	h = s.wantObject("/my-bucket/k", large).Header
	if h.Get("x-qs-storage-class") != "STANDARD_IA" || h.Get("Content-Type") != "text/html" || h.Get("x-qs-meta-a") != "" || h.Get("x-qs-meta-b") != "2" || h.Get("ETag") != etag {
		t.Errorf("after new metadata: %v", h)
	}
	s.want(from("/my-bucket/k", itself, "x-qs-metadata-directive: replace", `x-qs-copy-source-if-match: "other"`), 412, "precondition_failed")
	// With nothing to change it is newer, and all else stays. rclone sends a type along, which counts only for replace.
	s.want(from("/my-bucket/k", itself, "Content-Type: text/csv"), 201, "")
	s.want(from("/my-bucket/k", itself, "x-qs-metadata-directive: copy"), 201, "")
	h = s.wantObject("/my-bucket/k", large).Header
	if h.Get("Content-Type") != "text/html" || h.Get("x-qs-meta-b") != "2" || h.Get("ETag") != etag {
		t.Errorf("after a copy that changes nothing: %v", h)
	}
	s.want(from("/my-bucket/none", "x-qs-copy-source: /my-bucket/none", "x-qs-metadata-directive: replace"), 404, "object_not_exists")
}

func TestMove(t *testing.T) {
	s := startBench(t)
	s.want(message{as: "ALICE", method: "PUT", path: "/other-bucket"}, 201, "")
	large := strings.Repeat("0123456789", 30_000)
	etag := s.put("/my-bucket/from", large, "Content-Type: text/plain", "x-qs-meta-colour: blue").Header.Get("ETag")
	s.put("/other-bucket/a%20b", "over")
	r := s.want(from("/other-bucket/a%20b", "x-qs-move-source: /my-bucket/from", "Content-Type: application/octet-stream"), 201, "")
	if r.Header.Get("ETag") != etag {
		t.Errorf("ETag = %s, want that of the source, %s", r.Header.Get("ETag"), etag)
	}
	h := s.wantObject("/other-bucket/a%20b", large).Header
	if h.Get("Content-Type") != "text/plain" || h.Get("x-qs-meta-colour") != "blue" || h.Get("ETag") != etag {
		t.Errorf("the object moved is described by %v", h)
	}
	s.wantNone("/my-bucket/from")
	s.want(from("/my-bucket/back", "x-qs-move-source: /other-bucket/a b", "x-qs-storage-class: STANDARD_IA"), 201, "")
	if h := s.wantObject("/my-bucket/back", large).Header; h.Get("x-qs-storage-class") != "STANDARD_IA" {
		t.Errorf("x-qs-storage-class = %q, want the one that was asked for", h.Get("x-qs-storage-class"))
	}
	s.want(message{as: "ALICE", method: "DELETE", path: "/other-bucket"}, 204, "") // nothing is left there

	s.want(from("/my-bucket/to", "x-qs-move-source: /my-bucket/none"), 404, "object_not_exists")
	s.want(from("/my-bucket/to", "x-qs-move-source: /other-bucket/k"), 404, "bucket_not_exists")
	s.want(from("/my-bucket/back", "x-qs-move-source: /my-bucket/back"), 400, "invalid_request")
	s.want(from("/my-bucket/to", append(keyHeaders("x-qs-", 'x'), "x-qs-move-source: /my-bucket/back")...), 400, "invalid_request")
	s.want(from("/my-bucket/to", "x-qs-move-source: /my-bucket/back", "x-qs-move-source-if-range: x"), 400, "invalid_argument")
	s.wantObject("/my-bucket/back", large)
}

// A copy needs the right to read its source, a move that to delete it, too, and both that to write their target.
func TestRightsOfCopyAndMove(t *testing.T) {
	s := startBench(t)
	acl := func(path, group, bob string) {
		t.Helper()
		s.want(message{as: "ALICE", method: "PUT", path: path + "?acl", body: `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"` + group +
			`"},{"grantee":{"type":"user","id":"bob"},"permission":"` + bob + `"}]}`}, 200, "")
	}
	s.want(message{as: "ALICE", method: "PUT", path: "/target-bucket"}, 201, "")
	s.want(message{as: "BOB", method: "PUT", path: "/bobs-bucket"}, 201, "")
	for _, tt := range []struct {
		name, mode, as, to string
		group, bob         string // what they may do with the source's bucket
		status             int
	}{
		{"the owner of both", "move", "ALICE", "/target-bucket/to", "READ", "READ", 201},
		{"a reader into his own bucket", "copy", "BOB", "/bobs-bucket/to", "READ", "READ", 201},
		{"a reader moves", "move", "BOB", "/bobs-bucket/to", "READ", "READ", 403},
		{"a writer who may not read copies", "copy", "BOB", "/bobs-bucket/to", "READ", "WRITE", 403},
		{"a writer who may not read moves", "move", "BOB", "/bobs-bucket/to", "READ", "WRITE", 403},
		{"one with full control moves", "move", "BOB", "/bobs-bucket/to", "READ", "FULL_CONTROL", 201},
		{"a reader into a bucket that is not his", "copy", "BOB", "/target-bucket/to", "READ", "READ", 403},
		{"nobody, from a public bucket", "copy", "", "/target-bucket/to", "READ", "READ", 403},
		{"nobody moves in a bucket open to all", "move", "", "/my-bucket/to", "FULL_CONTROL", "READ", 403},
		{"nobody copies in a bucket open to all", "copy", "", "/my-bucket/to", "FULL_CONTROL", "READ", 201},
		{"a stranger", "copy", "CAROL", "/my-bucket/to", "READ", "READ", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.put("/my-bucket/from", "from")
			acl("/my-bucket", tt.group, tt.bob)
			code := ""
			if tt.status == 403 {
				code = "permission_denied"
			}
			s.want(message{as: tt.as, method: "PUT", path: tt.to, header: []string{"x-qs-" + tt.mode + "-source: /my-bucket/from"}}, tt.status, code)
			if tt.status == 403 {
				s.wantObject("/my-bucket/from", "from")
			}
		})
	}
}

// What is missing at the source of a copy is filled first: a copy reads.
func TestCopyOfWhatOnlyTheSourceHas(t *testing.T) {
	text := strings.Repeat("0123456789", 30_000)
	s := mirrored(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/there" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(text))
	})
	for _, mode := range []string{"copy", "move"} {
		s.want(message{as: "OPERATOR", method: "PUT", path: "/mirrored/" + mode, header: []string{"x-qs-" + mode + "-source: /mirrored/there"}}, 201, "")
		r := s.want(message{method: "GET", path: "/mirrored/" + mode}, 200, "")
		if r.body != text || r.Header.Get("ETag") != `"v1"` || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s = %d bytes, %v", mode, len(r.body), r.Header)
		}
		if r := s.want(message{as: "OPERATOR", method: "HEAD", path: "/mirrored/" + mode}, 200, ""); r.Header.Get("Cistern-Source-Url") != "" {
			t.Errorf("%s is said to come from %s, which is another key's address", mode, r.Header.Get("Cistern-Source-Url"))
		}
		s.want(message{as: "OPERATOR", method: "PUT", path: "/mirrored/to", header: []string{"x-qs-" + mode + "-source: /mirrored/none"}}, 404, "object_not_exists")
	}
}

func TestCopyAndEncryption(t *testing.T) {
	s := startBench(t)
	text := strings.Repeat("0123456789", 30_000)
	key, source := keyHeaders("x-qs-", 'x'), keyHeaders("x-qs-copy-source-", 'x')
	other, wrong := keyHeaders("x-qs-", 'y'), keyHeaders("x-qs-copy-source-", 'y')
	plain := s.put("/my-bucket/plain", text).Header.Get("ETag")
	sealed := s.put("/my-bucket/sealed", text, key...).Header.Get("ETag")
	with := func(path string, headers ...[]string) message {
		m := from(path)
		for _, h := range headers {
			m.header = append(m.header, h...)
		}
		return m
	}
	ofPlain, ofSealed := []string{"x-qs-copy-source: /my-bucket/plain"}, []string{"x-qs-copy-source: /my-bucket/sealed"}

	r := s.want(with("/my-bucket/a", ofPlain, key), 201, "")
	if r.Header.Get("ETag") == plain || r.Header.Get("x-qs-encryption-customer-algorithm") != "AES256" {
		t.Errorf("an encrypted copy has the headers %v; its ETag must not be that of the plain bytes", r.Header)
	}
	s.wantObject("/my-bucket/a", text, key...)
	// A copy does not carry the encryption over.
	r = s.want(with("/my-bucket/b", ofSealed, source), 201, "")
	if r.Header.Get("ETag") != plain || r.Header.Get("x-qs-encryption-customer-algorithm") != "" {
		t.Errorf("a plain copy has the headers %v, want the MD5 %s", r.Header, plain)
	}
	s.wantObject("/my-bucket/b", text)
	s.want(with("/my-bucket/c", ofSealed, source, other), 201, "")
	s.wantObject("/my-bucket/c", text, other...)
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/c", header: key}, 403, "permission_denied")

	s.want(with("/my-bucket/d", ofSealed), 400, "invalid_request")
	s.want(with("/my-bucket/d", ofSealed, wrong), 403, "permission_denied")
	s.want(with("/my-bucket/d", ofSealed, key), 400, "invalid_request")
	s.want(with("/my-bucket/d", ofSealed, source[:2]), 400, "invalid_argument")
	s.wantNone("/my-bucket/d")

	// Onto itself: the same key changes nothing of the bytes, another one all of them.
	s.want(with("/my-bucket/sealed", ofSealed, source, key, []string{"x-qs-metadata-directive: replace", "x-qs-meta-a: 1"}), 201, "")
	if r := s.wantObject("/my-bucket/sealed", text, key...); r.Header.Get("x-qs-meta-a") != "1" || r.Header.Get("ETag") != sealed {
		t.Errorf("after new metadata: %v", r.Header)
	}
	s.want(with("/my-bucket/sealed", ofSealed, source, key), 201, "")
	s.want(with("/my-bucket/sealed", ofSealed, wrong, key, []string{"x-qs-metadata-directive: replace"}), 403, "permission_denied")
	s.want(with("/my-bucket/sealed", ofSealed, source, other), 201, "")
	s.wantObject("/my-bucket/sealed", text, other...)
	s.want(with("/my-bucket/sealed", ofSealed, wrong), 201, "")
	s.wantObject("/my-bucket/sealed", text)
	s.want(with("/my-bucket/sealed", ofSealed, key), 201, "")
	s.wantObject("/my-bucket/sealed", text, key...)

	// A move needs no key and keeps the encryption.
	r = s.want(from("/my-bucket/moved", "x-qs-move-source: /my-bucket/sealed"), 201, "")
	if r.Header.Get("x-qs-encryption-customer-key-md5") != scenarioMD5 {
		t.Errorf("a move of an encrypted object answers %v", r.Header)
	}
	s.wantObject("/my-bucket/moved", text, key...)
	s.wantNone("/my-bucket/sealed")
}

// Conditions on a PUT are judged by what is there when the object takes its place.
func TestConditionalPut(t *testing.T) {
	s := startBench(t)
	put := func(body string, header ...string) message {
		return message{as: "ALICE", method: "PUT", path: "/my-bucket/k", header: header, body: body}
	}
	s.want(put("x", `If-Match: "x"`), 412, "precondition_failed")
	s.want(put("x", "If-Match: *"), 412, "precondition_failed")
	s.wantNone("/my-bucket/k")
	etag := s.want(put("one", "If-None-Match: *"), 201, "").Header.Get("ETag")
	s.want(put("two", "If-None-Match: *"), 412, "precondition_failed")
	s.want(put("two", "If-None-Match: "+etag), 412, "precondition_failed")
	s.want(put("two", `If-Match: "x"`), 412, "precondition_failed")
	s.wantObject("/my-bucket/k", "one")
	s.want(put("two", "If-Match: "+etag), 201, "")
	s.want(put("three", "If-Match: "+etag), 412, "precondition_failed")
	s.wantObject("/my-bucket/k", "two")

	// Of many that create it, one does.
	var wg sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		wg.Go(func() {
			m := put(fmt.Sprint(i), "If-None-Match: *")
			m.path = "/my-bucket/new"
			status[i] = s.send(m).StatusCode
		})
	}
	wg.Wait()
	slices.Sort(status)
	if status[0] != 201 || status[1] != 412 || status[7] != 412 {
		t.Errorf("PUTs at once with If-None-Match: * = %v, want one 201 and else 412", status)
	}
}
