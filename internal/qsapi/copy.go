package qsapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// The headers that make a PUT take its object from elsewhere.
const (
	copySource = "X-Qs-Copy-Source"
	copyRange  = "X-Qs-Copy-Range"
	moveSource = "X-Qs-Move-Source"
)

// sourceHeaders are those that belong to a source: what a header of such a prefix asks for must never be passed over, as the object would become
// something else. By prefix, what may follow.
var sourceHeaders = []struct {
	source string
	prefix string
	known  []string
}{
	{copySource, "X-Qs-Copy-", []string{"Source-If-Match", "Source-If-None-Match", "Source-If-Modified-Since", "Source-If-Unmodified-Since",
		"Source-Encryption-Customer-Algorithm", "Source-Encryption-Customer-Key", "Source-Encryption-Customer-Key-Md5"}},
	{moveSource, "X-Qs-Move-", []string{"Source-If-Match", "Source-If-None-Match", "Source-If-Modified-Since", "Source-If-Unmodified-Since"}},
	{fetchSource, "X-Qs-Fetch-", []string{"If-Unmodified-Since"}},
}

// sourceOf returns which of the headers of a source the request has, "" for none. What else belongs to a source must be known and have it; also are
// the headers that go with it here.
func sourceOf(h http.Header, also ...string) (string, error) {
	var found string
	for _, s := range sourceHeaders {
		if len(h[s.source]) == 0 {
			continue
		}
		if found != "" {
			return "", fail(http.StatusBadRequest, "invalid_request", "The request has both %s and %s.", strings.ToLower(found), strings.ToLower(s.source))
		}
		found = s.source
	}
	for name := range h {
		if !strings.HasPrefix(name, "X-Qs-") {
			continue
		}
		for _, s := range sourceHeaders {
			rest, ok := strings.CutPrefix(name, s.prefix)
			switch {
			case !ok || name == s.source:
			case !slices.Contains(s.known, rest) && !slices.Contains(also, name):
				return "", fail(http.StatusBadRequest, "invalid_argument", "The header %s is not known here.", strings.ToLower(name))
			case found != s.source:
				return "", fail(http.StatusBadRequest, "invalid_request", "The header %s makes no sense without %s.", strings.ToLower(name), strings.ToLower(s.source))
			}
		}
	}
	return found, nil
}

// noSource refuses the headers of a source where a request cannot have one.
func noSource(h http.Header) error {
	source, err := sourceOf(h)
	if err == nil && source != "" {
		err = fail(http.StatusBadRequest, "invalid_request", "The header %s makes no sense here.", strings.ToLower(source))
	}
	return err
}

// noKey refuses the headers of a customer's key where nothing is encrypted.
func noKey(h http.Header) error {
	if k, err := customerKey(h, ownKey); err != nil || k == nil {
		return err
	}
	return fail(http.StatusBadRequest, "invalid_request", "There is no encryption with a customer's key here.")
}

// copyObject answers PUT O with a x-qs-copy-source (QingStor API, "PUT Object - Copy").
func (a *API) copyObject(w *answer, r *request) error {
	cp := cistern.Copy{}
	var err error
	if cp.Source, err = r.source(copySource); err != nil {
		return err
	}
	if cp.StorageClass, err = storageClassOf(r.Header); err != nil {
		return err
	}
	if cp.Key, err = customerKey(r.Header, ownKey); err != nil {
		return err
	}
	switch directive := r.Header.Get("X-Qs-Metadata-Directive"); {
	case directive == "", strings.EqualFold(directive, "copy"):
		// What the request says of types and metadata counts for nothing: clients send a Content-Type with every PUT.
	case strings.EqualFold(directive, "replace"):
		m, err := metaOf(r.Header)
		if err != nil {
			return err
		}
		cp.Replace = &m
	default:
		return fail(http.StatusBadRequest, "invalid_argument", "The x-qs-metadata-directive is copy or replace.")
	}
	m, err := a.core.Copy(r.Context(), r.caller, r.target.bucket, r.target.key, cp)
	return w.created(&m, err)
}

// moveObject answers PUT O with a x-qs-move-source (QingStor API, "PUT Object - Move").
func (a *API) moveObject(w *answer, r *request) error {
	if err := noKey(r.Header); err != nil {
		return err // a move keeps the encryption that the object has
	}
	mv := cistern.Move{}
	var err error
	if mv.Source, err = r.source(moveSource); err != nil {
		return err
	}
	if mv.StorageClass, err = storageClassOf(r.Header); err != nil {
		return err
	}
	m, err := a.core.Move(r.Context(), r.caller, r.target.bucket, r.target.key, mv)
	return w.created(&m, err)
}

// copyPart answers PUT O?part_number&upload_id with a x-qs-copy-source (QingStor API, "Copy Multipart").
func (a *API) copyPart(w *answer, r *request, in *service.UploadMultipartInput) error {
	cp := cistern.PartCopy{}
	var err error
	if cp.Source, err = r.source(copySource); err != nil {
		return err
	}
	if cp.Key, err = customerKey(r.Header, ownKey); err != nil {
		return err
	}
	if v := r.Header.Get(copyRange); v != "" {
		ranges, err := object.ParseRange(v)
		if err != nil || len(ranges) != 1 {
			return fail(http.StatusBadRequest, "invalid_argument", "The x-qs-copy-range is one range, such as bytes=0-4194303.")
		}
		cp.Range = &ranges[0]
	}
	p, rg, size, err := a.core.CopyPart(r.Context(), r.caller, r.target.bucket, r.target.key, value(in.UploadID), *in.PartNumber, cp)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Etag"] = []string{p.ETag}
	keyHeaders(h, cp.Key)
	if rg.Length > 0 {
		h["X-Qs-Content-Copy-Range"] = []string{rangeHeader(rg, size)}
	}
	return w.empty(http.StatusCreated)
}

// created answers a PUT that made the object m, if err is nil.
func (w *answer) created(m *object.Meta, err error) error {
	if err != nil {
		return err
	}
	w.Header()["Etag"] = []string{m.ETag}
	encryptionHeaders(w.Header(), m)
	versionHeaders(w.Header(), m.VersionID, false)
	return w.empty(http.StatusCreated)
}

// source reads what the header name and those that go with it say of a source. The request has no body then.
func (r *request) source(name string) (cistern.Source, error) {
	src := cistern.Source{}
	if err := r.noBody(); err != nil {
		return src, err
	}
	if src.Names = parseSource(r.Header.Get(name)); len(src.Names) == 0 {
		return src, fail(http.StatusBadRequest, "invalid_argument", "The %s is /BUCKET/KEY, percent-encoded.", strings.ToLower(name))
	}
	var err error
	if src.Conditions, err = sourceConditions(r.Header, name+"-"); err != nil {
		return src, err
	}
	if src.Key, err = customerKey(r.Header, name+"-Encryption-Customer-"); err != nil {
		return src, err
	}
	src.Hops, err = hops(r.Header)
	return src, err
}

// parseSource returns what objects a source may mean, the most likely first; none if it is no name at all. It should be percent-encoded, and a plus
// should be a plus. But the Go SDK sends a source of ASCII characters as it is, and others encode it as forms do: so where there is no such object,
// the value as it stands is looked for, and that with pluses for blanks.
func parseSource(value string) []cistern.Name {
	var names []cistern.Name
	add := func(s string, err error) {
		bucket, key, ok := strings.Cut(strings.TrimPrefix(s, "/"), "/")
		n := cistern.Name{Bucket: bucket, Key: key}
		if err == nil && ok && object.CheckBucket(bucket) == nil && object.CheckKey(key) == nil && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	add(url.PathUnescape(value))
	add(value, nil)
	add(url.QueryUnescape(value))
	return names
}

// sourceConditions reads the conditions whose headers begin with prefix. Other than on a read, a date that cannot be read is refused: a move that should
// not have been cannot be undone.
func sourceConditions(h http.Header, prefix string) (object.Conditions, error) {
	c := object.Conditions{IfMatch: tags(h[prefix+"If-Match"]), IfNoneMatch: tags(h[prefix+"If-None-Match"])}
	var err error
	if c.IfModifiedSince, err = dateOf(h, prefix+"If-Modified-Since"); err != nil {
		return c, err
	}
	c.IfUnmodifiedSince, err = dateOf(h, prefix+"If-Unmodified-Since")
	return c, err
}

// dateOf reads a header that holds a date; the zero time where there is none.
func dateOf(h http.Header, name string) (time.Time, error) {
	v := h.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	if strings.Contains(v, "%20") { // the JavaScript client escapes header values
		v = strings.ReplaceAll(v, "%20", " ")
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return time.Time{}, fail(http.StatusBadRequest, "invalid_argument", "The %s is no date, such as %s.", strings.ToLower(name), strconv.Quote(timeFormat))
	}
	return t, nil
}
