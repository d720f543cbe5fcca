package qsapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
)

// website answers a request under a domain of type website: the bucket's objects are its pages (QingStor console manual, "Static website"). A path
// that ends in "/" is that of its index page. What is not there, or may not be read, has the error page for an answer, with the status that it
// would have had. Nothing is listed and nothing is changed here: that is done under the bucket's other names.
func (a *API) website(w *answer, r *request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD, OPTIONS"}
		return &missingMethod{r.Method, []string{"GET", "HEAD", "OPTIONS"}}
	}
	if r.target.key == "" || strings.HasSuffix(r.target.key, "/") {
		r.target.key += a.o.WebsiteIndex
	}
	r.params = pageParams(r.params)
	err := a.operate(w, r)
	if err == nil || w.wrote {
		return err
	}
	status, _, _ := describe(err)
	if status != http.StatusNotFound && status != http.StatusForbidden {
		return err
	}
	return a.errorPage(w, r, status, err)
}

// pageParams keeps the parameters that change what a page is. Others are the page's own, such as the marks of a campaign.
func pageParams(ps params) params {
	var kept params
	for _, p := range ps {
		if p.name == "image" || p.name == "action" || strings.HasPrefix(p.name, "response-") {
			kept = append(kept, p)
		}
	}
	return kept
}

// errorPage answers with the bucket's error page in place of err; without one, with err.
func (a *API) errorPage(w *answer, r *request, status int, err error) error {
	ctx := r.Context()
	open := a.core.Get
	if w.head {
		open = a.core.Head
	}
	o, missing := open(ctx, r.caller, r.target.bucket, a.o.WebsiteError, cistern.Read{})
	if missing != nil {
		return err
	}
	defer o.Close() // nothing was written
	size := o.Meta.Size
	if size < 0 {
		if size, missing = o.Sized(ctx); missing != nil {
			return err
		}
	}
	w.reset(r.id)
	h := w.Header()
	cacheHeaders(w, o.Status)
	// What says how long the page is good for, and which version it is, is left out: it would be kept for the path that failed.
	h["Content-Type"] = []string{contentType(&o.Meta)}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if o.Meta.ContentEncoding != "" {
		h["Content-Encoding"] = []string{o.Meta.ContentEncoding}
	}
	h["Content-Length"] = []string{strconv.FormatInt(size, 10)}
	w.begin(status)
	if w.head {
		w.end()
		return nil
	}
	return w.copy(r, o, object.Range{Length: size})
}
