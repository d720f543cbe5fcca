package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cisternhq/cistern/internal/object"
)

// InPieces reports whether the bytes of o lie in pieces.
func (o *Object) InPieces() bool {
	_, ok := o.Body.(*pieces)
	return ok
}

// PutPieces makes an object of the pieces of o, each as it is at rest: pieces that are encrypted can be read no other way than one by one. copy copies
// one of them, of size bytes with that checksum, into the spool. The rest is as in PutIf, with m for what the copy is; its bytes' size, digest and encryption must
// be those of o. However many pieces there are, one is copied at a time.
func (s *Store) PutPieces(ctx context.Context, b Bucket, key string, m object.Meta, o *Object, may func(old *object.Meta) error,
	copy func(spool Spool, from Body, size int64, crc64 uint64) error) (object.Meta, error) {
	err := object.CheckKey(key)
	if err == nil {
		err = s.putPieces(ctx, b, key, &m, o, may, copy)
	}
	return m, on("put object", b.Name, key, err)
}

func (s *Store) putPieces(ctx context.Context, b Bucket, key string, m *object.Meta, o *Object, may func(old *object.Meta) error,
	copy func(spool Spool, from Body, size int64, crc64 uint64) error) error {
	from, ok := o.Body.(*pieces)
	if !ok || from.wrap != nil {
		return fmt.Errorf("%w: the object is not in pieces as they are at rest", object.ErrInvalidArgument)
	}
	// The pieces are garbage until the object has them, so that nothing stays of a copy that ends early.
	to := random()
	note := garbagePieces(to)
	lower, upper := span(spacePiece, to)
	err := storeErr(s.e.Apply(ctx, &Batch{
		Require: []Condition{unchanged(note.Key, nil), {Key: lower, Until: upper}},
		Set:     []Record{note},
	}))
	if err != nil {
		return err
	}
	if err = s.copyPieces(ctx, from, to, note, copy); err == nil {
		if m.Created.IsZero() {
			m.Created = o.Created
		}
		m.VersionID = ""
		batch := Batch{Require: []Condition{unchanged(note.Key, note.Value)}, Delete: [][]byte{note.Key}}
		err = retry(ctx, func() error {
			old, err := s.get(ctx, objectKey(b.ID, key))
			if err != nil {
				return err
			}
			if err := allowed(may, old); err != nil {
				return err
			}
			return s.putOver(ctx, b, key, change{kind: Created, old: old, next: m, at: place{pieces: to}}, batch)
		})
	}
	if err != nil {
		// The note is what tells that the pieces are no object's: it went in the batch that made the object.
		return errors.Join(err, s.collectNoted(context.WithoutCancel(ctx), note))
	}
	return nil
}

// collectNoted collects what note says, if it is there.
func (s *Store) collectNoted(ctx context.Context, note Record) error {
	v, err := s.get(ctx, note.Key)
	if err != nil || v == nil {
		return err
	}
	return s.collect(ctx, note.Key)
}

// copyPieces copies all pieces of an object as pieces with the ID to, which note says are garbage still.
func (s *Store) copyPieces(ctx context.Context, from *pieces, to uint64, note Record,
	copy func(spool Spool, from Body, size int64, crc64 uint64) error) error {
	for off := int64(0); off < from.size; {
		found, err := from.find(off)
		if err != nil {
			return err
		}
		for _, x := range found {
			if x.start != off {
				return fmt.Errorf("%w: the piece behind offset %d begins at %d", object.ErrDamaged, off, x.start)
			}
			if err := s.copyPiece(ctx, from, x, to, note, copy); err != nil {
				return err
			}
			off = x.end
		}
	}
	return nil
}

func (s *Store) copyPiece(ctx context.Context, from *pieces, x extent, to uint64, note Record,
	copy func(spool Spool, from Body, size int64, crc64 uint64) error) (err error) {
	body, err := from.open(x)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	spool, err := s.NewSpool(ctx, x.part.atRest())
	if err != nil {
		return err
	}
	if err := copy(spool, body, x.part.atRest(), x.part.Digest.CRC64NVME); err != nil {
		return errors.Join(err, spool.Discard())
	}
	p := x.part
	p.body = spool.ID()
	piece := Record{pieceKey(to, x.end), encodePart(p)}
	err = storeErr(s.e.Apply(ctx, &Batch{
		Require: []Condition{unchanged(note.Key, note.Value)},
		Set:     []Record{piece},
		Keep:    []Kept{{Spool: spool, Size: p.atRest(), Label: encodeLabel(piece.Key, piece.Value)}},
	}))
	if err != nil {
		return errors.Join(err, spool.Discard())
	}
	return nil
}
