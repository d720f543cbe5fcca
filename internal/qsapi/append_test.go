package qsapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func appendAt(position int, content string, header ...string) message {
	return message{as: "ALICE", method: "POST", path: fmt.Sprintf("/my-bucket/log?append&position=%d", position), body: content, header: header}
}

func TestAppend(t *testing.T) {
	u := startUploads(t)
	var whole string
	seen := map[string]bool{}
	for i, content := range []string{"", "one,", "two,", "", pattern(100_000, 'x'), "end"} {
		r := u.want(appendAt(len(whole), content, "Content-Type: text/x-log", "x-qs-meta-a: "+itoa(i), "x-qs-storage-class: STANDARD_IA"), 200, "")
		whole += content
		if next := r.Header.Get("X-Qs-Next-Append-Position"); next != itoa(len(whole)) || r.body != "" {
			t.Errorf("append %d: next position %q, body %q, want %d and none", i, next, r.body, len(whole))
		}
		etag := r.Header.Get("Etag")
		if changed := !seen[etag]; changed != (content != "" || i == 0) || len(strings.Trim(etag, `"`)) == 32 {
			t.Errorf("append %d of %d bytes: ETag %s; it changes with each append and is no MD5", i, len(content), etag)
		}
		seen[etag] = true
		r = u.get("log")
		for name, want := range map[string]string{
			"Etag": etag, "Content-Type": "text/x-log", "X-Qs-Meta-A": "0", "X-Qs-Storage-Class": "STANDARD_IA",
			"X-Qs-Object-Type": "appendable", "X-Qs-Next-Append-Position": itoa(len(whole)),
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("append %d: %s is %q, want %q", i, name, got, want)
			}
		}
		if r.body != whole {
			t.Errorf("append %d: the object has %d bytes that are not what was appended", i, len(r.body))
		}
	}
	r := u.want(message{as: "ALICE", method: "HEAD", path: "/my-bucket/log"}, 200, "")
	if r.Header.Get("X-Qs-Object-Type") != "appendable" || r.Header.Get("X-Qs-Next-Append-Position") != itoa(len(whole)) {
		t.Errorf("HEAD = %v", r.Header)
	}
	if r := u.want(message{as: "ALICE", method: "GET", path: "/my-bucket/log", header: []string{"Range: bytes=2-9"}}, 206, ""); r.body != whole[2:10] {
		t.Errorf("range = %q, want %q", r.body, whole[2:10])
	}
	// A PUT makes it an ordinary object.
	u.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/log", body: "put"}, 201, "")
	if r := u.get("log"); r.body != "put" || r.Header.Get("X-Qs-Object-Type") != "" || r.Header.Get("X-Qs-Next-Append-Position") != "" {
		t.Errorf("after a PUT: %q, %v", r.body, r.Header)
	}
	u.want(appendAt(3, "x"), 400, "invalid_object_state")
	u.want(message{as: "ALICE", method: "DELETE", path: "/my-bucket/log"}, 204, "")
	u.want(appendAt(0, "anew"), 200, "")
	if r := u.get("log"); r.body != "anew" {
		t.Errorf("after a DELETE: %q", r.body)
	}
}

func TestAppendIsRefused(t *testing.T) {
	u := startUploads(t)
	u.want(appendAt(0, "12345"), 200, "")
	u.want(message{as: "ALICE", method: "PUT", path: "/my-bucket/put", body: "12345"}, 201, "")
	for _, tc := range []struct {
		name   string
		m      message
		status int
		code   string
		next   string
	}{
		{"before the end", message{path: "log?append&position=0"}, 409, "position_not_equal_to_length", "5"},
		{"behind the end", message{path: "log?append&position=6"}, 409, "position_not_equal_to_length", "5"},
		{"nothing there", message{path: "new?append&position=1"}, 409, "position_not_equal_to_length", "0"},
		{"an object that was put", message{path: "put?append&position=5"}, 400, "invalid_object_state", ""},
		{"an object that was put, from the front", message{path: "put?append&position=0"}, 400, "invalid_object_state", ""},
		{"no position", message{path: "log?append"}, 400, "invalid_argument", ""},
		{"empty position", message{path: "log?append&position="}, 400, "invalid_argument", ""},
		{"negative position", message{path: "log?append&position=-5"}, 400, "invalid_argument", ""},
		{"position as a word", message{path: "log?append&position=end"}, 400, "invalid_argument", ""},
		{"position beyond all", message{path: "log?append&position=9223372036854775808"}, 400, "invalid_argument", ""},
		{"wrong digest", message{path: "log?append&position=5", header: []string{"Content-MD5: 00000000000000000000000000000000"}}, 400, "bad_digest", ""},
		{"cut", message{path: "log?append&position=5", length: "2", cut: true}, 400, "incomplete_body", ""},
		{"too large", message{path: "log?append&position=5", length: "5368709121"}, 400, "entity_too_large", ""},
		{"storage class", message{path: "new?append&position=0", header: []string{"x-qs-storage-class: COLD"}}, 400, "invalid_request", ""},
		{"long key", message{path: strings.Repeat("k", 1024) + "?append&position=0"}, 400, "invalid_object_name", ""},
		{"another user", message{as: "BOB", path: "log?append&position=5"}, 403, "permission_denied", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &uploads{u.site, t}
			m := tc.m
			if m.as == "" {
				m.as = "ALICE"
			}
			m.method, m.path, m.body = "POST", "/my-bucket/"+m.path, "x"
			if r := u.want(m, tc.status, tc.code); r.Header.Get("X-Qs-Next-Append-Position") != tc.next {
				t.Errorf("next position %q, want %q", r.Header.Get("X-Qs-Next-Append-Position"), tc.next)
			}
		})
	}
	u.want(message{as: "ALICE", method: "POST", path: "/no-bucket/log?append&position=0", body: "x"}, 404, "bucket_not_exists")
	if r := u.get("log"); r.body != "12345" {
		t.Errorf("the object is %q after appends that were refused", r.body)
	}
}

// Of appends that come at once for one position, one succeeds, and the others hear where the object ends.
func TestAppendsAtOnce(t *testing.T) {
	u := startUploads(t)
	for round := range 3 {
		var wg sync.WaitGroup
		statuses := make([]int, 6)
		for i := range statuses {
			wg.Go(func() { statuses[i] = u.try(appendAt(2*round, fmt.Sprintf("%d,", i))) })
		}
		wg.Wait()
		won := -1
		for i, s := range statuses {
			switch {
			case s == 200 && won < 0:
				won = i
			case s != 409:
				t.Fatalf("round %d: statuses %v, want one 200 and 409", round, statuses)
			}
		}
		if r := u.get("log"); len(r.body) != 2*round+2 || !strings.HasSuffix(r.body, fmt.Sprintf("%d,", won)) {
			t.Errorf("round %d: the object is %q, %d won", round, r.body, won)
		}
	}
}
