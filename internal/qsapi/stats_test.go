package qsapi_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cistern"
)

// Statistics are exact at once, also by storage class, and have every member that clients look for.
func TestBucketStatistics(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?stats"}, 404, "bucket_not_exists") // rclone asks before it creates
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket", host: "zone1.cistern.local"}, 201, "")
	stats := func() map[string]any {
		t.Helper()
		r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?stats=", host: "zone1.cistern.local"}, 200, "")
		if got := r.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type = %q", got)
		}
		var doc map[string]any
		if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
			t.Fatalf("%v in %s", err, r.body)
		}
		if doc["created"] == "" || doc["created"] == nil {
			t.Errorf("created = %v", doc["created"])
		}
		delete(doc, "created")
		return doc
	}
	class := func(count, size float64) map[string]any {
		return map[string]any{"count": count, "size": size, "billing_size": size}
	}
	want := func(what string, count, size float64, classes map[string]any) {
		t.Helper()
		w := map[string]any{
			"count": count, "size": size, "status": "active", "location": "zone1", "name": "alices-bucket",
			"url": "http://alices-bucket.zone1.cistern.local", "storage_classes": classes,
		}
		if diff := cmp.Diff(w, stats()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	put := func(key, body, class string) {
		t.Helper()
		s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket/" + key, body: body, header: []string{"x-qs-storage-class: " + class}}, 201, "")
	}
	want("an empty bucket", 0, 0, map[string]any{})
	put("a", "12345", "STANDARD")
	put("b", "123", "STANDARD_IA")
	want("two objects", 2, 8, map[string]any{"STANDARD": class(1, 5), "STANDARD_IA": class(1, 3)})
	put("a", "1234567", "STANDARD_IA")
	want("one that got another class", 2, 10, map[string]any{"STANDARD_IA": class(2, 10)})
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-bucket/b"}, 204, "")
	want("one that went", 1, 7, map[string]any{"STANDARD_IA": class(1, 7)})

	acl := `{"acl":[{"grantee":{"type":"user","id":"bob"},"permission":"FULL_CONTROL"},{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"FULL_CONTROL"}]}`
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket?acl", body: acl}, 200, "")
	for _, as := range []string{"BOB", "CAROL", ""} {
		s.want(message{as: as, method: "GET", path: "/alices-bucket?stats"}, 403, "permission_denied")
	}
	s.want(message{as: "OPERATOR", method: "GET", path: "/alices-bucket?stats"}, 200, "")
	s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?stats&other"}, 400, "invalid_argument")
}

func TestTooManyBuckets(t *testing.T) {
	s := startCore(t, func(o *cistern.Options) { o.MaxBuckets = 2 }, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-1"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-2"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-3"}, 403, "too_many_buckets")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-2"}, 409, "bucket_already_exists")
	s.want(message{as: "BOB", method: "PUT", path: "/bobs-1"}, 201, "")
	for _, b := range []string{"/operators-1", "/operators-2", "/operators-3"} {
		s.want(message{as: "OPERATOR", method: "PUT", path: b}, 201, "")
	}
	s.want(message{as: "ALICE", method: "DELETE", path: "/alices-1"}, 204, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-3"}, 201, "")
}
