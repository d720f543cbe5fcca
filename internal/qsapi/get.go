package qsapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/service"
)

const (
	// hopHeader says how many mirrors a request came through.
	hopHeader = "Cistern-Hops"
	// timeFormat is how times stand in headers.
	timeFormat = http.TimeFormat
	// maxOverride bounds the value of a response-* parameter, in bytes.
	maxOverride = 2048
)

// getObject answers GET O (QingStor API, "GET Object").
func (a *API) getObject(w *answer, r *request) error {
	var over service.GetObjectInput
	if len(r.params) > 0 {
		if err := r.overrides(&over); err != nil {
			return err
		}
	}
	err := a.read(w, r, &over, a.core.Get)
	if !w.wrote && (errors.Is(err, object.ErrSourceChanged) || errors.Is(err, object.ErrSuperseded)) {
		// The object changed under the fill, and no byte of the old one went out: begin again, once.
		w.reset(r.id)
		err = a.read(w, r, &over, a.core.Get)
	}
	return err
}

// headObject answers HEAD O (QingStor API, "HEAD Object") with the head that GET would have.
func (a *API) headObject(w *answer, r *request) error {
	return a.read(w, r, &service.GetObjectInput{}, a.core.Head)
}

// read answers GET and HEAD. The header fields are read by hand: this is the path of every hit.
func (a *API) read(w *answer, r *request, over *service.GetObjectInput,
	open func(ctx context.Context, c cistern.Caller, bucket, key string, q cistern.Read) (*cistern.Object, error)) error {
	ctx := r.Context()
	q := cistern.Read{Conditions: conditions(r.Header)}
	var err error
	if q.Key, err = customerKey(r.Header, ownKey); err != nil {
		return err
	}
	if q.Version, err = r.version(); err != nil {
		return err
	}
	if q.Hops, err = hops(r.Header); err != nil {
		return err
	}
	var ranges []object.ByteRange
	var malformed error
	if value := r.Header.Get("Range"); value != "" {
		if ranges, malformed = object.ParseRange(value); malformed != nil {
			open = a.core.Head // the answer is an error, but it says the size; nothing is worth a fill
		}
	}
	o, err := open(ctx, r.caller, r.target.bucket, r.target.key, q)
	if err != nil {
		return err
	}
	defer o.Close() // nothing was written

	h := w.Header()
	cacheHeaders(w, o.Status)
	if o.Varies {
		w.lasting("Vary", "Origin")
	}
	switch err := o.Err(); {
	case errors.Is(err, object.ErrNotModified):
		validators(h, &o.Meta)
		return w.empty(http.StatusNotModified)
	case err != nil:
		return err
	}
	if malformed != nil {
		return &unsatisfiable{o.Meta.Size, object.Explain(object.ErrInvalidRange, "the Range header cannot be read")}
	}
	if ir := r.Header.Get("If-Range"); ir != "" && !object.IfRange(ir, o.Meta) {
		ranges = nil
	}
	size := o.Meta.Size
	if size < 0 && (len(ranges) > 0 || !r.ProtoAtLeast(1, 1) && r.Method == http.MethodGet) {
		// A range needs the size. So does HTTP/1.0, where nothing else would tell a whole body from a broken one.
		if size, err = o.Sized(ctx); err != nil {
			return err
		}
	}
	parts, err := resolve(ranges, size)
	if err != nil {
		return err
	}

	objectHeaders(h, &o.Meta)
	if q.Version == store.NullVersion {
		versionHeaders(h, q.Version, false)
	} else {
		versionHeaders(h, o.Meta.VersionID, false)
	}
	if o.Owned && o.Status.Hit && !r.link {
		provenanceHeaders(h, &o.Meta)
	}
	override(h, over)
	w.prompt = !o.Status.Hit // bytes go on as the source sends them
	switch len(parts) {
	case 0:
		if size >= 0 {
			h["Content-Length"] = []string{strconv.FormatInt(size, 10)}
		}
		w.begin(http.StatusOK)
		if w.head {
			w.end()
			return nil
		}
		if size < 0 {
			return w.copy(r, o, object.Range{Length: -1})
		}
		return w.copy(r, o, object.Range{Length: size})
	case 1:
		h["Content-Range"] = []string{rangeHeader(parts[0], size)}
		h["Content-Length"] = []string{strconv.FormatInt(parts[0].Length, 10)}
		w.begin(http.StatusPartialContent)
		if w.head {
			w.end()
			return nil
		}
		return w.copy(r, o, parts[0])
	}
	return w.multipart(r, o, parts, size)
}

// copy sends rg of o. An error before the first byte can still be answered.
func (w *answer) copy(r *request, o *cistern.Object, rg object.Range) error {
	before := w.sent
	if rg.Length != 0 {
		if err := o.WriteRange(r.Context(), w, rg); err != nil {
			return err
		}
	}
	if rg.Length >= 0 && w.sent-before != rg.Length {
		return object.ErrDamaged
	}
	w.end()
	return nil
}

// resolve returns the bytes that ranges mean; none means all of the object. Ranges beyond the end are left out, unless
// all are. More bytes than the object has are not worth their parts: that is all of the object, too (RFC 9110 §14.2).
func resolve(ranges []object.ByteRange, size int64) ([]object.Range, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	var rs []object.Range
	var first error
	var total int64
	for _, br := range ranges {
		rg, err := br.Resolve(size)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		total += rg.Length
		rs = append(rs, rg)
	}
	if len(rs) == 0 {
		return nil, &unsatisfiable{size, first}
	}
	if len(rs) > 1 && total > size {
		return nil, nil
	}
	return rs, nil
}

func rangeHeader(rg object.Range, size int64) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, rg.Offset, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, rg.End()-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

// conditions reads the four conditions. Dates that cannot be read count for nothing (RFC 9110 §13.1.3).
func conditions(h http.Header) object.Conditions {
	return object.Conditions{
		IfMatch:           tags(h["If-Match"]),
		IfNoneMatch:       tags(h["If-None-Match"]),
		IfModifiedSince:   date(h.Get("If-Modified-Since")),
		IfUnmodifiedSince: date(h.Get("If-Unmodified-Since")),
	}
}

// tags joins a list of entity tags. The JavaScript client escapes the quotes.
func tags(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return strings.ReplaceAll(strings.Join(values, ", "), "%22", `"`)
}

func date(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// hops reads how many mirrors a request came through.
func hops(h http.Header) (int, error) {
	values := h[hopHeader]
	if len(values) == 0 {
		return 0, nil
	}
	v := values[0]
	ok := len(values) == 1 && len(v) >= 1 && len(v) <= 4
	for i := 0; ok && i < len(v); i++ {
		ok = v[i] >= '0' && v[i] <= '9'
	}
	if !ok {
		return 0, fail(http.StatusBadRequest, "invalid_argument", "The header %s is not a number.", hopHeader)
	}
	return strconv.Atoi(v)
}

// validators writes what a 304 has, too.
func validators(h http.Header, m *object.Meta) {
	if m.ETag != "" {
		h["Etag"] = []string{m.ETag}
	}
	if !m.LastModified.IsZero() {
		h["Last-Modified"] = []string{m.LastModified.UTC().Format(timeFormat)}
	}
	if m.CacheControl != "" {
		h["Cache-Control"] = []string{m.CacheControl}
	}
	if m.Expires != "" {
		h["Expires"] = []string{m.Expires}
	}
}

// objectHeaders writes what an object's answer says of it.
func objectHeaders(h http.Header, m *object.Meta) {
	validators(h, m)
	h["Accept-Ranges"] = []string{"bytes"}
	h["Content-Type"] = []string{contentType(m)}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["X-Qs-Storage-Class"] = []string{storageClass(m)}
	encryptionHeaders(h, m)
	if m.ContentEncoding != "" {
		h["Content-Encoding"] = []string{m.ContentEncoding}
	}
	if m.ContentLanguage != "" {
		h["Content-Language"] = []string{m.ContentLanguage}
	}
	if m.ContentDisposition != "" {
		h["Content-Disposition"] = []string{m.ContentDisposition}
	}
	appendHeaders(h, m)
	for name, value := range m.User {
		h.Set(metaPrefix+name, value)
	}
}

func contentType(m *object.Meta) string {
	if m.ContentType == "" {
		return defaultType
	}
	return m.ContentType
}

func storageClass(m *object.Meta) string {
	if m.StorageClass == "" {
		return "STANDARD"
	}
	return m.StorageClass
}

// cacheHeaders says what the server did for the answer (RFC 9211, Server Timing).
func cacheHeaders(w *answer, s cistern.Status) {
	w.cacheStatus = s.CacheStatus()
	w.Header()["Cache-Status"] = []string{w.cacheStatus}
	if s.Hit {
		w.cache = Hit
		return
	}
	w.cache = Miss
	if ms := float64(s.FirstByte) / float64(time.Millisecond); ms > 0 {
		w.Header()["Server-Timing"] = []string{"origin;dur=" + strconv.FormatFloat(ms, 'f', 1, 64)}
	}
}

// overrides reads the response-* parameters. They are for signed requests only, so that nobody makes others' links say
// what their owners did not. in is the operation's input, which is filled.
func (r *request) overrides(in any) error {
	found := false
	for _, p := range r.params {
		if !strings.HasPrefix(p.name, "response-") {
			continue
		}
		found = true
		if len(p.value) > maxOverride || strings.ContainsFunc(p.value, func(c rune) bool { return c < 0x20 && c != '\t' || c == 0x7f }) {
			return fail(http.StatusBadRequest, "invalid_argument", "The query parameter %s is too long, or holds a control character.", p.name)
		}
	}
	if found && !r.signed {
		return fail(http.StatusForbidden, "permission_denied", "Only signed requests may have response-* parameters.")
	}
	return r.decode(in)
}

func override(h http.Header, in *service.GetObjectInput) {
	for _, o := range [...]struct {
		name  string
		value *string
	}{
		{"Cache-Control", in.ResponseCacheControl},
		{"Content-Disposition", in.ResponseContentDisposition},
		{"Content-Encoding", in.ResponseContentEncoding},
		{"Content-Language", in.ResponseContentLanguage},
		{"Content-Type", in.ResponseContentType},
		{"Expires", in.ResponseExpires},
	} {
		if o.value != nil {
			h[o.name] = []string{*o.value}
		}
	}
}
