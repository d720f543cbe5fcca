package conformance

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// Clients that cannot be installed where these tests run. Their requests are written out, byte by byte, as their sources build
// them, and signed as they sign: over what they send, by a signer that shares nothing with the server's.

// sent is a request as it goes over the wire.
type sent struct {
	method string
	target string   // path and query, as sent
	host   string   // "" is the server's address
	header []string // "Name: value", in order, without Host and Authorization
	body   string   // as sent, chunks and all

	signed string // what is signed for the resource; "" is target
	as     string // "header", the default; "none"
}

// do sends the request and returns the answer with its body read.
func (r sent) do(t *testing.T, s *server) (*http.Response, string) {
	t.Helper()
	if r.host == "" {
		r.host = s.host
	}
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r.method, r.target, r.host)
	for _, line := range r.header {
		text += line + "\r\n"
	}
	if r.as != "none" {
		text += "Authorization: QS " + keyID + ":" + signature(r.toSign("")) + "\r\n"
	}
	conn, err := net.Dial("tcp", s.host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text+"\r\n"+r.body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.method})
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.target, err)
	}
	return resp, readAll(t, resp.Body)
}

// toSign is the text that is signed; expires stands for the date in a link.
func (r sent) toSign(expires string) string {
	fields := map[string]string{}
	var own []string
	for _, line := range r.header {
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.TrimSpace(value)
		fields[name] = value
		if strings.HasPrefix(name, "x-qs-") {
			own = append(own, name)
		}
	}
	date := fields["date"]
	if expires != "" {
		date = expires
	} else if fields["x-qs-date"] != "" {
		date = ""
	}
	text := strings.Join([]string{r.method, fields["content-md5"], fields["content-type"], date}, "\n") + "\n"
	slices.Sort(own) // the names, not the lines: a colon is behind a hyphen
	for _, name := range own {
		text += name + ":" + fields[name] + "\n"
	}
	if r.signed == "" {
		return text + r.target
	}
	return text + r.signed
}

func signature(text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func date() string { return "Date: " + time.Now().UTC().Format(http.TimeFormat) }

// want sends the request and wants a status and, unless it is "-", a body.
func (r sent) want(t *testing.T, s *server, status int, body string) http.Header {
	t.Helper()
	resp, got := r.do(t, s)
	if resp.StatusCode != status {
		t.Errorf("%s %s = %d %s, want %d", r.method, r.target, resp.StatusCode, got, status)
	} else if body != "-" && got != body {
		t.Errorf("%s %s: body = %q, want %q", r.method, r.target, got, body)
	}
	return resp.Header
}

// The Python SDK puts a Content-Type on every request, leaves "/" and "~" in keys alone, signs sub-resources as they stand in its URL,
// sends what it cannot measure in chunks, and names headers in mixed case.
func TestPythonSDK(t *testing.T) {
	s := start(t, "--domain", "cistern.test")
	host := fmt.Sprintf("pek3a.cistern.test:%d", s.port)
	const plain = "Content-Type: text/plain"
	sent{method: "PUT", host: host, target: "/python", header: []string{"Content-Length: 0", "Content-Type: application/octet-stream", date()}}.want(t, s, 201, "")
	for _, path := range []string{"/python/a//b.txt", "/python/dir/~tilde.txt", "/python/%E4%B8%AD%20%2B%27%28%29.txt", "/python/trailing/"} {
		body := "body of " + path
		chunked := fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 4, body[:4], len(body)-4, body[4:])
		sent{method: "PUT", host: host, target: path, body: chunked, header: []string{
			"transfer-encoding: chunked", plain, "X-QS-Meta-k1: v1", date(),
		}}.want(t, s, 201, "")
		got := sent{method: "GET", host: host, target: path, header: []string{plain, "Accept-Encoding: identity", date()}}.want(t, s, 200, body)
		if got.Get("x-qs-meta-k1") != "v1" {
			t.Errorf("GET %s: x-qs-meta-k1 = %q, want v1", path, got.Get("x-qs-meta-k1"))
		}
		typed := sent{method: "GET", host: host, target: path + "?response-content-type=video/mp4%3B%20charset%3Dutf8", header: []string{plain, date()}}.want(t, s, 200, body)
		if got := typed.Get("Content-Type"); got != "video/mp4; charset=utf8" {
			t.Errorf("GET %s with a response type: %q", path, got)
		}
		// The copy's source is escaped but for its slashes; the type that comes along is not the copy's.
		copied := sent{method: "PUT", host: host, target: "/python/copy", header: []string{
			"Content-Length: 0", "Content-Type: application/octet-stream", "x-qs-copy-source: " + path, date(),
		}}
		copied.want(t, s, 201, "-")
		if got := (sent{method: "GET", host: host, target: "/python/copy", header: []string{plain, date()}}).want(t, s, 200, body); got.Get("Content-Type") != "text/plain" {
			t.Errorf("the copy of %s has the type %q, want its source's", path, got.Get("Content-Type"))
		}
		sent{method: "OPTIONS", host: host, target: path, header: []string{
			"Content-Length: 0", plain, "Origin: http://example.com", "Access-Control-Request-Method: GET", date(),
		}}.want(t, s, 200, "-")

		// A link: no Content-Type in it, and the three parameters in an order of its own.
		expires := fmt.Sprint(time.Now().Add(time.Minute).Unix())
		link := sent{method: "GET", target: path}
		query := "?signature=" + strings.ReplaceAll(url.QueryEscape(signature(link.toSign(expires))), "%2F", "/") + "&access_key_id=" + keyID + "&expires=" + expires
		sent{method: "GET", host: host, target: path + query, as: "none"}.want(t, s, 200, body)
		sent{method: "DELETE", host: host, target: path, header: []string{"Content-Length: 0", plain, date()}}.want(t, s, 204, "")
	}

	// Both dates: the one of the API is signed as a header, and the line of the other is empty.
	now := time.Now().UTC().Format(http.TimeFormat)
	sent{method: "GET", host: host, target: "/python?acl", header: []string{"Content-Type: application/octet-stream", "Date: " + now, "x-qs-date: " + now}}.want(t, s, 200, "-")

	const encryption = "x-qs-encryption-customer-"
	key := []string{encryption + "algorithm: AES256", encryption + "key: " + *customerKey.key, encryption + "key-md5: " + *customerKey.md5}
	sent{method: "PUT", host: host, target: "/python/secret", body: "body", header: append(key, "Content-Length: 4", plain, date())}.want(t, s, 201, "")
	sent{method: "GET", host: host, target: "/python/secret", header: append(key, plain, date())}.want(t, s, 200, "body")

	document := `{"objects": [{"key": "secret"}, {"key": "copy"}], "quiet": false}`
	sum := md5.Sum([]byte(document))
	sent{method: "POST", host: host, target: "/python?delete", body: document, header: []string{
		fmt.Sprintf("Content-Length: %d", len(document)), "Content-Type: application/json", "Content-MD5: " + base64.StdEncoding.EncodeToString(sum[:]), date(),
	}}.want(t, s, 200, `{"deleted":[{"key":"secret"},{"key":"copy"}],"errors":[]}`)
}

// qsctl asks with an unsigned HEAD for the zone of a bucket, HEADs objects before it acts on them, sends standard input in chunks and
// repeats parameters without a value.
func TestQsctl(t *testing.T) {
	s := start(t, "--domain", "cistern.test")
	host := fmt.Sprintf("pek3a.cistern.test:%d", s.port)
	sent{method: "PUT", host: host, target: "/qsctl-bucket", header: []string{"Content-Length: 0", date()}}.want(t, s, 201, "")
	found := sent{method: "HEAD", host: fmt.Sprintf("qsctl-bucket.cistern.test:%d", s.port), target: "/", as: "none"}.want(t, s, 307, "")
	if got, want := found.Get("Location"), "http://qsctl-bucket.pek3a.cistern.test"; !strings.HasPrefix(got, want) {
		t.Errorf("HEAD for the zone: Location = %q, want %s...", got, want)
	}
	sent{method: "HEAD", host: host, target: "/qsctl-bucket/key", header: []string{date()}}.want(t, s, 404, "")
	sent{method: "PUT", host: host, target: "/qsctl-bucket/key", body: "3\r\nfro\r\n9\r\nm a pipe\n\r\n0\r\n\r\n", header: []string{"Transfer-Encoding: chunked", date()}}.want(t, s, 201, "")
	sent{method: "GET", host: host, target: "/qsctl-bucket/key", header: []string{date()}}.want(t, s, 200, "from a pipe\n")
	sent{method: "GET", host: host, target: "/qsctl-bucket?delimiter=%2F&limit=200&marker=&prefix=", signed: "/qsctl-bucket", header: []string{date()}}.want(t, s, 200, "-")
	sent{method: "GET", target: "/?offset=0", signed: "/", header: []string{"Location: pek3a", date()}}.want(t, s, 200, "-")

	// The same request twice within a second has the same signature twice.
	again := sent{method: "GET", host: host, target: "/qsctl-bucket/key", header: []string{date()}}
	again.want(t, s, 200, "from a pipe\n")
	again.want(t, s, 200, "from a pipe\n")
}

// go-storage and qscamel find a bucket's zone by a redirect, and go-storage escapes the source of a copy as a form's field.
func TestGoStorage(t *testing.T) {
	s := start(t, "--domain", "cistern.test")
	host := fmt.Sprintf("pek3a.cistern.test:%d", s.port)
	sent{method: "PUT", host: host, target: "/storage", header: []string{"Content-Length: 0", date()}}.want(t, s, 201, "")
	found := sent{method: "HEAD", host: fmt.Sprintf("cistern.test:%d", s.port), target: "/storage", as: "none"}.want(t, s, 301, "")
	if got, want := found.Get("Location"), "http://pek3a.cistern.test"; !strings.HasPrefix(got, want) {
		t.Errorf("HEAD for the zone: Location = %q, want %s...", got, want)
	}
	sent{method: "PUT", host: host, target: "/storage/dir/a%20b%2B%E4%B8%AD", body: "body", header: []string{"Content-Length: 4", date()}}.want(t, s, 201, "")
	sent{method: "PUT", host: host, target: "/storage/copy", header: []string{"Content-Length: 0", "X-Qs-Copy-Source: /storage/dir%2Fa+b%2B%E4%B8%AD", date()}}.want(t, s, 201, "-")
	sent{method: "GET", host: host, target: "/storage/copy", header: []string{date()}}.want(t, s, 200, "body")
	// It begins an appendable object with nothing, and reads where it ends.
	begun := sent{method: "POST", host: host, target: "/storage/log?append=&position=0", signed: "/storage/log?append&position=0", header: []string{"Content-Length: 0", date()}}.want(t, s, 200, "-")
	if got := begun.Get("x-qs-next-append-position"); got != "0" {
		t.Errorf("append of nothing: x-qs-next-append-position = %q, want 0", got)
	}
}
