package qsapi

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/image"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// processImage answers GET O?image (QingStor API, "Image Process").
func (a *API) processImage(w *answer, r *request) error {
	for name := range r.Header {
		if strings.HasPrefix(name, ownKey) {
			return fail(http.StatusBadRequest, "invalid_request", "Pictures that are encrypted with a customer's key cannot be processed.")
		}
	}
	var in service.ImageProcessInput
	if err := r.overrides(&in); err != nil {
		return err
	}
	err := a.process(w, r, &in)
	if !w.wrote && (errors.Is(err, object.ErrSourceChanged) || errors.Is(err, object.ErrSuperseded)) {
		w.reset(r.id) // as in getObject
		err = a.process(w, r, &in)
	}
	return err
}

func (a *API) process(w *answer, r *request, in *service.ImageProcessInput) error {
	q := cistern.Process{Conditions: conditions(r.Header), Link: r.link, Own: func(s string) (string, string, bool) { return a.ownObject(r, s) }}
	var err error
	if q.Hops, err = hops(r.Header); err != nil {
		return err
	}
	if in.Action == nil {
		return fail(http.StatusBadRequest, "invalid_argument", "The query parameter action is needed, such as action=resize:w_300.")
	}
	if q.Action, err = image.Parse(*in.Action); err != nil {
		return err
	}
	p, err := a.core.Process(r.Context(), r.caller, r.target.bucket, r.target.key, q)
	if err != nil {
		return err
	}
	defer p.Close()
	cacheHeaders(w, p.Status)
	h := w.Header()
	validators(h, &p.Meta)
	if p.NotModified {
		return w.empty(http.StatusNotModified)
	}
	h["Content-Type"] = []string{p.Meta.ContentType}
	h["Content-Length"] = []string{strconv.Itoa(len(p.Body))}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	override(h, &service.GetObjectInput{
		ResponseCacheControl: in.ResponseCacheControl, ResponseContentDisposition: in.ResponseContentDisposition,
		ResponseContentEncoding: in.ResponseContentEncoding, ResponseContentLanguage: in.ResponseContentLanguage,
		ResponseContentType: in.ResponseContentType, ResponseExpires: in.ResponseExpires,
	})
	w.begin(http.StatusOK)
	_, err = w.Write(p.Body)
	return err
}

// ownObject finds the object that an address names on this server: under one of its domains, or under the Host of the request itself. Asking for
// it over the network would be refused, because the server is no source of its own.
func (a *API) ownObject(r *request, address string) (bucket, key string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return "", "", false
	}
	path := u.EscapedPath()
	if path == "" {
		return "", "", false
	}
	t, err := a.hosts.target(u.Host, path, func(host string) (bound, error) { return a.bound(r.Context(), host) })
	if err != nil || t.domain == "" && !t.vhost && !strings.EqualFold(u.Host, r.Host) || t.key == "" {
		return "", "", false
	}
	return t.bucket, t.key, true
}
