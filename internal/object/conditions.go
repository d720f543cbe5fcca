package object

import (
	"strings"
	"time"
)

// Conditions are a client's preconditions on a read (RFC 9110 §13). The zero value always holds.
type Conditions struct {
	IfMatch, IfNoneMatch               string // lists of entity tags, or "*"
	IfModifiedSince, IfUnmodifiedSince time.Time
}

// Check judges c by an object's validators, in the order of RFC 9110 §13.2.2.
// It returns nil, [ErrNotModified] or [ErrPrecondition].
func (c Conditions) Check(m Meta) error {
	if c.IfMatch != "" {
		if !matchETag(c.IfMatch, m.ETag, false) {
			return ErrPrecondition
		}
	} else if !c.IfUnmodifiedSince.IsZero() && !m.LastModified.IsZero() && m.LastModified.After(c.IfUnmodifiedSince) {
		return ErrPrecondition
	}
	if c.IfNoneMatch != "" {
		if matchETag(c.IfNoneMatch, m.ETag, true) {
			return ErrNotModified
		}
	} else if !c.IfModifiedSince.IsZero() && !m.LastModified.IsZero() && !m.LastModified.After(c.IfModifiedSince) {
		return ErrNotModified
	}
	return nil
}

// IfRange reports whether the value of an If-Range header stands for the object as m describes it, so that a range of it may be
// answered. A date must be exactly the object's (RFC 9110 §13.1.5).
func IfRange(value string, m Meta) bool {
	if strings.HasPrefix(value, `"`) {
		return m.ETag != "" && value == m.ETag
	}
	at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", value)
	return err == nil && !m.LastModified.IsZero() && at.Equal(m.LastModified)
}

// matchETag reports whether list names etag. Clients of this API send tags without their quotes, too.
func matchETag(list, etag string, weak bool) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	if etag == "" {
		return false
	}
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if rest, ok := strings.CutPrefix(tag, "W/"); ok {
			if !weak {
				continue
			}
			tag = rest
		}
		if tag == etag || `"`+tag+`"` == etag {
			return true
		}
	}
	return false
}
