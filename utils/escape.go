package utils

import (
	"net/url"

	"github.com/cisternhq/cistern/internal/wire"
)

// URLQueryEscape percent-encodes every byte of origin outside A-Z a-z 0-9 - _ . ~ / = with upper-case hex, a blank as %20. It is how keys stand
// in paths.
func URLQueryEscape(origin string) string { return wire.Escape(origin) }

// URLQueryUnescape undoes URLQueryEscape. A plus is a plus. It fails if an escape is broken.
func URLQueryUnescape(escaped string) (string, error) { return url.PathUnescape(escaped) }
