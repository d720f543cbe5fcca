package origin

import (
	"errors"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
)

var errContentRange = errors.New("bad Content-Range")

// parseContentRange reads `bytes FIRST-LAST/SIZE` (RFC 9110 §14.4). An unknown size ("*") is an error: without it nothing
// says that the range belongs to the object that is being filled.
func parseContentRange(v string) (r object.Range, size int64, err error) {
	unit, spec, ok := strings.Cut(v, " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return r, 0, errContentRange
	}
	span, total, ok := strings.Cut(spec, "/")
	if !ok {
		return r, 0, errContentRange
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		return r, 0, errContentRange
	}
	a, err1 := parseSize(first)
	b, err2 := parseSize(last)
	size, err3 := parseSize(total)
	if err1 != nil || err2 != nil || err3 != nil || b < a || b >= size {
		return r, 0, errContentRange
	}
	return object.Range{Offset: a, Length: b - a + 1}, size, nil
}

// parseSize reads digits only: strconv alone would take signs.
func parseSize(s string) (int64, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.ParseInt(s, 10, 64)
}
