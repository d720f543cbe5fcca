package wire

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Decode fills the struct that v points to from the parts of a message. Fields that the message does not have stay as they are;
// an empty query or header value counts as absent, and so does null. The first of repeated values counts.
//
// Header times may have any of the three forms of RFC 9110 §5.6.7. Metadata is given with lower-case names that
// keep the prefix "x-qs-meta-". The JSON body must be one object, of valid UTF-8, at most [MaxDepth] deep, without repeated members;
// names are case-sensitive, unknown members are ignored. Where a list of texts is wanted, one text stands for a list of one: the API's documents
// allow both (QingStor API, "Bucket Policy"). How large it may be is the caller's business.
// It fails with a *[FieldError], and may have filled some fields by then.
func Decode(m Message, v any) error { return decode(m, v, false) }

// DecodeStrict is [Decode] that also refuses unknown members of the JSON body, at any depth.
func DecodeStrict(m Message, v any) error { return decode(m, v, true) }

func decode(m Message, v any, strict bool) error {
	rv, err := structOf(v, true)
	if err != nil {
		return err
	}
	p, err := planOf(rv.Type())
	if err != nil {
		return err
	}
	for _, f := range p.query {
		if values := m.Query[f.name]; len(values) > 0 {
			if err := setScalar(rv.Field(f.index), f, inQuery, values[0]); err != nil {
				return err
			}
		}
	}
	for _, f := range p.headers {
		if err := m.decodeHeader(rv.Field(f.index), f); err != nil {
			return err
		}
	}
	if len(p.elements.members) > 0 && len(m.JSON) > 0 {
		if err := decodeElements(m.JSON, p, rv, strict); err != nil {
			return err
		}
	}
	if p.body >= 0 && m.Body != nil {
		fv := rv.Field(p.body)
		if fv.Type() == closerType {
			rc, ok := m.Body.(io.ReadCloser)
			if !ok {
				rc = io.NopCloser(m.Body)
			}
			fv.Set(reflect.ValueOf(rc))
		} else {
			fv.Set(reflect.ValueOf(m.Body))
		}
	}
	return nil
}

func (m *Message) decodeHeader(fv reflect.Value, f field) error {
	if f.typ == metaType {
		var meta map[string]string
		for name, values := range m.Header {
			name = strings.ToLower(name)
			if len(values) == 0 || len(name) == len(metaPrefix) || !strings.HasPrefix(name, metaPrefix) {
				continue
			}
			if meta == nil {
				meta = map[string]string{}
			}
			meta[name] = values[0]
		}
		if meta != nil {
			fv.Set(reflect.ValueOf(&meta))
		}
		return nil
	}
	if f.name == "Content-Length" && f.typ.Kind() == reflect.Int64 && m.ContentLength != nil {
		n := *m.ContentLength
		fv.Set(reflect.ValueOf(&n))
		return nil
	}
	return setScalar(fv, f, inHeaders, m.Header.Get(f.name))
}

// setScalar reads a query or header value into the pointer field fv.
func setScalar(fv reflect.Value, f field, loc, s string) error {
	if s == "" {
		return nil
	}
	p := reflect.New(f.typ)
	var err error
	switch f.typ.Kind() {
	case reflect.String:
		p.Elem().SetString(s)
	case reflect.Int, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(s, 10, f.typ.Bits())
		switch {
		case errors.Is(err, strconv.ErrRange):
			err = errors.New("is out of range")
		case err != nil:
			err = errors.New("must be a whole number")
		}
		p.Elem().SetInt(n)
	case reflect.Bool:
		if s != "true" && s != "false" {
			err = errors.New("must be true or false")
		}
		p.Elem().SetBool(s == "true")
	default:
		var t time.Time
		if t, err = http.ParseTime(s); err != nil {
			err = errors.New(`must be a time such as "Wed, 10 Dec 2014 17:20:31 GMT"`)
		}
		p.Elem().Set(reflect.ValueOf(t))
	}
	switch {
	case err == nil:
		fv.Set(p)
	case !f.lenient:
		return &FieldError{f.name, loc, err}
	}
	return nil
}
