// Package seal encrypts bodies with a key that the client keeps.
//
// What is at rest is a stream of packages in the DARE 2.0 format, each encrypted and authenticated with AES-256-GCM, so that a range needs only the packages
// it lies in, and nothing that was altered, cut, moved or taken from another body is ever given out. The key of a body is made from the
// client's key and a salt that is drawn for it, so that no two bodies have the same one. This package does no input or output of its own, keeps no key
// and knows no API.
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/minio/sio"
)

const (
	// Algorithm is the only one that there is.
	Algorithm = "AES256"

	keySize  = 32
	saltSize = 32
	// info says what a derived key is for. Another use of the same client's key and salt would need another one.
	info = "cistern object body, DARE 2.0"

	// plainPackage is the length of the plain bytes in a package, all but the last; overhead is what a package has beside them.
	plainPackage = 64 << 10
	overhead     = 32

	// maxPlain is the longest body, in bytes: packages are counted with 32 bits.
	maxPlain = plainPackage << 32
)

// Key is a client's key. Make one with ParseKey; pass it on as a pointer, which nothing prints.
type Key struct {
	raw [keySize]byte
	md5 string
}

// ParseKey reads a key as clients send it: the algorithm, the key in base64, and the MD5 of the key in base64. The error matches
// object.ErrInvalidArgument; its text names the part that is wrong, and never the key.
func ParseKey(algorithm, key, keyMD5 string) (*Key, error) {
	if algorithm != Algorithm {
		return nil, object.Explain(object.ErrInvalidArgument, "the encryption algorithm is %s and no other", Algorithm)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || len(raw) != keySize {
		return nil, object.Explain(object.ErrInvalidArgument, "the encryption key is not the base64 of %d bytes", keySize)
	}
	sum := md5.Sum(raw)
	got, err := base64.StdEncoding.Strict().DecodeString(keyMD5)
	if err != nil || !bytes.Equal(got, sum[:]) {
		return nil, object.Explain(object.ErrInvalidArgument, "the encryption key's MD5 is not the base64 of the MD5 of the key")
	}
	k := &Key{md5: keyMD5}
	copy(k.raw[:], raw)
	return k, nil
}

// MD5 is the MD5 of the key in base64.
func (k *Key) MD5() string { return k.md5 }

// String is for those who print a key by mistake.
func (k *Key) String() string { return "a client's key" }

// GoString is String.
func (k *Key) GoString() string { return k.String() }

// New returns how a new body is encrypted with k: with a salt of its own. Size is to be set when it is known.
func (k *Key) New() *object.Encryption {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return &object.Encryption{Algorithm: Algorithm, KeyMD5: k.md5, Salt: salt}
}

// Fits reports whether e was made with k; nil, of what is not encrypted, was not.
func (k *Key) Fits(e *object.Encryption) bool {
	return e != nil && e.Algorithm == Algorithm && e.KeyMD5 == k.md5
}

// AtRest returns how many bytes a body of size bytes has at rest.
func AtRest(size int64) int64 {
	packages := (size + plainPackage - 1) / plainPackage
	return size + packages*overhead
}

// config is that of the stream which e describes, from its package number first on.
func (k *Key) config(e *object.Encryption, first int64) (sio.Config, error) {
	key, err := hkdf.Key(sha256.New, k.raw[:], e.Salt, info, keySize)
	if err != nil {
		return sio.Config{}, err
	}
	return sio.Config{
		MinVersion: sio.Version20, MaxVersion: sio.Version20, CipherSuites: []byte{sio.AES_256_GCM}, Key: key, SequenceNumber: uint32(first),
	}, nil
}

// Seal returns a reader of plain as it is to be at rest. Several streams may be sealed with one e, for the parts of one object.
func (k *Key) Seal(e *object.Encryption, plain io.Reader) (io.Reader, error) {
	c, err := k.config(e, 0)
	if err != nil {
		return nil, err
	}
	return sio.EncryptReader(plain, c)
}

// Body is a body at rest.
type Body interface {
	io.ReaderAt
	io.Closer
	// Section returns a reader of the n bytes from off on. It ends the use of the section before it.
	Section(off, n int64) (io.Reader, error)
}

// Plain is a body at rest as its plain bytes. ReadAt is safe for concurrent use; Section is not.
type Plain struct {
	k    *Key
	e    *object.Encryption
	at   Body
	size int64
}

var _ Body = (*Plain)(nil)

// Open returns the plain bytes of at, which Seal made of size bytes; closing it closes at. What is not as it was sealed is an error
// that matches object.ErrDamaged when it is read, and so is the wrong key: see Fits.
func (k *Key) Open(e *object.Encryption, at Body, size int64) (*Plain, error) {
	if size < 0 || size > maxPlain {
		return nil, fmt.Errorf("%w: an encrypted body of %d bytes", object.ErrDamaged, size)
	}
	return &Plain{k: k, e: e, at: at, size: size}, nil
}

// Section returns a reader of the n plain bytes from off on.
func (p *Plain) Section(off, n int64) (io.Reader, error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("%w: section of %d bytes at %d", object.ErrStore, n, off)
	}
	return p.section(off, n, p.at.Section)
}

func (p *Plain) section(off, n int64, open func(off, n int64) (io.Reader, error)) (io.Reader, error) {
	n = min(n, p.size-off)
	if n <= 0 {
		return bytes.NewReader(nil), nil
	}
	first, skip := off/plainPackage, off%plainPackage
	c, err := p.k.config(p.e, first)
	if err != nil {
		return nil, err
	}
	// All packages up to the end of the last one that holds a byte of the section.
	from := first * (plainPackage + overhead)
	to := min(AtRest(p.size), ((off+n-1)/plainPackage+1)*(plainPackage+overhead))
	sealed, err := open(from, to-from)
	if err != nil {
		return nil, err
	}
	plain, err := sio.DecryptReader(sealed, c)
	if err != nil {
		return nil, err
	}
	return &section{from: plain, skip: skip, left: n}, nil
}

// ReadAt decrypts anew the packages that it reads of: those who read much use Section.
func (p *Plain) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: offset %d", object.ErrStore, off)
	}
	if len(b) == 0 {
		return 0, nil
	}
	s, err := p.section(off, int64(len(b)), func(off, n int64) (io.Reader, error) { return io.NewSectionReader(p.at, off, n), nil })
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Close closes the body at rest.
func (p *Plain) Close() error { return p.at.Close() }

// section reads so many plain bytes, behind some to skip.
type section struct {
	from       io.Reader
	skip, left int64
}

func (s *section) Read(b []byte) (int, error) {
	if s.skip > 0 {
		n, err := io.CopyN(io.Discard, s.from, s.skip)
		if s.skip -= n; err != nil {
			return 0, damaged(err)
		}
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.from.Read(b[:min(int64(len(b)), s.left)])
	if s.left -= int64(n); s.left == 0 {
		return n, nil // the end of the section is not that of the stream
	}
	if err != nil {
		err = damaged(err)
	}
	return n, err
}

// damaged names what it means when sealed bytes do not open, or end too early.
func damaged(err error) error {
	var wrong sio.Error
	if errors.As(err, &wrong) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: encrypted body: %w", object.ErrDamaged, noEOF(err))
	}
	return err
}

// noEOF makes sure that nobody takes an early end for a good one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
