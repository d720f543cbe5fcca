package qsapi

import (
	"net/http"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/seal"
)

// The headers of a customer's key (QingStor API, "Encryption"), and of that of a copy's source. Each goes on with Algorithm, Key and Key-Md5.
const (
	ownKey    = "X-Qs-Encryption-Customer-"
	sourceKey = "X-Qs-Copy-Source-Encryption-Customer-"
)

// customerKey reads the key in the headers of that prefix; nil where there is none of them.
func customerKey(h http.Header, prefix string) (*seal.Key, error) {
	var values [3]string
	any := false
	for i, name := range [...]string{"Algorithm", "Key", "Key-Md5"} {
		v, ok := h[prefix+name]
		if any = any || ok; ok {
			values[i] = v[0]
		}
	}
	if !any {
		return nil, nil
	}
	k, err := seal.ParseKey(values[0], values[1], values[2])
	if err != nil {
		return nil, object.Explain(object.ErrInvalidArgument, "%s*: %v", strings.ToLower(prefix), err)
	}
	return k, nil
}

// encryptionHeaders says how an object is encrypted.
func encryptionHeaders(h http.Header, m *object.Meta) {
	if e := m.Encryption; e != nil {
		h[ownKey+"Algorithm"] = []string{e.Algorithm}
		h[ownKey+"Key-Md5"] = []string{e.KeyMD5}
	}
}

// keyHeaders says with which key something was encrypted; nil: with none.
func keyHeaders(h http.Header, k *seal.Key) {
	if k != nil {
		h[ownKey+"Algorithm"] = []string{seal.Algorithm}
		h[ownKey+"Key-Md5"] = []string{k.MD5()}
	}
}
