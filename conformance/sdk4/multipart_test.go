package sdk4

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/qingstor/qingstor-sdk-go/v4/client/upload"
	"github.com/qingstor/qingstor-sdk-go/v4/service"
)

func TestCopyParts(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "parts")
	body := strings.Repeat("0123456789abcdef", 1<<20/2) // 8 MiB
	put(t, b, "source 中", body)
	begun, err := b.InitiateMultipartUpload("target", nil)
	ok(t, "initiate", err, value(begun).StatusCode, 200)
	first, err := b.UploadMultipart("target", &service.UploadMultipartInput{
		UploadID: begun.UploadID, PartNumber: ptr(0), XQSCopySource: ptr("/parts/source 中"), XQSCopyRange: ptr(fmt.Sprintf("bytes=0-%d", 5<<20-1)),
	})
	ok(t, "copy a part", err, value(first).StatusCode, 201)
	if got, want := value(first.XQSContentCopyRange), fmt.Sprintf("bytes 0-%d/%d", 5<<20-1, len(body)); got != want {
		t.Errorf("copy a part: x-qs-content-copy-range = %q, want %q", got, want)
	}
	sum := md5.Sum([]byte("the end"))
	second, err := b.UploadMultipart("target", &service.UploadMultipartInput{
		UploadID: begun.UploadID, PartNumber: ptr(7), Body: strings.NewReader("the end"), ContentMD5: ptr(base64.StdEncoding.EncodeToString(sum[:])),
	})
	ok(t, "part", err, value(second).StatusCode, 201)
	// Only the numbers, as many programs send it.
	done, err := b.CompleteMultipartUpload("target", &service.CompleteMultipartUploadInput{
		UploadID: begun.UploadID, ObjectParts: []*service.ObjectPartType{{PartNumber: ptr(0)}, {PartNumber: ptr(7)}},
	})
	ok(t, "complete", err, value(done).StatusCode, 201)
	get(t, b, "target", body[:5<<20]+"the end")

	begun, err = b.InitiateMultipartUpload("small", nil)
	ok(t, "initiate", err, value(begun).StatusCode, 200)
	for i := range 2 {
		out, err := b.UploadMultipart("small", &service.UploadMultipartInput{UploadID: begun.UploadID, PartNumber: &i, Body: strings.NewReader("small")})
		ok(t, "part", err, value(out).StatusCode, 201)
	}
	_, err = b.CompleteMultipartUpload("small", &service.CompleteMultipartUploadInput{
		UploadID: begun.UploadID, ObjectParts: []*service.ObjectPartType{{PartNumber: ptr(0)}, {PartNumber: ptr(1)}},
	})
	refused(t, "complete with a small part before the last", err, 400, "entity_too_small")

	if err := upload.Init(b, 4<<20).UploadWithContext(t.Context(), strings.NewReader(body), "uploaded"); err != nil {
		t.Fatalf("the uploader: %v", err)
	}
	get(t, b, "uploaded", body)
}
