package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetLogging returns where logs of the requests for the bucket go (QingStor API, "GET Bucket Logging"). The status is 200.
// It is refused with 403 permission_denied (only the owner may); 404 is bucket_not_exists or, from Cistern,
// setting_not_exists if there is none.
func (b *Bucket) GetLogging() (*GetBucketLoggingOutput, error) {
	return b.GetLoggingWithContext(context.Background())
}

// GetLoggingWithContext is GetLogging within ctx, where nil means context.Background.
func (b *Bucket) GetLoggingWithContext(ctx context.Context) (*GetBucketLoggingOutput, error) {
	r, out, err := b.GetLoggingRequest()
	return send(ctx, r, out, err)
}

// GetLoggingRequest prepares GetLogging.
func (b *Bucket) GetLoggingRequest() (*request.Request, *GetBucketLoggingOutput, error) {
	return prepareBucket[GetBucketLoggingOutput](b, getBucketLogging, nil)
}

// GetBucketLoggingOutput is the target of the bucket's access logs.
type GetBucketLoggingOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	TargetBucket *string `json:"target_bucket,omitempty" name:"target_bucket" location:"elements"`
	TargetPrefix *string `json:"target_prefix,omitempty" name:"target_prefix" location:"elements"`
}

// PutLogging sets where logs of the requests for the bucket go (QingStor API, "PUT Bucket Logging"). The status is 200.
// It is refused with 400 invalid_argument or invalid_request, whose message names the part that is wrong, 403 permission_denied (only the owner may)
// and 404 bucket_not_exists.
func (b *Bucket) PutLogging(input *PutBucketLoggingInput) (*PutBucketLoggingOutput, error) {
	return b.PutLoggingWithContext(context.Background(), input)
}

// PutLoggingWithContext is PutLogging within ctx, where nil means context.Background.
func (b *Bucket) PutLoggingWithContext(ctx context.Context, input *PutBucketLoggingInput) (*PutBucketLoggingOutput, error) {
	r, out, err := b.PutLoggingRequest(input)
	return send(ctx, r, out, err)
}

// PutLoggingRequest prepares PutLogging.
func (b *Bucket) PutLoggingRequest(input *PutBucketLoggingInput) (*request.Request, *PutBucketLoggingOutput, error) {
	return prepareBucket[PutBucketLoggingOutput](b, putBucketLogging, orZero(input))
}

// PutBucketLoggingInput is where the logs are to go.
type PutBucketLoggingInput struct {
	// TargetBucket is a bucket of the same owner and zone; it is required.
	TargetBucket *string `json:"target_bucket" name:"target_bucket" location:"elements" required:"true"`
	// TargetPrefix begins the keys of the logs; it is required.
	TargetPrefix *string `json:"target_prefix" name:"target_prefix" location:"elements" required:"true"`
}

// Validate checks that both fields are given.
func (v *PutBucketLoggingInput) Validate() error { return validate(v) }

// PutBucketLoggingOutput says that the target of the bucket's access logs were set.
type PutBucketLoggingOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeleteLogging ends the logs; those that were written stay (QingStor API, "DELETE Bucket Logging"). The status is 204, also if there was nothing to take away.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeleteLogging() (*DeleteBucketLoggingOutput, error) {
	return b.DeleteLoggingWithContext(context.Background())
}

// DeleteLoggingWithContext is DeleteLogging within ctx, where nil means context.Background.
func (b *Bucket) DeleteLoggingWithContext(ctx context.Context) (*DeleteBucketLoggingOutput, error) {
	r, out, err := b.DeleteLoggingRequest()
	return send(ctx, r, out, err)
}

// DeleteLoggingRequest prepares DeleteLogging.
func (b *Bucket) DeleteLoggingRequest() (*request.Request, *DeleteBucketLoggingOutput, error) {
	return prepareBucket[DeleteBucketLoggingOutput](b, deleteBucketLogging, nil)
}

// DeleteBucketLoggingOutput says that the target of the bucket's access logs are gone.
type DeleteBucketLoggingOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// LoggingType is where access logs go (QingStor API, "PUT Bucket Logging").
type LoggingType struct {
	TargetBucket *string `json:"target_bucket" name:"target_bucket" required:"true"`
	TargetPrefix *string `json:"target_prefix" name:"target_prefix" required:"true"`
}

// Validate checks that both fields are given.
func (t *LoggingType) Validate() error { return validate(t) }
