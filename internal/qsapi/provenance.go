package qsapi

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/cisternhq/cistern/internal/object"
)

// maxProvenance bounds what is shown of one of a source's own values, in bytes.
const maxProvenance = 1024

// provenanceHeaders says where a stored object came from and what its bytes are. It is for the bucket's owner and the operator only.
// The values are a source's, so nothing that a header field cannot hold is passed on.
func provenanceHeaders(h http.Header, m *object.Meta) {
	if m.Encryption == nil { // otherwise it is that of the bytes at rest, which nobody gets to see
		var crc [8]byte
		binary.BigEndian.PutUint64(crc[:], m.Digest.CRC64NVME)
		h["Cistern-Crc64nvme"] = []string{base64.StdEncoding.EncodeToString(crc[:])} // as x-amz-checksum-crc64nvme has it
	}
	if m.Digest.MD5 != "" {
		h["Cistern-Md5"] = []string{m.Digest.MD5}
	}
	p := m.Filled
	if p == nil {
		return
	}
	show := func(name, value string) {
		if value != "" && len(value) <= maxProvenance && httpguts.ValidHeaderFieldValue(value) {
			h[name] = []string{value}
		}
	}
	h["Cistern-Source-Url"] = []string{escapeURL(p.URL)}
	show("Cistern-Source-Etag", p.ETag)
	show("Cistern-Source-Last-Modified", p.LastModified)
	show("Cistern-Verified", strings.Join(p.Verified, ", "))
	h["Cistern-Filled-At"] = []string{p.At.UTC().Format(time.RFC3339)}
}

// escapeURL percent-encodes what must not stand in a URL, and leaves out a query: it may hold the source's credentials.
func escapeURL(u string) string {
	u, _, _ = strings.Cut(u, "?")
	var b strings.Builder
	for i := range len(u) {
		if c := u[i]; c > 0x20 && c < 0x7f {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
