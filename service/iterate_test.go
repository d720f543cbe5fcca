package service_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	qserrors "github.com/cisternhq/cistern/request/errors"
	"github.com/cisternhq/cistern/service"
)

// paged answers a request with what its page is, by the query that asks for it.
func paged(t *testing.T, asked *[]string, answers map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RawQuery)
		body, ok := answers[r.URL.RawQuery]
		if !ok {
			t.Errorf("unexpected request %s", r.RequestURI)
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if body == "" {
			w.WriteHeader(http.StatusForbidden)
			body = `{"code":"permission_denied"}`
		}
		_, _ = io.WriteString(w, body)
	}
}

// collect ranges over all, and writes an error down as its last element.
func collect[T any](all iter.Seq2[T, error], name func(T) string) []string {
	var got []string
	for v, err := range all {
		if err != nil {
			got = append(got, "error: "+err.Error())
			continue
		}
		got = append(got, name(v))
	}
	return got
}

func TestIterators(t *testing.T) {
	str := service.String
	key := func(k *service.KeyType) string { return *k.Key }
	upload := func(u *service.UploadsType) string { return *u.Key + "/" + *u.UploadID }
	tests := []struct {
		name    string
		answers map[string]string
		walk    func(*service.Bucket) []string
		want    []string
	}{
		{"objects", map[string]string{
			"limit=2":            `{"keys":[{"key":"a"},{"key":"b"}],"next_marker":"b","has_more":true}`,
			"limit=2&marker=b":   `{"keys":[{"key":"c"}],"next_marker":"c+d","has_more":true}`,
			"limit=2&marker=c+d": `{"keys":[],"next_marker":"e","has_more":true}`, "limit=2&marker=c%2Bd": `{"keys":[],"next_marker":"e","has_more":true}`,
			"limit=2&marker=e": `{"keys":[{"key":"f"}],"next_marker":"","has_more":false}`,
		}, func(b *service.Bucket) []string {
			return collect(b.Objects(t.Context(), &service.ListObjectsInput{Limit: service.Int(2)}), key)
		}, []string{"a", "b", "c", "f"}},
		{"objects of nothing", map[string]string{"": `{"keys":[],"next_marker":"","has_more":false}`},
			func(b *service.Bucket) []string { return collect(b.Objects(t.Context(), nil), key) }, nil},
		{"an error on the second page", map[string]string{"": `{"keys":[{"key":"a"}],"next_marker":"a","has_more":true}`, "marker=a": ""},
			func(b *service.Bucket) []string { return collect(b.Objects(t.Context(), nil), key) },
			[]string{"a", `error: QingStor Error: StatusCode "403", Code "permission_denied", Message "Forbidden", Request ID "", Reference URL ""`}},
		{"a server that repeats itself", map[string]string{"": `{"keys":[{"key":"a"}],"next_marker":"a","has_more":true}`, "marker=a": `{"keys":[{"key":"a"}],"next_marker":"a","has_more":true}`},
			func(b *service.Bucket) []string { return collect(b.Objects(t.Context(), nil), key) },
			[]string{"a", "a", `error: the listing does not go on: there is more behind "a", says the server again`}},
		{"a server that says more without a marker", map[string]string{"": `{"keys":[{"key":"a"}],"has_more":true}`},
			func(b *service.Bucket) []string { return collect(b.Objects(t.Context(), nil), key) },
			[]string{"a", `error: the listing does not go on: there is more behind "", says the server again`}},
		{"objects with a delimiter", nil,
			func(b *service.Bucket) []string {
				return collect(b.Objects(t.Context(), &service.ListObjectsInput{Delimiter: str("/")}), key)
			}, []string{"error: a delimiter makes common prefixes, which only pages have: range over pages instead"}},
		{"pages", map[string]string{"delimiter=%2F": `{"keys":[{"key":"a"}],"common_prefixes":["b/"],"next_marker":"b/","has_more":true}`,
			"delimiter=%2F&marker=b%2F": `{"common_prefixes":["c/"],"has_more":false}`},
			func(b *service.Bucket) []string {
				return collect(b.ObjectPages(t.Context(), &service.ListObjectsInput{Delimiter: str("/")}), func(p *service.ListObjectsOutput) string {
					return fmt.Sprint(len(p.Keys), " ", strings.Join(service.StringValueSlice(p.CommonPrefixes), " "))
				})
			}, []string{"1 b/", "0 c/"}},
		{"uploads of one key over two pages", map[string]string{
			"uploads=": `{"uploads":[{"key":"a","upload_id":"1"}],"next_key_marker":"a","next_upload_id_marker":"1","has_more":true}`,
			"key_marker=a&upload_id_marker=1&uploads=": `{"uploads":[{"key":"a","upload_id":"2"}],"next_key_marker":"a","next_upload_id_marker":"2","has_more":true}`,
			"key_marker=a&upload_id_marker=2&uploads=": `{"uploads":[{"key":"b","upload_id":"3"}],"next_key_marker":"","next_upload_id_marker":"","has_more":false}`,
		}, func(b *service.Bucket) []string { return collect(b.Uploads(t.Context(), nil), upload) }, []string{"a/1", "a/2", "b/3"}},
		{"versions", map[string]string{
			"versions=": `{"keys":[{"key":"a","version_id":"2"}],"next_key_marker":"a","next_version_id_marker":"2","has_more":true}`,
			"key_marker=a&version_id_marker=2&versions=": `{"keys":[{"key":"a","version_id":"1"}],"has_more":false}`,
		}, func(b *service.Bucket) []string {
			return collect(b.Versions(t.Context(), nil), func(v *service.ObjectVersionType) string { return *v.Key + "/" + *v.VersionID })
		}, []string{"a/2", "a/1"}},
		{"parts", map[string]string{
			"upload_id=u":                      `{"count":2,"object_parts":[{"part_number":0},{"part_number":7}]}`,
			"part_number_marker=7&upload_id=u": `{"count":1,"object_parts":[{"part_number":8}]}`,
			"part_number_marker=8&upload_id=u": `{"count":0,"object_parts":[]}`,
		}, func(b *service.Bucket) []string {
			return collect(b.Parts(t.Context(), "k", &service.ListMultipartInput{UploadID: str("u")}), func(p *service.ObjectPartType) string { return strconv.Itoa(*p.PartNumber) })
		}, []string{"0", "7", "8"}},
		{"parts that begin again", map[string]string{
			"upload_id=u":                      `{"object_parts":[{"part_number":0}]}`,
			"part_number_marker=0&upload_id=u": `{"object_parts":[{"part_number":0}]}`,
		}, func(b *service.Bucket) []string {
			return collect(b.Parts(t.Context(), "k", &service.ListMultipartInput{UploadID: str("u")}), func(p *service.ObjectPartType) string { return strconv.Itoa(*p.PartNumber) })
		}, []string{"0", "error: the listing does not go on: part 0 comes after part 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			b := openBucket(t, paged(t, &asked, tt.answers))
			if diff := cmp.Diff(tt.want, tt.walk(b)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBuckets(t *testing.T) {
	var asked []string
	s := open(t, paged(t, &asked, map[string]string{
		"limit=2&offset=1": `{"count":2,"buckets":[{"name":"b"},{"name":"c"}]}`, "limit=2&offset=3": `{"count":1,"buckets":[{"name":"d"}]}`,
	}))
	all := s.Buckets(t.Context(), &service.ListBucketsInput{Limit: service.Int(2), Offset: service.Int(1)})
	for range 2 { // each time from the beginning
		got := collect(all, func(b *service.BucketType) string { return *b.Name })
		if diff := cmp.Diff([]string{"b", "c", "d"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	same := open(t, answer(200, map[string]string{"Content-Type": "application/json"}, `{"buckets":[{"name":"b"}]}`)) // as if there were no offset
	if diff := cmp.Diff([]string{"b", `error: the listing does not go on: bucket "b" begins two pages`},
		collect(same.Buckets(t.Context(), &service.ListBucketsInput{Limit: service.Int(1)}), func(b *service.BucketType) string { return *b.Name })); diff != "" {
		t.Errorf("a server that repeats itself (-want +got):\n%s", diff)
	}
	asked = nil
	for range all {
		break
	}
	if len(asked) != 1 {
		t.Errorf("a loop that was left asked for %q, want one page", asked)
	}
}

// The error that ends a range is the one that the method for a page would return.
func TestIteratorErrorType(t *testing.T) {
	b := openBucket(t, answer(404, map[string]string{"Content-Type": "application/json"}, `{"code":"bucket_not_exists"}`))
	for k, err := range b.Objects(t.Context(), nil) {
		var refused *qserrors.QingStorError
		if !errors.As(err, &refused) || refused.Code != "bucket_not_exists" || k != nil {
			t.Errorf("Objects = %v, %v; want nil and bucket_not_exists", k, err)
		}
	}
}
