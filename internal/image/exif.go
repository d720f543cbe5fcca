package image

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxEntries is how many entries of one directory are looked at. Cameras write a few dozen.
	maxEntries = 512
	// maxExifText is how much of a text is kept, in bytes.
	maxExifText = 256
)

// exif is what of a picture's Exif data is of use here. The texts are "" where it has none.
type exif struct {
	orientation  int // 1 to 8; 0 for none
	extraSamples bool

	maker, model, datetime, version, focalLength string
	latitudeRef, latitude, longitudeRef          string
	longitude, altitudeRef, altitude             string
}

// The tags that are read (Exif 2.32, tables 3 to 15; TIFF 6.0).
const (
	tagMake          = 0x010f
	tagModel         = 0x0110
	tagOrientation   = 0x0112
	tagDateTime      = 0x0132
	tagExtraSamples  = 0x0152
	tagExifDirectory = 0x8769
	tagGPSDirectory  = 0x8825

	tagExifVersion = 0x9000
	tagFocalLength = 0x920a

	tagLatitudeRef  = 1
	tagLatitude     = 2
	tagLongitudeRef = 3
	tagLongitude    = 4
	tagAltitudeRef  = 5
	tagAltitude     = 6
)

// readExif reads Exif data, which has the form of a TIFF file. It reads three directories, never one that another one leads on to, so no data
// makes it go in circles. What it cannot make sense of it leaves out: most files are good without it.
func readExif(data []byte) (e exif) {
	t := tiffData{data: data}
	if len(data) < 8 {
		return e
	}
	switch string(data[:4]) {
	case "II*\x00":
		t.order = binary.LittleEndian
	case "MM\x00*":
		t.order = binary.BigEndian
	default:
		return e
	}
	var more, gps uint32
	t.directory(t.order.Uint32(data[4:]), func(tag uint16, v value) {
		switch tag {
		case tagMake:
			e.maker = v.text()
		case tagModel:
			e.model = v.text()
		case tagDateTime:
			e.datetime = v.text()
		case tagOrientation:
			if n := v.number(); n >= 1 && n <= 8 {
				e.orientation = int(n)
			}
		case tagExtraSamples:
			e.extraSamples = true
		case tagExifDirectory:
			more = v.number()
		case tagGPSDirectory:
			gps = v.number()
		}
	})
	t.directory(more, func(tag uint16, v value) {
		switch tag {
		case tagExifVersion:
			e.version = exifVersion(v.bytes)
		case tagFocalLength:
			e.focalLength = v.rationals(1)
		}
	})
	t.directory(gps, func(tag uint16, v value) {
		switch tag {
		case tagLatitudeRef:
			e.latitudeRef = v.text()
		case tagLatitude:
			e.latitude = v.rationals(3)
		case tagLongitudeRef:
			e.longitudeRef = v.text()
		case tagLongitude:
			e.longitude = v.rationals(3)
		case tagAltitudeRef:
			if len(v.bytes) > 0 {
				e.altitudeRef = "Sea level"
				if v.bytes[0] == 1 {
					e.altitudeRef = "Below sea level"
				}
			}
		case tagAltitude:
			e.altitude = v.rationals(1)
		}
	})
	return e
}

// exifVersion turns 0221 into "Exif Version 2.21", as the API shows it.
func exifVersion(b []byte) string {
	if len(b) != 4 {
		return ""
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return ""
		}
	}
	minor := strings.TrimSuffix(string(b[2:]), "0")
	return "Exif Version " + strings.TrimPrefix(string(b[:2]), "0") + "." + minor
}

// tiffData is data in the form of TIFF.
type tiffData struct {
	data  []byte
	order binary.ByteOrder
}

// value is the value of one entry.
type value struct {
	kind  uint16
	bytes []byte // all of it that was found
	order binary.ByteOrder
}

// sizes are the bytes that one value of each type has; 0 is for types that do not exist.
var sizes = [...]uint64{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8}

// directory calls f with each entry of the directory at an offset; 0 is none.
func (t *tiffData) directory(at uint32, f func(tag uint16, v value)) {
	if at < 8 || uint64(at)+2 > uint64(len(t.data)) {
		return
	}
	n := min(int(t.order.Uint16(t.data[at:])), maxEntries)
	entries := t.data[at+2:]
	for i := range n {
		if len(entries) < 12*(i+1) {
			return
		}
		entry := entries[12*i:][:12]
		kind := t.order.Uint16(entry[2:])
		if int(kind) >= len(sizes) || sizes[kind] == 0 {
			continue
		}
		size := sizes[kind] * uint64(t.order.Uint32(entry[4:]))
		bytes := entry[8:12]
		if size > 4 {
			offset := uint64(t.order.Uint32(bytes))
			if offset > uint64(len(t.data)) || size > uint64(len(t.data))-offset {
				continue
			}
			bytes = t.data[offset:][:size]
		} else {
			bytes = bytes[:size]
		}
		f(t.order.Uint16(entry), value{kind, bytes, t.order})
	}
}

func (v value) number() uint32 {
	switch {
	case v.kind == 3 && len(v.bytes) >= 2:
		return uint32(v.order.Uint16(v.bytes))
	case v.kind == 4 && len(v.bytes) >= 4:
		return v.order.Uint32(v.bytes)
	}
	return 0
}

// text is what stands before the first zero byte, without what must not be in a text.
func (v value) text() string {
	if v.kind != 2 {
		return ""
	}
	s := string(v.bytes[:min(len(v.bytes), maxExifText)])
	s, _, _ = strings.Cut(s, "\x00")
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "")
	}
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// rationals is n fractions as the API shows them: "40/1 0/1 5588/100".
func (v value) rationals(n int) string {
	if v.kind != 5 || len(v.bytes) < 8*n {
		return ""
	}
	var parts []string
	for i := range n {
		b := v.bytes[8*i:]
		parts = append(parts, strconv.FormatUint(uint64(v.order.Uint32(b)), 10)+"/"+strconv.FormatUint(uint64(v.order.Uint32(b[4:])), 10))
	}
	return strings.Join(parts, " ")
}
