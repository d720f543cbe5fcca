package service

import (
	"context"
	"io"
	"time"

	"github.com/cisternhq/cistern/request"
)

// InitiateMultipartUpload begins an upload in parts (QingStor API, "Initiate Multipart Upload"). The status is 200. Each call begins another upload; nothing
// is seen of it under the key before CompleteMultipartUpload. Package client/upload does all of it.
// It is refused with 400 invalid_object_name or metadata_too_large, 403 permission_denied and 404 bucket_not_exists.
func (b *Bucket) InitiateMultipartUpload(objectKey string, input *InitiateMultipartUploadInput) (*InitiateMultipartUploadOutput, error) {
	return b.InitiateMultipartUploadWithContext(context.Background(), objectKey, input)
}

// InitiateMultipartUploadWithContext is InitiateMultipartUpload within ctx, where nil means context.Background.
func (b *Bucket) InitiateMultipartUploadWithContext(ctx context.Context, objectKey string, input *InitiateMultipartUploadInput) (*InitiateMultipartUploadOutput, error) {
	r, out, err := b.InitiateMultipartUploadRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// InitiateMultipartUploadRequest prepares InitiateMultipartUpload.
func (b *Bucket) InitiateMultipartUploadRequest(objectKey string, input *InitiateMultipartUploadInput) (*request.Request, *InitiateMultipartUploadOutput, error) {
	return prepareObject[InitiateMultipartUploadOutput](b, initiateMultipartUpload, objectKey, orZero(input))
}

// InitiateMultipartUploadInput describes the object.
type InitiateMultipartUploadInput struct {
	// These are kept and given back. QingStor's SDK lacks all but ContentType.
	CacheControl       *string `json:"Cache-Control,omitempty" name:"Cache-Control" location:"headers"`
	ContentDisposition *string `json:"Content-Disposition,omitempty" name:"Content-Disposition" location:"headers"`
	ContentEncoding    *string `json:"Content-Encoding,omitempty" name:"Content-Encoding" location:"headers"`
	ContentLanguage    *string `json:"Content-Language,omitempty" name:"Content-Language" location:"headers"`
	Expires            *string `json:"Expires,omitempty" name:"Expires" location:"headers"`
	// ContentType is kept and given back; nil means application/octet-stream.
	ContentType *string `json:"Content-Type,omitempty" name:"Content-Type" location:"headers"`

	// The key of an object that is encrypted with a key of the caller: the algorithm is AES256, the key Base64 of 32 bytes, the MD5 Base64 of their MD5.
	// Every part has to have the same.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	XQSEncryptionCustomerKey       *string `json:"X-QS-Encryption-Customer-Key,omitempty" name:"X-QS-Encryption-Customer-Key" location:"headers"`
	XQSEncryptionCustomerKeyMD5    *string `json:"X-QS-Encryption-Customer-Key-MD5,omitempty" name:"X-QS-Encryption-Customer-Key-MD5" location:"headers"`

	// XQSMetaData is the user's metadata. Names carry the prefix "x-qs-meta-"; a value is printable ASCII, or else it is percent-encoded.
	XQSMetaData *map[string]string `json:"X-QS-MetaData,omitempty" name:"X-QS-MetaData" location:"headers"`
	// XQSStorageClass is STANDARD or STANDARD_IA; nil means STANDARD.
	XQSStorageClass *string `json:"X-QS-Storage-Class,omitempty" name:"X-QS-Storage-Class" location:"headers" enum:"STANDARD STANDARD_IA"`
}

// Validate checks XQSStorageClass.
func (v *InitiateMultipartUploadInput) Validate() error { return validate(v) }

// InitiateMultipartUploadOutput names the upload.
type InitiateMultipartUploadOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	Bucket *string `json:"bucket,omitempty" name:"bucket" location:"elements"`
	Key    *string `json:"key,omitempty" name:"key" location:"elements"`
	// UploadID goes into every other call for this upload.
	UploadID *string `json:"upload_id,omitempty" name:"upload_id" location:"elements"`
	// XQSEncryptionCustomerAlgorithm is AES256 for an object that is encrypted with a key of the caller.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
}

// UploadMultipart stores Body as a part of an upload, or with XQSCopySource a range of another object (QingStor API, "Upload Multipart", "Copy Multipart").
// The status is 201. A part that is there is replaced; parts of one upload may be sent side by side.
//
// It is refused with 400 bad_digest, incomplete_body or entity_too_large (over 5 GB), 403 permission_denied and 404 bucket_not_exists or upload_not_exists.
func (b *Bucket) UploadMultipart(objectKey string, input *UploadMultipartInput) (*UploadMultipartOutput, error) {
	return b.UploadMultipartWithContext(context.Background(), objectKey, input)
}

// UploadMultipartWithContext is UploadMultipart within ctx, where nil means context.Background.
func (b *Bucket) UploadMultipartWithContext(ctx context.Context, objectKey string, input *UploadMultipartInput) (*UploadMultipartOutput, error) {
	r, out, err := b.UploadMultipartRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// UploadMultipartRequest prepares UploadMultipart.
func (b *Bucket) UploadMultipartRequest(objectKey string, input *UploadMultipartInput) (*request.Request, *UploadMultipartOutput, error) {
	return prepareObject[UploadMultipartOutput](b, uploadMultipart, objectKey, orZero(input))
}

// UploadMultipartInput is the part.
type UploadMultipartInput struct {
	// PartNumber is 0 to 10,000; it is required. It says where the part stands in the object.
	PartNumber *int `json:"part_number" name:"part_number" location:"query" required:"true"`
	// UploadID is required, and may not be empty.
	UploadID *string `json:"upload_id" name:"upload_id" location:"query" required:"text"`
	// ContentLength is the length of Body in bytes; nil means what Body turns out to have. All parts but the last have at least 4 MiB.
	ContentLength *int64 `json:"Content-Length,omitempty" name:"Content-Length" location:"headers"`
	// ContentMD5 is Base64 of Body's MD5; nil means that the server checks nothing.
	ContentMD5 *string `json:"Content-MD5,omitempty" name:"Content-MD5" location:"headers"`

	// XQSCopyRange is the range of the source, "bytes=0-99"; nil means all of it.
	XQSCopyRange *string `json:"X-QS-Copy-Range,omitempty" name:"X-QS-Copy-Range" location:"headers"`
	// XQSCopySource is /<bucket>/<key> of the object to copy from.
	XQSCopySource *string `json:"X-QS-Copy-Source,omitempty" name:"X-QS-Copy-Source" location:"headers"`

	// The key of the source of a copy, in the same form.
	XQSCopySourceEncryptionCustomerAlgorithm *string `json:"X-QS-Copy-Source-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Copy-Source-Encryption-Customer-Algorithm" location:"headers"`
	XQSCopySourceEncryptionCustomerKey       *string `json:"X-QS-Copy-Source-Encryption-Customer-Key,omitempty" name:"X-QS-Copy-Source-Encryption-Customer-Key" location:"headers"`
	XQSCopySourceEncryptionCustomerKeyMD5    *string `json:"X-QS-Copy-Source-Encryption-Customer-Key-MD5,omitempty" name:"X-QS-Copy-Source-Encryption-Customer-Key-MD5" location:"headers"`

	// Conditions on the source of a copy; nil holds always.
	XQSCopySourceIfMatch           *string    `json:"X-QS-Copy-Source-If-Match,omitempty" name:"X-QS-Copy-Source-If-Match" location:"headers"`
	XQSCopySourceIfModifiedSince   *time.Time `json:"X-QS-Copy-Source-If-Modified-Since,omitempty" name:"X-QS-Copy-Source-If-Modified-Since" location:"headers"`
	XQSCopySourceIfNoneMatch       *string    `json:"X-QS-Copy-Source-If-None-Match,omitempty" name:"X-QS-Copy-Source-If-None-Match" location:"headers"`
	XQSCopySourceIfUnmodifiedSince *time.Time `json:"X-QS-Copy-Source-If-Unmodified-Since,omitempty" name:"X-QS-Copy-Source-If-Unmodified-Since" location:"headers"`

	// The key of an object that is encrypted with a key of the caller: the algorithm is AES256, the key Base64 of 32 bytes, the MD5 Base64 of their MD5.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	XQSEncryptionCustomerKey       *string `json:"X-QS-Encryption-Customer-Key,omitempty" name:"X-QS-Encryption-Customer-Key" location:"headers"`
	XQSEncryptionCustomerKeyMD5    *string `json:"X-QS-Encryption-Customer-Key-MD5,omitempty" name:"X-QS-Encryption-Customer-Key-MD5" location:"headers"`

	// Body is the part's bytes; nil means none.
	Body io.Reader `location:"body"`
}

// Validate checks that PartNumber and UploadID are given.
func (v *UploadMultipartInput) Validate() error { return validate(v) }

// UploadMultipartOutput describes the part.
type UploadMultipartOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// ETag is the part's entity tag with its quotes.
	ETag *string `json:"ETag,omitempty" name:"ETag" location:"headers"`
	// XQSContentCopyRange is what was copied, "bytes <first>-<last>/<size>".
	XQSContentCopyRange *string `json:"X-QS-Content-Copy-Range,omitempty" name:"X-QS-Content-Copy-Range" location:"headers"`
	// XQSEncryptionCustomerAlgorithm is AES256 for an object that is encrypted with a key of the caller.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
}

// ListMultipart returns one page of an upload's parts (QingStor API, "List Multipart"). The status is 200. For the next page give the last part's number
// as PartNumberMarker, until a page has no parts.
// It is refused with 400 invalid_argument, 403 permission_denied and 404 bucket_not_exists or upload_not_exists.
func (b *Bucket) ListMultipart(objectKey string, input *ListMultipartInput) (*ListMultipartOutput, error) {
	return b.ListMultipartWithContext(context.Background(), objectKey, input)
}

// ListMultipartWithContext is ListMultipart within ctx, where nil means context.Background.
func (b *Bucket) ListMultipartWithContext(ctx context.Context, objectKey string, input *ListMultipartInput) (*ListMultipartOutput, error) {
	r, out, err := b.ListMultipartRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// ListMultipartRequest prepares ListMultipart.
func (b *Bucket) ListMultipartRequest(objectKey string, input *ListMultipartInput) (*request.Request, *ListMultipartOutput, error) {
	return prepareObject[ListMultipartOutput](b, listMultipart, objectKey, orZero(input))
}

// ListMultipartInput says which parts.
type ListMultipartInput struct {
	// Limit is how many at most, up to 1,000, which nil means.
	Limit *int `json:"limit,omitempty" name:"limit" location:"query"`
	// PartNumberMarker is the number after which the page begins; nil means from the beginning.
	PartNumberMarker *int `json:"part_number_marker,omitempty" name:"part_number_marker" location:"query"`
	// UploadID is required, and may not be empty.
	UploadID *string `json:"upload_id" name:"upload_id" location:"query" required:"text"`
}

// Validate checks that UploadID is given.
func (v *ListMultipartInput) Validate() error { return validate(v) }

// ListMultipartOutput is one page, in the order of the numbers.
type ListMultipartOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// Count is the number of parts.
	Count       *int              `json:"count,omitempty" name:"count" location:"elements"`
	ObjectParts []*ObjectPartType `json:"object_parts,omitempty" name:"object_parts" location:"elements"`
}

// CompleteMultipartUpload makes the object of parts that were uploaded (QingStor API, "Complete Multipart Upload"). The status is 201. Parts that are not
// named are dropped.
//
// It is refused with 400 invalid_argument, entity_too_small (a part below 4 MiB that is not the last), entity_too_large or max_parts_exceeded, 403
// permission_denied and 404 bucket_not_exists or upload_not_exists.
func (b *Bucket) CompleteMultipartUpload(objectKey string, input *CompleteMultipartUploadInput) (*CompleteMultipartUploadOutput, error) {
	return b.CompleteMultipartUploadWithContext(context.Background(), objectKey, input)
}

// CompleteMultipartUploadWithContext is CompleteMultipartUpload within ctx, where nil means context.Background.
func (b *Bucket) CompleteMultipartUploadWithContext(ctx context.Context, objectKey string, input *CompleteMultipartUploadInput) (*CompleteMultipartUploadOutput, error) {
	r, out, err := b.CompleteMultipartUploadRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// CompleteMultipartUploadRequest prepares CompleteMultipartUpload.
func (b *Bucket) CompleteMultipartUploadRequest(objectKey string, input *CompleteMultipartUploadInput) (*request.Request, *CompleteMultipartUploadOutput, error) {
	return prepareObject[CompleteMultipartUploadOutput](b, completeMultipartUpload, objectKey, orZero(input))
}

// CompleteMultipartUploadInput is the object's parts.
type CompleteMultipartUploadInput struct {
	// UploadID is required, and may not be empty.
	UploadID *string `json:"upload_id" name:"upload_id" location:"query" required:"text"`
	// ETag becomes the object's entity tag, quotes included; nil leaves the choice to the server.
	ETag *string `json:"ETag,omitempty" name:"ETag" location:"headers"`

	// The key of an object that is encrypted with a key of the caller: the algorithm is AES256, the key Base64 of 32 bytes, the MD5 Base64 of their MD5.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	XQSEncryptionCustomerKey       *string `json:"X-QS-Encryption-Customer-Key,omitempty" name:"X-QS-Encryption-Customer-Key" location:"headers"`
	XQSEncryptionCustomerKeyMD5    *string `json:"X-QS-Encryption-Customer-Key-MD5,omitempty" name:"X-QS-Encryption-Customer-Key-MD5" location:"headers"`

	// ObjectParts are required, in ascending order of their numbers, which need not be without gaps.
	ObjectParts []*ObjectPartType `json:"object_parts" name:"object_parts" location:"elements" required:"true"`
}

// Validate checks that UploadID and ObjectParts are given, and each part.
func (v *CompleteMultipartUploadInput) Validate() error { return validate(v) }

// CompleteMultipartUploadOutput says that the object is there.
type CompleteMultipartUploadOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// XQSEncryptionCustomerAlgorithm is AES256 for an object that is encrypted with a key of the caller.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	// XQSVersionID is the version, in a bucket that keeps versions. QingStor's Go SDK lacks it.
	XQSVersionID *string `json:"X-QS-Version-ID,omitempty" name:"X-QS-Version-ID" location:"headers"`
}

// AbortMultipartUpload drops an upload with its parts (QingStor API, "Abort Multipart Upload"). The status is 204, also if there is no such upload, or
// if it was completed.
// It is refused with 403 permission_denied and 404 bucket_not_exists.
func (b *Bucket) AbortMultipartUpload(objectKey string, input *AbortMultipartUploadInput) (*AbortMultipartUploadOutput, error) {
	return b.AbortMultipartUploadWithContext(context.Background(), objectKey, input)
}

// AbortMultipartUploadWithContext is AbortMultipartUpload within ctx, where nil means context.Background.
func (b *Bucket) AbortMultipartUploadWithContext(ctx context.Context, objectKey string, input *AbortMultipartUploadInput) (*AbortMultipartUploadOutput, error) {
	r, out, err := b.AbortMultipartUploadRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// AbortMultipartUploadRequest prepares AbortMultipartUpload.
func (b *Bucket) AbortMultipartUploadRequest(objectKey string, input *AbortMultipartUploadInput) (*request.Request, *AbortMultipartUploadOutput, error) {
	return prepareObject[AbortMultipartUploadOutput](b, abortMultipartUpload, objectKey, orZero(input))
}

// AbortMultipartUploadInput says which upload.
type AbortMultipartUploadInput struct {
	// UploadID is required, and may not be empty.
	UploadID *string `json:"upload_id" name:"upload_id" location:"query" required:"text"`
}

// Validate checks that UploadID is given.
func (v *AbortMultipartUploadInput) Validate() error { return validate(v) }

// AbortMultipartUploadOutput says that the upload is gone.
type AbortMultipartUploadOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`
}

// ObjectPartType is a part of an upload (QingStor API, "List Multipart").
type ObjectPartType struct {
	Created    *time.Time `json:"created,omitempty" name:"created"`
	Etag       *string    `json:"etag,omitempty" name:"etag"`
	PartNumber *int       `json:"part_number" name:"part_number" required:"true"` // 0 to 10,000
	Size       *int64     `json:"size,omitempty" name:"size"`                     // bytes
}

// Validate checks that PartNumber is given.
func (t *ObjectPartType) Validate() error { return validate(t) }
