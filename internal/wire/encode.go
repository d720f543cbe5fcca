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
	"sort"
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
	if len(p.elements.members) > 0 {
		var b bytes.Buffer
		if err := writeObject(&b, rv, p.elements); err != nil {
			return Message{}, err
		}
		m.JSON = b.Bytes()
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

// writeObject writes a struct as a JSON object.
//
// encoding/json alone will not do: it leaves an empty list out where the tag says omitempty, and knows no codes.
func writeObject(b *bytes.Buffer, rv reflect.Value, s *shape) error {
	b.WriteByte('{')
	first := true
	for _, m := range s.members {
		fv := rv.Field(m.index)
		if m.omitEmpty && nilable(fv.Kind()) && fv.IsNil() {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		if err := writeLeaf(b, m.name); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := writeValue(b, fv, m.codes); err != nil {
			return within(err, m.name)
		}
	}
	b.WriteByte('}')
	return nil
}

func writeValue(b *bytes.Buffer, v reflect.Value, codes []string) error {
	if nilable(v.Kind()) && v.IsNil() {
		b.WriteString("null")
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		return writeValue(b, v.Elem(), codes)
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeValue(b, v.Index(i), codes); err != nil {
				return withinList(err, i)
			}
		}
		b.WriteByte(']')
		return nil
	case reflect.Map:
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		b.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeLeaf(b, k.String()); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := writeValue(b, v.MapIndex(k), codes); err != nil {
				return within(err, k.String())
			}
		}
		b.WriteByte('}')
		return nil
	case reflect.Struct:
		if v.Type() != timeType {
			return writeObject(b, v, shapeOf(v.Type()))
		}
	case reflect.Int, reflect.Int64:
		if n := v.Int(); n >= 0 && n < int64(len(codes)) {
			return writeLeaf(b, codes[n])
		}
	}
	return writeLeaf(b, v.Interface())
}

func writeLeaf(b *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return &FieldError{"", inElements, err}
	}
	b.Write(text)
	return nil
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
