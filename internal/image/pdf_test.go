package image

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Nothing ends the reading of a head but the end of the file, so a hostile one must not be looked at again and again. What each of these files would
// take without a bound is minutes; the limit is far above what they take.
func TestHostilePDFsAreReadOnce(t *testing.T) {
	const limit = 10 * time.Second
	size := int(New(Options{}).MaxBytes())

	// One index of a stream that makes each of its objects all of the stream.
	overlapping := func() []byte {
		text := strings.Repeat("<<", 4<<20)
		var index bytes.Buffer
		for n := 1; index.Len() < maxIndex-64; n += 2 {
			fmt.Fprintf(&index, "%d 0 %d %d ", n, n+1, len(text)-1)
		}
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		fmt.Fprintf(w, "%s%s", index.Bytes(), text)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, "%%PDF-1.5\n1 0 obj<</Type/ObjStm/First %d>>stream\n%s", index.Len(), z.Bytes())
	}
	for _, tc := range []struct {
		name string
		file []byte
	}{
		{"dictionaries that never end", []byte("%PDF-1.5\n" + strings.Repeat("<</Type/ObjStm 1 1 obj", size/22))},
		{"streams that never begin", []byte("%PDF-1.5\n" + strings.Repeat("1 1 obj<</Type/ObjStm>> ", size/24))},
		{"objects that lie one in the other", overlapping()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			begin := time.Now()
			_, err := readHeader(tc.file)
			if took := time.Since(begin); took > limit {
				t.Errorf("reading the head of %d bytes took %v, want less than %v", len(tc.file), took, limit)
			}
			if !errors.Is(err, object.ErrNoImage) {
				t.Errorf("readHeader = %v, want that it is no picture", err)
			}
		})
	}
}
