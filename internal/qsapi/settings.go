package qsapi

import (
	"errors"
	"net/http"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// allUsers is the one group there is (QingStor API, "Bucket ACL").
const allUsers = "QS_ALL_USERS"

// getACL answers GET B?acl (QingStor API, "GET Bucket ACL").
func (a *API) getACL(w *answer, r *request) error {
	owner, grants, err := a.core.ACL(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	out := service.GetBucketACLOutput{
		ACL:   []*service.ACLType{},
		Owner: &service.OwnerType{ID: &owner, Name: &owner},
	}
	for _, g := range grants {
		grantee := &service.GranteeType{Type: &g.Type}
		if g.ID != "" {
			grantee.ID = &g.ID
		}
		if g.Name != "" {
			grantee.Name = &g.Name
		} else if g.ID != "" {
			grantee.Name = &g.ID
		}
		out.ACL = append(out.ACL, &service.ACLType{Grantee: grantee, Permission: &g.Permission})
	}
	return w.render(http.StatusOK, &out)
}

// putACL answers PUT B?acl (QingStor API, "PUT Bucket ACL"). An empty list is legal; a missing one is not.
func (a *API) putACL(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketACLInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.ACL == nil {
		return fail(http.StatusBadRequest, "invalid_request", "The body lacks the member acl, a list.")
	}
	grants := make([]cistern.Grant, 0, len(in.ACL))
	for i, entry := range in.ACL {
		g, err := grant(entry)
		if err != nil {
			return fail(http.StatusBadRequest, "invalid_request", "acl[%d]: %v.", i, err)
		}
		grants = append(grants, g)
	}
	if err := a.core.SetACL(r.Context(), r.caller, r.target.bucket, grants); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// grant reads one entry of an ACL; its errors are texts for the client.
func grant(entry *service.ACLType) (cistern.Grant, error) {
	var g cistern.Grant
	if entry == nil || entry.Grantee == nil {
		return g, errors.New("the member grantee is missing")
	}
	g = cistern.Grant{Type: value(entry.Grantee.Type), Permission: value(entry.Permission)}
	switch g.Type {
	case "user":
		if g.ID = value(entry.Grantee.ID); g.ID == "" {
			return g, errors.New("a grantee of type user needs an id")
		}
	case "group":
		if g.Name = value(entry.Grantee.Name); g.Name != allUsers {
			return g, errors.New("a grantee of type group has the name " + allUsers)
		}
	default:
		return g, errors.New("grantee.type is user or group")
	}
	switch g.Permission {
	case "READ", "WRITE", "FULL_CONTROL":
		return g, nil
	}
	return g, errors.New("permission is READ, WRITE or FULL_CONTROL")
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// getMirror answers GET B?mirror (QingStor API, "GET Bucket External Mirror") with the string that was set.
func (a *API) getMirror(w *answer, r *request) error {
	site, err := a.core.Mirror(r.Context(), r.caller, r.target.bucket)
	if errors.Is(err, object.ErrNoSetting) {
		return fail(http.StatusNotFound, "mirror_not_exists", "The bucket has no external mirror.")
	}
	if err != nil {
		return err
	}
	return w.render(http.StatusOK, &service.GetBucketExternalMirrorOutput{SourceSite: &site})
}

// putMirror answers PUT B?mirror (QingStor API, "PUT Bucket External Mirror").
func (a *API) putMirror(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketExternalMirrorInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.SourceSite == nil {
		return fail(http.StatusBadRequest, "invalid_argument", "The body lacks the member source_site, a string.")
	}
	if err := a.core.SetMirror(r.Context(), r.caller, r.target.bucket, *in.SourceSite); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// deleteMirror answers DELETE B?mirror (QingStor API, "DELETE Bucket External Mirror"), also where there is none.
func (a *API) deleteMirror(w *answer, r *request) error {
	if err := a.core.RemoveMirror(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}
