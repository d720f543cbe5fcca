package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/cisternhq/cistern/internal/object"
)

// Behind its body a file has
//
//	label
//	u32  length of the label, in bytes
//	u64  length of the body, in bytes
//	u32  CRC-32C of all before from the label on
//	8 bytes "cistern" and the version of the format
//
// all numbers big endian. The length of the body finds a file that was cut; with the label a lost record can be written again.
const footerLen = 4 + 8 + 4 + 8

const (
	trailerMagic   = "cistern"
	trailerVersion = 1
)

// maxLabel bounds what is read of a damaged file: a label holds a key and a record.
const maxLabel = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeTrailer(label []byte, size int64) []byte {
	b := make([]byte, 0, len(label)+footerLen)
	b = append(b, label...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(label)))
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	b = append(b, trailerMagic...)
	return append(b, trailerVersion)
}

// footer is the end of a body's file.
type footer struct {
	label int64 // length
	size  int64 // of the body
	crc   uint32
}

// readFooter reads the end of f and compares it with the file's length.
func readFooter(f *os.File) (footer, error) {
	fi, err := f.Stat()
	if err != nil {
		return footer{}, diskErr(err)
	}
	var b [footerLen]byte
	if fi.Size() < footerLen {
		return footer{}, fmt.Errorf("%w: the file of a body has %d bytes", object.ErrDamaged, fi.Size())
	}
	if _, err := f.ReadAt(b[:], fi.Size()-footerLen); err != nil {
		return footer{}, diskErr(err)
	}
	if string(b[16:23]) != trailerMagic {
		return footer{}, fmt.Errorf("%w: the file of a body has no end", object.ErrDamaged)
	}
	if b[23] != trailerVersion {
		return footer{}, fmt.Errorf("%w: the file of a body has format %d, this version reads %d", object.ErrStore, b[23], trailerVersion)
	}
	n, size := binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint64(b[4:])
	if n > maxLabel || size > uint64(fi.Size()) || int64(n)+int64(size)+footerLen != fi.Size() {
		return footer{}, fmt.Errorf("%w: the file of a body has a wrong length", object.ErrDamaged)
	}
	return footer{label: int64(n), size: int64(size), crc: binary.BigEndian.Uint32(b[12:])}, nil
}

// readLabel reads the label of a body's file and checks it.
func readLabel(f *os.File) ([]byte, error) {
	end, err := readFooter(f)
	if err != nil {
		return nil, err
	}
	b := make([]byte, end.label+12)
	if _, err := f.ReadAt(b, end.size); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the file of a body was cut", object.ErrDamaged)
	} else if err != nil {
		return nil, diskErr(err)
	}
	if crc32.Checksum(b, castagnoli) != end.crc {
		return nil, fmt.Errorf("%w: the label of a body has a wrong checksum", object.ErrDamaged)
	}
	return b[:end.label], nil
}
