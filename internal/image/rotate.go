package image

import (
	"context"
	"image"
	"image/draw"
)

func (t rotate) size(now image.Point) image.Point {
	if t.quarters%2 == 1 {
		return image.Pt(now.Y, now.X)
	}
	return now
}

// apply turns the picture clockwise.
func (t rotate) apply(ctx context.Context, r *run) error {
	orientation := [...]int{1, 6, 3, 8}[t.quarters]
	if orientation == 1 {
		return nil
	}
	img, err := r.pic.look(ctx)
	if err != nil {
		return err
	}
	if img, err = orient(ctx, img, orientation); err != nil {
		return err
	}
	r.pic.change(img)
	return nil
}

// orient returns img as one with the given Exif orientation is meant to be seen: 1 to 8, as Exif 2.32 numbers them.
func orient(ctx context.Context, img image.Image, orientation int) (*image.RGBA, error) {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	out := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		out = image.Rect(0, 0, h, w)
	}
	dst := image.NewRGBA(out)
	row := image.NewRGBA(image.Rect(0, 0, w, 1))
	for y := range h {
		if y%rowsBetween == 0 {
			if err := stopped(ctx); err != nil {
				return nil, err
			}
		}
		draw.Draw(row, row.Bounds(), img, image.Pt(b.Min.X, b.Min.Y+y), draw.Src)
		// Where the first pixel of the row goes, and how far it is from each to the next.
		var at, step int
		switch orientation {
		case 2: // mirrored
			at, step = dst.PixOffset(w-1, y), -4
		case 3: // upside down
			at, step = dst.PixOffset(w-1, h-1-y), -4
		case 4: // upside down, mirrored
			at, step = dst.PixOffset(0, h-1-y), 4
		case 5: // rows are columns
			at, step = dst.PixOffset(y, 0), dst.Stride
		case 6: // to be turned clockwise
			at, step = dst.PixOffset(h-1-y, 0), dst.Stride
		case 7: // rows are columns, from the far corner
			at, step = dst.PixOffset(h-1-y, w-1), -dst.Stride
		case 8: // to be turned counterclockwise
			at, step = dst.PixOffset(y, w-1), -dst.Stride
		default:
			at, step = dst.PixOffset(0, y), 4
		}
		for x := range w {
			copy(dst.Pix[at:at+4], row.Pix[4*x:4*x+4])
			at += step
		}
	}
	return dst, nil
}
