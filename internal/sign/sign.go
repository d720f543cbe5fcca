// Package sign makes the signatures of QingStor requests, the same ones for those who send requests as for those who check them.
//
// It covers both forms: the Authorization header, and the signed link whose credentials are in the query. It looks at what was sent, byte by
// byte, and never escapes anything anew: clients differ in how they escape, and each signs its own bytes. It knows no
// keys and no buckets, and it imports the standard library only.
package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Request is what a signature covers.
type Request struct {
	// Method is the verb in upper case.
	Method string
	// Path is the escaped path exactly as it is sent; "" counts as "/".
	Path string
	// Query is the raw query as it is sent, without "?".
	Query string
	// Header holds the header fields. Only Content-MD5, Content-Type, Date and the x-qs- fields are covered.
	Header http.Header
	// Bucket is the bucket that the Host names in virtual-host style; "" in path style.
	Bucket string
}

// The parameters that carry the credentials of a signed link. They are not signed themselves.
const (
	paramKeyID     = "access_key_id"
	paramExpires   = "expires"
	paramSignature = "signature"
)

// signed names the query parameters that are part of the signature: the union of what the official clients and
// the API's pages list.
var signed = map[string]bool{
	"acl": true, "append": true, "cname": true, "cors": true, "delete": true, "image": true, "lifecycle": true, "logging": true,
	"mirror": true, "notification": true, "part_number": true, "policy": true, "position": true, "replication": true,
	"stats": true, "upload_id": true, "uploads": true, "versioning": true, "version_id": true, "versions": true,
	"response-cache-control": true, "response-content-disposition": true, "response-content-encoding": true,
	"response-content-language": true, "response-content-type": true, "response-expires": true,
}

// Signed reports whether the query parameter name is part of a signature.
func Signed(name string) bool { return signed[name] }

// Credentials reports whether the query parameter name is one of the three that make a link a signed one.
func Credentials(name string) bool {
	return name == paramKeyID || name == paramExpires || name == paramSignature
}

// StringToSign returns what the header form signs.
func StringToSign(r Request) string {
	return r.stringToSign(dateLine(r.Header), resource(r), subResources(params(r.Query), false))
}

// QueryStringToSign returns what a link signs that is good until expires, in seconds since 1970.
func QueryStringToSign(r Request, expires int64) string {
	return r.stringToSign(strconv.FormatInt(expires, 10), resource(r), subResources(params(r.Query), false))
}

// Header returns the value of the Authorization header for r. A Date or X-QS-Date header must be set already.
func Header(r Request, keyID, secret string) string {
	return "QS " + keyID + ":" + encode(mac(secret, StringToSign(r)))
}

// Query returns the query of a link to r that is good until expires, in seconds since 1970: what r has, with the credentials behind it.
// Header fields that r signs have to be sent with the link.
func Query(r Request, keyID, secret string, expires int64) string {
	q := r.Query
	if q != "" {
		q += "&"
	}
	return q + paramKeyID + "=" + escape(keyID) +
		"&" + paramExpires + "=" + strconv.FormatInt(expires, 10) +
		"&" + paramSignature + "=" + escape(encode(mac(secret, QueryStringToSign(r, expires))))
}

func (r Request) stringToSign(date, resource, sub string) string {
	var b strings.Builder
	b.Grow(len(r.Method) + len(date) + len(resource) + len(sub) + 64)
	b.WriteString(r.Method)
	b.WriteByte('\n')
	b.WriteString(r.Header.Get("Content-Md5"))
	b.WriteByte('\n')
	b.WriteString(r.Header.Get("Content-Type"))
	b.WriteByte('\n')
	b.WriteString(date)
	b.WriteByte('\n')
	writeHeaders(&b, r.Header)
	b.WriteString(resource)
	if sub != "" {
		b.WriteByte('?')
		b.WriteString(sub)
	}
	return b.String()
}

// dateLine is empty where X-QS-Date is sent: the date is then signed among the x-qs- fields, whatever Date says.
func dateLine(h http.Header) string {
	for name := range h {
		if strings.EqualFold(name, "X-QS-Date") {
			return ""
		}
	}
	return h.Get("Date")
}

// writeHeaders writes the x-qs- fields, sorted by name. Sorting the lines instead would put "x-qs-copy-source:" behind
// "x-qs-copy-source-if-match:", because ":" comes after "-".
func writeHeaders(b *strings.Builder, h http.Header) {
	type field struct{ name, value string }
	var fields []field
	for name, values := range h {
		if hasQSPrefix(name) && len(values) > 0 {
			fields = append(fields, field{strings.ToLower(name), strings.TrimSpace(values[0])})
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for _, f := range fields {
		b.WriteString(f.name)
		b.WriteByte(':')
		b.WriteString(f.value)
		b.WriteByte('\n')
	}
}

func hasQSPrefix(name string) bool {
	const prefix = "x-qs-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// resource is the path that is signed; it names the bucket in both styles.
func resource(r Request) string {
	path := r.Path
	if path == "" {
		path = "/"
	}
	if r.Bucket == "" {
		return path
	}
	return "/" + r.Bucket + path
}

// param is one query parameter. raw is its value as sent, value the decoded one.
type param struct {
	name, raw, value string
	bad              bool // an escape is broken
}

// params splits a query at "&" only, in the order sent. Empty pieces, as in "?mirror&", count for nothing.
func params(query string) []param {
	if query == "" {
		return nil
	}
	var ps []param
	for piece := range strings.SplitSeq(query, "&") {
		if piece == "" {
			continue
		}
		name, raw, _ := strings.Cut(piece, "=")
		p := param{raw: raw}
		var err1, err2 error
		if p.name, err1 = url.QueryUnescape(name); err1 != nil {
			p.name = name
		}
		if p.value, err2 = url.QueryUnescape(raw); err2 != nil {
			p.value = raw
		}
		p.bad = err1 != nil || err2 != nil
		ps = append(ps, p)
	}
	return ps
}

// subResources joins the signed parameters, sorted by name. The values of a name that is there more than once are glued
// together, as the official clients do.
func subResources(ps []param, raw bool) string {
	var names []string
	values := map[string]string{}
	for _, p := range ps {
		if !signed[p.name] {
			continue
		}
		if _, ok := values[p.name]; !ok {
			names = append(names, p.name)
		}
		if raw {
			values[p.name] += p.raw
		} else {
			values[p.name] += p.value
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name)
		if v := strings.TrimSpace(values[name]); v != "" {
			b.WriteByte('=')
			b.WriteString(v)
		}
	}
	return b.String()
}

func mac(secret, text string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return h.Sum(nil)
}

func encode(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// escape escapes all but unreserved characters, "/" and "=", as the official Go client does.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.~/=", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// Form returns the signature of an upload by an HTML form, whose field policy has that text (QingStor API, "POST Object").
func Form(policy, secret string) string { return encode(mac(secret, policy)) }

// VerifyForm reports whether signature is the one that Form returns.
func VerifyForm(policy, signature, secret string) bool {
	return hmac.Equal([]byte(Form(policy, secret)), []byte(signature))
}
