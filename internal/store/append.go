package store

import (
	"context"
	"fmt"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Append puts what spool holds behind the object under key, which is one that grows, or makes it if there is none. p describes what spool holds, as
// in PutPart; its number counts for nothing. judge gets the object as it is, nil for none, and returns its new metadata; of that, Size, Digest and
// Appendable are set here. It may be called more than once, and its error ends the attempt. So appends at once come one behind the other, and
// judge refuses those that expected another size.
//
// Nothing that is there is written again: what is appended becomes a piece of the object. When Append returns nil, it will survive a crash.
// It fails with object.ErrNoSuchBucket when b is gone, and with object.ErrObjectState for an object that does not grow. The spool is the store's
// afterwards, also on failure: it is discarded.
func (s *Store) Append(ctx context.Context, b Bucket, key string, p Part, spool Spool, judge func(was *object.Meta) (object.Meta, error)) (object.Meta, error) {
	p.Number, p.Created, p.body = 0, time.Now().UTC(), ""
	if p.Size > 0 {
		p.body = spool.ID()
	}
	err := p.check()
	if err == nil {
		err = object.CheckKey(key)
	}
	var m object.Meta
	if err == nil {
		fresh := random() // the ID of the pieces, if there are none yet
		err = retry(ctx, func() (err error) {
			m, err = s.append(ctx, b, key, p, spool, fresh, judge)
			return err
		})
	}
	if err != nil || p.Size == 0 {
		_ = spool.Discard() // what it cannot remove now is swept at the next start
	}
	if err != nil {
		return object.Meta{}, on("append to object", b.Name, key, err)
	}
	return m, nil
}

func (s *Store) append(ctx context.Context, b Bucket, key string, p Part, spool Spool, fresh uint64,
	judge func(was *object.Meta) (object.Meta, error)) (object.Meta, error) {
	old, err := s.get(ctx, objectKey(b.ID, key))
	if err != nil {
		return object.Meta{}, err
	}
	var was *object.Meta
	var at place
	size, digest := int64(0), object.Digest{}
	if old != nil {
		now, there, err := decodeObject(old)
		if err != nil {
			return object.Meta{}, err
		}
		was, at, size, digest = &now, there, now.Size, now.Digest
	}
	m, err := judge(was)
	if err != nil {
		return object.Meta{}, err
	}
	if was != nil && (!was.Appendable || at.body != "") || m.Encryption != nil {
		return object.Meta{}, object.ErrObjectState
	}
	batch := Batch{}
	if p.Size > 0 && at.pieces == 0 {
		at.pieces = fresh
		lower, upper := span(spacePiece, fresh)
		batch.require(Condition{Key: lower, Until: upper})
	}
	m.Size, m.Appendable = size+p.Size, true
	switch {
	case size == 0:
		m.Digest = p.Digest
	case p.Size == 0:
		m.Digest = digest
	default:
		m.Digest = digest.Then(p.Digest, p.Size)
	}
	if m.Size < size {
		return object.Meta{}, fmt.Errorf("%w: %d bytes behind %d", object.ErrTooLarge, p.Size, size)
	}
	if m.Created.IsZero() {
		m.Created = p.Created
	}
	if p.body != "" {
		piece := Record{pieceKey(at.pieces, m.Size), encodePart(p)}
		batch.set(piece.Key, piece.Value)
		batch.Keep = []Kept{{Spool: spool, Size: p.atRest(), Label: encodeLabel(piece.Key, piece.Value)}}
	}
	m.VersionID = ""
	err = s.putOver(ctx, b, key, change{kind: Created, old: old, same: was != nil, next: &m, at: at}, batch)
	return m, err
}
