package image

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
)

// plain is a picture of one colour.
func plain(w, h int, c color.Color) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

// inked returns where img is not white, and its darkest red.
func inked(img image.Image) (area image.Rectangle, n int, darkest uint8) {
	darkest = 255
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if c != whiteC {
				area = area.Union(image.Rect(x, y, x+1, y+1))
				n++
				darkest = min(darkest, c.R)
			}
		}
	}
	return area, n, darkest
}

func TestWatermark(t *testing.T) {
	src := fileOf(t, PNG, plain(600, 300, color.White))
	none := shown(t, must(t, "format:t_png", src))
	if _, n, _ := inked(none); n != 0 {
		t.Fatalf("%d pixels are not white without a watermark", n)
	}
	for _, tt := range []struct {
		name, params string
		darkest      uint8 // of black ink at that opacity
	}{
		{"letters", "t_SGVsbG8", 191},
		{"letters, half", "t_SGVsbG8,p_0.5", 127},
		{"letters, full", "t_SGVsbG8,p_1", 0},
		{"letters, more than full", "t_SGVsbG8,p_7.5", 0},
		{"Chinese", "t_5rC05Y2w5paH5a2X,p_1", 0},
		{"both", "t_YeawtA,p_1", 0},
		{"Cyrillic and Greek", "t_0JbOqQ,p_1", 0},
		{"Japanese and Korean", "t_44GC6rCA,p_1", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			area, n, darkest := inked(shown(t, must(t, "watermark:"+tt.params, src)))
			if d := int(darkest) - int(tt.darkest); n < 500 || d < -2 || d > 2 {
				t.Errorf("%d pixels are inked, the darkest %d; want many, %d", n, darkest, tt.darkest)
			}
			// Again and again, over all of the picture.
			if area.Min.X > 100 || area.Min.Y > 60 || area.Max.X < 450 || area.Max.Y < 220 {
				t.Errorf("ink is within %v, want it all over 600x300", area)
			}
		})
	}
	t.Run("size", func(t *testing.T) {
		height := func(d string) int {
			img := shown(t, must(t, "watermark:t_SA,p_1,d_"+d, fileOf(t, PNG, plain(200, 200, color.White)))).(interface {
				SubImage(image.Rectangle) image.Image
			})
			area, _, _ := inked(img.SubImage(image.Rect(0, 0, 200, 40))) // the first of several rows
			return area.Dy()
		}
		small, large := height("72"), height("144") // H is 0.72 of the size
		if small < 6 || small > 9 || large < 13 || large > 16 {
			t.Errorf("H is %d and %d pixels high at 72 and 144 dpi, want about 7 and 14", small, large)
		}
	})
	t.Run("size of dots", func(t *testing.T) {
		area, _, _ := inked(shown(t, must(t, "watermark:t_5Zu9,p_1,d_720", fileOf(t, PNG, plain(2000, 160, color.White))))) // 国 fills its square
		if area.Dy() < 80 || area.Dy() > 110 {
			t.Errorf("a character of 100 pixels is %d high", area.Dy())
		}
	})
	t.Run("colour", func(t *testing.T) {
		img := shown(t, must(t, "watermark:t_SGVsbG8,p_1,c_IzAwZmYwMA", src)) // #00ff00
		for y := range 300 {
			for x := range 600 {
				if _, g, _, _ := img.At(x, y).RGBA(); g != 0xffff {
					t.Fatalf("pixel %d,%d = %v, want nothing but white and green", x, y, img.At(x, y))
				}
			}
		}
	})
	t.Run("on a picture smaller than a letter", func(t *testing.T) {
		got := shown(t, must(t, "watermark:t_SGVsbG8,d_7200,p_1", fileOf(t, PNG, plain(3, 2, color.White))))
		wantSize(t, got, 3, 2)
	})
	t.Run("on what is transparent", func(t *testing.T) {
		img := shown(t, must(t, "watermark:t_SGVsbG8,p_1", fileOf(t, PNG, image.NewNRGBA(image.Rect(0, 0, 300, 200)))))
		seen := 0
		for y := range 200 {
			for x := range 300 {
				if _, _, _, a := img.At(x, y).RGBA(); a > 0 {
					seen++
				}
			}
		}
		if seen == 0 || seen > 20_000 {
			t.Errorf("%d of 60000 pixels can be seen, want the text alone", seen)
		}
	})
	t.Run("the longest text", func(t *testing.T) {
		a := "watermark:d_7200,t_" + strings.Repeat("V1dX", maxText/3)
		must(t, a, src)
	})
	t.Run("without a font", func(t *testing.T) {
		_, err := do(New(Options{}), job(t, "watermark:t_8J-Ygw", src)) // a smiling face
		if !errors.Is(err, object.ErrInvalidArgument) || !strings.Contains(err.Error(), "U+1F603") {
			t.Errorf("a text without a font = %v, want an invalid argument that names the character", err)
		}
	})
}

func TestWatermarkImage(t *testing.T) {
	src := fileOf(t, PNG, plain(40, 30, color.White))
	const url = "u_aHR0cDovL2Ev"
	half := image.NewNRGBA(image.Rect(0, 0, 10, 10))
	draw.Draw(half, image.Rect(0, 0, 5, 10), image.NewUniform(blue), image.Point{}, draw.Src)
	tests := []struct {
		name, action string
		marks        [][]byte
		spots        []spot
	}{
		{"at its place", "watermark_image:" + url + ",l_10,t_5,p_1", [][]byte{fileOf(t, PNG, plain(10, 10, red))},
			[]spot{{9, 8, whiteC}, {10, 5, red}, {19, 14, red}, {20, 8, whiteC}, {15, 4, whiteC}, {15, 15, whiteC}}},
		{"by default in the corner, a quarter opaque", "watermark_image:" + url, [][]byte{fileOf(t, PNG, plain(10, 10, red))},
			[]spot{{0, 0, color.NRGBA{255, 191, 191, 255}}, {10, 10, whiteC}}},
		{"beyond the edge", "watermark_image:" + url + ",l_35,t_25,p_1", [][]byte{fileOf(t, PNG, plain(10, 10, red))}, []spot{{34, 24, whiteC}, {39, 29, red}}},
		{"outside", "watermark_image:" + url + ",l_40,t_30,p_1", [][]byte{fileOf(t, PNG, plain(10, 10, red))}, []spot{{39, 29, whiteC}}},
		{"larger than the picture", "watermark_image:" + url + ",p_1", [][]byte{fileOf(t, JPEG, plain(100, 100, blue))}, []spot{{0, 0, blue}, {39, 29, blue}}},
		{"half transparent", "watermark_image:" + url + ",p_1", [][]byte{fileOf(t, PNG, half)}, []spot{{4, 9, blue}, {5, 9, whiteC}}},
		{"a gif", "watermark_image:" + url + ",p_1", [][]byte{fileOf(t, GIF, plain(10, 10, red))}, []spot{{9, 9, red}, {10, 10, whiteC}}},
		{"a webp", "watermark_image:" + url + ",p_1", [][]byte{fileOf(t, WebP, plain(10, 10, green))}, []spot{{9, 9, green}, {10, 10, whiteC}}},
		{"two, in order", "watermark_image:" + url + ",p_1|watermark_image:" + url + ",l_5,p_1", [][]byte{fileOf(t, PNG, plain(10, 10, red)), fileOf(t, PNG, plain(10, 10, blue))},
			[]spot{{4, 4, red}, {5, 4, blue}, {14, 4, blue}, {15, 4, whiteC}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := shown(t, must(t, tt.action, src, tt.marks...))
			wantSize(t, img, 40, 30)
			wantSpots(t, img, 3, tt.spots...)
		})
	}
	for name, mark := range map[string][]byte{
		"text": []byte("hello"), "an svg": []byte(`<svg width="1" height="1"/>`), "a pdf": []byte(plainPDF), "nothing": nil,
		"cut": fileOf(t, PNG, plain(64, 64, red))[:60],
	} {
		if _, err := do(New(Options{}), job(t, "watermark_image:"+url, src, mark)); !errors.Is(err, object.ErrNoImage) {
			t.Errorf("%s as a watermark = %v, want a refusal", name, err)
		}
	}
	if _, err := do(New(Options{}), job(t, "watermark_image:"+url, src, pngHead(60_000, 60_000, 8, 2))); !errors.Is(err, object.ErrTooLarge) || !strings.Contains(err.Error(), "watermark_image") {
		t.Errorf("a huge watermark = %v, want it to be too large", err)
	}
}

// The result of an action must not be drawn into what was handed in.
func TestSourceStaysAsItIs(t *testing.T) {
	src := fileOf(t, PNG, plain(60, 60, color.White))
	before := bytes.Clone(src)
	first := must(t, "watermark:t_SGVsbG8,p_1", src)
	second := must(t, "watermark:t_SGVsbG8,p_1", src)
	if !bytes.Equal(src, before) || !bytes.Equal(first.Body, second.Body) {
		t.Error("an action changed its source, or gave another result the second time")
	}
	if _, err := png.Decode(bytes.NewReader(first.Body)); err != nil {
		t.Error(err)
	}
}
