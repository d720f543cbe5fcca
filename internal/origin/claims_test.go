package origin

import (
	"net/http"
	"testing"
)

// User metadata beside a tag of 32 hex digits does not make it an MD5: only what the store itself adds does.
func TestMetadataIsNoStoreMark(t *testing.T) {
	h := http.Header{"Etag": {`"0123456789abcdef0123456789abcdef"`}, "X-Amz-Meta-Colour": {"blue"}, "X-Qs-Meta-Owner": {"alice"}}
	if got := claims(h); len(got) != 0 {
		t.Errorf("claims = %+v, want none", got)
	}
	h.Set("X-Amz-Request-Id", "1")
	if got := claims(h); len(got) != 1 || got[0].Algorithm != "md5" {
		t.Errorf("claims beside the store's own field = %+v, want the MD5", got)
	}
}
