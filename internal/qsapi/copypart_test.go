package qsapi_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestEncryptedUpload(t *testing.T) {
	u := startUploads(t)
	key, wrong := keyHeaders("x-qs-", 'x'), keyHeaders("x-qs-", 'y')
	id := u.initiate("secret", append(key, "Content-Type: text/plain")...)
	parts := []string{strings.Repeat("0123456789abcdef", 4*mib/16), strings.Repeat("fedcba9876543210", 4*mib/16+5), "the end"}
	whole := strings.Join(parts, "")
	with := func(m message, headers ...string) message { m.header = headers; return m }

	u.want(u.part("secret", id, 0, "x"), 400, "invalid_request")
	u.want(with(u.part("secret", id, 0, "x"), wrong...), 403, "permission_denied")
	u.want(with(u.part("secret", id, 0, "x"), key[:2]...), 400, "invalid_argument")
	u.want(with(u.part("secret", id, 0, "x"), append(key, "Content-MD5: "+md5Of("y"))...), 400, "bad_digest")
	for i, p := range parts {
		r := u.want(with(u.part("secret", id, i, p), append(key, "Content-MD5: "+md5Of(p))...), 201, "")
		if etag := r.Header.Get("ETag"); regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(etag) || r.Header.Get("x-qs-encryption-customer-key-md5") != scenarioMD5 {
			t.Errorf("part %d: ETag %s, %v; want one that says nothing of the bytes", i, etag, r.Header)
		}
	}
	// A client may wish for the MD5 of the whole as the entity tag: it would tell of the bytes.
	r := u.want(u.complete("secret", id, `{"object_parts":[{"part_number":0},{"part_number":1},{"part_number":2}]}`, "ETag: "+quotedMD5(whole)), 201, "")
	if strings.Contains(r.Header.Get("ETag"), md5Of(whole)) || r.Header.Get("x-qs-encryption-customer-algorithm") != "AES256" {
		t.Errorf("completion = %v", r.Header)
	}
	u.wantObject("/my-bucket/secret", whole, key...)
	for _, rg := range [][2]int{{0, 0}, {4*mib - 10, 4*mib + 10}, {8*mib + 70, 8*mib + 80}, {len(whole) - 3, len(whole) - 1}} {
		m := message{as: "ALICE", method: "GET", path: "/my-bucket/secret", header: append([]string{"Range: bytes=" + itoa(rg[0]) + "-" + itoa(rg[1])}, key...)}
		if r := u.want(m, 206, ""); r.body != whole[rg[0]:rg[1]+1] {
			t.Errorf("bytes %v = %q", rg, r.body)
		}
	}
	u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/secret"}, 400, "invalid_request")
	u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/secret", header: wrong}, 403, "permission_denied")
	u.want(from("/my-bucket/moved", "x-qs-move-source: /my-bucket/secret"), 201, "")
	u.wantObject("/my-bucket/moved", whole, key...)
	u.want(from("/my-bucket/plain", append(keyHeaders("x-qs-copy-source-", 'x'), "x-qs-copy-source: /my-bucket/moved")...), 201, "")
	if r := u.wantObject("/my-bucket/plain", whole); r.Header.Get("ETag") != quotedMD5(whole) {
		t.Errorf("a plain copy has the ETag %s, want the MD5", r.Header.Get("ETag"))
	}

	id = u.initiate("open")
	u.want(with(u.part("open", id, 0, "x"), key...), 400, "invalid_request")
	u.want(message{as: "ALICE", method: "POST", path: "/my-bucket/new?uploads", header: key[:1]}, 400, "invalid_argument")
	// What grows cannot be encrypted.
	u.want(message{as: "ALICE", method: "POST", path: "/my-bucket/log?append&position=0", header: key, body: "x"}, 400, "invalid_request")
	u.want(message{as: "ALICE", method: "POST", path: "/my-bucket/log?append&position=0", header: []string{"x-qs-copy-source: /my-bucket/plain"}}, 400, "invalid_request")
	u.want(message{as: "ALICE", method: "POST", path: "/my-bucket/log?uploads", header: []string{"x-qs-copy-source: /my-bucket/plain"}}, 400, "invalid_request")
	u.want(message{as: "ALICE", method: "HEAD", path: "/my-bucket/log"}, 404, "")
}

func TestCopyPart(t *testing.T) {
	u := startUploads(t)
	whole := strings.Repeat("0123456789abcdef", 9*mib/16)
	u.put("/my-bucket/from", whole)
	u.put("/my-bucket/empty", "")
	etag := quotedMD5(whole)
	id := u.initiate("to")
	part := func(number int, header ...string) message {
		m := u.part("to", id, number, "")
		m.header = header
		return m
	}
	const source = "x-qs-copy-source: /my-bucket/from"
	r := u.want(part(0, source, "x-qs-copy-range: bytes=0-4194303", "x-qs-copy-source-if-match: "+etag), 201, "")
	if r.Header.Get("ETag") != quotedMD5(whole[:4<<20]) || r.Header.Get("x-qs-content-copy-range") != "bytes 0-4194303/9437184" {
		t.Errorf("copied part = %v", r.Header)
	}
	r = u.want(part(1, source, "x-qs-copy-range: bytes=4194304-"), 201, "")
	if r.Header.Get("x-qs-content-copy-range") != "bytes 4194304-9437183/9437184" {
		t.Errorf("copied part = %v", r.Header)
	}
	r = u.want(part(2, source), 201, "")
	if r.Header.Get("ETag") != etag || r.Header.Get("x-qs-content-copy-range") != "bytes 0-9437183/9437184" {
		t.Errorf("a part of all = %v", r.Header)
	}
	if r = u.want(part(3, "x-qs-copy-source: /my-bucket/empty"), 201, ""); r.Header.Get("x-qs-content-copy-range") != "" {
		t.Errorf("an empty part = %v, want no range", r.Header)
	}

	for _, tt := range []struct {
		name   string
		m      message
		status int
		code   string
	}{
		{"no such source", part(4, "x-qs-copy-source: /my-bucket/none"), 404, "object_not_exists"},
		{"a range behind the end", part(4, source, "x-qs-copy-range: bytes=9437184-"), 416, "invalid_range"},
		{"several ranges", part(4, source, "x-qs-copy-range: bytes=0-1,2-3"), 400, "invalid_argument"},
		{"no range", part(4, source, "x-qs-copy-range: 0-1"), 400, "invalid_argument"},
		{"a condition that does not hold", part(4, source, `x-qs-copy-source-if-match: "x"`), 412, "precondition_failed"},
		{"a move", part(4, "x-qs-move-source: /my-bucket/from"), 400, "invalid_request"},
		{"a range without a source", part(4, "x-qs-copy-range: bytes=0-1"), 400, "invalid_request"},
		{"a key", part(4, append(keyHeaders("x-qs-", 'x'), source)...), 400, "invalid_request"},
		{"a key of the source", part(4, append(keyHeaders("x-qs-copy-source-", 'x'), source)...), 400, "invalid_request"},
		{"no such upload", message{as: "ALICE", method: "PUT", path: "/my-bucket/to?part_number=4&upload_id=0123", header: []string{source}}, 404, "upload_not_exists"},
		{"a part number that is too high", message{as: "ALICE", method: "PUT", path: "/my-bucket/to?part_number=10001&upload_id=" + id, header: []string{source}}, 400, "max_parts_exceeded"},
		{"a stranger", message{as: "BOB", method: "PUT", path: "/my-bucket/to?part_number=4&upload_id=" + id, header: []string{source}}, 403, "permission_denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u.site.t = t
			u.want(tt.m, tt.status, tt.code)
		})
	}
	u.site.t = t
	u.want(u.complete("to", id, `{"object_parts":[{"part_number":0},{"part_number":1},{"part_number":2}]}`), 201, "")
	u.wantObject("/my-bucket/to", whole+whole)

	// Of an encrypted object into an encrypted upload, each with its key.
	key, other := keyHeaders("x-qs-", 'x'), keyHeaders("x-qs-copy-source-", 'y')
	u.put("/my-bucket/sealed", whole, keyHeaders("x-qs-", 'y')...)
	id = u.initiate("to", key...)
	u.want(part(0, append(key, "x-qs-copy-source: /my-bucket/sealed")...), 400, "invalid_request")
	u.want(part(0, append(other, "x-qs-copy-source: /my-bucket/sealed")...), 400, "invalid_request")
	m := part(0, "x-qs-copy-source: /my-bucket/sealed", "x-qs-copy-range: bytes=100-199999")
	m.header = append(append(m.header, key...), other...)
	u.want(m, 201, "")
	u.want(u.complete("to", id, `{"object_parts":[{"part_number":0}]}`), 201, "")
	u.wantObject("/my-bucket/to", whole[100:200_000], key...)
}
