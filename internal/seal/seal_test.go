package seal

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
)

// theKey is that of the API's own scenarios: 32 times an x.
const (
	theKey    = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="
	theKeyMD5 = "3I/h1kl+vSP1l12NKhxegQ=="
)

func TestParseKey(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	shortSum := md5.Sum(make([]byte, 31))
	for _, tt := range []struct {
		name, algorithm, key, md5 string
		bad                       string // what the error names, "" for none
	}{
		{"the key of the scenarios", "AES256", theKey, theKeyMD5, ""},
		{"another algorithm", "AES128", theKey, theKeyMD5, "algorithm"},
		{"the algorithm in lower case", "aes256", theKey, theKeyMD5, "algorithm"},
		{"no algorithm", "", theKey, theKeyMD5, "algorithm"},
		{"a key of 31 bytes", "AES256", short, base64.StdEncoding.EncodeToString(shortSum[:]), "32 bytes"},
		{"a key that is no base64", "AES256", "x" + theKey[1:43] + "!", theKeyMD5, "32 bytes"},
		{"a key as it is", "AES256", strings.Repeat("x", 32), theKeyMD5, "32 bytes"},
		{"no key", "AES256", "", theKeyMD5, "32 bytes"},
		{"the MD5 of another key", "AES256", theKey, "4gJE4saaMU4BqNR0kLY+lw==", "MD5"},
		{"the MD5 in hex", "AES256", theKey, "dc8fe1d6497ebd23f5975d8d2a1c5e81", "MD5"},
		{"no MD5", "AES256", theKey, "", "MD5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ParseKey(tt.algorithm, tt.key, tt.md5)
			if tt.bad == "" {
				if err != nil || k.MD5() != tt.md5 {
					t.Fatalf("ParseKey = %v, %v, want the key", k, err)
				}
				return
			}
			if !errors.Is(err, object.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("error = %v, want one that names %q", err, tt.bad)
			}
			if tt.key != "" && strings.Contains(err.Error(), tt.key) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := key(t)
	type upload struct {
		Key    *Key
		secret *Key
	}
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v", k, k), fmt.Sprintf("%+v %#v", upload{k, k}, upload{k, k})} {
		if strings.Contains(text, "xxxx") || strings.Contains(text, "120 120") || strings.Contains(text, "0x78, 0x78") || strings.Contains(text, theKey) {
			t.Errorf("printed: %s", text)
		}
	}
}

func key(t testing.TB) *Key {
	t.Helper()
	k, err := ParseKey(Algorithm, theKey, theKeyMD5)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// atRest is a body in memory.
type atRest struct {
	*bytes.Reader
	closed bool
}

func (a *atRest) Close() error { a.closed = true; return nil }

func (a *atRest) Section(off, n int64) (io.Reader, error) {
	return io.NewSectionReader(a.Reader, off, n), nil
}

func sealed(t testing.TB, k *Key, e *object.Encryption, plain []byte) []byte {
	t.Helper()
	r, err := k.Seal(e, bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func opened(t testing.TB, k *Key, e *object.Encryption, b []byte, size int64) *Plain {
	t.Helper()
	p, err := k.Open(e, &atRest{Reader: bytes.NewReader(b)}, size)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// read returns the section of p.
func read(p *Plain, off, n int64) ([]byte, error) {
	s, err := p.Section(off, n)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(s)
}

var sizes = []int{0, 1, 31, 32, plainPackage - 1, plainPackage, plainPackage + 1, 2 * plainPackage, 3*plainPackage + 17}

func TestRanges(t *testing.T) {
	k := key(t)
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			plain := content(size)
			e := k.New()
			b := sealed(t, k, e, plain)
			if int64(len(b)) != AtRest(int64(size)) {
				t.Fatalf("%d bytes at rest, AtRest(%d) = %d", len(b), size, AtRest(int64(size)))
			}
			p := opened(t, k, e, b, int64(size))
			for _, off := range []int{0, 1, 63, plainPackage - 1, plainPackage, plainPackage + 1, 2 * plainPackage, size - 1, size, size + 1} {
				for _, n := range []int{0, 1, 100, plainPackage, plainPackage + 1, size, size + 10} {
					if off < 0 {
						continue
					}
					want := plain[min(off, size):min(off+n, size)]
					got, err := read(p, int64(off), int64(n))
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("Section(%d, %d) = %d bytes, %v, want the %d of the body", off, n, len(got), err, len(want))
					}
					buf := make([]byte, n)
					m, err := p.ReadAt(buf, int64(off))
					if !bytes.Equal(buf[:m], want) || m < n && err != io.EOF || m == n && err != nil {
						t.Fatalf("ReadAt(%d bytes, %d) = %d, %v, want %d", n, off, m, err, len(want))
					}
				}
			}
		})
	}
}

func TestWhatIsAtRestSaysNothing(t *testing.T) {
	k := key(t)
	plain := bytes.Repeat([]byte("plain text, plain text; "), 10_000)
	e, f := k.New(), k.New()
	b, c := sealed(t, k, e, plain), sealed(t, k, f, plain)
	if bytes.Contains(b, []byte("plain")) || bytes.Contains(b, k.raw[:]) {
		t.Error("the text or the key can be read at rest")
	}
	if bytes.Equal(e.Salt, f.Salt) || bytes.Equal(b[16:], c[16:]) {
		t.Error("two bodies of the same bytes look the same at rest")
	}
}

// TestAlteredBody alters a body at rest in every way that comes to mind. Each byte that is read is right, or is not given out.
func TestAlteredBody(t *testing.T) {
	k := key(t)
	plain := content(3*plainPackage + 1000)
	e := k.New()
	b := sealed(t, k, e, plain)
	const pack = plainPackage + overhead
	other := sealed(t, k, k.New(), plain)
	same := sealed(t, k, e, content(4 * plainPackage)[1000:])
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	flip := func(at int) []byte {
		c := bytes.Clone(b)
		c[at] ^= 1
		return c
	}
	for _, tt := range []struct {
		name string
		at   []byte
	}{
		{"a bit of the first header", flip(0)},
		{"the cipher", flip(1)},
		{"the length", flip(2)},
		{"the nonce", flip(8)},
		{"the mark of the last package", func() []byte { c := flip(5); c[pack+4] ^= 0x80; return c }()},
		{"a bit of the text", flip(20)},
		{"a bit of a later package", flip(2*pack + 500)},
		{"the last byte", flip(len(b) - 1)},
		{"cut in a package", b[:len(b)-10]},
		{"cut between packages", b[:3*pack]},
		{"cut to nothing", nil},
		{"packages exchanged", join(b[:pack], b[2*pack:3*pack], b[pack:2*pack], b[3*pack:])},
		{"a package left out", join(b[:pack], b[2*pack:])},
		{"a package twice", join(b[:2*pack], b[pack:])},
		{"a package of another object", join(b[:pack], other[pack:2*pack], b[2*pack:])},
		{"all of another object", other},
		{"a package of another stream of the object", join(b[:pack], same[pack:2*pack], b[2*pack:])},
		{"zeros", make([]byte, len(b))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := opened(t, k, e, tt.at, int64(len(plain)))
			got, err := read(p, 0, int64(len(plain)))
			if !errors.Is(err, object.ErrDamaged) {
				t.Errorf("error = %v after %d bytes, want ErrDamaged", err, len(got))
			}
			if !bytes.HasPrefix(plain, got) {
				t.Errorf("%d bytes were given out that are not the body's", len(got))
			}
			buf := make([]byte, len(plain))
			if n, err := p.ReadAt(buf, 0); !errors.Is(err, object.ErrDamaged) || !bytes.HasPrefix(plain, buf[:n]) {
				t.Errorf("ReadAt = %d, %v, want ErrDamaged", n, err)
			}
		})
	}
}

func TestWrongKey(t *testing.T) {
	k := key(t)
	raw := bytes.Repeat([]byte("y"), keySize)
	sum := md5.Sum(raw)
	wrong, err := ParseKey(Algorithm, base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	e := k.New()
	if !k.Fits(e) || wrong.Fits(e) || k.Fits(nil) {
		t.Errorf("Fits = %v, %v and for nothing %v, want that of the right key only", k.Fits(e), wrong.Fits(e), k.Fits(nil))
	}
	got, err := read(opened(t, wrong, e, sealed(t, k, e, content(10)), 10), 0, 10)
	if !errors.Is(err, object.ErrDamaged) || len(got) > 0 {
		t.Errorf("read %q, %v with the wrong key, want ErrDamaged", got, err)
	}
}

func TestReadErrorIsNoDamage(t *testing.T) {
	k := key(t)
	e := k.New()
	gone := fmt.Errorf("%w: the disk is gone", object.ErrStore)
	p, err := k.Open(e, &failing{err: gone}, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(p, 0, 100); !errors.Is(err, object.ErrStore) || errors.Is(err, object.ErrDamaged) {
		t.Errorf("error = %v, want that of the disk", err)
	}
}

type failing struct {
	atRest
	err error
}

func (f *failing) Section(off, n int64) (io.Reader, error) { return f, nil }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzOpen reads whatever may lie on a disk.
func FuzzOpen(f *testing.F) {
	k := key(f)
	e := &object.Encryption{Algorithm: Algorithm, KeyMD5: theKeyMD5, Salt: bytes.Repeat([]byte{1}, saltSize)}
	for _, size := range []int{0, 1, 100} {
		f.Add(sealed(f, k, e, content(size)), int64(size), int64(0), int64(size))
	}
	f.Add(bytes.Repeat([]byte{0x20}, 100), int64(60), int64(5), int64(10))
	f.Add([]byte{}, int64(-1), int64(-1), int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, size, off, n int64) {
		p, err := k.Open(e, &atRest{Reader: bytes.NewReader(b)}, size)
		if err != nil {
			return
		}
		s, err := p.Section(off, n)
		if err != nil {
			return
		}
		got, err := io.ReadAll(s)
		if err != nil && !errors.Is(err, object.ErrDamaged) {
			t.Errorf("error = %v, want ErrDamaged", err)
		}
		if want := min(max(size-off, 0), n); err == nil && int64(len(got)) != want {
			t.Errorf("%d bytes without an error, want %d", len(got), want)
		}
	})
}
