package service

import (
	"context"
	"io"
	"time"

	"github.com/cisternhq/cistern/request"
)

// GetObject opens an object, or a range of it (QingStor API, "GET Object"). The status is 200, 206 for a range, and 304 or 412 where a
// condition of the input decided: these are no errors. The caller closes the output.
//
// From a bucket with a source site, an object that is not there yet arrives while it is fetched. If that breaks off, reading Body fails.
// It is refused with 403 permission_denied, 404 bucket_not_exists or object_not_exists, 416 invalid_range, 429 fetch_throttled and 503 upstream_failed.
func (b *Bucket) GetObject(objectKey string, input *GetObjectInput) (*GetObjectOutput, error) {
	return b.GetObjectWithContext(context.Background(), objectKey, input)
}

// GetObjectWithContext is GetObject within ctx, where nil means context.Background.
func (b *Bucket) GetObjectWithContext(ctx context.Context, objectKey string, input *GetObjectInput) (*GetObjectOutput, error) {
	r, out, err := b.GetObjectRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// GetObjectRequest prepares GetObject.
func (b *Bucket) GetObjectRequest(objectKey string, input *GetObjectInput) (*request.Request, *GetObjectOutput, error) {
	return prepareObject[GetObjectOutput](b, getObject, objectKey, orZero(input))
}

// GetObjectInput says what to read.
type GetObjectInput struct {
	// Conditions (RFC 9110 §13); nil holds always.
	IfMatch           *string    `json:"If-Match,omitempty" name:"If-Match" location:"headers"`
	IfModifiedSince   *time.Time `json:"If-Modified-Since,omitempty" name:"If-Modified-Since" location:"headers" lenient:"true"`
	IfNoneMatch       *string    `json:"If-None-Match,omitempty" name:"If-None-Match" location:"headers"`
	IfUnmodifiedSince *time.Time `json:"If-Unmodified-Since,omitempty" name:"If-Unmodified-Since" location:"headers" lenient:"true"`
	// IfRange is the entity tag that Range is meant for; if it is no longer the object's, all of it comes. QingStor's SDK lacks it.
	IfRange *string `json:"If-Range,omitempty" name:"If-Range" location:"headers"`
	// Range is "bytes=0-99", "bytes=100-" or "bytes=-100"; nil means all.
	Range *string `json:"Range,omitempty" name:"Range" location:"headers"`

	// What the answer's headers are to say instead of what is stored. Such requests have to be signed.
	ResponseCacheControl       *string `json:"response-cache-control,omitempty" name:"response-cache-control" location:"query"`
	ResponseContentDisposition *string `json:"response-content-disposition,omitempty" name:"response-content-disposition" location:"query"`
	ResponseContentEncoding    *string `json:"response-content-encoding,omitempty" name:"response-content-encoding" location:"query"`
	ResponseContentLanguage    *string `json:"response-content-language,omitempty" name:"response-content-language" location:"query"`
	ResponseContentType        *string `json:"response-content-type,omitempty" name:"response-content-type" location:"query"`
	ResponseExpires            *string `json:"response-expires,omitempty" name:"response-expires" location:"query"`

	// VersionID says which version; nil means the latest. QingStor's Go SDK lacks it.
	VersionID *string `json:"version_id,omitempty" name:"version_id" location:"query"`

	// The key of an object that is encrypted with a key of the caller: the algorithm is AES256, the key Base64 of 32 bytes, the MD5 Base64 of their MD5.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	XQSEncryptionCustomerKey       *string `json:"X-QS-Encryption-Customer-Key,omitempty" name:"X-QS-Encryption-Customer-Key" location:"headers"`
	XQSEncryptionCustomerKeyMD5    *string `json:"X-QS-Encryption-Customer-Key-MD5,omitempty" name:"X-QS-Encryption-Customer-Key-MD5" location:"headers"`
}

// Validate returns nil: nothing is required.
func (v *GetObjectInput) Validate() error { return validate(v) }

// GetObjectOutput is an open object.
type GetObjectOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// Body is the bytes as they are stored: a content coding is not undone.
	Body io.ReadCloser `location:"body"`

	CacheControl       *string `json:"Cache-Control,omitempty" name:"Cache-Control" location:"headers"`
	ContentDisposition *string `json:"Content-Disposition,omitempty" name:"Content-Disposition" location:"headers"`
	ContentEncoding    *string `json:"Content-Encoding,omitempty" name:"Content-Encoding" location:"headers"`
	ContentLanguage    *string `json:"Content-Language,omitempty" name:"Content-Language" location:"headers"`
	// ContentLength is the length of Body in bytes; nil if the server does not know it yet.
	ContentLength *int64 `json:"Content-Length,omitempty" name:"Content-Length" location:"headers"`
	// ContentRange is "bytes <first>-<last>/<size>" with status 206.
	ContentRange *string `json:"Content-Range,omitempty" name:"Content-Range" location:"headers"`
	ContentType  *string `json:"Content-Type,omitempty" name:"Content-Type" location:"headers"`
	// ETag is the object's entity tag with its quotes.
	ETag         *string    `json:"ETag,omitempty" name:"ETag" location:"headers"`
	Expires      *string    `json:"Expires,omitempty" name:"Expires" location:"headers"`
	LastModified *time.Time `json:"Last-Modified,omitempty" name:"Last-Modified" location:"headers"`
	// XQSEncryptionCustomerAlgorithm is AES256 for an object that is encrypted with a key of the caller.
	XQSEncryptionCustomerAlgorithm *string `json:"X-QS-Encryption-Customer-Algorithm,omitempty" name:"X-QS-Encryption-Customer-Algorithm" location:"headers"`
	// XQSMetaData is the user's metadata, names in lower case with the prefix "x-qs-meta-"; nil if there is none.
	XQSMetaData *map[string]string `json:"X-QS-MetaData,omitempty" name:"X-QS-MetaData" location:"headers"`
	// XQSStorageClass is STANDARD or STANDARD_IA; nil means STANDARD.
	XQSStorageClass *string `json:"X-QS-Storage-Class,omitempty" name:"X-QS-Storage-Class" location:"headers"`
	// XQSVersionID is the version, in a bucket that keeps versions. QingStor's Go SDK lacks it.
	XQSVersionID *string `json:"X-QS-Version-ID,omitempty" name:"X-QS-Version-ID" location:"headers"`
}

// Close closes Body, if there is one.
func (o *GetObjectOutput) Close() error {
	if o == nil || o.Body == nil {
		return nil
	}
	return o.Body.Close()
}
