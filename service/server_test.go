package service_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/service"
)

// The iterators over the listings of a Cistern server.
func TestIteratorsAtServer(t *testing.T) {
	s := cisterntest.Start(t)
	b := s.Bucket("listed")
	for _, name := range []string{"listed", "other-1", "other-2"} {
		if _, err := s.Bucket(name).Put(); err != nil {
			t.Fatal(err)
		}
	}
	keys := []string{"a", "a/b", "a/c", "d", "e/f", "g", "中"}
	for _, key := range keys {
		if _, err := b.PutObject(key, &service.PutObjectInput{Body: strings.NewReader(key)}); err != nil {
			t.Fatal(err)
		}
	}
	for limit := 1; limit <= len(keys)+1; limit++ {
		got := collect(b.Objects(t.Context(), &service.ListObjectsInput{Limit: &limit}), func(k *service.KeyType) string { return *k.Key })
		if diff := cmp.Diff(keys, got); diff != "" {
			t.Errorf("objects, %d a page (-want +got):\n%s", limit, diff)
		}
		var prefixes []string
		for page, err := range b.ObjectPages(t.Context(), &service.ListObjectsInput{Limit: &limit, Delimiter: service.String("/")}) {
			if err != nil {
				t.Fatal(err)
			}
			prefixes = append(prefixes, service.StringValueSlice(page.CommonPrefixes)...)
		}
		if diff := cmp.Diff([]string{"a/", "e/"}, prefixes); diff != "" {
			t.Errorf("common prefixes, %d a page (-want +got):\n%s", limit, diff)
		}
		buckets := collect(s.Service.Buckets(t.Context(), &service.ListBucketsInput{Limit: &limit}), func(b *service.BucketType) string { return *b.Name })
		if diff := cmp.Diff([]string{"listed", "other-1", "other-2"}, buckets); diff != "" {
			t.Errorf("buckets, %d a page (-want +got):\n%s", limit, diff)
		}
	}
}
