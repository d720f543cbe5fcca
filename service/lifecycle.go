package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetLifecycle returns what becomes of objects with time (QingStor API, "GET Bucket Lifecycle"). The status is 200.
// It is refused with 403 permission_denied (only the owner may); 404 is bucket_not_exists or, from Cistern,
// setting_not_exists if there is none.
func (b *Bucket) GetLifecycle() (*GetBucketLifecycleOutput, error) {
	return b.GetLifecycleWithContext(context.Background())
}

// GetLifecycleWithContext is GetLifecycle within ctx, where nil means context.Background.
func (b *Bucket) GetLifecycleWithContext(ctx context.Context) (*GetBucketLifecycleOutput, error) {
	r, out, err := b.GetLifecycleRequest()
	return send(ctx, r, out, err)
}

// GetLifecycleRequest prepares GetLifecycle.
func (b *Bucket) GetLifecycleRequest() (*request.Request, *GetBucketLifecycleOutput, error) {
	return prepareBucket[GetBucketLifecycleOutput](b, getBucketLifecycle, nil)
}

// GetBucketLifecycleOutput is the bucket's rules.
type GetBucketLifecycleOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	Rule []*RuleType `json:"rule,omitempty" name:"rule" location:"elements"`
}

// PutLifecycle replaces what becomes of objects with time (QingStor API, "PUT Bucket Lifecycle"). The status is 200.
// It is refused with 400 invalid_argument or invalid_request, whose message names the part that is wrong, 403 permission_denied (only the owner may)
// and 404 bucket_not_exists.
func (b *Bucket) PutLifecycle(input *PutBucketLifecycleInput) (*PutBucketLifecycleOutput, error) {
	return b.PutLifecycleWithContext(context.Background(), input)
}

// PutLifecycleWithContext is PutLifecycle within ctx, where nil means context.Background.
func (b *Bucket) PutLifecycleWithContext(ctx context.Context, input *PutBucketLifecycleInput) (*PutBucketLifecycleOutput, error) {
	r, out, err := b.PutLifecycleRequest(input)
	return send(ctx, r, out, err)
}

// PutLifecycleRequest prepares PutLifecycle.
func (b *Bucket) PutLifecycleRequest(input *PutBucketLifecycleInput) (*request.Request, *PutBucketLifecycleOutput, error) {
	return prepareBucket[PutBucketLifecycleOutput](b, putBucketLifecycle, orZero(input))
}

// PutBucketLifecycleInput is the new rules.
type PutBucketLifecycleInput struct {
	// Rule is required: at most 100 rules, no two with the same prefix and action.
	Rule []*RuleType `json:"rule" name:"rule" location:"elements" required:"true"`
}

// Validate checks that Rule is given, and each rule.
func (v *PutBucketLifecycleInput) Validate() error { return validate(v) }

// PutBucketLifecycleOutput says that the bucket's rules were set.
type PutBucketLifecycleOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeleteLifecycle takes all rules away: objects stay as they are (QingStor API, "DELETE Bucket Lifecycle"). The status is 204, also if there was nothing to take away.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeleteLifecycle() (*DeleteBucketLifecycleOutput, error) {
	return b.DeleteLifecycleWithContext(context.Background())
}

// DeleteLifecycleWithContext is DeleteLifecycle within ctx, where nil means context.Background.
func (b *Bucket) DeleteLifecycleWithContext(ctx context.Context) (*DeleteBucketLifecycleOutput, error) {
	r, out, err := b.DeleteLifecycleRequest()
	return send(ctx, r, out, err)
}

// DeleteLifecycleRequest prepares DeleteLifecycle.
func (b *Bucket) DeleteLifecycleRequest() (*request.Request, *DeleteBucketLifecycleOutput, error) {
	return prepareBucket[DeleteBucketLifecycleOutput](b, deleteBucketLifecycle, nil)
}

// DeleteBucketLifecycleOutput says that the bucket's rules are gone.
type DeleteBucketLifecycleOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// What TransitionType.StorageClass may be. QingStor's SDK has a number where the API has a text, and says nothing about which number means what.
const (
	TransitionStandard   = 0 // travels as "STANDARD"
	TransitionStandardIA = 1 // travels as "STANDARD_IA"
)

// RuleType is one rule of a lifecycle (QingStor API, "PUT Bucket Lifecycle"). It has one of the three actions.
type RuleType struct {
	// AbortIncompleteMultipartUpload aborts uploads that were never completed; nil means that it does not.
	AbortIncompleteMultipartUpload *AbortIncompleteMultipartUploadType `json:"abort_incomplete_multipart_upload,omitempty" name:"abort_incomplete_multipart_upload"`
	// Expiration deletes objects; nil means that it does not.
	Expiration *ExpirationType `json:"expiration,omitempty" name:"expiration"`
	// Filter says which objects; it is required.
	Filter *FilterType `json:"filter" name:"filter" required:"true"`
	// ID is the rule's name, unique in its bucket, at most 255 characters; it is required.
	ID *string `json:"id" name:"id" required:"true"`
	// Status is "enabled" or "disabled"; it is required.
	Status *string `json:"status" name:"status" required:"true" enum:"enabled disabled"`
	// Transition changes the storage class; nil means that it does not.
	Transition *TransitionType `json:"transition,omitempty" name:"transition"`
}

// Validate checks that what is required is given, and Status.
func (t *RuleType) Validate() error { return validate(t) }

// AbortIncompleteMultipartUploadType is when an upload is given up.
type AbortIncompleteMultipartUploadType struct {
	DaysAfterInitiation *int `json:"days_after_initiation" name:"days_after_initiation" required:"true"`
}

// Validate checks that DaysAfterInitiation is given.
func (t *AbortIncompleteMultipartUploadType) Validate() error { return validate(t) }

// ExpirationType is when an object is deleted.
type ExpirationType struct {
	Days *int `json:"days,omitempty" name:"days"` // after the last change
}

// Validate returns nil: nothing is required.
func (t *ExpirationType) Validate() error { return validate(t) }

// FilterType is the objects that a rule is about.
type FilterType struct {
	Prefix *string `json:"prefix" name:"prefix" required:"true"` // "" means all
}

// Validate checks that Prefix is given.
func (t *FilterType) Validate() error { return validate(t) }

// TransitionType is when an object gets another storage class.
type TransitionType struct {
	Days *int `json:"days,omitempty" name:"days"` // after the last change, at least 30
	// StorageClass is [TransitionStandardIA]; it is required. Other numbers travel as numbers.
	StorageClass *int `json:"storage_class" name:"storage_class" required:"true" codes:"STANDARD STANDARD_IA"`
}

// Validate checks that StorageClass is given.
func (t *TransitionType) Validate() error { return validate(t) }
