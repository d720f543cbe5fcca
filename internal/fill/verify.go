package fill

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"strings"
	"sync"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/minio/crc64nvme"
)

// hasher computes the digests of a body whose bytes may arrive out of order: what arrives at its front is hashed at once, while it is
// still in the processor's cache; what lies ahead is read back when the front gets there.
type hasher struct {
	claims []origin.Claim

	mu    sync.Mutex // guards all below
	front int64
	crc   hash.Hash64
	sums  map[string]hash.Hash // by algorithm; those that somebody needs
}

// newHasher computes the store's own checksum, what claims need, and the MD5 if needMD5. The MD5 costs more than all the
// rest of a fill together.
func newHasher(claims []origin.Claim, needMD5 bool) *hasher {
	h := &hasher{claims: claims, crc: crc64nvme.New(), sums: make(map[string]hash.Hash)}
	if needMD5 {
		h.sums["md5"] = md5.New()
	}
	for _, c := range claims {
		if h.sums[c.Algorithm] != nil {
			continue
		}
		switch c.Algorithm {
		case "md5":
			h.sums["md5"] = md5.New()
		case "sha-1":
			h.sums["sha-1"] = sha1.New()
		case "sha-256":
			h.sums["sha-256"] = sha256.New()
		case "sha-512":
			h.sums["sha-512"] = sha512.New()
		case "crc32":
			h.sums["crc32"] = crc32.NewIEEE()
		case "crc32c":
			h.sums["crc32c"] = crc32.New(crc32.MakeTable(crc32.Castagnoli))
		case "crc64ecma":
			h.sums["crc64ecma"] = crc64.New(crc64.MakeTable(crc64.ECMA))
		}
	}
	return h
}

// write hashes p if it begins at the front; mu is held.
func (h *hasher) write(p []byte) {
	h.crc.Write(p)
	for _, s := range h.sums {
		s.Write(p)
	}
	h.front += int64(len(p))
}

// arrived is told that p was written at off, and hashes it if it lies at the front, with all that has arrived behind it.
// arrivedTo says up to where the bytes from an offset on are in body. While another connection is hashing, there is nothing to do:
// it, or the end of the flight, will come to p.
func (h *hasher) arrived(off int64, p []byte, body io.ReaderAt, arrivedTo func(int64) int64, buf []byte) error {
	if !h.mu.TryLock() {
		return nil
	}
	defer h.mu.Unlock()
	if off == h.front {
		h.write(p)
	}
	return h.readBack(body, min(arrivedTo(h.front), h.front+readBackMax), buf)
}

// readBackMax is how much is hashed at once beside a connection, in bytes: after a resume the front may be far behind.
const readBackMax = 4 << 20

// follow hashes what p, the bytes from off on, has of the front: of a stream that comes in order and is not kept.
func (h *hasher) follow(off int64, p []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if off <= h.front && h.front < off+int64(len(p)) {
		h.write(p[h.front-off:])
	}
}

// catchUp hashes what body holds from the front up to to.
func (h *hasher) catchUp(body io.ReaderAt, to int64, buf []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readBack(body, to, buf)
}

// readBack is catchUp with mu held.
func (h *hasher) readBack(body io.ReaderAt, to int64, buf []byte) error {
	for h.front < to {
		n := min(int64(len(buf)), to-h.front)
		if _, err := body.ReadAt(buf[:n], h.front); err != nil && err != io.EOF {
			return fmt.Errorf("read back at %d: %w", h.front, err)
		}
		h.write(buf[:n])
	}
	return nil
}

// hashed returns how much has been hashed, from the beginning on.
func (h *hasher) hashed() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.front
}

// check compares the digests with what the source claimed. The names of the claims that held are returned; a claim that does not
// hold is [object.ErrSourceBad] with [object.ErrBadDigest] as its cause.
func (h *hasher) check() (verified []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.claims {
		var sum []byte
		if c.Algorithm == "crc64nvme" {
			sum = h.crc.Sum(nil)
		} else if s := h.sums[c.Algorithm]; s != nil {
			sum = s.Sum(nil)
		} else {
			continue
		}
		if !bytes.Equal(sum, c.Sum) {
			return nil, &object.Explained{
				Kind:  object.ErrSourceBad,
				Text:  "the source's body is not what its " + c.Header + " says",
				Cause: fmt.Errorf("%w: %s is %x, the source claims %x", object.ErrBadDigest, c.Algorithm, sum, c.Sum),
			}
		}
		verified = append(verified, c.Header)
	}
	return verified, nil
}

// digest is what the store keeps.
func (h *hasher) digest() object.Digest {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := object.Digest{CRC64NVME: h.crc.Sum64()}
	if s := h.sums["md5"]; s != nil {
		d.MD5 = hex.EncodeToString(s.Sum(nil))
	}
	return d
}

// looksLikeMD5 reports whether etag is 32 hex digits: clients take such a tag for the MD5 of the body.
func looksLikeMD5(etag string) bool {
	tag := strings.Trim(etag, `"`)
	if len(tag) != 32 {
		return false
	}
	_, err := hex.DecodeString(tag)
	return err == nil
}

// finalETag is the entity tag of a whole object whose source sent etag ("" if it sent none). A tag that looks like an MD5
// and is not gets a suffix, so that no client compares the body with it.
func finalETag(etag string, d object.Digest) string {
	switch {
	case etag == "":
		return `"` + d.MD5 + `"`
	case looksLikeMD5(etag) && !strings.EqualFold(strings.Trim(etag, `"`), d.MD5):
		return strings.TrimSuffix(etag, `"`) + `-m"`
	}
	return etag
}
