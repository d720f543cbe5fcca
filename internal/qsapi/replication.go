package qsapi

import (
	"fmt"
	"net/http"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/replicate"
	"github.com/cisternhq/cistern/service"
)

// getReplication answers GET B?replication (QingStor API, "GET Bucket Replication").
func (a *API) getReplication(w *answer, r *request) error {
	doc, err := a.core.Replication(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	return w.document(http.StatusOK, doc)
}

// putReplication answers PUT B?replication (QingStor API, "PUT Bucket Replication").
func (a *API) putReplication(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketReplicationInput
	doc, err := r.decodeDocument(replicate.MaxDocument, &in)
	if err != nil {
		return err
	}
	rules := make([]replicate.Rule, len(in.Rules))
	for i, entry := range in.Rules {
		if rules[i], err = repeating(entry); err != nil {
			return fail(http.StatusBadRequest, "invalid_request", "rules[%d].%v.", i, err)
		}
	}
	if err := a.core.SetReplication(r.Context(), r.caller, r.target.bucket, rules, doc); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// repeating reads one rule; its errors are texts for the client.
func repeating(entry *service.RulesType) (replicate.Rule, error) {
	switch {
	case entry.Filters == nil:
		return replicate.Rule{}, missing("filters")
	case entry.Destination == nil:
		return replicate.Rule{}, missing("destination")
	}
	to := entry.Destination
	rule := replicate.Rule{
		ID: value(entry.ID), Prefix: value(entry.Filters.Prefix), Bucket: value(to.Bucket), Zone: value(to.Zone), Class: value(to.StorageClass),
	}
	on := true
	for _, s := range [...]struct {
		name string
		text *string
		on   *bool
	}{{"status", entry.Status, &on}, {"sync_marker", entry.SyncMarker, &rule.Existing}, {"delete_marker", entry.DeleteMarker, &rule.Deletes}} {
		switch {
		case s.text == nil:
		case *s.text == "enabled", *s.text == "disabled":
			*s.on = *s.text == "enabled"
		default:
			return rule, fmt.Errorf("%s is %q; use enabled or disabled", s.name, *s.text)
		}
	}
	rule.Off = !on
	return rule, nil
}

// deleteReplication answers DELETE B?replication (QingStor API, "DELETE Bucket Replication"), also where there is none.
func (a *API) deleteReplication(w *answer, r *request) error {
	if err := a.core.RemoveReplication(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}
