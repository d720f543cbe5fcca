package cistern

import (
	"context"
	"errors"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/replicate"
	"github.com/cisternhq/cistern/internal/store"
)

// Versioning returns whether a bucket keeps versions.
func (s *Server) Versioning(ctx context.Context, c Caller, bucket string) (store.Versioning, error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return "", err
	}
	return s.store.Versioning(ctx, b)
}

// SetVersioning makes a bucket keep versions, or stop to. It fails with [object.ErrInvalidRequest] where the bucket is replicated: a copy of it would not
// have its versions (QingStor API, "PUT Bucket Versioning").
func (s *Server) SetVersioning(ctx context.Context, c Caller, bucket string, v store.Versioning) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	if v == store.Enabled {
		switch _, err := s.store.Setting(ctx, b, replicate.Setting); {
		case err == nil:
			return object.Explain(object.ErrInvalidRequest, "the bucket is replicated, so it cannot keep versions; remove its replication first")
		case !errors.Is(err, object.ErrNoSetting):
			return err
		}
	}
	return s.store.SetVersioning(ctx, b, v)
}

// ListVersions returns a page of all versions of the bucket's objects. version goes with q.Marker, see [store.Store.ListVersions].
func (s *Server) ListVersions(ctx context.Context, c Caller, bucket string, q store.ListQuery, version string) (store.Bucket, store.VersionPage, error) {
	b, err := s.open(ctx, c, bucket, q.Prefix, listObjects)
	if err != nil {
		return store.Bucket{}, store.VersionPage{}, err
	}
	p, err := s.store.ListVersions(ctx, b, q, version)
	return b, p, err
}

// DeleteVersion removes one version of an object for good. Versions are there to undo what others did, so only the owner may.
func (s *Server) DeleteVersion(ctx context.Context, c Caller, bucket, key, version string) (store.Removed, error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return store.Removed{}, err
	}
	if err := s.may(ctx, c, b, key, deleteObject); err != nil {
		return store.Removed{}, err
	}
	r, err := s.store.Remove(ctx, b, key, version)
	if err == nil {
		s.filler.Forget(b.ID, key)
	}
	return r, err
}

// hidden returns the error of a key that has no object: found, or the delete marker that says why.
func (s *Server) hidden(ctx context.Context, b store.Bucket, key string, found error) error {
	v, err := s.store.Versioning(ctx, b)
	if err != nil {
		return err
	}
	if v == store.Unversioned {
		return found
	}
	return s.store.Hidden(ctx, b, key)
}
