package conformance

import (
	"slices"
	"testing"

	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// The tests named TestScenario do what all SDKs of QingStor are tested with. The scenario of objects is TestOddKeys, that of
// access control lists TestACL.

func TestScenarioService(t *testing.T) {
	out, err := start(t).service(t).ListBuckets(nil)
	if err != nil {
		t.Fatalf("list buckets: %v", err)
	}
	wantStatus(t, "list buckets", out.StatusCode, 200)
}

func TestScenarioBucket(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "scenario")
	_, err := b.Put()
	wantError(t, "PUT again", err, 409, "bucket_already_exists")
	if out := list(t, b, &service.ListObjectsInput{Delimiter: ptr("/"), Limit: ptr(1000), Prefix: ptr("Test/"), Marker: ptr("Next")}); len(out.Keys) != 0 {
		t.Errorf("an empty bucket lists %q", keyNames(out.Keys))
	}
	head, err := b.Head()
	if err != nil {
		t.Fatalf("HEAD: %v", err)
	}
	wantStatus(t, "HEAD", head.StatusCode, 200)

	for _, key := range []string{"object_0", "object_1", "object_2", "another"} {
		put(t, b, key, "four")
	}
	stats := func() (count, size int64) {
		t.Helper()
		out, err := b.GetStatistics()
		if err != nil {
			t.Fatalf("GET stats: %v", err)
		}
		wantStatus(t, "GET stats", out.StatusCode, 200)
		if value(out.Status) != "active" || value(out.Name) != "scenario" || out.Created == nil || value(out.URL) == "" {
			t.Errorf("GET stats: status %q, name %q, created %v, url %q; want the bucket, active", value(out.Status), value(out.Name), out.Created, value(out.URL))
		}
		return value(out.Count), value(out.Size)
	}
	if count, size := stats(); count != 4 || size != 16 {
		t.Errorf("GET stats: %d objects, %d bytes; want 4 and 16 at once", count, size)
	}

	out, err := b.DeleteMultipleObjects(&service.DeleteMultipleObjectsInput{
		Quiet:   ptr(false),
		Objects: keyList("object_0", "object_1", "object_2"),
	})
	if err != nil {
		t.Fatalf("delete several: %v", err)
	}
	wantStatus(t, "delete several", out.StatusCode, 200)
	if got := keyNames(out.Deleted); !slices.Equal(got, []string{"object_0", "object_1", "object_2"}) || len(out.Errors) != 0 {
		t.Errorf("delete several: deleted %q, %d errors; want the three", got, len(out.Errors))
	}
	if count, size := stats(); count != 1 || size != 4 {
		t.Errorf("GET stats after the deletion: %d objects, %d bytes; want 1 and 4", count, size)
	}
	// The SDK sends "quiet": null when it is not set.
	out, err = b.DeleteMultipleObjects(&service.DeleteMultipleObjectsInput{Objects: keyList("never there", "object_0")})
	if err != nil {
		t.Fatalf("delete several that are not there: %v", err)
	}
	if got := keyNames(out.Deleted); !slices.Equal(got, []string{"never there", "object_0"}) {
		t.Errorf("delete several that are not there: deleted %q, want both", got)
	}
	out, err = b.DeleteMultipleObjects(&service.DeleteMultipleObjectsInput{Objects: keyList("another"), Quiet: ptr(true)})
	if err != nil {
		t.Fatalf("delete quietly: %v", err)
	}
	if len(out.Deleted) != 0 {
		t.Errorf("delete quietly: deleted %q, want nothing said", keyNames(out.Deleted))
	}
	if count, size := stats(); count != 0 || size != 0 {
		t.Errorf("GET stats of an empty bucket: %d objects, %d bytes", count, size)
	}
	deleted, err := b.Delete()
	if err != nil {
		t.Fatalf("DELETE: %v", err)
	}
	wantStatus(t, "DELETE", deleted.StatusCode, 204)
	_, err = b.GetStatistics()
	wantError(t, "GET stats of no bucket", err, 404, "bucket_not_exists")
}

func keyList(keys ...string) []*service.KeyType {
	var list []*service.KeyType
	for _, key := range keys {
		list = append(list, &service.KeyType{Key: &key})
	}
	return list
}

func TestScenarioUploads(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "uploads")
	const key = "list_multipart_uploads_object_key"
	begun, err := b.InitiateMultipartUpload(key, nil)
	if err != nil {
		t.Fatalf("initiate: %v", err)
	}
	for _, in := range []*service.ListMultipartUploadsInput{nil, {Prefix: ptr(key)}, {Prefix: ptr("list_")}} {
		out, err := b.ListMultipartUploads(in)
		if err != nil {
			t.Fatalf("list uploads: %v", err)
		}
		wantStatus(t, "list uploads", out.StatusCode, 200)
		if len(out.Uploads) != 1 {
			t.Fatalf("list uploads with %+v: %d, want 1", in, len(out.Uploads))
		}
		if u := out.Uploads[0]; value(u.Key) != key || value(u.UploadID) != value(begun.UploadID) || u.Created == nil {
			t.Errorf("list uploads: %s %s %v, want the one that began", value(u.Key), value(u.UploadID), u.Created)
		}
	}
	if out, err := b.ListMultipartUploads(&service.ListMultipartUploadsInput{Prefix: ptr("other")}); err != nil || len(out.Uploads) != 0 {
		t.Errorf("list uploads with another prefix: %v, want none", err)
	}
	for _, when := range []string{"", " again"} {
		out, err := b.AbortMultipartUpload(key, &service.AbortMultipartUploadInput{UploadID: begun.UploadID})
		if err != nil {
			t.Fatalf("abort%s: %v", when, err)
		}
		wantStatus(t, "abort"+when, out.StatusCode, 204)
	}
	if out, err := b.ListMultipartUploads(nil); err != nil || len(out.Uploads) != 0 {
		t.Errorf("list uploads after abort: %v, want none", err)
	}
	// Keys in order, and of one key the uploads in the order in which they began; pages join without loss.
	var want []string
	for _, key := range []string{"a", "b/1", "b/1", "b/2", "c 中"} {
		out, err := b.InitiateMultipartUpload(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, key+" "+value(out.UploadID))
	}
	slices.Sort(want)
	for limit := 1; limit <= 6; limit++ {
		var got []string
		in := &service.ListMultipartUploadsInput{Limit: &limit}
		for range 10 {
			out, err := b.ListMultipartUploads(in)
			if err != nil {
				t.Fatalf("list uploads: %v", err)
			}
			for _, u := range out.Uploads {
				got = append(got, value(u.Key)+" "+value(u.UploadID))
			}
			if !value(out.HasMore) {
				break
			}
			in.KeyMarker, in.UploadIDMarker = out.NextKeyMarker, out.NextUploadIDMarker
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("list uploads, %d a page: %q, want %q", limit, got, want)
		}
	}
}
