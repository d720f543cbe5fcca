package qsapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// getCNAME answers GET B?cname (QingStor API, "GET Bucket CNAME") with the domains of one type, normal where none is named.
func (a *API) getCNAME(w *answer, r *request) error {
	var in service.GetBucketCNAMEInput
	if err := r.decode(&in); err != nil {
		return err
	}
	domains, err := a.core.Domains(r.Context(), r.caller, r.target.bucket, value(in.Type))
	if err != nil {
		return err
	}
	count := len(domains)
	out := service.GetBucketCNAMEOutput{CnameRecords: []*service.CnameRecordType{}, Count: &count}
	for i := range domains {
		d := &domains[i]
		created := d.Created.UTC().Format(jsonTime)
		out.CnameRecords = append(out.CnameRecords, &service.CnameRecordType{Domain: &d.Name, Type: &d.Kind, Created: &created})
	}
	return w.render(http.StatusOK, &out)
}

// putCNAME answers PUT B?cname (QingStor API, "PUT Bucket CNAME").
func (a *API) putCNAME(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketCNAMEInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.Domain == nil {
		return fail(http.StatusBadRequest, "invalid_argument", "The body lacks the member domain, a host's name.")
	}
	if err := a.core.BindDomain(r.Context(), r.caller, r.target.bucket, *in.Domain, value(in.Type)); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// deleteCNAME answers DELETE B?cname (QingStor API, "DELETE Bucket CNAME"), also where the bucket does not have the domain.
func (a *API) deleteCNAME(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.DeleteBucketCNAMEInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.Domain == nil {
		return fail(http.StatusBadRequest, "invalid_argument", "The body lacks the member domain, the one to take off the bucket.")
	}
	if err := a.core.UnbindDomain(r.Context(), r.caller, r.target.bucket, *in.Domain); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}

// bound is a bucket that a Host names by a domain of its own.
type bound struct {
	bucket  string // "": the Host is no such domain
	website bool
}

// bound looks a host's name up.
func (a *API) bound(ctx context.Context, host string) (bound, error) {
	bucket, website, err := a.core.Domain(ctx, host)
	if errors.Is(err, object.ErrNoDomain) {
		return bound{}, nil
	}
	return bound{bucket, website}, err
}
