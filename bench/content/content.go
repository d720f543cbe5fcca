// Package content knows every byte of every object that the benchmark moves.
//
// A body follows from its key and its size alone, so whoever receives one can check it without having seen it before. Making and checking
// a byte costs a memory compare and no arithmetic: what is measured shares the machine with what checks it.
package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// MaxSlice is the longest piece, in bytes, that Slice gives at once.
const MaxSlice = 256 << 10

// period is a prime, so that no piece that belongs elsewhere (at another segment, page or block of the object) looks right.
// It is short enough for the table to stay in a core's own cache.
const period = 262147

// table is pseudo-random bytes, with their beginning once more behind them for pieces that reach over the end.
var table = func() []byte {
	t := make([]byte, period+MaxSlice)
	var word [8]byte
	for i := 0; i < period; i += 8 {
		binary.LittleEndian.PutUint64(word[:], mix(uint64(i)))
		copy(t[i:min(i+8, period)], word[:])
	}
	copy(t[period:], t)
	return t
}()

// mix is the finaliser of splitmix64: neighbouring words look unrelated.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Modified is the Last-Modified of every object.
var Modified = time.Date(2024, time.May, 6, 7, 8, 9, 0, time.UTC)

// Object is a key with its size in bytes.
type Object struct {
	Key  string
	Size int64
	seed uint64
}

// New returns the object of key with size bytes.
func New(key string, size int64) Object {
	h := fnv.New64a()
	h.Write([]byte(key))
	return Object{Key: key, Size: size, seed: mix(h.Sum64() + uint64(size))}
}

// Named returns an object whose key says its size, "16384/name", so that the origin needs no list of its objects.
func Named(name string, size int64) Object {
	return New(strconv.FormatInt(size, 10)+"/"+name, size)
}

// Parse is the object that key, made by Named, stands for.
func Parse(key string) (Object, error) {
	digits, _, ok := strings.Cut(key, "/")
	size, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || size < 0 {
		return Object{}, fmt.Errorf("key %q does not begin with a size", key)
	}
	return New(key, size), nil
}

// ETag is the strong validator with its quotes; it is no MD5.
func (o Object) ETag() string { return fmt.Sprintf(`"v-%016x"`, o.seed) }

// Slice returns up to n bytes from off on, at most MaxSlice and not beyond the end. They must not be written to.
func (o Object) Slice(off int64, n int64) []byte {
	n = max(0, min(n, MaxSlice, o.Size-off))
	at := int64((o.seed + uint64(off)) % period)
	return table[at : at+n : at+n]
}

// Bytes returns the whole body.
func (o Object) Bytes() []byte {
	p := make([]byte, 0, o.Size)
	for off := int64(0); off < o.Size; {
		s := o.Slice(off, o.Size-off)
		p = append(p, s...)
		off += int64(len(s))
	}
	return p
}

// Check says where p differs from the body at off.
func (o Object) Check(p []byte, off int64) error {
	if off+int64(len(p)) > o.Size {
		return fmt.Errorf("%s: more than %d bytes", o.Key, o.Size)
	}
	for len(p) > 0 {
		want := o.Slice(off, int64(len(p)))
		got := p[:len(want)]
		if !bytes.Equal(got, want) {
			for i := range got {
				if got[i] != want[i] {
					return fmt.Errorf("%s: byte %d is %#02x, want %#02x", o.Key, off+int64(i), got[i], want[i])
				}
			}
		}
		p = p[len(want):]
		off += int64(len(want))
	}
	return nil
}
