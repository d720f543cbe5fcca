package qsapi

import (
	"net/url"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
)

// Whatever a client sends as a source, what it is taken for are names that could exist, and a source as it is documented is taken for itself.
func FuzzParseSource(f *testing.F) {
	for _, v := range []string{"/bucket/key", "bucket/key", "/bucket/a%20b", "/bucket/a+b", "/bucket/100%", "//", "/bucket//", "/bucket/%ff", "%2Fbucket%2Fkey", "/bucket/\xff"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		for i, n := range parseSource(v) {
			if i >= 3 || object.CheckBucket(n.Bucket) != nil || object.CheckKey(n.Key) != nil {
				t.Errorf("parseSource(%q)[%d] = %q, which can be no object's name", v, i, n)
			}
		}
		if object.CheckKey(v) != nil {
			return
		}
		escaped := "/my-bucket/" + strings.ReplaceAll(url.PathEscape(v), "%2F", "/")
		if names := parseSource(escaped); len(names) == 0 || names[0].Bucket != "my-bucket" || names[0].Key != v {
			t.Errorf("parseSource(%q) = %q, want the key %q first", escaped, names, v)
		}
	})
}
