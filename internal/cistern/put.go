package cistern

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/minio/crc64nvme"
)

// Upload is an object that a client puts.
type Upload struct {
	// Meta holds the fields that the client chose: the types, the caching fields, storage class and user metadata. The rest is ours.
	Meta object.Meta
	// Size is the length that the client announced, in bytes; -1 if it did not.
	Size int64
	// MD5 is the digest that the client announced, 16 bytes; nil for none.
	MD5 []byte
	// Body is read to its end, and no further than one byte more than may be.
	Body io.Reader
}

// putBuffer is what is copied at once, in bytes.
const putBuffer = 128 << 10

var putBuffers = sync.Pool{New: func() any { b := make([]byte, putBuffer); return &b }}

// Put stores an object, whatever was there. When it returns, the object is on disk. It fails with [object.ErrTooLarge],
// [object.ErrIncompleteBody] or [object.ErrBadDigest] for a body that is not as announced, and stores nothing then.
func (s *Server) Put(ctx context.Context, c Caller, bucket, key string, u Upload) (object.Meta, error) {
	b, err := s.open(ctx, c, bucket, key, createObject)
	if err != nil {
		return object.Meta{}, err
	}
	if err := object.CheckKey(key); err != nil {
		return object.Meta{}, object.Explain(object.ErrInvalidKey, "%v", err)
	}
	if u.Size > object.MaxPutSize {
		return object.Meta{}, tooLarge()
	}
	spool, err := s.store.NewSpool(ctx, u.Size)
	if err != nil {
		return object.Meta{}, err
	}
	m, err := receive(ctx, u, spool)
	if err != nil {
		return object.Meta{}, errors.Join(err, spool.Discard())
	}
	if err := s.store.Put(ctx, b, key, m, spool); err != nil {
		return object.Meta{}, err
	}
	s.filler.Forget(b.ID, key)
	return m, nil
}

func tooLarge() error {
	return object.Explain(object.ErrTooLarge, "the body is larger than %d bytes; use a multipart upload", int64(object.MaxPutSize))
}

// receive copies the body into the spool and returns the metadata of what came.
func receive(ctx context.Context, u Upload, spool store.Spool) (object.Meta, error) {
	buf := putBuffers.Get().(*[]byte)
	defer putBuffers.Put(buf)
	sum, crc := md5.New(), crc64nvme.New()
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return object.Meta{}, context.Cause(ctx)
		}
		k, err := u.Body.Read(*buf)
		if k > 0 {
			p := (*buf)[:k]
			if n += int64(k); n > object.MaxPutSize {
				return object.Meta{}, tooLarge()
			}
			if _, err := spool.WriteAt(p, n-int64(k)); err != nil {
				return object.Meta{}, fmt.Errorf("%w: write spool: %w", object.ErrStore, err)
			}
			sum.Write(p)
			crc.Write(p)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return object.Meta{}, &object.Explained{
				Kind: object.ErrIncompleteBody, Text: fmt.Sprintf("the body ended after %d bytes", n), Cause: err,
			}
		}
	}
	if u.Size >= 0 && n != u.Size {
		return object.Meta{}, object.Explain(object.ErrIncompleteBody, "the body has %d bytes, %d were announced", n, u.Size)
	}
	digest := sum.Sum(nil)
	if u.MD5 != nil && !bytes.Equal(u.MD5, digest) {
		return object.Meta{}, object.Explain(object.ErrBadDigest, "the body's MD5 is not the one in Content-MD5")
	}
	m := u.Meta
	now := time.Now().UTC()
	m.Size, m.Created, m.LastModified = n, now, now.Truncate(time.Second)
	m.Digest = object.Digest{CRC64NVME: crc.Sum64(), MD5: hex.EncodeToString(digest)}
	m.ETag = `"` + m.Digest.MD5 + `"`
	return m, nil
}

// Delete removes an object; a missing one counts as removed. A fill of the key that runs ends without commit; the next GET fills anew.
func (s *Server) Delete(ctx context.Context, c Caller, bucket, key string) error {
	b, err := s.open(ctx, c, bucket, key, deleteObject)
	if err != nil {
		return err
	}
	if err := s.store.Delete(ctx, b, key); err != nil {
		return err
	}
	s.filler.Forget(b.ID, key)
	return nil
}
