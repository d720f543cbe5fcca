package sdk4

import (
	"errors"
	"strings"
	"testing"

	qserrors "github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	"github.com/qingstor/qingstor-sdk-go/v4/service"
)

func grant(permission string) *service.PutBucketACLInput {
	return &service.PutBucketACLInput{ACL: []*service.ACLType{
		{Grantee: &service.GranteeType{Type: ptr("group"), Name: ptr("QS_ALL_USERS")}, Permission: &permission},
	}}
}

func TestAnonymous(t *testing.T) {
	s := start(t)
	owner := s.bucket(t, "public")
	put(t, owner, "key", "for all")
	nobody := open(t, s.config(t, "", "", domain), "public", "pek3a")

	_, err := nobody.GetObject("key", nil)
	refused(t, "anonymous GET of a private bucket", err, 403, "permission_denied")
	_, err = nobody.HeadObject("key", nil)
	refused(t, "anonymous HEAD of a private bucket", err, 403, "")

	set, err := owner.PutACL(grant("READ"))
	ok(t, "PUT acl", err, value(set).StatusCode, 200)
	get(t, nobody, "key", "for all")
	_, err = nobody.PutObject("new", &service.PutObjectInput{Body: strings.NewReader("x")})
	refused(t, "anonymous PUT with READ", err, 403, "permission_denied")
	_, err = nobody.ListObjects(nil)
	refused(t, "anonymous list with READ", err, 403, "permission_denied")
	_, err = nobody.GetObject("key", &service.GetObjectInput{ResponseContentType: ptr("text/plain")})
	var qs *qserrors.QingStorError
	if !errors.As(err, &qs) || qs.StatusCode < 400 || qs.StatusCode >= 500 {
		t.Errorf("anonymous GET with a response type: %v, want it refused: such requests must be signed", err)
	}

	set, err = owner.PutACL(grant("WRITE"))
	ok(t, "PUT acl", err, value(set).StatusCode, 200)
	put(t, nobody, "new", "from nobody")
	get(t, owner, "new", "from nobody")
	_, err = nobody.DeleteObject("new")
	refused(t, "anonymous DELETE", err, 403, "permission_denied")
	_, err = nobody.GetACL()
	refused(t, "anonymous GET acl", err, 403, "permission_denied")
}

func TestPolicy(t *testing.T) {
	s := start(t)
	owner := s.bucket(t, "ruled")
	put(t, owner, "open/key", "open")
	put(t, owner, "closed/key", "closed")
	statement := func(id, effect, resource string, actions ...string) *service.StatementType {
		return &service.StatementType{
			ID: &id, Effect: &effect, User: service.StringSlice([]string{"*"}),
			Action: service.StringSlice(actions), Resource: service.StringSlice([]string{resource}),
		}
	}
	set, err := owner.PutPolicy(&service.PutBucketPolicyInput{Statement: []*service.StatementType{
		statement("read", "allow", "ruled/open/*", "get_object", "head_object"),
		statement("list", "allow", "ruled/open/*", "list_objects"),
	}})
	ok(t, "PUT policy", err, value(set).StatusCode, 200)
	nobody := open(t, s.config(t, "", "", domain), "ruled", "pek3a")
	get(t, nobody, "open/key", "open")
	_, err = nobody.GetObject("closed/key", nil)
	refused(t, "GET that no statement allows", err, 403, "permission_denied")
	listed, err := nobody.ListObjects(&service.ListObjectsInput{Prefix: ptr("open/")})
	ok(t, "anonymous list that a statement allows", err, value(listed).StatusCode, 200)
	if len(listed.Keys) != 1 {
		t.Errorf("listed %d keys, want 1", len(listed.Keys))
	}
	_, err = nobody.ListObjects(nil)
	refused(t, "anonymous list of everything", err, 403, "permission_denied")
}
