package cistern

import (
	"context"
	"slices"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Buckets returns the buckets that c owns, in byte order of their names; for the operator every bucket.
func (s *Server) Buckets(ctx context.Context, c Caller) ([]store.Bucket, error) {
	if c.Anonymous() {
		return nil, denied("buckets are listed for signed requests only")
	}
	all, err := s.store.Buckets(ctx)
	if err != nil || c.Operator {
		return all, err
	}
	return slices.DeleteFunc(all, func(b store.Bucket) bool { return b.Owner != c.Owner }), nil
}

// CreateBucket makes a private, empty bucket that belongs to c. It fails with [object.ErrBucketExists] also for a bucket of c's own, and with
// [object.ErrTooManyBuckets] if c has as many as a user may.
func (s *Server) CreateBucket(ctx context.Context, c Caller, name, zone string) error {
	if c.Anonymous() {
		return denied("buckets are made by signed requests only")
	}
	if err := object.CheckBucket(name); err != nil {
		return object.Explain(object.ErrInvalidBucketName, "%v", err)
	}
	most := s.maxBuckets
	if c.Operator {
		most = 0
	}
	_, err := s.store.CreateBucketWithin(ctx, name, c.Owner, zone, most)
	return err
}

// HeadBucket fails unless the bucket exists and c may see it.
func (s *Server) HeadBucket(ctx context.Context, c Caller, name string) error {
	_, err := s.open(ctx, c, name, "", headBucket)
	return err
}

// Stats is what a bucket holds: of what is stored, nothing of the source.
type Stats struct {
	store.Bucket
	store.Usage
	// Classes says the same of each storage class of which it holds something.
	Classes map[string]store.Usage
}

// BucketStats counts what a bucket holds. It is exact at once.
func (s *Server) BucketStats(ctx context.Context, c Caller, name string) (Stats, error) {
	b, err := s.open(ctx, c, name, "", bucketStats)
	if err != nil {
		return Stats{}, err
	}
	total, classes, err := s.store.UsageByClass(ctx, b)
	return Stats{b, total, classes}, err
}

// DeleteBucket removes an empty bucket with its settings. Fills that run for it end without commit.
func (s *Server) DeleteBucket(ctx context.Context, c Caller, name string) error {
	b, err := s.open(ctx, c, name, "", own)
	if err != nil {
		return err
	}
	if err := s.store.DeleteBucket(ctx, b); err != nil {
		return err
	}
	s.filler.ForgetBucket(b.ID)
	return nil
}

// List returns a page of the bucket's objects: of what is stored, nothing of the source.
func (s *Server) List(ctx context.Context, c Caller, bucket string, q store.ListQuery) (store.Bucket, store.Page, error) {
	b, err := s.open(ctx, c, bucket, q.Prefix, listObjects)
	if err != nil {
		return store.Bucket{}, store.Page{}, err
	}
	p, err := s.store.List(ctx, b, q)
	return b, p, err
}
