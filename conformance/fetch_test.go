package conformance

import (
	"testing"

	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// Fetch gets an object from a URL, at once.
func TestFetch(t *testing.T) {
	o := newOrigin(t, map[string]string{"/a b/中": "from elsewhere"})
	s := start(t)
	b := s.bucket(t, "fetched")
	out, err := b.PutObject("here", &service.PutObjectInput{XQSFetchSource: ptr(o.url + "/a%20b/%E4%B8%AD")})
	if err != nil {
		t.Fatalf("fetch: %v", err)
	}
	wantStatus(t, "fetch", out.StatusCode, 201)
	if got := getHeader(t, b, "here", "from elsewhere").Get("Content-Type"); got != "text/x-origin" {
		t.Errorf("Content-Type = %q, want the source's", got)
	}
	_, err = b.PutObject("absent", &service.PutObjectInput{XQSFetchSource: ptr(o.url + "/absent")})
	wantError(t, "fetch of what the source does not have", err, 404, "object_not_exists")
}
