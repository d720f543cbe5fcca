package image

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/cisternhq/cistern/internal/object"
)

// jpegQuality is what results are written with: hardly to be told from the picture, at a fraction of the size of 100.
const jpegQuality = 85

// look returns what the picture shows, upright.
func (p *picture) look(ctx context.Context) (image.Image, error) {
	if p.img != nil {
		return p.img, nil
	}
	img, err := decode(ctx, p.format, p.raw)
	if err != nil {
		return nil, err
	}
	if got := img.Bounds().Size(); got != p.header.size {
		return nil, broken(p.format, fmt.Errorf("it has %v pixels, its head says %v", got, p.header.size))
	}
	if p.header.exif.orientation > 1 {
		if img, err = orient(ctx, img, p.header.exif.orientation); err != nil {
			return nil, err
		}
	}
	p.img = img
	return img, nil
}

// change puts what an operation made in the place of what was there.
func (p *picture) change(img image.Image) { p.img, p.raw = img, nil }

// size is the size of the picture as it is by now, upright.
func (p *picture) size() image.Point {
	switch {
	case p.gif != nil:
		return p.gif.size()
	case p.img != nil:
		return p.img.Bounds().Size()
	}
	return p.header.upright()
}

// canvas returns the picture as something to draw on, which is nobody else's.
func (p *picture) canvas(ctx context.Context) (*image.RGBA, error) {
	img, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	if own, ok := img.(*image.RGBA); ok && p.raw == nil {
		return own, nil
	}
	b := img.Bounds()
	c := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		if y%rowsBetween == 0 {
			if err := stopped(ctx); err != nil {
				return nil, err
			}
		}
		draw.Draw(c, image.Rect(0, y, b.Dx(), y+1), img, image.Pt(b.Min.X, b.Min.Y+y), draw.Src)
	}
	return c, nil
}

// rowsBetween is after how many rows an operation looks whether it may go on.
const rowsBetween = 64

// file returns the picture as a file. One that nothing changed is the file that it came as, byte for byte.
func (p *picture) file(ctx context.Context) (Picture, error) {
	if p.raw != nil {
		return Picture{Body: p.raw, Type: p.format.mediaType()}, nil
	}
	var buf bytes.Buffer
	if err := p.encode(&guarded{ctx: ctx, w: &buf}); err != nil {
		return Picture{}, err
	}
	p.raw = nil
	return Picture{Body: buf.Bytes(), Type: p.format.mediaType()}, nil
}

func (p *picture) encode(w io.Writer) error {
	switch p.format {
	case JPEG:
		return jpeg.Encode(w, onWhite(p.img), &jpeg.Options{Quality: jpegQuality})
	case PNG:
		return png.Encode(w, p.img)
	case TIFF:
		return tiff.Encode(w, p.img, &tiff.Options{Compression: tiff.Deflate, Predictor: true})
	case WebP:
		return encodeWebP(w, p.img)
	case GIF:
		return gif.EncodeAll(w, p.gif.g)
	}
	return object.Explain(object.ErrNoImage, "%s cannot be written", p.format)
}

// onWhite is img where a JPEG can show it: what is transparent becomes white, not black.
func onWhite(img image.Image) image.Image {
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return img
	}
	return white{img}
}

// white shows a picture on white ground.
type white struct{ image.Image }

func (w white) ColorModel() color.Model { return color.RGBAModel }

func (w white) At(x, y int) color.Color {
	r, g, b, a := w.Image.At(x, y).RGBA()
	rest := 0xffff - a
	return color.RGBA{uint8((r + rest) >> 8), uint8((g + rest) >> 8), uint8((b + rest) >> 8), 0xff}
}

// rescue is deferred around decoders. They are others' and the files anybody's: what goes wrong in one of them is the file's fault.
func rescue(f Format, err *error) {
	if p := recover(); p != nil {
		*err = broken(f, fmt.Errorf("panic while decoding: %v", p))
	}
}

// decode reads a still picture.
func decode(ctx context.Context, f Format, file []byte) (img image.Image, err error) {
	defer rescue(f, &err)
	img, err = decodeStill(&guarded{ctx: ctx, file: file}, f)
	if err == nil {
		return img, nil
	}
	if stop := stopped(ctx); stop != nil {
		return nil, stop
	}
	return nil, broken(f, err)
}

func decodeStill(r *guarded, f Format) (image.Image, error) {
	switch f {
	case JPEG:
		return jpeg.Decode(r)
	case PNG:
		return png.Decode(r)
	case WebP:
		return webp.Decode(r)
	case TIFF:
		return tiff.Decode(r)
	case GIF: // of a watermark: its first frame
		return gif.Decode(r)
	}
	return nil, object.Explain(object.ErrNoImage, "%s cannot be decoded", f)
}

// guarded lets a decoder or an encoder read and write until its context ends. Some files are small and take hours to decode: the time
// for one is bounded here, because every decoder has to read on.
type guarded struct {
	ctx  context.Context
	file []byte
	at   int64
	w    io.Writer
}

var _ io.ReaderAt = (*guarded)(nil) // without it the TIFF decoder would copy the file

// readMax is what is handed to a decoder at once, in bytes, so that it asks again soon.
const readMax = 1024

func (g *guarded) Read(p []byte) (int, error) {
	n, err := g.ReadAt(p[:min(len(p), readMax)], g.at)
	g.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (g *guarded) ReadAt(p []byte, at int64) (int, error) {
	if err := stopped(g.ctx); err != nil {
		return 0, err
	}
	if at < 0 || at >= int64(len(g.file)) {
		return 0, io.EOF
	}
	n := copy(p, g.file[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (g *guarded) Write(p []byte) (int, error) {
	if err := stopped(g.ctx); err != nil {
		return 0, err
	}
	return g.w.Write(p)
}
