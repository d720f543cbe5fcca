package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// ListObjects returns one page of the bucket's objects (QingStor API, "GET Bucket (List Objects)"). The status is 200.
// For the next page give NextMarker as Marker, until HasMore is false. It lists what is stored, nothing of a source site.
// It is refused with 400 invalid_argument, 403 permission_denied and 404 bucket_not_exists.
func (b *Bucket) ListObjects(input *ListObjectsInput) (*ListObjectsOutput, error) {
	return b.ListObjectsWithContext(context.Background(), input)
}

// ListObjectsWithContext is ListObjects within ctx, where nil means context.Background.
func (b *Bucket) ListObjectsWithContext(ctx context.Context, input *ListObjectsInput) (*ListObjectsOutput, error) {
	r, out, err := b.ListObjectsRequest(input)
	return send(ctx, r, out, err)
}

// ListObjectsRequest prepares ListObjects.
func (b *Bucket) ListObjectsRequest(input *ListObjectsInput) (*request.Request, *ListObjectsOutput, error) {
	return prepareBucket[ListObjectsOutput](b, listObjects, orZero(input))
}

// ListObjectsInput says which objects.
type ListObjectsInput struct {
	// Delimiter is one character. Keys that share the text between Prefix and its first appearance become one common prefix.
	Delimiter *string `json:"delimiter,omitempty" name:"delimiter" location:"query"`
	// Limit is how many keys and common prefixes at most. nil means the server's default; it lowers what is too large.
	Limit *int `json:"limit,omitempty" name:"limit" location:"query"`
	// Marker is the NextMarker of the page before; nil means from the beginning.
	Marker *string `json:"marker,omitempty" name:"marker" location:"query"`
	// Prefix is what keys begin with; nil means all.
	Prefix *string `json:"prefix,omitempty" name:"prefix" location:"query"`
}

// Validate returns nil: nothing is required.
func (v *ListObjectsInput) Validate() error { return validate(v) }

// ListObjectsOutput is one page, in byte order of the keys.
type ListObjectsOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	CommonPrefixes []*string  `json:"common_prefixes,omitempty" name:"common_prefixes" location:"elements"`
	Delimiter      *string    `json:"delimiter,omitempty" name:"delimiter" location:"elements"`
	HasMore        *bool      `json:"has_more,omitempty" name:"has_more" location:"elements"`
	Keys           []*KeyType `json:"keys,omitempty" name:"keys" location:"elements"`
	Limit          *int       `json:"limit,omitempty" name:"limit" location:"elements"`
	Marker         *string    `json:"marker,omitempty" name:"marker" location:"elements"`
	// Name is the bucket's.
	Name *string `json:"name,omitempty" name:"name" location:"elements"`
	// NextMarker is "" on the last page.
	NextMarker *string    `json:"next_marker,omitempty" name:"next_marker" location:"elements"`
	Owner      *OwnerType `json:"owner,omitempty" name:"owner" location:"elements"`
	Prefix     *string    `json:"prefix,omitempty" name:"prefix" location:"elements"`
}
