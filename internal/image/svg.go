package image

import (
	"bytes"
	"encoding/xml"
	"image"
	"io"
	"math"
	"strconv"
	"strings"
)

// maxProlog is how much of an SVG may stand before the end of its first tag, in bytes.
const maxProlog = 64 << 10

// looksLikeXML reports whether file begins as text that could be an SVG does.
func looksLikeXML(file []byte) bool {
	head := bytes.TrimLeft(bytes.TrimPrefix(file[:min(len(file), maxProlog)], []byte("\ufeff")), " \t\r\n")
	return bytes.HasPrefix(head, []byte("<")) && bytes.Contains(head, []byte("<svg")) || bytes.HasPrefix(head, []byte("<")) && bytes.Contains(head, []byte(":svg"))
}

// svgSize reads the first tag of an SVG, and nothing behind it: width and height, or the viewBox where they are missing or relative (SVG 2,
// section 8). Nothing that the text names is looked up: no entities but XML's own, no other files.
func svgSize(file []byte) (image.Point, error) {
	d := xml.NewDecoder(bytes.NewReader(file[:min(len(file), maxProlog)]))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // names and numbers read alike in all of them
	for {
		t, err := d.RawToken()
		if err != nil {
			return image.Point{}, broken(SVG, err)
		}
		tag, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if tag.Name.Local != "svg" {
			return image.Point{}, noImage("the object is no jpeg, png, webp, tiff, gif, svg or pdf")
		}
		return svgTag(tag)
	}
}

func svgTag(tag xml.StartElement) (image.Point, error) {
	var width, height float64
	var box [4]float64
	for _, a := range tag.Attr {
		if a.Name.Space != "" {
			continue
		}
		switch a.Name.Local {
		case "width":
			width = length(a.Value)
		case "height":
			height = length(a.Value)
		case "viewBox":
			numbers := strings.FieldsFunc(a.Value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })
			for i, s := range numbers[:min(len(numbers), len(box))] {
				box[i] = finite(s)
			}
		}
	}
	if box[2] > 0 && box[3] > 0 {
		switch {
		case width == 0 && height == 0:
			width, height = box[2], box[3]
		case width == 0:
			width = height * box[2] / box[3]
		case height == 0:
			height = width * box[3] / box[2]
		}
	}
	size := image.Pt(whole(width), whole(height))
	if size.X < 1 || size.Y < 1 {
		return size, noImage("the svg does not say its size: it has neither a width and a height nor a viewBox")
	}
	return size, nil
}

// units are what lengths can be given in, in pixels (CSS Values 3, section 6.2).
var units = []struct {
	name   string
	pixels float64
}{{"px", 1}, {"pt", 96.0 / 72}, {"pc", 16}, {"mm", 96 / 25.4}, {"cm", 96 / 2.54}, {"in", 96}, {"em", 16}, {"", 1}}

// length reads a length, in pixels; 0 for one that is relative, or none.
func length(s string) float64 {
	s = strings.TrimSpace(s)
	for _, u := range units {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			return max(0, finite(strings.TrimSpace(number))*u.pixels)
		}
	}
	return 0
}

// finite reads a number; 0 for what is none.
func finite(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// whole rounds a side; one beyond all measure is none.
func whole(f float64) int {
	if f > 1<<31-1 {
		return 0
	}
	return int(math.Round(f))
}
