package conformance

import (
	"errors"
	"strings"
	"testing"

	qserrors "github.com/yunify/qingstor-sdk-go/v3/request/errors"
	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// What the SDK itself cannot do, whatever the server is. Each is a test, so that the list stays true: when one begins to
// fail, the SDK can do it, and the list in README.md is due.
func TestCannot(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "cannot")
	// byItself wants an error that the server had no part in.
	byItself := func(t *testing.T, err error) {
		t.Helper()
		var qs *qserrors.QingStorError
		if err == nil || errors.As(err, &qs) {
			t.Errorf("error = %v, want the SDK's own refusal", err)
		}
	}

	t.Run("call without a key", func(t *testing.T) {
		conf := s.config(t)
		conf.AccessKeyID, conf.SecretAccessKey = "", ""
		_, err := openBucket(t, newService(t, conf), "cannot", "").Head()
		byItself(t, err)
	})
	t.Run("send an empty access control list", func(t *testing.T) {
		_, err := b.PutACL(&service.PutBucketACLInput{ACL: []*service.ACLType{}})
		byItself(t, err)
	})
	t.Run("read metadata back", func(t *testing.T) {
		_, err := b.PutObject("key", &service.PutObjectInput{Body: strings.NewReader("body"), XQSMetaData: &map[string]string{"x-qs-meta-k1": "v1"}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := b.HeadObject("key", nil)
		if err != nil {
			t.Fatal(err)
		}
		if out.XQSMetaData != nil && len(*out.XQSMetaData) > 0 {
			t.Errorf("HEAD: metadata = %v, want none", *out.XQSMetaData)
		}
	})
	t.Run("send _ in a name of metadata", func(t *testing.T) {
		_, err := b.PutObject("key", &service.PutObjectInput{Body: strings.NewReader("body"), XQSMetaData: &map[string]string{"x-qs-meta-k_1": "v1"}})
		byItself(t, err)
	})
	t.Run("tell a//b from a/b", func(t *testing.T) {
		put(t, b, "a//b", "two slashes")
		getHeader(t, b, "a/b", "two slashes")
	})
	t.Run("read a transition that names a storage class as the API does", func(t *testing.T) {
		const named = `{"rule": [{"id": "a", "status": "enabled", "filter": {"prefix": ""}, "transition": {"days": 30, "storage_class": "STANDARD_IA"}}]}`
		if resp := s.raw(t, "PUT", "/cannot?lifecycle", nil, strings.NewReader(named)); resp.StatusCode != 200 {
			t.Fatalf("PUT lifecycle = %d %s", resp.StatusCode, readAll(t, resp.Body))
		}
		_, err := b.GetLifecycle()
		byItself(t, err)
		// The number is for the same class: what the SDK wrote it can read.
		_, err = b.PutLifecycle(&service.PutBucketLifecycleInput{Rule: []*service.RuleType{{
			ID: ptr("a"), Status: ptr("enabled"), Filter: &service.FilterType{Prefix: ptr("")}, Transition: &service.TransitionType{Days: ptr(30), StorageClass: ptr(1)},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := b.GetLifecycle(); err != nil || value(out.Rule[0].Transition.StorageClass) != 1 {
			t.Errorf("GET lifecycle: %v, want the number that was put", err)
		}
	})
}
