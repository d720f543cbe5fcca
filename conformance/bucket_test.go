package conformance

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/yunify/qingstor-sdk-go/v3/service"
)

func list(t *testing.T, b *service.Bucket, in *service.ListObjectsInput) *service.ListObjectsOutput {
	t.Helper()
	out, err := b.ListObjects(in)
	if err != nil {
		t.Fatalf("list objects: %v", err)
	}
	wantStatus(t, "list objects", out.StatusCode, 200)
	if out.NextMarker == nil || out.HasMore == nil {
		t.Fatalf("list objects: next_marker or has_more is missing, want both in every answer")
	}
	return out
}

func keyNames(keys []*service.KeyType) []string {
	var names []string
	for _, k := range keys {
		names = append(names, value(k.Key))
	}
	return names
}

func put(t *testing.T, b *service.Bucket, key, body string) {
	t.Helper()
	out, err := b.PutObject(key, &service.PutObjectInput{Body: strings.NewReader(body)})
	if err != nil {
		t.Fatalf("PUT %q: %v", key, err)
	}
	wantStatus(t, "PUT", out.StatusCode, 201)
}

func TestListBuckets(t *testing.T) {
	s := start(t)
	svc := newService(t, s.zonedConfig(t))
	empty, err := svc.ListBuckets(nil)
	if err != nil {
		t.Fatalf("list buckets: %v", err)
	}
	if len(empty.Buckets) != 0 {
		t.Errorf("a new server has %d buckets, want none", len(empty.Buckets))
	}
	makeBucket(t, svc, "in-pek3a", "pek3a")
	makeBucket(t, svc, "in-sh1a", "sh1a")
	makeBucket(t, svc, "in-sh1a-too", "sh1a")

	tests := []struct {
		name     string
		location *string
		want     []string
	}{
		{name: "all", want: []string{"in-pek3a pek3a", "in-sh1a sh1a", "in-sh1a-too sh1a"}},
		{name: "one zone", location: ptr("sh1a"), want: []string{"in-sh1a sh1a", "in-sh1a-too sh1a"}},
		{name: "another zone", location: ptr("pek3a"), want: []string{"in-pek3a pek3a"}},
		{name: "a zone without buckets", location: ptr("gd2")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := svc.ListBuckets(&service.ListBucketsInput{Location: tt.location})
			if err != nil {
				t.Fatalf("list buckets: %v", err)
			}
			wantStatus(t, "list buckets", out.StatusCode, 200)
			var got []string
			for _, b := range out.Buckets {
				got = append(got, value(b.Name)+" "+value(b.Location))
				if b.Created == nil || value(b.URL) == "" {
					t.Errorf("bucket %s: created = %v, url = %q, want both", value(b.Name), b.Created, value(b.URL))
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("buckets = %q, want %q", got, tt.want)
			}
			if value(out.Count) != len(tt.want) {
				t.Errorf("count = %d, want %d", value(out.Count), len(tt.want))
			}
		})
	}
}

func TestBucketLife(t *testing.T) {
	s := start(t)
	b := openBucket(t, s.service(t), "life", "")

	_, err := b.Head()
	wantError(t, "HEAD before PUT", err, 404, "")
	_, err = b.ListObjects(nil)
	wantError(t, "list before PUT", err, 404, "bucket_not_exists")

	created, err := b.Put()
	if err != nil {
		t.Fatalf("PUT: %v", err)
	}
	wantStatus(t, "PUT", created.StatusCode, 201)
	if value(created.RequestID) == "" {
		t.Error("PUT: no x-qs-request-id")
	}
	_, err = b.Put()
	wantError(t, "PUT again", err, 409, "bucket_already_exists")

	head, err := b.Head()
	if err != nil {
		t.Fatalf("HEAD: %v", err)
	}
	wantStatus(t, "HEAD", head.StatusCode, 200)

	if out := list(t, b, nil); len(out.Keys) != 0 || value(out.HasMore) || value(out.NextMarker) != "" {
		t.Errorf("a new bucket lists %q, has_more %v, next_marker %q; want nothing", keyNames(out.Keys), value(out.HasMore), value(out.NextMarker))
	}

	put(t, b, "in the way", "x")
	_, err = b.Delete()
	wantError(t, "DELETE of a bucket with an object", err, 409, "bucket_not_empty")
	if _, err := b.DeleteObject("in the way"); err != nil {
		t.Fatal(err)
	}
	deleted, err := b.Delete()
	if err != nil {
		t.Fatalf("DELETE: %v", err)
	}
	wantStatus(t, "DELETE", deleted.StatusCode, 204)
	_, err = b.Head()
	wantError(t, "HEAD after DELETE", err, 404, "")
	_, err = b.Delete()
	wantError(t, "DELETE again", err, 404, "bucket_not_exists")

	_, err = openBucket(t, s.service(t), "Not_A_Name", "").Put()
	wantError(t, "PUT of a bad name", err, 400, "invalid_bucket_name")
}

func TestListObjects(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "listing")
	// In byte order: upper case before lower case, "-" before "/", ASCII before the rest.
	all := []string{"Z", "a", "a-b", "a/1", "a/2", "a/b/3", "ab", "b/", "b/x", "中/文", "𠜎"}
	for i := range all {
		put(t, b, all[len(all)-1-i], strings.Repeat("x", i)) // backwards, so that the order is the store's
	}

	tests := []struct {
		name         string
		in           service.ListObjectsInput
		keys, common []string
		more         bool
	}{
		{name: "everything", keys: all},
		{name: "prefix", in: service.ListObjectsInput{Prefix: ptr("a/")}, keys: []string{"a/1", "a/2", "a/b/3"}},
		{name: "prefix without a match", in: service.ListObjectsInput{Prefix: ptr("nothing")}},
		{
			name:   "delimiter",
			in:     service.ListObjectsInput{Delimiter: ptr("/")},
			keys:   []string{"Z", "a", "a-b", "ab", "𠜎"},
			common: []string{"a/", "b/", "中/"},
		},
		{
			name:   "delimiter below a prefix",
			in:     service.ListObjectsInput{Delimiter: ptr("/"), Prefix: ptr("a/")},
			keys:   []string{"a/1", "a/2"},
			common: []string{"a/b/"},
		},
		{name: "marker is exclusive", in: service.ListObjectsInput{Marker: ptr("ab")}, keys: []string{"b/", "b/x", "中/文", "𠜎"}},
		{name: "marker between keys", in: service.ListObjectsInput{Marker: ptr("c")}, keys: []string{"中/文", "𠜎"}},
		{name: "limit", in: service.ListObjectsInput{Limit: ptr(3)}, keys: []string{"Z", "a", "a-b"}, more: true},
		{
			name:   "limit counts common prefixes",
			in:     service.ListObjectsInput{Limit: ptr(4), Delimiter: ptr("/")},
			keys:   []string{"Z", "a", "a-b"},
			common: []string{"a/"},
			more:   true,
		},
		{name: "limit and prefix that are just enough", in: service.ListObjectsInput{Limit: ptr(3), Prefix: ptr("a/")}, keys: []string{"a/1", "a/2", "a/b/3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := list(t, b, &tt.in)
			if got := keyNames(out.Keys); !slices.Equal(got, tt.keys) {
				t.Errorf("keys = %q, want %q", got, tt.keys)
			}
			if got := service.StringValueSlice(out.CommonPrefixes); !slices.Equal(got, tt.common) {
				t.Errorf("common prefixes = %q, want %q", got, tt.common)
			}
			if value(out.HasMore) != tt.more || (value(out.NextMarker) != "") != tt.more {
				t.Errorf("has_more = %v, next_marker = %q, want more: %v", value(out.HasMore), value(out.NextMarker), tt.more)
			}
			if value(out.Name) != "listing" || value(out.Prefix) != value(tt.in.Prefix) || value(out.Delimiter) != value(tt.in.Delimiter) {
				t.Errorf("name, prefix, delimiter = %q, %q, %q: want the bucket and the request's", value(out.Name), value(out.Prefix), value(out.Delimiter))
			}
		})
	}

	for _, delimiter := range []string{"", "/"} {
		t.Run(fmt.Sprintf("pages with delimiter %q", delimiter), func(t *testing.T) {
			whole := list(t, b, &service.ListObjectsInput{Delimiter: &delimiter})
			for limit := 1; limit <= len(all)+1; limit++ {
				in := service.ListObjectsInput{Delimiter: &delimiter, Limit: &limit}
				var keys, common []string
				for pages := 0; ; pages++ {
					out := list(t, b, &in)
					if n := len(out.Keys) + len(out.CommonPrefixes); n > limit {
						t.Fatalf("limit %d: a page with %d entries", limit, n)
					}
					keys = append(keys, keyNames(out.Keys)...)
					common = append(common, service.StringValueSlice(out.CommonPrefixes)...)
					if !value(out.HasMore) {
						break
					}
					if pages > len(all) {
						t.Fatalf("limit %d: the pages do not end", limit)
					}
					in.Marker = out.NextMarker
				}
				if want := keyNames(whole.Keys); !slices.Equal(keys, want) {
					t.Errorf("limit %d: keys of all pages = %q, want %q", limit, keys, want)
				}
				if want := service.StringValueSlice(whole.CommonPrefixes); !slices.Equal(common, want) {
					t.Errorf("limit %d: common prefixes of all pages = %q, want %q", limit, common, want)
				}
			}
		})
	}

	entry := list(t, b, &service.ListObjectsInput{Prefix: ptr("Z")}).Keys[0]
	if value(entry.Size) != int64(len(all)-1) || !strings.HasPrefix(value(entry.Etag), `"`) || value(entry.Modified) == 0 || value(entry.MimeType) == "" || entry.Created == nil {
		t.Errorf("entry: size %d, etag %s, modified %d, mime_type %q, created %v; want all of them, the size %d and the ETag in quotes",
			value(entry.Size), value(entry.Etag), value(entry.Modified), value(entry.MimeType), entry.Created, len(all)-1)
	}
}

func TestACL(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "listed")
	put(t, b, "key", "for all")
	url := "http://" + s.host + "/listed/key"

	// grants reads the list and checks that the owner comes first, with everything.
	grants := func() []*service.ACLType {
		t.Helper()
		out, err := b.GetACL()
		if err != nil {
			t.Fatalf("GET acl: %v", err)
		}
		wantStatus(t, "GET acl", out.StatusCode, 200)
		if out.Owner == nil || value(out.Owner.ID) == "" || len(out.ACL) == 0 {
			t.Fatalf("GET acl: owner %v and %d grants, want the owner and its own grant", out.Owner, len(out.ACL))
		}
		if g := out.ACL[0]; value(g.Grantee.Type) != "user" || value(g.Grantee.ID) != value(out.Owner.ID) || value(g.Permission) != "FULL_CONTROL" {
			t.Errorf("GET acl: first grant = %s %s %s, want the owner's FULL_CONTROL", value(g.Grantee.Type), value(g.Grantee.ID), value(g.Permission))
		}
		return out.ACL[1:]
	}

	if rest := grants(); len(rest) != 0 {
		t.Errorf("a new bucket has %d grants beside the owner's, want none", len(rest))
	}
	if status, _, _ := anonymous(t, url); status != http.StatusForbidden {
		t.Errorf("anonymous GET of a private bucket = %d, want 403", status)
	}

	set, err := b.PutACL(&service.PutBucketACLInput{ACL: []*service.ACLType{
		{Grantee: &service.GranteeType{Type: ptr("group"), Name: ptr("QS_ALL_USERS")}, Permission: ptr("READ")},
	}})
	if err != nil {
		t.Fatalf("PUT acl: %v", err)
	}
	wantStatus(t, "PUT acl", set.StatusCode, 200)
	rest := grants()
	if len(rest) != 1 || value(rest[0].Grantee.Type) != "group" || value(rest[0].Grantee.Name) != "QS_ALL_USERS" || value(rest[0].Permission) != "READ" {
		t.Errorf("GET acl: %d grants beside the owner's, want READ for QS_ALL_USERS alone", len(rest))
	}
	if status, _, body := anonymous(t, url); status != http.StatusOK || body != "for all" {
		t.Errorf("anonymous GET of a public bucket = %d %q, want 200", status, body)
	}

	// The SDK refuses to send an empty list, the API takes one.
	resp := s.raw(t, http.MethodPut, "/listed?acl", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(`{"acl":[]}`))
	if body := readAll(t, resp.Body); resp.StatusCode != http.StatusOK {
		t.Errorf("PUT of an empty acl = %d %s, want 200", resp.StatusCode, body)
	}
	if rest := grants(); len(rest) != 0 {
		t.Errorf("after an empty PUT there are %d grants beside the owner's, want none", len(rest))
	}
	if status, _, _ := anonymous(t, url); status != http.StatusForbidden {
		t.Errorf("anonymous GET after an empty PUT = %d, want 403", status)
	}
}

func TestCredentials(t *testing.T) {
	s := start(t)
	s.bucket(t, "guarded")

	conf := s.config(t)
	conf.SecretAccessKey = "another"
	_, err := openBucket(t, newService(t, conf), "guarded", "").ListObjects(nil)
	wantError(t, "list with a wrong secret", err, 401, "signature_not_matched")

	conf = s.config(t)
	conf.AccessKeyID = "NOBODY"
	_, err = openBucket(t, newService(t, conf), "guarded", "").ListObjects(nil)
	wantError(t, "list with an unknown key", err, 401, "invalid_access_key_id")

	status, header, body := anonymous(t, "http://"+s.host+"/guarded")
	if status != http.StatusForbidden || header.Get("X-Qs-Request-Id") == "" || !strings.Contains(body, "permission_denied") {
		t.Errorf("anonymous list = %d, request id %q, %s; want 403 permission_denied", status, header.Get("X-Qs-Request-Id"), body)
	}
}

// unsized hides what kind of reader it is, so that the HTTP client does not know the length.
type unsized struct{ io.Reader }
