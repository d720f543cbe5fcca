package qsapi

import (
	"net/http"

	"github.com/cisternhq/cistern/internal/accesslog"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// getLogging answers GET B?logging (QingStor API, "GET Bucket Logging").
func (a *API) getLogging(w *answer, r *request) error {
	doc, err := a.core.Logging(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	return w.document(http.StatusOK, doc)
}

// putLogging answers PUT B?logging (QingStor API, "PUT Bucket Logging"). An empty prefix is legal; a missing one is not.
func (a *API) putLogging(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketLoggingInput
	doc, err := r.decodeDocument(maxJSON, &in)
	if err != nil {
		return err
	}
	switch {
	case value(in.TargetBucket) == "":
		return fail(http.StatusBadRequest, "invalid_request", "The member target_bucket is missing or empty.")
	case in.TargetPrefix == nil:
		return fail(http.StatusBadRequest, "invalid_request", "The member target_prefix is missing.")
	}
	target := accesslog.Target{Bucket: *in.TargetBucket, Prefix: *in.TargetPrefix}
	if err := a.core.SetLogging(r.Context(), r.caller, r.target.bucket, target, doc); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// deleteLogging answers DELETE B?logging (QingStor API, "DELETE Bucket Logging"), also where there is none.
func (a *API) deleteLogging(w *answer, r *request) error {
	if err := a.core.RemoveLogging(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}
