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
}
