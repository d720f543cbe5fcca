package memstore

import (
	"fmt"
	"io"
	"sync"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// chunk is the unit in which a buffer grows, in bytes; a short body takes less.
const chunk = 256 << 10

// buffer is the bytes of a body, being written, unfinished or at rest.
type buffer struct {
	mu     sync.RWMutex // guards all below
	writer *spool       // who may write; nil for nobody
	synced bool         // Sync was called
	chunks [][]byte     // each of chunk bytes, the last one may be shorter
	end    int64        // the offset behind the last byte that was written
}

var errEnded = fmt.Errorf("%w: the spool has ended", object.ErrStore)

func (b *buffer) writeAt(by *spool, p []byte, off int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer != by {
		return errEnded
	}
	for len(p) > 0 {
		i, at := int(off/chunk), int(off%chunk)
		for len(b.chunks) <= i {
			b.chunks = append(b.chunks, nil)
		}
		need := min(at+len(p), chunk)
		if c := b.chunks[i]; len(c) < need {
			b.chunks[i] = append(c, make([]byte, need-len(c))...)
		}
		n := copy(b.chunks[i][at:], p)
		p, off = p[n:], off+int64(n)
	}
	b.end = max(b.end, off)
	return nil
}

func (b *buffer) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: read at offset %d", object.ErrStore, off)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := 0
	for n < len(p) && off < b.end {
		part := p[n:min(int64(len(p)), int64(n)+b.end-off)]
		i, at := int(off/chunk), int(off%chunk)
		part = part[:min(len(part), chunk-at)]
		got := 0
		if c := b.chunks[i]; at < len(c) {
			got = copy(part, c[at:])
		}
		clear(part[got:]) // nobody wrote here yet
		n, off = n+len(part), off+int64(len(part))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// ready reports why by cannot keep the body.
func (b *buffer) ready(by *spool, size int64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.writer != by {
		return errEnded
	}
	if b.end != size {
		return fmt.Errorf("%w: the spool has %d bytes, %d were announced", object.ErrStore, b.end, size)
	}
	return nil
}

// sync notes that the body is worth to be left, and returns its length.
func (b *buffer) sync(by *spool) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer != by {
		return 0, errEnded
	}
	b.synced = true
	return b.end, nil
}

// release ends what by may do, and reports whether it could do anything and whether the body was synced.
func (b *buffer) release(by *spool) (was, synced bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer != by {
		return false, false
	}
	b.writer = nil
	return true, b.synced
}

// take cuts the body to size and lets by write it.
func (b *buffer) take(by *spool, size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer != nil {
		return store.ErrTaken
	}
	if size < 0 || b.end < size {
		return fmt.Errorf("%w: unfinished body %q has %d bytes, want %d", object.ErrDamaged, by.id, b.end, size)
	}
	// What is cut off reads as zeros when something is written behind it.
	chunks := int((size + chunk - 1) / chunk)
	b.chunks = b.chunks[:min(len(b.chunks), chunks)]
	if last := len(b.chunks); last > 0 && last == chunks {
		keep := int(size - int64(last-1)*chunk)
		b.chunks[last-1] = b.chunks[last-1][:min(len(b.chunks[last-1]), keep)]
	}
	b.writer, b.end = by, size
	return nil
}

// taken reports whether somebody writes the body.
func (b *buffer) taken() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.writer != nil
}

// spool is a body being written.
type spool struct {
	e   *Engine
	id  store.BodyID
	buf *buffer
}

func (s *spool) ID() store.BodyID { return s.id }

func (s *spool) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: write at offset %d", object.ErrStore, off)
	}
	if err := s.buf.writeAt(s, p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *spool) Open() (store.Body, error) { return &body{buf: s.buf}, nil }

// Sync has nothing to do: what is written lives as long as the engine.
func (s *spool) Sync() (int64, error) { return s.buf.sync(s) }

func (s *spool) Leave() error {
	s.e.end(s, true)
	return nil
}

func (s *spool) Discard() error {
	s.e.end(s, false)
	return nil
}

// body is one reader's view of a buffer.
type body struct{ buf *buffer }

func (b *body) ReadAt(p []byte, off int64) (int, error) { return b.buf.ReadAt(p, off) }
func (b *body) Close() error                            { return nil }

func (b *body) Section(off, n int64) (io.Reader, error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("%w: section of %d bytes at %d", object.ErrStore, n, off)
	}
	return io.NewSectionReader(b.buf, off, n), nil
}
