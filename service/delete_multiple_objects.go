package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// DeleteMultipleObjects removes up to 1,000 objects (QingStor API, "Delete Multiple Objects"). The status is 200, also if some could not be
// removed: the output says which. A key without an object counts as removed.
// It is refused with 400 bad_digest, invalid_json or too_many_objects, 403 permission_denied and 404 bucket_not_exists.
func (b *Bucket) DeleteMultipleObjects(input *DeleteMultipleObjectsInput) (*DeleteMultipleObjectsOutput, error) {
	return b.DeleteMultipleObjectsWithContext(context.Background(), input)
}

// DeleteMultipleObjectsWithContext is DeleteMultipleObjects within ctx, where nil means context.Background.
func (b *Bucket) DeleteMultipleObjectsWithContext(ctx context.Context, input *DeleteMultipleObjectsInput) (*DeleteMultipleObjectsOutput, error) {
	r, out, err := b.DeleteMultipleObjectsRequest(input)
	return send(ctx, r, out, err)
}

// DeleteMultipleObjectsRequest prepares DeleteMultipleObjects.
func (b *Bucket) DeleteMultipleObjectsRequest(input *DeleteMultipleObjectsInput) (*request.Request, *DeleteMultipleObjectsOutput, error) {
	return prepareBucket[DeleteMultipleObjectsOutput](b, deleteMultipleObjects, orZero(input))
}

// DeleteMultipleObjectsInput says which objects.
type DeleteMultipleObjectsInput struct {
	// Objects are required; of each, Key alone counts.
	Objects []*KeyType `json:"objects" name:"objects" location:"elements" required:"true"`
	// Quiet leaves what was removed out of the output; nil means false.
	Quiet *bool `json:"quiet" name:"quiet" location:"elements"`
}

// Validate checks that Objects is given.
func (v *DeleteMultipleObjectsInput) Validate() error { return validate(v) }

// DeleteMultipleObjectsOutput says what was removed.
type DeleteMultipleObjectsOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	Deleted []*KeyType            `json:"deleted,omitempty" name:"deleted" location:"elements"`
	Errors  []*KeyDeleteErrorType `json:"errors,omitempty" name:"errors" location:"elements"`
}

// KeyDeleteErrorType is an object that was not removed.
type KeyDeleteErrorType struct {
	Code    *string `json:"code,omitempty" name:"code"` // as in errors.QingStorError
	Key     *string `json:"key,omitempty" name:"key"`
	Message *string `json:"message,omitempty" name:"message"`
}

// Validate returns nil: nothing is required.
func (t *KeyDeleteErrorType) Validate() error { return validate(t) }
