package cisterntest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// Content is the body that a key and a size always have: pseudo-random bytes that need no memory.
type Content struct {
	seed uint64
	size int64
}

// NewContent returns the content of key with size bytes.
func NewContent(key string, size int64) Content {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\n%d", key, size)
	return Content{seed: h.Sum64(), size: size}
}

// Size is the length in bytes.
func (c Content) Size() int64 { return c.size }

// ETag is the content's strong entity tag with its quotes; it is no MD5.
func (c Content) ETag() string { return fmt.Sprintf("\"v-%016x\"", c.seed) }

// Reader returns a reader of all of it.
func (c Content) Reader() *io.SectionReader { return io.NewSectionReader(c, 0, c.size) }

// Bytes returns all of it.
func (c Content) Bytes() []byte {
	p := make([]byte, c.size)
	c.fill(p, 0)
	return p
}

// ReadAt reads from any offset; it is safe for concurrent use.
func (c Content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.size-off))
	c.fill(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Check reads r to its end and says where it differs from the content from off on, for length bytes.
func (c Content) Check(r io.Reader, off, length int64) error {
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	at := off
	for {
		n, err := r.Read(got)
		if at+int64(n) > off+length {
			return fmt.Errorf("more than %d bytes", length)
		}
		c.fill(want[:n], at)
		for i := range n {
			if got[i] != want[i] {
				return fmt.Errorf("byte %d is %#02x, want %#02x", at+int64(i), got[i], want[i])
			}
		}
		at += int64(n)
		if err == io.EOF {
			if at != off+length {
				return fmt.Errorf("%d bytes, want %d", at-off, length)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", at-off, err)
		}
	}
}

func (c Content) fill(p []byte, off int64) {
	var word [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], mix(c.seed+uint64(off/8)))
		n := copy(p, word[off%8:])
		p = p[n:]
		off += int64(n)
	}
}

// mix is the finaliser of splitmix64: neighbouring words look unrelated.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
