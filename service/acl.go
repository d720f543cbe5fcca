package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetACL returns who may do what with the bucket, its owner first (QingStor API, "GET Bucket ACL"). The status is 200.
// Only the owner may ask: others get 403 permission_denied; 404 is bucket_not_exists.
func (b *Bucket) GetACL() (*GetBucketACLOutput, error) {
	return b.GetACLWithContext(context.Background())
}

// GetACLWithContext is GetACL within ctx, where nil means context.Background.
func (b *Bucket) GetACLWithContext(ctx context.Context) (*GetBucketACLOutput, error) {
	r, out, err := b.GetACLRequest()
	return send(ctx, r, out, err)
}

// GetACLRequest prepares GetACL.
func (b *Bucket) GetACLRequest() (*request.Request, *GetBucketACLOutput, error) {
	return prepareBucket[GetBucketACLOutput](b, getBucketACL, nil)
}

// GetBucketACLOutput is the bucket's grants.
type GetBucketACLOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	ACL   []*ACLType `json:"acl,omitempty" name:"acl" location:"elements"`
	Owner *OwnerType `json:"owner,omitempty" name:"owner" location:"elements"`
}

// PutACL replaces the bucket's grants (QingStor API, "PUT Bucket ACL"). The status is 200.
// It is refused with 400 invalid_argument or invalid_json, 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) PutACL(input *PutBucketACLInput) (*PutBucketACLOutput, error) {
	return b.PutACLWithContext(context.Background(), input)
}

// PutACLWithContext is PutACL within ctx, where nil means context.Background.
func (b *Bucket) PutACLWithContext(ctx context.Context, input *PutBucketACLInput) (*PutBucketACLOutput, error) {
	r, out, err := b.PutACLRequest(input)
	return send(ctx, r, out, err)
}

// PutACLRequest prepares PutACL.
func (b *Bucket) PutACLRequest(input *PutBucketACLInput) (*request.Request, *PutBucketACLOutput, error) {
	return prepareBucket[PutBucketACLOutput](b, putBucketACL, orZero(input))
}

// PutBucketACLInput is the new grants.
type PutBucketACLInput struct {
	// ACL is required; an empty list takes all grants away.
	ACL []*ACLType `json:"acl" name:"acl" location:"elements" required:"true"`
}

// Validate checks that ACL is given, and each grant.
func (v *PutBucketACLInput) Validate() error { return validate(v) }

// PutBucketACLOutput says that the grants were replaced.
type PutBucketACLOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}
