package cistern

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
)

// The names of a bucket's settings in the store. Each is a JSON document of the type beside it.
const (
	mirrorSetting = "mirror" // mirror
	aclSetting    = "acl"    // []Grant
	policySetting = "policy" // []policy.Statement
	corsSetting   = "cors"   // CORS
)

// mirror is the setting that says where a bucket fills from.
type mirror struct {
	// Site is the source site exactly as it was set.
	Site string `json:"site"`
	// Private: it was set with the operator's key, so it may lead to private addresses.
	Private bool `json:"private,omitempty"`
}

func decodeMirror(doc []byte) (mirror, error) {
	var m mirror
	if err := json.Unmarshal(doc, &m); err != nil {
		return m, fmt.Errorf("%w: mirror setting: %w", object.ErrDamaged, err)
	}
	return m, nil
}

// Mirror returns the source site of a bucket, exactly as it was set, or [object.ErrNoSetting].
func (s *Server) Mirror(ctx context.Context, c Caller, bucket string) (site string, err error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return "", err
	}
	doc, err := s.store.Setting(ctx, b, mirrorSetting)
	if err != nil {
		return "", err
	}
	m, err := decodeMirror(doc)
	return m.Site, err
}

// SetMirror makes a bucket fill from site. It fails with [object.ErrInvalidArgument], and a text that names the part, for a site that is
// malformed or leads where this caller's sources may not.
func (s *Server) SetMirror(ctx context.Context, c Caller, bucket, site string) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	src, err := origin.ParseSite(site)
	if err != nil {
		return err
	}
	src.Private = c.Operator
	if err := s.origin.CheckSite(src); err != nil {
		return err
	}
	doc, err := json.Marshal(mirror{Site: site, Private: c.Operator})
	if err != nil {
		return err
	}
	return s.changeMirror(b, s.store.SetSetting(ctx, b, mirrorSetting, doc))
}

// RemoveMirror ends the filling of a bucket; without a mirror it does nothing.
func (s *Server) RemoveMirror(ctx context.Context, c Caller, bucket string) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	return s.changeMirror(b, s.store.DeleteSetting(ctx, b, mirrorSetting))
}

// changeMirror lets what runs and what is remembered of the old source go.
func (s *Server) changeMirror(b store.Bucket, err error) error {
	if err == nil {
		s.filler.ForgetBucket(b.ID)
	}
	return err
}

// ACL returns who may do what with a bucket: the owner, whose full control is listed first, and those whom SetACL named.
func (s *Server) ACL(ctx context.Context, c Caller, bucket string) (ownerID string, grants []Grant, err error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return "", nil, err
	}
	grants, err = s.grants(ctx, b)
	if err != nil {
		return "", nil, err
	}
	return b.Owner, append([]Grant{{Type: GranteeUser, ID: b.Owner, Name: b.Owner, Permission: PermissionFullControl}}, grants...), nil
}

// SetACL replaces the grants of a bucket. The owner's full control needs no grant and cannot be taken.
func (s *Server) SetACL(ctx context.Context, c Caller, bucket string, grants []Grant) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	kept := make([]Grant, 0, len(grants))
	for i, g := range grants {
		if err := g.check(); err != nil {
			return object.Explain(object.ErrInvalidArgument, "acl[%d].%v", i, err)
		}
		if g.Type == GranteeUser && g.ID == b.Owner {
			continue
		}
		kept = append(kept, g)
	}
	doc, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return s.store.SetSetting(ctx, b, aclSetting, doc)
}

func (g Grant) check() error {
	switch {
	case g.Type == GranteeUser && g.ID == "":
		return errors.New("grantee.id is missing")
	case g.Type == GranteeGroup && g.Name != AllUsers:
		return fmt.Errorf("grantee.name is %q; the only group is %s", g.Name, AllUsers)
	case g.Type != GranteeUser && g.Type != GranteeGroup:
		return fmt.Errorf("grantee.type is %q; use %s or %s", g.Type, GranteeUser, GranteeGroup)
	case g.Permission != PermissionRead && g.Permission != PermissionWrite && g.Permission != PermissionFullControl:
		return fmt.Errorf("permission is %q; use %s, %s or %s", g.Permission, PermissionRead, PermissionWrite, PermissionFullControl)
	}
	return nil
}

// grants returns the grants that were set, without the owner's.
func (s *Server) grants(ctx context.Context, b store.Bucket) ([]Grant, error) {
	if !b.Settings.May(aclSetting) {
		return nil, nil
	}
	doc, err := s.store.Setting(ctx, b, aclSetting)
	if errors.Is(err, object.ErrNoSetting) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.acls.get(b.ID, doc, func(doc []byte) (grants []Grant, err error) {
		if err = json.Unmarshal(doc, &grants); err != nil {
			err = fmt.Errorf("%w: acl setting: %w", object.ErrDamaged, err)
		}
		return grants, err
	})
}
