package qsapi

import (
	"net/http"
	"strconv"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/service"
)

const (
	// defaultVersions is the length of a page (QingStor API, "List Object Versions"). A longer one is cut at maxKeys, as those of objects.
	defaultVersions = 100
	// maxVersionID bounds what is sent as the ID of a version, in bytes.
	maxVersionID = 64

	// docVersionMarker is how the API's pages spell the parameter that its clients send as version_id_marker.
	docVersionMarker = "version-id-marker"
)

// disabled is what a bucket is called that never kept versions.
const disabled = "DISABLED"

// getVersioning answers GET B?versioning (QingStor API, "GET Bucket Versioning").
func (a *API) getVersioning(w *answer, r *request) error {
	v, err := a.core.Versioning(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	status := string(v)
	if v == store.Unversioned {
		status = disabled
	}
	return w.render(http.StatusOK, &service.GetBucketVersioningOutput{Status: &status})
}

// putVersioning answers PUT B?versioning (QingStor API, "PUT Bucket Versioning").
func (a *API) putVersioning(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketVersioningInput
	if err := r.decode(&in); err != nil {
		return err
	}
	v := store.Versioning(value(in.Status))
	if v != store.Enabled && v != store.Suspended {
		return fail(http.StatusBadRequest, "invalid_request", "The member status is ENABLED or SUSPENDED.")
	}
	if err := a.core.SetVersioning(r.Context(), r.caller, r.target.bucket, v); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// version reads which version a request is about, "" for the current one.
func (r *request) version() (string, error) {
	for _, p := range r.params {
		if p.name != "version_id" {
			continue
		}
		if p.value == "" || len(p.value) > maxVersionID {
			return "", fail(http.StatusBadRequest, "invalid_argument", "The query parameter version_id is empty, or longer than %d bytes.", maxVersionID)
		}
		return p.value, nil
	}
	return "", nil
}

// versionHeaders says which version an answer is about; "" says nothing.
func versionHeaders(h http.Header, id string, marker bool) {
	if id != "" {
		h["X-Qs-Version-Id"] = []string{id}
	}
	if marker {
		h["X-Qs-Delete-Marker"] = []string{"true"}
	}
}

// listVersions answers GET B?versions (QingStor API, "List Object Versions").
func (a *API) listVersions(w *answer, r *request) error {
	var in service.ListObjectVersionsInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.VersionIDMarker == nil {
		for i := range r.params {
			if p := &r.params[i]; p.name == docVersionMarker && p.value != "" {
				in.VersionIDMarker = &p.value
			}
		}
	}
	q, version := store.ListQuery{Limit: defaultVersions}, ""
	err := listTexts([]listText{
		{"prefix", in.Prefix, &q.Prefix}, {"delimiter", in.Delimiter, &q.Delimiter}, {"key_marker", in.KeyMarker, &q.Marker},
		{"version_id_marker", in.VersionIDMarker, &version},
	})
	if err != nil {
		return err
	}
	if in.Limit != nil {
		if *in.Limit < 1 {
			return fail(http.StatusBadRequest, "invalid_argument", "The query parameter limit is at least 1.")
		}
		q.Limit = min(*in.Limit, maxKeys)
	}
	if version != "" && q.Marker == "" {
		return fail(http.StatusBadRequest, "invalid_argument", "The query parameter version_id_marker needs a key_marker beside it.")
	}
	b, page, err := a.core.ListVersions(r.Context(), r.caller, r.target.bucket, q, version)
	if err != nil {
		return err
	}
	return w.document(http.StatusOK, appendVersions(make([]byte, 0, 512+400*len(page.Entries)), b, q, version, page))
}

// appendVersions writes a page, as appendPage does one of objects.
func appendVersions(d []byte, b store.Bucket, q store.ListQuery, version string, page store.VersionPage) []byte {
	d = append(d, `{"name":`...)
	d = appendString(d, b.Name)
	d = append(d, `,"owner":{"id":`...)
	d = appendString(d, b.Owner)
	d = append(d, `,"name":`...)
	d = appendString(d, b.Owner)
	d = append(d, `},"prefix":`...)
	d = appendString(d, q.Prefix)
	d = append(d, `,"delimiter":`...)
	d = appendString(d, q.Delimiter)
	d = append(d, `,"limit":`...)
	d = strconv.AppendInt(d, int64(q.Limit), 10)
	d = append(d, `,"key_marker":`...)
	d = appendString(d, q.Marker)
	d = append(d, `,"version_id_marker":`...)
	d = appendString(d, version)
	d = append(d, `,"keys":[`...)
	for i := range page.Entries {
		if i > 0 {
			d = append(d, ',')
		}
		v := &page.Entries[i]
		d = appendEntry(d, v.Key, &v.Meta)
		d = append(d[:len(d)-1], `,"version_id":`...) // before the entry's end
		if v.Meta.VersionID == "" {
			d = appendString(d, store.NullVersion)
		} else {
			d = appendString(d, v.Meta.VersionID)
		}
		d = append(d, `,"is_latest":`...)
		d = strconv.AppendBool(d, v.Latest)
		d = append(d, `,"delete_marker":`...)
		d = strconv.AppendBool(d, v.Meta.DeleteMarker)
		d = append(d, '}')
	}
	d = append(d, `],"common_prefixes":[`...)
	for i, p := range page.Prefixes {
		if i > 0 {
			d = append(d, ',')
		}
		d = appendString(d, p)
	}
	d = append(d, `],"next_key_marker":`...)
	d = appendString(d, page.NextKey)
	d = append(d, `,"next_version_id_marker":`...)
	d = appendString(d, page.NextVersion)
	d = append(d, `,"has_more":`...)
	d = strconv.AppendBool(d, page.More)
	return append(d, '}')
}
