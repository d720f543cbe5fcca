package qsapi

import (
	"net/http"
	"strconv"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// The header fields of objects that grow (QingStor API, "Append Object").
const (
	nextPosition = "X-Qs-Next-Append-Position"
	objectType   = "X-Qs-Object-Type"
)

// appendObject answers POST O?append&position (QingStor API, "Append Object"). Types, metadata and storage class count for the first append only.
func (a *API) appendObject(w *answer, r *request) error {
	if err := noSource(r.Header); err != nil {
		return err
	}
	if err := noKey(r.Header); err != nil {
		return err
	}
	var in service.AppendObjectInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.Position == nil || *in.Position < 0 {
		return fail(http.StatusBadRequest, "invalid_argument", "The query parameter position is a number, at least 0: where the object ends.")
	}
	u := cistern.Upload{Size: r.ContentLength, Body: r.body}
	r.body.limit = object.MaxPutSize
	var err error
	if u.Meta, err = metaOf(r.Header); err != nil {
		return err
	}
	if u.MD5, err = contentMD5(r.Header); err != nil {
		return err
	}
	m, err := a.core.Append(r.Context(), r.caller, r.target.bucket, r.target.key, *in.Position, u)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Etag"] = []string{m.ETag}
	h[nextPosition] = []string{strconv.FormatInt(m.Size, 10)}
	versionHeaders(h, m.VersionID, false)
	return w.empty(http.StatusOK)
}

// appendHeaders says of an object that grows where it ends.
func appendHeaders(h http.Header, m *object.Meta) {
	if m.Appendable {
		h[objectType] = []string{"appendable"}
		h[nextPosition] = []string{strconv.FormatInt(m.Size, 10)}
	}
}
