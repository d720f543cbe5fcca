package qsapi

import (
	"fmt"
	"net/http"

	"github.com/cisternhq/cistern/internal/lifecycle"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// getLifecycle answers GET B?lifecycle (QingStor API, "GET Bucket Lifecycle").
func (a *API) getLifecycle(w *answer, r *request) error {
	doc, err := a.core.Lifecycle(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	return w.document(http.StatusOK, doc)
}

// putLifecycle answers PUT B?lifecycle (QingStor API, "PUT Bucket Lifecycle").
func (a *API) putLifecycle(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketLifecycleInput
	doc, err := r.decodeDocument(maxJSON, &in)
	if err != nil {
		return err
	}
	rules := make([]lifecycle.Rule, len(in.Rule))
	for i, entry := range in.Rule {
		if rules[i], err = ageing(entry); err != nil {
			return fail(http.StatusBadRequest, "invalid_request", "rule[%d].%v.", i, err)
		}
	}
	if err := a.core.SetLifecycle(r.Context(), r.caller, r.target.bucket, rules, doc); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// ageing reads one rule; its errors are texts for the client. Missing numbers and texts are found wrong by the rules' own check.
func ageing(entry *service.RuleType) (lifecycle.Rule, error) {
	switch {
	case entry == nil:
		return lifecycle.Rule{}, missing("id")
	case entry.Filter == nil || entry.Filter.Prefix == nil:
		return lifecycle.Rule{}, missing("filter.prefix")
	case entry.Status == nil:
		return lifecycle.Rule{}, missing("status")
	}
	rule := lifecycle.Rule{ID: value(entry.ID), Status: *entry.Status, Prefix: *entry.Filter.Prefix}
	for _, a := range [...]struct {
		name string
		set  bool
		days *int
		to   *int
	}{
		{"expiration.days", entry.Expiration != nil, days(entry.Expiration, func(e *service.ExpirationType) *int { return e.Days }), &rule.Expire},
		{"abort_incomplete_multipart_upload.days_after_initiation", entry.AbortIncompleteMultipartUpload != nil,
			days(entry.AbortIncompleteMultipartUpload, func(a *service.AbortIncompleteMultipartUploadType) *int { return a.DaysAfterInitiation }), &rule.Abort},
		{"transition.days", entry.Transition != nil, days(entry.Transition, func(t *service.TransitionType) *int { return t.Days }), &rule.Transition},
	} {
		if !a.set {
			continue
		}
		if a.days == nil {
			return rule, missing(a.name)
		}
		if *a.days == 0 {
			return rule, fmt.Errorf("%s is 0; it must be at least 1", a.name)
		}
		*a.to = *a.days
	}
	if t := entry.Transition; t != nil {
		switch {
		case t.StorageClass == nil:
			return rule, missing("transition.storage_class")
		case *t.StorageClass != service.TransitionStandardIA:
			return rule, fmt.Errorf("transition.storage_class is another one than %s, which is the only one", lifecycle.InfrequentAccess)
		}
		rule.Class = lifecycle.InfrequentAccess
	}
	return rule, nil
}

func days[T any](of *T, field func(*T) *int) *int {
	if of == nil {
		return nil
	}
	return field(of)
}

func missing(name string) error { return fmt.Errorf("%s is missing", name) }

// deleteLifecycle answers DELETE B?lifecycle (QingStor API, "DELETE Bucket Lifecycle"), also where there is none.
func (a *API) deleteLifecycle(w *answer, r *request) error {
	if err := a.core.RemoveLifecycle(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}
