package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// ListBuckets lists the caller's buckets, of all zones or of one (QingStor API, "GET Service"). The status is 200.
// It is refused with 401 invalid_access_key_id or signature_not_matched, and with 403 permission_denied when anonymous.
func (s *Service) ListBuckets(input *ListBucketsInput) (*ListBucketsOutput, error) {
	return s.ListBucketsWithContext(context.Background(), input)
}

// ListBucketsWithContext is ListBuckets within ctx, where nil means context.Background.
func (s *Service) ListBucketsWithContext(ctx context.Context, input *ListBucketsInput) (*ListBucketsOutput, error) {
	r, out, err := s.ListBucketsRequest(input)
	return send(ctx, r, out, err)
}

// ListBucketsRequest prepares ListBuckets.
func (s *Service) ListBucketsRequest(input *ListBucketsInput) (*request.Request, *ListBucketsOutput, error) {
	return prepare[ListBucketsOutput](s.Config, nil, listBuckets, orZero(input))
}

// ListBucketsInput says which buckets.
type ListBucketsInput struct {
	// Limit is how many at most; nil means 200.
	Limit *int `json:"limit,omitempty" name:"limit" location:"query"`
	// Offset is how many to pass over; nil means 0.
	Offset *int `json:"offset,omitempty" name:"offset" location:"query"`
	// Location is the zone whose buckets are listed; nil means all.
	Location *string `json:"Location,omitempty" name:"Location" location:"headers"`
}

// Validate returns nil: nothing is required.
func (v *ListBucketsInput) Validate() error { return validate(v) }

// ListBucketsOutput is the list, in the order of the names.
type ListBucketsOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	Buckets []*BucketType `json:"buckets,omitempty" name:"buckets" location:"elements"`
	// Count is the number of buckets.
	Count *int `json:"count,omitempty" name:"count" location:"elements"`
}
