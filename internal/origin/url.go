package origin

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
)

// URL returns the address of key at src: the path of src with the key behind it, each byte of the key outside
// unreserved and "/" percent-encoded, nothing normalised. A key with a "." or ".." segment, which could leave the path of src on
// the way to the file, has no address: the error matches [object.ErrNoSuchKey].
func URL(src object.Source, key string) (*url.URL, error) {
	if dotSegment(key) {
		return nil, object.Explain(object.ErrNoSuchKey, "a key with a \".\" or \"..\" segment is never asked for at the source")
	}
	raw := src.Path + escapeKey(key)
	path, err := url.PathUnescape(raw)
	if err != nil || dotSegment(raw) { // "/a/." and "./b" only together make a segment
		return nil, object.Explain(object.ErrNoSuchKey, "the key would leave the path of the source")
	}
	return &url.URL{Scheme: src.Scheme, Host: authority(src), Path: path, RawPath: raw, RawQuery: src.Query}, nil
}

// Address is the URL of key at src without its query, for logs; "" where it has none.
func Address(src object.Source, key string) string {
	u, err := URL(src, key)
	if err != nil {
		return ""
	}
	return withoutQuery(u)
}

// authority is what stands in the URL and in the Host header: no port where it is the scheme's own.
func authority(src object.Source) string {
	if src.Scheme == "http" && src.Port == 80 || src.Scheme == "https" && src.Port == 443 {
		if strings.Contains(src.Host, ":") {
			return "[" + src.Host + "]"
		}
		return src.Host
	}
	return net.JoinHostPort(src.Host, strconv.Itoa(int(src.Port)))
}

// dotSegment reports whether path has a "." or ".." segment. Servers decode, some more than once, and some take a backslash for
// a separator, so all of these forms count.
func dotSegment(path string) bool {
	if !strings.ContainsAny(path, ".%") {
		return false
	}
	for range 3 {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." {
				return true
			}
		}
		decoded := decodeValid(path)
		if decoded == path {
			return false
		}
		path = decoded
	}
	return false
}

// decodeValid undoes the valid percent escapes of s and leaves the rest.
func decodeValid(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			b.WriteByte(byte(unhex(s[i+1])<<4 | unhex(s[i+2])))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func escapeKey(key string) string {
	var b strings.Builder
	b.Grow(len(key))
	for i := range len(key) {
		escapeByte(&b, key[i])
	}
	return b.String()
}

// escapeByte writes c, percent-encoded unless it is unreserved (RFC 3986 §2.3) or "/".
func escapeByte(b *strings.Builder, c byte) {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/':
		b.WriteByte(c)
	default:
		const hex = "0123456789ABCDEF"
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Name is the scheme, host and port of src: what limits and breakers go by.
func Name(src object.Source) string {
	return src.Scheme + "://" + authority(src)
}
