package qsapi_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const mib = 1 << 20

// uploads is a server with a bucket in which alice uploads.
type uploads struct {
	*site
	t testing.TB
}

func startUploads(t testing.TB) *uploads {
	u := &uploads{start(t, nil), t}
	u.want(message{as: "ALICE", method: "PUT", path: "/my-bucket"}, 201, "")
	return u
}

func (u *uploads) initiate(key string, header ...string) (id string) {
	u.t.Helper()
	r := u.want(message{as: "ALICE", method: "POST", path: "/my-bucket/" + key + "?uploads=", header: header}, 200, "")
	var out struct {
		Bucket, Key string
		UploadID    string `json:"upload_id"`
	}
	if err := json.Unmarshal([]byte(r.body), &out); err != nil || out.Bucket != "my-bucket" || out.Key != key || out.UploadID == "" {
		u.t.Fatalf("initiate = %s (%v), want bucket, key and upload_id", r.body, err)
	}
	return out.UploadID
}

func (u *uploads) part(key, id string, number int, content string) message {
	return message{as: "ALICE", method: "PUT", path: fmt.Sprintf("/my-bucket/%s?part_number=%d&upload_id=%s", key, number, id), body: content}
}

func (u *uploads) complete(key, id, doc string, header ...string) message {
	return message{as: "ALICE", method: "POST", path: "/my-bucket/" + key + "?upload_id=" + id, body: doc, header: header}
}

func (u *uploads) get(key string) reply {
	u.t.Helper()
	return u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/" + key}, 200, "")
}

func pattern(n int, c byte) string { return strings.Repeat(string([]byte{c}), n) }

func quotedMD5(s string) string { return fmt.Sprintf(`"%x"`, md5.Sum([]byte(s))) }

// The official scenario: parts 0 to 2 of 5, 4 and 3 MiB, a completion with a quoted ETag, an abort behind it.
func TestMultipartScenario(t *testing.T) {
	u := startUploads(t)
	id := u.initiate("big", "Content-Type: text/plain", "x-qs-meta-colour: blue", "Cache-Control: no-cache", "x-qs-storage-class: STANDARD_IA")
	parts := []string{pattern(5*mib, 'a'), pattern(4*mib, 'b'), pattern(3*mib, 'c')}
	whole := strings.Join(parts, "")
	for i, p := range parts {
		r := u.want(u.part("big", id, i, p), 201, "")
		if r.Header.Get("Etag") != quotedMD5(p) || r.body != "" {
			t.Errorf("part %d: ETag %s, body %q, want the part's MD5 and none", i, r.Header.Get("Etag"), r.body)
		}
	}
	u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/big"}, 404, "object_not_exists")
	r := u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/big?upload_id=" + id}, 200, "")
	var list struct {
		Count       int
		ObjectParts []struct {
			PartNumber int `json:"part_number"`
			Size       int64
			Created    time.Time
			Etag       string
		} `json:"object_parts"`
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		t.Fatal(err)
	}
	if list.Count != 3 || len(list.ObjectParts) != 3 || list.ObjectParts[1].PartNumber != 1 || list.ObjectParts[1].Size != 4*mib ||
		list.ObjectParts[1].Created.IsZero() || `"`+list.ObjectParts[1].Etag+`"` != quotedMD5(parts[1]) {
		t.Errorf("list = %s", r.body)
	}

	doc := `{"object_parts":[{"part_number":0},{"part_number":1},{"part_number":2}]}`
	r = u.want(u.complete("big", id, doc, `ETag: "own-tag"`), 201, "")
	if r.body != "" || r.Header.Get("Etag") != `"own-tag"` {
		t.Errorf("completion: ETag %s, body %q, want the client's and none", r.Header.Get("Etag"), r.body)
	}
	u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket/big?upload_id=" + id}, 204, "")

	r = u.get("big")
	if r.body != whole {
		t.Error("the object is not its parts")
	}
	for name, want := range map[string]string{
		"Etag": `"own-tag"`, "Content-Type": "text/plain", "X-Qs-Meta-Colour": "blue", "Cache-Control": "no-cache", "X-Qs-Storage-Class": "STANDARD_IA",
		"Content-Length": fmt.Sprint(12 * mib), "X-Qs-Object-Type": "", "Cache-Status": "cistern; hit",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, rg := range []struct {
		value string
		want  string
	}{
		{fmt.Sprintf("bytes=%d-%d", 5*mib-2, 5*mib+1), "aabb"},
		{fmt.Sprintf("bytes=%d-", 12*mib-3), "ccc"},
		{"bytes=-1", "c"},
		{fmt.Sprintf("bytes=%d-%d", mib, 10*mib-1), whole[mib : 10*mib]},
	} {
		r := u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/big", header: []string{"Range: " + rg.value}}, 206, "")
		if r.body != rg.want {
			t.Errorf("Range %s: %d bytes that are not the object's", rg.value, len(r.body))
		}
	}
	r = u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/big", header: []string{fmt.Sprintf("Range: bytes=0-0,%d-%d", 9*mib-1, 9*mib)}}, 206, "")
	if !strings.Contains(r.body, "\r\nbc\r\n") {
		t.Error("two ranges lack the bytes around the border of two parts")
	}
	u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket/big"}, 204, "")
	u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket"}, 204, "")
}

func TestCompletionsAreJudged(t *testing.T) {
	u := startUploads(t)
	id := u.initiate("key")
	large := pattern(4*mib, 'x')
	u.want(u.part("key", id, 1, large), 201, "")
	u.want(u.part("key", id, 2, "small"), 201, "")
	u.want(u.part("key", id, 10_000, "last"), 201, "")
	var many []string
	for i := range 10_001 {
		many = append(many, fmt.Sprintf(`{"part_number":%d}`, i))
	}
	for _, tc := range []struct {
		name, doc string
		status    int
		code      string
	}{
		{"empty body", "", 400, "invalid_json"},
		{"no JSON", "{", 400, "invalid_json"},
		{"a list", `[1]`, 400, "invalid_json"},
		{"no parts", `{}`, 400, "invalid_request"},
		{"null", `{"object_parts":null}`, 400, "invalid_request"},
		{"empty list", `{"object_parts":[]}`, 400, "invalid_request"},
		{"wrong type", `{"object_parts":7}`, 400, "invalid_argument"},
		{"null part", `{"object_parts":[null]}`, 400, "invalid_argument"},
		{"part without a number", `{"object_parts":[{"etag":"x"}]}`, 400, "invalid_argument"},
		{"number as a word", `{"object_parts":[{"part_number":"x"}]}`, 400, "invalid_argument"},
		{"negative number", `{"object_parts":[{"part_number":-1}]}`, 400, "invalid_argument"},
		{"number too high", `{"object_parts":[{"part_number":10001}]}`, 400, "invalid_argument"},
		{"number beyond all", `{"object_parts":[{"part_number":1e99}]}`, 400, "invalid_argument"},
		{"a part that was not uploaded", `{"object_parts":[{"part_number":1},{"part_number":3}]}`, 400, "invalid_request"},
		{"descending", `{"object_parts":[{"part_number":2},{"part_number":1}]}`, 400, "invalid_request"},
		{"twice", `{"object_parts":[{"part_number":1},{"part_number":1}]}`, 400, "invalid_request"},
		{"a small part in the middle", `{"object_parts":[{"part_number":1},{"part_number":2},{"part_number":10000}]}`, 400, "entity_too_small"},
		{"wrong etag", `{"object_parts":[{"part_number":2,"etag":"d41d8cd98f00b204e9800998ecf8427e"}]}`, 400, "invalid_request"},
		{"wrong size", `{"object_parts":[{"part_number":2,"size":4}]}`, 400, "invalid_request"},
		{"negative size", `{"object_parts":[{"part_number":2,"size":-4}]}`, 400, "invalid_argument"},
		{"too many parts", `{"object_parts":[` + strings.Join(many, ",") + `]}`, 400, "max_parts_exceeded"},
		{"too long", `{"object_parts":[` + strings.Repeat(" ", 2*mib) + `]}`, 400, "entity_too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &uploads{u.site, t}
			u.want(u.complete("key", id, tc.doc), tc.status, tc.code)
		})
	}
	u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/key"}, 404, "object_not_exists")
	// As List Multipart gives them, quoted and not, not all of them, not without holes.
	doc := fmt.Sprintf(`{"object_parts":[{"part_number":1,"size":%d,"etag":"%x","created":"2026-01-01T00:00:00.000Z"},{"part_number":10000,"size":4,"etag":%q,"more":null}]}`,
		len(large), md5.Sum([]byte(large)), quotedMD5("last"))
	u.want(u.complete("key", id, doc), 201, "")
	if r := u.get("key"); r.body != large+"last" {
		t.Error("the object is not the parts that were named")
	}
	// The answer was lost on the way: the client asks again.
	r := u.want(u.complete("key", id, doc), 201, "")
	if etag := u.get("key").Header.Get("Etag"); r.Header.Get("Etag") != etag {
		t.Errorf("completion again: ETag %s, the object has %s", r.Header.Get("Etag"), etag)
	}
	u.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/key", body: "put"}, 201, "")
	u.want(u.complete("key", id, doc), 404, "upload_not_exists")
	if r := u.get("key"); r.body != "put" {
		t.Errorf("a completion that came too late made %q of the object", r.body)
	}
}

// An object of parts never claims an MD5 that nobody checked.
func TestETagOfCompletion(t *testing.T) {
	u := startUploads(t)
	first, last := pattern(4*mib, 'x'), "last"
	joint, _ := hex.DecodeString(fmt.Sprintf("%x%x", md5.Sum([]byte(first)), md5.Sum([]byte(last))))
	made := fmt.Sprintf(`"%x-2"`, md5.Sum(joint))
	for _, tc := range []struct{ name, header, want string }{
		{"none", "", made},
		{"a word", `ETag: "word"`, `"word"`},
		{"without quotes", "ETag: word", `"word"`},
		{"escaped quotes", "ETag: %22word%22", `"word"`},
		{"what may be an MD5", `ETag: "0123456789abcdef0123456789ABCDEF"`, `"0123456789abcdef0123456789ABCDEF-2"`},
		{"the right MD5", "ETag: " + quotedMD5(first+last), strings.TrimSuffix(quotedMD5(first+last), `"`) + `-2"`},
		{"in the form of S3", `ETag: "0123456789abcdef0123456789abcdef-9"`, `"0123456789abcdef0123456789abcdef-9"`},
		{"empty", `ETag: ""`, made},
		{"with a blank", `ETag: "a b"`, made},
		{"with a quote", `ETag: "a"b"`, made},
		{"not ASCII", "ETag: \"\xc3\xa9\"", made},
		{"long", `ETag: "` + strings.Repeat("x", 257) + `"`, made},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &uploads{u.site, t}
			id := u.initiate("key")
			u.want(u.part("key", id, 0, first), 201, "")
			u.want(u.part("key", id, 1, last), 201, "")
			var header []string
			if tc.header != "" {
				header = []string{tc.header}
			}
			u.want(u.complete("key", id, `{"object_parts":[{"part_number":0},{"part_number":1}]}`, header...), 201, "")
			if r := u.want(message{as: "ALICE", method: "HEAD", path: "/my-bucket/key"}, 200, ""); r.Header.Get("Etag") != tc.want {
				t.Errorf("ETag %s, want %s", r.Header.Get("Etag"), tc.want)
			}
		})
	}
	// One part is the object, and its MD5 is known.
	for _, tc := range []struct{ etag, want string }{
		{quotedMD5("one"), quotedMD5("one")},
		{quotedMD5("two"), strings.TrimSuffix(quotedMD5("two"), `"`) + `-1"`},
	} {
		id := u.initiate("one")
		u.want(u.part("one", id, 7, "one"), 201, "")
		u.want(u.complete("one", id, `{"object_parts":[{"part_number":7}]}`, "ETag: "+tc.etag), 201, "")
		if r := u.get("one"); r.Header.Get("Etag") != tc.want {
			t.Errorf("one part, wish %s: ETag %s, want %s", tc.etag, r.Header.Get("Etag"), tc.want)
		}
	}
}

func TestPartsAreChecked(t *testing.T) {
	u := startUploads(t)
	id := u.initiate("key")
	sum := md5.Sum([]byte("content"))
	for _, tc := range []struct {
		name   string
		m      message
		status int
		code   string
	}{
		{"base64", message{path: "?part_number=0&upload_id=" + id, header: []string{"Content-MD5: " + base64.StdEncoding.EncodeToString(sum[:])}}, 201, ""},
		{"hex", message{path: "?part_number=0&upload_id=" + id, header: []string{fmt.Sprintf("Content-MD5: %x", sum)}}, 201, ""},
		{"chunked", message{path: "?part_number=10000&upload_id=" + id, chunked: true}, 201, ""},
		{"other order", message{path: "?upload_id=" + id + "&part_number=3"}, 201, ""},
		{"wrong digest", message{path: "?part_number=5&upload_id=" + id, header: []string{"Content-MD5: 00000000000000000000000000000000"}}, 400, "bad_digest"},
		{"no digest", message{path: "?part_number=5&upload_id=" + id, header: []string{"Content-MD5: x"}}, 400, "invalid_argument"},
		{"cut", message{path: "?part_number=5&upload_id=" + id, length: "8", cut: true}, 400, "incomplete_body"},
		{"cut chunk", message{path: "?part_number=5&upload_id=" + id, chunked: true, cut: true}, 400, "incomplete_body"},
		{"too large", message{path: "?part_number=5&upload_id=" + id, length: "5368709121"}, 400, "entity_too_large"},
		{"number too high", message{path: "?part_number=10001&upload_id=" + id}, 400, "max_parts_exceeded"},
		{"negative number", message{path: "?part_number=-1&upload_id=" + id}, 400, "invalid_argument"},
		{"no number", message{path: "?part_number=&upload_id=" + id}, 400, "invalid_argument"},
		{"number as a word", message{path: "?part_number=one&upload_id=" + id}, 400, "invalid_argument"},
		{"number beyond all", message{path: "?part_number=99999999999999999999&upload_id=" + id}, 400, "invalid_argument"},
		{"number alone", message{path: "?part_number=5"}, 400, "invalid_argument"},
		{"no upload", message{path: "?part_number=5&upload_id="}, 404, "upload_not_exists"},
		{"unknown upload", message{path: "?part_number=5&upload_id=00000000000000000000000000000000"}, 404, "upload_not_exists"},
		{"odd upload", message{path: "?part_number=5&upload_id=..%2F%00%FF"}, 404, "upload_not_exists"},
		{"another key's upload", message{path: "2?part_number=5&upload_id=" + id}, 404, "upload_not_exists"},
		{"anonymous", message{as: "nobody", path: "?part_number=5&upload_id=" + id}, 403, "permission_denied"},
		{"another user", message{as: "BOB", path: "?part_number=5&upload_id=" + id}, 403, "permission_denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &uploads{u.site, t}
			m := tc.m
			switch m.as {
			case "":
				m.as = "ALICE"
			case "nobody":
				m.as = ""
			}
			m.method, m.path, m.body = "PUT", "/my-bucket/key"+m.path, "content"
			u.want(m, tc.status, tc.code)
		})
	}
	// What failed is not there.
	r := u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/key?upload_id=" + id}, 200, "")
	if strings.Contains(r.body, `"part_number":5,`) || !strings.Contains(r.body, `"count":3,`) {
		t.Errorf("the parts are %s, want 0, 3 and 10000", r.body)
	}
	// A part that comes again replaces the one before, also by one that is shorter.
	u.want(u.part("key", id, 0, "new"), 201, "")
	u.want(u.complete("key", id, `{"object_parts":[{"part_number":0,"size":3}]}`), 201, "")
	if r := u.get("key"); r.body != "new" {
		t.Errorf("the object is %q, want the part that came last", r.body)
	}
}

func TestListParts(t *testing.T) {
	u := startUploads(t)
	id := u.initiate("key")
	for _, n := range []int{0, 1, 2, 7, 500} {
		u.want(u.part("key", id, n, "x"), 201, "")
	}
	for _, tc := range []struct {
		query string
		want  []int
	}{
		{"", []int{0, 1, 2, 7, 500}},
		{"&part_number_marker=&limit=", []int{0, 1, 2, 7, 500}},
		{"&part_number_marker=0", []int{1, 2, 7, 500}},
		{"&part_number_marker=2&limit=1", []int{7}},
		{"&part_number_marker=5&limit=5000", []int{7, 500}},
		{"&part_number_marker=500", nil},
		{"&part_number_marker=1000000", nil},
		{"&limit=2", []int{0, 1}},
	} {
		r := u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/key?upload_id=" + id + tc.query}, 200, "")
		var list struct {
			Count       int
			ObjectParts []struct {
				PartNumber int `json:"part_number"`
			} `json:"object_parts"`
		}
		if err := json.Unmarshal([]byte(r.body), &list); err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, p := range list.ObjectParts {
			got = append(got, p.PartNumber)
		}
		if !slices.Equal(got, tc.want) || list.Count != len(tc.want) {
			t.Errorf("%s: parts %v, count %d, want %v", tc.query, got, list.Count, tc.want)
		}
	}
	for _, query := range []string{"&limit=0", "&limit=-1", "&limit=x", "&part_number_marker=-1", "&part_number_marker=x"} {
		u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/key?upload_id=" + id + query}, 400, "invalid_argument")
	}
	u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/key?upload_id=x"}, 404, "upload_not_exists")
	u.want(message{as: "ALICE", method: "GET", path: "/no-bucket/key?upload_id=" + id}, 404, "bucket_not_exists")
	u.want(message{as: "BOB", method: "GET", path: "/my-bucket/key?upload_id=" + id}, 403, "permission_denied")
}

func TestAbortUpload(t *testing.T) {
	u := startUploads(t)
	id := u.initiate("key")
	u.want(u.part("key", id, 0, "x"), 201, "")
	for range 2 {
		u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket/key?upload_id=" + id}, 204, "")
	}
	u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket/key?upload_id=unknown"}, 204, "")
	u.want(message{as: "ALICE", method: "DELETE", path: "/no-bucket/key?upload_id=" + id}, 404, "bucket_not_exists")
	u.want(message{as: "BOB", method: "DELETE", path: "/my-bucket/key?upload_id=" + id}, 403, "permission_denied")
	u.want(u.part("key", id, 1, "x"), 404, "upload_not_exists")
	u.want(u.complete("key", id, `{"object_parts":[{"part_number":0}]}`), 404, "upload_not_exists")
	u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket"}, 204, "")
}

func TestInitiateUpload(t *testing.T) {
	u := startUploads(t)
	for _, tc := range []struct {
		name   string
		m      message
		status int
		code   string
	}{
		{"a body", message{path: "key?uploads", body: "x"}, 400, "invalid_request"},
		{"a chunked body", message{path: "key?uploads", body: "x", chunked: true}, 400, "invalid_request"},
		{"an empty chunked body", message{path: "key?uploads", chunked: true}, 200, ""},
		{"long key", message{path: strings.Repeat("k", 1024) + "?uploads"}, 400, "invalid_object_name"},
		{"storage class", message{path: "key?uploads", header: []string{"x-qs-storage-class: COLD"}}, 400, "invalid_request"},
		{"metadata", message{path: "key?uploads", header: []string{"x-qs-meta-a: " + strings.Repeat("v", 2048)}}, 400, "metadata_too_large"},
		{"anonymous", message{as: "nobody", path: "key?uploads"}, 403, "permission_denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &uploads{u.site, t}
			m := tc.m
			m.as = map[string]string{"": "ALICE", "nobody": ""}[m.as]
			m.method, m.path = "POST", "/my-bucket/"+m.path
			u.want(m, tc.status, tc.code)
		})
	}
	u.want(message{as: "ALICE", method: "POST", path: "/no-bucket/key?uploads"}, 404, "bucket_not_exists")
}

func TestListUploads(t *testing.T) {
	u := startUploads(t)
	ids := make(map[string]string) // id → key
	for _, key := range []string{"a", "dir/1", "dir/2", "dir/2", "dir/2", "z%C3%A9"} {
		r := u.want(message{as: "ALICE", method: "POST", path: "/my-bucket/" + key + "?uploads"}, 200, "")
		var out struct {
			Key      string
			UploadID string `json:"upload_id"`
		}
		if err := json.Unmarshal([]byte(r.body), &out); err != nil {
			t.Fatal(err)
		}
		ids[out.UploadID] = out.Key
	}
	type page struct {
		Name, Prefix, Delimiter, Marker string
		Limit                           int
		Uploads                         []struct {
			Key      string
			UploadID string `json:"upload_id"`
			Created  time.Time
		}
		CommonPrefixes     []string `json:"common_prefixes"`
		NextKeyMarker      string   `json:"next_key_marker"`
		NextUploadIDMarker string   `json:"next_upload_id_marker"`
		HasMore            bool     `json:"has_more"`
	}
	get := func(query string) page {
		t.Helper()
		r := u.want(message{as: "ALICE", method: "GET", path: "/my-bucket?uploads=" + query}, 200, "")
		var p page
		if err := json.Unmarshal([]byte(r.body), &p); err != nil {
			t.Fatal(err)
		}
		for _, up := range p.Uploads {
			if ids[up.UploadID] != up.Key || up.Created.IsZero() {
				t.Errorf("%s lists %+v", query, up)
			}
		}
		return p
	}
	all := get("")
	if len(all.Uploads) != 6 || all.Limit != 200 || all.Name != "my-bucket" || all.HasMore || all.NextKeyMarker != "" || all.NextUploadIDMarker != "" {
		t.Errorf("all = %+v", all)
	}
	if p := get("&prefix=dir%2F&limit=5000"); len(p.Uploads) != 4 || p.Prefix != "dir/" || p.Limit != 1000 {
		t.Errorf("dir/ = %+v", p)
	}
	p := get("&delimiter=%2F&limit=2&key_marker=&upload_id_marker=")
	if len(p.Uploads) != 1 || !slices.Equal(p.CommonPrefixes, []string{"dir/"}) || !p.HasMore || p.NextKeyMarker != "dir/" || p.NextUploadIDMarker != "" {
		t.Errorf("first page by / = %+v", p)
	}
	if p := get("&delimiter=%2F&limit=2&key_marker=dir%2F"); len(p.Uploads) != 1 || p.Uploads[0].Key != "zé" || p.HasMore || p.Marker != "dir/" {
		t.Errorf("second page by / = %+v", p)
	}
	// Page by page, each once.
	var walked []string
	query := "&limit=1"
	for range 10 {
		p := get(query)
		for _, up := range p.Uploads {
			walked = append(walked, up.UploadID)
		}
		if !p.HasMore {
			break
		}
		query = "&limit=1&key_marker=" + strings.ReplaceAll(p.NextKeyMarker, "/", "%2F") + "&upload_id_marker=" + p.NextUploadIDMarker
	}
	var want []string
	for _, up := range all.Uploads {
		want = append(want, up.UploadID)
	}
	if diff := cmp.Diff(want, walked); diff != "" {
		t.Errorf("page by page (-all at once +got):\n%s", diff)
	}
	for _, query := range []string{"&limit=0", "&limit=x", "&prefix=%FF", "&key_marker=" + strings.Repeat("k", 1025)} {
		u.want(message{as: "ALICE", method: "GET", path: "/my-bucket?uploads" + query}, 400, "invalid_argument")
	}
	u.want(message{as: "BOB", method: "GET", path: "/my-bucket?uploads"}, 403, "permission_denied")
	u.want(message{as: "ALICE", method: "GET", path: "/no-bucket?uploads"}, 404, "bucket_not_exists")
	// Uploads are no objects.
	if r := u.want(message{as: "ALICE", method: "GET", path: "/my-bucket"}, 200, ""); !strings.Contains(r.body, `"keys":[]`) {
		t.Errorf("objects: %s", r.body)
	}
	u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket"}, 204, "")
}

// Parts come at once over several connections, completions and aborts beside them.
func TestPartsAtOnce(t *testing.T) {
	u := startUploads(t)
	id := u.initiate("key")
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			for range 2 {
				if r := u.try(u.part("key", id, n, pattern(4*mib, 'a'+byte(n)))); r != 201 {
					t.Errorf("part %d = %d", n, r)
				}
			}
		})
	}
	wg.Wait()
	doc := `{"object_parts":[{"part_number":0},{"part_number":1},{"part_number":2},{"part_number":3},{"part_number":4},{"part_number":5}]}`
	var mu sync.Mutex // guards got
	got := map[int]int{}
	for i := range 6 {
		wg.Go(func() {
			m := u.complete("key", id, doc)
			if i%2 == 1 {
				m = message{as: "ALICE", method: "DELETE", path: "/my-bucket/key?upload_id=" + id}
			}
			status := u.try(m)
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	wg.Wait()
	r := u.send(message{as: "ALICE", method: "GET", path: "/my-bucket/key"})
	switch {
	case got[201] == 3 && got[204] == 3: // the completion came first
		if len(r.body) != 24*mib || r.body[4*mib-1:4*mib+1] != "ab" {
			t.Errorf("the object has %d bytes, status %d", len(r.body), r.StatusCode)
		}
	case got[404] == 3 && got[204] == 3: // an abort did
		if r.StatusCode != 404 {
			t.Errorf("an aborted upload left %d", r.StatusCode)
		}
	default:
		t.Errorf("answers %v, want all completions to succeed, or none", got)
	}
}

// try sends m and returns the status; it may be called from any goroutine.
func (u *uploads) try(m message) int {
	conn, err := net.Dial("tcp", u.addr)
	if err != nil {
		return 0
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sContent-Length: %d\r\n\r\n%s", m.head(u.addr), len(m.body), m.body)
	if _, err := conn.Write(b.Bytes()); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: m.method})
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
