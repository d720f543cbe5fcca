package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/service"
)

// More than one page, with folders and keys mixed: everything comes once, in byte order.
func TestListPages(t *testing.T) {
	if testing.Short() {
		t.Skip("puts two thousand objects")
	}
	b := cisterntest.Start(t).Bucket("demo")
	if _, err := b.Put(); err != nil {
		t.Fatal(err)
	}
	var keys, folded []string
	for i := range 2*listPage + 5 {
		key := fmt.Sprintf("k%04d", i)
		if i%3 == 0 {
			key += "/x"
		}
		if _, err := b.PutObject(key, &service.PutObjectInput{Body: strings.NewReader("")}); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
		folded = append(folded, strings.TrimSuffix(key, "x"))
	}
	slices.Sort(keys)
	slices.Sort(folded)
	for _, tt := range []struct {
		delimiter string
		want      []string
	}{{"", keys}, {"/", folded}} {
		var got []string
		for e, err := range list(t.Context(), b, "k", tt.delimiter) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Prefix != strings.HasSuffix(e.Key, "/") {
				t.Errorf("%q: Prefix = %v", e.Key, e.Prefix)
			}
			got = append(got, e.Key)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("delimiter %q (-want +got):\n%s", tt.delimiter, diff)
		}
	}
}
