package qsapi

import (
	"io"
	"net/http"
	"strconv"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/wire"
	"github.com/cisternhq/cistern/service"
)

const (
	// maxParts is the length of a page of parts, also where the request does not say one (QingStor API, "List Multipart").
	maxParts = 1000
	// maxCompletion bounds the list of parts of a completion, in bytes: 10,000 entries as List Multipart gives them have two thirds of it.
	maxCompletion = 2 << 20
)

// initiateUpload answers POST O?uploads (QingStor API, "Initiate Multipart Upload").
func (a *API) initiateUpload(w *answer, r *request) error {
	if err := noSource(r.Header); err != nil {
		return err
	}
	if err := r.noBody(); err != nil {
		return err
	}
	m, err := metaOf(r.Header)
	if err != nil {
		return err
	}
	k, err := customerKey(r.Header, ownKey)
	if err != nil {
		return err
	}
	u, err := a.core.InitiateUpload(r.Context(), r.caller, r.target.bucket, r.target.key, m, k)
	if err != nil {
		return err
	}
	encryptionHeaders(w.Header(), &u.Meta)
	return w.render(http.StatusOK, &service.InitiateMultipartUploadOutput{Bucket: &r.target.bucket, Key: &u.Key, UploadID: &u.ID})
}

// noBody refuses a body where there is none to be.
func (r *request) noBody() error {
	if n, _ := io.ReadFull(r.body, make([]byte, 1)); n > 0 {
		return fail(http.StatusBadRequest, "invalid_request", "%s has no body.", r.operation)
	}
	return nil
}

// uploadPart answers PUT O?part_number&upload_id (QingStor API, "Upload Multipart"). Bodies may be chunked, as those of PUT Object.
func (a *API) uploadPart(w *answer, r *request) error {
	source, err := sourceOf(r.Header, copyRange)
	if err == nil && source != "" && source != copySource {
		err = noSource(r.Header)
	}
	if err != nil {
		return err
	}
	var in service.UploadMultipartInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.PartNumber == nil {
		return fail(http.StatusBadRequest, "invalid_argument", "The query parameter part_number is a number from 0 to %d.", store.MaxPart)
	}
	if source != "" {
		return a.copyPart(w, r, &in)
	}
	u := cistern.Upload{Size: r.ContentLength, Body: r.body}
	r.body.limit = object.MaxPutSize
	if u.MD5, err = contentMD5(r.Header); err != nil {
		return err
	}
	if u.Key, err = customerKey(r.Header, ownKey); err != nil {
		return err
	}
	p, err := a.core.PutPart(r.Context(), r.caller, r.target.bucket, r.target.key, value(in.UploadID), *in.PartNumber, u)
	if err != nil {
		return err
	}
	w.Header()["Etag"] = []string{p.ETag}
	keyHeaders(w.Header(), u.Key)
	return w.empty(http.StatusCreated)
}

// listParts answers GET O?upload_id (QingStor API, "List Multipart"). The count is the length of the page.
func (a *API) listParts(w *answer, r *request) error {
	var in service.ListMultipartInput
	if err := r.decode(&in); err != nil {
		return err
	}
	marker, limit := -1, maxParts
	if in.PartNumberMarker != nil {
		if marker = *in.PartNumberMarker; marker < 0 {
			return fail(http.StatusBadRequest, "invalid_argument", "The query parameter part_number_marker is at least 0.")
		}
	}
	if in.Limit != nil {
		if *in.Limit < 1 {
			return fail(http.StatusBadRequest, "invalid_argument", "The query parameter limit is at least 1.")
		}
		limit = min(*in.Limit, maxParts)
	}
	parts, err := a.core.Parts(r.Context(), r.caller, r.target.bucket, r.target.key, value(in.UploadID), marker, limit)
	if err != nil {
		return err
	}
	d := append(make([]byte, 0, 64+160*len(parts)), `{"count":`...)
	d = strconv.AppendInt(d, int64(len(parts)), 10)
	d = append(d, `,"object_parts":[`...)
	for i, p := range parts {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"part_number":`...)
		d = strconv.AppendInt(d, int64(p.Number), 10)
		d = append(d, `,"size":`...)
		d = strconv.AppendInt(d, p.Size, 10)
		d = append(d, `,"created":`...)
		d = appendTime(d, p.Created)
		d = append(d, `,"etag":`...)
		d = appendString(d, unquoted(p.ETag))
		d = append(d, '}')
	}
	return w.document(http.StatusOK, append(d, `]}`...))
}

// completeUpload answers POST O?upload_id (QingStor API, "Complete Multipart Upload"). Members that it does not know are passed over: clients send
// what List Multipart gave them.
func (a *API) completeUpload(w *answer, r *request) error {
	var in service.CompleteMultipartUploadInput
	if err := wire.Decode(wire.Message{Query: r.params.values(), Header: r.Header}, &in); err != nil {
		return err
	}
	m, err := a.core.CompleteUpload(r.Context(), r.caller, r.target.bucket, r.target.key, value(in.UploadID), func() (cistern.Completion, error) {
		doc, err := r.document(maxCompletion)
		if err == nil {
			err = wire.Decode(wire.Message{JSON: doc}, &in)
		}
		if err != nil {
			return cistern.Completion{}, err
		}
		return completion(&in)
	})
	if err != nil {
		return err
	}
	return w.created(&m, nil)
}

// completion reads what the client says of the object's parts.
func completion(in *service.CompleteMultipartUploadInput) (cistern.Completion, error) {
	// Header values are escaped by the JavaScript client, with their quotes.
	done := cistern.Completion{ETag: tags([]string{value(in.ETag)}), Parts: make([]cistern.CompletedPart, len(in.ObjectParts))}
	for i, p := range in.ObjectParts {
		if p == nil || p.PartNumber == nil || *p.PartNumber < 0 || *p.PartNumber > store.MaxPart {
			return done, fail(http.StatusBadRequest, "invalid_argument", "The body member object_parts[%d].part_number is a number from 0 to %d.", i, store.MaxPart)
		}
		done.Parts[i] = cistern.CompletedPart{Number: *p.PartNumber, ETag: value(p.Etag), Size: -1}
		if p.Size != nil {
			if *p.Size < 0 {
				return done, fail(http.StatusBadRequest, "invalid_argument", "The body member object_parts[%d].size is negative.", i)
			}
			done.Parts[i].Size = *p.Size
		}
	}
	return done, nil
}

// abortUpload answers DELETE O?upload_id (QingStor API, "Abort Multipart Upload"), also where there is none, or none any more.
func (a *API) abortUpload(w *answer, r *request) error {
	var in service.AbortMultipartUploadInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if err := a.core.AbortUpload(r.Context(), r.caller, r.target.bucket, r.target.key, value(in.UploadID)); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}

// listUploads answers GET B?uploads (QingStor API, "List Multipart Uploads").
func (a *API) listUploads(w *answer, r *request) error {
	var in service.ListMultipartUploadsInput
	if err := r.decode(&in); err != nil {
		return err
	}
	q := store.ListQuery{Limit: defaultKeys}
	var marker string
	err := listTexts([]listText{
		{"prefix", in.Prefix, &q.Prefix}, {"delimiter", in.Delimiter, &q.Delimiter},
		{"key_marker", in.KeyMarker, &q.Marker}, {"upload_id_marker", in.UploadIDMarker, &marker},
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
	page, err := a.core.Uploads(r.Context(), r.caller, r.target.bucket, q, marker)
	if err != nil {
		return err
	}
	return w.document(http.StatusOK, appendUploads(make([]byte, 0, 512+160*len(page.Uploads)), r.target.bucket, q, marker, page))
}

// appendUploads writes a page of uploads with the markers under both of the names that they have in the API's pages.
func appendUploads(d []byte, bucket string, q store.ListQuery, marker string, page store.UploadPage) []byte {
	texts := func(d []byte, name, text string) []byte {
		d = append(d, `,"`...)
		d = append(d, name...)
		d = append(d, `":`...)
		return appendString(d, text)
	}
	d = append(d, `{"name":`...)
	d = appendString(d, bucket)
	d = texts(d, "prefix", q.Prefix)
	d = texts(d, "delimiter", q.Delimiter)
	d = append(d, `,"limit":`...)
	d = strconv.AppendInt(d, int64(q.Limit), 10)
	d = texts(d, "marker", q.Marker)
	d = texts(d, "key_marker", q.Marker)
	d = texts(d, "upload_id_marker", marker)
	d = append(d, `,"uploads":[`...)
	for i, u := range page.Uploads {
		if i > 0 {
			d = append(d, ',')
		}
		d = append(d, `{"key":`...)
		d = appendString(d, u.Key)
		d = texts(d, "upload_id", u.ID)
		d = append(d, `,"created":`...)
		d = appendTime(d, u.Meta.Created)
		d = append(d, '}')
	}
	d = append(d, `],"common_prefixes":[`...)
	for i, p := range page.Prefixes {
		if i > 0 {
			d = append(d, ',')
		}
		d = appendString(d, p)
	}
	d = append(d, ']')
	d = texts(d, "next_key_marker", page.NextKey)
	d = texts(d, "next_upload_id_marker", page.NextID)
	d = append(d, `,"has_more":`...)
	d = strconv.AppendBool(d, page.More)
	return append(d, '}')
}

// unquoted is an entity tag without its quotes.
func unquoted(etag string) string {
	if len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		return etag[1 : len(etag)-1]
	}
	return etag
}
