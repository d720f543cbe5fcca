package service

import (
	"context"
	"time"

	"github.com/cisternhq/cistern/request"
)

// HeadObject describes an object (QingStor API, "HEAD Object"). The status is 200; 304 and 412 are errors here. An object that only the source
// site has is described as it is there, and not fetched.
// It is refused with 403, 404 and 503; the error has no Code, because answers to HEAD have no body.
func (b *Bucket) HeadObject(objectKey string, input *HeadObjectInput) (*HeadObjectOutput, error) {
	return b.HeadObjectWithContext(context.Background(), objectKey, input)
}

// HeadObjectWithContext is HeadObject within ctx, where nil means context.Background.
func (b *Bucket) HeadObjectWithContext(ctx context.Context, objectKey string, input *HeadObjectInput) (*HeadObjectOutput, error) {
	r, out, err := b.HeadObjectRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// HeadObjectRequest prepares HeadObject.
func (b *Bucket) HeadObjectRequest(objectKey string, input *HeadObjectInput) (*request.Request, *HeadObjectOutput, error) {
	return prepareObject[HeadObjectOutput](b, headObject, objectKey, orZero(input))
}

// HeadObjectInput says under which conditions.
type HeadObjectInput struct {
	// Conditions (RFC 9110 §13); nil holds always.
	IfMatch           *string    `json:"If-Match,omitempty" name:"If-Match" location:"headers"`
	IfModifiedSince   *time.Time `json:"If-Modified-Since,omitempty" name:"If-Modified-Since" location:"headers" lenient:"true"`
	IfNoneMatch       *string    `json:"If-None-Match,omitempty" name:"If-None-Match" location:"headers"`
	IfUnmodifiedSince *time.Time `json:"If-Unmodified-Since,omitempty" name:"If-Unmodified-Since" location:"headers" lenient:"true"`

	// VersionID says which version; nil means the latest. QingStor's Go SDK lacks it.
	VersionID *string `json:"version_id,omitempty" name:"version_id" location:"query"`

	// The key of an object that is encrypted with a key of the caller: the algorithm is AES256, the key Base64 of 32 bytes, the MD5 Base64 of their MD5.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	XQSEncryptionCustomerKey       *string `json:"X-QS-Encryption-Customer-Key,omitempty" name:"X-QS-Encryption-Customer-Key" location:"headers"`
	XQSEncryptionCustomerKeyMD5    *string `json:"X-QS-Encryption-Customer-Key-MD5,omitempty" name:"X-QS-Encryption-Customer-Key-MD5" location:"headers"`
}

// Validate returns nil: nothing is required.
func (v *HeadObjectInput) Validate() error { return validate(v) }

// HeadObjectOutput describes the object.
type HeadObjectOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// ContentLength is the object's size in bytes; nil if a source does not say it.
	ContentLength *int64  `json:"Content-Length,omitempty" name:"Content-Length" location:"headers"`
	ContentType   *string `json:"Content-Type,omitempty" name:"Content-Type" location:"headers"`

	// What was kept with the object. QingStor's SDK lacks these.
	CacheControl       *string `json:"Cache-Control,omitempty" name:"Cache-Control" location:"headers"`
	ContentDisposition *string `json:"Content-Disposition,omitempty" name:"Content-Disposition" location:"headers"`
	ContentEncoding    *string `json:"Content-Encoding,omitempty" name:"Content-Encoding" location:"headers"`
	ContentLanguage    *string `json:"Content-Language,omitempty" name:"Content-Language" location:"headers"`
	Expires            *string `json:"Expires,omitempty" name:"Expires" location:"headers"`

	// ETag is the object's entity tag with its quotes.
	ETag         *string    `json:"ETag,omitempty" name:"ETag" location:"headers"`
	LastModified *time.Time `json:"Last-Modified,omitempty" name:"Last-Modified" location:"headers"`
	// XQSEncryptionCustomerAlgorithm is AES256 for an object that is encrypted with a key of the caller.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	// XQSMetaData is the user's metadata, names in lower case with the prefix "x-qs-meta-"; nil if there is none.
	XQSMetaData *map[string]string `json:"X-QS-MetaData,omitempty" name:"X-QS-MetaData" location:"headers"`
	// XQSNextAppendPosition is the size of an object that can be appended to, in bytes.
	XQSNextAppendPosition *int64 `json:"X-QS-Next-Append-Position,omitempty" name:"X-QS-Next-Append-Position" location:"headers"`
	// XQSObjectType is "appendable" for an object that can be appended to.
	XQSObjectType *string `json:"X-QS-Object-Type,omitempty" name:"X-QS-Object-Type" location:"headers"`
	// XQSStorageClass is STANDARD or STANDARD_IA; nil means STANDARD.
	XQSStorageClass *string `json:"X-QS-Storage-Class,omitempty" name:"X-QS-Storage-Class" location:"headers"`
	// XQSVersionID is the version, in a bucket that keeps versions. QingStor's Go SDK lacks it.
	XQSVersionID *string `json:"X-QS-Version-ID,omitempty" name:"X-QS-Version-ID" location:"headers"`
}
