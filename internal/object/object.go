// Package object holds the words that every other package shares: keys, ranges, metadata, sources, errors.
//
// It does no input or output, knows no protocol, and imports nothing of Cistern.
package object

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxKeyLen is the longest key, in bytes (QingStor API, "Objects").
const MaxKeyLen = 1023

// MaxPutSize is the largest body of one PUT, in bytes: 5 GB (QingStor API, "PUT Object").
const MaxPutSize = 5 << 30

// The bounds of objects that come in parts (QingStor API, "Multipart Upload"). An object that grows has the same largest size.
const (
	// MaxSize is the largest object, in bytes: 50 TB.
	MaxSize = 50 << 40
	// MinPartSize is the least size of every part but the last one, in bytes: 4 MB.
	MinPartSize = 4 << 20
	// MaxParts is the most parts that one object is made of.
	MaxParts = 10_000
)

// CheckKey says why key cannot name an object: it must be 1 to 1,023 bytes of UTF-8.
// Everything else is allowed: keys are bytes in order, never file names.
// It returns nil or an error that matches [ErrInvalidKey].
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidKey)
	case len(key) > MaxKeyLen:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrInvalidKey, len(key), MaxKeyLen)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: it is not UTF-8", ErrInvalidKey)
	}
	return nil
}

// CheckBucket says why name cannot name a bucket: 6 to 63 characters of a-z, 0-9 and "-", a letter or a digit
// at both ends (QingStor API, "PUT Bucket"). Names of 3 to 5 characters, which an older revision of the
// API allowed, are allowed too: `--mirror demo=URL` is one.
// It returns nil or an error that matches [ErrInvalidBucketName].
func CheckBucket(name string) error {
	if len(name) < 3 || len(name) > 63 {
		return fmt.Errorf("%w: it has %d characters, 3 to 63 are allowed", ErrInvalidBucketName, len(name))
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' && i > 0 && i < len(name)-1:
		default:
			return fmt.Errorf("%w: only a-z, 0-9 and, between them, \"-\" are allowed", ErrInvalidBucketName)
		}
	}
	return nil
}

// Meta is what is known of an object beside its bytes.
// The zero value describes an object of unknown type with zero bytes.
type Meta struct {
	// Size is the length of the body in bytes; -1 while a source has not said it.
	Size int64 `json:"size"`
	// ETag is the entity tag with its double quotes, always a strong one; "" while it is not known.
	ETag string `json:"etag,omitempty"`
	// LastModified is what the Last-Modified header says, in whole seconds, UTC.
	LastModified time.Time `json:"modified,omitzero"`
	// Created is when this version of the object came into the store, UTC.
	Created time.Time `json:"created,omitzero"`

	ContentType        string `json:"type,omitempty"`
	ContentEncoding    string `json:"encoding,omitempty"`
	ContentLanguage    string `json:"language,omitempty"`
	ContentDisposition string `json:"disposition,omitempty"`
	CacheControl       string `json:"cache,omitempty"`
	Expires            string `json:"expires,omitempty"`
	// StorageClass is STANDARD or STANDARD_IA; "" means STANDARD.
	StorageClass string `json:"class,omitempty"`
	// User is the user's metadata, names in lower case without a dialect's prefix.
	User map[string]string `json:"user,omitempty"`

	// Digest is the store's own checksum of the body; zero while it is being written.
	Digest Digest `json:"digest,omitzero"`
	// Filled says where the object came from; nil for an object that a client put.
	Filled *Provenance `json:"filled,omitempty"`

	// VersionID names this version of the object; "" for one that was written while its bucket kept no versions.
	VersionID string `json:"version,omitempty"`
	// DeleteMarker: this version is no object, it says that there is none.
	DeleteMarker bool `json:"delete_marker,omitempty"`
	// Appendable: the object grows by appends, and is nothing that a multipart upload or a PUT made.
	Appendable bool `json:"appendable,omitempty"`
	// Encryption says how the body is encrypted at rest; nil for one that is not.
	Encryption *Encryption `json:"encryption,omitempty"`
}

// AtRest is how many bytes the body has at rest: more than Size for one that is encrypted.
func (m *Meta) AtRest() int64 {
	if m.Encryption != nil {
		return m.Encryption.Size
	}
	return m.Size
}

// Encryption is how a body is encrypted at rest, with a key that the client keeps and the store never has.
type Encryption struct {
	// Algorithm is AES256.
	Algorithm string `json:"algorithm"`
	// KeyMD5 is the MD5 of the client's key in base64, by which a wrong key is told from the right one.
	KeyMD5 string `json:"key_md5"`
	// Salt makes the key of this body out of the client's key.
	Salt []byte `json:"salt"`
	// Size is the length of the body at rest, in bytes.
	Size int64 `json:"size"`
}

// Digest is the checksum that the store keeps of every body.
type Digest struct {
	// CRC64NVME is the CRC-64/NVME of the whole body.
	CRC64NVME uint64 `json:"crc64nvme"`
	// MD5 is the MD5 of the body in hex, "" where nobody needed it: it costs more than all the rest of a fill.
	MD5 string `json:"md5,omitempty"`
}

// Provenance is where a filled object came from.
type Provenance struct {
	// URL is the address that answered, after redirects, without its query.
	URL string `json:"url"`
	// ETag and LastModified are the source's validators as it sent them; "" where it sent none.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"modified,omitempty"`
	// Verified names the digests of the source that the body was checked against, such as "content-md5".
	Verified []string `json:"verified,omitempty"`
	// At is the time of the fill.
	At time.Time `json:"at"`
}

// Source is where a bucket fills from: a parsed source site. Make one with origin.ParseSite.
// It is comparable: two equal sources lead to the same URLs.
type Source struct {
	// Scheme is "http" or "https".
	Scheme string
	// Host is a name or an address in its canonical spelling, IPv6 without brackets; never empty.
	Host string
	// Port is 1 to 65535; the scheme's own where the site named none.
	Port uint16
	// Path begins with "/"; it may hold valid percent escapes and is sent as it is.
	Path string
	// Query is sent behind the path, as it is. Only a URL that is fetched has one; "" is none. It may hold credentials.
	Query string
	// Private allows private and loopback addresses: the setting was made with the operator's key.
	Private bool
}
