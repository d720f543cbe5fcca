package diskstore

import (
	"context"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

func putOne(s *store.Store, b store.Bucket, key string, content []byte) error {
	sp, err := s.NewSpool(context.Background(), int64(len(content)))
	if err != nil {
		return err
	}
	if _, err := sp.WriteAt(content, 0); err != nil {
		return err
	}
	return s.Put(context.Background(), b, key, object.Meta{Size: int64(len(content)), ETag: `"x"`}, sp)
}
