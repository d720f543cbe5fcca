package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetCORS returns what pages of other origins may do with the bucket (QingStor API, "GET Bucket CORS"). The status is 200.
// It is refused with 403 permission_denied (only the owner may); 404 is bucket_not_exists or, from Cistern,
// setting_not_exists if there is none.
func (b *Bucket) GetCORS() (*GetBucketCORSOutput, error) {
	return b.GetCORSWithContext(context.Background())
}

// GetCORSWithContext is GetCORS within ctx, where nil means context.Background.
func (b *Bucket) GetCORSWithContext(ctx context.Context) (*GetBucketCORSOutput, error) {
	r, out, err := b.GetCORSRequest()
	return send(ctx, r, out, err)
}

// GetCORSRequest prepares GetCORS.
func (b *Bucket) GetCORSRequest() (*request.Request, *GetBucketCORSOutput, error) {
	return prepareBucket[GetBucketCORSOutput](b, getBucketCORS, nil)
}

// GetBucketCORSOutput is the bucket's rules.
type GetBucketCORSOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	CORSRules []*CORSRuleType `json:"cors_rules,omitempty" name:"cors_rules" location:"elements"`
	// RespVary is "enabled" if answers carry "Vary: Origin"; nil means "disabled". QingStor's SDK lacks it.
	RespVary *string `json:"resp_vary,omitempty" name:"resp_vary" location:"elements"`
}

// PutCORS replaces what pages of other origins may do with the bucket (QingStor API, "PUT Bucket CORS"). The status is 200.
// It is refused with 400 invalid_argument or invalid_request, whose message names the part that is wrong, 403 permission_denied (only the owner may)
// and 404 bucket_not_exists.
func (b *Bucket) PutCORS(input *PutBucketCORSInput) (*PutBucketCORSOutput, error) {
	return b.PutCORSWithContext(context.Background(), input)
}

// PutCORSWithContext is PutCORS within ctx, where nil means context.Background.
func (b *Bucket) PutCORSWithContext(ctx context.Context, input *PutBucketCORSInput) (*PutBucketCORSOutput, error) {
	r, out, err := b.PutCORSRequest(input)
	return send(ctx, r, out, err)
}

// PutCORSRequest prepares PutCORS.
func (b *Bucket) PutCORSRequest(input *PutBucketCORSInput) (*request.Request, *PutBucketCORSOutput, error) {
	return prepareBucket[PutBucketCORSOutput](b, putBucketCORS, orZero(input))
}

// PutBucketCORSInput is the new rules.
type PutBucketCORSInput struct {
	// CORSRules are required. The first rule that fits counts.
	CORSRules []*CORSRuleType `json:"cors_rules" name:"cors_rules" location:"elements" required:"true"`
	// RespVary is "enabled" to put "Vary: Origin" on answers; nil means "disabled". QingStor's SDK lacks it.
	RespVary *string `json:"resp_vary,omitempty" name:"resp_vary" location:"elements"`
}

// Validate checks that CORSRules is given, and each rule.
func (v *PutBucketCORSInput) Validate() error { return validate(v) }

// PutBucketCORSOutput says that the bucket's rules were set.
type PutBucketCORSOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeleteCORS takes all rules away: pages of other origins may do nothing (QingStor API, "DELETE Bucket CORS"). The status is 204, also if there was nothing to take away.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeleteCORS() (*DeleteBucketCORSOutput, error) {
	return b.DeleteCORSWithContext(context.Background())
}

// DeleteCORSWithContext is DeleteCORS within ctx, where nil means context.Background.
func (b *Bucket) DeleteCORSWithContext(ctx context.Context) (*DeleteBucketCORSOutput, error) {
	r, out, err := b.DeleteCORSRequest()
	return send(ctx, r, out, err)
}

// DeleteCORSRequest prepares DeleteCORS.
func (b *Bucket) DeleteCORSRequest() (*request.Request, *DeleteBucketCORSOutput, error) {
	return prepareBucket[DeleteBucketCORSOutput](b, deleteBucketCORS, nil)
}

// DeleteBucketCORSOutput says that the bucket's rules are gone.
type DeleteBucketCORSOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// CORSRuleType is what pages of one origin may do (QingStor API, "PUT Bucket CORS").
type CORSRuleType struct {
	// AllowedHeaders are the request headers that a page may set; "*" stands for any text. nil means none.
	AllowedHeaders []*string `json:"allowed_headers,omitempty" name:"allowed_headers"`
	// AllowedMethods are of GET, PUT, POST, DELETE and HEAD; "*" stands for all. They are required.
	AllowedMethods []*string `json:"allowed_methods" name:"allowed_methods" required:"true"`
	// AllowedOrigin is an origin such as "https://example.com", in which one "*" stands for any text. It is required.
	AllowedOrigin *string `json:"allowed_origin" name:"allowed_origin" required:"true"`
	// ExposeHeaders are the answer's headers that a page may read beside the usual ones; nil means none.
	ExposeHeaders []*string `json:"expose_headers,omitempty" name:"expose_headers"`
	// MaxAgeSeconds is how long a browser may remember the answer to a preflight request, in seconds; nil means that nothing is said.
	MaxAgeSeconds *int `json:"max_age_seconds,omitempty" name:"max_age_seconds"`
}

// Validate checks that AllowedMethods and AllowedOrigin are given.
func (t *CORSRuleType) Validate() error { return validate(t) }
