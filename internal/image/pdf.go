package image

import (
	"bytes"
	"compress/zlib"
	"errors"
	"image"
	"io"
	"math"
	"strconv"
)

const (
	// maxObjects is how many objects of a PDF are looked at, and maxInflated how much is decompressed to find them, in bytes.
	maxObjects  = 200_000
	maxInflated = 16 << 20
	// perStream is what a stream of objects counts for in maxInflated beside its own bytes: to begin with one costs something, too.
	perStream = 4 << 10
	// maxIndex is how long the index of a stream of objects may be, in bytes.
	maxIndex = 1 << 20
	// maxPageTree is how deep the first page may lie in the tree of pages.
	maxPageTree = 32
)

// pdfSize returns the size of the first page of a PDF, in points, which are its pixels (ISO 32000-1, sections 7.5 and 7.7). It does not go by
// the table of objects, which is wrong in many files, but finds the objects themselves; where one is there twice the later counts.
func pdfSize(file []byte) (image.Point, error) {
	doc := pdfObjects(file)
	page, ok := doc.root(file)
	if !ok {
		return image.Point{}, broken(PDF, errors.New("no catalogue"))
	}
	page, ok = doc.follow(page, "Pages")
	var box []float64
	turned := false
	for depth := 0; ok && depth < maxPageTree; depth++ {
		if b := doc.numbers(page, "MediaBox"); len(b) == 4 {
			box = b // the nearest to the page counts
		}
		if r := entry(page, "Rotate"); r != nil {
			n, _ := strconv.Atoi(string(word(r)))
			turned = n%180 != 0
		}
		next, more := doc.follow(page, "Kids")
		if !more {
			break
		}
		page = next
	}
	if box == nil {
		return image.Point{}, broken(PDF, errors.New("no page with a size"))
	}
	w, h := whole(math.Abs(box[2]-box[0])), whole(math.Abs(box[3]-box[1]))
	if turned {
		w, h = h, w
	}
	return image.Pt(w, h), nil
}

// pdfDoc is the objects of a PDF by their numbers: the text that begins with each.
type pdfDoc map[int][]byte

// pdfObjects finds the objects of a file, those in compressed streams too.
func pdfObjects(file []byte) pdfDoc {
	doc := pdfDoc{}
	left := int64(maxInflated)
	for at := 0; len(doc) < maxObjects; {
		i := bytes.Index(file[at:], []byte(" obj"))
		if i < 0 {
			break
		}
		end := at + i
		at = end + len(" obj")
		number, ok := objectNumber(file[max(0, end-24):end])
		if !ok {
			continue
		}
		body := file[at:]
		if next := bytes.Index(body, []byte(" obj")); next >= 0 {
			body = body[:next] // so that no byte is looked at for several objects
		}
		doc[number] = body
		if left > 0 && bytes.Equal(word(entry(body, "Type")), []byte("/ObjStm")) {
			left -= doc.unpack(file[at:], left)
		}
	}
	return doc
}

// objectNumber reads the number before "G obj".
func objectNumber(before []byte) (int, bool) {
	fields := bytes.Fields(before)
	if len(fields) < 2 {
		return 0, false
	}
	n, err := strconv.Atoi(string(fields[len(fields)-2]))
	_, err2 := strconv.Atoi(string(fields[len(fields)-1]))
	return n, err == nil && err2 == nil && n > 0
}

// unpack adds the objects of a stream of objects. It decompresses at most limit bytes, and returns how many it looked at: what is in front of the
// stream counts as well, or else a file of nothing but beginnings would be looked at again from each of them.
func (doc pdfDoc) unpack(body []byte, limit int64) int64 {
	dict := dictionary(body)
	at := len(dict)
	cost := int64(perStream + at)
	// At once, as a search of all that follows would be one of the whole file for each stream.
	i := bytes.Index(body[at:min(len(body), at+16+len("stream"))], []byte("stream"))
	if i < 0 {
		return cost
	}
	data := bytes.TrimLeft(body[at+i+len("stream"):], "\r\n")
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return cost
	}
	text, _ := io.ReadAll(io.LimitReader(z, limit)) // what comes before an error may be all that is needed
	cost += int64(len(text))
	first, _ := strconv.Atoi(string(word(entry(dict, "First"))))
	if first <= 0 || first > min(len(text), maxIndex) {
		return cost
	}
	index := bytes.Fields(text[:first])
	for i := 0; i+1 < len(index) && len(doc) < maxObjects; i += 2 {
		number, err1 := strconv.Atoi(string(index[i]))
		offset, err2 := strconv.Atoi(string(index[i+1]))
		if err1 != nil || err2 != nil || offset < 0 || offset > len(text)-first {
			break
		}
		object := text[first+offset:]
		if i+3 < len(index) {
			if next, err := strconv.Atoi(string(index[i+3])); err == nil && next > offset {
				object = object[:min(len(object), next-offset)]
			} else {
				object = object[:min(len(object), 4096)]
			}
		}
		doc[number] = object
	}
	return cost
}

// root returns the catalogue: what the last trailer names, or the object that says that it is one.
func (doc pdfDoc) root(file []byte) ([]byte, bool) {
	if i := bytes.LastIndex(file, []byte("/Root")); i >= 0 {
		if o, ok := doc.reference(file[i+len("/Root"):]); ok {
			return o, true
		}
	}
	left := len(file) + maxInflated // objects of a stream may lie one in the other
	for _, o := range doc {
		if left -= len(dictionary(o)); left < 0 {
			break
		}
		if bytes.Equal(word(entry(o, "Type")), []byte("/Catalog")) {
			return o, true
		}
	}
	return nil, false
}

// follow returns the object that an entry refers to, or the first of its list.
func (doc pdfDoc) follow(object []byte, name string) ([]byte, bool) {
	v := entry(object, name)
	if v == nil {
		return nil, false
	}
	if o, ok := doc.reference(v); ok {
		if len(o) > 0 && bytes.HasPrefix(bytes.TrimLeft(o, space), []byte("[")) { // a list that is an object of its own
			return doc.reference(bytes.TrimLeft(o, space+"["))
		}
		return o, true
	}
	return doc.reference(bytes.TrimLeft(v, space+"["))
}

// reference reads "N G R" and returns object N.
func (doc pdfDoc) reference(v []byte) ([]byte, bool) {
	var words [3][]byte
	for i := range words {
		v = bytes.TrimLeft(v, space)
		words[i] = word(v)
		v = v[len(words[i]):]
	}
	n, err := strconv.Atoi(string(words[0]))
	if err != nil || string(words[2]) != "R" {
		return nil, false
	}
	o, ok := doc[n]
	return o, ok
}

// numbers reads an entry that is a list of four numbers.
func (doc pdfDoc) numbers(object []byte, name string) []float64 {
	v := entry(object, name)
	if o, ok := doc.reference(v); ok {
		v = o
	}
	v = bytes.TrimLeft(v, space)
	if !bytes.HasPrefix(v, []byte("[")) {
		return nil
	}
	v, _, ok := bytes.Cut(v[1:min(len(v), 200)], []byte("]"))
	if !ok {
		return nil
	}
	var ns []float64
	for _, f := range bytes.Fields(v) {
		n, err := strconv.ParseFloat(string(f), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil
		}
		ns = append(ns, n)
	}
	return ns
}

const space = " \t\r\n\f\x00"

// word returns the first word of v: up to a blank or a delimiter, which a slash in front is not.
func word(v []byte) []byte {
	v = bytes.TrimLeft(v, space)
	for i, c := range v {
		if bytes.IndexByte([]byte(space+"[]<>(){}%"), c) >= 0 || c == '/' && i > 0 {
			return v[:i]
		}
	}
	return v
}

// maxDictionary is how long the part of an object may be that is looked at, in bytes.
const maxDictionary = 64 << 10

// dictionary returns the dictionary at the beginning of an object.
func dictionary(object []byte) []byte {
	object = object[:min(len(object), maxDictionary)]
	depth := 0
	for i := 0; i+1 < len(object); i++ {
		switch string(object[i : i+2]) {
		case "<<":
			depth++
			i++
		case ">>":
			depth--
			i++
			if depth <= 0 {
				return object[:i+1]
			}
		default:
			if depth == 0 && bytes.IndexByte([]byte(space), object[i]) < 0 {
				return nil // it is something else
			}
		}
	}
	return object
}

// entry returns what follows a name of the outermost level of an object's dictionary; nil if it is not there.
func entry(object []byte, name string) []byte {
	dict := dictionary(object)
	depth := 0
	for i := 0; i+1 < len(dict); i++ {
		switch {
		case dict[i] == '<' && dict[i+1] == '<':
			depth++
			i++
		case dict[i] == '>' && dict[i+1] == '>':
			depth--
			i++
		case dict[i] == '/' && depth == 1:
			w := word(dict[i:])
			if string(w[1:]) == name {
				return dict[i+len(w):]
			}
			i += len(w) - 1
		}
	}
	return nil
}
