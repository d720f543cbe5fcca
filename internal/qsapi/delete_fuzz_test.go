package qsapi

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// What is read of a deletion is what encoding/json finds in the same document, or it is refused with an error of the client's.
func FuzzDecodeDelete(f *testing.F) {
	for _, doc := range []string{
		`{"objects":[{"key":"a"},{"key":"b/c"}],"quiet":true}`, `{"quiet":null,"objects":[]}`, `{"objects":[{"key":"\ud83d\ude00","size":[{}]}]}`,
		`{"objects":[{"key":"a","key":"b"}]}`, `{`, `{"objects":`, `{"objects":[{]}`, `[]`, `{"objects":[{"key":null}]}`, `{"objects":[1]}`, `{"a":1}`, "\xff",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		keys, quiet, err := decodeDelete(doc)
		if err != nil {
			status, _, _ := describe(err)
			if status != 400 {
				t.Fatalf("decodeDelete(%q) = %v, which answers %d, want 400", doc, err, status)
			}
			return
		}
		var want struct {
			Objects []struct {
				Key *string `json:"key"`
			} `json:"objects"`
			Quiet *bool `json:"quiet"`
		}
		if !utf8.Valid(doc) || !json.Valid(doc) {
			t.Fatalf("decodeDelete(%q) took what is no JSON", doc)
		}
		if err := json.Unmarshal(doc, &want); err != nil {
			return // encoding/json takes names in any case, and so may stumble over another member
		}
		if len(want.Objects) != len(keys) {
			return // as above
		}
		for i, o := range want.Objects {
			if o.Key != nil && *o.Key != keys[i] && !caseClash(doc) {
				t.Fatalf("decodeDelete(%q): key %d is %q, want %q", doc, i, keys[i], *o.Key)
			}
		}
		if len(keys) > maxDeletes || want.Quiet != nil && *want.Quiet != quiet && !caseClash(doc) {
			t.Fatalf("decodeDelete(%q) = %d keys, quiet %v", doc, len(keys), quiet)
		}
	})
}

// caseClash reports whether the document has letters that encoding/json could take for those of another case.
func caseClash(doc []byte) bool {
	for _, r := range string(doc) {
		if r >= 'A' && r <= 'Z' || r > 0x7f || r == '\\' {
			return true
		}
	}
	return false
}
