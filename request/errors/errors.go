// Package errors holds the errors that requests end with.
//
// All of them work with the standard library's errors.As: *[QingStorError] as a pointer, the others as values.
package errors

import (
	"fmt"
	"net/http"
	"strings"
)

// QingStorError is the server's own answer that a request failed (QingStor API, "Error Codes"). It is returned as a pointer.
type QingStorError struct {
	// StatusCode is the HTTP status.
	StatusCode int `json:"-"`

	// Code is the error's name, such as "bucket_not_exists"; "" where the answer had no body, as on HEAD.
	Code string `json:"code"`
	// Message is for people. Where the answer had none it is the text of the status.
	Message string `json:"message"`
	// RequestID is the server's name for this request, from the body or else the header; "" if neither had it.
	RequestID string `json:"request_id"`
	// ReferenceURL leads to an explanation; may be "".
	ReferenceURL string `json:"url"`
}

// Error returns all fields in one line.
func (e QingStorError) Error() string {
	return fmt.Sprintf(`QingStor Error: StatusCode "%d", Code "%s", Message "%s", Request ID "%s", Reference URL "%s"`,
		e.StatusCode, e.Code, e.Message, e.RequestID, e.ReferenceURL)
}

// ParameterRequiredError says that a required parameter is nil. Nothing was sent.
type ParameterRequiredError struct {
	ParameterName string // the Go field
	ParentName    string // the Go struct that it belongs to
}

// Error names the parameter and its struct.
func (e ParameterRequiredError) Error() string {
	return fmt.Sprintf(`"%s" is required in "%s"`, e.ParameterName, e.ParentName)
}

// ParameterValueNotAllowedError says that a parameter is none of the values that are allowed. Nothing was sent.
type ParameterValueNotAllowedError struct {
	ParameterName  string // the Go field
	ParameterValue string
	AllowedValues  []string
}

// Error names the parameter, its value and the values allowed.
func (e ParameterValueNotAllowedError) Error() string {
	quoted := make([]string, len(e.AllowedValues))
	for i, v := range e.AllowedValues {
		quoted[i] = `"` + v + `"`
	}
	return fmt.Sprintf(`"%s" value "%s" is not allowed, should be one of %s`,
		e.ParameterName, e.ParameterValue, strings.Join(quoted, ", "))
}

// SDKError is a failure on this side: the request could not be made or sent, or its answer not be read.
type SDKError struct {
	Action    string // what was being done, such as "send request"
	RequestID string // from the answer; "" if there was none
	Err       error
}

// Error says what was done and why it failed.
func (e SDKError) Error() string {
	s := e.Action
	if e.RequestID != "" {
		s += fmt.Sprintf(" (request id %q)", e.RequestID)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e SDKError) Unwrap() error { return e.Err }

// SDKErrorOption sets a field of an [SDKError].
type SDKErrorOption = func(*SDKError)

// WithAction sets Action.
func WithAction(action string) SDKErrorOption { return func(e *SDKError) { e.Action = action } }

// WithError sets Err.
func WithError(err error) SDKErrorOption { return func(e *SDKError) { e.Err = err } }

// WithRequestID sets RequestID.
func WithRequestID(id string) SDKErrorOption { return func(e *SDKError) { e.RequestID = id } }

// NewSDKError makes an SDKError.
func NewSDKError(opts ...SDKErrorOption) SDKError {
	var e SDKError
	for _, o := range opts {
		o(&e)
	}
	return e
}

// UnhandledResponseError is a failure that did not come from the API itself: the body is not the API's JSON. A proxy between
// client and server answers like this.
type UnhandledResponseError struct {
	StatusCode int
	Header     http.Header
	Content    string // the beginning of the body, at most 1 MiB
}

// Error shows the status and the beginning of the body, but no headers.
func (e UnhandledResponseError) Error() string {
	content := e.Content
	if len(content) > 256 {
		content = content[:256] + "..."
	}
	return fmt.Sprintf("unhandled response: StatusCode \"%d\", Content-Type %q, Content %q",
		e.StatusCode, e.Header.Get("Content-Type"), content)
}

// UnhandledResponseErrorOption sets a field of an [UnhandledResponseError].
type UnhandledResponseErrorOption = func(*UnhandledResponseError)

// WithStatusCode sets StatusCode.
func WithStatusCode(code int) UnhandledResponseErrorOption {
	return func(e *UnhandledResponseError) { e.StatusCode = code }
}

// WithHeader sets Header.
func WithHeader(h http.Header) UnhandledResponseErrorOption {
	return func(e *UnhandledResponseError) { e.Header = h }
}

// WithContent sets Content.
func WithContent(content string) UnhandledResponseErrorOption {
	return func(e *UnhandledResponseError) { e.Content = content }
}

// NewUnhandledResponseError makes an UnhandledResponseError.
func NewUnhandledResponseError(opts ...UnhandledResponseErrorOption) UnhandledResponseError {
	var e UnhandledResponseError
	for _, o := range opts {
		o(&e)
	}
	return e
}
