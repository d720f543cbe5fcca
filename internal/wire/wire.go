// Package wire maps tagged structs to the parts of HTTP messages, in both directions.
//
// The SDK encodes requests and decodes responses with it, the server the other way round, from the same structs.
// It sends nothing, checks no required fields, and knows no operation.
//
// A field says where it travels by its tags:
//
//	Limit *int `name:"limit" location:"query"`
//	ETag  *string `name:"ETag" location:"headers"`
//	ACL   []*ACLType `json:"acl" name:"acl" location:"elements"` // a member of the JSON body
//	Body  io.Reader `location:"body"`
//
// Fields with the locations "statusCode" and "requestID", or with none, are left alone. The tag lenient:"true" makes a
// query or header value that cannot be read count as absent. The tag codes:"A B" is for a whole number in a JSON body that
// travels as text: 0 is written as "A" and 1 as "B", and both are read again; other numbers stay numbers.
package wire

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"sort"
	"strings"
	"sync"
	"time"
)

// Message is what a struct becomes on the wire. The zero value is an empty message.
type Message struct {
	// Query and Header hold the fields with these locations; nil if there are none.
	Query  url.Values
	Header http.Header
	// JSON is the body made of the struct's elements; nil if it has none.
	JSON []byte
	// Body is the body as a stream; nil if the struct has none, or JSON is set.
	Body io.Reader
	// ContentLength is the Content-Length field, in bytes, which is not in Header; nil if it is not known.
	ContentLength *int64
}

// FieldError says which field could not be mapped, and why. Its text may be shown to whoever sent the message.
type FieldError struct {
	// Name is the field's name on the wire, such as "limit" or "acl[0].permission"; "" for the body as a whole.
	Name string
	// Location is "query", "headers" or "elements".
	Location string
	// Err says what is allowed. It matches [ErrSyntax] if the body is not one acceptable JSON value.
	Err error
}

// maxShown is how much of a field's name an error's text repeats, in bytes. The sender chose it.
const maxShown = 128

func (e *FieldError) Error() string {
	what := "body"
	switch e.Location {
	case inQuery:
		what = "query parameter"
	case inHeaders:
		what = "header"
	case inElements:
		if e.Name != "" {
			what = "body member"
		}
	}
	switch name := e.Name; {
	case name == "":
		return fmt.Sprintf("%s %v", what, e.Err)
	case len(name) > maxShown:
		return fmt.Sprintf("%s %q %v", what, name[:maxShown]+"...", e.Err)
	default:
		return fmt.Sprintf("%s %q %v", what, name, e.Err)
	}
}

func (e *FieldError) Unwrap() error { return e.Err }

// The locations that tags may name.
const (
	inQuery    = "query"
	inHeaders  = "headers"
	inElements = "elements"
	inBody     = "body"
)

// metaPrefix begins the names of user metadata headers, in lower case.
const metaPrefix = "x-qs-meta-"

// TimeFormat is how times are written in headers; the zone is always GMT (QingStor API, "Common Headers").
const TimeFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

var (
	timeType   = reflect.TypeFor[time.Time]()
	readerType = reflect.TypeFor[io.Reader]()
	closerType = reflect.TypeFor[io.ReadCloser]()
	metaType   = reflect.TypeFor[map[string]string]()
)

// field is one struct field that travels.
type field struct {
	index   int
	name    string
	typ     reflect.Type // without the pointer
	lenient bool
}

// member is one struct field that stands in a JSON object.
type member struct {
	index     int
	name      string
	omitEmpty bool     // nil is left out instead of null
	codes     []string // what whole numbers are written as
}

func memberOf(i int, sf reflect.StructField, name string) member {
	_, opts, _ := strings.Cut(sf.Tag.Get("json"), ",")
	return member{index: i, name: name, omitEmpty: opts == "omitempty", codes: strings.Fields(sf.Tag.Get("codes"))}
}

// shape is the members of a JSON object.
type shape struct {
	members []member // in the order they are written
	byName  map[string]int
}

func (s *shape) add(m member) {
	s.byName[m.name] = len(s.members)
	s.members = append(s.members, m)
}

// plan is what the tags of one struct type say.
type plan struct {
	query, headers []field
	elements       *shape // in the order of the names
	body           int    // index, -1 if there is none
}

var (
	plans  sync.Map // reflect.Type -> *plan
	shapes sync.Map // reflect.Type -> *shape: struct types inside JSON bodies
)

// planOf reads the tags of a struct type, once. A tag that makes no sense is an error of the type's author.
func planOf(t reflect.Type) (*plan, error) {
	if p, ok := plans.Load(t); ok {
		return p.(*plan), nil
	}
	p := &plan{body: -1, elements: &shape{byName: map[string]int{}}}
	var elements []member
	for i := range t.NumField() {
		sf := t.Field(i)
		loc := sf.Tag.Get("location")
		if sf.Name == "Body" && loc == "" && (sf.Type == readerType || sf.Type == closerType) {
			loc = inBody
		}
		if loc == inBody {
			if sf.Type != readerType && sf.Type != closerType {
				return nil, fmt.Errorf("wire: %s.%s: a body is an io.Reader or an io.ReadCloser", t, sf.Name)
			}
			p.body = i
			continue
		}
		f := field{index: i, name: sf.Tag.Get("name"), typ: sf.Type, lenient: sf.Tag.Get("lenient") == "true"}
		if loc == inQuery || loc == inHeaders {
			if sf.Type.Kind() != reflect.Pointer || !scalar(sf.Type.Elem()) && (loc != inHeaders || sf.Type.Elem() != metaType) {
				return nil, fmt.Errorf("wire: %s.%s: type %s cannot travel in %s", t, sf.Name, sf.Type, loc)
			}
			f.typ = sf.Type.Elem()
		}
		if f.name == "" && (loc == inQuery || loc == inHeaders || loc == inElements) {
			return nil, fmt.Errorf("wire: %s.%s has no name tag", t, sf.Name)
		}
		switch loc {
		case inQuery:
			p.query = append(p.query, f)
		case inHeaders:
			p.headers = append(p.headers, f)
		case inElements:
			elements = append(elements, memberOf(i, sf, f.name))
		}
	}
	sort.Slice(elements, func(i, j int) bool { return elements[i].name < elements[j].name })
	for _, m := range elements {
		p.elements.add(m)
	}
	got, _ := plans.LoadOrStore(t, p)
	return got.(*plan), nil
}

// shapeOf reads the json tags of a struct type inside a body, once.
func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{byName: map[string]int{}}
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !sf.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		s.add(memberOf(i, sf, name))
	}
	got, _ := shapes.LoadOrStore(t, s)
	return got.(*shape)
}

// scalar reports whether t can be one query or header value.
func scalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int64, reflect.Bool:
		return true
	}
	return t == timeType
}

// HasElements reports whether v, a struct or a pointer to one, travels with a JSON body.
func HasElements(v any) bool {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return false
	}
	p, err := planOf(t)
	return err == nil && len(p.elements.members) > 0
}

// structOf finds the struct behind v. With settable, v must be a pointer to one.
func structOf(v any, settable bool) (reflect.Value, error) {
	rv := reflect.ValueOf(v)
	pointer := false
	for rv.IsValid() && rv.Kind() == reflect.Pointer {
		rv, pointer = rv.Elem(), true
	}
	if !rv.IsValid() || rv.Kind() != reflect.Struct || settable && !pointer {
		return reflect.Value{}, fmt.Errorf("wire: %T is not a pointer to a struct, or it is nil", v)
	}
	return rv, nil
}

// Escape percent-encodes every byte of s outside A-Z a-z 0-9 - _ . ~ / = with upper-case hex. It is how keys stand in paths,
// signatures in signed links, and header values that are not ASCII.
func Escape(s string) string {
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func plain(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("-_.~/=", c) >= 0
}
