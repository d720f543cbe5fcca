package object

import (
	"errors"
	"fmt"
	"time"
)

// The errors that packages tell apart. Test with errors.Is. Each sentence says what the caller can do.
var (
	// ErrNoSuchKey: the bucket has no such object. Only this error opens the way to a source.
	ErrNoSuchKey = errors.New("no such key")
	// ErrNoSuchBucket: create the bucket first.
	ErrNoSuchBucket = errors.New("no such bucket")
	// ErrBucketExists: the name is taken, possibly by the caller; choose another or use the bucket.
	ErrBucketExists = errors.New("bucket exists")
	// ErrTooManyBuckets: the user has as many buckets as he may; delete one first, or ask the operator.
	ErrTooManyBuckets = errors.New("too many buckets")
	// ErrBucketNotEmpty: delete the bucket's objects first.
	ErrBucketNotEmpty = errors.New("bucket is not empty")
	// ErrNoSetting: the bucket has no such setting; set it first.
	ErrNoSetting = errors.New("no such setting")
	// ErrNoDomain: no bucket is reached under the domain; bind it first.
	ErrNoDomain = errors.New("no such domain")
	// ErrInvalidDomain: no bucket can be bound to the domain; the text says why.
	ErrInvalidDomain = errors.New("invalid domain")
	// ErrDomainTaken: another bucket has the domain; it has to be taken off that one first.
	ErrDomainTaken = errors.New("domain is taken")
	// ErrTooManyDomains: take one off the bucket first.
	ErrTooManyDomains = errors.New("too many domains")
	// ErrExists: the key has an object already, so a commit that only creates did nothing.
	ErrExists = errors.New("object exists")
	// ErrNoSuchUpload: the bucket has no such unfinished upload: it was completed or aborted, or never begun. Begin one.
	ErrNoSuchUpload = errors.New("no such upload")
	// ErrObjectState: the object is of a kind that this cannot be done to, such as an append to one that was put.
	ErrObjectState = errors.New("invalid object state")
	// ErrPosition: the append expected the object to end elsewhere; see Position.
	ErrPosition = errors.New("position is not the end of the object")
	// ErrSuperseded: a DELETE, or a change of the bucket, ended the fill; asking again starts anew.
	ErrSuperseded = errors.New("fill was superseded")

	// ErrInvalidKey, ErrInvalidBucketName: correct the name.
	ErrInvalidKey        = errors.New("invalid object name")
	ErrInvalidBucketName = errors.New("invalid bucket name")
	// ErrInvalidArgument: correct the value that the text names.
	ErrInvalidArgument = errors.New("invalid argument")
	// ErrInvalidRequest: correct what was sent, a document or what goes beside it; the text names the part.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrInvalidRange: no byte of the range exists; ask within the size.
	ErrInvalidRange = errors.New("invalid range")
	// ErrMetadataTooLarge: shorten the user metadata.
	ErrMetadataTooLarge = errors.New("metadata too large")
	// ErrTooLarge: send the object in parts.
	ErrTooLarge = errors.New("entity too large")
	// ErrTooSmall: make every part but the last one larger.
	ErrTooSmall = errors.New("entity too small")
	// ErrTooManyParts: make fewer and larger parts.
	ErrTooManyParts = errors.New("too many parts")
	// ErrIncompleteBody: the body ended early; send it again.
	ErrIncompleteBody = errors.New("incomplete body")
	// ErrBadDigest: the body is not what its checksum says; send it again.
	ErrBadDigest = errors.New("bad digest")
	// ErrNoImage: the object is no picture, a broken one, or of a format that this cannot be done to.
	ErrNoImage = errors.New("not an image for this")

	// ErrDenied: the caller has no right to do this; ask the bucket's owner.
	ErrDenied = errors.New("permission denied")
	// ErrNotModified and ErrPrecondition: the caller's own condition decided.
	ErrNotModified  = errors.New("not modified")
	ErrPrecondition = errors.New("precondition failed")

	// ErrSourceDown: the source did not answer as it should; retrying later may help.
	ErrSourceDown = errors.New("source failed")
	// ErrSourceBad: the source answered with something that will not become an object; retrying will not help.
	ErrSourceBad = errors.New("source answered badly")
	// ErrSourceChanged: the source's object is another one than when the fill began; begin again.
	ErrSourceChanged = errors.New("object changed at the source")
	// ErrThrottled: too many fills at once; retry after a while.
	ErrThrottled = errors.New("too many fills")
	// ErrBusy: too much of this is being done at once; retry after a while.
	ErrBusy = errors.New("server is busy")
	// ErrFetching: the same is being fetched already; wait for that, or retry after it.
	ErrFetching = errors.New("fetch in process")
	// ErrShuttingDown: the server is about to end; retry at once.
	ErrShuttingDown = errors.New("server is shutting down")

	// ErrDamaged: what the store kept is not what was put. It is never a miss.
	ErrDamaged = errors.New("stored object is damaged")
	// ErrStore: the store could not be read or written. It is never a miss.
	ErrStore = errors.New("store failed")
)

// Error adds to an error what failed and on which object.
type Error struct {
	Op     string // what was tried, such as "put object"
	Bucket string
	Key    string // "" for a bucket's own operations
	Err    error
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s %q: %v", e.Op, e.Bucket, e.Err)
	}
	return fmt.Sprintf("%s %q %q: %v", e.Op, e.Bucket, e.Key, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// DeleteMarker is the [ErrNoSuchKey] of an object that was deleted in a bucket that keeps versions. Use errors.As to find it.
type DeleteMarker struct {
	VersionID string // of the marker
}

func (e *DeleteMarker) Error() string { return ErrNoSuchKey.Error() + ": it was deleted" }

func (e *DeleteMarker) Unwrap() error { return ErrNoSuchKey }

// Retry adds to an error how long the caller had best wait before it tries again; 0: nobody said how long.
// Use errors.As to find it.
type Retry struct {
	After time.Duration
	Err   error
}

func (e *Retry) Error() string { return e.Err.Error() }

func (e *Retry) Unwrap() error { return e.Err }

// Position adds to ErrPosition where the object ends, in bytes. Use errors.As to find it.
type Position struct {
	Next int64
	Err  error
}

func (e *Position) Error() string { return e.Err.Error() }

func (e *Position) Unwrap() error { return e.Err }

// Explained is an error with a text that the client may read: it says which part is wrong and what to do.
// The texts of all other errors are for the log.
type Explained struct {
	Kind error  // the sentinel that it matches
	Text string // a sentence without a full stop; never internals
	// Cause is what else the log should know; may be nil.
	Cause error
}

// Explain returns an [*Explained] of kind.
func Explain(kind error, format string, args ...any) error {
	return &Explained{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

func (e *Explained) Error() string {
	if e.Cause != nil {
		return e.Text + ": " + e.Cause.Error()
	}
	return e.Text
}

func (e *Explained) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Kind, e.Cause}
	}
	return []error{e.Kind}
}
