package service

import (
	"context"
	"io"
	"time"

	"github.com/cisternhq/cistern/request"
)

// PutObject stores Body under a key, replacing what is there (QingStor API, "PUT Object"). With XQSCopySource, XQSMoveSource or
// XQSFetchSource the server takes the object from there instead ("Copy", "Move", "Fetch"). The status is 201.
//
// A Body whose length is not known, neither by ContentLength nor by seeking, is sent in chunks. The caller closes Body.
// It is refused with 400 bad_digest, incomplete_body, entity_too_large (over 5 GB), invalid_object_name or metadata_too_large, 403
// permission_denied and 404 bucket_not_exists; Fetch also with 404 object_not_exists, 409 fetch_in_process, 412
// precondition_failed, 429 fetch_throttled and 503 upstream_failed.
func (b *Bucket) PutObject(objectKey string, input *PutObjectInput) (*PutObjectOutput, error) {
	return b.PutObjectWithContext(context.Background(), objectKey, input)
}

// PutObjectWithContext is PutObject within ctx, where nil means context.Background.
func (b *Bucket) PutObjectWithContext(ctx context.Context, objectKey string, input *PutObjectInput) (*PutObjectOutput, error) {
	r, out, err := b.PutObjectRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// PutObjectRequest prepares PutObject.
func (b *Bucket) PutObjectRequest(objectKey string, input *PutObjectInput) (*request.Request, *PutObjectOutput, error) {
	return prepareObject[PutObjectOutput](b, putObject, objectKey, orZero(input))
}

// PutObjectInput is the object, or where it comes from.
type PutObjectInput struct {
	// These are kept and given back. QingStor's SDK lacks ContentDisposition, ContentLanguage and Expires.
	CacheControl       *string `json:"Cache-Control,omitempty" name:"Cache-Control" location:"headers"`
	ContentDisposition *string `json:"Content-Disposition,omitempty" name:"Content-Disposition" location:"headers"`
	ContentEncoding    *string `json:"Content-Encoding,omitempty" name:"Content-Encoding" location:"headers"`
	ContentLanguage    *string `json:"Content-Language,omitempty" name:"Content-Language" location:"headers"`
	Expires            *string `json:"Expires,omitempty" name:"Expires" location:"headers"`

	// ContentLength is the length of Body in bytes; nil means what Body turns out to have.
	ContentLength *int64 `json:"Content-Length,omitempty" name:"Content-Length" location:"headers"`
	// ContentMD5 is Base64 of Body's MD5; nil means that the server checks nothing.
	ContentMD5 *string `json:"Content-MD5,omitempty" name:"Content-MD5" location:"headers"`
	// ContentType is kept and given back; nil means application/octet-stream. It is never guessed.
	ContentType *string `json:"Content-Type,omitempty" name:"Content-Type" location:"headers"`
	// Expect is "100-continue" to hear a refusal before Body is sent.
	Expect *string `json:"Expect,omitempty" name:"Expect" location:"headers"`

	// XQSCopySource is /<bucket>/<key> of the object to copy.
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

	// XQSFetchIfUnmodifiedSince refuses a Fetch if the object that is there was changed since.
	XQSFetchIfUnmodifiedSince *time.Time `json:"X-QS-Fetch-If-Unmodified-Since,omitempty" name:"X-QS-Fetch-If-Unmodified-Since" location:"headers"`
	// XQSFetchSource is the URL of the object to fetch.
	XQSFetchSource *string `json:"X-QS-Fetch-Source,omitempty" name:"X-QS-Fetch-Source" location:"headers"`
	// XQSMetaData is the user's metadata. Names carry the prefix "x-qs-meta-"; a value is printable ASCII, or else it is percent-encoded.
	XQSMetaData *map[string]string `json:"X-QS-MetaData,omitempty" name:"X-QS-MetaData" location:"headers"`
	// XQSMetadataDirective says whether a copy keeps the source's metadata or takes the request's; nil means COPY.
	XQSMetadataDirective *string `json:"X-QS-Metadata-Directive,omitempty" name:"X-QS-Metadata-Directive" location:"headers" enum:"COPY REPLACE copy replace"`
	// XQSMoveSource is /<bucket>/<key> of the object to move.
	XQSMoveSource *string `json:"X-QS-Move-Source,omitempty" name:"X-QS-Move-Source" location:"headers"`

	// Conditions on the source of a move; nil holds always. QingStor's SDK lacks them.
	XQSMoveSourceIfMatch           *string    `json:"X-QS-Move-Source-If-Match,omitempty" name:"X-QS-Move-Source-If-Match" location:"headers"`
	XQSMoveSourceIfModifiedSince   *time.Time `json:"X-QS-Move-Source-If-Modified-Since,omitempty" name:"X-QS-Move-Source-If-Modified-Since" location:"headers"`
	XQSMoveSourceIfNoneMatch       *string    `json:"X-QS-Move-Source-If-None-Match,omitempty" name:"X-QS-Move-Source-If-None-Match" location:"headers"`
	XQSMoveSourceIfUnmodifiedSince *time.Time `json:"X-QS-Move-Source-If-Unmodified-Since,omitempty" name:"X-QS-Move-Source-If-Unmodified-Since" location:"headers"`

	// XQSStorageClass is STANDARD or STANDARD_IA; nil means STANDARD.
	XQSStorageClass *string `json:"X-QS-Storage-Class,omitempty" name:"X-QS-Storage-Class" location:"headers" enum:"STANDARD STANDARD_IA"`

	// Body is the object's bytes; nil means none.
	Body io.Reader `location:"body"`
}

// Validate checks XQSMetadataDirective and XQSStorageClass.
func (v *PutObjectInput) Validate() error { return validate(v) }

// PutObjectOutput describes what was stored.
type PutObjectOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// ETag is the object's entity tag with its quotes.
	ETag *string `json:"ETag,omitempty" name:"ETag" location:"headers"`
	// XQSEncryptionCustomerAlgorithm is AES256 for an object that is encrypted with a key of the caller.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	// XQSVersionID is the version, in a bucket that keeps versions. QingStor's Go SDK lacks it.
	XQSVersionID *string `json:"X-QS-Version-ID,omitempty" name:"X-QS-Version-ID" location:"headers"`
}
