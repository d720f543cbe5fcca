package sdk4

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/qingstor/qingstor-sdk-go/v4/service"
)

func TestMetadata(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "tagged")
	meta := func(key string) map[string]string {
		t.Helper()
		head, err := b.HeadObject(key, nil)
		ok(t, "HEAD "+key, err, value(head).StatusCode, 200)
		got := get(t, b, key, "body")
		if h, g := value(head.XQSMetaData), value(got.XQSMetaData); !maps.Equal(h, g) {
			t.Errorf("HEAD says %v, GET says %v", h, g)
		}
		return value(head.XQSMetaData)
	}
	created, err := b.PutObject("key", &service.PutObjectInput{
		Body: strings.NewReader("body"), ContentType: ptr("text/x-first"),
		XQSMetaData: &map[string]string{"x-qs-meta-Name_1": "value", "x-qs-meta-two": "2"}, XQSStorageClass: ptr("STANDARD_IA"),
	})
	ok(t, "PUT", err, value(created).StatusCode, 201)
	want := map[string]string{"x-qs-meta-name_1": "value", "x-qs-meta-two": "2"}
	if got := meta("key"); !maps.Equal(got, want) {
		t.Errorf("metadata = %v, want %v", got, want)
	}
	head, err := b.HeadObject("key", nil)
	ok(t, "HEAD", err, value(head).StatusCode, 200)
	if value(head.XQSStorageClass) != "STANDARD_IA" {
		t.Errorf("HEAD: storage class = %q, want STANDARD_IA", value(head.XQSStorageClass))
	}

	copied, err := b.PutObject("copy", &service.PutObjectInput{XQSCopySource: ptr("/tagged/key")})
	ok(t, "copy", err, value(copied).StatusCode, 201)
	if got := meta("copy"); !maps.Equal(got, want) {
		t.Errorf("metadata of a copy = %v, want its source's", got)
	}
	replaced, err := b.PutObject("key", &service.PutObjectInput{
		XQSCopySource: ptr("/tagged/key"), XQSMetadataDirective: ptr("REPLACE"),
		XQSMetaData: &map[string]string{"x-qs-meta-three": "3"}, ContentType: ptr("text/x-second"),
	})
	ok(t, "copy onto itself", err, value(replaced).StatusCode, 201)
	if got, want := meta("key"), map[string]string{"x-qs-meta-three": "3"}; !maps.Equal(got, want) {
		t.Errorf("metadata after a copy onto itself = %v, want %v", got, want)
	}
	if got := value(get(t, b, "key", "body").ContentType); got != "text/x-second" {
		t.Errorf("Content-Type after a copy onto itself = %q, want the new one", got)
	}

	for what, in := range map[string]*service.PutObjectInput{
		"if-match, another":      {XQSCopySource: ptr("/tagged/key"), XQSCopySourceIfMatch: ptr(`"another"`)},
		"if-none-match, same":    {XQSCopySource: ptr("/tagged/key"), XQSCopySourceIfNoneMatch: head.ETag},
		"if-unmodified-since":    {XQSCopySource: ptr("/tagged/key"), XQSCopySourceIfUnmodifiedSince: ptr(time.Now().Add(-time.Hour))},
		"if-modified-since, not": {XQSCopySource: ptr("/tagged/key"), XQSCopySourceIfModifiedSince: ptr(time.Now().Add(time.Hour))},
	} {
		_, err := b.PutObject("conditional", in)
		refused(t, "copy with "+what, err, 412, "precondition_failed")
	}
	_, err = b.PutObject("conditional", &service.PutObjectInput{XQSCopySource: ptr("/tagged/absent")})
	refused(t, "copy of nothing", err, 404, "object_not_exists")
	_, err = b.PutObject("conditional", &service.PutObjectInput{XQSCopySource: ptr("/no-such-bucket/key")})
	refused(t, "copy from no bucket", err, 404, "bucket_not_exists")
}
