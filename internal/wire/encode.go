package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"
)

// Encode turns a struct, or a pointer to one, into the parts of a message.
//
// Nil pointers are left out of query and headers. In the JSON body they are null, or left out if the json tag says omitempty,
// which concerns nil only: an empty list or text is written. Header values are sent as they are, or escaped with
// [Escape] as a whole if they hold anything but ASCII. Metadata keys become header names as given.
// It fails with a *[FieldError] for a value that no header can carry.
func Encode(v any) (Message, error) {
	rv, err := structOf(v, false)
	if err != nil {
		return Message{}, err
	}
	p, err := planOf(rv.Type())
	if err != nil {
		return Message{}, err
	}
	var m Message
	for _, f := range p.query {
		fv := rv.Field(f.index)
		if fv.IsNil() {
			continue
		}
		if m.Query == nil {
			m.Query = url.Values{}
		}
		m.Query.Set(f.name, text(fv.Elem()))
	}
	for _, f := range p.headers {
		if err := m.encodeHeader(f, rv.Field(f.index)); err != nil {
			return Message{}, err
		}
	}
	if len(p.elements) > 0 {
		if m.JSON, err = encodeElements(p, rv); err != nil {
			return Message{}, err
		}
		return m, nil
	}
	if p.body >= 0 {
		if r, ok := rv.Field(p.body).Interface().(io.Reader); ok {
			m.Body = r
		}
	}
	return m, nil
}

func (m *Message) encodeHeader(f field, fv reflect.Value) error {
	if fv.IsNil() {
		return nil
	}
	fv = fv.Elem()
	if f.name == "Content-Length" && f.typ.Kind() == reflect.Int64 {
		n := fv.Int()
		if n < 0 {
			return &FieldError{f.name, inHeaders, errors.New("must be zero or more bytes")}
		}
		m.ContentLength = &n
		return nil
	}
	if m.Header == nil {
		m.Header = http.Header{}
	}
	if f.typ != metaType {
		value, err := headerValue(text(fv))
		if err != nil {
			return &FieldError{f.name, inHeaders, err}
		}
		m.Header.Set(f.name, value)
		return nil
	}
	for _, k := range fv.MapKeys() {
		name := k.String()
		if !token(name) {
			return &FieldError{name, inHeaders, errors.New("is no header name: letters, digits, \"-\", \"_\" and \".\" are allowed")}
		}
		value, err := headerValue(fv.MapIndex(k).String())
		if err != nil {
			return &FieldError{name, inHeaders, err}
		}
		m.Header.Set(name, value)
	}
	return nil
}

// encodeElements writes the JSON object of the elements, in the order of their names.
func encodeElements(p *plan, rv reflect.Value) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, f := range p.elements {
		fv := rv.Field(f.index)
		if f.omitEmpty && nilable(fv.Kind()) && fv.IsNil() {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(fv.Interface())
		if err != nil {
			return nil, &FieldError{f.name, inElements, err}
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func nilable(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Slice || k == reflect.Map || k == reflect.Interface
}

// text writes a scalar as a query or header value.
func text(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.Interface().(time.Time).UTC().Format(TimeFormat)
}

// headerValue escapes a value that is not ASCII, as QingStor's Go SDK does, and refuses control characters: a line break
// would begin another header.
func headerValue(s string) (string, error) {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return Escape(s), nil
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "", fmt.Errorf("has the control character 0x%02x, which no header can carry", c)
		}
	}
	return s, nil
}

// token reports whether s can be a header name (RFC 9110 §5.1).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
