package cistern

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/seal"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/minio/crc64nvme"
)

// Name names an object.
type Name struct{ Bucket, Key string }

// Source is the object that a copy or a move takes.
type Source struct {
	// Names are what it may be called, the most likely first: the first one that is there is meant. There is one at least.
	Names []Name
	// Conditions must hold of it; otherwise the error matches [object.ErrPrecondition].
	Conditions object.Conditions
	// Key is what it is encrypted with; nil: it is not. A move needs none.
	Key *seal.Key
	// Hops is how many mirrors the request came through.
	Hops int
}

// Copy says what a copy becomes.
type Copy struct {
	Source Source
	// Replace is the metadata that the copy has in place of the source's: the fields that an [Upload] has. Nil keeps the source's.
	Replace *object.Meta
	// StorageClass is the copy's; "" keeps the source's.
	StorageClass string
	// Key encrypts the copy; nil: it is not encrypted, whatever the source is.
	Key *seal.Key
}

// Copy makes an object of another one, whatever was there. A source that is missing is filled first if its bucket has a mirror. The copy is of the source
// as it was at one moment, also when that is replaced meanwhile. It has the source's entity tag as long as the bytes at rest are the source's too.
//
// A copy of an object onto itself changes what is known of it and leaves the bytes alone, unless they are to be encrypted in another way. With nothing to
// change it makes the object newer, which is how rclone sets a time. A source of more than [object.MaxPutSize] is [object.ErrTooLarge].
func (s *Server) Copy(ctx context.Context, c Caller, bucket, key string, cp Copy) (object.Meta, error) {
	b, err := s.target(ctx, c, bucket, key)
	if err != nil {
		return object.Meta{}, err
	}
	var m object.Meta
	err = s.first(ctx, c, cp.Source.Names, func(from store.Bucket, fromKey string) error {
		o, err := s.openStored(ctx, from, fromKey, cp.Source.Hops, object.MaxPutSize)
		if err != nil {
			return err
		}
		if from.ID == b.ID && fromKey == key {
			m, err = s.copyOntoItself(ctx, b, key, o, cp)
		} else {
			m, err = s.copyTo(ctx, b, key, o, cp)
		}
		return errors.Join(err, o.Body.Close())
	}, getObject)
	if err != nil {
		return object.Meta{}, err
	}
	s.filler.Forget(b.ID, key)
	return m, nil
}

// target returns the bucket in which c may make an object of that key.
func (s *Server) target(ctx context.Context, c Caller, bucket, key string) (store.Bucket, error) {
	b, err := s.open(ctx, c, bucket, key, createObject)
	if err != nil {
		return store.Bucket{}, err
	}
	if err := object.CheckKey(key); err != nil {
		return store.Bucket{}, object.Explain(object.ErrInvalidKey, "%v", err)
	}
	return b, nil
}

// first does do with the first of names that is there, if c has all needs on it.
func (s *Server) first(ctx context.Context, c Caller, names []Name, do func(b store.Bucket, key string) error, needs ...action) error {
	var missing error
	for _, n := range names {
		var b store.Bucket
		var err error
		for _, need := range needs {
			if b, err = s.open(ctx, c, n.Bucket, n.Key, need); err != nil {
				break
			}
		}
		if err == nil {
			err = do(b, n.Key)
		}
		if !errors.Is(err, object.ErrNoSuchKey) && !errors.Is(err, object.ErrNoSuchBucket) {
			return err
		}
		if missing == nil {
			missing = explainMissing(err)
		}
	}
	return missing
}

// explainMissing says that it is the source that is missing, not the target.
func explainMissing(err error) error {
	var explained *object.Explained
	switch {
	case errors.As(err, &explained):
		return err
	case errors.Is(err, object.ErrNoSuchBucket):
		return &object.Explained{Kind: object.ErrNoSuchBucket, Text: "the bucket of the source does not exist", Cause: err}
	}
	return &object.Explained{Kind: object.ErrNoSuchKey, Text: "the source does not exist", Cause: err}
}

// openStored opens an object that is in the store, or comes there by a fill that is waited for if it has maxFill bytes at most. The caller closes its body.
func (s *Server) openStored(ctx context.Context, b store.Bucket, key string, hops int, maxFill int64) (*store.Object, error) {
	for {
		o, err := s.store.Open(ctx, b, key)
		if err == nil {
			return o, nil
		}
		if err := s.fillFirst(ctx, b, key, hops, maxFill, err); err != nil {
			return nil, err
		}
	}
}

// fillFirst brings an object into the store of which the store said found.
func (s *Server) fillFirst(ctx context.Context, b store.Bucket, key string, hops int, maxFill int64, found error) error {
	want, err := s.miss(ctx, b, key, Read{Hops: hops}, found)
	if err != nil {
		return err
	}
	r, err := s.filler.Get(ctx, want)
	if errors.Is(err, object.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close() // nothing is read
	if r.Meta().Size > maxFill {
		return copyTooLarge(r.Meta().Size)
	}
	return r.Landed(ctx)
}

func copyTooLarge(size int64) error {
	return object.Explain(object.ErrTooLarge, "the source has %d bytes; one copy may have %d: copy it in parts", size, int64(object.MaxPutSize))
}

// holds judges the conditions on a source. "Not modified" is a failure here, too: there is nothing to answer with.
func holds(c object.Conditions, m *object.Meta) error {
	if err := c.Check(*m); err != nil {
		return object.Explain(object.ErrPrecondition, "a condition on the source does not hold")
	}
	return nil
}

// copyTo copies o to another key.
func (s *Server) copyTo(ctx context.Context, b store.Bucket, key string, o *store.Object, cp Copy) (object.Meta, error) {
	if err := holds(cp.Source.Conditions, &o.Meta); err != nil {
		return object.Meta{}, err
	}
	if err := unlock(o, cp.Source.Key); err != nil {
		return object.Meta{}, err
	}
	if o.Meta.Size > object.MaxPutSize {
		return object.Meta{}, copyTooLarge(o.Meta.Size)
	}
	u, err := partOf(o, object.Range{Length: o.Meta.Size})
	if err != nil {
		return object.Meta{}, err
	}
	u.Meta, u.Key = cp.meta(o.Meta), cp.Key
	spool, err := s.store.NewSpool(ctx, u.atRest())
	if err != nil {
		return object.Meta{}, err
	}
	m, err := receive(ctx, u, spool)
	if err != nil {
		return object.Meta{}, errors.Join(err, spool.Discard())
	}
	return s.store.PutIf(ctx, b, key, m, spool, nil)
}

// copyOntoItself changes what is known of the object under key, which o is.
func (s *Server) copyOntoItself(ctx context.Context, b store.Bucket, key string, o *store.Object, cp Copy) (object.Meta, error) {
	was := o.Meta.Encryption
	if (was == nil) != (cp.Key == nil) || was != nil && !cp.Key.Fits(was) {
		return s.copyTo(ctx, b, key, o, cp)
	}
	return s.store.Move(ctx, b, key, b, key, func(m *object.Meta) error {
		if err := errors.Join(holds(cp.Source.Conditions, m), fits(m, cp.Source.Key)); err != nil {
			return err
		}
		if cp.Key != nil && !cp.Key.Fits(m.Encryption) {
			return object.Explain(object.ErrPrecondition, "the object was replaced while it was copied onto itself")
		}
		meta := cp.meta(*m)
		meta.Size, meta.ETag, meta.Digest, meta.Encryption = m.Size, m.ETag, m.Digest, m.Encryption
		meta.Filled, meta.Appendable, meta.VersionID = m.Filled, m.Appendable, m.VersionID
		meta.Created, meta.LastModified = now()
		*m = meta
		return nil
	})
}

// meta returns the metadata of a copy of what m describes, without what the bytes decide.
func (cp Copy) meta(m object.Meta) object.Meta {
	kept := object.Meta{
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, ContentLanguage: m.ContentLanguage, ContentDisposition: m.ContentDisposition,
		CacheControl: m.CacheControl, Expires: m.Expires, User: m.User,
	}
	if cp.Replace != nil {
		kept = *cp.Replace
	}
	if kept.StorageClass = cp.StorageClass; kept.StorageClass == "" {
		kept.StorageClass = m.StorageClass
	}
	return kept
}

// now returns the time of a change, as it is kept and as headers have it.
func now() (created, modified time.Time) {
	created = time.Now().UTC()
	return created, created.Truncate(time.Second)
}

// partOf returns an upload of the plain bytes of o in rg. What is read is compared with the digest of o where it is all of it.
func partOf(o *store.Object, rg object.Range) (Upload, error) {
	section, err := o.Body.Section(rg.Offset, rg.Length)
	if err != nil {
		return Upload{}, err
	}
	u := Upload{Size: rg.Length, Body: &stored{from: section, left: rg.Length}}
	if o.Meta.Encryption == nil && rg == (object.Range{Length: o.Meta.Size}) {
		u.Body = &checked{from: u.Body, crc: crc64nvme.New(), want: o.Meta.Digest.CRC64NVME}
		u.like = &o.Meta
	}
	return u, nil
}

// stored reads what is at rest. An early end is damage.
type stored struct {
	from io.Reader
	left int64
}

func (r *stored) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.left -= int64(n)
	if err == io.EOF && r.left != 0 {
		err = fmt.Errorf("%w: %d bytes are missing at its end", object.ErrDamaged, r.left)
	}
	return n, err
}

// checked reads a whole body and makes sure at its end that it was the one that was stored.
type checked struct {
	from io.Reader
	crc  hash.Hash64
	want uint64
}

func (r *checked) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.crc.Write(p[:n])
	if err == io.EOF && r.crc.Sum64() != r.want {
		err = fmt.Errorf("%w: its checksum is %x, %x was stored", object.ErrDamaged, r.crc.Sum64(), r.want)
	}
	return n, err
}

// Move says what a move takes, and what becomes of it.
type Move struct {
	Source Source
	// StorageClass is the object's from then on; "" keeps the one that it has.
	StorageClass string
}

// Move gives an object another key, whatever was there, and takes the one that it had away; what is known of it stays as it is, an encryption too. Who
// looks at the two keys never sees the object under both or neither. Moving needs the leave to read the source and to delete it. A source that is missing
// is filled first if its bucket has a mirror, and is missing again afterwards. Onto itself it is [object.ErrInvalidRequest].
func (s *Server) Move(ctx context.Context, c Caller, bucket, key string, mv Move) (object.Meta, error) {
	b, err := s.target(ctx, c, bucket, key)
	if err != nil {
		return object.Meta{}, err
	}
	var m object.Meta
	err = s.first(ctx, c, mv.Source.Names, func(from store.Bucket, fromKey string) error {
		if from.ID == b.ID && fromKey == key {
			return object.Explain(object.ErrInvalidRequest, "the object cannot be moved onto itself")
		}
		for {
			m, err = s.store.Move(ctx, from, fromKey, b, key, mv.change)
			if errors.Is(err, object.ErrNoSuchKey) {
				err = s.fillFirst(ctx, from, fromKey, mv.Source.Hops, object.MaxSize, err)
				if err == nil {
					continue
				}
			}
			if err == nil {
				s.filler.Forget(from.ID, fromKey)
			}
			return err
		}
	}, getObject, deleteObject)
	if err != nil {
		return object.Meta{}, err
	}
	s.filler.Forget(b.ID, key)
	return m, nil
}

// change makes of what is known of the source what the target has. Where the source came from says nothing of the target's key.
func (mv Move) change(m *object.Meta) error {
	if err := holds(mv.Source.Conditions, m); err != nil {
		return err
	}
	if mv.StorageClass != "" {
		m.StorageClass = mv.StorageClass
	}
	m.Filled = nil
	m.Created, m.LastModified = now()
	return nil
}

// PartCopy says what a part of an upload takes of another object.
type PartCopy struct {
	Source Source
	// Range is what of it; nil: all.
	Range *object.ByteRange
	// Key is that of the upload; nil: it has none.
	Key *seal.Key
}

// CopyPart is PutPart with the bytes of another object, which is taken as [Server.Copy] takes it. It returns what was copied, and the size of the source.
func (s *Server) CopyPart(ctx context.Context, c Caller, bucket, key, uploadID string, number int, cp PartCopy) (p store.Part, rg object.Range, size int64, err error) {
	if _, err := s.open(ctx, c, bucket, key, uploadPart); err != nil {
		return store.Part{}, object.Range{}, 0, err
	}
	var o *store.Object
	err = s.first(ctx, c, cp.Source.Names, func(from store.Bucket, fromKey string) (err error) {
		o, err = s.openStored(ctx, from, fromKey, cp.Source.Hops, object.MaxSize)
		return err
	}, getObject)
	if err != nil {
		return store.Part{}, object.Range{}, 0, err
	}
	u, rg, err := cp.upload(o)
	if err == nil {
		p, err = s.PutPart(ctx, c, bucket, key, uploadID, number, u)
	}
	return p, rg, o.Meta.Size, errors.Join(err, o.Body.Close())
}

// upload returns what cp takes of o.
func (cp PartCopy) upload(o *store.Object) (Upload, object.Range, error) {
	if err := holds(cp.Source.Conditions, &o.Meta); err != nil {
		return Upload{}, object.Range{}, err
	}
	if err := unlock(o, cp.Source.Key); err != nil {
		return Upload{}, object.Range{}, err
	}
	rg := object.Range{Length: o.Meta.Size}
	if cp.Range != nil {
		var err error
		if rg, err = cp.Range.Resolve(o.Meta.Size); err != nil {
			return Upload{}, object.Range{}, object.Explain(object.ErrInvalidRange, "the source has %d bytes, and none in the range", o.Meta.Size)
		}
	}
	u, err := partOf(o, rg)
	u.Key = cp.Key
	return u, rg, err
}
