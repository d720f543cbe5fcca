package qsapi

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/service"
)

const (
	// defaultKeys and maxKeys are the lengths of a page (QingStor API, "GET Bucket (List Objects)"). A longer one is
	// cut, not refused: all clients go on with next_marker.
	defaultKeys = 200
	maxKeys     = 1000
	// maxListText bounds prefix, delimiter and marker, in bytes: no key is longer.
	maxListText = 1024
)

// listObjects answers GET B (QingStor API, "GET Bucket (List Objects)").
func (a *API) listObjects(w *answer, r *request) error {
	var in service.ListObjectsInput
	if err := r.decode(&in); err != nil {
		return err
	}
	q := store.ListQuery{Limit: defaultKeys}
	err := listTexts([]listText{{"prefix", in.Prefix, &q.Prefix}, {"delimiter", in.Delimiter, &q.Delimiter}, {"marker", in.Marker, &q.Marker}})
	if err != nil {
		return err
	}
	if in.Limit != nil {
		if *in.Limit < 1 {
			return fail(http.StatusBadRequest, "invalid_argument", "The query parameter limit is at least 1.")
		}
		q.Limit = min(*in.Limit, maxKeys)
	}
	b, page, err := a.core.List(r.Context(), r.caller, r.target.bucket, q)
	if err != nil {
		return err
	}
	return w.document(http.StatusOK, appendPage(make([]byte, 0, 512+320*len(page.Entries)), b, q, page))
}

// listText is a parameter of a listing, and where it goes.
type listText struct {
	name string
	from *string // nil: it is not there
	to   *string
}

// listTexts checks the parameters that keys are compared with.
func listTexts(texts []listText) error {
	for _, f := range texts {
		if f.from == nil {
			continue
		}
		if len(*f.from) > maxListText || !utf8.ValidString(*f.from) {
			return fail(http.StatusBadRequest, "invalid_argument", "The query parameter %s is longer than %d bytes, or no UTF-8.", f.name, maxListText)
		}
		*f.to = *f.from
	}
	return nil
}

// appendPage writes a page of a list. It is by hand because pages are large and asked for often; members that are
// missing would break clients, so all are always there.
func appendPage(d []byte, b store.Bucket, q store.ListQuery, page store.Page) []byte {
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
	d = append(d, `,"marker":`...)
	d = appendString(d, q.Marker)
	d = append(d, `,"keys":[`...)
	for i := range page.Entries {
		if i > 0 {
			d = append(d, ',')
		}
		d = appendEntry(d, page.Entries[i].Key, &page.Entries[i].Meta)
	}
	d = append(d, `],"common_prefixes":[`...)
	for i, p := range page.Prefixes {
		if i > 0 {
			d = append(d, ',')
		}
		d = appendString(d, p)
	}
	d = append(d, `],"next_marker":`...)
	d = appendString(d, page.Next)
	d = append(d, `,"has_more":`...)
	d = strconv.AppendBool(d, page.More)
	return append(d, '}')
}

func appendEntry(d []byte, key string, m *object.Meta) []byte {
	d = append(d, `{"key":`...)
	d = appendString(d, key)
	d = append(d, `,"size":`...)
	d = strconv.AppendInt(d, m.Size, 10)
	d = append(d, `,"modified":`...)
	d = strconv.AppendInt(d, unix(m.LastModified), 10)
	d = append(d, `,"created":`...)
	created := m.Created
	if created.IsZero() {
		created = m.LastModified
	}
	d = appendTime(d, created)
	d = append(d, `,"etag":`...)
	d = appendString(d, m.ETag)
	d = append(d, `,"mime_type":`...)
	d = appendString(d, contentType(m))
	d = append(d, `,"encrypted":`...)
	d = strconv.AppendBool(d, m.Encryption != nil)
	d = append(d, `,"storage_class":`...)
	d = appendString(d, storageClass(m))
	return append(d, '}')
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
