package sdk4

import (
	"errors"
	"strings"
	"testing"

	qserrors "github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	"github.com/qingstor/qingstor-sdk-go/v4/service"
)

func TestAppend(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "logs")
	const key = "中/app.log"
	var whole string
	for i, piece := range []string{"", "first line\n", strings.Repeat("second ", 100_000), "end"} {
		position := int64(len(whole))
		in := &service.AppendObjectInput{Position: &position, Body: strings.NewReader(piece)}
		if i == 0 {
			in.ContentType = ptr("text/x-log")
		}
		out, err := b.AppendObject(key, in)
		ok(t, "append", err, value(out).StatusCode, 200)
		whole += piece
		if out.XQSNextAppendPosition == nil || *out.XQSNextAppendPosition != int64(len(whole)) {
			t.Fatalf("append %d: next position = %v, want %d", i, out.XQSNextAppendPosition, len(whole))
		}
		if got := get(t, b, key, whole); value(got.ContentType) != "text/x-log" {
			t.Errorf("GET: Content-Type = %q, want that of the first call", value(got.ContentType))
		}
	}
	head, err := b.HeadObject(key, nil)
	ok(t, "HEAD", err, value(head).StatusCode, 200)
	if value(head.XQSObjectType) != "appendable" || value(head.XQSNextAppendPosition) != int64(len(whole)) {
		t.Errorf("HEAD: type %q, next position %d; want appendable and %d", value(head.XQSObjectType), value(head.XQSNextAppendPosition), len(whole))
	}
	for _, position := range []int64{0, int64(len(whole)) - 1, int64(len(whole)) + 1} {
		_, err := b.AppendObject(key, &service.AppendObjectInput{Position: &position, Body: strings.NewReader("x")})
		var qs *qserrors.QingStorError
		if !errors.As(err, &qs) || qs.StatusCode < 400 || qs.StatusCode >= 500 {
			t.Errorf("append at %d of %d: %v, want it refused", position, len(whole), err)
		}
	}
	get(t, b, key, whole)
	put(t, b, "ordinary", "body")
	_, err = b.AppendObject("ordinary", &service.AppendObjectInput{Position: ptr(int64(4)), Body: strings.NewReader("x")})
	refused(t, "append to an ordinary object", err, 400, "invalid_object_state")
	head, err = b.HeadObject("ordinary", nil)
	ok(t, "HEAD", err, value(head).StatusCode, 200)
	if head.XQSNextAppendPosition != nil && *head.XQSNextAppendPosition != 0 {
		t.Errorf("HEAD of an ordinary object: next position %d", *head.XQSNextAppendPosition)
	}
}
