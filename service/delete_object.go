package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// DeleteObject removes an object (QingStor API, "DELETE Object"). The status is 204, also if there was none. In a bucket with a source site the
// next GetObject fetches it again. It is refused with 403 permission_denied and 404 bucket_not_exists.
func (b *Bucket) DeleteObject(objectKey string) (*DeleteObjectOutput, error) {
	return b.DeleteObjectWithContext(context.Background(), objectKey)
}

// DeleteObjectWithContext is DeleteObject within ctx, where nil means context.Background.
func (b *Bucket) DeleteObjectWithContext(ctx context.Context, objectKey string) (*DeleteObjectOutput, error) {
	r, out, err := b.DeleteObjectRequest(objectKey)
	return send(ctx, r, out, err)
}

// DeleteObjectRequest prepares DeleteObject.
func (b *Bucket) DeleteObjectRequest(objectKey string) (*request.Request, *DeleteObjectOutput, error) {
	return prepareObject[DeleteObjectOutput](b, deleteObject, objectKey, nil)
}

// DeleteObjectOutput says that the object is gone.
type DeleteObjectOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// XQSDeleteMarker is true if the version that was made, or removed, is a delete marker. QingStor's Go SDK lacks it.
	XQSDeleteMarker *bool `json:"X-QS-Delete-Marker,omitempty" name:"X-QS-Delete-Marker" location:"headers"`
	// XQSVersionID is that version, in a bucket that keeps versions. QingStor's Go SDK lacks it.
	XQSVersionID *string `json:"X-QS-Version-ID,omitempty" name:"X-QS-Version-ID" location:"headers"`
}

// DeleteObjectVersion removes one version of an object for good (QingStor API, "DELETE Object"). The status is 204, also if there was none.
// It is refused with 400 invalid_argument, 403 permission_denied and 404 bucket_not_exists. QingStor's Go SDK lacks it.
func (b *Bucket) DeleteObjectVersion(objectKey string, input *DeleteObjectVersionInput) (*DeleteObjectOutput, error) {
	return b.DeleteObjectVersionWithContext(context.Background(), objectKey, input)
}

// DeleteObjectVersionWithContext is DeleteObjectVersion within ctx, where nil means context.Background.
func (b *Bucket) DeleteObjectVersionWithContext(ctx context.Context, objectKey string, input *DeleteObjectVersionInput) (*DeleteObjectOutput, error) {
	r, out, err := b.DeleteObjectVersionRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// DeleteObjectVersionRequest prepares DeleteObjectVersion.
func (b *Bucket) DeleteObjectVersionRequest(objectKey string, input *DeleteObjectVersionInput) (*request.Request, *DeleteObjectOutput, error) {
	return prepareObject[DeleteObjectOutput](b, deleteObject, objectKey, orZero(input))
}

// DeleteObjectVersionInput says which version.
type DeleteObjectVersionInput struct {
	// VersionID is required, and may not be empty.
	VersionID *string `json:"version_id" name:"version_id" location:"query" required:"text"`
}

// Validate checks that VersionID is given.
func (v *DeleteObjectVersionInput) Validate() error { return validate(v) }
