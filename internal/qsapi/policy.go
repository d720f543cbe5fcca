package qsapi

import (
	"encoding/json"
	"net/http"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// getPolicy answers GET B?policy (QingStor API, "GET Bucket Policy") with the statements that were set.
func (a *API) getPolicy(w *answer, r *request) error {
	statements, err := a.core.Policy(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	doc := append([]byte(`{"statement":`), statements...)
	return w.document(http.StatusOK, append(doc, '}'))
}

// putPolicy answers PUT B?policy (QingStor API, "PUT Bucket Policy"). What it does not know it refuses.
func (a *API) putPolicy(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketPolicyInput
	if err := r.decode(&in); err != nil {
		return err
	}
	statements, err := json.Marshal(in.Statement)
	if err != nil {
		return err
	}
	if err := a.core.SetPolicy(r.Context(), r.caller, r.target.bucket, statements); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// deletePolicy answers DELETE B?policy (QingStor API, "DELETE Bucket Policy"), also where there is none.
func (a *API) deletePolicy(w *answer, r *request) error {
	if err := a.core.RemovePolicy(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}
