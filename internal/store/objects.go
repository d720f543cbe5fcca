package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Object is an object open for reading. The caller closes its body.
type Object struct {
	object.Meta
	Body Body
}

// NewSpool opens an empty body for writing. size is a hint in bytes, -1 if unknown.
// The caller passes it to Put or CommitFill, or discards it.
func (s *Store) NewSpool(ctx context.Context, size int64) (Spool, error) {
	spool, err := s.e.NewSpool(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", storeErr(err))
	}
	return spool, nil
}

// Put makes spool the object under key, whatever was there. m.Size is the body's length; m.Created is set to now if it is zero.
// When it returns nil, the object will survive a crash. It fails with object.ErrNoSuchBucket when b is gone.
// The spool is the store's afterwards, also on failure: it is discarded.
func (s *Store) Put(ctx context.Context, b Bucket, key string, m object.Meta, spool Spool) error {
	_, err := s.PutIf(ctx, b, key, m, spool, nil)
	return err
}

// PutIf is Put if may allows it, which is given what is there, nil for nothing, and may be called more than once. Its error is returned. It returns m as it
// was stored.
func (s *Store) PutIf(ctx context.Context, b Bucket, key string, m object.Meta, spool Spool, may func(old *object.Meta) error) (object.Meta, error) {
	batch, at, err := newObject(key, &m, spool)
	if err == nil {
		err = retry(ctx, func() error { return s.put(ctx, b, key, &m, at, batch, may) })
	}
	if err != nil || m.Size == 0 {
		_ = spool.Discard() // what it cannot remove now is swept at the next start
	}
	return m, on("put object", b.Name, key, err)
}

// put is one try. batch holds the object's body.
func (s *Store) put(ctx context.Context, b Bucket, key string, m *object.Meta, at place, batch Batch, may func(*object.Meta) error) error {
	old, err := s.get(ctx, objectKey(b.ID, key))
	if err != nil {
		return err
	}
	if err := allowed(may, old); err != nil {
		return err
	}
	return s.putOver(ctx, b, key, change{kind: Created, old: old, next: m, at: at}, batch)
}

// putOver lets c happen to key, if what is under it still is c.old. batch holds what it requires beside that, and the bodies of c.next.
func (s *Store) putOver(ctx context.Context, b Bucket, key string, c change, batch Batch) error {
	bucket, bv, err := s.bucketRecord(ctx, b)
	if err != nil {
		return err
	}
	batch.require(unchanged(bucket, bv), unchanged(objectKey(b.ID, key), c.old))
	if err := s.replace(ctx, b, key, &c, &batch); err != nil {
		return err
	}
	// A fill that began before this loses anyhow, as the key is taken; but its intent must not outlive a DELETE that follows.
	// An intent that comes in after this look is of a fill that began later, and DELETE looks for itself.
	ik := intentKey(b.ID, key)
	fill, err := s.get(ctx, ik)
	if err != nil {
		return err
	}
	if fill != nil {
		batch.delete(ik)
	}
	return s.apply(ctx, &batch)
}

// replace adds to batch that c happens to key: the record of what comes, what becomes of the record and the bytes of what was there, the bucket's
// counters, and what its consumers will be told. Every change of what is under a key comes through here, but for those of removeVersion, and its batch
// goes through apply. The caller requires that what is under the key still is c.old.
func (s *Store) replace(ctx context.Context, b Bucket, key string, c *change, batch *Batch) error {
	var gone, kept *object.Meta
	if c.old != nil {
		was, at, err := decodeObject(c.old)
		switch {
		case err == nil:
			kept = &was
		case !errors.Is(err, object.ErrDamaged): // see decodeOld
			return err
		}
		gone = &was
		isKept, err := s.keep(ctx, b, key, c, kept, batch)
		if err != nil {
			return err
		}
		if !isKept && !c.same && !c.moved {
			drop(at, batch)
		}
	} else if _, err := s.keep(ctx, b, key, c, nil, batch); err != nil {
		return err
	}
	rec := objectKey(b.ID, key)
	if c.next == nil {
		batch.delete(rec)
	} else {
		v := encodeObject(*c.next, c.at)
		batch.set(rec, v)
		batch.Keep = slices.Clone(batch.Keep)
		for i := range batch.Keep {
			if batch.Keep[i].Label == nil {
				batch.Keep[i].Label = encodeLabel(rec, v)
			}
		}
	}
	batch.Add = append(slices.Clip(batch.Add), usage(b.ID, gone, c.next)...)
	return s.happened(ctx, b, key, c.kind, gone, c.next, batch)
}

// newObject returns the part of a batch that every new object in one body has, and where that is. The label comes with the record.
func newObject(key string, m *object.Meta, spool Spool) (Batch, place, error) {
	if err := object.CheckKey(key); err != nil {
		return Batch{}, place{}, err
	}
	if m.Size < 0 {
		return Batch{}, place{}, fmt.Errorf("%w: size %d of an object to be stored", object.ErrInvalidArgument, m.Size)
	}
	if m.Created.IsZero() {
		m.Created = time.Now().UTC()
	}
	m.VersionID = "" // of what it was made from
	if m.Size == 0 { // an empty body needs no file
		return Batch{}, place{}, nil
	}
	return Batch{Keep: []Kept{{Spool: spool, Size: m.AtRest()}}}, place{body: spool.ID()}, nil
}

// Stat returns what is known of an object, or object.ErrNoSuchKey.
func (s *Store) Stat(ctx context.Context, b Bucket, key string) (object.Meta, error) {
	m, _, _, err := s.look(ctx, b, key)
	return m, on("look up object", b.Name, key, err)
}

// look reads an object's record.
func (s *Store) look(ctx context.Context, b Bucket, key string) (m object.Meta, at place, record []byte, err error) {
	record, err = s.get(ctx, objectKey(b.ID, key))
	if err != nil {
		return object.Meta{}, place{}, nil, err
	}
	if record == nil {
		return object.Meta{}, place{}, nil, object.ErrNoSuchKey
	}
	m, at, err = decodeObject(record)
	return m, at, record, err
}

// Open opens an object for reading, or fails with object.ErrNoSuchKey. What is open stays readable when the object is
// replaced or deleted.
func (s *Store) Open(ctx context.Context, b Bucket, key string) (*Object, error) {
	o, err := s.open(ctx, func() (object.Meta, place, []byte, error) { return s.look(ctx, b, key) })
	return o, on("open object", b.Name, key, err)
}

// open opens the object whose record look finds.
func (s *Store) open(ctx context.Context, look func() (object.Meta, place, []byte, error)) (*Object, error) {
	m, at, record, err := look()
	for {
		if err != nil {
			return nil, err
		}
		body, err := s.bodyAt(ctx, at, m.Size)
		if err != nil && !errors.Is(err, object.ErrDamaged) {
			return nil, err
		}
		if err == nil && at.pieces == 0 {
			return &Object{Meta: m, Body: body}, nil
		}
		// Perhaps it is not damage:
		//   this reads the record of the first version,
		//   a PUT commits a second version and removes the body of the first,
		//   this does not find the body.
		// Then the record is another one now. The same record without its body is damage. Pieces are not looked for yet; but while the
		// record is the same one, nobody has removed them, and from here on nobody does: see pin.
		was := record
		var lookErr error
		m, at, record, lookErr = look()
		if lookErr == nil && bytes.Equal(was, record) {
			if err != nil {
				return nil, err
			}
			return &Object{Meta: m, Body: body}, nil
		}
		if err == nil {
			lookErr = errors.Join(lookErr, body.Close())
		}
		if lookErr != nil {
			return nil, lookErr
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// bodyAt opens what is at at, size plain bytes in all.
func (s *Store) bodyAt(ctx context.Context, at place, size int64) (Body, error) {
	switch {
	case at == (place{}):
		return empty{}, nil
	case at.pieces != 0:
		return s.newPieces(at.pieces, size), nil
	}
	body, err := s.e.Open(ctx, at.body)
	return body, storeErr(err)
}

// Delete removes an object; a missing one counts as removed. In a bucket that keeps versions the object becomes one that a delete marker hides. It ends a running fill of the key without commit.
// When it returns nil, that will survive a crash.
func (s *Store) Delete(ctx context.Context, b Bucket, key string) error {
	return s.DeleteIf(ctx, b, key, nil)
}

// DeleteIf is Delete if may allows it, which is given what is there, nil for nothing, and may be called more than once. Its error is returned.
func (s *Store) DeleteIf(ctx context.Context, b Bucket, key string, may func(old *object.Meta) error) error {
	err := retry(ctx, func() error {
		_, err := s.delete(ctx, b, key, may)
		return err
	})
	return on("delete object", b.Name, key, err)
}

// delete is one try.
func (s *Store) delete(ctx context.Context, b Bucket, key string, may func(old *object.Meta) error) (Removed, error) {
	rec, ik := objectKey(b.ID, key), intentKey(b.ID, key)
	old, err := s.get(ctx, rec)
	if err != nil {
		return Removed{}, err
	}
	fill, err := s.get(ctx, ik)
	if err != nil {
		return Removed{}, err
	}
	if err := allowed(may, old); err != nil {
		return Removed{}, err
	}
	// Where both are missing, the batch changes nothing. It is applied all the same: another DELETE may have removed them a
	// moment ago and still be waiting for the disk. Who is told that the key is gone must not see it again after a crash.
	batch := &Batch{Require: []Condition{unchanged(rec, old)}}
	c := change{kind: Deleted, old: old}
	if old != nil {
		if err := s.replace(ctx, b, key, &c, batch); err != nil {
			return Removed{}, err
		}
	}
	if fill != nil {
		batch.delete(ik)
	}
	var r Removed
	if c.marker != nil {
		r = Removed{VersionID: versionName(c.marker), DeleteMarker: true}
	}
	return r, s.apply(ctx, batch)
}

// Relabel lets change alter what is known of an object beside its bytes, and reports whether it did: change is given what is there and returns whether
// the object is to be what it made of it. It may be called more than once. Size and bytes stay. It is no new object, so nobody is told.
// It fails with object.ErrNoSuchKey.
func (s *Store) Relabel(ctx context.Context, b Bucket, key string, change func(*object.Meta) bool) (bool, error) {
	changed := false
	err := retry(ctx, func() error {
		m, at, old, err := s.look(ctx, b, key)
		if err != nil {
			return err
		}
		was := m
		if changed = change(&m); !changed {
			return nil
		}
		m.Size, m.Encryption, m.VersionID = was.Size, was.Encryption, was.VersionID
		rec := objectKey(b.ID, key)
		return storeErr(s.e.Apply(ctx, &Batch{
			Require: []Condition{unchanged(rec, old)},
			Set:     []Record{{rec, encodeObject(m, at)}},
			Add:     usage(b.ID, &was, &m),
		}))
	})
	return changed && err == nil, on("change object", b.Name, key, err)
}

// allowed asks may about the object whose record is old, nil for none. A damaged one is asked about as one without any field. No may allows all.
func allowed(may func(*object.Meta) error, old []byte) error {
	if may == nil {
		return nil
	}
	if old == nil {
		return may(nil)
	}
	m, _, err := decodeOld(old)
	if err != nil {
		return err
	}
	return may(&m)
}

// decodeOld reads the record of an object that is about to go. A damaged one counts as empty: to replace or to delete it must be possible. What
// it held then stays in the bucket's counter of bytes.
func decodeOld(record []byte) (object.Meta, place, error) {
	m, at, err := decodeObject(record)
	if errors.Is(err, object.ErrDamaged) {
		return object.Meta{}, place{}, nil
	}
	return m, at, err
}

// drop adds to batch that what is at at goes.
func drop(at place, batch *Batch) {
	if at.body != "" {
		batch.Drop = append(batch.Drop, at.body)
	}
	if at.pieces != 0 {
		batch.Set = append(slices.Clip(batch.Set), garbagePieces(at.pieces))
	}
}

// empty is the body of an object without bytes.
type empty struct{}

func (empty) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: offset %d", object.ErrStore, off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, io.EOF
}

func (empty) Section(off, n int64) (io.Reader, error) { return bytes.NewReader(nil), nil }
func (empty) Close() error                            { return nil }
