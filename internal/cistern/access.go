package cistern

import (
	"slices"

	"github.com/cisternhq/cistern/internal/store"
)

// Caller is who asks, as a dialect found out. The zero value is anonymous.
type Caller struct {
	// Owner is the user whose key signed the request; "" for none.
	Owner string
	// Operator may do everything.
	Operator bool
}

// Anonymous reports whether nobody signed.
func (c Caller) Anonymous() bool { return c.Owner == "" && !c.Operator }

// owns reports whether everything about b is c's business: it is the owner or the operator.
func (c Caller) owns(b store.Bucket) bool { return c.Operator || !c.Anonymous() && c.Owner == b.Owner }

// right is what an operation needs on a bucket.
type right int

const (
	readObject  right = iota // GET and HEAD of objects
	writeObject              // PUT
	readBucket               // HEAD and list of the bucket; never anonymous by an access control list
	deleteKeys               // DELETE of objects; the same
	owner                    // everything about the bucket itself
)

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

// allows reports whether grants give c the right. A group's grants are for those who did not sign: a known user without a grant of his
// own is refused, though the same request without a signature would pass (QingStor API, "Access control").
func allows(grants []Grant, c Caller, need right) bool {
	permission := PermissionRead
	if need == writeObject || need == deleteKeys {
		permission = PermissionWrite
	}
	if c.Anonymous() && need != readObject && need != writeObject {
		return false
	}
	return slices.ContainsFunc(grants, func(g Grant) bool {
		if g.Permission != permission && g.Permission != PermissionFullControl {
			return false
		}
		if c.Anonymous() {
			return g.Type == GranteeGroup && g.Name == AllUsers
		}
		return g.Type == GranteeUser && g.ID == c.Owner
	})
}
