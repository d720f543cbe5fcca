package cistern

import (
	"errors"
	"strings"
	"testing"
)

func TestParsed(t *testing.T) {
	var p parsed[string]
	decodes := 0
	get := func(bucket uint64, doc string) string {
		t.Helper()
		v, err := p.get(bucket, []byte(doc), func(b []byte) (string, error) {
			decodes++
			return "says " + string(b), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, step := range []struct {
		bucket  uint64
		doc     string
		decodes int
	}{{1, "a", 1}, {1, "a", 1}, {2, "a", 2}, {1, "b", 3}, {1, "a", 4}, {2, "a", 4}} {
		if v := get(step.bucket, step.doc); v != "says "+step.doc || decodes != step.decodes {
			t.Errorf("bucket %d, %q: %q after %d decodes, want it after %d", step.bucket, step.doc, v, decodes, step.decodes)
		}
	}
	damaged := errors.New("damaged")
	if _, err := p.get(1, []byte("x"), func([]byte) (string, error) { return "", damaged }); !errors.Is(err, damaged) {
		t.Errorf("error = %v, want that of the decoder", err)
	}
	if v := get(1, "a"); v != "says a" {
		t.Errorf("after a damaged document: %q", v)
	}
	for i := range uint64(3 * maxParsed) {
		get(i, "a")
	}
	if n := len(p.docs); n > maxParsed {
		t.Errorf("%d buckets are remembered, want %d at most", n, maxParsed)
	}
	large := strings.Repeat("x", maxParsedBytes/4)
	for i := range uint64(20) {
		get(i%7, large)
		bytes := 0
		for _, e := range p.docs {
			bytes += len(e.doc)
		}
		if bytes > maxParsedBytes || bytes != p.bytes {
			t.Fatalf("documents of %d bytes are remembered, counted as %d; want %d at most", bytes, p.bytes, maxParsedBytes)
		}
	}
}
