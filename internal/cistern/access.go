package cistern

import (
	"net/netip"
	"slices"

	"github.com/cisternhq/cistern/internal/store"
)

// Caller is who asks, as a dialect found out. The zero value is anonymous.
type Caller struct {
	// Owner is the user whose key signed the request; "" for none.
	Owner string
	// Operator may do everything.
	Operator bool
	// Address is where the request came from, and Referer its header of that name: policies can ask for them. The zero values are unknown ones.
	Address netip.Addr
	Referer string
}

// Anonymous reports whether nobody signed.
func (c Caller) Anonymous() bool { return c.Owner == "" && !c.Operator }

// owns reports whether everything about b is c's business: it is the owner or the operator.
func (c Caller) owns(b store.Bucket) bool { return c.Operator || !c.Anonymous() && c.Owner == b.Owner }

// action is what an operation needs leave for. The values are the names that policies have for them (QingStor API, "Bucket Policy").
type action string

const (
	getObject    action = "get_object"
	headObject   action = "head_object"
	createObject action = "create_object"
	deleteObject action = "delete_object"

	initiateUpload action = "initiate_multipart_upload"
	uploadPart     action = "upload_object_part"
	listParts      action = "list_object_parts"
	completeUpload action = "complete_multipart_upload"
	abortUpload    action = "abort_multipart_upload"

	listObjects action = "list_objects" // of objects and of multipart uploads
	headBucket  action = "head_bucket"
	bucketStats action = "get_bucket_stats"

	// own is everything about the bucket itself: its settings and its end. No policy and no access control list gives it away.
	own action = "own"
)

// granted says which permission of an access control list gives leave for an action, and whether it does so for those who did not sign, too. What is
// not here, no access control list gives (QingStor API, "Access control").
var granted = map[action]struct {
	permission string
	anonymous  bool
}{
	getObject:      {PermissionRead, true},
	headObject:     {PermissionRead, true},
	createObject:   {PermissionWrite, true},
	deleteObject:   {PermissionWrite, false},
	initiateUpload: {PermissionWrite, true},
	uploadPart:     {PermissionWrite, true},
	listParts:      {PermissionRead, true},
	completeUpload: {PermissionWrite, true},
	abortUpload:    {PermissionWrite, false},
	listObjects:    {PermissionRead, false},
	headBucket:     {PermissionRead, false},
}

// The parties and permissions of an access control list (QingStor API, "PUT Bucket ACL").
const (
	GranteeUser  = "user"
	GranteeGroup = "group"
	AllUsers     = "QS_ALL_USERS"

	PermissionRead        = "READ"
	PermissionWrite       = "WRITE"
	PermissionFullControl = "FULL_CONTROL"
)

// Grant is one entry of an access control list.
type Grant struct {
	Type       string `json:"type"`           // GranteeUser or GranteeGroup
	ID         string `json:"id,omitempty"`   // of a user
	Name       string `json:"name,omitempty"` // of a group: AllUsers
	Permission string `json:"permission"`     // one of the Permission constants
}

// allows reports whether grants give c leave for need. A group's grants are for those who did not sign: a known user without a grant of his
// own is refused, though the same request without a signature would pass (QingStor API, "Access control").
func allows(grants []Grant, c Caller, need action) bool {
	by, ok := granted[need]
	if !ok || c.Anonymous() && !by.anonymous {
		return false
	}
	return slices.ContainsFunc(grants, func(g Grant) bool {
		if g.Permission != by.permission && g.Permission != PermissionFullControl {
			return false
		}
		if c.Anonymous() {
			return g.Type == GranteeGroup && g.Name == AllUsers
		}
		return g.Type == GranteeUser && g.ID == c.Owner
	})
}
