package qsapi

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/service"
)

// defaultBuckets is how many buckets a list has that does not say how many it wants (QingStor API, "List Buckets").
const defaultBuckets = 200

// listBuckets answers GET / (QingStor API, "List Buckets"). A zone in the Host, or in the header Location, keeps that zone's buckets only.
// The count is the length of the list that is sent.
func (a *API) listBuckets(w *answer, r *request) error {
	var in service.ListBucketsInput
	if err := r.decode(&in); err != nil {
		return err
	}
	limit, offset := defaultBuckets, 0
	if in.Limit != nil {
		limit = *in.Limit
	}
	if in.Offset != nil {
		offset = *in.Offset
	}
	if limit < 1 || offset < 0 {
		return fail(http.StatusBadRequest, "invalid_argument", "The limit is at least 1, the offset at least 0.")
	}
	all, err := a.core.Buckets(r.Context(), r.caller)
	if err != nil {
		return err
	}
	zone := r.target.zone
	if r.target.domain == "" {
		zone = "" // a name that nobody told us says nothing
	}
	if in.Location != nil {
		zone = strings.ToLower(*in.Location)
	}
	var list []store.Bucket
	for _, b := range all {
		if zone == "" || b.Zone == zone {
			list = append(list, b)
		}
	}
	list = list[min(offset, len(list)):]
	list = list[:min(limit, len(list))]

	doc := append(make([]byte, 0, 64+256*len(list)), `{"count":`...)
	doc = strconv.AppendInt(doc, int64(len(list)), 10)
	doc = append(doc, `,"buckets":[`...)
	for i, b := range list {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = append(doc, `{"name":`...)
		doc = appendString(doc, b.Name)
		doc = append(doc, `,"location":`...)
		doc = appendString(doc, b.Zone)
		doc = append(doc, `,"url":`...)
		doc = appendString(doc, r.bucketURL(b))
		doc = append(doc, `,"created":`...)
		doc = appendTime(doc, b.Created)
		doc = append(doc, '}')
	}
	return w.document(http.StatusOK, append(doc, `]}`...))
}

// bucketURL is where the client reaches a bucket: https://<bucket>.<zone>.<domain> under a domain, else a path on the same host, because a
// label in front of an address or of an unknown name leads nowhere.
func (r *request) bucketURL(b store.Bucket) string {
	if r.target.domain == "" {
		return scheme(r.Request) + "://" + r.Host + "/" + b.Name
	}
	return scheme(r.Request) + "://" + b.Name + "." + b.Zone + "." + r.target.domain + r.target.port
}

// putBucket answers PUT B (QingStor API, "PUT Bucket").
func (a *API) putBucket(w *answer, r *request) error {
	zone := r.target.zone
	if zone == "" {
		zone = a.o.Zone
	}
	if !validZone(zone) {
		return fail(http.StatusBadRequest, "invalid_location", "A zone is 1 to 32 of a-z, 0-9 and \"-\".")
	}
	if r.caller.Anonymous() {
		return object.ErrDenied
	}
	if err := object.CheckBucket(r.target.bucket); err != nil {
		return err
	}
	if err := a.core.CreateBucket(r.Context(), r.caller, r.target.bucket, zone); err != nil {
		return err
	}
	return w.empty(http.StatusCreated)
}

func validZone(zone string) bool {
	for i := range len(zone) {
		c := zone[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return zone != "" && len(zone) <= 32
}

// headBucket answers HEAD B (QingStor API, "HEAD Bucket").
func (a *API) headBucket(w *answer, r *request) error {
	if err := a.core.HeadBucket(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// bucketStats answers GET B?stats (QingStor API, "GET Bucket Statistics"). Nothing is billed; the billing_size is
// what takes room, which is the size and that of the versions that are not current.
func (a *API) bucketStats(w *answer, r *request) error {
	s, err := a.core.BucketStats(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	doc := append(make([]byte, 0, 512), `{"count":`...)
	doc = strconv.AppendInt(doc, s.Objects, 10)
	doc = append(doc, `,"size":`...)
	doc = strconv.AppendInt(doc, s.Bytes, 10)
	doc = append(doc, `,"created":`...)
	doc = appendTime(doc, s.Created)
	doc = append(doc, `,"location":`...)
	doc = appendString(doc, s.Zone)
	doc = append(doc, `,"name":`...)
	doc = appendString(doc, s.Name)
	doc = append(doc, `,"status":"active","url":`...)
	doc = appendString(doc, r.bucketURL(s.Bucket))
	doc = append(doc, `,"storage_classes":{`...)
	for i, name := range slices.Sorted(maps.Keys(s.Classes)) {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = appendString(doc, name)
		doc = append(doc, `:{"count":`...)
		doc = strconv.AppendInt(doc, s.Classes[name].Objects, 10)
		doc = append(doc, `,"size":`...)
		doc = strconv.AppendInt(doc, s.Classes[name].Bytes, 10)
		doc = append(doc, `,"billing_size":`...)
		doc = strconv.AppendInt(doc, s.Classes[name].Bytes+s.Classes[name].Versions, 10)
		doc = append(doc, '}')
	}
	return w.document(http.StatusOK, append(doc, `}}`...))
}

// deleteBucket answers DELETE B (QingStor API, "DELETE Bucket").
func (a *API) deleteBucket(w *answer, r *request) error {
	if err := a.core.DeleteBucket(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}
