package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetPolicy returns who may do what with the bucket under which conditions (QingStor API, "GET Bucket Policy"). The status is 200.
// It is refused with 403 permission_denied (only the owner may); 404 is bucket_not_exists or, from Cistern,
// setting_not_exists if there is none.
func (b *Bucket) GetPolicy() (*GetBucketPolicyOutput, error) {
	return b.GetPolicyWithContext(context.Background())
}

// GetPolicyWithContext is GetPolicy within ctx, where nil means context.Background.
func (b *Bucket) GetPolicyWithContext(ctx context.Context) (*GetBucketPolicyOutput, error) {
	r, out, err := b.GetPolicyRequest()
	return send(ctx, r, out, err)
}

// GetPolicyRequest prepares GetPolicy.
func (b *Bucket) GetPolicyRequest() (*request.Request, *GetBucketPolicyOutput, error) {
	return prepareBucket[GetBucketPolicyOutput](b, getBucketPolicy, nil)
}

// GetBucketPolicyOutput is the bucket's policy.
type GetBucketPolicyOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	Statement []*StatementType `json:"statement,omitempty" name:"statement" location:"elements"`
}

// PutPolicy replaces who may do what with the bucket under which conditions; it is asked before the ACL, and the first statement that fits decides (QingStor API, "PUT Bucket Policy"). The status is 200.
// It is refused with 400 invalid_argument or invalid_request, whose message names the part that is wrong, 403 permission_denied (only the owner may)
// and 404 bucket_not_exists.
func (b *Bucket) PutPolicy(input *PutBucketPolicyInput) (*PutBucketPolicyOutput, error) {
	return b.PutPolicyWithContext(context.Background(), input)
}

// PutPolicyWithContext is PutPolicy within ctx, where nil means context.Background.
func (b *Bucket) PutPolicyWithContext(ctx context.Context, input *PutBucketPolicyInput) (*PutBucketPolicyOutput, error) {
	r, out, err := b.PutPolicyRequest(input)
	return send(ctx, r, out, err)
}

// PutPolicyRequest prepares PutPolicy.
func (b *Bucket) PutPolicyRequest(input *PutBucketPolicyInput) (*request.Request, *PutBucketPolicyOutput, error) {
	return prepareBucket[PutBucketPolicyOutput](b, putBucketPolicy, orZero(input))
}

// PutBucketPolicyInput is the new policy.
type PutBucketPolicyInput struct {
	// Statement is required. The first that fits a request decides.
	Statement []*StatementType `json:"statement" name:"statement" location:"elements" required:"true"`
}

// Validate checks that Statement is given, and each statement.
func (v *PutBucketPolicyInput) Validate() error { return validate(v) }

// PutBucketPolicyOutput says that the bucket's policy was set.
type PutBucketPolicyOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeletePolicy takes the policy away, so that the ACL alone decides (QingStor API, "DELETE Bucket Policy"). The status is 204, also if there was nothing to take away.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeletePolicy() (*DeleteBucketPolicyOutput, error) {
	return b.DeletePolicyWithContext(context.Background())
}

// DeletePolicyWithContext is DeletePolicy within ctx, where nil means context.Background.
func (b *Bucket) DeletePolicyWithContext(ctx context.Context) (*DeleteBucketPolicyOutput, error) {
	r, out, err := b.DeletePolicyRequest()
	return send(ctx, r, out, err)
}

// DeletePolicyRequest prepares DeletePolicy.
func (b *Bucket) DeletePolicyRequest() (*request.Request, *DeleteBucketPolicyOutput, error) {
	return prepareBucket[DeleteBucketPolicyOutput](b, deleteBucketPolicy, nil)
}

// DeleteBucketPolicyOutput says that the bucket's policy is gone.
type DeleteBucketPolicyOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// StatementType is one statement of a policy (QingStor API, "PUT Bucket Policy").
type StatementType struct {
	// Action is what the statement is about, such as "get_object"; it is required.
	Action []*string `json:"action" name:"action" required:"true"`
	// Condition narrows the statement to some requests; nil means all.
	Condition *ConditionType `json:"condition,omitempty" name:"condition"`
	// Effect is "allow" or "deny"; it is required.
	Effect *string `json:"effect" name:"effect" required:"true" enum:"allow deny"`
	// ID is the statement's name, unique in its policy, at most 100 characters; it is required.
	ID *string `json:"id" name:"id" required:"true"`
	// Resource is "<bucket>" or "<bucket>/<key>", where "*" stands for any text. nil means the bucket; actions on objects require it.
	Resource []*string `json:"resource,omitempty" name:"resource"`
	// User is the IDs of users; "*" stands for everyone. It is required.
	User []*string `json:"user" name:"user" required:"true"`
}

// Validate checks that what is required is given, and Effect.
func (t *StatementType) Validate() error { return validate(t) }

// ConditionType is what has to be true of a request. All operators have to hold.
type ConditionType struct {
	// IPAddress holds if the client's address is in one of the networks.
	IPAddress *IPAddressType `json:"ip_address,omitempty" name:"ip_address"`
	// IsNull holds if the header is absent or empty, or with false if it is not.
	IsNull *IsNullType `json:"is_null,omitempty" name:"is_null"`
	// NotIPAddress holds if the client's address is in none of the networks.
	NotIPAddress *NotIPAddressType `json:"not_ip_address,omitempty" name:"not_ip_address"`
	// StringLike holds if the header fits one of the patterns.
	StringLike *StringLikeType `json:"string_like,omitempty" name:"string_like"`
	// StringNotLike holds if the header fits none of the patterns.
	StringNotLike *StringNotLikeType `json:"string_not_like,omitempty" name:"string_not_like"`
}

// Validate returns nil: nothing is required.
func (t *ConditionType) Validate() error { return validate(t) }

// IPAddressType is the networks that a client may be in.
type IPAddressType struct {
	SourceIP []*string `json:"source_ip,omitempty" name:"source_ip"` // addresses, or networks such as "192.0.2.0/24"
}

// Validate returns nil: nothing is required.
func (t *IPAddressType) Validate() error { return validate(t) }

// NotIPAddressType is the networks that a client may not be in.
type NotIPAddressType struct {
	SourceIP []*string `json:"source_ip,omitempty" name:"source_ip"` // addresses, or networks such as "192.0.2.0/24"
}

// Validate returns nil: nothing is required.
func (t *NotIPAddressType) Validate() error { return validate(t) }

// StringLikeType is the patterns that a header has to fit one of.
type StringLikeType struct {
	Referer []*string `json:"Referer,omitempty" name:"Referer"` // "*" stands for any text
}

// Validate returns nil: nothing is required.
func (t *StringLikeType) Validate() error { return validate(t) }

// StringNotLikeType is the patterns that a header may not fit.
type StringNotLikeType struct {
	Referer []*string `json:"Referer,omitempty" name:"Referer"` // "*" stands for any text
}

// Validate returns nil: nothing is required.
func (t *StringNotLikeType) Validate() error { return validate(t) }

// IsNullType is whether a header has to be absent or empty.
type IsNullType struct {
	Referer *bool `json:"Referer,omitempty" name:"Referer"`
}

// Validate returns nil: nothing is required.
func (t *IsNullType) Validate() error { return validate(t) }
