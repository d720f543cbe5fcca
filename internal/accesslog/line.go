// Package accesslog makes objects of what there is to say of the requests for a bucket.
//
// Lines go to the store's journal within a second, where they survive a restart, and become an object when their hour is over. It knows no requests: what
// there was to see of one is told to it.
package accesslog

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Entry is one request that was answered. Fields that nothing is known of are "".
type Entry struct {
	Bucket string
	// Address is the client's, without a port.
	Address string
	// Time is when the request came in, Duration how long the answer took.
	Time     time.Time
	Duration time.Duration
	Method   string
	// Path and Query are as they were sent.
	Path, Query string
	Status      int
	// Received and Sent are the bytes of the two bodies.
	Received, Sent          int64
	UserAgent, Referer      string
	Action, User, RequestID string
}

// maxField is the longest text of a client that is kept, in bytes.
const maxField = 4 << 10

// line is an entry in the form of the API's page ("PUT Bucket Logging"). What a client chose can neither end a line nor a field.
func (e *Entry) line() []byte {
	b := make([]byte, 0, 512)
	field := func(text string) {
		b = appendText(b, text, true)
		b = append(b, ' ')
	}
	quoted := func(text string) {
		b = append(b, '"')
		b = appendText(b, text, false)
		b = append(b, '"', ' ')
	}
	field(e.Address)
	b = append(b, "- ["...)
	b = e.Time.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, "] \""...)
	b = appendText(b, e.Method, true)
	b = append(b, ' ')
	target := e.Path
	if e.Query != "" {
		target += "?" + masked(e.Query)
	}
	b = appendText(b, target, true)
	b = append(b, "\" "...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendFloat(b, e.Duration.Seconds(), 'f', 3, 64)
	b = append(b, ' ')
	b = strconv.AppendInt(b, e.Received, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, e.Sent, 10)
	b = append(b, ' ')
	quoted(e.UserAgent)
	referer := e.Referer
	if site, query, ok := strings.Cut(referer, "?"); ok {
		referer = site + "?" + masked(query)
	}
	quoted(referer)
	field(e.Bucket)
	field(e.Action)
	field(e.User)
	field(e.RequestID)
	b[len(b)-1] = '\n'
	return b
}

// appendText writes a client's text: "-" for none, and what could end the line or the field as \xHH. A word has no blanks either.
func appendText(b []byte, s string, word bool) []byte {
	if s == "" {
		return append(b, '-')
	}
	const hex = "0123456789ABCDEF"
	if len(s) > maxField {
		s = s[:maxField]
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < 0x20, r >= 0x7f && r < 0xa0, r == '"', r == '\\', r == ' ' && word, r == '\u2028', r == '\u2029':
			for _, c := range []byte(s[i : i+n]) {
				b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			}
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}

// secrets are the parameters of a signed link, which whoever reads the log could use.
var secrets = map[string]bool{"signature": true, "access_key_id": true}

// masked is a query without credentials.
func masked(query string) string {
	if !strings.Contains(query, "=") {
		return query
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, _, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		if secrets[strings.ToLower(strings.TrimSpace(plain))] {
			parts[i] = name + "=***"
		}
	}
	return strings.Join(parts, "&")
}
