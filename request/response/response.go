// Package response reads HTTP responses into the outputs of operations.
//
// Package request does so with every answer; programs that send a request on their own, after Build, find it here.
package response

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/cisternhq/cistern/internal/wire"
	"github.com/cisternhq/cistern/request/data"
	qserrors "github.com/cisternhq/cistern/request/errors"
)

// How much of an answer is read into memory, in bytes. An object's own bytes are never among them.
const (
	maxJSON  = 64 << 20
	maxError = 1 << 20
	maxDrain = 256 << 10 // to be able to use the connection again
)

const requestIDHeader = "X-Qs-Request-Id"

// UnpackToOutput reads r, the answer to o, into the struct that x holds a pointer to; x may be nil.
//
// Deprecated: use UnpackToOutputWithContext.
func UnpackToOutput(o *data.Operation, r *http.Response, x *reflect.Value) error {
	return UnpackToOutputWithContext(context.Background(), o, r, x)
}

// UnpackToOutputWithContext reads r, the answer to o, into the struct that x holds a pointer to; x may be nil. The body is read and closed, unless
// the output has a Body: then the caller closes it. The context of the request bounds the reading; this one is not looked at.
//
// It fails with a *errors.QingStorError if the status is none of the operation's, with an errors.UnhandledResponseError if what stands between answered
// instead of the API, and with an errors.SDKError if the answer cannot be read.
func UnpackToOutputWithContext(_ context.Context, o *data.Operation, r *http.Response, x *reflect.Value) error {
	if !slices.Contains(o.StatusCodes, r.StatusCode) {
		defer r.Body.Close()
		return failure(r, o.RequestMethod == http.MethodHead)
	}
	id := r.Header.Get(requestIDHeader)
	var out reflect.Value
	if x != nil {
		out = *x
	}
	kept, err := fill(r, id, out)
	if !kept {
		if err == nil {
			// What is left is of no use, so that an error in it is of no interest.
			_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
		}
		r.Body.Close()
	}
	if err != nil {
		return qserrors.NewSDKError(qserrors.WithAction("read response"), qserrors.WithRequestID(id), qserrors.WithError(err))
	}
	return nil
}

// fill reads a successful answer into the output; kept says that the output holds the body now.
func fill(resp *http.Response, id string, out reflect.Value) (kept bool, err error) {
	if !out.IsValid() || out.Kind() != reflect.Pointer || out.IsNil() || out.Elem().Kind() != reflect.Struct {
		return false, nil
	}
	v := out.Elem()
	v.SetZero() // of an earlier answer
	m := wire.Message{Header: resp.Header}
	body := v.FieldByName("Body")
	if body.IsValid() {
		m.Body = resp.Body
	} else if wire.HasElements(out.Interface()) && isJSON(resp) {
		if m.JSON, err = readLimited(resp.Body, maxJSON); err != nil {
			return false, err
		}
	}
	if err := wire.Decode(m, out.Interface()); err != nil {
		if body.IsValid() {
			body.SetZero()
		}
		return false, err
	}
	if f := v.FieldByName("StatusCode"); f.IsValid() && f.Type() == reflect.TypeFor[*int]() {
		code := resp.StatusCode
		f.Set(reflect.ValueOf(&code))
	}
	if f := v.FieldByName("RequestID"); f.IsValid() && f.Type() == reflect.TypeFor[*string]() {
		f.Set(reflect.ValueOf(&id))
	}
	return body.IsValid(), nil
}

// failure makes an error of an answer.
//
// JSON is read whatever its length is said to be. Without a JSON type, an answer whose length is zero or not known is still taken for the
// API's; one with a body of known length comes from something else.
func failure(resp *http.Response, head bool) error {
	e := &qserrors.QingStorError{StatusCode: resp.StatusCode}
	if !isJSON(resp) && resp.ContentLength > 0 {
		return unhandled(resp, head)
	}
	if isJSON(resp) && !head {
		content, err := readLimited(resp.Body, maxError)
		if err != nil && len(content) == 0 {
			return qserrors.NewSDKError(qserrors.WithAction("read response"),
				qserrors.WithRequestID(resp.Header.Get(requestIDHeader)), qserrors.WithError(err))
		}
		if len(content) > 0 && json.Unmarshal(content, e) != nil {
			return qserrors.NewUnhandledResponseError(qserrors.WithStatusCode(resp.StatusCode),
				qserrors.WithHeader(resp.Header), qserrors.WithContent(string(content)))
		}
	}
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get(requestIDHeader)
	}
	if e.Message == "" {
		e.Message = http.StatusText(resp.StatusCode)
	}
	return e
}

func unhandled(resp *http.Response, head bool) error {
	var content []byte
	if !head {
		// The status says more than an error in the middle of a stranger's page.
		content, _ = readLimited(resp.Body, maxError)
	}
	return qserrors.NewUnhandledResponseError(qserrors.WithStatusCode(resp.StatusCode),
		qserrors.WithHeader(resp.Header), qserrors.WithContent(string(content)))
}

func isJSON(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json")
}

// readLimited reads at most limit bytes; more of them are an error beside the first limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		content, err = content[:limit], fmt.Errorf("the body has more than %d bytes", limit)
	}
	return content, err
}
