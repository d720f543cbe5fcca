package service

import (
	"context"
	"time"

	"github.com/cisternhq/cistern/request"
)

// ListObjectVersions returns one page of the versions of the bucket's objects (QingStor API, "List Object Versions"). The status is 200.
// For the next page give NextKeyMarker as KeyMarker and NextVersionIDMarker as VersionIDMarker, until HasMore is false.
// It is refused with 400 invalid_argument, 403 permission_denied and 404 bucket_not_exists. QingStor's Go SDK lacks it.
func (b *Bucket) ListObjectVersions(input *ListObjectVersionsInput) (*ListObjectVersionsOutput, error) {
	return b.ListObjectVersionsWithContext(context.Background(), input)
}

// ListObjectVersionsWithContext is ListObjectVersions within ctx, where nil means context.Background.
func (b *Bucket) ListObjectVersionsWithContext(ctx context.Context, input *ListObjectVersionsInput) (*ListObjectVersionsOutput, error) {
	r, out, err := b.ListObjectVersionsRequest(input)
	return send(ctx, r, out, err)
}

// ListObjectVersionsRequest prepares ListObjectVersions.
func (b *Bucket) ListObjectVersionsRequest(input *ListObjectVersionsInput) (*request.Request, *ListObjectVersionsOutput, error) {
	return prepareBucket[ListObjectVersionsOutput](b, listObjectVersions, orZero(input))
}

// ListObjectVersionsInput says which versions.
type ListObjectVersionsInput struct {
	// Delimiter is one character. Keys that share the text between Prefix and its first appearance become one common prefix.
	Delimiter *string `json:"delimiter,omitempty" name:"delimiter" location:"query"`
	// KeyMarker is the NextKeyMarker of the page before; nil means from the beginning.
	KeyMarker *string `json:"key_marker,omitempty" name:"key_marker" location:"query"`
	// Limit is how many versions and common prefixes at most. nil means the server's default; it lowers what is too large.
	Limit *int `json:"limit,omitempty" name:"limit" location:"query"`
	// Prefix is what keys begin with; nil means all.
	Prefix *string `json:"prefix,omitempty" name:"prefix" location:"query"`
	// VersionIDMarker is the NextVersionIDMarker of the page before; nil means the first version after KeyMarker.
	VersionIDMarker *string `json:"version_id_marker,omitempty" name:"version_id_marker" location:"query"`
}

// Validate returns nil: nothing is required.
func (v *ListObjectVersionsInput) Validate() error { return validate(v) }

// ListObjectVersionsOutput is one page, in byte order of the keys, the newest version of a key first.
type ListObjectVersionsOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	CommonPrefixes []*string            `json:"common_prefixes,omitempty" name:"common_prefixes" location:"elements"`
	Delimiter      *string              `json:"delimiter,omitempty" name:"delimiter" location:"elements"`
	HasMore        *bool                `json:"has_more,omitempty" name:"has_more" location:"elements"`
	KeyMarker      *string              `json:"key_marker,omitempty" name:"key_marker" location:"elements"`
	Keys           []*ObjectVersionType `json:"keys,omitempty" name:"keys" location:"elements"`
	Limit          *int                 `json:"limit,omitempty" name:"limit" location:"elements"`
	// Name is the bucket's.
	Name *string `json:"name,omitempty" name:"name" location:"elements"`
	// NextKeyMarker is "" on the last page.
	NextKeyMarker       *string    `json:"next_key_marker,omitempty" name:"next_key_marker" location:"elements"`
	NextVersionIDMarker *string    `json:"next_version_id_marker,omitempty" name:"next_version_id_marker" location:"elements"`
	Owner               *OwnerType `json:"owner,omitempty" name:"owner" location:"elements"`
	Prefix              *string    `json:"prefix,omitempty" name:"prefix" location:"elements"`
	VersionIDMarker     *string    `json:"version_id_marker,omitempty" name:"version_id_marker" location:"elements"`
}

// ObjectVersionType is a version of an object in a list (QingStor API, "List Object Versions").
type ObjectVersionType struct {
	Created      *time.Time `json:"created,omitempty" name:"created"`
	DeleteMarker *bool      `json:"delete_marker,omitempty" name:"delete_marker"` // the version says that the object was deleted
	Encrypted    *bool      `json:"encrypted,omitempty" name:"encrypted"`
	Etag         *string    `json:"etag,omitempty" name:"etag"`           // with its quotes
	IsLatest     *bool      `json:"is_latest,omitempty" name:"is_latest"` // the version is the object that GetObject returns
	Key          *string    `json:"key,omitempty" name:"key"`
	MimeType     *string    `json:"mime_type,omitempty" name:"mime_type"`
	Modified     *int       `json:"modified,omitempty" name:"modified"`           // seconds since 1970
	Size         *int64     `json:"size,omitempty" name:"size"`                   // bytes
	StorageClass *string    `json:"storage_class,omitempty" name:"storage_class"` // STANDARD or STANDARD_IA
	VersionID    *string    `json:"version_id,omitempty" name:"version_id"`
}

// Validate returns nil: nothing is required.
func (t *ObjectVersionType) Validate() error { return validate(t) }
