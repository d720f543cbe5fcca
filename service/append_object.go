package service

import (
	"context"
	"io"

	"github.com/cisternhq/cistern/request"
)

// AppendObject adds Body to the end of an object that was made by this operation, or makes one (QingStor API, "Append Object"). The status is 200.
// It is never repeated by itself: whoever does not get an answer asks HeadObject how far the object reaches.
//
// It is refused with 400 bad_digest, incomplete_body, entity_too_large (over 5 GB at once) or invalid_object_state (the object was made otherwise, or
// Position is not its end), 403 permission_denied and 404 bucket_not_exists.
func (b *Bucket) AppendObject(objectKey string, input *AppendObjectInput) (*AppendObjectOutput, error) {
	return b.AppendObjectWithContext(context.Background(), objectKey, input)
}

// AppendObjectWithContext is AppendObject within ctx, where nil means context.Background.
func (b *Bucket) AppendObjectWithContext(ctx context.Context, objectKey string, input *AppendObjectInput) (*AppendObjectOutput, error) {
	r, out, err := b.AppendObjectRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// AppendObjectRequest prepares AppendObject.
func (b *Bucket) AppendObjectRequest(objectKey string, input *AppendObjectInput) (*request.Request, *AppendObjectOutput, error) {
	return prepareObject[AppendObjectOutput](b, appendObject, objectKey, orZero(input))
}

// AppendObjectInput is what is added.
type AppendObjectInput struct {
	// Position is the object's size so far in bytes, 0 for a new object.
	Position *int64 `json:"position,omitempty" name:"position" location:"query"`
	// ContentLength is the length of Body in bytes; nil means what Body turns out to have.
	ContentLength *int64 `json:"Content-Length,omitempty" name:"Content-Length" location:"headers"`
	// ContentMD5 is Base64 of Body's MD5; nil means that the server checks nothing.
	ContentMD5 *string `json:"Content-MD5,omitempty" name:"Content-MD5" location:"headers"`
	// ContentType counts at position 0 only; nil means application/octet-stream.
	ContentType *string `json:"Content-Type,omitempty" name:"Content-Type" location:"headers"`
	// XQSStorageClass is STANDARD or STANDARD_IA and counts at position 0 only; nil means STANDARD.
	XQSStorageClass *string `json:"X-QS-Storage-Class,omitempty" name:"X-QS-Storage-Class" location:"headers" enum:"STANDARD STANDARD_IA"`

	// Body is the bytes to add; nil means none.
	Body io.Reader `location:"body"`
}

// Validate checks XQSStorageClass.
func (v *AppendObjectInput) Validate() error { return validate(v) }

// AppendObjectOutput says where the object ends now.
type AppendObjectOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// XQSNextAppendPosition is the object's size in bytes.
	XQSNextAppendPosition *int64 `json:"X-QS-Next-Append-Position,omitempty" name:"X-QS-Next-Append-Position" location:"headers"`
}
