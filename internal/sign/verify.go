package sign

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxSkew is how far the date of a request may be from the server's clock, in either direction.
const MaxSkew = 15 * time.Minute

var (
	// ErrMalformed: the credentials cannot be read, or what they cover could be read in two ways. The text says what to correct.
	ErrMalformed = errors.New("malformed credentials")
	// ErrMismatch: the signature is not the one that the secret gives; check the secret and what was signed.
	ErrMismatch = errors.New("signature does not match")
	// ErrExpired: the date is more than MaxSkew off, or the link's time is over; correct the clock or sign anew.
	ErrExpired = errors.New("request expired")
)

const (
	dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"
	// maxExpires is the latest end of a link: the largest whole number that every client can hold (2^53).
	maxExpires = 1 << 53
	maxKeyID   = 128
	sumText    = 44 // a SHA-256 sum in base64
)

// Credential is who a request says it comes from. Only Verify says whether that is so.
type Credential struct {
	KeyID string
	// Signature is the text as sent. It is judged by Verify, so that a broken one looks like a wrong one.
	Signature string
	// Presigned says that the credentials are in the query: a signed link.
	Presigned bool
	// Expires is the end of a signed link in seconds since 1970; 0 in the header form.
	Expires int64
}

// Parse reads the credentials of r. ok is false for an anonymous request, which has none.
// All errors match [ErrMalformed].
func Parse(r Request) (c Credential, ok bool, err error) {
	auth := r.Header["Authorization"]
	var link [3]string // key id, expires, signature
	var seen [3]int
	ps := params(r.Query)
	for _, p := range ps {
		for i, name := range [...]string{paramKeyID, paramExpires, paramSignature} {
			if p.name == name {
				if p.bad {
					return c, false, malformed("the query parameter %s is not validly escaped", name)
				}
				link[i] = p.value
				seen[i]++
			}
		}
	}
	inQuery := seen != [3]int{}
	switch {
	case len(auth) == 0 && !inQuery:
		return c, false, nil
	case len(auth) > 0 && inQuery:
		return c, false, malformed("credentials are in the header and in the query; send one of them")
	case len(auth) > 1:
		return c, false, malformed("the Authorization header is there more than once")
	case inQuery:
		if seen != [3]int{1, 1, 1} {
			return c, false, malformed("a signed link has %s, %s and %s, each once", paramKeyID, paramExpires, paramSignature)
		}
		c = Credential{KeyID: link[0], Signature: link[2], Presigned: true}
		if c.Expires, err = parseExpires(link[1]); err != nil {
			return c, false, err
		}
	default:
		scheme, rest, _ := strings.Cut(auth[0], " ")
		id, sig, found := strings.Cut(rest, ":")
		if !strings.EqualFold(scheme, "QS") || !found {
			return c, false, malformed(`the Authorization header is not "QS <access key id>:<signature>"`)
		}
		c = Credential{KeyID: id, Signature: sig}
	}
	if !validKeyID(c.KeyID) {
		return c, false, malformed("the access key id is not 1 to %d printable characters", maxKeyID)
	}
	if err := unambiguous(r, ps); err != nil {
		return c, false, err
	}
	return c, true, nil
}

// Verify checks the signature of r, which Parse read c from, and that its time has come and is not over.
// It accepts both forms of a bucket's root (/b and /b/), and the values of signed parameters decoded or as sent, because clients
// differ there. It fails with [ErrMismatch], [ErrExpired] or [ErrMalformed].
func (c Credential) Verify(r Request, secret string, now time.Time) error {
	date := strconv.FormatInt(c.Expires, 10)
	var at time.Time
	if !c.Presigned {
		var err error
		if at, err = requestTime(r.Header); err != nil {
			return err
		}
		date = dateLine(r.Header)
	}
	if !c.matches(r, secret, date) {
		return ErrMismatch
	}
	switch {
	case c.Presigned && now.Unix() > c.Expires:
		return fmt.Errorf("%w: the link was good until %s", ErrExpired, time.Unix(c.Expires, 0).UTC().Format(dateFormat))
	case !c.Presigned && at.Sub(now).Abs() > MaxSkew:
		return fmt.Errorf("%w: its date %s is more than 15 minutes from the server's clock", ErrExpired, at.Format(dateFormat))
	}
	return nil
}

func (c Credential) matches(r Request, secret, date string) bool {
	want, err := base64.StdEncoding.Strict().DecodeString(c.Signature)
	if err != nil || len(c.Signature) != sumText {
		want = nil // never equal; the work below is done all the same
	}
	ps := params(r.Query)
	decoded, raw := subResources(ps, false), subResources(ps, true)
	roots := []string{resource(r)}
	if other := otherRoot(r); other != "" {
		roots = append(roots, other)
	}
	for _, root := range roots {
		if hmac.Equal(mac(secret, r.stringToSign(date, root, decoded)), want) {
			return true
		}
		if raw != decoded && hmac.Equal(mac(secret, r.stringToSign(date, root, raw)), want) {
			return true
		}
	}
	return false
}

// otherRoot is the other form of a bucket's root: with a slash at the end where r has none, without where it has one.
// It is "" where r is about something else.
func otherRoot(r Request) string {
	res := resource(r)
	name := strings.TrimSuffix(res[min(1, len(res)):], "/")
	if name == "" || strings.Contains(name, "/") {
		return ""
	}
	if strings.HasSuffix(res, "/") {
		return strings.TrimSuffix(res, "/")
	}
	return res + "/"
}

// requestTime reads the date that counts: X-QS-Date before Date. Without one a request would be good for ever.
func requestTime(h http.Header) (time.Time, error) {
	name, value := "X-QS-Date", h.Get("X-Qs-Date")
	if value == "" {
		if dateLine(h) == "" {
			return time.Time{}, malformed("a signed request needs a Date or X-QS-Date header")
		}
		name, value = "Date", h.Get("Date")
	}
	at, err := time.Parse(dateFormat, strings.TrimSpace(value))
	if err != nil {
		return time.Time{}, malformed("the %s header is not of the form %q", name, dateFormat)
	}
	return at, nil
}

// unambiguous refuses requests whose string to sign could stand for another request, too: the signer takes the first of two equal
// header fields, glues the values of equal parameters together, and does not escape values.
func unambiguous(r Request, ps []param) error {
	for name, values := range r.Header {
		if len(values) > 1 && (hasQSPrefix(name) || name == "Date" || name == "Content-Md5" || name == "Content-Type") {
			return malformed("the header %s is there more than once", name)
		}
	}
	seen := map[string]bool{}
	for _, p := range ps {
		if !signed[p.name] {
			continue
		}
		switch {
		case p.bad:
			return malformed("the query parameter %s is not validly escaped", p.name)
		case seen[p.name]:
			return malformed("the query parameter %s is there more than once", p.name)
		case smuggles(p.value):
			return malformed("the value of the query parameter %s holds the name of another one", p.name)
		}
		seen[p.name] = true
	}
	return nil
}

// smuggles reports whether value, written into a string to sign without escapes, reads as a further signed parameter: a link that was
// signed for response-content-disposition=x%26acl would otherwise be good for response-content-disposition=x&acl.
func smuggles(value string) bool {
	for {
		_, rest, found := strings.Cut(value, "&")
		if !found {
			return false
		}
		name := rest
		if i := strings.IndexAny(rest, "=&"); i >= 0 {
			name = rest[:i]
		}
		if signed[strings.TrimSpace(name)] {
			return true
		}
		value = rest
	}
}

func parseExpires(s string) (int64, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, malformed("expires is not a decimal number of seconds since 1970")
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > maxExpires || s[0] == '0' {
		return 0, malformed("expires is not a decimal number of seconds since 1970")
	}
	return n, nil
}

func validKeyID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxKeyID
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}
