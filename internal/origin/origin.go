// Package origin asks sources for objects.
//
// It turns a source and a key into a URL, and what the URL answers into a response or an error. It is the only way out to
// sources, so the address guard stands here. It knows no buckets and no store, it keeps nothing, and it does not retry: that is for
// the flight, which knows what is still missing.
package origin

import (
	"io"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Request asks a source for one key.
type Request struct {
	Source object.Source
	Key    string
	// Head asks for the metadata only: Response.Body is empty.
	Head bool
	// Range asks for these bytes only, of the object that Validator names. The zero value asks for all of it.
	Range object.Range
	// Validator is a strong validator that an earlier response gave. It must be set with Range.
	Validator string
	// Hops is how many servers of this kind the request came through.
	Hops int
}

// Response is a source's good answer. The caller closes Body.
type Response struct {
	// Meta describes the whole object. Size is -1 where the source did not say it. ETag is only ever a strong one.
	Meta object.Meta
	// Provenance is where the answer came from, after redirects.
	Provenance object.Provenance
	// Status is the source's status code: 200, or 206 for a Range.
	Status int
	// Body yields the bytes of Range, and io.ErrUnexpectedEOF (or another error) when it ends early.
	Body io.ReadCloser
	// Range is what Body holds: for a 200 all of it (Length -1 where the size is not known).
	Range object.Range
	// Ranges says that the source offered ranges; Validator is a strong validator to ask for them with, "" if there is none.
	Ranges    bool
	Validator string
	// Claims are the digests that the source sent of the body.
	Claims []Claim
	// FirstByte is how long the source took to answer.
	FirstByte time.Duration
}

// Claim is a digest that a source says the body has.
type Claim struct {
	// Header is the field that made the claim, in lower case, such as "content-md5".
	Header string
	// Algorithm is one of md5, sha-1, sha-256, sha-512, crc32, crc32c, crc64nvme, crc64ecma.
	Algorithm string
	// Sum is the digest's bytes, big endian for checksums.
	Sum []byte
}
