package qsapi

import (
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/wire"
)

// maxJSON is the largest JSON body of a request, in bytes.
const maxJSON = 64 << 10

// decode fills the SDK's input of an operation from the request.
func (r *request) decode(input any) error {
	m := wire.Message{Query: r.params.values(), Header: r.Header}
	if !wire.HasElements(input) {
		return wire.Decode(m, input)
	}
	var err error
	if m.JSON, err = r.document(maxJSON); err != nil {
		return err
	}
	return wire.DecodeStrict(m, input)
}

// decodeDocument is decode for a body of up to limit bytes, which it returns, too.
func (r *request) decodeDocument(limit int64, input any) ([]byte, error) {
	doc, err := r.document(limit)
	if err != nil {
		return nil, err
	}
	return doc, wire.DecodeStrict(wire.Message{JSON: doc}, input)
}

// document reads a JSON body of at most limit bytes.
func (r *request) document(limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, object.Explain(object.ErrTooLarge, "the body has %d bytes; a document may have %d", r.ContentLength, limit)
	}
	r.body.limit = limit
	doc, err := io.ReadAll(r.body)
	if err != nil {
		return nil, err
	}
	if len(doc) == 0 {
		return nil, fail(http.StatusBadRequest, "invalid_json", "The body is empty; a JSON object is needed.")
	}
	return doc, checkMD5(r.Header, doc)
}

// render answers with the SDK's output of an operation.
func (w *answer) render(status int, output any) error {
	m, err := wire.Encode(output)
	if err != nil {
		return err
	}
	for name, values := range m.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if m.JSON == nil {
		return w.empty(status)
	}
	return w.document(status, m.JSON)
}

// appendString writes s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, s[from:i]...)
			b = append(b, `\ufffd`...)
			from = i + n
		case r == '\u2028' || r == '\u2029': // line ends to JavaScript
			b = append(b, s[from:i]...)
			b = append(b, `\u202`...)
			b = append(b, hex[r&15])
			from = i + n
		}
		i += n
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// jsonTime is how times stand in answers.
const jsonTime = "2006-01-02T15:04:05.000Z"

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, jsonTime)
	return append(b, '"')
}
