package image

import (
	"encoding/binary"
	"image"
	"image/draw"
	"io"
	"math/bits"
	"slices"

	"github.com/cisternhq/cistern/internal/object"
)

// maxWebP is the longest side of a WebP, in pixels.
const maxWebP = 1 << 14

// encodeWebP writes img as a lossless WebP (RFC 9649, section 3): each pixel less the one before it and less its own green, repeated runs as
// references, all of it in one set of prefix codes. The tokens are made twice, once to count and once to write, so that beside the pixels
// nothing grows with the picture.
func encodeWebP(w io.Writer, img image.Image) error {
	b := img.Bounds()
	if b.Dx() > maxWebP || b.Dy() > maxWebP {
		return object.Explain(object.ErrTooLarge, "format: a webp has at most %d pixels on a side, the picture has %d x %d", maxWebP, b.Dx(), b.Dy())
	}
	pixels, alpha := webpPixels(img)
	var out bitWriter
	out.write(0x2f, 8)
	out.write(uint32(b.Dx()-1), 14)
	out.write(uint32(b.Dy()-1), 14)
	out.write(alpha, 1)
	out.write(0, 3) // version

	// The transforms, in the order in which a reader has to undo them last to first.
	predict(pixels, b.Dx())
	out.write(1, 1)
	out.write(0, 2) // prediction, the same for all: blocks of 512 pixels, each by the pixel to the left
	out.write(7, 3)
	out.write(0, 1) // no colour cache
	uniform(&out, 1<<8|0xff<<24)
	subtractGreen(pixels)
	out.write(1, 1)
	out.write(2, 2)
	out.write(0, 1) // no more of them

	out.write(0, 1) // no colour cache
	out.write(0, 1) // one set of codes for the whole picture
	var counts [5][]uint32
	for i, n := range alphabets {
		counts[i] = make([]uint32, n)
	}
	tokens(pixels, b.Dx(), func(t token) {
		if t.length == 0 {
			counts[0][t.pixel>>8&0xff]++
			counts[1][t.pixel>>16&0xff]++
			counts[2][t.pixel&0xff]++
			counts[3][t.pixel>>24]++
			return
		}
		code, _, _ := prefix(t.length)
		counts[0][256+code]++
		code, _, _ = prefix(t.distance)
		counts[4][code]++
	})
	var codes [5]code
	for i := range codes {
		codes[i] = newCode(counts[i], 15)
		codes[i].writeTo(&out)
	}
	tokens(pixels, b.Dx(), func(t token) {
		if t.length == 0 {
			codes[0].put(&out, t.pixel>>8&0xff)
			codes[1].put(&out, t.pixel>>16&0xff)
			codes[2].put(&out, t.pixel&0xff)
			codes[3].put(&out, t.pixel>>24)
			return
		}
		symbol, extra, n := prefix(t.length)
		codes[0].put(&out, 256+symbol)
		out.write(extra, n)
		symbol, extra, n = prefix(t.distance)
		codes[4].put(&out, symbol)
		out.write(extra, n)
	})
	data := out.bytes()
	padding := len(data) & 1
	head := make([]byte, 0, 20)
	head = append(head, "RIFF"...)
	head = binary.LittleEndian.AppendUint32(head, uint32(12+len(data)+padding))
	head = append(head, "WEBPVP8L"...)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(data)))
	for _, part := range [][]byte{head, data, make([]byte, padding)} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// webpPixels returns the pixels as alpha, red, green and blue from the highest byte down, and 1 if one of them is not opaque.
func webpPixels(img image.Image) (pixels []uint32, alpha uint32) {
	b := img.Bounds()
	pixels = make([]uint32, 0, b.Dx()*b.Dy())
	row := image.NewNRGBA(image.Rect(0, 0, b.Dx(), 1))
	for y := range b.Dy() {
		draw.Draw(row, row.Rect, img, image.Pt(b.Min.X, b.Min.Y+y), draw.Src)
		for x := 0; x < len(row.Pix); x += 4 {
			p := row.Pix[x : x+4 : x+4]
			if p[3] != 0xff {
				alpha = 1
			}
			pixels = append(pixels, uint32(p[3])<<24|uint32(p[0])<<16|uint32(p[1])<<8|uint32(p[2]))
		}
	}
	return pixels, alpha
}

// minus is a - b in each byte by itself.
func minus(a, b uint32) uint32 {
	even := (a&0x00ff00ff | 0x01000100) - b&0x00ff00ff
	odd := (a>>8&0x00ff00ff | 0x01000100) - b>>8&0x00ff00ff
	return even&0x00ff00ff | odd&0x00ff00ff<<8
}

// predict takes from each pixel the one to its left; at the left edge the one above; and black from the first one (RFC 9649, section 4.1).
func predict(pixels []uint32, width int) {
	for i := len(pixels) - 1; i > 0; i-- {
		before := i - 1
		if i%width == 0 {
			before = i - width
		}
		pixels[i] = minus(pixels[i], pixels[before])
	}
	pixels[0] = minus(pixels[0], 0xff000000)
}

// subtractGreen takes green from red and blue (RFC 9649, section 4.3).
func subtractGreen(pixels []uint32) {
	for i, p := range pixels {
		green := p >> 8 & 0xff
		pixels[i] = minus(p, green<<16|green)
	}
}

// alphabets are the sizes of the five alphabets: green with lengths, red, blue, alpha, distances (RFC 9649, section 5.2).
var alphabets = [5]int{256 + 24, 256, 256, 256, 40}

// token is one pixel, or a run of pixels that repeats an earlier one.
type token struct {
	pixel    uint32
	length   uint32 // 0: a pixel
	distance uint32 // the code for how far back it is
}

const (
	hashBits  = 15
	maxLength = 4096
	maxBack   = 1<<20 - 120
)

// tokens divides the pixels up. A run is looked for where the same two pixels stood last, and directly before.
func tokens(pixels []uint32, width int, f func(token)) {
	var last [1 << hashBits]int32 // where a pair of pixels stood last, plus one
	slot := func(i int) *int32 {
		return &last[(pixels[i]*0x9e3779b1^pixels[i+1]*0x85ebca6b)>>(32-hashBits)]
	}
	run := func(i, from int) (n int) {
		most := min(maxLength, len(pixels)-i)
		for n < most && pixels[from+n] == pixels[i+n] {
			n++
		}
		return n
	}
	for i := 0; i < len(pixels); {
		best, from := 0, 0
		if i+1 < len(pixels) {
			s := slot(i)
			if at := int(*s) - 1; at >= 0 && i-at <= maxBack {
				best, from = run(i, at), at
			}
			*s = int32(i + 1)
		}
		if i > 0 {
			if n := run(i, i-1); n > best {
				best, from = n, i-1
			}
		}
		if best < 3 {
			f(token{pixel: pixels[i]})
			i++
			continue
		}
		distance := uint32(i-from) + 120
		switch i - from { // the nearest places have codes of their own (RFC 9649, section 5.2.2)
		case 1:
			distance = 2
		case width:
			distance = 1
		}
		f(token{length: uint32(best), distance: distance})
		for k := i + 1; k < i+best && k+1 < len(pixels); k += 1 + (k-i)/64 {
			*slot(k) = int32(k + 1)
		}
		i += best
	}
}

// prefix returns the code of a length or a distance, and the bits that follow it (RFC 9649, section 5.2.2).
func prefix(n uint32) (code, extra uint32, count int) {
	n--
	if n < 4 {
		return n, 0, 0
	}
	high := bits.Len32(n) - 1
	second := n >> (high - 1) & 1
	count = high - 1
	return uint32(2*high) + second, n & (1<<count - 1), count
}

// code is a canonical prefix code.
type code struct {
	lengths []uint8
	values  []uint16 // reversed, as they are written
	only    int      // the symbol of a code that has one or none; -1 for others
}

func (c *code) put(w *bitWriter, symbol uint32) {
	if c.only < 0 {
		w.write(uint32(c.values[symbol]), int(c.lengths[symbol]))
	}
}

// newCode makes a code of at most limit bits a symbol. Where the best code has longer ones, the counts are made more even until it has not:
// a little is lost, on pictures that nobody takes.
func newCode(counts []uint32, limit int) code {
	c := code{lengths: make([]uint8, len(counts)), values: make([]uint16, len(counts)), only: -1}
	var used []int
	for s, n := range counts {
		if n > 0 {
			used = append(used, s)
		}
	}
	if len(used) < 2 {
		c.only = 0
		if len(used) == 1 {
			c.only = used[0]
		}
		return c
	}
	for least := uint32(1); ; least *= 2 {
		if deepest := c.measure(counts, used, least); deepest <= limit {
			break
		}
	}
	c.assign(limit)
	return c
}

// measure gives each symbol in used the length that it has in a Huffman tree in which none counts less than least, and returns the longest.
func (c *code) measure(counts []uint32, used []int, least uint32) (deepest int) {
	type node struct {
		weight uint64
		parent int
	}
	leaves := slices.Clone(used)
	weight := func(s int) uint64 { return uint64(max(counts[s], least)) }
	slices.SortStableFunc(leaves, func(a, b int) int {
		switch wa, wb := weight(a), weight(b); {
		case wa < wb:
			return -1
		case wa > wb:
			return 1
		}
		return 0
	})
	nodes := make([]node, 0, 2*len(leaves))
	for _, s := range leaves {
		nodes = append(nodes, node{weight: weight(s)})
	}
	// The leaves are in order, and so are the nodes above them as they are made: the two lightest are always at the front of one of them.
	leaf, inner := 0, len(leaves)
	lightest := func() int {
		if leaf < len(leaves) && (inner >= len(nodes) || nodes[leaf].weight <= nodes[inner].weight) {
			leaf++
			return leaf - 1
		}
		inner++
		return inner - 1
	}
	for range len(leaves) - 1 {
		a := lightest()
		b := lightest()
		nodes = append(nodes, node{weight: nodes[a].weight + nodes[b].weight})
		nodes[a].parent, nodes[b].parent = len(nodes)-1, len(nodes)-1
	}
	depth := make([]int, len(nodes))
	for i := len(nodes) - 2; i >= 0; i-- {
		depth[i] = depth[nodes[i].parent] + 1
		if i < len(leaves) {
			c.lengths[leaves[i]] = uint8(min(depth[i], 255))
			deepest = max(deepest, depth[i])
		}
	}
	return deepest
}

// assign gives the symbols their values: in order of length, then of the alphabet.
func (c *code) assign(limit int) {
	next := 0
	for length := 1; length <= limit; length++ {
		next <<= 1
		for s, n := range c.lengths {
			if int(n) == length {
				c.values[s] = bits.Reverse16(uint16(next)) >> (16 - length)
				next++
			}
		}
	}
}

// lengthOrder is the order in which the lengths of the code of lengths are written (RFC 9649, section 6.2.1).
var lengthOrder = [19]int{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// writeTo writes the code itself. A code of one symbol never has one above 255: the first pixel is no run.
func (c *code) writeTo(w *bitWriter) {
	if c.only >= 0 {
		w.write(1, 1) // simple
		w.write(0, 1) // of one symbol
		w.write(1, 1) // of 8 bits
		w.write(uint32(c.only), 8)
		return
	}
	w.write(0, 1)
	var counts [19]uint32
	for _, n := range c.lengths {
		counts[n]++
	}
	inner := newCode(counts[:], 7)
	if inner.only >= 0 {
		inner.lengths[inner.only] = 1
	}
	w.write(19-4, 4)
	for _, n := range lengthOrder {
		w.write(uint32(inner.lengths[n]), 3)
	}
	w.write(0, 1) // a length for every symbol
	for _, n := range c.lengths {
		inner.put(w, uint32(n))
	}
}

// uniform writes a picture whose pixels are all the same: codes of one symbol take no bits, so there is nothing behind them.
func uniform(w *bitWriter, pixel uint32) {
	for _, symbol := range []uint32{pixel >> 8 & 0xff, pixel >> 16 & 0xff, pixel & 0xff, pixel >> 24, 0} {
		c := code{only: int(symbol)}
		c.writeTo(w)
	}
}

// bitWriter collects bits, the lowest first.
type bitWriter struct {
	buf  []byte
	hold uint64
	n    int
}

func (w *bitWriter) write(v uint32, n int) {
	w.hold |= uint64(v) << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.buf = append(w.buf, byte(w.hold))
		w.hold >>= 8
	}
}

func (w *bitWriter) bytes() []byte {
	if w.n > 0 {
		w.buf = append(w.buf, byte(w.hold))
		w.hold, w.n = 0, 0
	}
	return w.buf
}
