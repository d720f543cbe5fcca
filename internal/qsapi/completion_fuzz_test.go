package qsapi

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/wire"
	"github.com/cisternhq/cistern/service"
)

// What a client sends to complete an upload is read as encoding/json reads it, or refused with an error of the client's.
func FuzzCompletion(f *testing.F) {
	for _, doc := range []string{
		`{"object_parts":[{"part_number":0},{"part_number":1,"etag":"\"x\"","size":5}]}`, `{"object_parts":null}`, `{}`, `{"object_parts":[null]}`, `{"object_parts":[1]}`,
		`{"object_parts":[{"part_number":10001}]}`, `{"object_parts":[{"part_number":-1,"size":-1}]}`, `{"object_parts":[{"part_number":1.5}]}`, `{`, `[]`, "\xff",
		`{"object_parts":[{"part_number":7,"created":"2026-01-02T03:04:05.000Z","more":{"a":[]}}]}`,
	} {
		f.Add([]byte(doc), `"etag"`)
	}
	f.Fuzz(func(t *testing.T, doc []byte, etag string) {
		in := service.CompleteMultipartUploadInput{ETag: &etag}
		err := wire.Decode(wire.Message{JSON: doc}, &in)
		if err == nil {
			done, cerr := completion(&in)
			if err = cerr; err == nil {
				var want struct {
					ObjectParts []struct {
						PartNumber *float64 `json:"part_number"`
						Size       *float64 `json:"size"`
					} `json:"object_parts"`
				}
				if len(doc) > 0 && json.Unmarshal(doc, &want) == nil && !caseClash(doc) {
					for i, p := range want.ObjectParts {
						if p.PartNumber == nil || int(*p.PartNumber) != done.Parts[i].Number || p.Size != nil && *p.Size >= 0 && *p.Size != float64(done.Parts[i].Size) {
							t.Fatalf("completion of %q: part %d is %+v", doc, i, done.Parts[i])
						}
					}
				}
				for _, p := range done.Parts {
					if p.Number < 0 || p.Number > store.MaxPart || p.Size < -1 {
						t.Fatalf("completion of %q has %+v", doc, p)
					}
				}
			}
		}
		if err == nil {
			return
		}
		if status, _, _ := describe(err); status != 400 || errors.Is(err, object.ErrStore) {
			t.Fatalf("completion of %q = %v, which answers %d, want 400", doc, err, status)
		}
	})
}
