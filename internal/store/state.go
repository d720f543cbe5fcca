package store

import (
	"context"
	"errors"

	"github.com/cisternhq/cistern/internal/object"
)

// State returns what a job of the server noted under name of how far it came with b, nil for nothing. The zero Bucket is for what concerns no
// bucket. What cannot be read counts as nothing: jobs begin again then.
func (s *Store) State(ctx context.Context, b Bucket, name string) ([]byte, error) {
	v, err := s.get(ctx, within(spaceState, b.ID, name))
	if err != nil || v == nil {
		return nil, on("look up state of "+name, b.Name, "", err)
	}
	_, doc, err := decodeSetting(v)
	if errors.Is(err, object.ErrDamaged) {
		return nil, nil
	}
	return doc, on("look up state of "+name, b.Name, "", err)
}

// SetState notes doc under name; nil notes nothing any more. The note need not survive a crash of the machine at once, so a job must be able to go on from
// an earlier one. It fails with object.ErrNoSuchBucket when b is gone.
func (s *Store) SetState(ctx context.Context, b Bucket, name string, doc []byte) error {
	key := within(spaceState, b.ID, name)
	err := retry(ctx, func() error {
		batch := &Batch{NoSync: true}
		if b.ID != 0 {
			bucket, bv, err := s.bucketRecord(ctx, b)
			if err != nil {
				return err
			}
			batch.Require = []Condition{unchanged(bucket, bv)}
		}
		if doc == nil {
			batch.Delete = [][]byte{key}
		} else {
			batch.Set = []Record{{key, encodeSetting(random(), doc)}}
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
	return on("note state of "+name, b.Name, "", err)
}
