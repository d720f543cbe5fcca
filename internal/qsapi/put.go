package qsapi

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

const (
	maxContentType = 255
	// maxMeta and maxMetaName bound user metadata, in bytes (QingStor API, "User Metadata").
	maxMeta     = 2048
	maxMetaName = 512

	metaPrefix  = "X-Qs-Meta-" // as net/http writes it
	defaultType = "application/octet-stream"
)

// putObject answers PUT O (QingStor API, "PUT Object"), also where the object comes from elsewhere. Bodies may be chunked: several clients send them so.
func (a *API) putObject(w *answer, r *request) error {
	switch source, err := sourceOf(r.Header); {
	case err != nil:
		return err
	case source == copySource:
		r.operation = "PUT Object - Copy"
		return a.copyObject(w, r)
	case source == moveSource:
		r.operation = "PUT Object - Move"
		return a.moveObject(w, r)
	case source == fetchSource:
		r.operation = "PUT Object - Fetch"
		return a.fetchObject(w, r)
	}
	u := cistern.Upload{Size: r.ContentLength, Body: r.body}
	if u.Size > object.MaxPutSize {
		return object.Explain(object.ErrTooLarge, "the body has %d bytes; one PUT may have %d", u.Size, int64(object.MaxPutSize))
	}
	r.body.limit = object.MaxPutSize
	var err error
	if u.Meta, err = metaOf(r.Header); err != nil {
		return err
	}
	if u.MD5, err = contentMD5(r.Header); err != nil {
		return err
	}
	if u.Key, err = customerKey(r.Header, ownKey); err != nil {
		return err
	}
	// The API knows no conditions on a PUT. Those who send one mean what RFC 9110 says, and lose an object if it is passed over.
	u.Conditions = object.Conditions{IfMatch: tags(r.Header["If-Match"]), IfNoneMatch: tags(r.Header["If-None-Match"])}
	m, err := a.core.Put(r.Context(), r.caller, r.target.bucket, r.target.key, u)
	return w.created(&m, err)
}

// deleteObject answers DELETE O (QingStor API, "DELETE Object"), also where there is none. With version_id it removes that version for good.
func (a *API) deleteObject(w *answer, r *request) error {
	version, err := r.version()
	if err != nil {
		return err
	}
	var gone store.Removed
	if version != "" {
		gone, err = a.core.DeleteVersion(r.Context(), r.caller, r.target.bucket, r.target.key, version)
	} else {
		gone, err = a.core.Delete(r.Context(), r.caller, r.target.bucket, r.target.key)
	}
	if err != nil {
		return err
	}
	versionHeaders(w.Header(), gone.VersionID, gone.DeleteMarker)
	return w.empty(http.StatusNoContent)
}

// metaOf reads what is to be kept of a request's header.
func metaOf(h http.Header) (object.Meta, error) {
	m := object.Meta{
		ContentType:        h.Get("Content-Type"),
		ContentEncoding:    strings.Join(h["Content-Encoding"], ", "),
		ContentLanguage:    strings.Join(h["Content-Language"], ", "),
		ContentDisposition: h.Get("Content-Disposition"),
		CacheControl:       strings.Join(h["Cache-Control"], ", "),
		Expires:            h.Get("Expires"),
	}
	if m.ContentType == "" {
		m.ContentType = defaultType
	}
	if len(m.ContentType) > maxContentType {
		return m, fail(http.StatusBadRequest, "invalid_argument", "The Content-Type has %d characters, %d are allowed.", len(m.ContentType), maxContentType)
	}
	var err error
	if m.StorageClass, err = storageClassOf(h); err != nil {
		return m, err
	}
	var total int
	for name, values := range h {
		key, ok := strings.CutPrefix(name, metaPrefix)
		if !ok {
			continue
		}
		key = strings.ToLower(key)
		if !validMetaName(key) {
			return m, fail(http.StatusBadRequest, "invalid_argument", "The name of the metadata %q is not made of letters, digits, \"-\", \"_\" and \".\".", key)
		}
		if len(values) > 1 {
			return m, fail(http.StatusBadRequest, "invalid_argument", "The metadata %q is there more than once.", key)
		}
		v := values[0]
		if strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			return m, fail(http.StatusBadRequest, "invalid_argument", "The value of the metadata %q is not printable ASCII. Escape it first.", key)
		}
		if len(key) > maxMetaName {
			return m, object.Explain(object.ErrMetadataTooLarge, "the name of a metadata field has %d bytes, %d are allowed", len(key), maxMetaName)
		}
		total += len(key) + len(v)
		if m.User == nil {
			m.User = map[string]string{}
		}
		m.User[key] = v
	}
	if total > maxMeta {
		return m, object.Explain(object.ErrMetadataTooLarge, "the metadata has %d bytes, names and values, and %d are allowed", total, maxMeta)
	}
	return m, nil
}

// storageClassOf reads the storage class that a request names, "" where it names none.
func storageClassOf(h http.Header) (string, error) {
	switch c := h.Get("X-Qs-Storage-Class"); c {
	case "", "STANDARD", "STANDARD_IA":
		return c, nil
	}
	return "", fail(http.StatusBadRequest, "invalid_request", "The x-qs-storage-class is STANDARD or STANDARD_IA.")
}

func validMetaName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return s != ""
}

// contentMD5 reads the Content-MD5 header: base64 as RFC 1864 has it, or hex, as the official SDK's own tests send it.
// It returns nil where there is none.
func contentMD5(h http.Header) ([]byte, error) {
	v := strings.TrimSpace(h.Get("Content-Md5"))
	if v == "" {
		return nil, nil
	}
	var sum []byte
	var err error
	if len(v) == 2*md5.Size {
		sum, err = hex.DecodeString(v)
	} else {
		sum, err = base64.StdEncoding.Strict().DecodeString(v)
	}
	if err != nil || len(sum) != md5.Size {
		return nil, fail(http.StatusBadRequest, "invalid_argument", "The Content-MD5 is neither base64 nor hex of an MD5.")
	}
	return sum, nil
}

// checkMD5 holds a document against its Content-MD5.
func checkMD5(h http.Header, doc []byte) error {
	want, err := contentMD5(h)
	if err != nil || want == nil {
		return err
	}
	if got := md5.Sum(doc); !bytes.Equal(got[:], want) {
		return object.ErrBadDigest
	}
	return nil
}
