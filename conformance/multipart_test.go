package conformance

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunify/qingstor-sdk-go/v3/client/upload"
	"github.com/yunify/qingstor-sdk-go/v3/service"
)

func TestScenarioMultipart(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "multipart")
	var bodies []string
	for i, mebibytes := range []int{5, 4, 3} {
		bodies = append(bodies, noise(int64(i), mebibytes<<20))
	}
	whole := strings.Join(bodies, "")
	for _, key := range []string{"test_object_multipart", "中文分块测试", "田中さんにあげて下さいブロック"} {
		t.Run(key, func(t *testing.T) {
			begun, err := b.InitiateMultipartUpload(key, &service.InitiateMultipartUploadInput{
				ContentType: ptr("text/x-parts"),
				XQSMetaData: &map[string]string{"x-qs-meta-k1": "v1"},
			})
			if err != nil {
				t.Fatalf("initiate: %v", err)
			}
			wantStatus(t, "initiate", begun.StatusCode, 200)
			if value(begun.Bucket) != "multipart" || value(begun.Key) != key || value(begun.UploadID) == "" {
				t.Errorf("initiate: bucket %q, key %q, upload %q; want all three", value(begun.Bucket), value(begun.Key), value(begun.UploadID))
			}
			for i, body := range bodies {
				sum := md5.Sum([]byte(body))
				out, err := b.UploadMultipart(key, &service.UploadMultipartInput{
					UploadID: begun.UploadID, PartNumber: &i, ContentMD5: ptr(base64.StdEncoding.EncodeToString(sum[:])), Body: strings.NewReader(body),
				})
				if err != nil {
					t.Fatalf("part %d: %v", i, err)
				}
				wantStatus(t, "part", out.StatusCode, 201)
				if want := `"` + hex.EncodeToString(sum[:]) + `"`; value(out.ETag) != want {
					t.Errorf("part %d: ETag = %s, want %s", i, value(out.ETag), want)
				}
			}
			_, err = b.GetObject(key, nil)
			wantError(t, "GET before completion", err, 404, "object_not_exists")

			parts, err := b.ListMultipart(key, &service.ListMultipartInput{UploadID: begun.UploadID})
			if err != nil {
				t.Fatalf("list parts: %v", err)
			}
			wantStatus(t, "list parts", parts.StatusCode, 200)
			if len(parts.ObjectParts) != 3 || value(parts.Count) != 3 {
				t.Fatalf("list parts: %d of %d, want 3", len(parts.ObjectParts), value(parts.Count))
			}
			for i, p := range parts.ObjectParts {
				if value(p.PartNumber) != i || value(p.Size) != int64(len(bodies[i])) || value(p.Etag) == "" || p.Created == nil {
					t.Errorf("list parts: number %d, size %d, etag %q, created %v; want part %d", value(p.PartNumber), value(p.Size), value(p.Etag), p.Created, i)
				}
			}

			done, err := b.CompleteMultipartUpload(key, &service.CompleteMultipartUploadInput{
				UploadID: begun.UploadID, ETag: ptr(`"4072783b8efb99a9e5817067d68f61c6"`), ObjectParts: parts.ObjectParts,
			})
			if err != nil {
				t.Fatalf("complete: %v", err)
			}
			wantStatus(t, "complete", done.StatusCode, 201)
			aborted, err := b.AbortMultipartUpload(key, &service.AbortMultipartUploadInput{UploadID: begun.UploadID})
			if err != nil {
				t.Fatalf("abort after completion: %v", err)
			}
			wantStatus(t, "abort after completion", aborted.StatusCode, 204)

			// The number of parts is behind what completion said, since 32 hex digits alone are an MD5 to clients.
			header := getHeader(t, b, key, whole)
			if header.Get("Etag") != `"4072783b8efb99a9e5817067d68f61c6-3"` || header.Get("Content-Type") != "text/x-parts" || header.Get("x-qs-meta-k1") != "v1" {
				t.Errorf("GET: ETag %s, Content-Type %s, x-qs-meta-k1 %s; want what completion and initiation said", header.Get("Etag"), header.Get("Content-Type"), header.Get("x-qs-meta-k1"))
			}
			across, err := b.GetObject(key, &service.GetObjectInput{Range: ptr(fmt.Sprintf("bytes=%d-%d", 5<<20-2, 9<<20+1))})
			if err != nil {
				t.Fatalf("GET of a range: %v", err)
			}
			wantStatus(t, "GET of a range", across.StatusCode, 206)
			wantBody(t, "GET of a range over the parts' edges", readAll(t, across.Body), whole[5<<20-2:9<<20+2])

			deleted, err := b.DeleteObject(key)
			if err != nil {
				t.Fatalf("DELETE: %v", err)
			}
			wantStatus(t, "DELETE", deleted.StatusCode, 204)
		})
	}
}

// The SDK's uploader sends files from 4 MiB on in parts, and smaller ones whole.
func TestScenarioUploader(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "uploader")
	for i, size := range []int{20 << 20, 4<<20 + 1, 4 << 20, 4<<20 - 1, 1, 0} {
		body := noise(int64(i), size)
		path := filepath.Join(t.TempDir(), "test_file")
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		key := fmt.Sprintf("%d bytes", size)
		if err := upload.Init(b, 4<<20).Upload(file, key); err != nil {
			t.Fatalf("upload of %s: %v", key, err)
		}
		getHeader(t, b, key, body)
	}
	if out, err := b.ListMultipartUploads(nil); err != nil || len(out.Uploads) != 0 {
		t.Errorf("after the uploads %v are open, want none: %v", out, err)
	}
}

// noise is text that no two bodies share, so that a mix-up shows.
func noise(seed int64, n int) string {
	var b strings.Builder
	b.Grow(n)
	if _, err := io.CopyN(&b, rand.New(rand.NewSource(seed)), int64(n)); err != nil {
		panic(err)
	}
	return b.String()
}
