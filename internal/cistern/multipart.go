package cistern

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/seal"
	"github.com/cisternhq/cistern/internal/store"
)

// InitiateUpload begins a multipart upload of an object with the fields of m that a client chooses (see [Upload]). With a key, which every part has to
// have, it is encrypted.
func (s *Server) InitiateUpload(ctx context.Context, c Caller, bucket, key string, m object.Meta, k *seal.Key) (store.Upload, error) {
	b, err := s.open(ctx, c, bucket, key, initiateUpload)
	if err != nil {
		return store.Upload{}, err
	}
	if err := object.CheckKey(key); err != nil {
		return store.Upload{}, object.Explain(object.ErrInvalidKey, "%v", err)
	}
	if k != nil {
		m.Encryption = k.New()
	}
	return s.store.CreateUpload(ctx, b, key, m)
}

// PutPart stores part number of an upload, in place of one that was there. u.Meta counts for nothing: the object has what was chosen when
// the upload began. It fails with [object.ErrNoSuchUpload], [object.ErrTooManyParts] for a number that no part has, and as Put does; without the key of
// the upload, or with another one, with [object.ErrInvalidRequest] or [object.ErrDenied].
func (s *Server) PutPart(ctx context.Context, c Caller, bucket, key, uploadID string, number int, u Upload) (store.Part, error) {
	b, err := s.open(ctx, c, bucket, key, uploadPart)
	if err != nil {
		return store.Part{}, err
	}
	switch {
	case number < 0:
		return store.Part{}, object.Explain(object.ErrInvalidArgument, "the part number %d is negative", number)
	case number > store.MaxPart:
		return store.Part{}, object.Explain(object.ErrTooManyParts, "the part number %d is over %d; make fewer and larger parts", number, store.MaxPart)
	case u.Size > object.MaxPutSize:
		return store.Part{}, partTooLarge()
	}
	// Before the body is read, as that may take long.
	up, err := s.store.Upload(ctx, b, key, uploadID)
	if err != nil {
		return store.Part{}, explainUpload(err)
	}
	if err := fitsUpload(&up.Meta, u.Key); err != nil {
		return store.Part{}, err
	}
	u.encryption = up.Meta.Encryption
	p, spool, err := s.receivePart(ctx, u)
	if errors.Is(err, object.ErrTooLarge) {
		return store.Part{}, partTooLarge()
	}
	if err != nil {
		return store.Part{}, err
	}
	p.Number = number
	p, err = s.store.PutPart(ctx, b, key, uploadID, p, spool)
	return p, explainUpload(err)
}

// receivePart copies the body into a new spool and describes it. The spool is the caller's.
func (s *Server) receivePart(ctx context.Context, u Upload) (store.Part, store.Spool, error) {
	spool, err := s.store.NewSpool(ctx, u.atRest())
	if err != nil {
		return store.Part{}, nil, err
	}
	m, err := receive(ctx, u, spool)
	if err != nil {
		return store.Part{}, nil, errors.Join(err, spool.Discard())
	}
	p := store.Part{Size: m.Size, ETag: m.ETag, Digest: m.Digest}
	if m.Encryption != nil {
		p.AtRest = m.Encryption.Size
	}
	return p, spool, nil
}

func partTooLarge() error {
	return object.Explain(object.ErrTooLarge, "the part is larger than %d bytes; make smaller parts", int64(object.MaxPutSize))
}

// explainUpload says what a missing upload may mean.
func explainUpload(err error) error {
	if errors.Is(err, object.ErrNoSuchUpload) {
		return &object.Explained{Kind: object.ErrNoSuchUpload, Cause: err,
			Text: "this key has no unfinished upload with this upload_id: it was completed or aborted, or never begun"}
	}
	return err
}

// Parts returns the parts of an upload with numbers above marker (-1: all), at most limit. It fails with [object.ErrNoSuchUpload].
func (s *Server) Parts(ctx context.Context, c Caller, bucket, key, uploadID string, marker, limit int) ([]store.Part, error) {
	b, err := s.open(ctx, c, bucket, key, listParts)
	if err != nil {
		return nil, err
	}
	parts, err := s.store.Parts(ctx, b, key, uploadID, marker, limit)
	return parts, explainUpload(err)
}

// Uploads returns a page of the unfinished uploads of a bucket, as [store.Store.ListUploads] does.
func (s *Server) Uploads(ctx context.Context, c Caller, bucket string, q store.ListQuery, marker string) (store.UploadPage, error) {
	b, err := s.open(ctx, c, bucket, q.Prefix, listObjects)
	if err != nil {
		return store.UploadPage{}, err
	}
	return s.store.ListUploads(ctx, b, q, marker)
}

// AbortUpload ends an upload without an object. One that is not there counts as aborted, also where it was completed: the object stays.
func (s *Server) AbortUpload(ctx context.Context, c Caller, bucket, key, uploadID string) error {
	b, err := s.open(ctx, c, bucket, key, abortUpload)
	if err != nil {
		return err
	}
	if err := s.store.AbortUpload(ctx, b, key, uploadID); !errors.Is(err, object.ErrNoSuchUpload) {
		return err
	}
	return nil
}

// Completion says what an upload becomes.
type Completion struct {
	// Parts are the parts of the object, in ascending order, not all of the upload's. At least one.
	Parts []CompletedPart
	// ETag is the entity tag that the client wishes for the object, "" for none.
	ETag string
}

// CompletedPart names a part, and says what the client takes it to be.
type CompletedPart struct {
	Number int
	ETag   string // with or without quotes; "" is not compared
	Size   int64  // bytes; -1 is not compared
}

// CompleteUpload makes an object of the parts that were uploaded, whatever was there. It fails with [object.ErrInvalidRequest] when done
// does not fit them, [object.ErrTooSmall], [object.ErrTooManyParts] or [object.ErrTooLarge] when they may not become an object, and
// [object.ErrNoSuchUpload]. Who asks again for what succeeded gets the same answer as long as the object is there.
//
// read returns what the client sent; it is called only for a caller who may complete the upload, as that can be large.
func (s *Server) CompleteUpload(ctx context.Context, c Caller, bucket, key, uploadID string, read func() (Completion, error)) (object.Meta, error) {
	b, err := s.open(ctx, c, bucket, key, completeUpload)
	if err != nil {
		return object.Meta{}, err
	}
	done, err := read()
	if err != nil {
		return object.Meta{}, err
	}
	if err := done.check(); err != nil {
		return object.Meta{}, err
	}
	m, err := s.store.CompleteUpload(ctx, b, key, uploadID, done.choose)
	if err != nil {
		return object.Meta{}, explainUpload(err)
	}
	s.filler.Forget(b.ID, key)
	return m, nil
}

// check judges a completion by itself.
func (d Completion) check() error {
	if len(d.Parts) == 0 {
		// An object without bytes would be a strange way to lose all that was uploaded.
		return object.Explain(object.ErrInvalidRequest, "object_parts names no part; name those that the object shall have")
	}
	if len(d.Parts) > object.MaxParts {
		return object.Explain(object.ErrTooManyParts, "object_parts names %d parts, an object may have %d", len(d.Parts), object.MaxParts)
	}
	for i, p := range d.Parts[1:] {
		if p.Number <= d.Parts[i].Number {
			return object.Explain(object.ErrInvalidRequest, "object_parts[%d] is part %d behind part %d; they must be in ascending order, each once",
				i+1, p.Number, d.Parts[i].Number)
		}
	}
	return nil
}

// choose returns the parts that d names of those that were uploaded, which are in ascending order, and what the object will be.
func (d Completion) choose(u store.Upload, uploaded []store.Part) ([]store.Part, object.Meta, error) {
	chosen := make([]store.Part, 0, len(d.Parts))
	var size int64
	next := 0
	for i, want := range d.Parts {
		for next < len(uploaded) && uploaded[next].Number < want.Number {
			next++
		}
		if next == len(uploaded) || uploaded[next].Number != want.Number {
			return nil, object.Meta{}, object.Explain(object.ErrInvalidRequest, "object_parts[%d] is part %d, which was not uploaded", i, want.Number)
		}
		p := uploaded[next]
		switch {
		case want.ETag != "" && strings.Trim(want.ETag, `"`) != strings.Trim(p.ETag, `"`):
			return nil, object.Meta{}, object.Explain(object.ErrInvalidRequest, "part %d was uploaded with the etag %s, which is not the one in object_parts", p.Number, p.ETag)
		case want.Size >= 0 && want.Size != p.Size:
			return nil, object.Meta{}, object.Explain(object.ErrInvalidRequest, "part %d was uploaded with %d bytes, not %d", p.Number, p.Size, want.Size)
		case p.Size < object.MinPartSize && i < len(d.Parts)-1:
			return nil, object.Meta{}, object.Explain(object.ErrTooSmall, "part %d has %d bytes; every part but the last one has at least %d",
				p.Number, p.Size, int64(object.MinPartSize))
		}
		if size += p.Size; size > object.MaxSize {
			return nil, object.Meta{}, object.Explain(object.ErrTooLarge, "the parts have more than %d bytes together", int64(object.MaxSize))
		}
		chosen = append(chosen, p)
	}
	m := u.Meta
	m.Created = time.Now().UTC()
	m.LastModified = m.Created.Truncate(time.Second)
	if m.Encryption != nil {
		m.ETag = randomETag() // what a client wishes may be the MD5 of the plain bytes
	} else {
		m.ETag = etagOfParts(d.ETag, chosen)
	}
	return chosen, m, nil
}

// etagOfParts returns the entity tag of an object of these parts for which a client wishes one. Clients take 32 hex digits for the MD5 of the object,
// which nobody here knows; and at least one client computes it over the parts in the order in which they were sent, so it may be wrong. Such a
// tag gets a suffix, unless the one part says that it is right. Without a wish, or with one that cannot stand in a header, it is made
// of the parts', in the form that S3's clients know.
func etagOfParts(wish string, parts []store.Part) string {
	wish = strings.Trim(wish, `"`)
	if !validETag(wish) {
		sums := md5.New()
		for _, p := range parts {
			raw, _ := hex.DecodeString(p.Digest.MD5) // our own
			sums.Write(raw)
		}
		return fmt.Sprintf(`"%x-%d"`, sums.Sum(nil), len(parts))
	}
	if looksLikeMD5(wish) && (len(parts) > 1 || !strings.EqualFold(wish, parts[0].Digest.MD5)) {
		return fmt.Sprintf(`"%s-%d"`, wish, len(parts))
	}
	return `"` + wish + `"`
}

// maxETag bounds an entity tag that a client chose, in bytes.
const maxETag = 256

// validETag reports whether tag can stand between the quotes of an entity tag (RFC 9110 §8.8.3).
func validETag(tag string) bool {
	for i := range len(tag) {
		if c := tag[i]; c <= ' ' || c == '"' || c > '~' {
			return false
		}
	}
	return tag != "" && len(tag) <= maxETag
}

func looksLikeMD5(tag string) bool {
	_, err := hex.DecodeString(tag)
	return err == nil && len(tag) == 2*md5.Size
}
