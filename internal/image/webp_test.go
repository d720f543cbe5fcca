package image

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"io"
	"math/bits"
	"testing"

	"golang.org/x/image/webp"
	"pgregory.net/rapid"
)

// wantSame checks that a WebP shows img, pixel for pixel.
func wantSame(t interface{ Fatalf(string, ...any) }, file []byte, img *image.NRGBA) {
	got, err := webp.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("the webp does not decode: %v", err)
	}
	if got.Bounds() != img.Bounds() {
		t.Fatalf("the webp has %v, want %v", got.Bounds(), img.Bounds())
	}
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			if a, b := color.NRGBAModel.Convert(got.At(x, y)), img.At(x, y); a != b {
				t.Fatalf("pixel %d,%d of the webp = %v, want %v", x, y, a, b)
			}
		}
	}
}

// What is written must be what was there, whatever it was: noise, runs, repeats near and far, few colours and many.
func TestWebPIsWithoutLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(1, 70).Draw(t, "w"), rapid.IntRange(1, 40).Draw(t, "h")
		img := image.NewNRGBA(image.Rect(0, 0, w, h))
		colours := rapid.SliceOfN(rapid.Uint32(), 1, 9).Draw(t, "colours")
		noise := rapid.IntRange(0, 100).Draw(t, "noise")
		seed := rapid.Uint32().Draw(t, "seed")
		random := func() uint32 { // xorshift: quick, and the same each time
			seed ^= seed << 13
			seed ^= seed >> 17
			seed ^= seed << 5
			return seed
		}
		opaque := rapid.Bool().Draw(t, "opaque")
		for i := 0; i < len(img.Pix); i += 4 {
			c := colours[i/64%len(colours)]
			if int(random()%100) < noise {
				c = random()
			}
			img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = uint8(c), uint8(c>>8), uint8(c>>16), uint8(c>>24)
			if opaque || img.Pix[i+3] == 0 { // of a pixel that cannot be seen no colour is kept on the way through other types
				img.Pix[i+3] = 255
			}
		}
		var b bytes.Buffer
		if err := encodeWebP(&b, img); err != nil {
			t.Fatalf("encodeWebP: %v", err)
		}
		wantSame(t, b.Bytes(), img)
	})
}

// Counts like these make codes of more than 15 bits, which the format does not have.
func TestWebPBoundsItsCodes(t *testing.T) {
	counts := make([]uint32, 256)
	a, b := uint32(1), uint32(1)
	for i := range 40 {
		counts[i] = a
		a, b = b, a+b
	}
	c := newCode(counts, 15)
	var sum float64
	for s, n := range c.lengths {
		if n > 15 || (n > 0) != (counts[s] > 0) {
			t.Errorf("symbol %d, there %d times, has %d bits", s, counts[s], n)
		}
		if n > 0 {
			sum += 1 / float64(uint32(1)<<n)
		}
	}
	if sum != 1 {
		t.Errorf("the code is filled to %v, want it to be complete", sum)
	}
	seen := map[uint32]bool{}
	for s, n := range c.lengths {
		if n == 0 {
			continue
		}
		value := uint32(bits.Reverse16(c.values[s])>>(16-n)) << (15 - n)
		for k := value; k < value+1<<(15-n); k++ {
			if seen[k] {
				t.Fatalf("two symbols begin alike")
			}
			seen[k] = true
		}
	}

	// The same as a picture: column after column of ever more of the same difference.
	var pix []uint8
	x, y := 1, 1
	v := uint8(0)
	for d := range 21 {
		for range x {
			v += uint8(d*7 + 3)
			pix = append(pix, v, uint8(len(pix)*len(pix)>>3), uint8(len(pix)>>5), 255)
		}
		x, y = y, x+y
	}
	w := 100
	img := &image.NRGBA{Pix: pix[:len(pix)/(4*w)*(4*w)], Stride: 4 * w, Rect: image.Rect(0, 0, w, len(pix)/(4*w))}
	var out bytes.Buffer
	if err := encodeWebP(&out, img); err != nil {
		t.Fatal(err)
	}
	wantSame(t, out.Bytes(), img)
}

func TestWebPIsSmaller(t *testing.T) {
	var b bytes.Buffer
	if err := encodeWebP(&b, quarters(1000, 1000)); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 3000 {
		t.Errorf("four colours on a million pixels take %d bytes, want a few", b.Len())
	}
	wantSame(t, b.Bytes(), quarters(1000, 1000))
}

func TestWebPReportsWhatWritingSays(t *testing.T) {
	want := errors.New("full")
	for after := range 3 {
		if err := encodeWebP(&failing{after, want}, quarters(3, 3)); !errors.Is(err, want) {
			t.Errorf("encodeWebP with a writer that fails after %d writes = %v, want its error", after, err)
		}
	}
}

// failing takes a number of writes and fails then.
type failing struct {
	after int
	err   error
}

var _ io.Writer = (*failing)(nil)

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, f.err
	}
	return len(p), nil
}
