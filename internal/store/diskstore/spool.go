package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// spool is a body being written: in memory at first unless it is known to be long, in a file as soon as it is longer than what the
// database takes.
type spool struct {
	e   *Engine
	id  store.BodyID
	raw [16]byte

	// syncing is held over every fsync, so that of two at once none misses that the other one failed: the kernel tells it once. Before mu.
	syncing sync.Mutex // guards label, failed, named
	label   []byte     // as settled, nil before
	failed  error      // the file could not be made durable
	named   bool       // the name of the file is durable

	mu      sync.RWMutex            // guards all below; held over the short I/O of moving to a file
	mem     []byte                  // the body, while file is nil
	file    *os.File                // for writing
	path    string                  // of file
	end     int64                   // the offset behind the last byte that was written
	readers map[*spoolBody]struct{} // those opened while it was in memory
	state   state
}

type state int

const (
	writing   state = iota
	kept            // a batch took it
	left            // given up, to be reopened
	discarded       // given up
	uncertain       // the disk failed while a batch took it
)

// NewSpool opens an empty body for writing.
func (e *Engine) NewSpool(ctx context.Context, size int64) (store.Spool, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	if err := e.health.writable(); err != nil {
		return nil, err
	}
	small := size <= e.inline
	s := &spool{e: e, id: e.newID(small)}
	s.raw, _, _ = parseID(s.id)
	if !small {
		if err := s.create(); err != nil {
			return nil, err
		}
	} else if size > 0 {
		s.mem = make([]byte, 0, size)
	}
	e.spools.Add(1)
	return s, nil
}

// create makes the spool's file.
func (s *spool) create() error {
	if err := s.e.needShard(s.raw[0]); err != nil {
		return diskErr(err)
	}
	path := s.e.path(s.raw, string(s.id)) + tmpSuffix
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return diskErr(err)
	}
	s.e.files.take(s.id) // nobody else knows the ID
	s.file, s.path = f, path
	return nil
}

// Reopen takes up the file of an unfinished body.
func (e *Engine) Reopen(ctx context.Context, id store.BodyID, size int64) (store.Spool, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	if err := e.health.writable(); err != nil {
		return nil, err
	}
	raw, _, ok := parseID(id)
	if !ok || size < 0 {
		return nil, fmt.Errorf("%w: %q is no unfinished body of %d bytes", object.ErrDamaged, id, size)
	}
	if !e.files.take(id) {
		return nil, fmt.Errorf("%w: %s", store.ErrTaken, id)
	}
	path := e.path(raw, string(id)) + tmpSuffix
	f, err := reopen(path, size)
	if err != nil {
		e.files.release(id)
		return nil, fmt.Errorf("reopen body %s: %w", id, diskErr(err))
	}
	e.files.reopen(id)
	e.spools.Add(1)
	return &spool{e: e, id: id, raw: raw, named: true, file: f, path: path, end: size}, nil
}

// reopen opens a file that has size bytes at least, and cuts off the rest: bytes that nobody vouches for, or the trailer of a body that was about
// to be kept.
func reopen(path string, size int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it is not there", object.ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() < size {
		err = fmt.Errorf("%w: it has %d bytes, want %d", object.ErrDamaged, fi.Size(), size)
	}
	if err == nil && fi.Size() > size {
		err = f.Truncate(size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *spool) ID() store.BodyID { return s.id }

func (s *spool) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset(off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	end := off + int64(len(p))
	f, err := s.target(p, off, end)
	if f == nil || err != nil {
		if err != nil {
			return 0, err
		}
		return len(p), nil
	}
	n, err := f.WriteAt(p, off)
	s.mu.Lock()
	s.end = max(s.end, off+int64(n))
	s.mu.Unlock()
	return n, diskErr(err)
}

// target returns the file to write to, or writes p to memory and returns nil.
func (s *spool) target(p []byte, off, end int64) (*os.File, error) {
	s.mu.RLock()
	f, state := s.file, s.state
	s.mu.RUnlock()
	if state != writing {
		return nil, errEnded
	}
	if f != nil {
		return f, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != writing:
		return nil, errEnded
	case s.file != nil:
		return s.file, nil
	case end > s.e.inline:
		if err := s.spill(); err != nil {
			return nil, err
		}
		return s.file, nil
	}
	if grow := end - int64(len(s.mem)); grow > 0 {
		s.mem = append(s.mem, make([]byte, grow)...)
	}
	copy(s.mem[off:], p)
	s.end = max(s.end, end)
	return nil, nil
}

var errEnded = fmt.Errorf("%w: write to a spool that has ended", object.ErrStore)

// spill moves the body from memory to a file. The readers that opened it before get the file as well; who cannot keeps the error for
// its next read.
func (s *spool) spill() error {
	if err := s.create(); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(s.mem, 0); err != nil {
		err = errors.Join(err, s.file.Close(), os.Remove(s.path))
		s.e.files.release(s.id)
		s.file, s.path = nil, ""
		return diskErr(err)
	}
	for b := range s.readers {
		b.f, b.err = openForReading(s.path)
	}
	s.mem, s.readers = nil, nil
	return nil
}

func openForReading(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, diskErr(err)
	}
	return f, nil
}

// Open opens the spool for one reader. A body in a file can be opened as long as the file is there: not after a Discard, and after
// an Apply until the body is dropped.
func (s *spool) Open() (store.Body, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &spoolBody{s: s}
	if s.path == "" {
		if s.state == writing {
			if s.readers == nil {
				s.readers = make(map[*spoolBody]struct{})
			}
			s.readers[b] = struct{}{}
		}
		return b, nil
	}
	f, err := openForReading(s.path)
	if err != nil {
		return nil, err
	}
	b.f = f
	return b, nil
}

// Sync makes what was written durable under the spool's name. A body in memory moves to a file for it.
func (s *spool) Sync() (int64, error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	f, end, err := s.begin()
	if err != nil {
		return 0, err
	}
	// Nothing else is held, as it may take long: the spool is written and read meanwhile.
	if err := s.flush(f, !s.named); err != nil {
		return 0, diskErr(err)
	}
	s.named = true
	return end, nil
}

// begin returns the file to sync, and the length of what it has. syncing is held.
func (s *spool) begin() (*os.File, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != writing {
		return nil, 0, errEnded
	}
	if s.failed != nil {
		return nil, 0, s.failed
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return nil, 0, err
		}
	}
	return s.file, s.end, nil
}

// flush makes the file durable, and the directory that has its name if dir is set. syncing is held.
// A failed fsync may have dropped the very pages that it could not write, so that a second one succeeds and proves nothing. So there
// is no second one: what failed stays so.
func (s *spool) flush(f *os.File, dir bool) error {
	err := f.Sync()
	if err == nil && dir {
		err = s.e.syncShard(s.raw[0])
	}
	if err != nil {
		s.failed = diskErr(err)
	}
	return err
}

// settle makes a body of size bytes ready to be kept. It returns the bytes of one that goes to the database, and
// makes the file of any other durable. Called again for another try of the same batch, it does nothing more.
func (s *spool) settle(size int64, label []byte) ([]byte, error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	small, f, err := s.ready(size)
	if f == nil || err != nil {
		return small, err
	}
	if s.label != nil && bytes.Equal(s.label, label) {
		return nil, nil
	}
	// Readers go on meanwhile: only syncing is held.
	if err := s.persist(f, size, label); err != nil {
		s.failed = err
		return nil, err
	}
	s.label = append([]byte{}, label...)
	return nil, nil
}

// ready returns the bytes of a body that goes to the database, or the file of any other. syncing is held.
func (s *spool) ready(size int64) ([]byte, *os.File, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.state != writing:
		return nil, nil, errors.New("the spool has ended")
	case s.failed != nil:
		return nil, nil, s.failed
	case s.end != size:
		return nil, nil, fmt.Errorf("the spool has %d bytes, %d were announced", s.end, size)
	case s.file == nil:
		return append([]byte{}, s.mem...), nil, nil // not nil, also where it is empty
	}
	return nil, s.file, nil
}

// persist writes the end of the file, makes it durable and gives it its final name. syncing is held.
func (s *spool) persist(f *os.File, size int64, label []byte) error {
	if len(label) > maxLabel {
		return fmt.Errorf("label of %d bytes", len(label))
	}
	if s.label != nil { // settled before with another label, which may have been longer
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(encodeTrailer(label, size), size); err != nil {
		return err
	}
	if err := s.flush(f, false); err != nil {
		return err
	}
	if err := s.rename(); err != nil {
		return err
	}
	return s.e.syncShard(s.raw[0])
}

// rename gives the file its final name.
func (s *spool) rename() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	final := s.e.path(s.raw, string(s.id))
	if s.path == final {
		return nil
	}
	if err := os.Rename(s.path, final); err != nil {
		return err
	}
	s.path = final
	return nil
}

// finish ends a spool that was given to a batch.
func (s *spool) finish(st state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != writing {
		return
	}
	s.ended(st)
	if s.file != nil {
		_ = s.file.Close() // it is synced
	}
}

// ended notes how the spool ended; mu is held. Its file is nobody's from then on.
func (s *spool) ended(st state) {
	s.state, s.readers = st, nil
	s.e.spools.Add(-1)
	if s.file != nil {
		s.e.files.release(s.id)
	}
}

// Leave closes the spool and keeps its file, if a Sync vouched for it.
func (s *spool) Leave() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if !s.named || s.failed != nil || s.label != nil { // with a label it has its final name, under which nobody reopens it
		return errors.Join(s.failed, s.Discard())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != writing {
		return nil
	}
	err := s.file.Close()
	s.ended(left)
	return diskErr(err)
}

// Discard gives the spool up and removes its file. Who has it open reads on.
func (s *spool) Discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != writing {
		return nil
	}
	if s.file == nil {
		s.ended(discarded)
		return nil // readers may need the bytes; they go with the last of them
	}
	err := s.file.Close()
	if rerr := os.Remove(s.path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		s.e.littered.Store(true)
		err = errors.Join(err, rerr)
	}
	s.e.shards[s.raw[0]].touched.Store(true)
	s.ended(discarded)
	return diskErr(err)
}

// spoolBody is one reader's view of a spool.
type spoolBody struct {
	s   *spool
	f   *os.File // guarded by s.mu until it is set; nil while the spool is in memory
	err error    // why there is no file; guarded by s.mu
}

// look returns the file to read from, or nil and what to read from memory; end is the offset behind the last byte written.
func (b *spoolBody) look(p []byte, off int64) (f *os.File, n int, end int64, err error) {
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	if b.f == nil && b.err == nil && off < int64(len(b.s.mem)) {
		n = copy(p, b.s.mem[off:])
	}
	return b.f, n, b.s.end, b.err
}

func (b *spoolBody) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset(off)
	}
	f, n, end, err := b.look(p, off)
	if err != nil {
		return 0, err
	}
	if f == nil {
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	part := p[:max(min(int64(len(p)), end-off), 0)] // what is behind the body is not for readers
	n, err = f.ReadAt(part, off)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return n, diskErr(err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

func (b *spoolBody) Section(off, n int64) (io.Reader, error) {
	if off < 0 || n < 0 {
		return nil, errOffset(off)
	}
	f, _, end, err := b.look(nil, off)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return io.NewSectionReader(b, off, n), nil
	}
	return section(f, off, n, end)
}

func (b *spoolBody) Close() error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	delete(b.s.readers, b)
	if b.f == nil {
		return nil
	}
	return diskErr(b.f.Close())
}
