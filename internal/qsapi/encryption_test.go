package qsapi_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

// keyHeaders are the three headers of the key that is 32 times c, behind prefix.
func keyHeaders(prefix string, c byte) []string {
	raw := []byte(strings.Repeat(string(c), 32))
	sum := md5.Sum(raw)
	return []string{
		prefix + "encryption-customer-algorithm: AES256",
		prefix + "encryption-customer-key: " + base64.StdEncoding.EncodeToString(raw),
		prefix + "encryption-customer-key-md5: " + base64.StdEncoding.EncodeToString(sum[:]),
	}
}

const scenarioMD5 = "3I/h1kl+vSP1l12NKhxegQ==" // of 32 times x

func TestEncryption(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	text := strings.Repeat("0123456789", 20_000) // some packages of 64 KiB
	key, wrong := keyHeaders("x-qs-", 'x'), keyHeaders("x-qs-", 'y')
	put := message{as: "ALICE", method: "PUT", path: "/my-bucket/secret", header: append([]string{"Content-Type: text/plain"}, key...), body: text}
	get := func(header ...string) message {
		return message{as: "ALICE", method: "GET", path: "/my-bucket/secret", header: header}
	}
	head := func(header ...string) message {
		return message{as: "ALICE", method: "HEAD", path: "/my-bucket/secret", header: header}
	}
	stored := func(r reply) {
		t.Helper()
		if a, m := r.Header.Get("x-qs-encryption-customer-algorithm"), r.Header.Get("x-qs-encryption-customer-key-md5"); a != "AES256" || m != scenarioMD5 {
			t.Errorf("the answer says algorithm %q and MD5 %q of the key", a, m)
		}
		if r.Header.Get("x-qs-encryption-customer-key") != "" {
			t.Error("the answer holds the key")
		}
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, ""), md5Of(text)) || strings.HasPrefix(name, "Cistern-") && name != "Cistern-Source-Url" {
				t.Errorf("the answer says of the plain bytes: %s: %s", name, values)
			}
		}
	}

	r := s.want(put, 201, "")
	stored(r)
	etag := r.Header.Get("ETag")
	if regexp.MustCompile(`^"[0-9a-fA-F]{32}"$`).MatchString(etag) || len(etag) < 10 {
		t.Errorf("ETag = %s, want one that nobody takes for an MD5", etag)
	}
	if r := s.want(put, 201, ""); r.Header.Get("ETag") == etag {
		t.Error("the same bytes put twice have the same ETag, which says that they are the same")
	} else {
		etag = r.Header.Get("ETag")
	}

	r = s.want(get(key...), 200, "")
	stored(r)
	if r.body != text || r.Header.Get("Content-Type") != "text/plain" || r.Header.Get("ETag") != etag {
		t.Errorf("GET = %d bytes of %q, ETag %s", len(r.body), r.Header.Get("Content-Type"), r.Header.Get("ETag"))
	}
	for _, rg := range []struct {
		value      string
		begin, end int
	}{{"bytes=0-0", 0, 1}, {"bytes=65530-65550", 65530, 65551}, {"bytes=131072-", 131072, len(text)}, {"bytes=-7", len(text) - 7, len(text)}} {
		r := s.want(get(append([]string{"Range: " + rg.value}, key...)...), 206, "")
		if r.body != text[rg.begin:rg.end] {
			t.Errorf("GET %s = %d bytes, want [%d, %d) of the text", rg.value, len(r.body), rg.begin, rg.end)
		}
	}
	r = s.want(get(append([]string{"Range: bytes=0-3,199990-"}, key...)...), 206, "")
	if !strings.Contains(r.body, "\r\n\r\n0123\r\n") || !strings.Contains(r.body, "\r\n\r\n0123456789\r\n") {
		t.Errorf("two ranges: %q", r.body)
	}
	s.want(get(append([]string{"If-None-Match: " + etag}, key...)...), 304, "")
	s.want(get(append([]string{"Range: bytes=200000-"}, key...)...), 416, "invalid_range")

	s.want(get(), 400, "invalid_request")
	s.want(get(wrong...), 403, "permission_denied")
	s.want(get(key[0], key[1]), 400, "invalid_argument")
	s.want(get(key[1], key[2]), 400, "invalid_argument")
	s.want(get("x-qs-encryption-customer-algorithm: AES128", key[1], key[2]), 400, "invalid_argument")
	s.want(get(key[0], key[1], wrong[2]), 400, "invalid_argument")

	r = s.want(head(), 200, "")
	stored(r)
	if r.Header.Get("Content-Length") != "200000" {
		t.Errorf("HEAD: Content-Length %s, want that of the plain bytes", r.Header.Get("Content-Length"))
	}
	stored(s.want(head(key...), 200, ""))
	s.want(head(wrong...), 403, "")
	s.want(head(key[0]), 400, "")

	r = s.want(message{as: "ALICE", method: "GET", path: "/my-bucket"}, 200, "")
	if !strings.Contains(r.body, `"size":200000`) || !strings.Contains(r.body, `"encrypted":true`) {
		t.Errorf("listing = %s", r.body)
	}

	// What is not encrypted needs no key, and who sends one is told.
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/plain", body: "plain"}, 201, "")
	for _, method := range []string{"GET", "HEAD"} {
		s.want(message{as: "ALICE", method: method, path: "/my-bucket/plain", header: key}, 400, map[string]string{"GET": "invalid_request"}[method])
	}

	log := s.log.String()
	for _, h := range append(key, wrong...) {
		if _, secret, _ := strings.Cut(h, "key: "); secret != "" && strings.Contains(log, secret) {
			t.Errorf("the log holds a key:\n%s", log)
		}
	}
}

func TestEncryptedPutIsChecked(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	key := keyHeaders("x-qs-", 'x')
	put := func(path, body string, header ...string) message {
		return message{as: "ALICE", method: "PUT", path: path, header: append(header, key...), body: body}
	}
	s.want(put("/my-bucket/a", "hello", "Content-MD5: "+md5Of("hello")), 201, "")
	s.want(put("/my-bucket/b", "hello", "Content-MD5: "+md5Of("other")), 400, "bad_digest")
	s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/b", header: key}, 404, "object_not_exists")
	cut := put("/my-bucket/b", "hello")
	cut.length, cut.cut = "10", true
	s.want(cut, 400, "incomplete_body")

	for _, body := range []string{"", "x", strings.Repeat("y", 64<<10), strings.Repeat("z", 64<<10+1)} {
		m := put("/my-bucket/sized", body)
		m.chunked = true
		s.want(m, 201, "")
		if r := s.want(message{as: "ALICE", method: "GET", path: "/my-bucket/sized", header: key}, 200, ""); r.body != body {
			t.Errorf("a chunked PUT of %d bytes gives %d back", len(body), len(r.body))
		}
	}
	bad := put("/my-bucket/c", "hello")
	bad.header = key[:1]
	s.want(bad, 400, "invalid_argument")
}

// md5Of is the MD5 of text in hex.
func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
