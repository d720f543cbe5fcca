package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/yunify/qingstor-sdk-go/v3/config"
	"github.com/yunify/qingstor-sdk-go/v3/service"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

// documented is the snippet of the SDK's page "PUT Bucket External Mirror" as it is printed there, with the output going
// to out and the endpoint set.
func documented(out *strings.Builder, endpoint func(*config.Config)) *service.Bucket {
	var conf, _ = config.New("YOUR-ACCESS-KEY-ID", "YOUR--SECRET-ACCESS-KEY")
	endpoint(conf)
	var qingStor, _ = service.Init(conf)

	bucketName := "your-bucket-name"
	zoneName := "pek3b"
	bucketService, _ := qingStor.Bucket(bucketName, zoneName)

	sourceSite := "http://example.com:80/image/"
	body := service.PutBucketExternalMirrorInput{SourceSite: &sourceSite}
	if output, err := bucketService.PutExternalMirror(&body); err != nil {
		fmt.Fprintf(out, "Set external mirror of bucket(name: %s) failed with given error: %s\n", bucketName, err)
	} else {
		fmt.Fprintf(out, "The status code expected: 200(actually: %d)\n", *output.StatusCode)
	}
	return bucketService
}

func TestDocumentedSnippet(t *testing.T) {
	s := start(t)
	conf := s.zonedConfig(t)
	makeBucket(t, newService(t, conf), "your-bucket-name", "pek3b")

	var out strings.Builder
	b := documented(&out, func(c *config.Config) {
		c.Protocol, c.Host, c.Port, c.Connection = conf.Protocol, conf.Host, conf.Port, conf.Connection
	})
	if want := "The status code expected: 200(actually: 200)\n"; out.String() != want {
		t.Errorf("the snippet prints %q, want %q", &out, want)
	}
	get, err := b.GetExternalMirror()
	if err != nil {
		t.Fatalf("GET mirror: %v", err)
	}
	wantStatus(t, "GET mirror", get.StatusCode, 200)
	if got, want := value(get.SourceSite), "http://example.com:80/image/"; got != want {
		t.Errorf("GET mirror: source_site = %q, want what was set: %q", got, want)
	}
}

func TestMirrorSetting(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "setting")

	_, err := b.GetExternalMirror()
	wantError(t, "GET mirror before one is set", err, 404, "mirror_not_exists")

	// Each PUT replaces the one before; the string comes back as it was sent.
	for _, site := range []string{
		"http://example.com:80/image/",
		"https://example.com/something/",
		"example.com",
		"HTTP://Example.COM/A%20b/%e4%b8%ad",
	} {
		put, err := b.PutExternalMirror(&service.PutBucketExternalMirrorInput{SourceSite: &site})
		if err != nil {
			t.Errorf("PUT mirror %q: %v", site, err)
			continue
		}
		wantStatus(t, "PUT mirror", put.StatusCode, 200)
		get, err := b.GetExternalMirror()
		if err != nil {
			t.Errorf("GET mirror: %v", err)
			continue
		}
		wantStatus(t, "GET mirror", get.StatusCode, 200)
		if got := value(get.SourceSite); got != site {
			t.Errorf("GET mirror = %q, want %q", got, site)
		}
	}

	for _, site := range []string{"", "ftp://example.com/", "http://user@example.com/", "http://example.com/?q", "http://example.com/#f", "http:///path", "http://example.com:99999/"} {
		_, err := b.PutExternalMirror(&service.PutBucketExternalMirrorInput{SourceSite: &site})
		wantError(t, fmt.Sprintf("PUT mirror %q", site), err, 400, "invalid_argument")
	}

	for _, when := range []string{"", " again"} {
		del, err := b.DeleteExternalMirror()
		if err != nil {
			t.Fatalf("DELETE mirror%s: %v", when, err)
		}
		wantStatus(t, "DELETE mirror"+when, del.StatusCode, 204)
	}
	_, err = b.GetExternalMirror()
	wantError(t, "GET mirror after DELETE", err, 404, "mirror_not_exists")
}

func TestGetThroughMirror(t *testing.T) {
	content := strings.Repeat("through the mirror\n", 10_000)
	o := newOrigin(t, map[string]string{"/image/a b/中.png": content})
	s := start(t)
	b := s.bucket(t, "mirrored")
	site := o.url + "/image/"
	if _, err := b.PutExternalMirror(&service.PutBucketExternalMirrorInput{SourceSite: &site}); err != nil {
		t.Fatalf("PUT mirror: %v", err)
	}
	const key, path = "a b/中.png", "/image/a b/中.png"

	head, err := b.HeadObject(key, nil)
	if err != nil {
		t.Fatalf("HEAD of what only the source has: %v", err)
	}
	if got := value(head.ContentLength); got != int64(len(content)) {
		t.Errorf("HEAD: Content-Length = %d, want the source's %d", got, len(content))
	}
	if keys := list(t, b, nil).Keys; len(keys) != 0 {
		t.Errorf("HEAD stored %q, want nothing", keyNames(keys))
	}

	first := getHeader(t, b, key, content)
	if got := first.Get("Cache-Status"); !strings.Contains(got, "fwd=uri-miss") {
		t.Errorf("first GET: Cache-Status = %q, want fwd=uri-miss in it", got)
	}
	// The answer may be there before the object is: wait until it is listed, then it must come from the store.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cistern.Poll(ctx, func() bool { return len(list(t, b, nil).Keys) == 1 }); err != nil {
		t.Fatalf("the object is not listed: %v", err)
	}
	second := getHeader(t, b, key, content)
	if got := second.Get("Cache-Status"); !strings.Contains(got, "cistern; hit") {
		t.Errorf("second GET: Cache-Status = %q, want a hit", got)
	}
	if got := o.count(path); got != 1 {
		t.Errorf("the origin saw %d GET requests, want 1", got)
	}
	for _, name := range []string{"Content-Length", "Content-Type", "Etag", "Last-Modified"} {
		if first.Get(name) != second.Get(name) || first.Get(name) == "" {
			t.Errorf("%s = %q on the first answer, %q on the second: want the same", name, first.Get(name), second.Get(name))
		}
	}
	if got, want := second.Get("Last-Modified"), originModified.Format(http.TimeFormat); got != want {
		t.Errorf("Last-Modified = %q, want the source's %q", got, want)
	}
	if names := keyNames(list(t, b, nil).Keys); !slices.Equal(names, []string{key}) {
		t.Errorf("listed: %q, want %q", names, key)
	}

	_, err = b.GetObject("absent", nil)
	wantError(t, "GET of what the source does not have", err, 404, "object_not_exists")

	// A deleted object is fetched again.
	if _, err := b.DeleteObject(key); err != nil {
		t.Fatalf("DELETE: %v", err)
	}
	getHeader(t, b, key, content)
	if got := o.count(path); got != 2 {
		t.Errorf("after DELETE the origin saw %d GET requests in all, want 2", got)
	}

	// Without the setting the bucket is an ordinary one.
	if _, err := b.DeleteExternalMirror(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DeleteObject(key); err != nil {
		t.Fatal(err)
	}
	_, err = b.GetObject(key, nil)
	wantError(t, "GET without a mirror", err, 404, "object_not_exists")
}

// getHeader gets a key, wants its bytes, and returns all headers of the answer, of which the SDK shows only some.
func getHeader(t *testing.T, b *service.Bucket, key, want string) http.Header {
	t.Helper()
	req, out, err := b.GetObjectRequest(key, &service.GetObjectInput{})
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Send(); err != nil {
		t.Fatalf("GET %q: %v", key, err)
	}
	wantStatus(t, "GET", out.StatusCode, 200)
	wantBody(t, fmt.Sprintf("GET %q", key), readAll(t, out.Body), want)
	return req.HTTPResponse.Header
}

// wantBody compares bodies without printing long ones.
func wantBody(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	if len(got)+len(want) < 200 {
		t.Errorf("%s: body = %q, want %q", what, got, want)
		return
	}
	t.Errorf("%s: body has %d bytes that differ from the %d wanted", what, len(got), len(want))
}
