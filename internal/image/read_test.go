package image

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
)

// entries are those of one directory of Exif data.
type entries []struct {
	tag, kind uint16
	count     uint32
	value     []byte
}

// exifData makes Exif data of three directories: the first, that of the camera, that of the place.
func exifData(order binary.AppendByteOrder, dirs [3]entries) []byte {
	head := map[binary.AppendByteOrder]string{binary.LittleEndian: "II*\x00", binary.BigEndian: "MM\x00*"}[order]
	data := order.AppendUint32([]byte(head), 8)
	place := 8
	starts := [3]int{}
	for i, d := range dirs {
		starts[i] = place
		n := len(d)
		if i == 0 {
			n += 2
		}
		place += 2 + 12*n + 4
	}
	var tail []byte
	for i, d := range dirs {
		if i == 0 {
			for k, tag := range []uint16{tagExifDirectory, tagGPSDirectory} {
				d = append(slices.Clip(d), entries{{tag, 4, 1, order.AppendUint32(nil, uint32(starts[k+1]))}}...)
			}
		}
		data = order.AppendUint16(data, uint16(len(d)))
		for _, e := range d {
			data = order.AppendUint16(data, e.tag)
			data = order.AppendUint16(data, e.kind)
			data = order.AppendUint32(data, e.count)
			if len(e.value) <= 4 {
				data = append(append(data, e.value...), make([]byte, 4-len(e.value))...)
			} else {
				data = order.AppendUint32(data, uint32(place+len(tail)))
				tail = append(tail, e.value...)
			}
		}
		data = order.AppendUint32(data, 0)
	}
	return append(data, tail...)
}

func short(order binary.AppendByteOrder, n uint16) []byte { return order.AppendUint16(nil, n) }

func fractions(order binary.AppendByteOrder, ns ...uint32) (b []byte) {
	for _, n := range ns {
		b = order.AppendUint32(b, n)
	}
	return b
}

func iphone(order binary.AppendByteOrder, orientation uint16) []byte {
	return exifData(order, [3]entries{
		{{tagMake, 2, 6, []byte("Apple\x00")}, {tagModel, 2, 10, []byte("iPhone SE\x00")}, {tagOrientation, 3, 1, short(order, orientation)},
			{tagDateTime, 2, 20, []byte("2018:06:07 18:44:54\x00")}},
		{{tagExifVersion, 7, 4, []byte("0221")}, {tagFocalLength, 5, 1, fractions(order, 83, 20)}},
		{{tagLatitudeRef, 2, 2, []byte("N\x00")}, {tagLatitude, 5, 3, fractions(order, 40, 1, 0, 1, 5588, 100)}, {tagLongitudeRef, 2, 2, []byte("E\x00")},
			{tagLongitude, 5, 3, fractions(order, 116, 1, 27, 1, 3094, 100)}, {tagAltitudeRef, 1, 1, []byte{0}}, {tagAltitude, 5, 1, fractions(order, 7132, 100)}},
	})
}

// withExif puts Exif data into a picture's file.
func withExif(t testing.TB, f Format, file, data []byte) []byte {
	t.Helper()
	switch f {
	case JPEG:
		body := append([]byte("Exif\x00\x00"), data...)
		segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
		return slices.Concat(file[:2], segment, body, file[2:])
	case PNG:
		return slices.Concat(file[:33], pngChunk("eXIf", data), file[33:])
	case WebP:
		b := file[12:]
		w, h := shownSize(t, file)
		x := append([]byte("VP8X\x0a\x00\x00\x00\x08\x00\x00\x00"), byte(w-1), byte((w-1)>>8), 0, byte(h-1), byte((h-1)>>8), 0)
		e := binary.LittleEndian.AppendUint32([]byte("EXIF"), uint32(len(data)))
		e = append(append(e, data...), make([]byte, len(data)&1)...)
		body := slices.Concat([]byte("WEBP"), x, b, e)
		return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
	}
	t.Fatalf("no Exif in %s", f)
	return nil
}

func shownSize(t testing.TB, file []byte) (w, h int) {
	t.Helper()
	head, err := readHeader(file)
	if err != nil {
		t.Fatal(err)
	}
	return head.size.X, head.size.Y
}

func pngChunk(name string, body []byte) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, name...), body...)
	return binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
}

// pngHead is a PNG of w x h pixels that ends where its pixels would begin.
func pngHead(w, h uint32, depth, kind byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, w)
	body = binary.BigEndian.AppendUint32(body, h)
	body = append(body, depth, kind, 0, 0, 0)
	return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", body), []byte("\x00\x00\x00\x00IDAT"))
}

func infoOf(t testing.TB, file []byte) (d infoDocument) {
	t.Helper()
	got := must(t, "info", file)
	if err := json.Unmarshal(got.Body, &d); err != nil || got.Type != "application/json" {
		t.Fatalf("info = %s %s: %v", got.Type, got.Body, err)
	}
	return d
}

func TestInfo(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 7, 5))
	gray16 := image.NewGray16(gray.Rect)
	deep := image.NewNRGBA64(gray.Rect)
	for y := range 5 {
		for x := range 7 {
			deep.Set(x, y, red)
		}
	}
	deep.Set(0, 0, color.NRGBA{1, 2, 3, 4})
	palette := image.NewPaletted(gray.Rect, color.Palette{red, color.Transparent})
	clear := image.NewNRGBA(gray.Rect)
	svg := func(attrs string) []byte {
		return []byte("<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n<!-- a -->\n<svg xmlns=\"http://www.w3.org/2000/svg\" " + attrs + "><g/>")
	}
	tests := []struct {
		name string
		file []byte
		want infoDocument
	}{
		{"jpeg", fileOf(t, JPEG, quarters(7, 5)), infoDocument{Width: 7, Height: 5, Type: JPEG, Space: "srgb"}},
		{"grey jpeg", fileOf(t, JPEG, gray), infoDocument{Width: 7, Height: 5, Type: JPEG, Space: "b-w"}},
		{"png", fileOf(t, PNG, quarters(7, 5)), infoDocument{Width: 7, Height: 5, Type: PNG, Space: "srgb"}},
		{"grey png", fileOf(t, PNG, gray), infoDocument{Width: 7, Height: 5, Type: PNG, Space: "b-w"}},
		{"deep grey png", fileOf(t, PNG, gray16), infoDocument{Width: 7, Height: 5, Type: PNG, Space: "grey16"}},
		{"deep png", fileOf(t, PNG, deep), infoDocument{Width: 7, Height: 5, Type: PNG, Space: "rgb16", Alpha: true}},
		{"png with a palette", fileOf(t, PNG, palette), infoDocument{Width: 7, Height: 5, Type: PNG, Space: "srgb", Alpha: true}},
		{"clear png", fileOf(t, PNG, clear), infoDocument{Width: 7, Height: 5, Type: PNG, Space: "srgb", Alpha: true}},
		{"webp", fileOf(t, WebP, quarters(7, 5)), infoDocument{Width: 7, Height: 5, Type: WebP, Space: "srgb"}},
		{"clear webp", fileOf(t, WebP, clear), infoDocument{Width: 7, Height: 5, Type: WebP, Space: "srgb", Alpha: true}},
		{"tiff", fileOf(t, TIFF, gray), infoDocument{Width: 7, Height: 5, Type: TIFF, Space: "b-w"}},
		{"gif", fileOf(t, GIF, quarters(7, 5)), infoDocument{Width: 7, Height: 5, Type: GIF, Space: "srgb"}},
		{"svg", svg(`width="120" height="80.4px"`), infoDocument{Width: 120, Height: 80, Type: SVG, Space: "srgb", Alpha: true}},
		{"svg with units", svg(`width="1in" height="2.54cm"`), infoDocument{Width: 96, Height: 96, Type: SVG, Space: "srgb", Alpha: true}},
		{"svg with a view box", svg(`viewBox="0, 0 300 200"`), infoDocument{Width: 300, Height: 200, Type: SVG, Space: "srgb", Alpha: true}},
		{"svg with a width and a view box", svg(`width="30" height="100%" viewBox="0 0 300 200"`), infoDocument{Width: 30, Height: 20, Type: SVG, Space: "srgb", Alpha: true}},
		{"pdf", []byte(plainPDF), infoDocument{Width: 612, Height: 792, Type: PDF, Space: "srgb"}},
		{"pdf that inherits and is turned", []byte(turnedPDF), infoDocument{Width: 842, Height: 595, Type: PDF, Space: "srgb"}},
		{"pdf with its objects compressed", compressedPDF(t), infoDocument{Width: 200, Height: 100, Type: PDF, Space: "srgb"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Orientation = 1
			if diff := cmp.Diff(tt.want, infoOf(t, tt.file)); diff != "" {
				t.Errorf("info (-want +got):\n%s", diff)
			}
		})
	}
}

// The second page comes first in the file, and an older first page is overwritten by a newer one.
const plainPDF = `%PDF-1.4
5 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 10 10]>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 1 1]>> endobj
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R 5 0 R] /Count 2 /MediaBox [0 0 20 20]>> endobj
3 0 obj
<< /Type /Page /Resources << /MediaBox [0 0 7 7] /Font << >> >> /Parent 2 0 R /MediaBox [0 0 612.0 792] >>
endobj
trailer <</Root 1 0 R /Size 6>>
%%EOF`

const turnedPDF = `%PDF-1.7
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids 6 0 R/MediaBox 7 0 R/Rotate 90>>endobj
6 0 obj [ 4 0 R ] endobj
7 0 obj [10 10 605 852] endobj
4 0 obj<</Type/Pages/Kids[5 0 R]/Parent 2 0 R>>endobj
5 0 obj<</Type/Page/Parent 4 0 R>>endobj
`

func compressedPDF(t testing.TB) []byte {
	t.Helper()
	objects := []string{"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]>>", "<</Type/Page/MediaBox[0 0 200 100]>>"}
	var index, text string
	for i, o := range objects {
		index += fmt.Sprintf("%d %d ", i+1, len(text))
		text += o + " "
	}
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write([]byte(index + text))
	w.Close()
	return fmt.Appendf(nil, "%%PDF-1.5\n9 0 obj\n<</Type/ObjStm/N 3/First %d/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream\nendobj\n8 0 obj<</Type/XRef/Root 1 0 R>>stream\nendstream endobj\n", len(index), z.Len(), z.Bytes())
}

func TestInfoShowsExif(t *testing.T) {
	want := infoDocument{
		Width: 8, Height: 4, Orientation: 6, Space: "srgb", Make: "Apple", Model: "iPhone SE", DateTime: "2018:06:07 18:44:54",
		ExifVersion: "Exif Version 2.21", FocalLength: "83/20", GPSLatitudeRef: "N", GPSLatitude: "40/1 0/1 5588/100", GPSLongitudeRef: "E",
		GPSLongitude: "116/1 27/1 3094/100", GPSAltitudeRef: "Sea level", GPSAltitude: "7132/100",
	}
	for _, f := range []Format{JPEG, PNG, WebP} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			want.Type = f
			got := infoOf(t, withExif(t, f, fileOf(t, f, quarters(8, 4)), iphone(order, 6)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: info (-want +got):\n%s", f, order, diff)
			}
		}
	}
}

// A picture must come out upright whatever its camera wrote, with nothing left in it that would turn it once more.
func TestOrientation(t *testing.T) {
	// What of quarters is to be seen at top left, top right, bottom left, bottom right (Exif 2.32, Orientation).
	want := map[uint16][4]color.NRGBA{
		1: {red, green, blue, yellow}, 2: {green, red, yellow, blue}, 3: {yellow, blue, green, red}, 4: {blue, yellow, red, green},
		5: {red, blue, green, yellow}, 6: {blue, red, yellow, green}, 7: {yellow, green, blue, red}, 8: {green, yellow, red, blue},
	}
	for orientation, corners := range want {
		t.Run(fmt.Sprint(orientation), func(t *testing.T) {
			file := withExif(t, JPEG, fileOf(t, JPEG, quarters(64, 32)), iphone(binary.BigEndian, orientation))
			w, h := 32, 16
			action := "resize:w_32"
			if orientation >= 5 {
				w, h, action = 16, 32, "resize:w_16"
			}
			got := must(t, action, file)
			img := shown(t, got)
			wantSize(t, img, w, h)
			wantSpots(t, img, 8, spot{2, 2, corners[0]}, spot{w - 3, 2, corners[1]}, spot{2, h - 3, corners[2]}, spot{w - 3, h - 3, corners[3]})
			if d := infoOf(t, got.Body); d.Orientation != 1 || d.Make != "" {
				t.Errorf("info of the result = %+v, want it upright and without Exif", d)
			}
		})
	}
	file := withExif(t, JPEG, fileOf(t, JPEG, quarters(64, 32)), iphone(binary.BigEndian, 6))
	var d infoDocument
	if err := json.Unmarshal(must(t, "crop:w_10|info", file).Body, &d); err != nil || d.Width != 10 || d.Height != 64 || d.Orientation != 1 {
		t.Errorf("info behind a crop = %+v, %v; want that of the upright picture", d, err)
	}
}

func TestGIFResize(t *testing.T) {
	palette := color.Palette{color.Transparent, red, green, blue}
	frame := func(r image.Rectangle, index uint8) *image.Paletted {
		p := image.NewPaletted(r, palette)
		for i := range p.Pix {
			p.Pix[i] = index
		}
		return p
	}
	g := &gif.GIF{
		Image:     []*image.Paletted{frame(image.Rect(0, 0, 40, 20), 1), frame(image.Rect(10, 10, 30, 20), 2), frame(image.Rect(39, 19, 40, 20), 3)},
		Delay:     []int{10, 20, 30},
		Disposal:  []byte{gif.DisposalNone, gif.DisposalPrevious, gif.DisposalBackground},
		LoopCount: 5,
		Config:    image.Config{Width: 40, Height: 20, ColorModel: palette},
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		action string
		size   image.Point
		second image.Rectangle
	}{
		{"resize:w_20", image.Pt(20, 10), image.Rect(5, 5, 15, 10)},
		{"resize:w_80", image.Pt(80, 40), image.Rect(20, 20, 60, 40)},
		{"resize:w_20,h_20", image.Pt(20, 20), image.Rect(5, 10, 15, 15)}, // padded above and below
		{"resize:w_40,h_40,m_1", image.Pt(40, 40), image.Rect(10, 20, 30, 40)},
		{"resize:w_1,m_1", image.Pt(1, 1), image.Rect(0, 0, 1, 1)},
	} {
		t.Run(tt.action, func(t *testing.T) {
			got := must(t, tt.action, b.Bytes())
			small, err := gif.DecodeAll(bytes.NewReader(got.Body))
			if err != nil {
				t.Fatalf("the result does not decode: %v", err)
			}
			if got.Type != "image/gif" || small.Config.Width != tt.size.X || small.Config.Height != tt.size.Y {
				t.Errorf("result is %s of %dx%d, want image/gif of %v", got.Type, small.Config.Width, small.Config.Height, tt.size)
			}
			if diff := cmp.Diff([]any{g.Delay, g.Disposal, g.LoopCount}, []any{small.Delay, small.Disposal, small.LoopCount}); diff != "" {
				t.Errorf("times and loops (-want +got):\n%s", diff)
			}
			if len(small.Image) != 3 || small.Image[1].Rect != tt.second {
				t.Fatalf("%d frames, the second at %v; want 3, %v", len(small.Image), small.Image[1].Rect, tt.second)
			}
			wantSpots(t, small.Image[1], 0, spot{0, 0, green})
		})
	}
	var d infoDocument
	if err := json.Unmarshal(must(t, "resize:w_20|info", b.Bytes()).Body, &d); err != nil || d.Width != 20 || d.Height != 10 || d.Type != GIF {
		t.Errorf("info behind a resize = %+v, %v", d, err)
	}
	for _, action := range []string{"crop:w_1", "rotate:a_90", "watermark:t_YQ", "format:t_png"} {
		if _, err := do(New(Options{}), job(t, action, b.Bytes())); !errors.Is(err, object.ErrNoImage) || !strings.Contains(err.Error(), "not for a gif") {
			t.Errorf("%s of a gif = %v, want a refusal that says so", action, err)
		}
	}
}

func TestGIFAverages(t *testing.T) {
	grey := func(v uint8) color.Color { return color.NRGBA{v, v, v, 255} }
	p := image.NewPaletted(image.Rect(0, 0, 40, 40), color.Palette{grey(0), grey(255), grey(128)})
	for i := range p.Pix {
		p.Pix[i] = uint8((i + i/40) % 2) // a chessboard of black and white
	}
	img := shown(t, must(t, "resize:w_20", fileOf(t, GIF, p)))
	wantSpots(t, img, 0, spot{0, 0, color.NRGBA{128, 128, 128, 255}}, spot{11, 7, color.NRGBA{128, 128, 128, 255}})
}

func TestSVGAndPDFAreForInfoAndSaveOnly(t *testing.T) {
	svg := []byte(`<svg width="10" height="20"/>`)
	for _, file := range [][]byte{svg, []byte(plainPDF)} {
		got := must(t, "save:b_bucket,k_key", file)
		if !bytes.Equal(got.Body, file) {
			t.Errorf("save alone changed the file")
		}
		for _, action := range []string{"resize:w_1", "crop:w_1", "rotate:a_90", "watermark:t_YQ", "watermark_image:u_aHR0cDovL2Ev", "format:t_png"} {
			if _, err := do(New(Options{}), job(t, action, file, svg)); !errors.Is(err, object.ErrNoImage) || !strings.Contains(err.Error(), "info and save are") {
				t.Errorf("%s of %.10q = %v, want a refusal that says what can be done", action, file, err)
			}
		}
	}
	if got := must(t, "save:b_bucket,k_key", svg).Type; got != "image/svg+xml" {
		t.Errorf("type of an svg = %q", got)
	}
}

func TestBrokenFiles(t *testing.T) {
	pic := quarters(64, 64)
	cut := func(f Format) []byte { b := fileOf(t, f, pic); return b[:len(b)*2/3] }
	manyFrames := gifOf(2000, 1, 1)
	huge := gifOf(900, 30000, 2)
	tests := []struct {
		name, action string
		file         []byte
		kind         error
		says         string
	}{
		{"nothing", "info", nil, object.ErrNoImage, "no jpeg"},
		{"text", "info", []byte("hello"), object.ErrNoImage, "no jpeg"},
		{"HTML", "info", []byte("<html><svg width=\"1\" height=\"1\"></svg></html>"), object.ErrNoImage, "no jpeg"},
		{"BMP", "info", []byte("BM\x00\x00\x00\x00"), object.ErrNoImage, "no jpeg"},
		{"a cut jpeg", "resize:w_5", cut(JPEG), object.ErrNoImage, "the jpeg is broken"},
		{"a cut png", "resize:w_5", cut(PNG), object.ErrNoImage, "the png is broken"},
		{"a cut webp", "resize:w_5", cut(WebP), object.ErrNoImage, "the webp is broken"},
		{"a cut tiff", "resize:w_5", cut(TIFF), object.ErrNoImage, "the tiff is broken"},
		{"a cut gif", "resize:w_5", cut(GIF), object.ErrNoImage, "the gif is broken"},
		{"a cut gif, info", "info", cut(GIF), object.ErrNoImage, "the gif is broken"},
		{"only a magic number", "info", []byte("\xff\xd8\xff"), object.ErrNoImage, "the jpeg is broken"},
		{"an svg without a size", "info", []byte("<svg/>"), object.ErrNoImage, "neither a width"},
		{"an svg beyond all size", "info", []byte(`<svg width="1e300" height="1"/>`), object.ErrNoImage, "size"},
		{"an svg with a negative size", "info", []byte(`<svg width="-5" height="5"/>`), object.ErrNoImage, "size"},
		{"an svg that never begins", "info", append(bytes.Repeat([]byte(" "), maxProlog-10), "<svg width='1' height='1'/>"...), object.ErrNoImage, ""},
		{"a pdf without pages", "info", []byte("%PDF-1.4\n1 0 obj <</Type/Catalog>> endobj"), object.ErrNoImage, "the pdf is broken"},
		{"a pdf whose pages go in circles", "info", []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>\n2 0 obj<</Type/Pages/Kids[2 0 R]>>"), object.ErrNoImage, "the pdf is broken"},
		{"a huge png", "resize:w_5", pngHead(100_000, 100_000, 8, 2), object.ErrTooLarge, "100000 x 100000"},
		{"a png of more pixels than there may be", "rotate:a_90", pngHead(10_000, 5_001, 8, 2), object.ErrTooLarge, "50000000 are allowed"},
		{"a png that is long and thin", "rotate:a_90", pngHead(1, 70_000, 8, 2), object.ErrTooLarge, "65535"},
		{"a gif of very many frames", "resize:w_5", manyFrames, object.ErrTooLarge, "2000 frames"},
		{"a gif of large frames", "resize:w_5", huge, object.ErrTooLarge, "30000 x 2 pixels in each of 900 frames"},
		{"a gif that becomes large", "resize:w_60000", gifOf(100, 10, 1), object.ErrTooLarge, "60000 x 6000 pixels in each of 100 frames"},
		{"a result on the way", "resize:w_60000,h_60000,m_1|resize:w_1", fileOf(t, PNG, pic), object.ErrTooLarge, "the result of operation 1"},
		{"a long webp", "resize:w_20000,h_5,m_1|format:t_webp", fileOf(t, PNG, pic), object.ErrTooLarge, "16384 pixels"},
		{"a crop outside", "resize:w_10|crop:l_10", fileOf(t, PNG, pic), object.ErrInvalidArgument, "the place 10,0 lies outside of the picture, which has 10 x 10"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := do(New(Options{}), job(t, tt.action, tt.file))
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s = %v, want %v that says %q", tt.action, err, tt.kind, tt.says)
			}
		})
	}
	// What is too large to work on can still be described.
	if d := infoOf(t, pngHead(100_000, 100_000, 8, 2)); d.Width != 100_000 || d.Height != 100_000 {
		t.Errorf("info of a huge png = %+v", d)
	}
}

// gifOf is a GIF of n frames of one colour, which says what it would need of its pixels in a few bytes.
func gifOf(n, w, h int) []byte {
	file := []byte("GIF89a")
	file = binary.LittleEndian.AppendUint16(file, uint16(w))
	file = binary.LittleEndian.AppendUint16(file, uint16(h))
	file = append(file, 0x80, 0, 0, 0, 0, 0, 255, 255, 255)
	for range n {
		file = append(file, 0x2c, 0, 0, 0, 0)
		file = binary.LittleEndian.AppendUint16(file, uint16(w))
		file = binary.LittleEndian.AppendUint16(file, uint16(h))
		file = append(file, 0, 2, 2, 0x44, 1, 0)
	}
	return append(file, 0x3b)
}

// A tiff whose strips each claim the whole of a large picture, or whose directory is endless, must be refused or read in bounded memory.
func TestHostileTIFF(t *testing.T) {
	order := binary.LittleEndian
	dir := func(es entries) []byte {
		data := order.AppendUint16([]byte("II*\x00\x08\x00\x00\x00"), uint16(len(es)))
		for _, e := range es {
			data = order.AppendUint16(data, e.tag)
			data = order.AppendUint16(data, e.kind)
			data = order.AppendUint32(data, e.count)
			data = append(append(data, e.value...), make([]byte, 4-len(e.value))...)
		}
		return order.AppendUint32(data, 8) // the next directory is this one
	}
	long := func(n uint32) []byte { return order.AppendUint32(nil, n) }
	for name, file := range map[string][]byte{
		"large": dir(entries{{256, 4, 1, long(60_000)}, {257, 4, 1, long(60_000)}, {258, 3, 1, short(order, 8)}, {259, 3, 1, short(order, 1)}, {262, 3, 1, short(order, 1)},
			{273, 4, 1, long(8)}, {278, 4, 1, long(60_000)}, {279, 4, 1, long(100)}}),
		"many strips": dir(entries{{256, 4, 1, long(100)}, {257, 4, 1, long(100)}, {258, 3, 1, short(order, 8)}, {259, 3, 1, short(order, 1)}, {262, 3, 1, short(order, 1)},
			{273, 4, 1 << 30, long(8)}, {278, 4, 1, long(1)}, {279, 4, 1 << 30, long(8)}}),
		"no strips": dir(entries{{256, 4, 1, long(100)}, {257, 4, 1, long(100)}, {258, 3, 1, short(order, 8)}, {259, 3, 1, short(order, 1)}, {262, 3, 1, short(order, 1)}}),
		"cut":       []byte("II*\x00\xff\xff\xff\x7f"),
	} {
		if _, err := do(New(Options{}), job(t, "resize:w_5", file)); !errors.Is(err, object.ErrNoImage) && !errors.Is(err, object.ErrTooLarge) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

func TestHostileExif(t *testing.T) {
	order := binary.LittleEndian
	e := func(tag, kind uint16, count uint32, value ...byte) entries { return entries{{tag, kind, count, value}} }
	for name, data := range map[string][]byte{
		"a count beyond all":       exifData(order, [3]entries{e(tagMake, 2, 1<<32-1, 8, 0, 0, 0)}),
		"a value outside":          exifData(order, [3]entries{e(tagMake, 2, 100, 0xff, 0xff, 0xff, 0x7f)}),
		"a type that is none":      exifData(order, [3]entries{e(tagMake, 77, 1, 1)}),
		"an orientation of 9":      exifData(order, [3]entries{e(tagOrientation, 3, 1, 9, 0)}),
		"an orientation as a text": exifData(order, [3]entries{e(tagOrientation, 2, 2, '6', 0)}),
		"a version of letters":     exifData(order, [3]entries{nil, e(tagExifVersion, 7, 4, 'a', 'b', 'c', 'd')}),
		"directories of themselves": append([]byte("II*\x00\x08\x00\x00\x00"),
			2, 0, 0x69, 0x87, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0x25, 0x88, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0),
		"nothing": {},
		"cut":     []byte("MM\x00*\x00\x00"),
	} {
		if got := readExif(data); got != (exif{}) {
			t.Errorf("%s: %+v, want nothing of it", name, got)
		}
	}
	long := exifData(order, [3]entries{{{tagMake, 2, 60000, bytes.Repeat([]byte("x\x01"), 30000)}}})
	if got := readExif(long).maker; len(got) != maxExifText/2 || strings.Contains(got, "\x01") {
		t.Errorf("a long maker has %d characters, want the %d that are left without control characters", len(got), maxExifText/2)
	}
	// 65,535 entries in a file as large as one segment may be.
	many := []byte("II*\x00\x08\x00\x00\x00\xff\xff")
	for len(many) < 60_000 {
		many = append(many, 0x0f, 0x01, 2, 0, 2, 0, 0, 0, 'a', 0, 0, 0)
	}
	if got := readExif(many).maker; got != "a" {
		t.Errorf("maker of very many = %q", got)
	}
}

func TestTransparentPixelsOfAPaletteStay(t *testing.T) {
	p := image.NewPaletted(image.Rect(0, 0, 10, 10), color.Palette{color.Transparent, red})
	p.SetColorIndex(9, 9, 1)
	var b bytes.Buffer
	if err := png.Encode(&b, p); err != nil {
		t.Fatal(err)
	}
	wantSpots(t, shown(t, must(t, "rotate:a_90", b.Bytes())), 0, spot{0, 9, red}, spot{5, 5, none})
}
