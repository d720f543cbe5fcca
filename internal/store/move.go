package store

import (
	"context"

	"github.com/cisternhq/cistern/internal/object"
)

// Move makes the object under key the one under toKey of to, whatever was there, and leaves nothing under key. It is a change of records in one
// batch, the bytes stay where they are: so it takes no longer for a large object, and at no moment has neither key the object, or both.
//
// change may alter what is known of the object beside its bytes, or refuse with an error, which is returned; it may be called more than once. Where both
// are the same key the object stays, and only change counts. It is a new object then as well, so others are told.
//
// Fills of both keys that run end without commit. Move fails with object.ErrNoSuchKey, and with object.ErrNoSuchBucket when a bucket is gone. When it
// returns nil, the move will survive a crash.
func (s *Store) Move(ctx context.Context, b Bucket, key string, to Bucket, toKey string, change func(*object.Meta) error) (object.Meta, error) {
	var m object.Meta
	err := object.CheckKey(toKey)
	if err == nil {
		err = retry(ctx, func() (err error) {
			m, err = s.move(ctx, b, key, to, toKey, change)
			return err
		})
	}
	return m, on("move object", b.Name, key, err)
}

// move is one try.
func (s *Store) move(ctx context.Context, b Bucket, key string, to Bucket, toKey string, alter func(*object.Meta) error) (object.Meta, error) {
	m, at, old, err := s.look(ctx, b, key)
	if err != nil {
		return object.Meta{}, err
	}
	was := m
	if err := alter(&m); err != nil {
		return object.Meta{}, err
	}
	m.Size, m.Digest, m.Encryption = was.Size, was.Digest, was.Encryption // they are the bytes'
	if b.ID == to.ID && key == toKey {
		err := s.putOver(ctx, to, toKey, change{kind: Created, old: old, same: true, next: &m, at: at}, Batch{})
		return m, err
	}

	bucket, bv, err := s.bucketRecord(ctx, b)
	if err != nil {
		return object.Meta{}, err
	}
	rec, ik := objectKey(b.ID, key), intentKey(b.ID, key)
	fill, err := s.get(ctx, ik)
	if err != nil {
		return object.Meta{}, err
	}
	batch := Batch{Require: []Condition{unchanged(bucket, bv), unchanged(rec, old)}}
	if fill != nil {
		batch.delete(ik)
	}
	if err := s.replace(ctx, b, key, &change{kind: Deleted, old: old, moved: true}, &batch); err != nil {
		return object.Meta{}, err
	}
	over, err := s.get(ctx, objectKey(to.ID, toKey))
	if err != nil {
		return object.Meta{}, err
	}
	m.VersionID = ""
	err = s.putOver(ctx, to, toKey, change{kind: Created, old: over, next: &m, at: at}, batch)
	return m, err
}
