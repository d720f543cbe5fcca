package qsapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/sign"
	"github.com/cisternhq/cistern/internal/store"
)

const (
	// maxFormFields and maxForm bound what a form has before its file: how many fields, and their bytes with all around them. The reader of
	// the form takes some more before it is asked for.
	maxFormFields = 100
	maxForm       = 64 << 10
	// maxBehind bounds what is read of a form behind its file, in bytes, so that the connection can be used again.
	maxBehind = 64 << 10
	// maxRedirect bounds the address that the browser is sent to, in bytes.
	maxRedirect = 2048

	// filename stands in a key for the name of the file.
	filename = "${filename}"
)

// postObject answers POST B with a form (QingStor API, "POST Object"): an upload by a page in a browser, without a program. The file is the last field, and
// is streamed. The form's policy says what its other fields are, and is signed; without one the form may do what requests without a signature may.
func (a *API) postObject(w *answer, r *request) error {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return fail(http.StatusBadRequest, "invalid_request", "A POST to a bucket is a form: its Content-Type is multipart/form-data with a boundary.")
	}
	if r.Header.Get("Content-Md5") != "" {
		return fail(http.StatusBadRequest, "invalid_argument", "The header Content-MD5 would be of the whole form. Send a field content-md5 for the file.")
	}
	r.body.limit = maxForm
	parts := multipart.NewReader(r.body, params["boundary"])
	f, err := readForm(parts)
	if err != nil {
		return err
	}
	if err := a.authorizeForm(r, f); err != nil {
		return err
	}
	key, err := f.key()
	if err != nil {
		return err
	}
	to, err := f.redirect(r.id)
	if err != nil {
		return err
	}
	h, err := f.header()
	if err != nil {
		return err
	}
	u := cistern.Upload{Size: -1, Body: f.file}
	if u.Meta, err = metaOf(h); err != nil {
		return err
	}
	if u.MD5, err = contentMD5(h); err != nil {
		return err
	}
	r.body.limit = r.body.n + object.MaxPutSize + maxBehind
	m, err := a.core.Put(r.Context(), r.caller, r.target.bucket, key, u)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, r.body, maxBehind) // what follows the file counts for nothing
	if to == "" {
		return w.created(&m, nil)
	}
	w.Header()["Location"] = []string{to}
	w.Header()["Etag"] = []string{m.ETag}
	versionHeaders(w.Header(), m.VersionID, false)
	return w.empty(http.StatusFound)
}

// form is what a form has up to its file.
type form struct {
	fields map[string]string // by their names in lower case
	file   *multipart.Part   // to be read
}

// readForm reads the fields before the file.
func readForm(parts *multipart.Reader) (form, error) {
	f := form{fields: map[string]string{}}
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return f, fail(http.StatusBadRequest, "invalid_request", "The form has no field named file.")
		}
		if err != nil {
			return f, formErr(err)
		}
		name := strings.ToLower(p.FormName())
		switch {
		case name == "file":
			f.file = p
			return f, nil
		case name == "":
			return f, fail(http.StatusBadRequest, "invalid_request", "A field of the form has no name.")
		case len(f.fields) == maxFormFields:
			return f, fail(http.StatusBadRequest, "invalid_request", "The form has more than %d fields before its file.", maxFormFields)
		}
		if _, ok := f.fields[name]; ok {
			return f, fail(http.StatusBadRequest, "invalid_request", "The field %q is there more than once.", short(name))
		}
		value, err := io.ReadAll(p) // the body's limit bounds it
		if err != nil {
			return f, formErr(err)
		}
		if !utf8.Valid(value) || !utf8.ValidString(name) {
			return f, fail(http.StatusBadRequest, "invalid_argument", "The field %q is not UTF-8.", strings.ToValidUTF8(short(name), "\uFFFD"))
		}
		f.fields[name] = string(value)
	}
}

// formErr gives an error of the form's reader its name, unless it is the body's.
func formErr(err error) error {
	switch {
	case errors.Is(err, object.ErrTooLarge):
		return object.Explain(object.ErrTooLarge, "the form has more than %d bytes before its file", maxForm)
	case errors.Is(err, object.ErrIncompleteBody):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return object.Explain(object.ErrIncompleteBody, "the form ended before its file")
	}
	return fail(http.StatusBadRequest, "invalid_request", "The body cannot be read as a form: multipart/form-data with the boundary of its Content-Type.")
}

// authorizeForm finds out who asks, by the form's own signature, and holds the form against its policy.
func (a *API) authorizeForm(r *request, f form) error {
	policy, signed := f.fields["policy"]
	keyID, hasKey := f.fields["access_key_id"]
	signature, hasSignature := f.fields["signature"]
	switch {
	case !signed && !hasKey && !hasSignature:
		return nil
	case !signed || !hasKey || !hasSignature:
		return fail(http.StatusBadRequest, "invalid_request", "Of the fields policy, access_key_id and signature a form has all or none.")
	case r.signed:
		return fail(http.StatusBadRequest, "invalid_request", "The request is signed, and the form in it, too. One is enough.")
	}
	k, known := a.o.Keys.Lookup(keyID)
	if !known {
		k.Secret = a.decoySK
	}
	matches := sign.VerifyForm(policy, signature, k.Secret)
	switch {
	case !known:
		return fail(http.StatusUnauthorized, "invalid_access_key_id", "The access key id is not known here.")
	case !matches:
		return fail(http.StatusUnauthorized, "signature_not_matched",
			"The signature does not match. Check the secret access key, and that the text is signed that the field policy has.")
	case k.Disabled:
		return fail(http.StatusForbidden, "access_key_disabled", "The access key is disabled. The operator of this server can enable it again.")
	}
	if err := f.check(policy); err != nil {
		return err
	}
	r.caller.Owner, r.caller.Operator = k.Owner, k.Operator
	r.Request = r.Request.WithContext(store.WithCause(r.Context(), store.Cause{Principal: r.caller.Owner, RequestID: r.id}))
	return nil
}

// check holds the form's fields against its policy, which has to say all of them.
func (f form) check(policy string) error {
	violated := func(format string, args ...any) error {
		return fail(http.StatusBadRequest, "form_policy_violated", format, args...)
	}
	text, err := base64.StdEncoding.DecodeString(policy)
	if err != nil {
		return violated("The field policy is not base64.")
	}
	said, err := decodePolicy(text)
	if err != nil {
		return violated("The policy is not one JSON object whose members are texts: %v.", err)
	}
	for name, want := range said {
		got, ok := f.fields[name]
		switch {
		case !ok:
			return violated("The policy has %q, the form does not.", short(name))
		case got != want:
			return violated("The field %q is not what the policy says.", short(name))
		}
	}
	for name := range f.fields {
		if _, ok := said[name]; !ok && name != "policy" && name != "access_key_id" && name != "signature" {
			return violated("The form has the field %q, the policy does not.", short(name))
		}
	}
	return nil
}

// decodePolicy reads the members of a form's policy. Names count as those of fields do, in any case.
func decodePolicy(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	said := make(map[string]string)
	d := newDecoder(text)
	err := d.object(func(name string) error {
		tok, err := d.Token()
		if err != nil {
			return syntax(err)
		}
		value, ok := tok.(string)
		if !ok {
			return fmt.Errorf("the member %q is no text", short(name))
		}
		name = strings.ToLower(name)
		if _, ok := said[name]; ok {
			return fmt.Errorf("the member %q is given twice", short(name))
		}
		said[name] = value
		return nil
	})
	if err == nil {
		err = d.end()
	}
	return said, err
}

// key returns the key that the file gets.
func (f form) key() (string, error) {
	key, ok := f.fields["key"]
	if !ok {
		return "", fail(http.StatusBadRequest, "invalid_request", "The form has no field named key.")
	}
	if strings.Contains(key, filename) {
		name := f.file.FileName()
		name = name[strings.LastIndexByte(name, '\\')+1:] // some browsers send the path on their machine
		if name == "" || name == "." || name == "/" {
			return "", fail(http.StatusBadRequest, "invalid_argument", "The key has %s, the field file no file name.", filename)
		}
		key = strings.ReplaceAll(key, filename, name)
	}
	if strings.HasPrefix(key, "/") {
		return "", object.Explain(object.ErrInvalidKey, "the key of a form does not begin with \"/\"")
	}
	if err := object.CheckKey(key); err != nil {
		return "", object.Explain(object.ErrInvalidKey, "a key is 1 to %d bytes of UTF-8", object.MaxKeyLen)
	}
	return key, nil
}

// redirect returns where the browser goes after the upload, "" for nowhere. The form says so, and it leads to web addresses only. Such a form cannot be
// hidden in a link, and a page that has one can send its visitors anywhere without us.
func (f form) redirect(requestID string) (string, error) {
	to, ok := f.fields["redirect"]
	if !ok || to == "" {
		return "", nil
	}
	bad := fail(http.StatusBadRequest, "invalid_argument", "The field redirect is an http or https address of %d bytes at most.", maxRedirect)
	if len(to) > maxRedirect || hasControl(to) || strings.ContainsAny(to, " \\") {
		return "", bad
	}
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", bad
	}
	said := "status=201&code=created&message=Object+created&request_id=" + requestID
	if u.RawQuery != "" {
		said = u.RawQuery + "&" + said
	}
	u.RawQuery = said
	return u.String(), nil
}

// formHeaders are the fields that say what a header of a PUT says.
var formHeaders = []string{
	"content-type", "content-encoding", "content-language", "content-disposition", "content-md5", "cache-control", "expires", "x-qs-storage-class",
}

// header returns the header that a PUT of the same object has. What the form's author does not say is not taken from the file's own field, which his
// visitors fill: it could make a page of it.
func (f form) header() (http.Header, error) {
	h := make(http.Header)
	for _, name := range formHeaders {
		if v, ok := f.fields[name]; ok {
			if hasControl(v) {
				return nil, fail(http.StatusBadRequest, "invalid_argument", "The field %s holds a control character.", name)
			}
			h.Set(name, v)
		}
	}
	for name, v := range f.fields {
		if meta, ok := strings.CutPrefix(name, "x-qs-meta-"); ok {
			h[metaPrefix+meta] = []string{v}
		} else if strings.HasPrefix(name, "x-qs-") && name != "x-qs-storage-class" {
			return nil, fail(http.StatusBadRequest, "invalid_argument", "The field %q is not known to POST Object.", short(name))
		}
	}
	if charset := f.fields["charset"]; charset != "" {
		if len(charset) > 40 || strings.Trim(strings.ToLower(charset), "abcdefghijklmnopqrstuvwxyz0123456789-_.:+") != "" {
			return nil, fail(http.StatusBadRequest, "invalid_argument", "The field charset is the name of one.")
		}
		kind := h.Get("Content-Type")
		if kind == "" {
			kind = defaultType
		}
		kind, params, err := mime.ParseMediaType(kind)
		if err != nil {
			return nil, fail(http.StatusBadRequest, "invalid_argument", "The field content-type is no type that a charset could be added to.")
		}
		if params["charset"] == "" {
			params["charset"] = charset
			h.Set("Content-Type", mime.FormatMediaType(kind, params))
		}
	}
	return h, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f })
}
