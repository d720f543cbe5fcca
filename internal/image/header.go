package image

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/cisternhq/cistern/internal/object"
)

// Format is the format of a picture's file, by the name that the API has for it.
type Format string

// The formats. GIF is only for info, resize and save; SVG and PDF are only for info and save (QingStor API, "Image Process").
const (
	JPEG Format = "jpeg"
	PNG  Format = "png"
	WebP Format = "webp"
	TIFF Format = "tiff"
	GIF  Format = "gif"
	SVG  Format = "svg"
	PDF  Format = "pdf"
)

// mediaType is what a file of the format is sent as.
func (f Format) mediaType() string {
	switch f {
	case SVG:
		return "image/svg+xml"
	case PDF:
		return "application/pdf"
	}
	return "image/" + string(f)
}

// header is what the head of a file says, without anything being decoded.
type header struct {
	format Format
	size   image.Point // as it is stored: not upright yet
	frames int         // of a GIF; else 0
	space  string      // srgb, b-w, cmyk, rgb16 or grey16
	alpha  bool
	exif   exif
	// perPixel is how many bytes each pixel takes while the file is decoded, at most.
	perPixel int64
}

// upright is the size of the picture once it stands as its orientation says.
func (h *header) upright() image.Point {
	if h.exif.orientation >= 5 {
		return image.Pt(h.size.Y, h.size.X)
	}
	return h.size
}

// decoded is how much memory decoding a file of n bytes takes, at most.
func (h *header) decoded(n int) int64 {
	need := area(h.size) * h.perPixel
	if h.format == WebP {
		// The trees of a lossless file's codes: at most 65,536 times five, and three bytes can declare five.
		need += min(int64(n)*1000, 200<<20)
	}
	return need
}

func noImage(format string, args ...any) error {
	return object.Explain(object.ErrNoImage, format, args...)
}

// broken is a file that is of a format, but not as it should be.
func broken(f Format, cause error) error {
	return &object.Explained{Kind: object.ErrNoImage, Text: "the " + string(f) + " is broken, or of a kind that cannot be read", Cause: cause}
}

// sniff tells the format by the first bytes; "" for none of ours. The name and the type of an object say nothing.
func sniff(file []byte) Format {
	begins := func(magic string) bool { return bytes.HasPrefix(file, []byte(magic)) }
	switch {
	case begins("\xff\xd8\xff"):
		return JPEG
	case begins("\x89PNG\r\n\x1a\n"):
		return PNG
	case begins("GIF87a"), begins("GIF89a"):
		return GIF
	case begins("RIFF") && len(file) >= 12 && string(file[8:12]) == "WEBP":
		return WebP
	case begins("II*\x00"), begins("MM\x00*"):
		return TIFF
	case begins("%PDF-"):
		return PDF
	case looksLikeXML(file):
		return SVG
	}
	return ""
}

// readHeader reads the head of a file. The error matches [object.ErrNoImage].
func readHeader(file []byte) (h header, err error) {
	h = header{format: sniff(file), space: "srgb"}
	defer rescue(h.format, &err)
	switch h.format {
	case JPEG:
		err = h.readJPEG(file)
	case PNG:
		err = h.readPNG(file)
	case WebP:
		err = h.readWebP(file)
	case TIFF:
		err = h.readTIFF(file)
	case GIF:
		err = h.readGIF(file)
	case SVG:
		h.size, err = svgSize(file)
		h.alpha = true
	case PDF:
		h.size, err = pdfSize(file)
	default:
		return h, noImage("the object is no jpeg, png, webp, tiff, gif, svg or pdf")
	}
	if err == nil && (h.size.X < 1 || h.size.Y < 1) {
		err = noImage("the %s has no pixels", h.format)
	}
	return h, err
}

// config takes over what a decoder says without decoding.
func (h *header) config(c image.Config, err error) error {
	if err != nil {
		return broken(h.format, err)
	}
	h.size = image.Pt(c.Width, c.Height)
	switch c.ColorModel {
	case color.GrayModel:
		h.space = "b-w"
	case color.Gray16Model:
		h.space = "grey16"
	case color.RGBA64Model, color.NRGBA64Model:
		h.space = "rgb16"
	case color.CMYKModel:
		h.space = "cmyk"
	}
	return nil
}

func (h *header) readJPEG(file []byte) error {
	if err := h.config(jpeg.DecodeConfig(bytes.NewReader(file))); err != nil {
		return err
	}
	const exifMark = "Exif\x00\x00"
	for at := 2; at+4 <= len(file) && file[at] == 0xff; {
		marker := file[at+1]
		if marker == 0xff { // a fill byte
			at++
			continue
		}
		if marker == 0xda { // the picture itself
			return nil
		}
		end := at + 2 + int(binary.BigEndian.Uint16(file[at+2:]))
		if end < at+4 || end > len(file) {
			return nil
		}
		switch body := file[at+4 : end]; {
		case marker == 0xe1 && bytes.HasPrefix(body, []byte(exifMark)) && h.exif == exif{}:
			h.exif = readExif(body[len(exifMark):])
		case marker == 0xc0, marker == 0xc1, marker == 0xc2:
			h.perPixel = jpegPerPixel(body, marker == 0xc2)
		}
		at = end
	}
	return nil
}

// jpegPerPixel is how many bytes decoding takes for each pixel: one for each sample, and four more while a progressive file is not
// complete. frame is the body of the segment that says how the picture is sampled.
func jpegPerPixel(frame []byte, progressive bool) int64 {
	if len(frame) < 6 || len(frame) < 6+3*int(frame[5]) {
		return 20
	}
	components := int(frame[5])
	most, sum := 1, 0
	for i := range components {
		factor := frame[6+3*i+1]
		n := int(factor>>4) * int(factor&15)
		most, sum = max(most, n), sum+n
	}
	samples := int64((sum + most - 1) / most)
	need := samples
	if progressive {
		need *= 5
	}
	if components == 4 {
		need += 4 // the colours are put together with the black at the end
	}
	return need
}

func (h *header) readPNG(file []byte) error {
	h.perPixel = 4
	if err := h.config(png.DecodeConfig(bytes.NewReader(file))); err != nil {
		return err
	}
	if len(file) < 29 {
		return broken(PNG, nil)
	}
	if file[24] == 16 {
		h.perPixel = 8
	}
	if file[28] != 0 {
		h.perPixel *= 2 // interlaced: the passes are decoded by themselves
	}
	kind := file[25]
	h.alpha = kind == 4 || kind == 6
	switch {
	case kind == 0 || kind == 4: // decoders have no model for grey with alpha
		h.space = "b-w"
		if file[24] == 16 {
			h.space = "grey16"
		}
	case kind == 3:
		h.space = "srgb"
	}
	for at := 8; at+12 <= len(file); {
		n := int64(binary.BigEndian.Uint32(file[at:]))
		name := string(file[at+4 : at+8])
		if n > int64(len(file)-at-12) || name == "IEND" {
			break
		}
		switch body := file[at+8 : at+8+int(n)]; name {
		case "tRNS":
			h.alpha = true
		case "eXIf":
			h.exif = readExif(body)
		}
		at += 12 + int(n)
	}
	return nil
}

func (h *header) readWebP(file []byte) error {
	h.perPixel = 8
	animated := false
	for at := 12; at+8 <= len(file); {
		n := int64(binary.LittleEndian.Uint32(file[at+4:]))
		body := file[at+8:]
		switch name := string(file[at : at+4]); {
		case name == "VP8X" && len(body) > 0:
			h.alpha = body[0]&0x10 != 0
			animated = body[0]&0x02 != 0
		case name == "VP8L" && len(body) >= 5:
			h.alpha = h.alpha || body[4]&0x10 != 0
		case name == "EXIF" && n <= int64(len(body)):
			h.exif = readExif(bytes.TrimPrefix(body[:n], []byte("Exif\x00\x00")))
		}
		n += n & 1
		if n > int64(len(body)) {
			break
		}
		at += 8 + int(n)
	}
	if animated {
		return noImage("the webp is animated; only still ones can be read")
	}
	return h.config(webp.DecodeConfig(bytes.NewReader(file)))
}

func (h *header) readTIFF(file []byte) error {
	if err := h.config(tiff.DecodeConfig(bytes.NewReader(file))); err != nil {
		return err
	}
	h.perPixel = 8 // what is decoded, and what it is decoded from: one block may be all of it
	if h.space == "rgb16" || h.space == "grey16" {
		h.perPixel = 16
	}
	h.exif = readExif(file)
	h.alpha = h.exif.extraSamples
	return nil
}
