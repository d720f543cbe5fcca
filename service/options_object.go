package service

import (
	"context"

	"github.com/cisternhq/cistern/request"
)

// OptionsObject asks what a page of another origin may do with an object, as a browser does before it asks for the object itself (QingStor API, "OPTIONS Object").
// The status is 200, also if the page may do nothing: then the output's fields are nil.
// It is refused with 404 bucket_not_exists.
func (b *Bucket) OptionsObject(objectKey string, input *OptionsObjectInput) (*OptionsObjectOutput, error) {
	return b.OptionsObjectWithContext(context.Background(), objectKey, input)
}

// OptionsObjectWithContext is OptionsObject within ctx, where nil means context.Background.
func (b *Bucket) OptionsObjectWithContext(ctx context.Context, objectKey string, input *OptionsObjectInput) (*OptionsObjectOutput, error) {
	r, out, err := b.OptionsObjectRequest(objectKey, input)
	return send(ctx, r, out, err)
}

// OptionsObjectRequest prepares OptionsObject.
func (b *Bucket) OptionsObjectRequest(objectKey string, input *OptionsObjectInput) (*request.Request, *OptionsObjectOutput, error) {
	return prepareObject[OptionsObjectOutput](b, optionsObject, objectKey, orZero(input))
}

// OptionsObjectInput is what the page would do.
type OptionsObjectInput struct {
	// AccessControlRequestHeaders are names of headers, separated by commas; nil means none.
	AccessControlRequestHeaders *string `json:"Access-Control-Request-Headers,omitempty" name:"Access-Control-Request-Headers" location:"headers"`
	// AccessControlRequestMethod is required.
	AccessControlRequestMethod *string `json:"Access-Control-Request-Method" name:"Access-Control-Request-Method" location:"headers" required:"true"`
	// Origin is the page's, such as "https://example.com"; it is required.
	Origin *string `json:"Origin" name:"Origin" location:"headers" required:"true"`
}

// Validate checks that AccessControlRequestMethod and Origin are given.
func (v *OptionsObjectInput) Validate() error { return validate(v) }

// OptionsObjectOutput is what the page may do.
type OptionsObjectOutput struct {
	StatusCode *int    `location:"statusCode"`
	RequestID  *string `location:"requestID"`

	AccessControlAllowHeaders  *string `json:"Access-Control-Allow-Headers,omitempty" name:"Access-Control-Allow-Headers" location:"headers"`
	AccessControlAllowMethods  *string `json:"Access-Control-Allow-Methods,omitempty" name:"Access-Control-Allow-Methods" location:"headers"`
	AccessControlAllowOrigin   *string `json:"Access-Control-Allow-Origin,omitempty" name:"Access-Control-Allow-Origin" location:"headers"`
	AccessControlExposeHeaders *string `json:"Access-Control-Expose-Headers,omitempty" name:"Access-Control-Expose-Headers" location:"headers"`
	// AccessControlMaxAge is how long this may be remembered, in seconds.
	AccessControlMaxAge *string `json:"Access-Control-Max-Age,omitempty" name:"Access-Control-Max-Age" location:"headers"`
}
