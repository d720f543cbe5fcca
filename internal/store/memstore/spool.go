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

// buffer is the bytes of a body, being written or at rest.
type buffer struct {
	mu     sync.RWMutex // guards all below
	chunks [][]byte     // each of chunk bytes, the last one may be shorter
	end    int64        // the offset behind the last byte that was written
	state  state
}

type state int

const (
	writing state = iota
	kept
	discarded
)

func (b *buffer) writeAt(p []byte, off int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != writing {
		return fmt.Errorf("%w: write to a spool that has ended", object.ErrStore)
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

// ready reports why the body cannot be kept.
func (b *buffer) ready(size int64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.state != writing {
		return fmt.Errorf("%w: the spool has ended", object.ErrStore)
	}
	if b.end != size {
		return fmt.Errorf("%w: the spool has %d bytes, %d were announced", object.ErrStore, b.end, size)
	}
	return nil
}

func (b *buffer) keep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = kept
}

func (b *buffer) discard() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == writing {
		b.state = discarded
	}
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
	if err := s.buf.writeAt(p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *spool) Open() (store.Body, error) { return &body{buf: s.buf}, nil }

func (s *spool) Discard() error {
	s.buf.discard()
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
