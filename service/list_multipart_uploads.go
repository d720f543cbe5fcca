package service

import (
	"context"
	"time"

	"github.com/cisternhq/cistern/request"
)

// ListMultipartUploads returns one page of the bucket's uploads that are neither completed nor aborted (QingStor API, "List Multipart Uploads"). The status is 200.
// For the next page give NextKeyMarker as KeyMarker and NextUploadIDMarker as UploadIDMarker, until HasMore is false.
// It is refused with 400 invalid_argument, 403 permission_denied and 404 bucket_not_exists.
func (b *Bucket) ListMultipartUploads(input *ListMultipartUploadsInput) (*ListMultipartUploadsOutput, error) {
	return b.ListMultipartUploadsWithContext(context.Background(), input)
}

// ListMultipartUploadsWithContext is ListMultipartUploads within ctx, where nil means context.Background.
func (b *Bucket) ListMultipartUploadsWithContext(ctx context.Context, input *ListMultipartUploadsInput) (*ListMultipartUploadsOutput, error) {
	r, out, err := b.ListMultipartUploadsRequest(input)
	return send(ctx, r, out, err)
}

// ListMultipartUploadsRequest prepares ListMultipartUploads.
func (b *Bucket) ListMultipartUploadsRequest(input *ListMultipartUploadsInput) (*request.Request, *ListMultipartUploadsOutput, error) {
	return prepareBucket[ListMultipartUploadsOutput](b, listMultipartUploads, orZero(input))
}

// ListMultipartUploadsInput says which uploads.
type ListMultipartUploadsInput struct {
	// Delimiter is one character. Keys that share the text between Prefix and its first appearance become one common prefix.
	Delimiter *string `json:"delimiter,omitempty" name:"delimiter" location:"query"`
	// KeyMarker is the NextKeyMarker of the page before; nil means from the beginning.
	KeyMarker *string `json:"key_marker,omitempty" name:"key_marker" location:"query"`
	// Limit is how many uploads and common prefixes at most, up to 1,000; nil means 200.
	Limit *int `json:"limit,omitempty" name:"limit" location:"query"`
	// Prefix is what keys begin with; nil means all.
	Prefix *string `json:"prefix,omitempty" name:"prefix" location:"query"`
	// UploadIDMarker is the NextUploadIDMarker of the page before; nil means the first upload after KeyMarker.
	UploadIDMarker *string `json:"upload_id_marker,omitempty" name:"upload_id_marker" location:"query"`
}

// Validate returns nil: nothing is required.
func (v *ListMultipartUploadsInput) Validate() error { return validate(v) }

// ListMultipartUploadsOutput is one page, in byte order of the keys.
type ListMultipartUploadsOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	CommonPrefixes []*string `json:"common_prefixes,omitempty" name:"common_prefixes" location:"elements"`
	Delimiter      *string   `json:"delimiter,omitempty" name:"delimiter" location:"elements"`
	HasMore        *bool     `json:"has_more,omitempty" name:"has_more" location:"elements"`
	Limit          *int      `json:"limit,omitempty" name:"limit" location:"elements"`
	// Marker is the KeyMarker that was asked for.
	Marker *string `json:"marker,omitempty" name:"marker" location:"elements"`
	// Name is the bucket's.
	Name *string `json:"name,omitempty" name:"name" location:"elements"`
	// NextKeyMarker is "" on the last page.
	NextKeyMarker      *string        `json:"next_key_marker,omitempty" name:"next_key_marker" location:"elements"`
	NextUploadIDMarker *string        `json:"next_upload_id_marker,omitempty" name:"next_upload_id_marker" location:"elements"`
	Prefix             *string        `json:"prefix,omitempty" name:"prefix" location:"elements"`
	Uploads            []*UploadsType `json:"uploads,omitempty" name:"uploads" location:"elements"`
}

// UploadsType is an upload in a list (QingStor API, "List Multipart Uploads").
type UploadsType struct {
	Created  *time.Time `json:"created,omitempty" name:"created"`
	Key      *string    `json:"key,omitempty" name:"key"`
	UploadID *string    `json:"upload_id,omitempty" name:"upload_id"`
}

// Validate returns nil: nothing is required.
func (t *UploadsType) Validate() error { return validate(t) }
