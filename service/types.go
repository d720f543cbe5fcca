package service

import "time"

// BucketType is a bucket in a list (QingStor API, "GET Service").
type BucketType struct {
	Created  *time.Time `json:"created,omitempty" name:"created"`
	Location *string    `json:"location,omitempty" name:"location"` // the zone
	Name     *string    `json:"name,omitempty" name:"name"`
	URL      *string    `json:"url,omitempty" name:"url"`
}

// Validate returns nil: nothing is required.
func (t *BucketType) Validate() error { return validate(t) }

// KeyType is an object in a list (QingStor API, "GET Bucket (List Objects)").
type KeyType struct {
	Created      *time.Time `json:"created,omitempty" name:"created"`
	Encrypted    *bool      `json:"encrypted,omitempty" name:"encrypted"`
	Etag         *string    `json:"etag,omitempty" name:"etag"` // with its quotes
	Key          *string    `json:"key,omitempty" name:"key"`
	MimeType     *string    `json:"mime_type,omitempty" name:"mime_type"`
	Modified     *int       `json:"modified,omitempty" name:"modified"`           // seconds since 1970
	Size         *int64     `json:"size,omitempty" name:"size"`                   // bytes
	StorageClass *string    `json:"storage_class,omitempty" name:"storage_class"` // STANDARD or STANDARD_IA
}

// Validate returns nil: nothing is required.
func (t *KeyType) Validate() error { return validate(t) }

// OwnerType is a user.
type OwnerType struct {
	ID   *string `json:"id,omitempty" name:"id"`
	Name *string `json:"name,omitempty" name:"name"`
}

// Validate returns nil: nothing is required.
func (t *OwnerType) Validate() error { return validate(t) }

// ACLType is one grant (QingStor API, "PUT Bucket ACL").
type ACLType struct {
	Grantee    *GranteeType `json:"grantee" name:"grantee" required:"true"`
	Permission *string      `json:"permission" name:"permission" required:"true" enum:"READ WRITE FULL_CONTROL"`
}

// Validate checks that both fields are given, and their values.
func (t *ACLType) Validate() error { return validate(t) }

// GranteeType is who a grant is for: a user by ID, or the group named "QS_ALL_USERS", which is everyone.
type GranteeType struct {
	ID   *string `json:"id,omitempty" name:"id"`
	Name *string `json:"name,omitempty" name:"name"`
	Type *string `json:"type" name:"type" required:"true" enum:"user group"`
}

// Validate checks that Type is given, and its value.
func (t *GranteeType) Validate() error { return validate(t) }
