package sdk4

import (
	"context"
	"errors"
	"testing"

	qserrors "github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	"github.com/qingstor/qingstor-sdk-go/v4/service"
)

// Version 4 makes its own type of error only of answers in the API's form with a length.
func TestErrors(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "errors")
	_, err := b.GetObject("absent", nil)
	refused(t, "GET of nothing", err, 404, "object_not_exists")
	_, err = b.HeadObject("absent", nil)
	refused(t, "HEAD of nothing", err, 404, "")
	put(t, b, "key", "body")
	_, err = b.HeadObject("key", &service.HeadObjectInput{IfMatch: ptr(`"another"`)})
	refused(t, "HEAD with another ETag", err, 412, "")
	_, err = b.GetObject("key", &service.GetObjectInput{Range: ptr("bytes=9-")})
	refused(t, "GET past the end", err, 416, "invalid_range")
	_, err = b.Put()
	refused(t, "PUT of a bucket again", err, 409, "bucket_already_exists")
	_, err = b.ListMultipart("key", &service.ListMultipartInput{UploadID: ptr("no-such-upload")})
	refused(t, "list parts of no upload", err, 404, "upload_not_exists")
	_, err = b.PutPolicy(&service.PutBucketPolicyInput{Statement: []*service.StatementType{{
		ID: ptr("id"), Effect: ptr("allow"), User: service.StringSlice([]string{"*"}), Action: service.StringSlice([]string{"no_such_action"}),
	}}})
	var qs *qserrors.QingStorError
	if !errors.As(err, &qs) || qs.StatusCode != 400 {
		t.Errorf("PUT of a policy with an unknown action: %v, want 400", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.GetObjectWithContext(ctx, "key", nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("GET with a context that ended: %v", err)
	}
	get(t, b, "key", "body")
}
