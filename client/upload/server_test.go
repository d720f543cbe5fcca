package upload_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/client/upload"
	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/service"
)

const mib = 1 << 20

// gate lets through what stands before at, and then fails.
type gate struct {
	io.ReadSeeker
	left int
}

var errGate = errors.New("the cable was pulled")

func (g *gate) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, errGate
	}
	n, err := g.ReadSeeker.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

// An upload that was cut off goes on at a Cistern server: the parts that it lists are told from those that are missing.
func TestResumeAtServer(t *testing.T) {
	b := cisterntest.Start(t).Bucket("uploads")
	if _, err := b.Put(); err != nil {
		t.Fatal(err)
	}
	want := cisterntest.NewContent("big", 13*mib+5)
	u := upload.Init(b, 4*mib)
	u.Keep, u.Parallel = true, 2
	u.Object = &service.InitiateMultipartUploadInput{ContentType: service.String("image/png"), XQSMetaData: &map[string]string{"x-qs-meta-a": "b"}}
	err := u.UploadWithContext(t.Context(), &gate{want.Reader(), 9 * mib}, "big")
	var incomplete *upload.IncompleteError
	if !errors.As(err, &incomplete) || !errors.Is(err, errGate) {
		t.Fatalf("Upload = %v, want an IncompleteError around the reader's", err)
	}
	n := 0
	for one, err := range b.Uploads(t.Context(), nil) {
		if err != nil || service.StringValue(one.UploadID) != incomplete.UploadID {
			t.Errorf("unfinished upload %v, %v; want %s", one, err, incomplete.UploadID)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d uploads are unfinished, want 1", n)
	}
	if _, err := b.HeadObject("big", nil); err == nil {
		t.Error("the object is there before the upload is complete")
	}
	if err := u.Resume(t.Context(), want.Reader(), "big", incomplete.UploadID); err != nil {
		t.Fatal(err)
	}
	out, err := b.GetObject("big", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := want.Check(out.Body, 0, want.Size()); err != nil {
		t.Error(err)
	}
	if service.StringValue(out.ContentType) != "image/png" || out.XQSMetaData == nil || (*out.XQSMetaData)["x-qs-meta-a"] != "b" {
		t.Errorf("the object is %s with metadata %v, want what the upload began with", service.StringValue(out.ContentType), out.XQSMetaData)
	}
	for one, err := range b.Uploads(t.Context(), nil) {
		t.Errorf("upload %v, %v is unfinished, want none", one, err)
	}
}

// Customer keys go with every part, and streams of unknown length are whole.
func TestEncryptedStreamAtServer(t *testing.T) {
	b := cisterntest.Start(t).Bucket("uploads")
	if _, err := b.Put(); err != nil {
		t.Fatal(err)
	}
	key := func(f func(algorithm, key, sum *string)) {
		f(service.String("AES256"), service.String("eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="), service.String("3I/h1kl+vSP1l12NKhxegQ=="))
	}
	want := cisterntest.NewContent("big", 9*mib+1)
	u := upload.Init(b, 4*mib)
	u.Object = &service.InitiateMultipartUploadInput{}
	key(func(a, k, s *string) {
		u.Object.XQSEncryptionCustomerAlgorithm, u.Object.XQSEncryptionCustomerKey, u.Object.XQSEncryptionCustomerKeyMD5 = a, k, s
	})
	if err := u.Upload(io.MultiReader(want.Reader()), "big"); err != nil {
		t.Fatal(err)
	}
	in := &service.GetObjectInput{}
	if _, err := b.GetObject("big", in); err == nil {
		t.Error("GetObject without the key = nil, want an error")
	}
	key(func(a, k, s *string) {
		in.XQSEncryptionCustomerAlgorithm, in.XQSEncryptionCustomerKey, in.XQSEncryptionCustomerKeyMD5 = a, k, s
	})
	out, err := b.GetObject("big", in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := want.Check(out.Body, 0, want.Size()); err != nil {
		t.Error(err)
	}
}

// Whoever goes away leaves nothing behind.
func TestCancelledAtServer(t *testing.T) {
	b := cisterntest.Start(t).Bucket("uploads")
	if _, err := b.Put(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(bytes.NewReader(make([]byte, 9*mib)), cancelling{cancel}, strings.NewReader("more"))
	if err := upload.Init(b, 4*mib).UploadWithContext(ctx, body, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Upload = %v, want context.Canceled", err)
	}
	for one, err := range b.Uploads(t.Context(), nil) {
		t.Errorf("upload %v, %v is left, want none", one, err)
	}
}

// cancelling ends a context in the middle of a body.
type cancelling struct{ cancel context.CancelFunc }

func (c cancelling) Read([]byte) (int, error) { c.cancel(); return 0, io.EOF }
