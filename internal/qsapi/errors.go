package qsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/wire"
)

// statusClientGone is what the log says of a request whose client went away before it was answered.
const statusClientGone = 499

// apiError is an error of the dialect itself: what the client did wrong on the wire.
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.message }

// fail returns an error with a status, a code and a sentence for the client.
func fail(status int, code, format string, args ...any) error {
	return &apiError{status, code, fmt.Sprintf(format, args...)}
}

// answers is the one table from errors to answers. The first match counts. The message is for clients, and never says more than
// they may know; an *object.Explained puts its own in its place.
var answers = []struct {
	err     error
	status  int
	code    string
	message string
}{
	{object.ErrNoSuchKey, 404, "object_not_exists", "The object does not exist."},
	{object.ErrNoSuchBucket, 404, "bucket_not_exists", "The bucket does not exist."},
	{object.ErrBucketExists, 409, "bucket_already_exists", "A bucket of this name exists already."},
	{object.ErrTooManyBuckets, 403, "too_many_buckets", "You have as many buckets as this server allows a user. Delete one first, or ask its operator for more."},
	{object.ErrBucketNotEmpty, 409, "bucket_not_empty", "The bucket still holds objects, or versions of some. Delete them first."},
	{object.ErrInvalidKey, 400, "invalid_object_name", "A key is 1 to 1023 bytes of UTF-8."},
	{object.ErrInvalidBucketName, 400, "invalid_bucket_name", "A bucket's name is 3 to 63 characters of a-z, 0-9 and, between them, \"-\"."},
	{object.ErrMetadataTooLarge, 400, "metadata_too_large", "User metadata may have 2048 bytes, each name of it 512."},
	{object.ErrTooLarge, 400, "entity_too_large", "The body is larger than this operation allows."},
	{object.ErrTooSmall, 400, "entity_too_small", "Every part but the last one has at least 4 MiB."},
	{object.ErrTooManyParts, 400, "max_parts_exceeded", "An object has at most 10000 parts, with numbers from 0 to 10000."},
	{object.ErrNoSuchUpload, 404, "upload_not_exists", "There is no such unfinished upload."},
	{object.ErrObjectState, 400, "invalid_object_state", "This cannot be done to an object of this kind."},
	{object.ErrPosition, 409, "position_not_equal_to_length", "The position is not where the object ends."},
	{object.ErrIncompleteBody, 400, "incomplete_body", "The body ended before its announced length."},
	{object.ErrBadDigest, 400, "bad_digest", "The body is not what its Content-MD5 says."},
	{object.ErrInvalidRange, 416, "invalid_range", "The object has no byte in the range asked for."},
	{object.ErrInvalidArgument, 400, "invalid_argument", "A value of the request is not allowed."},
	{object.ErrNoImage, 400, "invalid_request", "The object is no picture that this can be done to."},
	{object.ErrInvalidRequest, 400, "invalid_request", "The request is not allowed as it stands."},
	{object.ErrInvalidDomain, 400, "cname_error", "The domain cannot be bound to a bucket."},
	{object.ErrTooManyDomains, 400, "cname_error", "The bucket has as many domains as it may have. Take one off it first."},
	{object.ErrDomainTaken, 409, "domain_occupied", "The domain is bound to another bucket."},
	{object.ErrNoSetting, 404, "setting_not_exists", "The bucket has no such setting."},
	{object.ErrDenied, 403, "permission_denied", "You have no right to do this."},
	{object.ErrPrecondition, 412, "precondition_failed", "A condition of the request does not hold."},
	{object.ErrFetching, 409, "fetch_in_process", "The same is being fetched already. Wait for that."},
	{object.ErrThrottled, 429, "fetch_throttled", "Too many objects are being fetched now. Try again later."},
	{object.ErrSourceDown, 503, "upstream_failed", "The source of this bucket failed. Try again later."},
	{object.ErrSourceBad, 503, "upstream_failed", "The source of this bucket answered with something that is no object."},
	{object.ErrSourceChanged, 503, "upstream_failed", "The object changed at the source while it was fetched. Try again."},
	{object.ErrSuperseded, 503, "service_unavailable", "The object was changed while it was fetched. Try again."},
	{object.ErrBusy, 503, "service_unavailable", "The server is busy. Try again later."},
	{object.ErrShuttingDown, 503, "service_unavailable", "The server is shutting down. Try again."},
	{object.ErrStore, 503, "service_unavailable", "The store cannot be read or written now. Try again later."},
	{wire.ErrSyntax, 400, "invalid_json", "The body is not one valid JSON object."},
	{context.DeadlineExceeded, 503, "service_unavailable", "The request took too long. Try again."},
	{context.Canceled, statusClientGone, "request_cancelled", "The request was cancelled."},
}

// describe returns the status, the code and the message of err. What is not in the table is ours to look into: the client
// is told no more than that.
func describe(err error) (status int, code, message string) {
	var own *apiError
	if errors.As(err, &own) {
		return own.status, own.code, own.message
	}
	var missing *missingMethod
	if errors.As(err, &missing) {
		return http.StatusMethodNotAllowed, "method_not_allowed", sentence(missing.Error())
	}
	kind, text := err, ""
	var explained *object.Explained
	var field *wire.FieldError
	switch {
	case errors.As(err, &explained):
		kind, text = explained.Kind, explained.Text // not the cause, which may match something else
	case errors.As(err, &field):
		text = "the " + field.Error()
	}
	for _, a := range answers {
		if !errors.Is(kind, a.err) {
			continue
		}
		if text != "" {
			return a.status, a.code, sentence(text)
		}
		return a.status, a.code, a.message
	}
	if field != nil {
		return http.StatusBadRequest, "invalid_argument", sentence(text)
	}
	return http.StatusInternalServerError, "internal_error", "Something went wrong in the server. Its log says more under the id of this request."
}

// errorBody is the body of an error. No field is ever empty: a popular client crashes on that.
type errorBody struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
	URL       string `json:"url"`
}

// docs is what the url of an error points to.
const docs = "https://github.com/cisternhq/cistern/blob/main/docs/errors.md#"

// writeError answers with err. HEAD gets the same head and no body.
func (a *API) writeError(w *answer, r *request, err error) {
	status, code, message := describe(err)
	if status == statusClientGone {
		if r.Context().Err() != nil {
			return // nobody is there to read it
		}
		status, code = http.StatusServiceUnavailable, "service_unavailable"
	}
	w.reset(r.id)
	h := w.Header()
	if err := contentRange(err); err != "" {
		h["Content-Range"] = []string{err}
	}
	var position *object.Position
	if errors.As(err, &position) {
		h[nextPosition] = []string{strconv.FormatInt(position.Next, 10)}
	}
	var marker *object.DeleteMarker
	if errors.As(err, &marker) {
		versionHeaders(h, marker.VersionID, true)
	}
	var retry *object.Retry
	switch {
	case errors.As(err, &retry):
		h["Retry-After"] = []string{strconv.FormatInt(max(1, int64((retry.After+time.Second-1)/time.Second)), 10)}
	case errors.Is(err, object.ErrShuttingDown), errors.Is(err, object.ErrSuperseded), errors.Is(err, object.ErrThrottled):
		h["Retry-After"] = []string{"1"}
	}
	doc, _ := json.Marshal(errorBody{code, strings.ToValidUTF8(message, "\uFFFD"), r.id, docs + code}) // strings only: it cannot fail
	// What went wrong with the connection while the answer to an error is written concerns nobody any more.
	_ = w.document(status, doc)
}

// unsatisfiable is an ErrInvalidRange that knows the object's size.
type unsatisfiable struct {
	size int64 // -1: unknown
	err  error
}

func (e *unsatisfiable) Error() string { return e.err.Error() }

func (e *unsatisfiable) Unwrap() error { return e.err }

// contentRange is the Content-Range of a 416, "" for other errors.
func contentRange(err error) string {
	var u *unsatisfiable
	if !errors.As(err, &u) || u.size < 0 {
		return ""
	}
	return "bytes */" + strconv.FormatInt(u.size, 10)
}
