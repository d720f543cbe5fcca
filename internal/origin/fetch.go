package origin

import (
	"strings"

	"github.com/cisternhq/cistern/internal/object"
)

const (
	// maxURL is the longest URL to fetch, in bytes: signed links are long.
	maxURL = 4 * maxSite
	// plainInPath and plainInQuery are the bytes that stand for themselves in the two parts of a URL, beside unreserved ones and "/" (RFC 3986 §3.3, §3.4).
	plainInPath  = "!$&'()*+,;=:@"
	plainInQuery = plainInPath + "?%"
)

// ParseURL reads the URL of one object: [http://|https://]host[:port][/path][?query] (QingStor API, "PUT Object - Fetch"). It is held to the rules of a
// source site, but that it may have a query, as signed links do, and that nothing of the path and the query is spelled anew which may stand there. The
// error matches [object.ErrInvalidArgument] and its text names the part. The object is at the source that it returns, under the key "".
func ParseURL(u string) (object.Source, error) {
	const what = "fetch source"
	if len(u) > maxURL {
		return object.Source{}, refused(what, "it has %d bytes; at most %d are allowed", len(u), maxURL)
	}
	if strings.Contains(u, "#") {
		return object.Source{}, refused(what, "a fragment (#) is not allowed: no server gets to see it")
	}
	site, query, _ := strings.Cut(u, "?")
	src, err := parseSite(what, site, plainInPath, maxURL)
	if err != nil {
		return object.Source{}, err
	}
	var b strings.Builder
	for i := range len(query) {
		switch c := query[i]; {
		case c <= ' ' || c == 0x7f || c == '\\':
			return object.Source{}, refused(what, "the query holds a blank, a control character or a backslash; percent-encode it")
		case strings.IndexByte(plainInQuery, c) >= 0:
			b.WriteByte(c)
		default:
			escapeByte(&b, c)
		}
	}
	src.Query = b.String()
	return src, nil
}

// CheckURL is [Client.CheckSite] for what is fetched.
func (c *Client) CheckURL(src object.Source) error { return c.check("fetch source", src) }
