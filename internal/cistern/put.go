package cistern

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/seal"
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
	// Key encrypts the object at rest; nil: it is not encrypted.
	Key *seal.Key
	// Conditions must hold of what is stored under the key when the object takes its place. Only Put has any.
	Conditions object.Conditions

	// encryption is how the whole is encrypted that the body is a part of; nil: the body is the whole.
	encryption *object.Encryption
	// like is the object that has the same bytes; nil: nobody knows.
	like *object.Meta
}

// putBuffer is what is copied at once, in bytes.
const putBuffer = 128 << 10

var putBuffers = sync.Pool{New: func() any { b := make([]byte, putBuffer); return &b }}

// Put stores an object, whatever was there. When it returns, the object is on disk. It fails with [object.ErrTooLarge],
// [object.ErrIncompleteBody] or [object.ErrBadDigest] for a body that is not as announced, with [object.ErrPrecondition] where a condition does not hold,
// and stores nothing then.
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
	var may func(*object.Meta) error
	if u.Conditions != (object.Conditions{}) {
		may = u.allows
		// Before the body is read, as that may take long. Whether it still is so, the store asks again.
		if err := s.allowsPut(ctx, b, key, u); err != nil {
			return object.Meta{}, err
		}
	}
	spool, err := s.store.NewSpool(ctx, u.atRest())
	if err != nil {
		return object.Meta{}, err
	}
	m, err := receive(ctx, u, spool)
	if err != nil {
		return object.Meta{}, errors.Join(err, spool.Discard())
	}
	if m, err = s.store.PutIf(ctx, b, key, m, spool, may); err != nil {
		return object.Meta{}, err
	}
	s.filler.Forget(b.ID, key)
	return m, nil
}

// allowsPut judges the conditions of u by what is stored under the key.
func (s *Server) allowsPut(ctx context.Context, b store.Bucket, key string, u Upload) error {
	old, err := s.store.Stat(ctx, b, key)
	switch {
	case err == nil:
		return u.allows(&old)
	case errors.Is(err, object.ErrNoSuchKey):
		return u.allows(nil)
	}
	return err
}

// allows judges the conditions of u by an object, nil for none.
func (u Upload) allows(old *object.Meta) error {
	switch {
	case old == nil && u.Conditions.IfMatch != "":
		return object.Explain(object.ErrPrecondition, "there is no object to match")
	case old != nil && u.Conditions.Check(*old) != nil:
		return object.Explain(object.ErrPrecondition, "the object that is there is not the one in the condition")
	}
	return nil
}

func tooLarge() error {
	return object.Explain(object.ErrTooLarge, "the body is larger than %d bytes; use a multipart upload", int64(object.MaxPutSize))
}

// atRest is how many bytes the body will have at rest, -1 if that is not known.
func (u *Upload) atRest() int64 {
	if u.Key != nil && u.Size > 0 {
		return seal.AtRest(u.Size)
	}
	return u.Size
}

// receive copies the body into the spool and returns the metadata of what came. Of a body that is encrypted, nothing is told about the plain bytes but
// their number: the entity tag is made up, and the digest is that of the bytes at rest.
func receive(ctx context.Context, u Upload, spool store.Spool) (object.Meta, error) {
	in := &intake{ctx: ctx, from: u.Body}
	if u.Key == nil && u.like == nil || u.MD5 != nil {
		in.sum = md5.New()
	}
	from, encryption := io.Reader(in), u.encryption
	if u.Key != nil {
		if encryption == nil {
			encryption = u.Key.New()
		}
		var err error
		if from, err = u.Key.Seal(encryption, in); err != nil {
			return object.Meta{}, err
		}
	}
	atRest, crc, err := spill(from, spool)
	switch {
	case err != nil:
		return object.Meta{}, err
	case u.Size >= 0 && in.n != u.Size:
		return object.Meta{}, object.Explain(object.ErrIncompleteBody, "the body has %d bytes, %d were announced", in.n, u.Size)
	case u.MD5 != nil && !bytes.Equal(u.MD5, in.sum.Sum(nil)):
		return object.Meta{}, object.Explain(object.ErrBadDigest, "the body's MD5 is not the one in Content-MD5")
	}
	m := u.Meta
	now := time.Now().UTC()
	m.Size, m.Created, m.LastModified = in.n, now, now.Truncate(time.Second)
	m.Digest.CRC64NVME = crc
	if u.Key != nil {
		e := *encryption
		e.Size = atRest
		m.Encryption, m.ETag = &e, randomETag()
		return m, nil
	}
	if u.like != nil {
		m.Digest, m.ETag = u.like.Digest, u.like.ETag
		return m, nil
	}
	m.Digest.MD5 = hex.EncodeToString(in.sum.Sum(nil))
	m.ETag = `"` + m.Digest.MD5 + `"`
	return m, nil
}

// spill copies what comes from a reader into a spool. It returns how many bytes there are, and their checksum.
func spill(from io.Reader, spool store.Spool) (n int64, crc64 uint64, err error) {
	buf := putBuffers.Get().(*[]byte)
	defer putBuffers.Put(buf)
	crc := crc64nvme.New()
	for {
		k, err := from.Read(*buf)
		if k > 0 {
			p := (*buf)[:k]
			if _, err := spool.WriteAt(p, n); err != nil {
				return n, 0, fmt.Errorf("%w: write spool: %w", object.ErrStore, err)
			}
			n += int64(k)
			crc.Write(p)
		}
		if err == io.EOF {
			return n, crc.Sum64(), nil
		}
		if err != nil {
			return n, 0, err
		}
	}
}

// intake reads a client's body, counts it and, where somebody needs it, sums it up.
type intake struct {
	ctx  context.Context
	from io.Reader
	n    int64
	sum  hash.Hash // MD5; nil: nobody needs it
}

func (in *intake) Read(p []byte) (int, error) {
	if in.ctx.Err() != nil {
		return 0, context.Cause(in.ctx)
	}
	k, err := in.from.Read(p)
	if in.n += int64(k); in.n > object.MaxPutSize {
		return 0, tooLarge()
	}
	if in.sum != nil {
		in.sum.Write(p[:k])
	}
	if err != nil && err != io.EOF && !errors.Is(err, object.ErrStore) && !errors.Is(err, object.ErrDamaged) { // those are of a copy
		err = &object.Explained{Kind: object.ErrIncompleteBody, Text: fmt.Sprintf("the body ended after %d bytes", in.n), Cause: err}
	}
	return k, err
}

// Delete removes an object; a missing one counts as removed. A fill of the key that runs ends without commit; the next GET fills anew. In a bucket that
// keeps versions the object stays as one, and a delete marker hides it.
func (s *Server) Delete(ctx context.Context, c Caller, bucket, key string) (store.Removed, error) {
	b, err := s.open(ctx, c, bucket, key, deleteObject)
	if err != nil {
		return store.Removed{}, err
	}
	return s.delete(ctx, b, key)
}

func (s *Server) delete(ctx context.Context, b store.Bucket, key string) (store.Removed, error) {
	r, err := s.store.Remove(ctx, b, key, "")
	if err == nil {
		s.filler.Forget(b.ID, key)
	}
	return r, err
}

// deletesAtOnce bounds the objects of one request that are deleted at once. They wait for the disk together.
const deletesAtOnce = 64

// DeleteObjects is Delete for many keys, and returns what became of each. It fails as a whole where c may delete none of them.
func (s *Server) DeleteObjects(ctx context.Context, c Caller, bucket string, keys []string) ([]error, error) {
	b, err := s.store.Bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	results := make([]error, len(keys))
	if len(keys) == 0 {
		return results, s.may(ctx, c, b, "", deleteObject)
	}
	denied := 0
	for i, key := range keys {
		err := s.may(ctx, c, b, key, deleteObject)
		switch {
		case errors.Is(err, object.ErrDenied):
			denied++
		case err != nil:
			return nil, err
		default:
			if err := object.CheckKey(key); err != nil {
				results[i] = object.Explain(object.ErrInvalidKey, "%v", err)
			}
			continue
		}
		results[i] = err
	}
	if denied == len(keys) {
		return nil, results[0]
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(deletesAtOnce, len(keys)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(keys) {
					return
				}
				if results[i] == nil {
					_, results[i] = s.delete(ctx, b, keys[i])
				}
			}
		})
	}
	wg.Wait()
	return results, ctx.Err()
}
