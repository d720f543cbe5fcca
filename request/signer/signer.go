// Package signer signs HTTP requests for QingStor, knowing of a request's bucket what its host says.
//
// Deprecated: package request/signer/v2 is told the bucket. This one is for programs that use it already.
package signer

import (
	"net/http"
	"strings"

	v2 "github.com/cisternhq/cistern/request/signer/v2"
)

// QingStorSigner signs with one access key. Its zero value signs with an empty one, which no server accepts.
type QingStorSigner struct {
	AccessKeyID     string
	SecretAccessKey string
	// EnableVirtualHostStyle takes the first label of the request's host for the bucket. False means that the path names it.
	EnableVirtualHostStyle bool
}

// WriteSignature sets the Authorization header. A Date header must be there already.
func (s *QingStorSigner) WriteSignature(r *http.Request) error {
	return s.signer().WriteSignature(s.canonical(r))
}

// WriteQuerySignature turns r's URL into a link that is good until expires, in seconds since 1970. Signed headers of r have to be sent
// with the link.
func (s *QingStorSigner) WriteQuerySignature(r *http.Request, expires int) error {
	return s.signer().WriteQuerySignature(s.canonical(r), expires)
}

// BuildSignature returns the value of the Authorization header.
func (s *QingStorSigner) BuildSignature(r *http.Request) (string, error) {
	return s.signer().BuildSignature(s.canonical(r))
}

// BuildQuerySignature returns the three parameters that make a link, joined with "&".
func (s *QingStorSigner) BuildQuerySignature(r *http.Request, expires int) (string, error) {
	return s.signer().BuildQuerySignature(s.canonical(r), expires)
}

// BuildStringToSign returns what the header form signs.
func (s *QingStorSigner) BuildStringToSign(r *http.Request) (string, error) {
	return s.signer().BuildStringToSign(s.canonical(r))
}

// BuildQueryStringToSign returns what a link signs.
func (s *QingStorSigner) BuildQueryStringToSign(r *http.Request, expires int) (string, error) {
	return s.signer().BuildQueryStringToSign(s.canonical(r), expires)
}

func (s *QingStorSigner) signer() *v2.QingStorSigner {
	return &v2.QingStorSigner{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}
}

func (s *QingStorSigner) canonical(r *http.Request) v2.CanonicalReq {
	if !s.EnableVirtualHostStyle {
		return v2.CanonicalReqByPath(r)
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	bucket, _, _ := strings.Cut(host, ".")
	return v2.CanonicalReqByVhost(r, bucket)
}
