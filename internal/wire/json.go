package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest in a JSON body.
const MaxDepth = 32

// ErrSyntax: the body is not one JSON object of valid UTF-8, nests too deep, or repeats a member. Send correct JSON.
var ErrSyntax = errors.New("is not acceptable JSON")

// syntaxError is an error that matches [ErrSyntax] and says more.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func (e syntaxError) Is(target error) bool { return target == ErrSyntax }

// null, object and array are the parsed forms beside string, bool and json.Number.
type (
	null   struct{}
	array  []any
	object struct {
		names  []string
		values map[string]any
	}
)

// decodeElements reads a JSON object into the elements of rv.
//
// encoding/json alone will not do: it matches names in any case and lets the last of repeated members win, so that two readers
// of one body can disagree on what it says.
func decodeElements(data []byte, p *plan, rv reflect.Value, strict bool) error {
	tree, err := parse(data)
	if err != nil {
		return err
	}
	if _, ok := tree.(null); ok {
		return nil
	}
	o, ok := tree.(object)
	if !ok {
		return &FieldError{"", inElements, syntaxError("must be a JSON object, found " + kind(tree))}
	}
	return assignObject(rv, o, p.elements, strict)
}

// parse reads one JSON value, strictly.
func parse(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, &FieldError{"", inElements, syntaxError("is not UTF-8")}
	}
	// The depth is looked at first, since it bounds what the rest of this package does by recursion.
	if err := checkDepth(data); err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, &FieldError{"", inElements, syntaxError("is not one JSON value")}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return parseValue(dec)
}

// checkDepth counts brackets outside of strings.
func checkDepth(data []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return &FieldError{"", inElements, syntaxError(fmt.Sprintf("nests deeper than %d levels", MaxDepth))}
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

func parseValue(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, &FieldError{"", inElements, syntaxError("is not JSON")}
	}
	switch tok {
	case nil:
		return null{}, nil
	case json.Delim('{'):
		o := object{values: map[string]any{}}
		for dec.More() {
			tok, err := dec.Token()
			name, ok := tok.(string)
			if err != nil || !ok {
				return nil, &FieldError{"", inElements, syntaxError("is not JSON")}
			}
			if _, ok := o.values[name]; ok {
				return nil, &FieldError{name, inElements, syntaxError("is given twice")}
			}
			if o.values[name], err = parseValue(dec); err != nil {
				return nil, within(err, name)
			}
			o.names = append(o.names, name)
		}
		_, err := dec.Token()
		return o, err
	case json.Delim('['):
		a := array{}
		for dec.More() {
			v, err := parseValue(dec)
			if err != nil {
				return nil, withinList(err, len(a))
			}
			a = append(a, v)
		}
		_, err := dec.Token()
		return a, err
	}
	return tok, nil
}

// within puts the name of an object's member in front of what an error names. Names are joined only on the way out of an error: to
// carry them along would copy a long one once for each item of a long list.
func within(err error, name string) error {
	var fe *FieldError
	if errors.As(err, &fe) {
		switch {
		case fe.Name == "":
			fe.Name = name
		case fe.Name[0] == '[':
			fe.Name = name + fe.Name
		default:
			fe.Name = name + "." + fe.Name
		}
	}
	return err
}

// withinList puts the index of a list's item in front of what an error names.
func withinList(err error, i int) error { return within(err, "["+strconv.Itoa(i)+"]") }

func assignObject(rv reflect.Value, o object, s *shape, strict bool) error {
	for _, name := range o.names {
		i, ok := s.byName[name]
		if !ok {
			if strict {
				return &FieldError{name, inElements, errors.New("is unknown")}
			}
			continue
		}
		m := s.members[i]
		if err := assign(rv.Field(m.index), o.values[name], m.codes, strict); err != nil {
			return within(err, name)
		}
	}
	return nil
}

// assign puts a parsed value into fv. Null leaves fv alone. codes are texts that stand for whole numbers.
func assign(fv reflect.Value, v any, codes []string, strict bool) error {
	if _, ok := v.(null); ok {
		return nil
	}
	fail := func(text string) error { return &FieldError{"", inElements, errors.New(text)} }
	wrong := func(want string) error { return fail("must be " + want + ", found " + kind(v)) }
	if fv.Type() == timeType {
		s, ok := v.(string)
		if !ok {
			return wrong("a time as text")
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return fail(`must be a time such as "2016-08-22T15:03:32Z"`)
		}
		fv.Set(reflect.ValueOf(t))
		return nil
	}
	switch fv.Kind() {
	case reflect.Pointer:
		p := reflect.New(fv.Type().Elem())
		if err := assign(p.Elem(), v, codes, strict); err != nil {
			return err
		}
		fv.Set(p)
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return wrong("text")
		}
		fv.SetString(s)
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			return wrong("true or false")
		}
		fv.SetBool(b)
	case reflect.Int, reflect.Int64:
		if s, ok := v.(string); ok && len(codes) > 0 {
			i := slices.Index(codes, s)
			if i < 0 {
				return fail("must be " + strings.Join(codes, " or "))
			}
			fv.SetInt(int64(i))
			return nil
		}
		num, ok := v.(json.Number)
		if !ok {
			return wrong("a whole number")
		}
		n, err := strconv.ParseInt(num.String(), 10, fv.Type().Bits())
		if errors.Is(err, strconv.ErrRange) {
			return fail("is out of range")
		}
		if err != nil {
			return fail("must be a whole number")
		}
		fv.SetInt(n)
	case reflect.Slice:
		a, ok := v.(array)
		if s, one := v.(string); one && isText(fv.Type().Elem()) {
			a, ok = array{s}, true
		}
		if !ok {
			return wrong("a list")
		}
		s := reflect.MakeSlice(fv.Type(), len(a), len(a))
		for i, item := range a {
			if _, ok := item.(null); ok {
				return withinList(fail("must not be null"), i)
			}
			if err := assign(s.Index(i), item, codes, strict); err != nil {
				return withinList(err, i)
			}
		}
		fv.Set(s)
	case reflect.Struct:
		o, ok := v.(object)
		if !ok {
			return wrong("an object")
		}
		return assignObject(fv, o, shapeOf(fv.Type()), strict)
	case reflect.Map:
		o, ok := v.(object)
		if !ok {
			return wrong("an object")
		}
		m := reflect.MakeMapWithSize(fv.Type(), len(o.names))
		for _, name := range o.names {
			item := reflect.New(fv.Type().Elem()).Elem()
			if err := assign(item, o.values[name], codes, strict); err != nil {
				return within(err, name)
			}
			m.SetMapIndex(reflect.ValueOf(name), item)
		}
		fv.Set(m)
	default:
		return fmt.Errorf("wire: type %s cannot be in a JSON body", fv.Type())
	}
	return nil
}

// isText reports whether t is a string or a pointer to one.
func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.String
}

// kind names a parsed value for an error's text.
func kind(v any) string {
	switch v.(type) {
	case null:
		return "null"
	case object:
		return "an object"
	case array:
		return "a list"
	case string:
		return "text"
	case bool:
		return "true or false"
	}
	return "a number"
}
