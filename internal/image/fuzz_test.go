package image

import (
	"context"
	"encoding/binary"
	"errors"
	"image/color"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Whatever the bytes are, an action ends soon, with a result or with an error that tells the caller what is wrong.
func FuzzDo(f *testing.F) {
	pic := quarters(9, 7)
	for _, format := range []Format{JPEG, PNG, WebP, TIFF, GIF} {
		f.Add(fileOf(f, format, pic))
	}
	f.Add(withExif(f, JPEG, fileOf(f, JPEG, pic), iphone(binary.BigEndian, 6)))
	f.Add(withExif(f, WebP, fileOf(f, WebP, pic), iphone(binary.LittleEndian, 5)))
	f.Add([]byte(plainPDF))
	f.Add([]byte(turnedPDF))
	f.Add(compressedPDF(f))
	f.Add([]byte(`<svg width="1in" viewBox="0 0 3 4"/>`))
	f.Add(gifOf(3, 2, 2))
	p := New(Options{MaxPixels: 20_000, MaxFrames: 20, Memory: 64 << 20, Timeout: 5 * time.Second})
	mark := fileOf(f, PNG, plain(3, 3, color.White))
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 64<<10 {
			return
		}
		for _, action := range []string{
			"info", "save:b_bucket,k_key", "resize:w_5,h_5|info", "crop:w_3,h_3,g_9|rotate:a_90|resize:h_4", "watermark:t_YQ|format:t_webp",
			"watermark_image:u_aHR0cDovL2Ev|format:t_jpeg",
		} {
			j := job(t, action, file, mark)
			if j.Action.Marks() == nil {
				j.Marks = nil
			}
			got, err := do(p, j)
			if err != nil {
				if errors.Is(err, object.ErrNoImage) || errors.Is(err, object.ErrTooLarge) || errors.Is(err, object.ErrInvalidArgument) {
					continue
				}
				t.Fatalf("%s = %v, want a result or an error that has a name", action, err)
			}
			if got.Type == "" || len(got.Body) == 0 {
				t.Fatalf("%s = %d bytes of type %q", action, len(got.Body), got.Type)
			}
		}
		// As a watermark, too.
		j := job(t, "watermark_image:u_aHR0cDovL2Ev", mark, file)
		if _, err := do(p, j); err != nil && !errors.Is(err, object.ErrNoImage) && !errors.Is(err, object.ErrTooLarge) {
			t.Fatalf("as a watermark = %v", err)
		}
	})
}

func FuzzExif(f *testing.F) {
	f.Add(iphone(binary.BigEndian, 6))
	f.Add(iphone(binary.LittleEndian, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := readExif(data)
		if e.orientation < 0 || e.orientation > 8 {
			t.Fatalf("orientation = %d", e.orientation)
		}
		for _, s := range []string{e.maker, e.model, e.datetime, e.latitudeRef, e.longitudeRef} {
			if len(s) > maxExifText {
				t.Fatalf("a text of %d bytes", len(s))
			}
		}
	})
}

// What a decoder breaks on is the file's fault, never the server's end.
func TestDecoderThatPanics(t *testing.T) {
	var nobody context.Context // the decoder's first read panics
	if _, err := decode(nobody, PNG, []byte("x")); !errors.Is(err, object.ErrNoImage) {
		t.Errorf("decode = %v, want a broken picture", err)
	}
}
