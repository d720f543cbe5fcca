package service

import (
	"context"
	"io"
	"time"

	"github.com/cisternhq/cistern/request"
)

// ImageProcess opens the result of what Action makes of an image (QingStor API, "Image Process"). The status is 200, and 304 where the condition of
// the input decided: this is no error. The caller closes the output. Package client/image builds actions.
//
// It is refused with 400 invalid_argument, 403 permission_denied and 404 bucket_not_exists or object_not_exists.
func (b *Bucket) ImageProcess(objectKey string, input *ImageProcessInput) (*ImageProcessOutput, error) {
	return b.ImageProcessWithContext(context.Background(), objectKey, input)
}

// ImageProcessWithContext is ImageProcess within ctx, where nil means context.Background.
func (b *Bucket) ImageProcessWithContext(ctx context.Context, objectKey string, input *ImageProcessInput) (*ImageProcessOutput, error) {
	r, out, err := b.ImageProcessRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// ImageProcessRequest prepares ImageProcess.
func (b *Bucket) ImageProcessRequest(objectKey string, input *ImageProcessInput) (*request.Request, *ImageProcessOutput, error) {
	return prepareObject[ImageProcessOutput](b, imageProcess, objectKey, orZero(input))
}

// ImageProcessInput is what to make.
type ImageProcessInput struct {
	// Action is up to ten of <operation>[:<name>_<value>[,<name>_<value>...]], separated by "|"; it is required.
	Action *string `json:"action" name:"action" location:"query" required:"true"`

	// IfModifiedSince is a condition on the image (RFC 9110 §13); nil holds always.
	IfModifiedSince *time.Time `json:"If-Modified-Since,omitempty" name:"If-Modified-Since" location:"headers" lenient:"true"`

	// What the answer's headers are to say instead of what is stored. Such requests have to be signed.
	ResponseCacheControl       *string `json:"response-cache-control,omitempty" name:"response-cache-control" location:"query"`
	ResponseContentDisposition *string `json:"response-content-disposition,omitempty" name:"response-content-disposition" location:"query"`
	ResponseContentEncoding    *string `json:"response-content-encoding,omitempty" name:"response-content-encoding" location:"query"`
	ResponseContentLanguage    *string `json:"response-content-language,omitempty" name:"response-content-language" location:"query"`
	ResponseContentType        *string `json:"response-content-type,omitempty" name:"response-content-type" location:"query"`
	ResponseExpires            *string `json:"response-expires,omitempty" name:"response-expires" location:"query"`
}

// Validate checks that Action is given.
func (v *ImageProcessInput) Validate() error { return validate(v) }

// ImageProcessOutput is an open image.
type ImageProcessOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	// Body is the image, or JSON for the operation "info".
	Body io.ReadCloser `location:"body"`

	// ContentLength is the length of Body in bytes; nil if the server does not know it.
	ContentLength *int64 `json:"Content-Length,omitempty" name:"Content-Length" location:"headers"`
	// ContentType is the image's type. QingStor's SDK lacks it.
	ContentType *string `json:"Content-Type,omitempty" name:"Content-Type" location:"headers"`
}

// Close closes Body, if there is one.
func (o *ImageProcessOutput) Close() error {
	if o == nil || o.Body == nil {
		return nil
	}
	return o.Body.Close()
}
