package node_test

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/service"
)

// What the operator allows for pictures must reach those who work on them.
func TestImageBounds(t *testing.T) {
	s := cisterntest.Start(t, cisterntest.With(func(o *node.Options) { o.Images.MaxPixels = 100 }))
	bucket, err := s.Service.Bucket("pictures", "pek3a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 10, 10))); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutObject("a.png", &service.PutObjectInput{Body: bytes.NewReader(file.Bytes())}); err != nil {
		t.Fatal(err)
	}
	out, err := bucket.ImageProcess("a.png", &service.ImageProcessInput{Action: service.String("resize:w_5|info")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	doc, err := io.ReadAll(out.Body)
	if err != nil || !strings.Contains(string(doc), `"width":5,"height":5`) {
		t.Errorf("info = %s, %v, want 5 x 5", doc, err)
	}
	_, err = bucket.ImageProcess("a.png", &service.ImageProcessInput{Action: service.String("resize:w_11")})
	if err == nil || !strings.Contains(err.Error(), "entity_too_large") {
		t.Errorf("a result of 121 pixels where 100 are allowed = %v, want entity_too_large", err)
	}
}
