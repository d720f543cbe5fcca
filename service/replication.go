package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetReplication returns which objects are copied to another bucket (QingStor API, "GET Bucket Replication"). The status is 200.
// It is refused with 403 permission_denied (only the owner may); 404 is bucket_not_exists or, from Cistern,
// setting_not_exists if there is none.
func (b *Bucket) GetReplication() (*GetBucketReplicationOutput, error) {
	return b.GetReplicationWithContext(context.Background())
}

// GetReplicationWithContext is GetReplication within ctx, where nil means context.Background.
func (b *Bucket) GetReplicationWithContext(ctx context.Context) (*GetBucketReplicationOutput, error) {
	r, out, err := b.GetReplicationRequest()
	return send(ctx, r, out, err)
}

// GetReplicationRequest prepares GetReplication.
func (b *Bucket) GetReplicationRequest() (*request.Request, *GetBucketReplicationOutput, error) {
	return prepareBucket[GetBucketReplicationOutput](b, getBucketReplication, nil)
}

// GetBucketReplicationOutput is the bucket's rules.
type GetBucketReplicationOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	Rules []*RulesType `json:"rules,omitempty" name:"rules" location:"elements"`
}

// PutReplication replaces which objects are copied to another bucket (QingStor API, "PUT Bucket Replication"). The status is 200.
// It is refused with 400 invalid_argument or invalid_request, whose message names the part that is wrong, 403 permission_denied (only the owner may)
// and 404 bucket_not_exists.
func (b *Bucket) PutReplication(input *PutBucketReplicationInput) (*PutBucketReplicationOutput, error) {
	return b.PutReplicationWithContext(context.Background(), input)
}

// PutReplicationWithContext is PutReplication within ctx, where nil means context.Background.
func (b *Bucket) PutReplicationWithContext(ctx context.Context, input *PutBucketReplicationInput) (*PutBucketReplicationOutput, error) {
	r, out, err := b.PutReplicationRequest(input)
	return send(ctx, r, out, err)
}

// PutReplicationRequest prepares PutReplication.
func (b *Bucket) PutReplicationRequest(input *PutBucketReplicationInput) (*request.Request, *PutBucketReplicationOutput, error) {
	return prepareBucket[PutBucketReplicationOutput](b, putBucketReplication, orZero(input))
}

// PutBucketReplicationInput is the new rules.
type PutBucketReplicationInput struct {
	// Rules are required: at most 1,000 rules, whose prefixes do not overlap.
	Rules []*RulesType `json:"rules" name:"rules" location:"elements" required:"true"`
}

// Validate checks that Rules is given, and each rule.
func (v *PutBucketReplicationInput) Validate() error { return validate(v) }

// PutBucketReplicationOutput says that the bucket's rules were set.
type PutBucketReplicationOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeleteReplication takes all rules away; what was copied stays (QingStor API, "DELETE Bucket Replication"). The status is 204, also if there was nothing to take away.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeleteReplication() (*DeleteBucketReplicationOutput, error) {
	return b.DeleteReplicationWithContext(context.Background())
}

// DeleteReplicationWithContext is DeleteReplication within ctx, where nil means context.Background.
func (b *Bucket) DeleteReplicationWithContext(ctx context.Context) (*DeleteBucketReplicationOutput, error) {
	r, out, err := b.DeleteReplicationRequest()
	return send(ctx, r, out, err)
}

// DeleteReplicationRequest prepares DeleteReplication.
func (b *Bucket) DeleteReplicationRequest() (*request.Request, *DeleteBucketReplicationOutput, error) {
	return prepareBucket[DeleteBucketReplicationOutput](b, deleteBucketReplication, nil)
}

// DeleteBucketReplicationOutput says that the bucket's rules are gone.
type DeleteBucketReplicationOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// RulesType is one rule of a replication (QingStor API, "PUT Bucket Replication").
type RulesType struct {
	// DeleteMarker is "enabled" to delete there what is deleted here, or "disabled", which nil means.
	DeleteMarker *string `json:"delete_marker,omitempty" name:"delete_marker" enum:"enabled disabled"`
	// Destination is where objects are copied to; it is required, and the same in all rules.
	Destination *DestinationType `json:"destination" name:"destination" required:"true"`
	// Filters say which objects; they are required.
	Filters *FiltersType `json:"filters" name:"filters" required:"true"`
	// ID is the rule's name, unique in its bucket; it is required.
	ID *string `json:"id" name:"id" required:"true"`
	// Status is "enabled", which nil means, or "disabled".
	Status *string `json:"status,omitempty" name:"status" enum:"enabled disabled"`
	// SyncMarker is "enabled" to copy what was there before the rule as well, or "disabled", which nil means.
	SyncMarker *string `json:"sync_marker,omitempty" name:"sync_marker" enum:"enabled disabled"`
}

// Validate checks that what is required is given, and the values of the rest.
func (t *RulesType) Validate() error { return validate(t) }

// DestinationType is where objects are copied to.
type DestinationType struct {
	Bucket       *string `json:"bucket" name:"bucket" required:"true"`
	StorageClass *string `json:"storage_class,omitempty" name:"storage_class"` // STANDARD or STANDARD_IA; nil means the object's own
	Zone         *string `json:"zone,omitempty" name:"zone"`                   // nil means the bucket's own
}

// Validate checks that Bucket is given.
func (t *DestinationType) Validate() error { return validate(t) }

// FiltersType is the objects that a rule is about.
type FiltersType struct {
	Prefix *string `json:"prefix,omitempty" name:"prefix"` // nil means all
}

// Validate returns nil: nothing is required.
func (t *FiltersType) Validate() error { return validate(t) }
