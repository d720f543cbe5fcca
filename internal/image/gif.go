package image

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"

	"github.com/cisternhq/cistern/internal/object"
)

// animation is a decoded GIF.
type animation struct{ g *gif.GIF }

func (a *animation) size() image.Point { return image.Pt(a.g.Config.Width, a.g.Config.Height) }

// readGIF counts the frames of a GIF without decoding one: a small file can hold very many very large ones.
func (h *header) readGIF(file []byte) error {
	h.perPixel = 2
	cut := broken(GIF, fmt.Errorf("it ends early"))
	if len(file) < 13 {
		return cut
	}
	h.size = image.Pt(int(binary.LittleEndian.Uint16(file[6:])), int(binary.LittleEndian.Uint16(file[8:])))
	rest := file[13:]
	skip := func(n int) bool {
		if n > len(rest) {
			return false
		}
		rest = rest[n:]
		return true
	}
	blocks := func() bool { // a chain of blocks, each with its length in front, up to one of length 0
		for len(rest) > 0 {
			n := int(rest[0])
			if !skip(1 + n) {
				return false
			}
			if n == 0 {
				return true
			}
		}
		return false
	}
	if file[10]&0x80 != 0 && !skip(3<<(file[10]&7+1)) {
		return cut
	}
	for len(rest) > 0 {
		kind := rest[0]
		switch kind {
		case 0x21: // an extension
			if len(rest) >= 8 && rest[1] == 0xf9 && rest[3]&1 != 0 {
				h.alpha = true
			}
			if !skip(2) || !blocks() {
				return cut
			}
		case 0x2c: // a frame
			if len(rest) < 11 {
				return cut
			}
			h.frames++
			flags := rest[9]
			n := 10
			if flags&0x80 != 0 {
				n += 3 << (flags&7 + 1)
			}
			if !skip(n+1) || !blocks() {
				return cut
			}
		case 0x3b: // the end
			if h.frames == 0 {
				return broken(GIF, fmt.Errorf("it has no frame"))
			}
			return nil
		default:
			return broken(GIF, fmt.Errorf("block of type %#x", kind))
		}
	}
	return cut
}

// resizeGIF resizes every frame by itself, in its own place and with its own colours, so that times, loops and what frames leave of those
// before stay as they are.
func (r *run) resizeGIF(ctx context.Context, within, result image.Point) error {
	a := r.pic.gif
	if a == nil {
		g, err := decodeGIF(ctx, r.pic.raw)
		if err != nil {
			return err
		}
		a = &animation{g}
	}
	from := a.size()
	at := result.Sub(within).Div(2)
	small := &gif.GIF{
		Delay: a.g.Delay, LoopCount: a.g.LoopCount, Disposal: a.g.Disposal, BackgroundIndex: a.g.BackgroundIndex,
		Config: image.Config{ColorModel: a.g.Config.ColorModel, Width: result.X, Height: result.Y},
	}
	columns, rows := spans(from.X, within.X), spans(from.Y, within.Y)
	for _, frame := range a.g.Image {
		if err := stopped(ctx); err != nil {
			return err
		}
		out, err := resizeFrame(ctx, frame, columns, rows, at)
		if err != nil {
			return err
		}
		small.Image = append(small.Image, out)
	}
	r.pic.gif, r.pic.raw = &animation{small}, nil
	return nil
}

func decodeGIF(ctx context.Context, file []byte) (g *gif.GIF, err error) {
	defer rescue(GIF, &err)
	g, err = gif.DecodeAll(&guarded{ctx: ctx, file: file})
	if err != nil {
		if stop := stopped(ctx); stop != nil {
			return nil, stop
		}
		return nil, broken(GIF, err)
	}
	if len(g.Image) == 0 {
		return nil, broken(GIF, nil)
	}
	return g, nil
}

// span is what pixel of a line stands for in another line: the pixels from low to high, of which middle is the one it is.
type span struct{ low, middle, high int }

func spans(n, m int) []span {
	ss := make([]span, m)
	for i := range ss {
		low := i * n / m
		ss[i] = span{low, (2*i + 1) * n / (2 * m), max(low+1, (i+1)*n/m)}
	}
	return ss
}

// covered returns which of the pixels in ss lie between low and high.
func covered(ss []span, low, high int) (first, end int) {
	for first < len(ss) && ss[first].middle < low {
		first++
	}
	end = first
	for end < len(ss) && ss[end].middle < high {
		end++
	}
	return first, end
}

// resizeFrame makes each pixel of the frame the mean of those it stands for, in the frame's own colours. Whether it is transparent says the
// one in the middle.
func resizeFrame(ctx context.Context, frame *image.Paletted, columns, rows []span, at image.Point) (*image.Paletted, error) {
	b := frame.Rect
	left, right := covered(columns, b.Min.X, b.Max.X)
	top, bottom := covered(rows, b.Min.Y, b.Max.Y)
	if right == left || bottom == top {
		// A frame that vanishes must still take its time: it becomes one pixel that shows what was there in its corner.
		left, top = min(left, len(columns)-1), min(top, len(rows)-1)
		right, bottom = left+1, top+1
	}
	out := image.NewPaletted(image.Rect(left, top, right, bottom).Add(at), frame.Palette)
	colours := newMatcher(frame.Palette)
	for y := top; y < bottom; y++ {
		if y%rowsBetween == 0 {
			if err := stopped(ctx); err != nil {
				return nil, err
			}
		}
		line := out.Pix[(y-top)*out.Stride:]
		for x := left; x < right; x++ {
			line[x-left] = colours.mean(frame, columns[x], rows[y])
		}
	}
	return out, nil
}

// matcher finds the colours of a palette.
type matcher struct {
	rgba  []color.RGBA
	clear []bool
	// near is the nearest colour for 5 bits of each of red, green and blue, plus one; 0 where nobody asked.
	near [1 << 15]uint16
}

func newMatcher(p color.Palette) *matcher {
	m := &matcher{}
	for _, c := range p {
		rgba := color.RGBAModel.Convert(c).(color.RGBA)
		m.rgba = append(m.rgba, rgba)
		m.clear = append(m.clear, rgba.A == 0)
	}
	return m
}

func (m *matcher) mean(frame *image.Paletted, column, row span) uint8 {
	b := frame.Rect
	middle := frame.Pix[frame.PixOffset(min(max(column.middle, b.Min.X), b.Max.X-1), min(max(row.middle, b.Min.Y), b.Max.Y-1))]
	if int(middle) >= len(m.rgba) || m.clear[middle] {
		return middle
	}
	var r, g, bl, n int
	same := true
	for y := max(row.low, b.Min.Y); y < min(row.high, b.Max.Y); y++ {
		line := frame.Pix[frame.PixOffset(b.Min.X, y):]
		for x := max(column.low, b.Min.X); x < min(column.high, b.Max.X); x++ {
			i := line[x-b.Min.X]
			if int(i) >= len(m.rgba) || m.clear[i] {
				continue
			}
			same = same && i == middle
			c := m.rgba[i]
			r, g, bl, n = r+int(c.R), g+int(c.G), bl+int(c.B), n+1
		}
	}
	if same || n == 0 {
		return middle
	}
	return m.nearest(r/n, g/n, bl/n)
}

func (m *matcher) nearest(r, g, b int) uint8 {
	at := r>>3<<10 | g>>3<<5 | b>>3
	if i := m.near[at]; i > 0 {
		return uint8(i - 1)
	}
	best, least := 0, 1<<30
	for i, c := range m.rgba {
		if m.clear[i] {
			continue
		}
		dr, dg, db := int(c.R)-r, int(c.G)-g, int(c.B)-b
		if d := dr*dr + dg*dg + db*db; d < least {
			best, least = i, d
		}
	}
	m.near[at] = uint16(best + 1)
	return uint8(best)
}

// markHeader reads the head of a picture that is to be drawn on another one.
func markHeader(file []byte) (header, error) {
	h, err := readHeader(file)
	switch {
	case err != nil:
		return h, object.Explain(object.ErrNoImage, "watermark_image: what the address leads to is no picture, or a broken one")
	case h.format == SVG || h.format == PDF:
		return h, object.Explain(object.ErrNoImage, "watermark_image: the address leads to %s; jpeg, png, webp, tiff and gif can be drawn", h.format)
	}
	return h, nil
}
