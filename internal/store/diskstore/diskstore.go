// Package diskstore is a store's engine over one directory.
//
// Records and small bodies are in an ordered database (Pebble), larger bodies in files that are written once. It knows no rule of buckets or
// objects.
//
//	LOCK            held by the one process that uses the directory
//	FORMAT          the version of all this
//	db/             the database
//	bodies/xx/ID    a body with its label behind it, xx being the first two digits of ID
//	bodies/xx/ID.tmp  a body being written, or left unfinished
//
// A body is durable before a record refers to it: trailer, fsync, rename, fsync of the directory, then the synced batch. Only
// after that are the bodies removed that the batch replaced. What a crash leaves in between are files without a record, for Sweep.
// An unfinished body that was synced can be taken up by a later process; until then it is a file like any other without a
// record, and Sweep is told to spare it.
//
// When the disk fails the database (its log or its manifest cannot be written), nothing more is written until the next start: Apply
// returns object.ErrStore. Records that were readable stay so. The process goes on; see guard.go for how.
package diskstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Options are the settings of an engine. The zero value is good for a server.
type Options struct {
	// Logger takes what goes wrong outside of a call; nil drops it.
	Logger *slog.Logger
	// InlineMax is the longest body, in bytes, that is kept in the database; 0 means 32 KiB, negative keeps all in files.
	InlineMax int
	// CacheBytes is the size of the database's cache of blocks; 0 means 32 MiB, of which an idle server takes next to nothing.
	CacheBytes int64

	fs vfs.FS // under the database, for tests; nil is the disk
}

// Engine is an engine over a directory. Make one with Open.
type Engine struct {
	dir    string
	log    *slog.Logger
	inline int64 // the longest body in the database
	db     *pebble.DB
	cache  *pebble.Cache
	lock   *os.File
	health *health

	epoch    uint32      // a number that no earlier process with this directory had; it is in the IDs of the bodies
	swept    atomic.Bool // nothing is left of an earlier process
	littered atomic.Bool // a file could not be removed
	shards   [256]shard
	spools   atomic.Int64 // not yet kept, left or discarded
	files    claims

	commits  chan *commit
	syncs    chan *commit
	pipeline sync.WaitGroup // the two goroutines of the pipeline
	applied  uint64         // number of the last batch; only the committer uses it
	durable  atomic.Uint64  // number of a batch that is durable, with all before it

	mu     sync.Mutex // guards closed, and calls.Add against Close
	closed bool
	calls  sync.WaitGroup // running calls and open iterators
}

var _ store.Engine = (*Engine)(nil)

// The first byte of a key in the database. The store's records are apart from what is the engine's own.
const (
	spaceBody   = 'b' // body ID → a small body
	spaceRecord = 'r' // the store's key → its value
	spaceOwn    = 'x' // name → the engine's own state
)

var ownRun = []byte{spaceOwn, 'r', 'u', 'n'}

// Open opens the directory, making it if it is missing. It fails with a clear error if another process has it open, if it is of a newer
// format, or if it or a part of it is a symbolic link.
func Open(dir string, o Options) (*Engine, error) {
	e, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", dir, err)
	}
	return e, nil
}

func open(dir string, o Options) (_ *Engine, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.InlineMax == 0 {
		o.InlineMax = 32 << 10
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 32 << 20
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	dir = filepath.Clean(dir)
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	if err := checkFormat(dir, o.Logger); err != nil {
		return nil, err
	}
	if err := makeDir(filepath.Join(dir, "db")); err != nil {
		return nil, err
	}

	e := &Engine{
		dir:     dir,
		log:     o.Logger,
		inline:  int64(max(o.InlineMax, 0)),
		lock:    lock,
		health:  &health{log: o.Logger, broken: make(chan struct{})},
		commits: make(chan *commit),
		syncs:   make(chan *commit, 512),
	}
	if err := e.findShards(); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	e.cache = pebble.NewCache(o.CacheBytes)
	defer func() {
		if err != nil {
			e.cache.Unref()
		}
	}()
	e.db, err = pebble.Open(filepath.Join(dir, "db"), dbOptions(e.cache, guard{o.fs, e.health}, e.health))
	if err != nil {
		return nil, err
	}
	if err := e.beginRun(); err != nil {
		return nil, errors.Join(err, e.db.Close())
	}
	// From here on a failing disk freezes the database instead of coming back as an error.
	e.health.arm()
	e.pipeline.Go(e.commitLoop)
	e.pipeline.Go(e.syncLoop)
	return e, nil
}

// beginRun takes the next epoch, and notes that this run has not ended well yet.
func (e *Engine) beginRun() error {
	last, clean := uint32(0), true
	v, closer, err := e.db.Get(ownRun)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return err
	case len(v) != 5:
		_ = closer.Close()
		return fmt.Errorf("%w: run record of %d bytes", object.ErrDamaged, len(v))
	default:
		last, clean = binary.BigEndian.Uint32(v), v[4] == 1
		if err := closer.Close(); err != nil {
			return err
		}
	}
	e.epoch = last + 1
	e.swept.Store(clean)
	return e.db.Set(ownRun, runRecord(e.epoch, false), pebble.Sync)
}

func runRecord(epoch uint32, clean bool) []byte {
	v := binary.BigEndian.AppendUint32(nil, epoch)
	if clean {
		return append(v, 1)
	}
	return append(v, 0)
}

// Close waits for running calls and for iterators that are open, makes everything durable and releases the directory. Bodies that are open
// stay readable. On an engine whose disk failed it returns object.ErrStore and keeps the directory locked until the process ends, as
// nobody knows what the database would still write.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()

	e.calls.Wait()
	close(e.commits)
	ended := make(chan error, 1)
	// If the disk failed, or fails now, these goroutines stand still in the database for ever. That is the one case in which nobody
	// waits for them.
	var closer sync.WaitGroup
	closer.Go(func() {
		e.pipeline.Wait()
		ended <- e.closeDB()
	})
	select {
	case err := <-ended:
		closer.Wait()
		if err == nil {
			err = e.health.err()
		}
		e.cache.Unref()
		if err := errors.Join(err, e.lock.Close()); err != nil {
			return fmt.Errorf("%w: close data directory %s: %w", object.ErrStore, e.dir, err)
		}
		return nil
	case <-e.health.broken:
		return e.health.err()
	}
}

func (e *Engine) closeDB() error {
	if err := e.health.err(); err != nil {
		return err
	}
	clean := e.swept.Load() && !e.littered.Load() && e.spools.Load() == 0
	for i := range e.shards {
		if e.shards[i].touched.Load() {
			if err := syncDir(e.shard(byte(i))); err != nil {
				clean = false
			}
		}
	}
	if e.health.writable() != nil {
		return e.db.Close()
	}
	var err error
	if clean {
		err = e.db.Set(ownRun, runRecord(e.epoch, true), pebble.Sync)
	}
	// Without a flush the next start replays the log. That takes longer and is no harm; on a full disk the flush would never end.
	flushed, ferr := e.db.AsyncFlush()
	if ferr == nil {
		select {
		case <-flushed:
		case <-time.After(flushPatience):
		}
	}
	return errors.Join(err, ferr, e.db.Close())
}

// flushPatience bounds how long Close waits for the last flush.
const flushPatience = 10 * time.Second

// enter begins a call, which ends with leave.
func (e *Engine) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("%w: data directory %s is closed", object.ErrStore, e.dir)
	}
	e.calls.Add(1)
	return nil
}

func (e *Engine) leave() { e.calls.Done() }

// A body's ID is 32 hex digits: 96 random bits, then the epoch. A body that was begun in memory, so that it may be in the database, has an
// "s" behind them.
const idLen = 32

func (e *Engine) newID(small bool) store.BodyID {
	var raw [16]byte
	_, _ = rand.Read(raw[:12]) // never fails (crypto/rand)
	binary.BigEndian.PutUint32(raw[12:], e.epoch)
	id := hex.EncodeToString(raw[:])
	if small {
		id += "s"
	}
	return store.BodyID(id)
}

// parseID returns what is in an ID; ok is false for anything else.
func parseID(id store.BodyID) (raw [16]byte, small, ok bool) {
	s := string(id)
	if len(s) == idLen+1 && s[idLen] == 's' {
		s, small = s[:idLen], true
	}
	if len(s) != idLen {
		return raw, false, false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return raw, false, false
		}
	}
	if _, err := hex.Decode(raw[:], []byte(s)); err != nil {
		return raw, false, false
	}
	return raw, small, true
}

// diskErr gives an error of the disk its name: what cannot be read now is not damaged.
func diskErr(err error) error {
	if err == nil || errors.Is(err, object.ErrStore) || errors.Is(err, object.ErrDamaged) {
		return err
	}
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", object.ErrDamaged, err)
	}
	return fmt.Errorf("%w: %w", object.ErrStore, err)
}
