// Package sdk names the version of this SDK.
//
// The clients themselves are in the packages below: config, service, client/upload.
package sdk

import "github.com/cisternhq/cistern/request"

// Version is the SDK's version, as in its User-Agent.
const Version = request.Version
