package image

import (
	"context"
	"image"
	"image/draw"
)

// area is what the crop leaves of a picture. A width or height that is missing, or larger than the picture, is the picture's. For gravity
// auto it says the size only.
func (c crop) area(size image.Point) image.Rectangle {
	if c.at {
		w, h := size.X-c.left, size.Y-c.top
		if c.width > 0 {
			w = min(w, c.width)
		}
		if c.height > 0 {
			h = min(h, c.height)
		}
		return image.Rect(c.left, c.top, c.left+max(w, 0), c.top+max(h, 0))
	}
	w, h := size.X, size.Y
	if c.width > 0 {
		w = min(w, c.width)
	}
	if c.height > 0 {
		h = min(h, c.height)
	}
	left, top := (size.X-w)/2, (size.Y-h)/2
	switch c.gravity {
	case north, northWest, northEast:
		top = 0
	case south, southWest, southEast:
		top = size.Y - h
	}
	switch c.gravity {
	case west, northWest, southWest:
		left = 0
	case east, northEast, southEast:
		left = size.X - w
	}
	return image.Rect(left, top, left+w, top+h)
}

func (c crop) size(now image.Point) image.Point { return c.area(now).Size() }

func (c crop) apply(ctx context.Context, r *run) error {
	size := r.pic.size()
	area := c.area(size)
	if area.Empty() {
		return refuse("crop: the place %d,%d lies outside of the picture, which has %d x %d pixels", c.left, c.top, size.X, size.Y)
	}
	if area.Size() == size {
		return nil
	}
	img, err := r.pic.look(ctx)
	if err != nil {
		return err
	}
	if c.gravity == auto {
		if area, err = liveliest(ctx, img, area.Size()); err != nil {
			return err
		}
	}
	r.pic.change(cut(img, area))
	return nil
}

// cut returns area of img, which counts from 0,0.
func cut(img image.Image, area image.Rectangle) image.Image {
	area = area.Add(img.Bounds().Min)
	if s, ok := img.(interface {
		SubImage(r image.Rectangle) image.Image
	}); ok {
		return s.SubImage(area)
	}
	c := image.NewRGBA(image.Rect(0, 0, area.Dx(), area.Dy()))
	draw.Draw(c, c.Bounds(), img, area.Min, draw.Src)
	return c
}

// cells is how many cells the longer side of a picture is divided into to find where something is to be seen.
const cells = 256

// liveliest returns the place of the given size where most is to be seen: where neighbouring spots differ most. Among equal places it takes the one
// nearest to the middle, so that an even picture is cut like one with gravity center.
func liveliest(ctx context.Context, img image.Image, size image.Point) (image.Rectangle, error) {
	b := img.Bounds()
	scale := max(1, float64(max(b.Dx(), b.Dy()))/cells)
	small := image.Pt(max(1, int(float64(b.Dx())/scale)), max(1, int(float64(b.Dy())/scale)))
	thumb, err := scaled(ctx, img, small)
	if err != nil {
		return image.Rectangle{}, err
	}
	// sums[y][x] is how lively all cells above and left of x,y are together.
	w, h := small.X, small.Y
	sums := make([]int64, (w+1)*(h+1))
	at := func(x, y int) int64 { return sums[y*(w+1)+x] }
	for y := range h {
		for x := range w {
			here := int64(0)
			if x > 0 {
				here += difference(thumb, x, y, x-1, y)
			}
			if y > 0 {
				here += difference(thumb, x, y, x, y-1)
			}
			sums[(y+1)*(w+1)+x+1] = here + at(x, y+1) + at(x+1, y) - at(x, y)
		}
	}
	cw, ch := min(w, max(1, size.X*w/b.Dx())), min(h, max(1, size.Y*h/b.Dy()))
	best, most, nearest := image.Pt((w-cw)/2, (h-ch)/2), int64(-1), 0
	for y := 0; y+ch <= h; y++ {
		for x := 0; x+cw <= w; x++ {
			sum := at(x+cw, y+ch) - at(x, y+ch) - at(x+cw, y) + at(x, y)
			dx, dy := 2*x+cw-w, 2*y+ch-h
			if away := dx*dx + dy*dy; sum > most || sum == most && away < nearest {
				best, most, nearest = image.Pt(x, y), sum, away
			}
		}
	}
	// From cells back to pixels, with the free space divided as it is among the cells.
	place := func(cell, free, room int) int {
		if free == 0 {
			return room / 2
		}
		return cell * room / free
	}
	left := place(best.X, w-cw, b.Dx()-size.X)
	top := place(best.Y, h-ch, b.Dy()-size.Y)
	return image.Rect(left, top, left+size.X, top+size.Y), nil
}

// difference is how much two pixels differ, in all colours together.
func difference(img *image.RGBA, x1, y1, x2, y2 int) int64 {
	a, b := img.Pix[img.PixOffset(x1, y1):][:4], img.Pix[img.PixOffset(x2, y2):][:4]
	var sum int64
	for i := range a {
		sum += int64(max(a[i], b[i]) - min(a[i], b[i]))
	}
	return sum
}
