// Package data describes API operations for package request.
//
// It names things; it sends nothing.
package data

import "github.com/cisternhq/cistern/config"

// Operation is one operation of the API, ready to be requested with a Config and the Properties of its target.
type Operation struct {
	Config *config.Config
	// Properties is a pointer to a struct whose string pointers tagged name:"bucket-name", "object-key" and "zone" say what is
	// addressed; nil for an operation on the service.
	Properties interface{}

	// APIName is the title of the operation's page in the API's documentation, such as "PUT Bucket External Mirror".
	APIName string
	// ServiceName is "QingStor".
	ServiceName string
	// RequestMethod is the HTTP method, in upper case.
	RequestMethod string
	// RequestURI is the path-style URI, such as "/<bucket-name>/<object-key>?append". The query names the parameters that tell
	// the operation from others of the same method and path; their values come from the input.
	RequestURI string
	// StatusCodes are the statuses that count as success.
	StatusCodes []int
}

// Validation is what can check itself before it is sent.
type Validation interface {
	// Validate returns nil, or an errors.ParameterRequiredError or errors.ParameterValueNotAllowedError.
	Validate() error
}

// Input is the parameters of one operation.
type Input interface {
	Validation
}
