package qsapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// kept is an entry of a listing of versions.
type kept struct {
	Key          string
	Etag         string
	VersionID    string `json:"version_id"`
	IsLatest     bool   `json:"is_latest"`
	DeleteMarker bool   `json:"delete_marker"`
	Size         int
}

type keptPage struct {
	Keys                []kept
	CommonPrefixes      []string `json:"common_prefixes"`
	KeyMarker           *string  `json:"key_marker"`
	VersionIDMarker     *string  `json:"version_id_marker"`
	NextKeyMarker       *string  `json:"next_key_marker"`
	NextVersionIDMarker *string  `json:"next_version_id_marker"`
	HasMore             *bool    `json:"has_more"`
	Limit               int
}

func (s *site) versions(query string) keptPage {
	s.t.Helper()
	r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?versions" + query}, 200, "")
	var p keptPage
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		s.t.Fatalf("%v in %s", err, r.body)
	}
	if p.KeyMarker == nil || p.VersionIDMarker == nil || p.NextKeyMarker == nil || p.NextVersionIDMarker == nil || p.HasMore == nil ||
		p.Keys == nil || p.CommonPrefixes == nil {
		s.t.Fatalf("a member is missing in %s", r.body)
	}
	return p
}

func (s *site) setVersioning(status string) {
	s.t.Helper()
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket?versioning", body: `{"status":"` + status + `"}`}, 200, "")
}

func (s *site) versioned() *site {
	s.t.Helper()
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	s.setVersioning("ENABLED")
	return s
}

// putVersion stores an object and returns its version.
func (s *site) putVersion(key, body string) string {
	s.t.Helper()
	return s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket/" + key, body: body}, 201, "").Header.Get("X-Qs-Version-Id")
}

func (s *site) del(path string) (version string, marker bool) {
	s.t.Helper()
	r := s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket/" + path}, 204, "")
	return r.Header.Get("X-Qs-Version-Id"), r.Header.Get("X-Qs-Delete-Marker") == "true"
}

func TestVersioningIsASetting(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	want := func(status string) {
		t.Helper()
		r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?versioning"}, 200, "")
		if r.body != `{"status":"`+status+`"}` {
			t.Errorf("versioning = %s, want %s", r.body, status)
		}
	}
	want("DISABLED")
	for _, tc := range []struct{ body, code string }{
		{`{"status":"DISABLED"}`, "invalid_request"}, {`{"status":"enabled"}`, "invalid_request"}, {`{}`, "invalid_request"},
		{`{"status":null}`, "invalid_request"}, {`{"status":1}`, "invalid_argument"}, {`{"status":"ENABLED","x":1}`, "invalid_argument"}, {``, "invalid_json"}, {`[]`, "invalid_json"},
	} {
		s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket?versioning", body: tc.body}, 400, tc.code)
	}
	want("DISABLED")
	s.setVersioning("ENABLED")
	want("ENABLED")
	s.setVersioning("SUSPENDED")
	want("SUSPENDED")
	for _, as := range []string{"BOB", ""} {
		s.want(message{as: as, method: "GET", path: "/alices-bucket?versioning"}, 403, "permission_denied")
		s.want(message{as: as, method: "PUT", path: "/alices-bucket?versioning", body: `{"status":"ENABLED"}`}, 403, "permission_denied")
	}
	want("SUSPENDED")
}

// A bucket that is replicated keeps no versions, and the other way round.
func TestVersioningExcludesReplication(t *testing.T) {
	s := start(t, nil).versioned()
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-other"}, 201, "")
	replication := message{as: "ALICE", method: "PUT", path: "/alices-bucket?replication",
		body: `{"rules":[{"id":"1","filters":{"prefix":""},"destination":{"bucket":"alices-other"}}]}`}
	s.want(replication, 400, "invalid_request")
	s.setVersioning("SUSPENDED")
	s.want(replication, 200, "")
	s.setVersioning("SUSPENDED")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket?versioning", body: `{"status":"ENABLED"}`}, 400, "invalid_request")
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket?replication"}, 204, "")
	s.setVersioning("ENABLED")
}

// What was replaced and deleted can be read, by its version and by nothing else, until that version is removed.
func TestVersionsOfAnObject(t *testing.T) {
	s := start(t, nil).versioned()
	one, two := s.putVersion("dir/key", "one"), s.putVersion("dir/key", "second")
	if one == "" || two == "" || one == two {
		t.Fatalf("versions %q and %q, want two", one, two)
	}
	read := func(query, body, version string) {
		t.Helper()
		for _, method := range []string{"GET", "HEAD"} {
			r := s.want(message{as: "ALICE", method: method, path: "/alices-bucket/dir/key" + query}, 200, "")
			if method == "GET" && r.body != body || r.ContentLength != int64(len(body)) || r.Header.Get("X-Qs-Version-Id") != version {
				t.Errorf("%s %s = %q of %d bytes, version %s, want %q, version %s", method, query, r.body, r.ContentLength, r.Header.Get("X-Qs-Version-Id"), body, version)
			}
		}
	}
	read("", "second", two)
	read("?version_id="+one, "one", one)
	read("?version_id="+two, "second", two)
	if r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/dir/key?version_id=" + one, header: []string{"Range: bytes=1-"}}, 206, ""); r.body != "ne" {
		t.Errorf("a range of a version = %q", r.body)
	}
	for _, id := range []string{"null", "none", "0000000000000001", strings.Repeat("f", 64)} {
		r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/dir/key?version_id=" + id}, 404, "object_not_exists")
		if r.Header.Get("X-Qs-Delete-Marker") != "" {
			t.Errorf("version %s says that it is a delete marker", id)
		}
	}
	for _, q := range []string{"?version_id=", "?version_id", "?version_id=" + strings.Repeat("f", 65)} {
		s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/dir/key" + q}, 400, "invalid_argument")
		s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket/dir/key" + q}, 400, "invalid_argument")
	}
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket/dir/key?version_id=" + one, body: "x"}, 405, "method_not_allowed")

	marker, isMarker := s.del("dir/key")
	if marker == "" || !isMarker {
		t.Errorf("DELETE = version %q, marker %v", marker, isMarker)
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, q := range []string{"", "?version_id=" + marker} {
			r := s.send(message{as: "ALICE", method: method, path: "/alices-bucket/dir/key" + q})
			if r.StatusCode != 404 || r.Header.Get("X-Qs-Delete-Marker") != "true" || r.Header.Get("X-Qs-Version-Id") != marker {
				t.Errorf("%s %s of what was deleted = %d, marker %q, version %q", method, q, r.StatusCode, r.Header.Get("X-Qs-Delete-Marker"), r.Header.Get("X-Qs-Version-Id"))
			}
		}
	}
	if r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/never"}, 404, "object_not_exists"); r.Header.Get("X-Qs-Delete-Marker") != "" {
		t.Error("what never was says that it was deleted")
	}
	read("?version_id="+two, "second", two)
	if v, m := s.del("dir/key"); v != "" || m {
		t.Errorf("DELETE of what is deleted = version %q, marker %v", v, m)
	}
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket"}, 409, "bucket_not_empty")

	if v, m := s.del("dir/key?version_id=" + marker); v != marker || !m {
		t.Errorf("DELETE of the marker = version %q, marker %v", v, m)
	}
	read("", "second", two)
	s.del("dir/key?version_id=" + two)
	read("", "one", one)
	s.del("dir/key?version_id=" + two) // gone already
	s.del("dir/key?version_id=" + one)
	s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/dir/key"}, 404, "object_not_exists")
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket"}, 204, "")
}

func TestVersionsOfASuspendedBucket(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	if v := s.putVersion("key", "before"); v != "" {
		t.Errorf("version %q in a bucket that keeps none", v)
	}
	s.setVersioning("ENABLED")
	kept := s.putVersion("key", "kept")
	s.setVersioning("SUSPENDED")
	if v := s.putVersion("key", "null two"); v != "" {
		t.Errorf("version %q in a suspended bucket", v)
	}
	r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/key?version_id=null"}, 200, "")
	if r.body != "null two" || r.Header.Get("X-Qs-Version-Id") != "null" {
		t.Errorf("the null version = %q, %q", r.body, r.Header.Get("X-Qs-Version-Id"))
	}
	if p := s.versions(""); len(p.Keys) != 2 || p.Keys[0].VersionID != "null" || p.Keys[1].VersionID != kept {
		t.Errorf("versions = %+v", p.Keys)
	}
	if v, m := s.del("key"); v != "null" || !m {
		t.Errorf("DELETE = version %q, marker %v", v, m)
	}
	s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/key"}, 404, "object_not_exists")
	if v, m := s.del("key?version_id=null"); v != "null" || !m {
		t.Errorf("DELETE of the null version = version %q, marker %v", v, m)
	}
	if r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/key"}, 200, ""); r.body != "kept" {
		t.Errorf("GET = %q, want what was kept", r.body)
	}
}

func TestListVersions(t *testing.T) {
	s := start(t, nil).versioned()
	for _, k := range []string{"a", "b", "b", "dir/1", "dir/2", "dir/2", "e"} {
		s.putVersion(k, k)
	}
	s.del("b")
	lines := func(p keptPage) string {
		var b strings.Builder
		for _, v := range p.Keys {
			b.WriteString(" " + v.Key)
			if v.DeleteMarker {
				b.WriteString("-")
			}
			if v.IsLatest {
				b.WriteString("*")
			}
		}
		for _, g := range p.CommonPrefixes {
			b.WriteString(" " + g)
		}
		return b.String()
	}
	for _, tc := range []struct{ query, want string }{
		{"", " a* b-* b b dir/1* dir/2* dir/2 e*"},
		{"&prefix=b", " b-* b b"},
		{"&delimiter=/", " a* b-* b b e* dir/"},
		{"&prefix=dir/&delimiter=/", " dir/1* dir/2* dir/2"},
		{"&key_marker=b", " dir/1* dir/2* dir/2 e*"},
		{"&key_marker=dir/&delimiter=/", " e*"},
		{"&limit=100000", " a* b-* b b dir/1* dir/2* dir/2 e*"},
	} {
		if got := lines(s.versions(tc.query)); got != tc.want {
			t.Errorf("versions of %q =%s, want%s", tc.query, got, tc.want)
		}
	}
	for _, name := range []string{"version_id_marker", "version-id-marker"} {
		var all string
		query, pages := "&limit=2", 0
		for {
			p := s.versions(query)
			all, pages = all+lines(p), pages+1
			if !*p.HasMore {
				break
			}
			query = fmt.Sprintf("&limit=2&key_marker=%s&%s=%s", url.QueryEscape(*p.NextKeyMarker), name, *p.NextVersionIDMarker)
		}
		if want := " a* b-* b b dir/1* dir/2* dir/2 e*"; all != want || pages != 4 {
			t.Errorf("%d pages by %s =%s, want 4 and%s", pages, name, all, want)
		}
	}
	p := s.versions("")
	if got := lines(s.versions("&key_marker=b&version_id_marker=" + p.Keys[2].VersionID)); got != " b dir/1* dir/2* dir/2 e*" {
		t.Errorf("behind a version of b =%s", got)
	}
	if p.Limit != 100 || p.Keys[0].Size != 1 || p.Keys[0].Etag == "" {
		t.Errorf("limit %d, first version %+v", p.Limit, p.Keys[0])
	}
	for _, q := range []string{"&limit=0", "&limit=x", "&prefix=" + strings.Repeat("k", 1025), "&version_id_marker=x", "&key_marker=%ff"} {
		s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?versions" + q}, 400, "invalid_argument")
	}
	s.want(message{as: "BOB", method: "GET", path: "/alices-bucket?versions"}, 403, "permission_denied")
	s.want(message{method: "GET", path: "/alices-bucket?versions"}, 403, "permission_denied")
}

// Versions are there to undo what others did: who may write and delete may not remove them.
func TestVersionsAreTheOwners(t *testing.T) {
	s := start(t, nil).versioned()
	one := s.putVersion("key", "one")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket?acl", body: `{"acl":[{"grantee":{"type":"user","id":"bob"},"permission":"FULL_CONTROL"}]}`}, 200, "")
	s.want(message{as: "BOB", method: "PUT", path: "/alices-bucket/key", body: "ruined"}, 201, "")
	s.want(message{as: "BOB", method: "DELETE", path: "/alices-bucket/key?version_id=" + one}, 403, "permission_denied")
	s.want(message{as: "BOB", method: "DELETE", path: "/alices-bucket/key"}, 204, "")
	if r := s.want(message{as: "BOB", method: "GET", path: "/alices-bucket/key?version_id=" + one}, 200, ""); r.body != "one" {
		t.Errorf("the version = %q", r.body)
	}
	s.want(message{as: "CAROL", method: "GET", path: "/alices-bucket/key?version_id=" + one}, 403, "permission_denied")

	// The owner's own policy binds the owner: what is kept by it stays until it is taken away.
	s.set("ALICE", "/alices-bucket?policy", `{"statement":[{"id":"keep","user":"*","action":"delete_object","effect":"deny","resource":"alices-bucket/*"}]}`)
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket/key?version_id=" + one}, 403, "permission_denied")
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket?policy"}, 204, "")
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket/key?version_id=" + one}, 204, "")
}

// Many at once, by one request, leave markers as one does. What takes room is told apart from what is there.
func TestVersionsTakeRoom(t *testing.T) {
	s := start(t, nil).versioned()
	s.putVersion("a", "12345")
	s.putVersion("a", "123")
	s.putVersion("b", "1")
	stats := func() string {
		t.Helper()
		r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?stats"}, 200, "")
		return r.body[:strings.Index(r.body, `,"created"`)+1] + r.body[strings.Index(r.body, `"storage_classes"`):]
	}
	if got, want := stats(), `{"count":2,"size":4,"storage_classes":{"STANDARD":{"count":2,"size":4,"billing_size":9}}}`; got != want {
		t.Errorf("statistics = %s, want %s", got, want)
	}
	s.deleteMany("ALICE", "alices-bucket", `{"objects":[{"key":"a"},{"key":"b"}]}`)
	if got, want := stats(), `{"count":0,"size":0,"storage_classes":{"STANDARD":{"count":0,"size":0,"billing_size":9}}}`; got != want {
		t.Errorf("statistics after deletes = %s, want %s", got, want)
	}
	if p := s.versions(""); len(p.Keys) != 5 {
		t.Errorf("versions = %+v, want two markers and three", p.Keys)
	}
}

// In a bucket with a mirror a deleted object is fetched again, marker or not, and what was fetched is a version.
func TestVersionsOfAMirror(t *testing.T) {
	n := 0
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		http.ServeContent(w, r, "a", time.Unix(1e9, 0), strings.NewReader(fmt.Sprint("fetch ", n)))
	}))
	t.Cleanup(origin.Close)
	s := start(t, nil).versioned()
	s.want(message{as: "OPERATOR", method: "PUT", path: "/alices-bucket?mirror", body: `{"source_site":"` + origin.URL + `/"}`}, 200, "")
	get := func(want string) string {
		t.Helper()
		for { // the commit comes right behind the last byte
			r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/key"}, 200, "")
			if r.body != want {
				t.Fatalf("GET = %q, want %q", r.body, want)
			}
			if v := r.Header.Get("X-Qs-Version-Id"); v != "" {
				return v
			}
		}
	}
	one := get("fetch 1")
	if _, marker := s.del("key"); !marker || one == "" {
		t.Errorf("a fill has version %q; DELETE made a marker: %v", one, marker)
	}
	get("fetch 2")
	if r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/key?version_id=" + one}, 200, ""); r.body != "fetch 1" {
		t.Errorf("the first version = %q", r.body)
	}
	s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/other?version_id=" + one}, 404, "object_not_exists")
	if n != 2 {
		t.Errorf("%d fetches, want 2: no version is fetched", n)
	}
	if p := s.versions(""); len(p.Keys) != 3 || !p.Keys[1].DeleteMarker || p.Keys[1].IsLatest {
		t.Errorf("versions = %+v", p.Keys)
	}
}
