package qsapi_test

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/sign"
)

func bind(domain, kind string) string { return `{"domain":"` + domain + `","type":"` + kind + `"}` }

func TestCNAMESetting(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "BOB", method: "PUT", path: "/bobs-bucket"}, 201, "")
	list := func(path, want string) {
		t.Helper()
		r := s.want(message{as: "ALICE", method: "GET", path: path}, 200, "")
		got := regexp.MustCompile(`"created":"[^"]*Z"`).ReplaceAllString(r.body, `"created":"<time>"`)
		if got != want {
			t.Errorf("GET %s = %s, want %s", path, got, want)
		}
	}
	list("/my-bucket?cname", `{"cname_records":[],"count":0}`)
	s.set("ALICE", "/my-bucket?cname=", `{"domain":"Img.Example.com.","type":null}`)
	s.set("ALICE", "/my-bucket?cname", bind("www.example.com", "website"))
	s.set("ALICE", "/my-bucket?cname", bind("www.example.com", "website"))
	list("/my-bucket?cname", `{"cname_records":[{"created":"<time>","domain":"img.example.com","type":"normal"}],"count":1}`)
	list("/my-bucket?cname&type=website", `{"cname_records":[{"created":"<time>","domain":"www.example.com","type":"website"}],"count":1}`)
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?cname&type=other"}, 400, "invalid_argument")

	put := func(as, body string, status int, code string) string {
		t.Helper()
		return s.want(message{as: as, method: "PUT", path: "/" + map[string]string{"ALICE": "my-bucket", "BOB": "bobs-bucket", "OPERATOR": "bobs-bucket"}[as] + "?cname", header: []string{jsonType}, body: body}, status, code).body
	}
	if body := put("BOB", bind("IMG.example.com", "normal"), 409, "domain_occupied"); strings.Contains(body, "my-bucket") {
		t.Errorf("BOB is told whose the domain is: %s", body)
	}
	if body := put("OPERATOR", bind("img.example.com", "normal"), 409, "domain_occupied"); !strings.Contains(body, `my-bucket`) {
		t.Errorf("the operator is not told whose the domain is: %s", body)
	}
	for _, domain := range []string{"cistern.local", "www.cistern.local", "my-bucket.pek3a.CISTERN.local.", "127.0.0.1", "pek3a.127.0.0.1", "[::1]", "::1", "a.0x7f", "localhost", "a.localhost",
		"no-dot", "a..b", "-a.example.com", "a-.example.com", "a_b.example.com", "a.example.com:80", "*.example.com", "http://a.example.com", "a.example.com/x", "中文.example.com", "a b.example.com",
		strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 127) + "aa", ""} {
		put("ALICE", bind(domain, "normal"), 400, "cname_error")
	}
	put("ALICE", `{"type":"normal"}`, 400, "invalid_argument")
	put("ALICE", bind("a.example.com", "proxy"), 400, "invalid_argument")
	put("ALICE", `{"domain":"a.example.com","kind":"normal"}`, 400, "invalid_argument")

	remove := func(as, bucket, domain string, status int, code string) {
		t.Helper()
		s.want(message{as: as, method: "DELETE", path: "/" + bucket + "?cname", header: []string{jsonType}, body: `{"domain":"` + domain + `"}`}, status, code)
	}
	remove("BOB", "my-bucket", "img.example.com", 403, "permission_denied")
	remove("BOB", "bobs-bucket", "img.example.com", 204, "") // it is not its, and stays where it is
	put("BOB", bind("img.example.com", "normal"), 409, "domain_occupied")
	remove("OPERATOR", "my-bucket", "IMG.example.com", 204, "")
	put("BOB", bind("img.example.com", "normal"), 200, "")
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?cname"}, 400, "invalid_json")
	s.want(message{as: "BOB", method: "GET", path: "/my-bucket?cname"}, 403, "permission_denied")

	// A bucket that goes leaves its domains.
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket"}, 204, "")
	put("BOB", bind("www.example.com", "normal"), 200, "")
}

// What names a bucket to everybody is not given away by those who own one, unless the operator said so.
func TestOnlyTheOperatorBindsByDefault(t *testing.T) {
	s := startCore(t, func(o *cistern.Options) { o.OwnersBind = false }, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket?cname", header: []string{jsonType}, body: bind("img.example.com", "normal")}, 403, "permission_denied")
	s.set("OPERATOR", "/my-bucket?cname", bind("img.example.com", "normal"))
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket?cname"}, 200, "")
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?cname", header: []string{jsonType}, body: bind("img.example.com", "normal")[:27] + "}"}, 204, "")
}

func TestOwnDomain(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/dir/k", body: "abc"}, 201, "")
	const host = "img.example.com:9000"
	// Nobody has it yet: path style.
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/dir/k", host: host}, 200, "")
	s.set("ALICE", "/my-bucket?cname", bind("img.example.com", "normal"))

	for _, signed := range []string{"my-bucket", "img.example.com"} {
		r := s.want(message{as: "ALICE", method: "GET", path: "/dir/k", host: host, bucket: signed}, 200, "")
		if r.body != "abc" {
			t.Errorf("GET signed for %s = %q, want abc", signed, r.body)
		}
		s.want(message{as: "ALICE", method: "GET", path: "/", host: host, bucket: signed}, 200, "")
		s.want(message{as: "ALICE", method: "GET", path: "/?acl", host: host, bucket: signed}, 200, "")
		s.want(message{as: "ALICE", method: "PUT", path: "/up", host: host, bucket: signed, body: "x"}, 201, "")
	}
	s.want(message{as: "ALICE", method: "GET", path: "/dir/k", host: host}, 401, "signature_not_matched")                        // signed for a bucket dir
	s.want(message{as: "ALICE", method: "GET", path: "/dir/k", host: host, bucket: "bobs-bucket"}, 401, "signature_not_matched") // and for another one
	s.want(message{as: "ALICE", method: "GET", path: "/dir/k", host: "other.example.com", bucket: "my-bucket"}, 401, "signature_not_matched")
	s.want(message{method: "GET", path: "/dir/k", host: host}, 403, "permission_denied")
	s.set("ALICE", "/my-bucket?acl", everybodyReads)
	s.want(message{method: "GET", path: "/dir/k", host: strings.ToUpper(host)}, 200, "")
	s.want(message{method: "GET", path: "/dir/k", host: "img.example.com."}, 200, "")
	s.want(message{method: "GET", path: "/", host: host}, 403, "permission_denied") // its root is a list, which an access control list gives nobody
	s.want(message{method: "HEAD", path: "/", host: host}, 403, "permission_denied")
	s.want(message{method: "GET", path: "/-/healthz", host: host}, 404, "object_not_exists")

	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket?cname", header: []string{jsonType}, body: `{"domain":"img.example.com"}`}, 204, "")
	s.want(message{method: "GET", path: "/dir/k", host: host}, 404, "bucket_not_exists")
}

const everybodyReads = `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"READ"}]}`

func TestWebsite(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	for key, body := range map[string]string{"index.html": "home", "docs/index.html": "docs", "error.html": "sorry", "a.css": "css", "docs/": "a folder"} {
		s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/" + key, header: []string{"Content-Type: text/html", "Cache-Control: max-age=60"}, body: body}, 201, "")
	}
	s.set("ALICE", "/my-bucket?cname", bind("www.example.com", "website"))
	get := func(method, path string, status int, body string, header ...string) reply {
		t.Helper()
		r := s.send(message{method: method, path: path, host: "www.example.com", header: header})
		if r.StatusCode != status || r.body != body {
			t.Errorf("%s %s = %d %q, want %d %q", method, path, r.StatusCode, r.body, status, body)
		}
		return r
	}
	// It is not public yet, and neither is its error page.
	s.want(message{method: "GET", path: "/", host: "www.example.com"}, 403, "permission_denied")
	s.set("ALICE", "/my-bucket?acl", everybodyReads)
	r := get("GET", "/", 200, "home")
	if h := r.Header; h.Get("Content-Type") != "text/html" || h.Get("Etag") == "" || h.Get("Cache-Control") != "max-age=60" {
		t.Errorf("GET / has %v, want the header of an object", h)
	}
	get("GET", "/docs/", 200, "docs")
	get("GET", "/a.css?v=3&utm_source=x&acl&mirror=", 200, "css")
	get("HEAD", "/docs/", 200, "")
	get("GET", "/docs/", 206, "oc", "Range: bytes=1-2")
	get("GET", "/docs/", 304, "", "If-None-Match: *")
	s.want(message{method: "GET", path: "/docs/", host: "www.example.com", header: []string{`If-Match: "x"`}}, 412, "precondition_failed")
	r = get("GET", "/none", 404, "sorry")
	if h := r.Header; h.Get("Content-Type") != "text/html" || h.Get("Etag")+h.Get("Last-Modified")+h.Get("Cache-Control") != "" {
		t.Errorf("the error page has %v, want no validators", h)
	}
	get("GET", "/none/", 404, "sorry")
	get("GET", "/none", 404, "sorry", "Range: bytes=0-1")
	if r := get("HEAD", "/none", 404, ""); r.ContentLength != 5 {
		t.Errorf("HEAD of what is not there has length %d, want 5", r.ContentLength)
	}
	for _, method := range []string{"PUT", "POST", "DELETE", "PATCH"} {
		r := s.want(message{method: method, path: "/a.css", host: "www.example.com"}, 405, "method_not_allowed")
		if r.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: Allow = %q", method, r.Header.Get("Allow"))
		}
	}
	// The owner's own requests change nothing here either, and list nothing.
	s.want(message{as: "ALICE", method: "DELETE", path: "/a.css", host: "www.example.com", bucket: "my-bucket"}, 405, "method_not_allowed")
	if r := s.send(message{as: "ALICE", method: "GET", path: "/?acl", host: "www.example.com", bucket: "my-bucket"}); r.body != "home" {
		t.Errorf("GET /?acl = %d %q, want the home page", r.StatusCode, r.body)
	}
	// CORS is for pages, too.
	s.set("ALICE", "/my-bucket?cors", corsDoc)
	if r := get("GET", "/none", 404, "sorry", "Origin: https://a.example.com"); r.Header.Get("Access-Control-Allow-Origin") != "https://a.example.com" {
		t.Errorf("an error page to another origin has %q", crossHeaders(r.Header))
	}
	if r := s.want(message{method: "OPTIONS", path: "/a.css", host: "www.example.com", header: []string{"Origin: https://a.example.com", "Access-Control-Request-Method: GET"}}, 200, ""); r.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("a page cannot be asked for by another origin's")
	}
	// Without an error page the error is the API's.
	s.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket/error.html"}, 204, "")
	s.want(message{method: "GET", path: "/none", host: "www.example.com"}, 404, "object_not_exists")
	// What only the owner may read, a signed link shows.
	s.set("ALICE", "/my-bucket?acl", `{"acl":[]}`)
	link := sign.Query(sign.Request{Method: "GET", Path: "/a.css", Bucket: "my-bucket", Header: http.Header{}}, "ALICE", "secret-alice", now.Unix()+60)
	s.want(message{method: "GET", path: "/a.css?" + link, host: "www.example.com"}, 200, "")
	s.want(message{method: "GET", path: "/a.css", host: "www.example.com"}, 403, "permission_denied")
}

// The pages of a website come from the bucket's source like any object.
func TestWebsiteFillsItself(t *testing.T) {
	s := mirrored(t, func(w http.ResponseWriter, r *http.Request) {
		pages := map[string]string{"/base/index.html": "home", "/base/docs/index.html": "docs", "/base/error.html": "sorry"}
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		io.WriteString(w, page)
	})
	s.set("OPERATOR", "/mirrored?cname", bind("www.example.com", "website"))
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{{"/", 200, "home"}, {"/docs/", 200, "docs"}, {"/none", 404, "sorry"}, {"/none/", 404, "sorry"}, {"/", 200, "home"}, {"/none", 404, "sorry"}} {
		r := s.send(message{method: "GET", path: tt.path, host: "www.example.com"})
		if r.StatusCode != tt.status || r.body != tt.body || r.Header.Get("Content-Type") != "text/html" {
			t.Errorf("GET %s = %d %q, want %d %q", tt.path, r.StatusCode, r.body, tt.status, tt.body)
		}
	}
}

func TestWebsitePages(t *testing.T) {
	s := start(t, func(o *options) { o.WebsiteIndex, o.WebsiteError = "home.htm", "oops/404.htm" })
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	s.set("ALICE", "/my-bucket?acl", everybodyReads)
	s.set("ALICE", "/my-bucket?cname", bind("www.example.com", "website"))
	for key, body := range map[string]string{"home.htm": "home", "oops/404.htm": "sorry"} {
		s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/" + key, body: body}, 201, "")
	}
	if r := s.want(message{method: "GET", path: "/", host: "www.example.com"}, 200, ""); r.body != "home" {
		t.Errorf("GET / = %q, want home", r.body)
	}
	if r := s.want(message{method: "GET", path: "/x", host: "www.example.com"}, 404, ""); r.body != "sorry" {
		t.Errorf("GET /x = %q, want sorry", r.body)
	}
}
