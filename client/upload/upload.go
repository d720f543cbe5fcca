// Package upload stores objects of any size, in parts where they are large.
//
// It is a layer over package service: it decides what is a part, sends some side by side, cleans up. It never holds more of a body in memory
// than the parts that are on their way.
package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cisternhq/cistern/service"
)

const (
	smallestPart = 4 << 20 // bytes; the API wants that of all parts but the last
	largestPart  = 5 << 30 // bytes
	maxParts     = 10000
	// growEvery is after how many parts a body of unknown length gets parts twice as large.
	growEvery = 2000
	// defaultParallel is how many parts are sent at once if nobody says how many.
	defaultParallel = 4
	// abortPatience is how long the deletion of an upload may take after a failure.
	abortPatience = 30 * time.Second
)

// Uploader uploads to one bucket. Its fields are set before the first upload; then it is safe for concurrent use.
type Uploader struct {
	bucket   *service.Bucket
	partSize int

	// Parallel is how many parts of an object are sent at once. 0 means 4. A body that cannot be read at an offset is held in memory for as many parts.
	Parallel int
	// Keep leaves the parts of an upload that failed at the server, so that [Uploader.Resume] can go on with it; the failure is an *[IncompleteError].
	// False means that they are deleted.
	Keep bool
	// Object describes the objects: Content-Type, metadata, storage class, encryption. nil means none of it.
	Object *service.InitiateMultipartUploadInput
}

// IncompleteError says that an upload failed and its parts are still at the server. [Uploader.Resume] goes on with them,
// service.Bucket's AbortMultipartUpload deletes them.
type IncompleteError struct {
	Key      string
	UploadID string
	Err      error // why it failed
}

// Error says which upload is incomplete, with the reason.
func (e *IncompleteError) Error() string {
	return fmt.Sprintf("upload %q of %q is incomplete: %v", e.UploadID, e.Key, e.Err)
}

// Unwrap returns Err.
func (e *IncompleteError) Unwrap() error { return e.Err }

// Init returns an uploader to bucket, whose objects have parts of partSize bytes, at least 4 MiB. It sends nothing.
func Init(bucket *service.Bucket, partSize int) *Uploader {
	return &Uploader{bucket: bucket, partSize: partSize}
}

// Upload is UploadWithContext without a context.
func (u *Uploader) Upload(fd io.Reader, objectKey string) error {
	return u.UploadWithContext(context.Background(), fd, objectKey)
}

// UploadWithContext stores what fd reads under objectKey. A fd that can seek is read from its beginning, any other from where it stands to
// its end. Below 4 MiB, or where a body of unknown length fits into one part, the object is put at once. The caller closes fd.
//
// Parts are larger than asked for where there would be more than 10,000 otherwise. If the length is not known they double after each 2,000 parts, and so
// does the memory for them. It fails as PutObject and the operations of multipart uploads do. After a failure, or when ctx is over, the parts are deleted,
// or kept if Keep says so.
func (u *Uploader) UploadWithContext(ctx context.Context, fd io.Reader, objectKey string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	src, err := newSource(fd)
	if err != nil {
		return err
	}
	if src.size >= 0 && src.size < smallestPart {
		return u.put(ctx, objectKey, fd)
	}
	if src.size < 0 {
		whole, err := src.peek(max(int64(u.partSize), smallestPart))
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		if whole {
			return u.put(ctx, objectKey, bytes.NewReader(src.ahead))
		}
	}
	if u.partSize < smallestPart {
		return errPartSize
	}
	out, err := u.bucket.InitiateMultipartUploadWithContext(ctx, objectKey, u.Object)
	if err != nil {
		return err
	}
	return u.finish(ctx, src, objectKey, service.StringValue(out.UploadID), nil, int64(u.partSize))
}

var errPartSize = errors.New("the part size is too small")

// Resume goes on with the upload of objectKey that an *[IncompleteError] named. fd has to read the same bytes, from the first: parts that the server has
// are compared by length and MD5, and not sent again if they are the same. QingStor's SDK lacks it.
//
// It fails with upload_not_exists if there is no such upload, as after it was completed, and otherwise as UploadWithContext does; a failure deletes
// the parts, unless Keep is set.
func (u *Uploader) Resume(ctx context.Context, fd io.Reader, objectKey, uploadID string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if u.partSize < smallestPart {
		return errPartSize
	}
	src, err := newSource(fd)
	if err != nil {
		return err
	}
	there := map[int]*service.ObjectPartType{}
	last := 0
	for p, err := range u.bucket.Parts(ctx, objectKey, &service.ListMultipartInput{UploadID: &uploadID}) {
		if err != nil {
			return err
		}
		last = service.IntValue(p.PartNumber)
		there[last] = p
	}
	size := int64(u.partSize)
	// Parts that were sent with another part size are of use only if it goes on with that. Memory stays within what the caller allows.
	if first := there[0]; first != nil && last > 0 {
		if n := service.Int64Value(first.Size); n >= smallestPart && n <= largestPart && (src.at != nil || n <= size) {
			size = n
		}
	}
	return u.finish(ctx, src, objectKey, uploadID, there, size)
}

// put stores a small object at once.
func (u *Uploader) put(ctx context.Context, key string, body io.Reader) error {
	in := &service.PutObjectInput{Body: body}
	if o := u.Object; o != nil {
		in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage = o.CacheControl, o.ContentDisposition, o.ContentEncoding, o.ContentLanguage
		in.Expires, in.ContentType, in.XQSMetaData, in.XQSStorageClass = o.Expires, o.ContentType, o.XQSMetaData, o.XQSStorageClass
		in.XQSEncryptionCustomerAlgorithm, in.XQSEncryptionCustomerKey, in.XQSEncryptionCustomerKeyMD5 =
			o.XQSEncryptionCustomerAlgorithm, o.XQSEncryptionCustomerKey, o.XQSEncryptionCustomerKeyMD5
	}
	_, err := u.bucket.PutObjectWithContext(ctx, key, in)
	return err
}

// finish sends the parts that are not there, then completes the upload.
func (u *Uploader) finish(ctx context.Context, src *source, key, id string, there map[int]*service.ObjectPartType, partSize int64) error {
	parts, err := u.parts(ctx, src, key, id, there, partSize)
	if err == nil {
		in := &service.CompleteMultipartUploadInput{UploadID: &id, ObjectParts: parts}
		if o := u.Object; o != nil {
			in.XQSEncryptionCustomerAlgorithm, in.XQSEncryptionCustomerKey, in.XQSEncryptionCustomerKeyMD5 =
				o.XQSEncryptionCustomerAlgorithm, o.XQSEncryptionCustomerKey, o.XQSEncryptionCustomerKeyMD5
		}
		_, err = u.bucket.CompleteMultipartUploadWithContext(ctx, key, in)
	}
	if err == nil {
		return nil
	}
	if !u.Keep {
		// What was begun is cleaned up also if the end of ctx is why it failed.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortPatience)
		defer cancel()
		_, aerr := u.bucket.AbortMultipartUploadWithContext(ctx, key, &service.AbortMultipartUploadInput{UploadID: &id})
		if aerr == nil {
			return err
		}
		err = fmt.Errorf("%w; its parts could not be deleted: %w", err, aerr)
	}
	return &IncompleteError{Key: key, UploadID: id, Err: err}
}

// parts sends the parts, some side by side, and returns what they are in the order of their numbers. The first failure ends them all.
func (u *Uploader) parts(ctx context.Context, src *source, key, id string, there map[int]*service.ObjectPartType, partSize int64) ([]*service.ObjectPartType, error) {
	if src.size >= 0 {
		partSize = max(partSize, (src.size+maxParts-1)/maxParts)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parallel := u.Parallel
	if parallel <= 0 {
		parallel = defaultParallel
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards done
		done []*service.ObjectPartType
	)
	work := make(chan *part)
	free := make(chan []byte, parallel) // memory that nobody reads any more, nil at first
	for range parallel {
		free <- nil
		wg.Go(func() {
			for p := range work {
				// After a failure the last ones pass unsent.
				if ctx.Err() == nil {
					sent, err := u.send(ctx, p, key, id, there[p.number])
					if err != nil {
						cancel(err)
					}
					mu.Lock()
					done[p.number] = sent
					mu.Unlock()
				}
				free <- p.memory
			}
		})
	}
	err := func() error {
		defer close(work)
		for number := 0; ; number++ {
			var memory []byte
			select {
			case memory = <-free:
			case <-ctx.Done():
				return nil // the cause is looked at below
			}
			size := grown(partSize, number, src.size < 0)
			p, err := src.next(number, size, memory)
			switch {
			case err != nil:
				return fmt.Errorf("read part %d: %w", number, err)
			case p == nil:
				return nil
			case number == maxParts:
				return fmt.Errorf("the body has more than %d parts, the last of %d bytes; use larger ones", maxParts, size)
			}
			mu.Lock()
			done = append(done, nil)
			mu.Unlock()
			select {
			case work <- p:
			case <-ctx.Done():
				return nil
			}
		}
	}()
	if err != nil {
		cancel(err)
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return done, nil
}

// grown is the size of a part. If nobody knows how many there will be it doubles every [growEvery] parts.
func grown(size int64, number int, unknown bool) int64 {
	size = min(size, largestPart)
	if unknown {
		size <<= number / growEvery
	}
	return min(size, largestPart)
}

// send sends a part, unless it is there.
func (u *Uploader) send(ctx context.Context, p *part, key, id string, there *service.ObjectPartType) (*service.ObjectPartType, error) {
	size := p.body.Size()
	if there != nil {
		same, err := p.same(there)
		if err != nil {
			return nil, fmt.Errorf("read part %d: %w", p.number, err)
		}
		if same {
			return &service.ObjectPartType{PartNumber: &p.number, Size: &size, Etag: there.Etag}, nil
		}
	}
	in := &service.UploadMultipartInput{PartNumber: &p.number, UploadID: &id, ContentLength: &size, Body: p.body}
	if o := u.Object; o != nil {
		in.XQSEncryptionCustomerAlgorithm, in.XQSEncryptionCustomerKey, in.XQSEncryptionCustomerKeyMD5 =
			o.XQSEncryptionCustomerAlgorithm, o.XQSEncryptionCustomerKey, o.XQSEncryptionCustomerKeyMD5
	}
	out, err := u.bucket.UploadMultipartWithContext(ctx, key, in)
	if err != nil {
		return nil, err
	}
	return &service.ObjectPartType{PartNumber: &p.number, Size: &size, Etag: out.ETag}, nil
}
