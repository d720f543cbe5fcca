package conformance

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yunify/qingstor-sdk-go/v3/service"
)

func TestPutObject(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "puts")
	const body = "some bytes"
	sum := md5.Sum([]byte(body))
	etag := `"` + hex.EncodeToString(sum[:]) + `"`

	tests := []struct {
		name string
		in   service.PutObjectInput
		body string
	}{
		{name: "plain", in: service.PutObjectInput{Body: strings.NewReader(body)}, body: body},
		{name: "MD5 in Base64", in: service.PutObjectInput{Body: strings.NewReader(body), ContentMD5: ptr(base64.StdEncoding.EncodeToString(sum[:]))}, body: body},
		{name: "MD5 in hex", in: service.PutObjectInput{Body: strings.NewReader(body), ContentMD5: ptr(hex.EncodeToString(sum[:]))}, body: body},
		{name: "Expect", in: service.PutObjectInput{Body: strings.NewReader(body), Expect: ptr("100-continue")}, body: body},
		{name: "type", in: service.PutObjectInput{Body: strings.NewReader(body), ContentType: ptr("text/x-kind; charset=utf-8"), CacheControl: ptr("max-age=7")}, body: body},
		{name: "no body", in: service.PutObjectInput{}},
		{name: "empty body", in: service.PutObjectInput{Body: strings.NewReader("")}},
		{name: "empty body of unknown type", in: service.PutObjectInput{Body: struct{ io.ReadSeeker }{strings.NewReader("")}}},
		{name: "large", in: service.PutObjectInput{Body: strings.NewReader(strings.Repeat("large ", 1<<20))}, body: strings.Repeat("large ", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := b.PutObject(tt.name, &tt.in)
			if err != nil {
				t.Fatalf("PUT: %v", err)
			}
			wantStatus(t, "PUT", out.StatusCode, 201)
			if tt.body == body && value(out.ETag) != etag {
				t.Errorf("PUT: ETag = %s, want %s", value(out.ETag), etag)
			}
			header := getHeader(t, b, tt.name, tt.body)
			if got := header.Get("Etag"); got != value(out.ETag) {
				t.Errorf("GET: ETag = %s, want that of PUT, %s", got, value(out.ETag))
			}
			wantType := "application/octet-stream"
			if tt.in.ContentType != nil {
				wantType = *tt.in.ContentType
			}
			if got := header.Get("Content-Type"); got != wantType {
				t.Errorf("GET: Content-Type = %q, want %q", got, wantType)
			}
			if got, want := header.Get("Cache-Control"), value(tt.in.CacheControl); got != want {
				t.Errorf("GET: Cache-Control = %q, want %q", got, want)
			}
		})
	}

	t.Run("wrong MD5", func(t *testing.T) {
		other := md5.Sum([]byte("other bytes"))
		for _, claim := range []string{base64.StdEncoding.EncodeToString(other[:]), hex.EncodeToString(other[:])} {
			_, err := b.PutObject("wrong", &service.PutObjectInput{Body: strings.NewReader(body), ContentMD5: &claim})
			wantError(t, "PUT with the MD5 of something else", err, 400, "bad_digest")
		}
		_, err := b.GetObject("wrong", nil)
		wantError(t, "GET after a refused PUT", err, 404, "object_not_exists")
	})
	t.Run("chunked", func(t *testing.T) {
		// The SDK insists on a length; other clients of the API do not send one.
		resp := s.raw(t, http.MethodPut, "/puts/chunked", nil, unsized{strings.NewReader(body)})
		if text := readAll(t, resp.Body); resp.StatusCode != http.StatusCreated {
			t.Fatalf("PUT = %d %s, want 201", resp.StatusCode, text)
		}
		getHeader(t, b, "chunked", body)
	})
	t.Run("the last one counts", func(t *testing.T) {
		put(t, b, "twice", "first, and longer")
		put(t, b, "twice", "second")
		getHeader(t, b, "twice", "second")
	})
	t.Run("no bucket", func(t *testing.T) {
		_, err := openBucket(t, s.service(t), "nowhere", "").PutObject("k", &service.PutObjectInput{Body: strings.NewReader(body)})
		wantError(t, "PUT into a bucket that is not there", err, 404, "bucket_not_exists")
	})
	t.Run("metadata", func(t *testing.T) {
		_, err := b.PutObject("meta", &service.PutObjectInput{
			Body:        strings.NewReader(body),
			XQSMetaData: &map[string]string{"x-qs-meta-a.b-C1": "a value", "x-qs-meta-second": "2"},
		})
		if err != nil {
			t.Fatalf("PUT: %v", err)
		}
		header := getHeader(t, b, "meta", body)
		if header.Get("x-qs-meta-a.b-c1") != "a value" || header.Get("x-qs-meta-second") != "2" {
			t.Errorf("GET: headers %v, want both x-qs-meta- ones as they were put", header)
		}
		_, err = b.PutObject("meta", &service.PutObjectInput{
			Body:        strings.NewReader(body),
			XQSMetaData: &map[string]string{"x-qs-meta-k": strings.Repeat("v", 2048)},
		})
		wantError(t, "PUT with 2,049 bytes of metadata", err, 400, "metadata_too_large")
	})
}

func TestGetObject(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "gets")
	const key, body = "digits", "0123456789"
	put(t, b, key, body)
	head, err := b.HeadObject(key, nil)
	if err != nil {
		t.Fatalf("HEAD: %v", err)
	}
	if head.LastModified == nil || value(head.ETag) == "" || value(head.ContentLength) != int64(len(body)) {
		t.Fatalf("HEAD: Last-Modified %v, ETag %s, Content-Length %d; want all three", head.LastModified, value(head.ETag), value(head.ContentLength))
	}
	modified, etag := *head.LastModified, *head.ETag
	before, after := modified.Add(-time.Hour), modified.Add(time.Hour)

	tests := []struct {
		name   string
		in     service.GetObjectInput
		status int
		rng    string // Content-Range
		body   string
	}{
		{name: "first byte", in: service.GetObjectInput{Range: ptr("bytes=0-0")}, status: 206, rng: "bytes 0-0/10", body: "0"},
		{name: "middle", in: service.GetObjectInput{Range: ptr("bytes=2-5")}, status: 206, rng: "bytes 2-5/10", body: "2345"},
		{name: "from an offset", in: service.GetObjectInput{Range: ptr("bytes=7-")}, status: 206, rng: "bytes 7-9/10", body: "789"},
		{name: "last bytes", in: service.GetObjectInput{Range: ptr("bytes=-3")}, status: 206, rng: "bytes 7-9/10", body: "789"},
		{name: "more last bytes than there are", in: service.GetObjectInput{Range: ptr("bytes=-30")}, status: 206, rng: "bytes 0-9/10", body: body},
		{name: "over the end", in: service.GetObjectInput{Range: ptr("bytes=8-100")}, status: 206, rng: "bytes 8-9/10", body: "89"},
		{name: "If-None-Match, same", in: service.GetObjectInput{IfNoneMatch: &etag}, status: 304},
		{name: "If-None-Match, another", in: service.GetObjectInput{IfNoneMatch: ptr(`"another"`)}, status: 200, body: body},
		{name: "If-Match, same", in: service.GetObjectInput{IfMatch: &etag}, status: 200, body: body},
		{name: "If-Match, another", in: service.GetObjectInput{IfMatch: ptr(`"another"`)}, status: 412},
		{name: "If-Modified-Since, not since", in: service.GetObjectInput{IfModifiedSince: &modified}, status: 304},
		{name: "If-Modified-Since, since", in: service.GetObjectInput{IfModifiedSince: &before}, status: 200, body: body},
		{name: "If-Unmodified-Since, since", in: service.GetObjectInput{IfUnmodifiedSince: &before}, status: 412},
		{name: "If-Unmodified-Since, not since", in: service.GetObjectInput{IfUnmodifiedSince: &after}, status: 200, body: body},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := b.GetObject(key, &tt.in)
			if err != nil {
				t.Fatalf("GET: %v", err)
			}
			wantStatus(t, "GET", out.StatusCode, tt.status)
			got := readAll(t, out.Body)
			if tt.status == 412 {
				return // its body is the error
			}
			wantBody(t, "GET", got, tt.body)
			if value(out.ETag) != etag {
				t.Errorf("GET: ETag = %s, want %s", value(out.ETag), etag)
			}
			if value(out.ContentRange) != tt.rng {
				t.Errorf("GET: Content-Range = %q, want %q", value(out.ContentRange), tt.rng)
			}
			if out.LastModified == nil || !out.LastModified.Equal(modified) {
				t.Errorf("GET: Last-Modified = %v, want %v", out.LastModified, modified)
			}
		})
	}

	for _, rng := range []string{"bytes=10-", "bytes=100-200"} {
		_, err := b.GetObject(key, &service.GetObjectInput{Range: &rng})
		wantError(t, "GET with Range "+rng, err, 416, "invalid_range")
	}

	t.Run("HEAD with conditions", func(t *testing.T) {
		_, err := b.HeadObject(key, &service.HeadObjectInput{IfNoneMatch: &etag})
		wantError(t, "HEAD with the same If-None-Match", err, 304, "")
		_, err = b.HeadObject(key, &service.HeadObjectInput{IfMatch: ptr(`"another"`)})
		wantError(t, "HEAD with another If-Match", err, 412, "")
	})

	t.Run("response headers", func(t *testing.T) {
		in := service.GetObjectInput{
			ResponseCacheControl:       ptr("no-cache"),
			ResponseContentDisposition: ptr(`attachment; filename="a b+c.txt"`),
			ResponseContentEncoding:    ptr("identity"),
			ResponseContentLanguage:    ptr("zh-CN, en"),
			ResponseContentType:        ptr("video/mp4; charset=utf8"),
			ResponseExpires:            ptr("Thu, 01 Dec 2033 16:00:00 GMT"),
		}
		out, err := b.GetObject(key, &in)
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		wantBody(t, "GET", readAll(t, out.Body), body)
		for _, h := range []struct {
			name      string
			got, want *string
		}{
			{"Cache-Control", out.CacheControl, in.ResponseCacheControl},
			{"Content-Disposition", out.ContentDisposition, in.ResponseContentDisposition},
			{"Content-Encoding", out.ContentEncoding, in.ResponseContentEncoding},
			{"Content-Language", out.ContentLanguage, in.ResponseContentLanguage},
			{"Content-Type", out.ContentType, in.ResponseContentType},
			{"Expires", out.Expires, in.ResponseExpires},
		} {
			if value(h.got) != *h.want {
				t.Errorf("%s = %q, want it echoed exactly: %q", h.name, value(h.got), *h.want)
			}
		}
	})

	t.Run("signed link", func(t *testing.T) {
		url := link(t, b, key, &service.GetObjectInput{ResponseContentType: ptr("text/x-linked; a=b")}, 60)
		status, header, got := anonymous(t, url)
		if status != http.StatusOK || got != body || header.Get("Content-Type") != "text/x-linked; a=b" {
			t.Errorf("signed link = %d %q %q, want 200, the bytes and the type asked for", status, got, header.Get("Content-Type"))
		}
		if status, _, _ := anonymous(t, strings.Replace(url, "/digits?", "/other?", 1)); status != http.StatusUnauthorized {
			t.Errorf("signed link with another key = %d, want 401", status)
		}
		if status, _, _ := anonymous(t, link(t, b, key, nil, -60)); status != http.StatusForbidden {
			t.Errorf("signed link of a minute ago = %d, want 403", status)
		}
	})

	t.Run("DELETE", func(t *testing.T) {
		for _, when := range []string{"", " again"} {
			out, err := b.DeleteObject(key)
			if err != nil {
				t.Fatalf("DELETE%s: %v", when, err)
			}
			wantStatus(t, "DELETE"+when, out.StatusCode, 204)
		}
		_, err := b.GetObject(key, nil)
		wantError(t, "GET after DELETE", err, 404, "object_not_exists")
		_, err = b.HeadObject(key, nil)
		wantError(t, "HEAD after DELETE", err, 404, "")
	})
}

// link makes a signed link for a GET, valid for some seconds from now.
func link(t *testing.T, b *service.Bucket, key string, in *service.GetObjectInput, seconds int) string {
	t.Helper()
	if in == nil {
		in = &service.GetObjectInput{}
	}
	req, _, err := b.GetObjectRequest(key, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Build(); err != nil {
		t.Fatal(err)
	}
	if err := req.SignQuery(seconds); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(req.HTTPRequest.URL)
}
