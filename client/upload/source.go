package upload

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/cisternhq/cistern/service"
)

// source is what an upload reads.
type source struct {
	size   int64       // bytes; -1 if it is not known
	at     io.ReaderAt // nil if the parts have to be held in memory
	from   io.Reader
	offset int64  // where the next part begins
	ahead  []byte // the first part, if it was read already
	ended  bool   // from has nothing more
}

// part is a piece of a source. memory is what holds it, nil if the source itself does.
type part struct {
	number int
	body   *io.SectionReader
	memory []byte
}

// newSource finds out what fd can do. What can seek is read from its beginning.
func newSource(fd io.Reader) (*source, error) {
	s := &source{size: -1, from: fd}
	if f, ok := fd.(interface{ Stat() (fs.FileInfo, error) }); ok {
		// Pipes and terminals call themselves files, and some let themselves be sought.
		if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
			return s, nil
		}
	}
	seeker, ok := fd.(io.Seeker)
	if !ok {
		return s, nil
	}
	size, err := seeker.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = seeker.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("measure the body: %w", err)
	}
	s.size = size
	s.at, _ = fd.(io.ReaderAt)
	return s, nil
}

// peek reads what will be the first part, of up to size bytes, and reports whether there is nothing behind it.
func (s *source) peek(size int64) (whole bool, err error) {
	s.ahead, s.ended, err = fill(s.from, nil, size)
	return s.ended, err
}

// next returns the part of that number, which has size bytes or is the last, or nil if there is none. memory may be used for it.
// Part 0 is always there: an object of no bytes has one of no bytes.
func (s *source) next(number int, size int64, memory []byte) (*part, error) {
	if s.size >= 0 {
		size = min(size, s.size-s.offset)
		if size == 0 && number > 0 {
			return nil, nil
		}
	}
	p := &part{number: number}
	switch {
	case s.at != nil:
		p.body = io.NewSectionReader(s.at, s.offset, size)
	case s.ahead != nil:
		p.memory, s.ahead = s.ahead, nil
	case s.ended && number > 0:
		return nil, nil
	default:
		var err error
		if p.memory, s.ended, err = fill(s.from, memory, size); err != nil {
			return nil, err
		}
	}
	if p.body == nil {
		n := int64(len(p.memory))
		switch {
		case s.size >= 0 && n < size:
			return nil, io.ErrUnexpectedEOF // what is read became shorter
		case n == 0 && number > 0:
			return nil, nil
		}
		p.body = io.NewSectionReader(bytes.NewReader(p.memory), 0, n)
	}
	s.offset += p.body.Size()
	return p, nil
}

// fill reads up to size bytes into memory, which grows with what comes; ended says that r has no more.
func fill(r io.Reader, memory []byte, size int64) (read []byte, ended bool, err error) {
	read = memory[:0]
	for int64(len(read)) < size {
		if len(read) == cap(read) {
			grown := make([]byte, len(read), min(size, max(2*int64(cap(read)), 1<<20)))
			copy(grown, read)
			read = grown
		}
		n, err := io.ReadFull(r, read[len(read):min(int64(cap(read)), size)])
		read = read[:len(read)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return read, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return read, false, nil
}

// same reports whether a part at the server has the bytes of this one. A tag that is no MD5 says nothing.
func (p *part) same(there *service.ObjectPartType) (bool, error) {
	sum, err := hex.DecodeString(strings.Trim(service.StringValue(there.Etag), `"`))
	if err != nil || len(sum) != md5.Size || there.Size == nil || *there.Size != p.body.Size() {
		return false, nil
	}
	h := md5.New()
	if _, err := io.Copy(h, io.NewSectionReader(p.body, 0, p.body.Size())); err != nil {
		return false, err
	}
	return bytes.Equal(h.Sum(nil), sum), nil
}
