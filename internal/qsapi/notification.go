package qsapi

import (
	"net/http"

	"github.com/cisternhq/cistern/internal/notify"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// getNotification answers GET B?notification (QingStor API, "GET Bucket Notification").
func (a *API) getNotification(w *answer, r *request) error {
	doc, err := a.core.Notification(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	return w.document(http.StatusOK, doc)
}

// putNotification answers PUT B?notification (QingStor API, "PUT Bucket Notification").
func (a *API) putNotification(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketNotificationInput
	doc, err := r.decodeDocument(maxJSON, &in)
	if err != nil {
		return err
	}
	rules := make([]notify.Rule, len(in.Notifications))
	for i, n := range in.Notifications {
		rules[i] = notify.Rule{
			ID: value(n.ID), Events: values(n.EventTypes), Filters: values(n.ObjectFilters), Func: value(n.Cloudfunc), URL: value(n.NotifyURL),
		}
		if args := n.CloudfuncArgs; args != nil {
			prefix, separator := "gen", "_" // as documented
			if args.KeyPrefix != nil {
				prefix = *args.KeyPrefix
			}
			if args.KeySeprate != nil {
				separator = *args.KeySeprate
			}
			rules[i].Picture = &notify.Picture{Action: value(args.Action), Prefix: prefix + separator, Bucket: value(args.SaveBucket)}
		}
	}
	if err := a.core.SetNotification(r.Context(), r.caller, r.target.bucket, rules, doc); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// deleteNotification answers DELETE B?notification (QingStor API, "DELETE Bucket Notification"), also where there is none.
func (a *API) deleteNotification(w *answer, r *request) error {
	if err := a.core.RemoveNotification(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}
