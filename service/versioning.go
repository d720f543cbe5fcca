package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetVersioning returns whether the bucket keeps what is replaced and deleted (QingStor API, "GET Bucket Versioning"). The status is 200.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists. QingStor's Go SDK lacks it.
func (b *Bucket) GetVersioning() (*GetBucketVersioningOutput, error) {
	return b.GetVersioningWithContext(context.Background())
}

// GetVersioningWithContext is GetVersioning within ctx, where nil means context.Background.
func (b *Bucket) GetVersioningWithContext(ctx context.Context) (*GetBucketVersioningOutput, error) {
	r, out, err := b.GetVersioningRequest()
	return send(ctx, r, out, err)
}

// GetVersioningRequest prepares GetVersioning.
func (b *Bucket) GetVersioningRequest() (*request.Request, *GetBucketVersioningOutput, error) {
	return prepareBucket[GetBucketVersioningOutput](b, getBucketVersioning, nil)
}

// GetBucketVersioningOutput is the setting.
type GetBucketVersioningOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// Status is ENABLED, SUSPENDED, or DISABLED if it was never enabled.
	Status *string `json:"status,omitempty" name:"status" location:"elements"`
}

// PutVersioning makes the bucket keep what is replaced and deleted, or stop to (QingStor API, "PUT Bucket Versioning"). The status is 200.
// It is refused with 400 invalid_argument or invalid_request, 403 permission_denied (only the owner may) and 404 bucket_not_exists. QingStor's Go SDK lacks it.
func (b *Bucket) PutVersioning(input *PutBucketVersioningInput) (*PutBucketVersioningOutput, error) {
	return b.PutVersioningWithContext(context.Background(), input)
}

// PutVersioningWithContext is PutVersioning within ctx, where nil means context.Background.
func (b *Bucket) PutVersioningWithContext(ctx context.Context, input *PutBucketVersioningInput) (*PutBucketVersioningOutput, error) {
	r, out, err := b.PutVersioningRequest(input)
	return send(ctx, r, out, err)
}

// PutVersioningRequest prepares PutVersioning.
func (b *Bucket) PutVersioningRequest(input *PutBucketVersioningInput) (*request.Request, *PutBucketVersioningOutput, error) {
	return prepareBucket[PutBucketVersioningOutput](b, putBucketVersioning, orZero(input))
}

// PutBucketVersioningInput is the setting.
type PutBucketVersioningInput struct {
	// Status is ENABLED or SUSPENDED; it is required.
	Status *string `json:"status" name:"status" location:"elements" required:"true" enum:"ENABLED SUSPENDED"`
}

// Validate checks that Status is given, and its value.
func (v *PutBucketVersioningInput) Validate() error { return validate(v) }

// PutBucketVersioningOutput says that it was set.
type PutBucketVersioningOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}
