// Package signer signs HTTP requests for QingStor.
//
// It works on requests that are complete: whatever is changed afterwards in method, path, signed parameters or signed
// headers makes the signature wrong.
package signer

import (
	"net/http"
	"strings"

	"github.com/cisternhq/cistern/internal/sign"
	"github.com/cisternhq/cistern/internal/wire"
)

// CanonicalReq is a request with the path that its signature covers.
type CanonicalReq struct {
	*http.Request
	// CanonicalURI is the escaped path in path style, "/bucket/key", whichever style the request has.
	CanonicalURI string
}

// CanonicalReqByPath returns r, whose path names the bucket.
func CanonicalReqByPath(r *http.Request) CanonicalReq {
	return CanonicalReq{Request: r, CanonicalURI: escapedPath(r)}
}

// CanonicalReqByVhost returns r, whose host names the bucket.
func CanonicalReqByVhost(r *http.Request, bucket string) CanonicalReq {
	return CanonicalReq{Request: r, CanonicalURI: "/" + bucket + escapedPath(r)}
}

// escapedPath is the path as it stands on the wire.
func escapedPath(r *http.Request) string {
	if p := r.URL.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

// QingStorSigner signs with one access key. Its zero value signs with an empty one, which no server accepts.
type QingStorSigner struct {
	AccessKeyID     string
	SecretAccessKey string
}

// WriteSignature sets the Authorization header. A Date header must be there already.
func (s *QingStorSigner) WriteSignature(r CanonicalReq) error {
	v, err := s.BuildSignature(r)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", v)
	return nil
}

// WriteQuerySignature turns r's URL into a link that is good until expires, in seconds since 1970. Signed headers of r have to be sent
// with the link.
func (s *QingStorSigner) WriteQuerySignature(r CanonicalReq, expires int) error {
	signature, err := s.BuildQuerySignature(r, expires)
	if err != nil {
		return err
	}
	query := Unsigned(r.URL.RawQuery)
	if query != "" {
		query += "&"
	}
	r.URL.RawQuery = query + signature
	return nil
}

// BuildSignature returns the value of the Authorization header.
func (s *QingStorSigner) BuildSignature(r CanonicalReq) (string, error) {
	return sign.Header(covered(r), s.AccessKeyID, s.SecretAccessKey), nil
}

// BuildQuerySignature returns the three parameters that make a link, joined with "&".
func (s *QingStorSigner) BuildQuerySignature(r CanonicalReq, expires int) (string, error) {
	c := covered(r)
	query := sign.Query(c, s.AccessKeyID, s.SecretAccessKey, int64(expires))
	return strings.TrimPrefix(strings.TrimPrefix(query, c.Query), "&"), nil
}

// BuildStringToSign returns what the header form signs.
func (s *QingStorSigner) BuildStringToSign(r CanonicalReq) (string, error) {
	return sign.StringToSign(covered(r)), nil
}

// BuildQueryStringToSign returns what a link signs.
func (s *QingStorSigner) BuildQueryStringToSign(r CanonicalReq, expires int) (string, error) {
	return sign.QueryStringToSign(covered(r), int64(expires)), nil
}

// QueryParameters returns the three parameters of a link with a signature that was made elsewhere.
func QueryParameters(accessKeyID, expires, signature string) string {
	return "access_key_id=" + wire.Escape(accessKeyID) + "&expires=" + expires + "&signature=" + wire.Escape(signature)
}

// Unsigned returns query without the parameters of a signed link, so that signing again replaces them.
func Unsigned(query string) string {
	if query == "" {
		return ""
	}
	var kept []string
	for p := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(p, "="); !sign.Credentials(name) {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "&")
}

func covered(r CanonicalReq) sign.Request {
	path := r.CanonicalURI
	if path == "" {
		path = escapedPath(r.Request)
	}
	return sign.Request{Method: r.Method, Path: path, Query: Unsigned(r.URL.RawQuery), Header: r.Header}
}
