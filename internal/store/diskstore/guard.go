package diskstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cisternhq/cistern/internal/object"
)

// Pebble has three ways to meet a disk that fails under its log or its manifest, read in v2.1.7, and none of them is for a server:
//
//   - Logger.Fatalf, which must not return: versionSet.logAndApply calls it after the manifest may have been written and the tables that it names
//     are about to be removed as unused; DB.applyInternal calls it and then reports success.
//   - a panic in DB.rotateWAL, when the old log cannot be closed or the new one not be made (too many open files are enough). It unwinds through
//     the unlock of a mutex that is not locked at that moment, which no recover survives.
//   - an error from Batch.SyncWait, with the batch visible and the next rotation of the log leading to the panic above.
//
// So the engine stops Pebble where it stands. The first time that a file of the log or of the manifest cannot be written, or Fatalf is called,
// the engine is broken: every Apply from then on, and every one that waits, gets object.ErrStore; and the goroutine of Pebble
// that met the failure never returns, so that Pebble neither unwinds nor writes on. No request waits for such a goroutine, as only the
// pipeline and Pebble's own goroutines write. Readers need none of the locks that it may hold. What was applied and not yet durable
// may or may not be there after the next start; the bodies that it needs are kept.
//
// A log that cannot be made, and a memtable that cannot be flushed, are no failure yet: both are tried again, and until they succeed Apply gets
// object.ErrStore. That is what a full disk or too many open files look like.

// health is what is known of the disk under the database. It is Pebble's logger, too.
type health struct {
	log    *slog.Logger
	broken chan struct{} // closed when the engine is broken

	mu      sync.Mutex // guards all below
	armed   bool       // Open has succeeded
	cause   error      // why it is broken
	trouble error      // why nothing can be written now
	flush   error      // how the last flush ended
	logged  time.Time  // when an error in the background was last logged
}

func (h *health) arm() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.armed = true
}

// fail marks the engine as broken, and never returns once it is armed. Before that the caller passes its error on.
func (h *health) fail(what string, err error) {
	h.mu.Lock()
	if !h.armed {
		h.mu.Unlock()
		return
	}
	first := h.cause == nil
	if first {
		h.cause = fmt.Errorf("%w: %s: %w; nothing can be written until the next start", object.ErrStore, what, err)
		close(h.broken)
	}
	h.mu.Unlock()
	if first {
		h.log.Error("store failed; nothing can be written until the next start", "what", what, "err", err)
	}
	select {} // see above
}

// err returns why the engine is broken; nil if it is not.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause
}

// writable returns why nothing can be written now; nil if it can.
func (h *health) writable() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause != nil {
		return h.cause
	}
	return h.trouble
}

func (h *health) setTrouble(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble = err
}

// flushEnd notes how a flush ended. Its error may also say that there was nothing to flush, which Pebble does not count as one: only what comes to
// backgroundError as well is trouble.
func (h *health) flushEnd(i pebble.FlushInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flush = i.Err
	if i.Err == nil {
		h.trouble = nil
	}
}

// backgroundError takes what Pebble tries again without a pause, and logs at most one line in ten seconds.
func (h *health) backgroundError(err error) {
	h.mu.Lock()
	if h.flush != nil && errors.Is(err, h.flush) {
		h.trouble = fmt.Errorf("%w: flush: %w", object.ErrStore, err)
	}
	quiet := time.Since(h.logged) < 10*time.Second
	if !quiet {
		h.logged = time.Now()
	}
	h.mu.Unlock()
	if !quiet {
		h.log.Error("store cannot write in the background, trying again", "err", err)
	}
}

// corruption logs; whoever reads gets an error. Without this Pebble would call Fatalf.
func (h *health) corruption(i pebble.DataCorruptionInfo) {
	h.log.Error("store found a damaged file", "path", i.Path, "err", i.Details)
}

func (h *health) Infof(format string, args ...any) {
	if h.log.Enabled(context.Background(), slog.LevelDebug) {
		h.log.Debug("database: " + fmt.Sprintf(format, args...))
	}
}

func (h *health) Errorf(format string, args ...any) {
	h.backgroundError(fmt.Errorf(format, args...))
}

func (h *health) Fatalf(format string, args ...any) {
	h.fail("database", fmt.Errorf(format, args...))
}

// guard is the file system under the database. It keeps from Pebble the failures that it cannot meet.
type guard struct {
	vfs.FS
	h *health
}

// critical says whether name is a file of the log or of the manifest.
func critical(name string) bool {
	base := filepath.Base(name)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST-")
}

// persist opens a new file of the log, again and again until it works or the engine is broken.
func (g guard) persist(name string, open func() (vfs.File, error)) (vfs.File, error) {
	f, err := open()
	if !critical(name) {
		return f, err
	}
	for wait := 10 * time.Millisecond; err != nil; wait = min(2*wait, time.Second) {
		if !g.h.isArmed() {
			return nil, err
		}
		if strings.HasPrefix(filepath.Base(name), "MANIFEST-") {
			return nil, err // versionSet calls Fatalf for it
		}
		g.h.setTrouble(fmt.Errorf("%w: open log: %w", object.ErrStore, err))
		g.h.backgroundError(err)
		select {
		case <-time.After(wait):
		case <-g.h.broken:
			select {}
		}
		if f, err = open(); err == nil {
			g.h.setTrouble(nil)
		}
	}
	return guardedFile{f, g.h}, nil
}

func (h *health) isArmed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.armed
}

func (g guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.persist(name, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

func (g guard) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.persist(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

func (g guard) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file of the log or of the manifest.
type guardedFile struct {
	vfs.File
	h *health
}

func (f guardedFile) check(what string, err error) error {
	if err != nil {
		f.h.fail(what, err)
	}
	return err
}

func (f guardedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.check("write log", err)
}

func (f guardedFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.check("write log", err)
}

func (f guardedFile) Sync() error     { return f.check("sync log", f.File.Sync()) }
func (f guardedFile) SyncData() error { return f.check("sync log", f.File.SyncData()) }
func (f guardedFile) Close() error    { return f.check("close log", f.File.Close()) }

func (f guardedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.check("sync log", err)
}
