package store

import (
	"context"
	"errors"
	"io"
	"slices"
)

// ErrNoRecord: the engine has no record under the key.
var ErrNoRecord = errors.New("no such record")

// ErrConflict: a condition of the batch did not hold, so nothing of it was applied. Read again and try again.
var ErrConflict = errors.New("records changed meanwhile")

// ErrTaken: somebody in this process writes the unfinished body, so nobody else gets it.
var ErrTaken = errors.New("unfinished body is being written")

// Engine moves bytes and records; it knows no rule of buckets or objects. Records are ordered by the bytes of their
// keys. All methods are safe for concurrent use, every implementation passes storetest.
type Engine interface {
	// Get returns a copy of the record under key, or ErrNoRecord.
	Get(ctx context.Context, key []byte) ([]byte, error)
	// Scan returns an iterator over the records in [lower, upper) as they are now; the caller closes it. A nil upper is no bound.
	// Changes after the call are not seen.
	Scan(ctx context.Context, lower, upper []byte) (Iterator, error)
	// Apply makes all of b visible at once and returns when it will survive a crash, or applies nothing of it and
	// returns an error: ErrConflict when a condition does not hold.
	// A batch without changes returns when all that it could see will survive a crash.
	// On success the engine owns the spools of b; on failure the caller still does. Only when the engine breaks while it
	// waits for the disk, nobody knows whether b will be there after the next start; then the bodies stay for it, also after Discard.
	Apply(ctx context.Context, b *Batch) error
	// NewSpool opens an empty body for writing. size is a hint in bytes, -1 if unknown: small bodies stay in memory.
	NewSpool(ctx context.Context, size int64) (Spool, error)
	// Reopen takes up an unfinished body that a Spool left or an earlier process had synced, to be written on. size is how much of it counts:
	// what is behind is cut off. It fails with ErrTaken while a Spool of this process has it, and with object.ErrDamaged, changing nothing, when
	// it is not there or shorter.
	Reopen(ctx context.Context, id BodyID, size int64) (Spool, error)
	// Open opens a body that a Batch kept. A body that is not there is object.ErrDamaged, never a miss.
	Open(ctx context.Context, id BodyID) (Body, error)
	// Close waits for running calls and releases everything.
	Close() error
}

// BodyID names a body at rest. The zero value names none: an empty body.
type BodyID string

// Iterator walks records in byte order. It starts before the first one. Not safe for concurrent use.
type Iterator interface {
	// Next moves to the next record and reports whether there is one.
	Next() bool
	// Seek moves to the first record at or after key, forwards or backwards, and reports whether there is one.
	Seek(key []byte) bool
	// Key and Value return the current record; the bytes are valid until the next move.
	Key() []byte
	Value() []byte
	// Err returns the error that ended the walk, if any.
	Err() error
	Close() error
}

// Batch is a set of changes that happen together.
type Batch struct {
	// Require must all hold, judged at once with the changes.
	Require []Condition
	// Set writes records, Delete removes them (missing ones count as removed).
	Set    []Record
	Delete [][]byte
	// Add changes counters: records that hold an int64 (8 bytes, big endian), 0 when missing.
	Add []Delta
	// Keep makes spools bodies at rest: their bytes are durable before any record of the batch is.
	Keep []Kept
	// Drop removes bodies once the batch is applied. Those who have one open read on.
	Drop []BodyID
	// Forget removes unfinished bodies once the batch is applied. One that is taken (see Reopen) is left to its Spool.
	Forget []BodyID
	// NoSync lets Apply return before the batch is durable. It still is never half applied.
	NoSync bool
}

// These add to a batch without writing into what another batch may share.
func (b *Batch) require(c ...Condition) { b.Require = append(slices.Clip(b.Require), c...) }
func (b *Batch) set(key, value []byte)  { b.Set = append(slices.Clip(b.Set), Record{key, value}) }
func (b *Batch) delete(keys ...[]byte)  { b.Delete = append(slices.Clip(b.Delete), keys...) }

// Record is a key with its value.
type Record struct{ Key, Value []byte }

// Delta is a change of a counter.
type Delta struct {
	Key []byte
	By  int64
}

// Condition is one requirement of a batch.
type Condition struct {
	// Key is the record it is about.
	Key []byte
	// Equals is the value that the record must have; nil: the record must be missing.
	Equals []byte
	// Until, when set, makes it: there must be no record at all in [Key, Until).
	Until []byte
}

// Kept is a spool to keep, with a label that is written beside the body, so that a lost record can be rebuilt.
type Kept struct {
	Spool Spool
	Size  int64 // the length of the whole body; every byte of it was written
	Label []byte
}

// Spool is a body being written: its flight's readers read it at once, others after its commit.
// Regions that do not overlap may be written, and written regions read, by many goroutines at once.
type Spool interface {
	io.WriterAt
	// ID is the name that the body will have at rest.
	ID() BodyID
	// Open opens the spool for one reader. It may be read where it was written, also after Apply or Discard.
	Open() (Body, error)
	// Sync makes what was written durable, so that Reopen finds it after a crash. It returns the offset, in bytes, behind the last byte that was
	// written before the call. After an error the spool cannot be kept any more: what the disk lost stays lost.
	Sync() (int64, error)
	// Leave ends the spool and keeps what Sync made durable for Reopen. One that was never synced, or that failed to, is discarded; one that Apply
	// refused may be. It does nothing after a successful Apply or Discard.
	Leave() error
	// Discard gives the spool up and removes what it wrote. It may be called more than once, and does nothing after Leave or a
	// successful Apply.
	Discard() error
}

// Body is a body open for one reader. ReadAt is safe for concurrent use; Section is not.
type Body interface {
	io.ReaderAt
	io.Closer
	// Section returns a reader of the n bytes from off on. Where the body is a file, it is an *io.LimitedReader over an
	// *os.File, so that io.Copy to a socket needs no copy in the process (sendfile).
	// It ends the use of the section before it.
	Section(off, n int64) (io.Reader, error)
}
