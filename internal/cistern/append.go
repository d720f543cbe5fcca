package cistern

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Append puts a body behind an object that grows, or makes one at position 0; u.Meta counts only then. It fails with [object.ErrPosition], which a
// [*object.Position] comes with, when the object does not end at position, so that of several that append there one succeeds; with
// [object.ErrObjectState] for an object that was not made by an append; and as Put does. An empty body changes nothing of what is there.
func (s *Server) Append(ctx context.Context, c Caller, bucket, key string, position int64, u Upload) (object.Meta, error) {
	b, err := s.open(ctx, c, bucket, key, createObject)
	if err != nil {
		return object.Meta{}, err
	}
	if err := object.CheckKey(key); err != nil {
		return object.Meta{}, object.Explain(object.ErrInvalidKey, "%v", err)
	}
	if u.Size > object.MaxPutSize {
		return object.Meta{}, appendTooLarge()
	}
	// Before the body is read, as that may take long. Whether it still is so, the store asks again.
	was, err := s.store.Stat(ctx, b, key)
	switch {
	case errors.Is(err, object.ErrNoSuchKey):
		err = appendable(nil, position)
	case err == nil:
		err = appendable(&was, position)
	}
	if err != nil {
		return object.Meta{}, err
	}
	p, spool, err := s.receivePart(ctx, u)
	if errors.Is(err, object.ErrTooLarge) {
		return object.Meta{}, appendTooLarge()
	}
	if err != nil {
		return object.Meta{}, err
	}
	m, err := s.store.Append(ctx, b, key, p, spool, func(was *object.Meta) (object.Meta, error) {
		if err := appendable(was, position); err != nil {
			return object.Meta{}, err
		}
		return appended(was, position, u.Meta, p)
	})
	if err != nil {
		return object.Meta{}, err
	}
	s.filler.Forget(b.ID, key)
	return m, nil
}

func appendTooLarge() error {
	return object.Explain(object.ErrTooLarge, "the body is larger than %d bytes; append it in several calls", int64(object.MaxPutSize))
}

// appendable says why nothing can be put at position behind an object; nil for one that is not there.
func appendable(was *object.Meta, position int64) error {
	var end int64
	if was != nil {
		if !was.Appendable {
			return object.Explain(object.ErrObjectState, "the object was not made by an append; delete it or use another key")
		}
		end = was.Size
	}
	if position != end {
		return &object.Position{Next: end, Err: object.Explain(object.ErrPosition, "the object ends at position %d, not at %d", end, position)}
	}
	return nil
}

// appended is what an object becomes when p is put behind it; was is nil for a new one, which is made of m.
func appended(was *object.Meta, position int64, m object.Meta, p store.Part) (object.Meta, error) {
	if position > object.MaxSize-p.Size {
		return object.Meta{}, object.Explain(object.ErrTooLarge, "the object would have more than %d bytes", int64(object.MaxSize))
	}
	now := time.Now().UTC()
	if was == nil {
		m.Created = now
	} else {
		m = *was
		if p.Size == 0 {
			return m, nil
		}
	}
	m.LastModified = now.Truncate(time.Second)
	// A tag that changes with each append, is another one for other bytes, and that nobody takes for the MD5 of the whole.
	m.ETag = fmt.Sprintf(`"%x-%d"`, md5.Sum([]byte(m.ETag+p.Digest.MD5)), position+p.Size)
	return m, nil
}
