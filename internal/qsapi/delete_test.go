package qsapi_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func md5Header(body string) string {
	sum := md5.Sum([]byte(body))
	return "Content-MD5: " + base64.StdEncoding.EncodeToString(sum[:])
}

// deletion is the answer to a request that deletes many.
type deletion struct {
	Deleted *[]struct{ Key string }
	Errors  *[]struct{ Key, Code, Message string }
}

func (s *site) deleteMany(as, bucket, body string) deletion {
	s.t.Helper()
	r := s.want(message{as: as, method: "POST", path: "/" + bucket + "?delete", body: body, header: []string{"Content-Type: application/json", md5Header(body)}}, 200, "")
	var d deletion
	if err := json.Unmarshal([]byte(r.body), &d); err != nil {
		s.t.Fatalf("%v in %s", err, r.body)
	}
	if d.Errors == nil {
		s.t.Fatalf("no member errors in %s", r.body)
	}
	return d
}

func (d deletion) String() string {
	var b strings.Builder
	if d.Deleted == nil {
		b.WriteString("quiet")
	} else {
		for _, k := range *d.Deleted {
			fmt.Fprintf(&b, "-%s", k.Key)
		}
	}
	for _, e := range *d.Errors {
		fmt.Fprintf(&b, " %s:%s", e.Key, e.Code)
	}
	return b.String()
}

func TestDeleteMultipleObjects(t *testing.T) {
	s := start(t, nil)
	const b = "alices-bucket"
	s.want(message{as: "ALICE", method: "PUT", path: "/" + b}, 201, "")
	put := func(keys ...string) {
		for _, k := range keys {
			s.want(message{as: "ALICE", method: "PUT", path: "/" + b + "/" + k, body: "x"}, 201, "")
		}
	}
	long := strings.Repeat("k", 1024)
	for _, tc := range []struct{ name, body, want string }{
		{"as the SDK sends it", `{"objects":[{"key":"a"},{"key":"b/c"}],"quiet":null}`, "-a-b/c"},
		{"missing ones count", `{"objects":[{"key":"a"},{"key":"nowhere"}],"quiet":false}`, "-a-nowhere"},
		{"quiet", `{"quiet":true,"objects":[{"key":"a"}]}`, "quiet"},
		{"none", `{"objects":[]}`, ""},
		{"one twice", `{"objects":[{"key":"a"},{"key":"a"}]}`, "-a-a"},
		{"other members of a key", `{"objects":[{"size":-1,"created":[{"x":[]}],"key":"a","key2":null}]}`, "-a"},
		{"keys that cannot be", `{"objects":[{"key":""},{"key":"a"},{"key":"` + long + `"}]}`, "-a :invalid_object_name " + long + ":invalid_object_name"},
		{"escapes", `{"objects":[{"key":"\u0061"},{"key":"b\/c"},{"key":"\ud83d\ude00"}]}`, "-a-b/c-\U0001f600"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			put("a", "b/c", "keep")
			if got := s.deleteMany("ALICE", b, tc.body).String(); got != tc.want {
				t.Errorf("%s = %s, want %s", tc.body, got, tc.want)
			}
			for _, k := range []string{"a", "b/c"} {
				status := 200
				if strings.Contains(tc.want, "-"+k) || strings.HasPrefix(tc.want, "quiet") && k == "a" {
					status = 404
				}
				if r := s.send(message{as: "ALICE", method: "HEAD", path: "/" + b + "/" + k}); r.StatusCode != status {
					t.Errorf("HEAD %s afterwards = %d, want %d", k, r.StatusCode, status)
				}
			}
			s.want(message{as: "ALICE", method: "HEAD", path: "/" + b + "/keep"}, 200, "")
		})
	}
}

func TestDeleteMultipleObjectsRefused(t *testing.T) {
	s := start(t, nil)
	const b = "/alices-bucket?delete"
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket/a", body: "x"}, 201, "")
	many := `{"objects":[` + strings.Repeat(`{"key":"a"},`, 1000) + `{"key":"a"}]}`
	for _, tc := range []struct {
		name, as, path, body, code string
		status                     int
		header                     []string
	}{
		{"no digest", "ALICE", b, `{"objects":[{"key":"a"}]}`, "invalid_request", 400, []string{}},
		{"no MD5", "ALICE", b, `{"objects":[{"key":"a"}]}`, "invalid_argument", 400, []string{"Content-MD5: x"}},
		{"another digest", "ALICE", b, `{"objects":[{"key":"a"}]}`, "bad_digest", 400, []string{md5Header("x")}},
		{"too many", "ALICE", b, many, "too_many_objects", 400, nil},
		{"nothing", "ALICE", b, "", "invalid_json", 400, nil},
		{"no list", "ALICE", b, `{}`, "invalid_request", 400, nil},
		{"another list", "ALICE", b, `{"objects":{"key":"a"}}`, "invalid_request", 400, nil},
		{"a key that is no text", "ALICE", b, `{"objects":[{"key":1}]}`, "invalid_request", 400, nil},
		{"no key", "ALICE", b, `{"objects":[{"name":"a"}]}`, "invalid_request", 400, nil},
		{"a key twice", "ALICE", b, `{"objects":[{"key":"a","key":"b"}]}`, "invalid_json", 400, nil},
		{"a list of texts", "ALICE", b, `{"objects":["a"]}`, "invalid_json", 400, nil},
		{"quiet as text", "ALICE", b, `{"objects":[{"key":"a"}],"quiet":"yes"}`, "invalid_argument", 400, nil},
		{"an unknown member", "ALICE", b, `{"objects":[{"key":"a"}],"force":true}`, "invalid_argument", 400, nil},
		{"two documents", "ALICE", b, `{"objects":[{"key":"a"}]}{}`, "invalid_json", 400, nil},
		{"half a document", "ALICE", b, `{"objects":[{"key":"a"}`, "invalid_json", 400, nil},
		{"no UTF-8", "ALICE", b, "{\"objects\":[{\"key\":\"\xff\"}]}", "invalid_json", 400, nil},
		{"deep", "ALICE", b, `{"objects":[{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `,"key":"a"}]}`, "invalid_json", 400, nil},
		{"another user", "BOB", b, `{"objects":[{"key":"a"}]}`, "permission_denied", 403, nil},
		{"another user, of nothing", "BOB", b, `{"objects":[]}`, "permission_denied", 403, nil},
		{"anonymous", "", b, `{"objects":[{"key":"a"}]}`, "permission_denied", 403, nil},
		{"no bucket", "ALICE", "/no-bucket?delete", `{"objects":[{"key":"a"}]}`, "bucket_not_exists", 404, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := tc.header
			if h == nil {
				h = []string{md5Header(tc.body)}
			}
			s.want(message{as: tc.as, method: "POST", path: tc.path, body: tc.body, header: h}, tc.status, tc.code)
			s.want(message{as: "ALICE", method: "HEAD", path: "/alices-bucket/a"}, 200, "")
		})
	}
	s.want(message{as: "ALICE", method: "POST", path: b, length: "8388609", header: []string{md5Header("")}}, 400, "entity_too_large")
}

// A policy may allow some keys and not others: each has its own result.
func TestDeleteMultipleObjectsByKey(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	for _, k := range []string{"dir/a", "dir/b", "c"} {
		s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket/" + k, body: "x"}, 201, "")
	}
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket?policy", body: `{"statement":[` +
		`{"id":"1","user":["bob"],"action":["delete_object"],"effect":"allow","resource":["alices-bucket/dir/*"]}]}`}, 200, "")
	if got, want := s.deleteMany("BOB", "alices-bucket", `{"objects":[{"key":"c"},{"key":"dir/a"}]}`).String(), "-dir/a c:permission_denied"; got != want {
		t.Errorf("some that may = %s, want %s", got, want)
	}
	body := `{"objects":[{"key":"c"}]}`
	s.want(message{as: "BOB", method: "POST", path: "/alices-bucket?delete", body: body, header: []string{md5Header(body)}}, 403, "permission_denied")
	for k, status := range map[string]int{"dir/a": 404, "dir/b": 200, "c": 200} {
		if r := s.send(message{as: "ALICE", method: "HEAD", path: "/alices-bucket/" + k}); r.StatusCode != status {
			t.Errorf("HEAD %s afterwards = %d, want %d", k, r.StatusCode, status)
		}
	}
}

// A thousand keys of full length, each byte of them escaped, go in one request.
func TestDeleteMultipleObjectsAtMost(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket/" + strings.Repeat("%01", 1019) + "0999", body: "x"}, 201, "")
	var body strings.Builder
	body.WriteString(`{"objects":[`)
	for i := range 1000 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"key":"%s%04d"}`, strings.Repeat(`\u0001`, 1019), i)
	}
	body.WriteString(`],"quiet":false}`)
	d := s.deleteMany("ALICE", "alices-bucket", body.String())
	if len(*d.Deleted) != 1000 || len(*d.Errors) != 0 {
		t.Errorf("deleted %d, errors %d, want 1000 and none", len(*d.Deleted), len(*d.Errors))
	}
	if r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?stats"}, 200, ""); !strings.HasPrefix(r.body, `{"count":0,`) {
		t.Errorf("statistics afterwards = %s", r.body)
	}
}
