package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// GetExternalMirror returns the bucket's source site, as it was set (QingStor API, "GET Bucket External Mirror"). The status is 200.
// It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists; Cistern answers 404
// mirror_not_exists if there is none.
func (b *Bucket) GetExternalMirror() (*GetBucketExternalMirrorOutput, error) {
	return b.GetExternalMirrorWithContext(context.Background())
}

// GetExternalMirrorWithContext is GetExternalMirror within ctx, where nil means context.Background.
func (b *Bucket) GetExternalMirrorWithContext(ctx context.Context) (*GetBucketExternalMirrorOutput, error) {
	r, out, err := b.GetExternalMirrorRequest()
	return send(ctx, r, out, err)
}

// GetExternalMirrorRequest prepares GetExternalMirror.
func (b *Bucket) GetExternalMirrorRequest() (*request.Request, *GetBucketExternalMirrorOutput, error) {
	return prepareBucket[GetBucketExternalMirrorOutput](b, getBucketExternalMirror, nil)
}

// GetBucketExternalMirrorOutput is the setting.
type GetBucketExternalMirrorOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	SourceSite *string `json:"source_site,omitempty" name:"source_site" location:"elements"`
}

// PutExternalMirror sets where objects that are asked for and not there are fetched from (QingStor API, "PUT Bucket External Mirror").
// The status is 200. The last setting counts. It is refused with 400 invalid_argument, whose message names the part
// of the source site that is wrong, 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) PutExternalMirror(input *PutBucketExternalMirrorInput) (*PutBucketExternalMirrorOutput, error) {
	return b.PutExternalMirrorWithContext(context.Background(), input)
}

// PutExternalMirrorWithContext is PutExternalMirror within ctx, where nil means context.Background.
func (b *Bucket) PutExternalMirrorWithContext(ctx context.Context, input *PutBucketExternalMirrorInput) (*PutBucketExternalMirrorOutput, error) {
	r, out, err := b.PutExternalMirrorRequest(input)
	return send(ctx, r, out, err)
}

// PutExternalMirrorRequest prepares PutExternalMirror.
func (b *Bucket) PutExternalMirrorRequest(input *PutBucketExternalMirrorInput) (*request.Request, *PutBucketExternalMirrorOutput, error) {
	return prepareBucket[PutBucketExternalMirrorOutput](b, putBucketExternalMirror, orZero(input))
}

// PutBucketExternalMirrorInput is the setting.
type PutBucketExternalMirrorInput struct {
	// SourceSite is <protocol>://<host>[:<port>]/[<path>]; the protocol is http or https, http if left out. It is required. An object's key is appended to
	// its end.
	SourceSite *string `json:"source_site" name:"source_site" location:"elements" required:"true"`
}

// Validate checks that SourceSite is given.
func (v *PutBucketExternalMirrorInput) Validate() error { return validate(v) }

// PutBucketExternalMirrorOutput says that the source site was set.
type PutBucketExternalMirrorOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// DeleteExternalMirror takes the source site away; what was fetched stays (QingStor API, "DELETE Bucket External Mirror"). The status
// is 204, also if there was none. It is refused with 403 permission_denied (only the owner may) and 404 bucket_not_exists.
func (b *Bucket) DeleteExternalMirror() (*DeleteBucketExternalMirrorOutput, error) {
	return b.DeleteExternalMirrorWithContext(context.Background())
}

// DeleteExternalMirrorWithContext is DeleteExternalMirror within ctx, where nil means context.Background.
func (b *Bucket) DeleteExternalMirrorWithContext(ctx context.Context) (*DeleteBucketExternalMirrorOutput, error) {
	r, out, err := b.DeleteExternalMirrorRequest()
	return send(ctx, r, out, err)
}

// DeleteExternalMirrorRequest prepares DeleteExternalMirror.
func (b *Bucket) DeleteExternalMirrorRequest() (*request.Request, *DeleteBucketExternalMirrorOutput, error) {
	return prepareBucket[DeleteBucketExternalMirrorOutput](b, deleteBucketExternalMirror, nil)
}

// DeleteBucketExternalMirrorOutput says that the bucket has no source site.
type DeleteBucketExternalMirrorOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}
