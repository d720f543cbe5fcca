package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetCNAME returns the domains that lead to the bucket (QingStor API, "GET Bucket CNAME"). The status is 200.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) GetCNAME(input *GetBucketCNAMEInput) (*GetBucketCNAMEOutput, error) {
	return b.GetCNAMEWithContext(context.Background(), input)
}

// GetCNAMEWithContext is GetCNAME within ctx, where nil means context.Background.
func (b *Bucket) GetCNAMEWithContext(ctx context.Context, input *GetBucketCNAMEInput) (*GetBucketCNAMEOutput, error) {
	r, out, err := b.GetCNAMERequest(input)
	return send(ctx, r, out, err)
}

// GetCNAMERequest prepares GetCNAME.
func (b *Bucket) GetCNAMERequest(input *GetBucketCNAMEInput) (*request.Request, *GetBucketCNAMEOutput, error) {
	return prepareBucket[GetBucketCNAMEOutput](b, getBucketCNAME, orZero(input))
}

// GetBucketCNAMEInput says which domains.
type GetBucketCNAMEInput struct {
	// Type is "normal", which nil means, or "website".
	Type *string `json:"type,omitempty" name:"type" location:"query" enum:"website normal"`
}

// Validate checks Type.
func (v *GetBucketCNAMEInput) Validate() error { return validate(v) }

// GetBucketCNAMEOutput is the domains.
type GetBucketCNAMEOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	CnameRecords []*CnameRecordType `json:"cname_records,omitempty" name:"cname_records" location:"elements"`
	// Count is the number of domains.
	Count *int `json:"count,omitempty" name:"count" location:"elements"`
}

// PutCNAME makes a domain lead to the bucket (QingStor API, "PUT Bucket CNAME"). The status is 200.
// It is refused with 400 cname_error or invalid_argument, 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) PutCNAME(input *PutBucketCNAMEInput) (*PutBucketCNAMEOutput, error) {
	return b.PutCNAMEWithContext(context.Background(), input)
}

// PutCNAMEWithContext is PutCNAME within ctx, where nil means context.Background.
func (b *Bucket) PutCNAMEWithContext(ctx context.Context, input *PutBucketCNAMEInput) (*PutBucketCNAMEOutput, error) {
	r, out, err := b.PutCNAMERequest(input)
	return send(ctx, r, out, err)
}

// PutCNAMERequest prepares PutCNAME.
func (b *Bucket) PutCNAMERequest(input *PutBucketCNAMEInput) (*request.Request, *PutBucketCNAMEOutput, error) {
	return prepareBucket[PutBucketCNAMEOutput](b, putBucketCNAME, orZero(input))
}

// PutBucketCNAMEInput is a domain.
type PutBucketCNAMEInput struct {
	// Domain is a host name; it is required.
	Domain *string `json:"domain" name:"domain" location:"elements" required:"true"`
	// Type is "normal", which nil means, for the API, or "website" for a static website.
	Type *string `json:"type,omitempty" name:"type" location:"elements" enum:"normal website"`
}

// Validate checks that Domain is given, and Type.
func (v *PutBucketCNAMEInput) Validate() error { return validate(v) }

// PutBucketCNAMEOutput says that the domain leads to the bucket.
type PutBucketCNAMEOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeleteCNAME makes a domain lead to the bucket no longer (QingStor API, "DELETE Bucket CNAME"). The status is 204.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeleteCNAME(input *DeleteBucketCNAMEInput) (*DeleteBucketCNAMEOutput, error) {
	return b.DeleteCNAMEWithContext(context.Background(), input)
}

// DeleteCNAMEWithContext is DeleteCNAME within ctx, where nil means context.Background.
func (b *Bucket) DeleteCNAMEWithContext(ctx context.Context, input *DeleteBucketCNAMEInput) (*DeleteBucketCNAMEOutput, error) {
	r, out, err := b.DeleteCNAMERequest(input)
	return send(ctx, r, out, err)
}

// DeleteCNAMERequest prepares DeleteCNAME.
func (b *Bucket) DeleteCNAMERequest(input *DeleteBucketCNAMEInput) (*request.Request, *DeleteBucketCNAMEOutput, error) {
	return prepareBucket[DeleteBucketCNAMEOutput](b, deleteBucketCNAME, orZero(input))
}

// DeleteBucketCNAMEInput is the domain.
type DeleteBucketCNAMEInput struct {
	Domain *string `json:"domain" name:"domain" location:"elements" required:"true"`
}

// Validate checks that Domain is given.
func (v *DeleteBucketCNAMEInput) Validate() error { return validate(v) }

// DeleteBucketCNAMEOutput says that the domain does not lead to the bucket.
type DeleteBucketCNAMEOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// CnameType is a domain to be set (QingStor API, "PUT Bucket CNAME").
type CnameType struct {
	Domain *string `json:"domain" name:"domain" required:"true"`
	Type   *string `json:"type,omitempty" name:"type" enum:"normal website"`
}

// Validate checks that Domain is given, and Type.
func (t *CnameType) Validate() error { return validate(t) }

// CnameRecordType is a domain in a list.
type CnameRecordType struct {
	Created *string `json:"created,omitempty" name:"created"` // a time as text
	Domain  *string `json:"domain,omitempty" name:"domain"`
	Type    *string `json:"type,omitempty" name:"type" enum:"normal website"`
}

// Validate checks Type.
func (t *CnameRecordType) Validate() error { return validate(t) }

// CnameRecordsType is a list of domains.
type CnameRecordsType struct {
	CnameRecords []*CnameRecordType `json:"cname_records,omitempty" name:"cname_records"`
	Count        *int               `json:"count,omitempty" name:"count"`
}

// Validate returns nil: nothing is required.
func (t *CnameRecordsType) Validate() error { return validate(t) }
