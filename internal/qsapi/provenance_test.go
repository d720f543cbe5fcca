package qsapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
)

func TestProvenanceHeaders(t *testing.T) {
	at := time.Date(2026, 5, 6, 9, 8, 9, 7, time.FixedZone("", 2*3600))
	for _, tt := range []struct {
		name string
		meta object.Meta
		want http.Header
	}{
		{"put by a client", object.Meta{Digest: object.Digest{CRC64NVME: 0x0102030405060708, MD5: "5d41402abc4b2a76b9719d911017c592"}},
			http.Header{"Cistern-Crc64nvme": {"AQIDBAUGBwg="}, "Cistern-Md5": {"5d41402abc4b2a76b9719d911017c592"}}},
		{"empty", object.Meta{}, http.Header{"Cistern-Crc64nvme": {"AAAAAAAAAAA="}}},
		{"filled", object.Meta{Filled: &object.Provenance{
			URL: "https://a.example/b%20c", ETag: `W/"1"`, LastModified: "yesterday", Verified: []string{"content-md5", "etag"}, At: at,
		}}, http.Header{
			"Cistern-Crc64nvme": {"AAAAAAAAAAA="}, "Cistern-Source-Url": {"https://a.example/b%20c"}, "Cistern-Source-Etag": {`W/"1"`},
			"Cistern-Source-Last-Modified": {"yesterday"}, "Cistern-Verified": {"content-md5, etag"}, "Cistern-Filled-At": {"2026-05-06T07:08:09Z"},
		}},
		{"hostile", object.Meta{Filled: &object.Provenance{
			URL: "http://a.example/x\r\nSet-Cookie: a=b\x00é?token=secret", ETag: "\"1\"\r\nSet-Cookie: a=b", LastModified: strings.Repeat("x", maxProvenance+1), At: at,
		}}, http.Header{
			"Cistern-Crc64nvme": {"AAAAAAAAAAA="}, "Cistern-Source-Url": {"http://a.example/x%0D%0ASet-Cookie:%20a=b%00%C3%A9"}, "Cistern-Filled-At": {"2026-05-06T07:08:09Z"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := http.Header{}
			provenanceHeaders(got, &tt.meta)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("provenanceHeaders (-want +got):\n%s", diff)
			}
		})
	}
}
