package image

import (
	"context"
	"image"
	"image/color"
	"image/draw"
	"math"
	"sync"

	"github.com/hajimehoshi/bitmapfont/v3"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"

	"github.com/cisternhq/cistern/internal/object"
)

// textSize is the size of a watermark's text in points. Its resolution is what the action says; so at the default of 150 a line is
// about 21 pixels high.
const textSize = 10.0

// repeats is how often a text is repeated across and down, at most: a single one would soon be cut off.
const repeats = 6

// apply writes the text over the whole picture, again and again.
func (m markText) apply(ctx context.Context, r *run) error {
	canvas, err := r.pic.canvas(ctx)
	if err != nil {
		return err
	}
	size := canvas.Bounds().Size()
	mask, err := r.p.fonts.write(m.text, textSize*float64(m.dpi)/72, size)
	if err != nil {
		return err
	}
	ink := image.NewUniform(color.NRGBA{m.colour[0], m.colour[1], m.colour[2], uint8(math.Round(m.opacity * 255))})
	gap := image.Pt(size.X/repeats, size.Y/repeats)
	step := mask.Bounds().Size().Add(gap)
	for y := gap.Y / 2; y < size.Y; y += step.Y {
		for x := gap.X / 2; x < size.X; x += step.X {
			if err := stopped(ctx); err != nil {
				return err
			}
			at := mask.Bounds().Add(canvas.Rect.Min).Add(image.Pt(x, y))
			draw.DrawMask(canvas, at, ink, image.Point{}, mask, image.Point{}, draw.Over)
		}
	}
	r.pic.change(canvas)
	return nil
}

// apply draws the picture in its own size.
func (m markImage) apply(ctx context.Context, r *run) error {
	file := r.marks[0]
	r.marks = r.marks[1:]
	h, err := markHeader(file)
	if err != nil {
		return err
	}
	mark, err := decode(ctx, h.format, file)
	if err != nil {
		return err
	}
	if h.exif.orientation > 1 {
		if mark, err = orient(ctx, mark, h.exif.orientation); err != nil {
			return err
		}
	}
	canvas, err := r.pic.canvas(ctx)
	if err != nil {
		return err
	}
	b := mark.Bounds()
	at := image.Rectangle{Max: b.Size()}.Add(canvas.Rect.Min).Add(image.Pt(m.left, m.top))
	opacity := image.NewUniform(color.Alpha{uint8(math.Round(m.opacity * 255))})
	draw.DrawMask(canvas, at, mark, b.Min, opacity, image.Point{}, draw.Over)
	r.pic.change(canvas)
	return nil
}

// fonts are what texts are written with: an outline font for the alphabets of Europe, and dots for what it lacks, which is
// Chinese, Japanese and Korean above all.
type fonts struct {
	once    sync.Once
	outline *sfnt.Font
	err     error
}

// dots is how high a character of the dotted font is, in dots, and how far above the line it begins.
const dots, dotsAscent = 16, 12

// emDots is how many dots are as high as the size of the text.
const emDots = 12.0

// glyph is one character of a text: an outline, or a picture of dots.
type glyph struct {
	outline sfnt.Segments
	dots    image.Image
	from    image.Point // of dots
	width   int         // in dots
	advance float64     // in pixels
}

// write returns a mask of the text on one line, the letters size pixels high, cut off at limit.
func (f *fonts) write(text string, size float64, limit image.Point) (*image.Alpha, error) {
	f.once.Do(func() { f.outline, f.err = sfnt.Parse(goregular.TTF) })
	if f.err != nil {
		return nil, f.err
	}
	var buf sfnt.Buffer
	ppem := fixed.Int26_6(math.Round(size * 64))
	var line []glyph
	var width float64
	for _, c := range text {
		g, err := f.glyph(&buf, c, ppem)
		if err != nil {
			return nil, err
		}
		line = append(line, g)
		width += g.advance
	}
	height := size * dots / emDots
	w := min(limit.X, int(math.Ceil(width)))
	h := min(limit.Y, int(math.Ceil(height)))
	mask := image.NewAlpha(image.Rect(0, 0, max(1, w), max(1, h)))
	base, x := size*dotsAscent/emDots, 0.0
	for _, g := range line {
		if x >= float64(w) {
			break
		}
		if g.dots != nil {
			g.stamp(mask, x, size/emDots)
		} else {
			g.fill(mask, x, base)
		}
		x += g.advance
	}
	return mask, nil
}

func (f *fonts) glyph(buf *sfnt.Buffer, c rune, ppem fixed.Int26_6) (glyph, error) {
	index, err := f.outline.GlyphIndex(buf, c)
	if err != nil {
		return glyph{}, err
	}
	if index == 0 {
		return dotted(c, float64(ppem)/64)
	}
	advance, err := f.outline.GlyphAdvance(buf, index, ppem, font.HintingNone)
	if err != nil {
		return glyph{}, err
	}
	segments, err := f.outline.LoadGlyph(buf, index, ppem, nil)
	if err != nil {
		return glyph{}, err
	}
	return glyph{outline: append(sfnt.Segments(nil), segments...), advance: float64(advance) / 64}, nil
}

// dotted looks a character up in the dotted font.
func dotted(c rune, size float64) (glyph, error) {
	area, mask, from, advance, ok := bitmapfont.FaceSC.Glyph(fixed.P(0, 0), c)
	if ok {
		ok = false
		for y := range area.Dy() {
			for x := range area.Dx() {
				_, _, _, a := mask.At(from.X+x, from.Y+y).RGBA()
				ok = ok || a > 0
			}
		}
	}
	if !ok { // the font has nothing but blanks for what it lacks
		return glyph{}, object.Explain(object.ErrInvalidArgument, "action: watermark: the parameter t: there is no font here for the character %U", c)
	}
	return glyph{dots: mask, from: from, width: area.Dx(), advance: float64(advance) / 64 * size / emDots}, nil
}

// fill draws an outline whose line begins at x, y.
func (g *glyph) fill(mask *image.Alpha, x, y float64) {
	low, high := math.Inf(1), math.Inf(-1)
	top, bottom := low, high
	point := func(p fixed.Point26_6) (float64, float64) { return x + float64(p.X)/64, y + float64(p.Y)/64 }
	for _, s := range g.outline {
		for _, p := range s.Args[:arguments(s.Op)] {
			px, py := point(p)
			low, high, top, bottom = min(low, px), max(high, px), min(top, py), max(bottom, py)
		}
	}
	area := image.Rect(int(math.Floor(low)), int(math.Floor(top)), int(math.Ceil(high)), int(math.Ceil(bottom)))
	if len(g.outline) == 0 || area.Intersect(mask.Rect).Empty() {
		return
	}
	z := vector.NewRasterizer(area.Dx(), area.Dy())
	at := func(p fixed.Point26_6) (float32, float32) {
		px, py := point(p)
		return float32(px - float64(area.Min.X)), float32(py - float64(area.Min.Y))
	}
	for _, s := range g.outline {
		ax, ay := at(s.Args[0])
		bx, by := at(s.Args[1])
		cx, cy := at(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			z.ClosePath()
			z.MoveTo(ax, ay)
		case sfnt.SegmentOpLineTo:
			z.LineTo(ax, ay)
		case sfnt.SegmentOpQuadTo:
			z.QuadTo(ax, ay, bx, by)
		case sfnt.SegmentOpCubeTo:
			z.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	z.ClosePath()
	// The rasteriser draws beyond what it draws on, so a letter that is cut off has to be drawn somewhere else first.
	whole := image.NewAlpha(area)
	z.Draw(whole, area, image.Opaque, image.Point{})
	draw.Draw(mask, area, whole, area.Min, draw.Over)
}

// arguments is how many points a segment has.
func arguments(op sfnt.SegmentOp) int {
	switch op {
	case sfnt.SegmentOpQuadTo:
		return 2
	case sfnt.SegmentOpCubeTo:
		return 3
	}
	return 1
}

// stamp draws dots, each scale pixels wide, at x. Between the dots it takes a mean, so that large ones have no hard steps.
func (g *glyph) stamp(mask *image.Alpha, x, scale float64) {
	dot := func(i, j int) float64 {
		if i < 0 || j < 0 || i >= g.width || j >= dots {
			return 0
		}
		_, _, _, a := g.dots.At(g.from.X+i, g.from.Y+j).RGBA()
		return float64(a) / 0xffff
	}
	low, high := max(0, int(math.Floor(x))), min(mask.Rect.Max.X, int(math.Ceil(x+float64(g.width)*scale)))
	for py := range min(mask.Rect.Max.Y, int(math.Ceil(dots*scale))) {
		v := (float64(py)+0.5)/scale - 0.5
		j := int(math.Floor(v))
		for px := low; px < high; px++ {
			u := (float64(px)+0.5-x)/scale - 0.5
			i := int(math.Floor(u))
			fu, fv := u-float64(i), v-float64(j)
			a := (dot(i, j)*(1-fu)+dot(i+1, j)*fu)*(1-fv) + (dot(i, j+1)*(1-fu)+dot(i+1, j+1)*fu)*fv
			// Half of a dot is its edge. Sharpen to it, as far as the size allows.
			a = min(max((a-0.5)*max(1, scale)+0.5, 0), 1)
			at := mask.PixOffset(px, py)
			mask.Pix[at] = max(mask.Pix[at], uint8(math.Round(a*255)))
		}
	}
}
