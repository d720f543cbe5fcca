package service

import (
	"reflect"
	"strings"
	"sync"

	"github.com/cisternhq/cistern/request/errors"
)

// rule is what the tags of a field ask for: required:"true" that it is not nil, required:"text" that it is not "" either, enum:"A B" that its
// text is one of these. An empty list is not nil: there are lists to be emptied. An empty upload_id or version_id would turn the
// DELETE of an upload or a version into one of the object.
type rule struct {
	index    int
	name     string
	required bool
	text     bool
	allowed  []string
	nested   bool // the field leads to further structs
}

var rules sync.Map // reflect.Type -> []rule

func rulesOf(t reflect.Type) []rule {
	if rs, ok := rules.Load(t); ok {
		return rs.([]rule)
	}
	var rs []rule
	for i := range t.NumField() {
		f := t.Field(i)
		leaf := f.Type
		for leaf.Kind() == reflect.Pointer || leaf.Kind() == reflect.Slice {
			leaf = leaf.Elem()
		}
		r := rule{
			index:    i,
			name:     f.Name,
			required: f.Tag.Get("required") != "",
			text:     f.Tag.Get("required") == "text",
			allowed:  strings.Fields(f.Tag.Get("enum")),
			nested:   leaf.Kind() == reflect.Struct && leaf.PkgPath() == t.PkgPath(),
		}
		if r.required || r.nested || len(r.allowed) > 0 {
			rs = append(rs, r)
		}
	}
	rules.Store(t, rs)
	return rs
}

// validate checks the struct that v points to, and all within it, by the tags. A nil v is valid.
func validate(v any) error { return validateValue(reflect.ValueOf(v)) }

func validateValue(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return validateValue(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if err := validateValue(v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
	default:
		return nil
	}
	for _, r := range rulesOf(v.Type()) {
		f := v.Field(r.index)
		if f.IsNil() || r.text && f.Elem().String() == "" {
			if r.required {
				return errors.ParameterRequiredError{ParameterName: r.name, ParentName: v.Type().Name()}
			}
			continue
		}
		if len(r.allowed) > 0 {
			if s := f.Elem().String(); !contains(r.allowed, s) {
				return errors.ParameterValueNotAllowedError{ParameterName: r.name, ParameterValue: s, AllowedValues: append([]string(nil), r.allowed...)}
			}
		}
		if r.nested {
			if err := validateValue(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
