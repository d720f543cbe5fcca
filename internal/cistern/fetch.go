package cistern

import (
	"context"
	"errors"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
)

// Fetch says what a fetch brings.
type Fetch struct {
	// URL is the object's, see [origin.ParseURL].
	URL string
	// IfUnmodifiedSince must hold of an object that is under the key already; the zero time always does.
	IfUnmodifiedSince time.Time
	// StorageClass is the object's; "" means STANDARD.
	StorageClass string
	// Hops is how many mirrors the request came through.
	Hops int
}

// Fetch brings what is at a URL and stores it, whatever was there, with the metadata that a fill keeps. It may go where a mirror that c sets may lead. The
// end of ctx ends it; what is not whole is not stored. It fails with [object.ErrInvalidArgument] for a URL that is malformed or leads where it may not,
// [object.ErrPrecondition], [object.ErrFetching], and as a fill does.
func (s *Server) Fetch(ctx context.Context, c Caller, bucket, key string, f Fetch) (object.Meta, error) {
	b, err := s.target(ctx, c, bucket, key)
	if err != nil {
		return object.Meta{}, err
	}
	src, err := origin.ParseURL(f.URL)
	if err != nil {
		return object.Meta{}, err
	}
	src.Private = c.Operator
	if err := s.origin.CheckURL(src); err != nil {
		return object.Meta{}, err
	}
	// Before anything is brought, and once more when it is stored.
	old, err := s.store.Stat(ctx, b, key)
	switch {
	case err == nil:
		err = f.allows(&old)
	case errors.Is(err, object.ErrNoSuchKey):
		err = nil
	}
	if err != nil {
		return object.Meta{}, err
	}
	var m object.Meta
	_, err = s.filler.Fetch(ctx, fill.Want{Bucket: b, Key: key, Source: src, Hops: f.Hops}, func(got object.Meta, spool store.Spool) error {
		got.StorageClass = f.StorageClass
		// Its own time, not the source's: what was there before may be younger than that, and whoever has it must see that it changed.
		got.Created, got.LastModified = now()
		// Everything is there: what ends the request now comes too late.
		m, err = s.store.PutIf(context.WithoutCancel(ctx), b, key, got, spool, f.allows)
		return err
	})
	if err != nil {
		return object.Meta{}, err
	}
	s.filler.Forget(b.ID, key)
	return m, nil
}

// allows judges what is under the key, nil for nothing.
func (f Fetch) allows(old *object.Meta) error {
	if old == nil || f.IfUnmodifiedSince.IsZero() {
		return nil
	}
	changed := old.LastModified
	if came := old.Created.Truncate(time.Second); came.After(changed) {
		changed = came // a fill keeps the source's time
	}
	if changed.After(f.IfUnmodifiedSince) {
		return object.Explain(object.ErrPrecondition, "the object was changed at %s", changed.Format(time.RFC3339))
	}
	return nil
}
