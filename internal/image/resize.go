package image

import (
	"context"
	"image"
	"image/color"
	"image/draw"
	"math"
)

// sizes returns the size of the picture within the result, and the size of the result.
func (s resize) sizes(now image.Point) (picture, result image.Point) {
	switch {
	case s.width == 0 && s.height == 0:
		return now, now
	case s.height == 0:
		only := image.Pt(s.width, portion(now.Y, s.width, now.X))
		return only, only
	case s.width == 0:
		only := image.Pt(portion(now.X, s.height, now.Y), s.height)
		return only, only
	}
	asked := image.Pt(s.width, s.height)
	if s.mode == force {
		return asked, asked
	}
	within := image.Pt(s.width, portion(now.Y, s.width, now.X))
	if within.Y > s.height {
		within = image.Pt(portion(now.X, s.height, now.Y), s.height)
	}
	if s.mode == thumbnail {
		return within, within
	}
	return within, asked
}

// portion is n * to / from, rounded, at least 1.
func portion(n, to, from int) int {
	return max(1, (n*to+from/2)/from)
}

func (s resize) size(now image.Point) image.Point {
	_, result := s.sizes(now)
	return result
}

func (s resize) apply(ctx context.Context, r *run) error {
	now := r.pic.size()
	within, result := s.sizes(now)
	if within == now && result == now {
		return nil
	}
	if r.pic.format == GIF {
		return r.resizeGIF(ctx, within, result)
	}
	img, err := r.pic.look(ctx)
	if err != nil {
		return err
	}
	small, err := scaled(ctx, img, within)
	if err != nil {
		return err
	}
	if within != result {
		// The picture in the middle; around it what is nothing: transparent where the picture can be, else white.
		padded := image.NewRGBA(image.Rectangle{Max: result})
		if !r.pic.header.alpha {
			draw.Draw(padded, padded.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
		}
		at := result.Sub(within).Div(2)
		draw.Draw(padded, image.Rectangle{at, at.Add(within)}, small, image.Point{}, draw.Src)
		small = padded
	}
	r.pic.change(small)
	return nil
}

// scaled returns img in another size. Each side is done by itself with a cubic kernel (Catmull and Rom's), which is widened where the picture becomes
// smaller, so that every pixel counts. What becomes much smaller is first reduced to means of whole blocks, which is several times as quick. Rows are
// done as they come, so that beside the two pictures only a few rows are in memory whatever the sizes are.
func scaled(ctx context.Context, img image.Image, size image.Point) (*image.RGBA, error) {
	b := img.Bounds()
	block := image.Pt(blockOf(b.Dx(), size.X), blockOf(b.Dy(), size.Y))
	across, down := taps(b.Dx(), block.X, size.X), taps(b.Dy(), block.Y, size.Y)
	dst := image.NewRGBA(image.Rectangle{Max: size})
	line := image.NewRGBA(image.Rect(0, 0, b.Dx(), 1))
	total := make([]uint64, 4*blocks(b.Dx(), block.X))
	means := make(sums, len(total))
	done := 0 // rows of blocks
	next := func(s sums) error {
		clear(total)
		top, bottom := done*block.Y, min((done+1)*block.Y, b.Dy())
		for y := top; y < bottom; y++ {
			if y%rowsBetween == 0 {
				if err := stopped(ctx); err != nil {
					return err
				}
			}
			draw.Draw(line, line.Bounds(), img, image.Pt(b.Min.X, b.Min.Y+y), draw.Src)
			addBlocks(total, line.Pix, block.X)
		}
		for i := range means {
			wide := min(block.X, b.Dx()-i/4*block.X)
			means[i] = float32(total[i]) / float32(wide*(bottom-top))
		}
		s.across(means, across)
		done++
		return nil
	}
	store := func(s sums, y int) { s.store(dst.Pix[y*dst.Stride:][:4*size.X]) }

	if size.Y >= b.Dy() { // no blocks, and a row of the result needs five rows of the picture at most
		var ring [8]sums
		for i := range ring {
			ring[i] = make(sums, 4*size.X)
		}
		row := make(sums, 4*size.X)
		for y, t := range down {
			if y%rowsBetween == 0 {
				if err := stopped(ctx); err != nil {
					return nil, err
				}
			}
			for done < t.first+len(t.weights) {
				if err := next(ring[done%len(ring)]); err != nil {
					return nil, err
				}
			}
			clear(row)
			for k, w := range t.weights {
				row.add(ring[(t.first+k)%len(ring)], w)
			}
			store(row, y)
		}
		return dst, nil
	}

	wide := make(sums, 4*size.X) // a row of the picture counts for five rows of the result at most
	var ready, spare []sums      // the rows that are begun, from complete on, and what further ones are made of
	complete, begun := 0, 0
	for complete < size.Y {
		y := done
		if err := next(wide); err != nil {
			return nil, err
		}
		for begun < size.Y && down[begun].first <= y {
			if len(spare) == 0 {
				spare = append(spare, make(sums, 4*size.X))
			}
			row := spare[len(spare)-1]
			spare = spare[:len(spare)-1]
			clear(row)
			ready = append(ready, row)
			begun++
		}
		for i, row := range ready {
			if t := &down[complete+i]; y < t.first+len(t.weights) {
				row.add(wide, t.weights[y-t.first])
			}
		}
		for len(ready) > 0 && y == down[complete].first+len(down[complete].weights)-1 {
			store(ready[0], complete)
			spare, ready = append(spare, ready[0]), ready[1:]
			complete++
		}
	}
	return dst, nil
}

// blockOf is how many pixels of a line of n are taken together before it becomes one of m: so many that at least twice as many are left as are
// needed.
func blockOf(n, m int) int { return max(1, n/(2*m)) }

// blocks is how many blocks a line of n pixels has; the last one may be smaller.
func blocks(n, block int) int { return (n + block - 1) / block }

// addBlocks adds a row of pixels up in blocks.
func addBlocks(total []uint64, pix []uint8, block int) {
	if block == 1 {
		for i, v := range pix {
			total[i] += uint64(v)
		}
		return
	}
	for ; len(pix) > 0; total = total[4:] {
		n := min(4*block, len(pix))
		var r, g, b, a uint64
		for p := pix[:n]; len(p) >= 4; p = p[4:] {
			r += uint64(p[0])
			g += uint64(p[1])
			b += uint64(p[2])
			a += uint64(p[3])
		}
		total[0] += r
		total[1] += g
		total[2] += b
		total[3] += a
		pix = pix[n:]
	}
}

// tap says which blocks of a line make one pixel of another line, and how much each counts. The weights add up to 1.
type tap struct {
	first   int
	weights []float32
}

// taps returns how a line of n pixels, taken together in blocks, becomes one of m.
func taps(n, block, m int) []tap {
	count := blocks(n, block)
	scale := float64(n) / float64(block) / float64(m)
	width := max(1, scale) // of the kernel: wider where a pixel stands for several
	ts := make([]tap, m)
	for i := range ts {
		middle := (float64(i)+0.5)*scale - 0.5
		low := max(0, int(math.Ceil(middle-2*width)))
		high := min(count-1, int(math.Floor(middle+2*width)))
		if n == m { // each pixel is itself
			low, high = i, i
		}
		weights := make([]float32, high-low+1)
		var sum float64
		for k := range weights {
			v := cubic((float64(low+k) - middle) / width)
			weights[k] = float32(v)
			sum += v
		}
		for k := range weights {
			weights[k] /= float32(sum)
		}
		ts[i] = tap{low, weights}
	}
	return ts
}

// cubic is the kernel of Catmull and Rom: 1 at 0, 0 at every other whole number, 0 beyond 2.
func cubic(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return ((-0.5*x+2.5)*x-4)*x + 2
	}
	return 0
}

// sums is a row of pixels that are being added up, four numbers each.
type sums []float32

// across makes s of a row of blocks.
func (s sums) across(row sums, ts []tap) {
	for i, t := range ts {
		var r, g, b, a float32
		p := row[4*t.first:]
		for k, w := range t.weights {
			q := p[4*k : 4*k+4 : 4*k+4]
			r += w * q[0]
			g += w * q[1]
			b += w * q[2]
			a += w * q[3]
		}
		q := s[4*i : 4*i+4 : 4*i+4]
		q[0], q[1], q[2], q[3] = r, g, b, a
	}
}

func (s sums) add(row sums, weight float32) {
	for i, v := range row {
		s[i] += weight * v
	}
}

// store writes s as pixels. The kernel overshoots at edges, so what comes out is brought back into bounds: no colour above its alpha.
func (s sums) store(pix []uint8) {
	for i := 0; i < len(pix); i += 4 {
		a := bound(s[i+3], 255)
		pix[i+3] = a
		for c := range 3 {
			pix[i+c] = bound(s[i+c], float32(a))
		}
	}
}

func bound(v, most float32) uint8 {
	return uint8(min(max(v+0.5, 0), most+0.49))
}
