// Package builder builds the HTTP requests of operations.
//
// It is package request's Build in the form of QingStor's SDK. It neither signs nor sends.
package builder

import (
	"context"
	"net/http"
	"reflect"

	"github.com/cisternhq/cistern/request"
	"github.com/cisternhq/cistern/request/data"
)

// Builder builds requests. Its zero value is ready, and safe for concurrent use.
type Builder struct{}

// BuildHTTPRequest returns the unsigned request of o with the input that i holds; i may be nil. It does not validate the input.
// It fails with an errors.SDKError.
func (*Builder) BuildHTTPRequest(ctx context.Context, o *data.Operation, i *reflect.Value) (*http.Request, error) {
	if i == nil {
		i = new(reflect.Value)
	}
	r := request.Request{Operation: o, Input: i, Output: new(reflect.Value)}
	if err := r.BuildWithContext(ctx); err != nil {
		return nil, err
	}
	return r.HTTPRequest, nil
}
