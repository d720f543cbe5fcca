package qsapi

import (
	"net/url"
	"strings"

	"github.com/cisternhq/cistern/internal/cistern"
)

const fetchSource = "X-Qs-Fetch-Source"

// fetchObject answers PUT O with a x-qs-fetch-source (QingStor API, "PUT Object - Fetch"). What the request says of types and metadata counts for nothing:
// the object has what its source says of it.
func (a *API) fetchObject(w *answer, r *request) error {
	if err := noKey(r.Header); err != nil {
		return err
	}
	if err := r.noBody(); err != nil {
		return err
	}
	f := cistern.Fetch{URL: fetchURL(r.Header.Get(fetchSource))}
	var err error
	if f.IfUnmodifiedSince, err = dateOf(r.Header, "X-Qs-Fetch-If-Unmodified-Since"); err != nil {
		return err
	}
	if f.StorageClass, err = storageClassOf(r.Header); err != nil {
		return err
	}
	if f.Hops, err = hops(r.Header); err != nil {
		return err
	}
	m, err := a.core.Fetch(r.Context(), r.caller, r.target.bucket, r.target.key, f)
	return w.created(&m, err)
}

// fetchURL undoes the escapes of a URL that was escaped as a whole, as clients do that escape every header value. In a URL with its own "://" they belong
// to it.
func fetchURL(v string) string {
	for _, scheme := range []string{"http%3a", "https%3a"} {
		if len(v) > len(scheme) && strings.EqualFold(v[:len(scheme)], scheme) {
			if u, err := url.PathUnescape(v); err == nil {
				return u
			}
		}
	}
	return v
}
