package conformance

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	qserrors "github.com/yunify/qingstor-sdk-go/v3/request/errors"
	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// customerKey is the key of the official scenario.
var customerKey = struct{ algorithm, key, md5 *string }{
	ptr("AES256"), ptr("eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="), ptr("3I/h1kl+vSP1l12NKhxegQ=="),
}

func TestScenarioEncryption(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "encrypted")
	const key = "test_object"
	body := noise(1, 1<<20)
	created, err := b.PutObject(key, &service.PutObjectInput{
		Body:                           strings.NewReader(body),
		XQSEncryptionCustomerAlgorithm: customerKey.algorithm, XQSEncryptionCustomerKey: customerKey.key, XQSEncryptionCustomerKeyMD5: customerKey.md5,
	})
	if err != nil {
		t.Fatalf("PUT: %v", err)
	}
	wantStatus(t, "PUT", created.StatusCode, 201)
	if value(created.XQSEncryptionCustomerAlgorithm) != "AES256" {
		t.Errorf("PUT: algorithm = %q, want AES256", value(created.XQSEncryptionCustomerAlgorithm))
	}
	copied, err := b.PutObject(key+"-copy", &service.PutObjectInput{
		XQSCopySource:                            ptr("/encrypted/" + key),
		XQSCopySourceEncryptionCustomerAlgorithm: customerKey.algorithm, XQSCopySourceEncryptionCustomerKey: customerKey.key, XQSCopySourceEncryptionCustomerKeyMD5: customerKey.md5,
		XQSEncryptionCustomerAlgorithm: customerKey.algorithm, XQSEncryptionCustomerKey: customerKey.key, XQSEncryptionCustomerKeyMD5: customerKey.md5,
	})
	if err != nil {
		t.Fatalf("copy: %v", err)
	}
	wantStatus(t, "copy", copied.StatusCode, 201)
	moved, err := b.PutObject(key+"-move", &service.PutObjectInput{XQSMoveSource: ptr("/encrypted/" + key + "-copy")})
	if err != nil {
		t.Fatalf("move: %v", err)
	}
	wantStatus(t, "move", moved.StatusCode, 201)

	for _, k := range []string{key, key + "-move"} {
		get, err := b.GetObject(k, &service.GetObjectInput{
			XQSEncryptionCustomerAlgorithm: customerKey.algorithm, XQSEncryptionCustomerKey: customerKey.key, XQSEncryptionCustomerKeyMD5: customerKey.md5,
		})
		if err != nil {
			t.Fatalf("GET %s: %v", k, err)
		}
		wantStatus(t, "GET", get.StatusCode, 200)
		wantBody(t, "GET "+k, readAll(t, get.Body), body)
		head, err := b.HeadObject(k, &service.HeadObjectInput{
			XQSEncryptionCustomerAlgorithm: customerKey.algorithm, XQSEncryptionCustomerKey: customerKey.key, XQSEncryptionCustomerKeyMD5: customerKey.md5,
		})
		if err != nil {
			t.Fatalf("HEAD %s: %v", k, err)
		}
		if value(head.ContentLength) != int64(len(body)) || value(head.XQSEncryptionCustomerAlgorithm) != "AES256" {
			t.Errorf("HEAD %s: %d bytes, algorithm %q; want %d and AES256", k, value(head.ContentLength), value(head.XQSEncryptionCustomerAlgorithm), len(body))
		}
	}

	part, err := b.GetObject(key, &service.GetObjectInput{
		Range:                          ptr("bytes=70000-900000"),
		XQSEncryptionCustomerAlgorithm: customerKey.algorithm, XQSEncryptionCustomerKey: customerKey.key, XQSEncryptionCustomerKeyMD5: customerKey.md5,
	})
	if err != nil {
		t.Fatalf("GET of a range: %v", err)
	}
	wantBody(t, "GET of a range", readAll(t, part.Body), body[70000:900001])

	refuse := func(what string, err error) {
		t.Helper()
		var qs *qserrors.QingStorError
		if !errors.As(err, &qs) || qs.StatusCode < 400 || qs.StatusCode >= 500 {
			t.Errorf("%s: %v, want it refused", what, err)
		}
	}
	_, err = b.GetObject(key, nil)
	refuse("GET without the key", err)
	other := bytes.Repeat([]byte("y"), 32)
	sum := md5.Sum(other)
	_, err = b.GetObject(key, &service.GetObjectInput{
		XQSEncryptionCustomerAlgorithm: customerKey.algorithm,
		XQSEncryptionCustomerKey:       ptr(base64.StdEncoding.EncodeToString(other)), XQSEncryptionCustomerKeyMD5: ptr(base64.StdEncoding.EncodeToString(sum[:])),
	})
	refuse("GET with another key", err)
	_, err = b.PutObject("no", &service.PutObjectInput{
		Body:                           strings.NewReader(body),
		XQSEncryptionCustomerAlgorithm: customerKey.algorithm, XQSEncryptionCustomerKey: customerKey.key, XQSEncryptionCustomerKeyMD5: ptr(base64.StdEncoding.EncodeToString(sum[:])),
	})
	refuse("PUT with the MD5 of another key", err)

	if entry := list(t, b, &service.ListObjectsInput{Limit: ptr(1)}).Keys[0]; !value(entry.Encrypted) {
		t.Errorf("list: encrypted = %v, want true", entry.Encrypted)
	}
	for _, k := range []string{key, key + "-move"} {
		deleted, err := b.DeleteObject(k)
		if err != nil {
			t.Fatalf("DELETE %s: %v", k, err)
		}
		wantStatus(t, "DELETE", deleted.StatusCode, 204)
	}
}
