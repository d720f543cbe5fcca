package origin

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"golang.org/x/net/http/httpguts"
)

const (
	maxUserMeta    = 2048 // all names and values together, in bytes (QingStor API, "Object metadata")
	maxContentType = 255
	maxKept        = 1024 // any other kept value, in bytes
	// timeFormat is the one form of HTTP dates that is still sent (RFC 9110 §5.6.7).
	timeFormat = http.TimeFormat
)

var metaPrefixes = []string{"X-Qs-Meta-", "X-Amz-Meta-", "X-Oss-Meta-", "X-Cos-Meta-"}

// keep returns the part of a source's answer that becomes the object's metadata; all else is dropped.
// Values that are too long, or that could not be sent on, are dropped too: they are the source's fault and no reason to fail.
func keep(h http.Header) object.Meta {
	get := func(name string, limit int) string {
		v := strings.Join(h[name], ", ") // what is sent once only makes no sense twice, and is dropped or refused by whoever reads it
		if len(v) > limit || !httpguts.ValidHeaderFieldValue(v) {
			return ""
		}
		return v
	}
	m := object.Meta{
		Size:               -1,
		ContentType:        get("Content-Type", maxContentType),
		ContentEncoding:    get("Content-Encoding", maxKept),
		ContentLanguage:    get("Content-Language", maxKept),
		ContentDisposition: get("Content-Disposition", maxKept),
		CacheControl:       get("Cache-Control", maxKept),
		Expires:            get("Expires", maxKept),
	}
	if tag := h.Get("Etag"); strongETag(tag) {
		m.ETag = tag
	}
	if at, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		m.LastModified = at.UTC()
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := h.Get(name)
		for _, prefix := range metaPrefixes {
			short, ok := strings.CutPrefix(name, prefix)
			if !ok || short == "" {
				continue
			}
			short = strings.ToLower(short)
			total += len(short) + len(value)
			if total > maxUserMeta || !printable(value) {
				total -= len(short) + len(value)
				break
			}
			if m.User == nil {
				m.User = make(map[string]string)
			}
			m.User[short] = value
			break
		}
	}
	return m
}

// bounded is v, or "" where v is too long to be kept.
func bounded(v string) string {
	if len(v) > maxKept {
		return ""
	}
	return v
}

// strongETag reports whether tag is a strong entity tag as RFC 9110 §8.8.3 writes it, of a bearable length.
func strongETag(tag string) bool {
	if len(tag) < 2 || len(tag) > maxKept || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return false
	}
	for i := 1; i < len(tag)-1; i++ {
		if c := tag[i]; c < 0x21 || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// validator returns what If-Range may carry for the object that h describes: its strong ETag, else a Last-Modified that
// counts as strong because the source's own clock was past it when it answered (RFC 9110 §8.8.2.2).
func validator(h http.Header) string {
	if tag := h.Get("Etag"); tag != "" {
		if strongETag(tag) {
			return tag
		}
		return "" // a weak one says that the bytes may differ
	}
	modified, err := time.Parse(timeFormat, h.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || date.Sub(modified) < time.Second {
		return ""
	}
	return h.Get("Last-Modified")
}

// maxRetryAfter bounds what a source may ask for.
const maxRetryAfter = time.Hour

// retryAfter reads a Retry-After field (RFC 9110 §10.2.3): seconds or a date. Nonsense counts as absent, a date in the past too.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	d := time.Duration(0)
	if n, err := parseSize(v); err == nil {
		d = time.Duration(min(n, int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
