package sdk4

import (
	"errors"
	"strings"
	"testing"

	qserrors "github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	"github.com/qingstor/qingstor-sdk-go/v4/service"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

// What the SDK itself cannot do, whatever the server is. Each is a test, so that the list stays true: when one begins to
// fail, the SDK can do it, and the list in ../README.md is due.
func TestCannot(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "cannot")
	put(t, b, "key", "body")
	virtual := s.config(t, cistern.KeyID, cistern.Secret, domain)
	virtual.EnableVirtualHostStyle = true

	t.Run("a signed link in virtual-host style: it leaves the bucket out of what it signs", func(t *testing.T) {
		request, _, err := open(t, virtual, "cannot", "pek3a").GetObjectRequest("key", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(request.BuildWithContext(t.Context()), request.SignQuery(60)); err != nil {
			t.Fatal(err)
		}
		resp, err := virtual.Connection.Get(request.HTTPRequest.URL.String())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 401 {
			t.Errorf("GET of the link = %d, want 401", resp.StatusCode)
		}
	})
	t.Run("list buckets in virtual-host style: it takes the first label of the host for a bucket", func(t *testing.T) {
		svc, err := service.Init(virtual)
		if err != nil {
			t.Fatal(err)
		}
		_, err = svc.ListBuckets(nil)
		refused(t, "list buckets", err, 401, "signature_not_matched")
	})
	t.Run("an empty ACL: its own check takes an empty list for none", func(t *testing.T) {
		_, err := b.PutACL(&service.PutBucketACLInput{ACL: []*service.ACLType{}})
		if !errors.As(err, new(qserrors.ParameterRequiredError)) {
			t.Errorf("PUT of an empty acl: %v, want the SDK's own refusal", err)
		}
	})
	t.Run("metadata with a blank in a value: its own check allows none", func(t *testing.T) {
		_, err := b.PutObject("key", &service.PutObjectInput{
			Body: strings.NewReader("body"), XQSMetaData: &map[string]string{"x-qs-meta-k": "two words"},
		})
		var qs *qserrors.QingStorError
		if err == nil || errors.As(err, &qs) {
			t.Errorf("PUT: %v, want the SDK's own refusal", err)
		}
	})
}
