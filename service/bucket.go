package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// Put creates the bucket, in the zone it was opened with and private to the caller (QingStor API, "PUT Bucket"). The status is 201.
// It is refused with 400 invalid_bucket_name or invalid_location, 403 too_many_buckets, and 409 bucket_already_exists,
// also if the bucket is the caller's own.
func (b *Bucket) Put() (*PutBucketOutput, error) {
	return b.PutWithContext(context.Background())
}

// PutWithContext is Put within ctx, where nil means context.Background.
func (b *Bucket) PutWithContext(ctx context.Context) (*PutBucketOutput, error) {
	r, out, err := b.PutRequest()
	return send(ctx, r, out, err)
}

// PutRequest prepares Put.
func (b *Bucket) PutRequest() (*request.Request, *PutBucketOutput, error) {
	return prepareBucket[PutBucketOutput](b, putBucket, nil)
}

// PutBucketOutput says that the bucket was created.
type PutBucketOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// Head asks whether the bucket is there and may be read by the caller (QingStor API, "HEAD Bucket"). The status is 200.
// It is refused with 403 or 404; the error has no Code, because answers to HEAD have no body.
func (b *Bucket) Head() (*HeadBucketOutput, error) {
	return b.HeadWithContext(context.Background())
}

// HeadWithContext is Head within ctx, where nil means context.Background.
func (b *Bucket) HeadWithContext(ctx context.Context) (*HeadBucketOutput, error) {
	r, out, err := b.HeadRequest()
	return send(ctx, r, out, err)
}

// HeadRequest prepares Head.
func (b *Bucket) HeadRequest() (*request.Request, *HeadBucketOutput, error) {
	return prepareBucket[HeadBucketOutput](b, headBucket, nil)
}

// HeadBucketOutput says that the bucket is there.
type HeadBucketOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// Delete removes the bucket, which must be empty (QingStor API, "DELETE Bucket"). The status is 204.
// It is refused with 403 permission_denied, 404 bucket_not_exists and 409 bucket_not_empty.
func (b *Bucket) Delete() (*DeleteBucketOutput, error) {
	return b.DeleteWithContext(context.Background())
}

// DeleteWithContext is Delete within ctx, where nil means context.Background.
func (b *Bucket) DeleteWithContext(ctx context.Context) (*DeleteBucketOutput, error) {
	r, out, err := b.DeleteRequest()
	return send(ctx, r, out, err)
}

// DeleteRequest prepares Delete.
func (b *Bucket) DeleteRequest() (*request.Request, *DeleteBucketOutput, error) {
	return prepareBucket[DeleteBucketOutput](b, deleteBucket, nil)
}

// DeleteBucketOutput says that the bucket is gone.
type DeleteBucketOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}
