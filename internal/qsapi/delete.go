package qsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/wire"
	"github.com/cisternhq/cistern/service"
)

const (
	// maxDeletes is the most keys of one request (QingStor API, "Delete Multiple Objects").
	maxDeletes = 1000
	// maxDeleteJSON is the largest body of such a request, in bytes: so many keys of full length, each byte of them escaped, and other members beside.
	maxDeleteJSON = 8 << 20
)

// deleteObjects answers POST B?delete (QingStor API, "Delete Multiple Objects"). What the caller has no right to delete is among the errors, unless
// that is all of it: then the request is refused.
func (a *API) deleteObjects(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	if md5, err := contentMD5(r.Header); err != nil {
		return err
	} else if md5 == nil {
		return fail(http.StatusBadRequest, "invalid_request", "The header Content-MD5 is missing. It is needed here.")
	}
	doc, err := r.document(maxDeleteJSON)
	if err != nil {
		return err
	}
	keys, quiet, err := decodeDelete(doc)
	if err != nil {
		return err
	}
	results, err := a.core.DeleteObjects(r.Context(), r.caller, r.target.bucket, keys)
	if err != nil {
		return err
	}
	out := service.DeleteMultipleObjectsOutput{Errors: []*service.KeyDeleteErrorType{}}
	if !quiet {
		out.Deleted = []*service.KeyType{}
	}
	for i, err := range results {
		switch {
		case err != nil:
			_, code, message := describe(err)
			out.Errors = append(out.Errors, &service.KeyDeleteErrorType{Key: &keys[i], Code: &code, Message: &message})
		case !quiet:
			out.Deleted = append(out.Deleted, &service.KeyType{Key: &keys[i]})
		}
	}
	return w.render(http.StatusOK, &out)
}

// decodeDelete reads which keys a request is to delete. It is by hand, as the SDK's input would be many times as large as the body of a hostile
// request; this keeps the keys only, and no more of them than there may be. Of an object, members other than key count for nothing, whatever they are.
func decodeDelete(doc []byte) (keys []string, quiet bool, err error) {
	if !utf8.Valid(doc) {
		return nil, false, fmt.Errorf("%w: it is not UTF-8", wire.ErrSyntax)
	}
	d := newDecoder(doc)
	listed := false
	err = d.object(func(name string) error {
		switch name {
		case "quiet":
			tok, err := d.Token()
			if err != nil {
				return syntax(err)
			}
			switch v := tok.(type) {
			case nil:
			case bool:
				quiet = v
			default:
				return fail(http.StatusBadRequest, "invalid_argument", "The member quiet is true, false or null.")
			}
			return nil
		case "objects":
			listed = true
			keys, err = d.keys()
			return err
		}
		return fail(http.StatusBadRequest, "invalid_argument", "The member %q is unknown.", short(name))
	})
	if err == nil {
		err = d.end()
	}
	if err == nil && !listed {
		err = fail(http.StatusBadRequest, "invalid_request", "The body lacks the member objects, a list.")
	}
	return keys, quiet, err
}

// decoder reads a document token by token, where the SDK's structs will not do.
type decoder struct{ *json.Decoder }

func newDecoder(doc []byte) *decoder {
	d := &decoder{json.NewDecoder(bytes.NewReader(doc))}
	d.UseNumber()
	return d
}

// end fails if anything follows.
func (d *decoder) end() error {
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the object", wire.ErrSyntax)
	}
	return nil
}

// object reads an object; member reads the value of the one of that name.
func (d *decoder) object(member func(name string) error) error {
	if tok, err := d.Token(); err != nil {
		return syntax(err)
	} else if tok != json.Delim('{') {
		return fmt.Errorf("%w: there is something else in the place of an object", wire.ErrSyntax)
	}
	seen := make(map[string]bool)
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return syntax(err)
		}
		name, _ := tok.(string) // no other token can be in its place
		if seen[name] {
			return fmt.Errorf("%w: the member %q is given twice", wire.ErrSyntax, short(name))
		}
		if len(seen) == maxDeletes {
			return fail(http.StatusBadRequest, "invalid_request", "An object of the body has more than %d members.", maxDeletes)
		}
		seen[name] = true
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return syntax(err)
}

// keys reads the list of objects.
func (d *decoder) keys() ([]string, error) {
	if tok, err := d.Token(); err != nil {
		return nil, syntax(err)
	} else if tok != json.Delim('[') {
		return nil, fail(http.StatusBadRequest, "invalid_request", "The member objects is not a list.")
	}
	keys := []string{}
	for d.More() {
		if len(keys) == maxDeletes {
			return nil, fail(http.StatusBadRequest, "too_many_objects", "One request deletes %d objects at most.", maxDeletes)
		}
		key, ok := "", false
		err := d.object(func(name string) error {
			if name != "key" {
				return d.skip()
			}
			tok, err := d.Token()
			if err != nil {
				return syntax(err)
			}
			if key, ok = tok.(string); !ok {
				return fail(http.StatusBadRequest, "invalid_request", "objects[%d].key is not text.", len(keys))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fail(http.StatusBadRequest, "invalid_request", "objects[%d] lacks the member key.", len(keys))
		}
		keys = append(keys, key)
	}
	_, err := d.Token()
	return keys, syntax(err)
}

// skip goes past one value.
func (d *decoder) skip() error {
	for depth := 0; ; {
		tok, err := d.Token()
		if err != nil {
			return syntax(err)
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > wire.MaxDepth {
				return fmt.Errorf("%w: it nests deeper than %d levels", wire.ErrSyntax, wire.MaxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// syntax gives an error of the decoder its name.
func syntax(err error) error {
	if err == nil || errors.Is(err, wire.ErrSyntax) {
		return err
	}
	return fmt.Errorf("%w: %w", wire.ErrSyntax, err)
}

// short cuts a name of the client's that goes into a message.
func short(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
