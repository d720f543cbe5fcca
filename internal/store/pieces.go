package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cisternhq/cistern/internal/object"
)

// piecesAhead is how many pieces a reader looks up at once.
const piecesAhead = 64

// extent is a piece of an object, and where in the object its bytes are.
type extent struct {
	start, end int64
	part       Part
}

// pieces is the body of an object that lies in pieces. They are opened when they are read, one at a time.
type pieces struct {
	s    *Store
	id   uint64
	size int64
	wrap func(b Body, size int64) (Body, error) // nil: each piece is read as it is

	section *piecesReader // the one that Section returned last
	once    sync.Once
}

func (s *Store) newPieces(id uint64, size int64) *pieces {
	s.pin(id)
	return &pieces{s: s, id: id, size: size}
}

// Wrap makes the bytes of o those that open makes of what is at rest: it is called with each body that they are in and the number of plain bytes
// that come of that one, and what it returns is read, and closed, in the body's place. An object in one body has that one opened
// at once, one in pieces has each piece opened when it is read; a piece was written as a stream of its own (see PutPart).
// Wrap is called once, before anything is read. After an error o is still to be closed.
func (o *Object) Wrap(open func(b Body, size int64) (Body, error)) error {
	if p, ok := o.Body.(*pieces); ok {
		p.wrap = open
		return nil
	}
	if o.Size == 0 {
		return nil // nothing is at rest
	}
	b, err := open(o.Body, o.Size)
	if err != nil {
		return err
	}
	o.Body = b
	return nil
}

func (p *pieces) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: offset %d", object.ErrStore, off)
	}
	if len(b) == 0 {
		return 0, nil
	}
	// A reader of its own, so that this is safe for concurrent use. It opens the piece for each call: those who read much use Section.
	r := p.reader(off, int64(len(b)))
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if cerr := r.close(); err == nil {
		err = cerr
	}
	return n, err
}

func (p *pieces) Section(off, n int64) (io.Reader, error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("%w: section of %d bytes at %d", object.ErrStore, n, off)
	}
	if p.section != nil {
		if err := p.section.close(); err != nil {
			return nil, err
		}
	}
	p.section = p.reader(off, n)
	return p.section, nil
}

func (p *pieces) Close() error {
	var err error
	p.once.Do(func() {
		if p.section != nil {
			err = p.section.close()
		}
		p.s.unpin(p.id)
	})
	return err
}

func (p *pieces) reader(off, n int64) *piecesReader {
	return &piecesReader{p: p, off: off, end: off + max(min(n, p.size-off), 0)}
}

// find returns the piece that holds off, and some that follow.
func (p *pieces) find(off int64) ([]extent, error) {
	var found []extent
	_, upper := span(spacePiece, p.id)
	// No context: a body has none, and its reader ends by closing it.
	err := p.s.each(context.Background(), pieceKey(p.id, off+1), upper, func(k, v []byte) (bool, error) {
		part, err := decodePart(v)
		if err != nil {
			return false, err
		}
		end := pieceEnd(k)
		found = append(found, extent{end - part.Size, end, part})
		return len(found) < piecesAhead, nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%w: no piece holds offset %d of %d", object.ErrDamaged, off, p.size)
	}
	return found, err
}

// open opens a piece, plain.
func (p *pieces) open(x extent) (Body, error) {
	b, err := p.s.e.Open(context.Background(), x.part.body)
	if err != nil {
		return nil, storeErr(err)
	}
	if p.wrap == nil {
		return b, nil
	}
	plain, err := p.wrap(b, x.part.Size)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return plain, nil
}

// piecesReader reads a section of an object in pieces. It is an io.WriterTo so that io.Copy to a socket gets each piece's own section, and needs no
// copy in the process where that is a file.
type piecesReader struct {
	p        *pieces
	off, end int64 // what is still to be read

	ahead []extent
	body  Body      // the piece that is open; nil for none
	from  io.Reader // its section
	left  int64     // bytes of from
}

var _ io.WriterTo = (*piecesReader)(nil)

// next makes from the section of the piece that off is in, if it is not. It returns io.EOF at the end.
func (r *piecesReader) next() error {
	if r.left > 0 {
		return nil
	}
	if err := r.close(); err != nil {
		return err
	}
	if r.off >= r.end {
		return io.EOF
	}
	if len(r.ahead) == 0 {
		var err error
		if r.ahead, err = r.p.find(r.off); err != nil {
			return err
		}
	}
	x := r.ahead[0]
	r.ahead = r.ahead[1:]
	if x.start > r.off || x.end <= r.off {
		return fmt.Errorf("%w: the piece behind offset %d begins at %d and ends at %d", object.ErrDamaged, r.off, x.start, x.end)
	}
	body, err := r.p.open(x)
	if err != nil {
		return err
	}
	r.body = body
	n := min(x.end, r.end) - r.off
	if r.from, err = body.Section(r.off-x.start, n); err == nil {
		r.left = n
	}
	return err
}

func (r *piecesReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := r.next(); err != nil {
		return 0, err
	}
	n, err := r.from.Read(b[:min(int64(len(b)), r.left)])
	r.off, r.left = r.off+int64(n), r.left-int64(n)
	if err == io.EOF {
		err = r.ended()
	}
	return n, err
}

func (r *piecesReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		err := r.next()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := io.Copy(w, r.from)
		total += n
		r.off, r.left = r.off+n, r.left-n
		if err == nil {
			err = r.ended()
		}
		if err != nil {
			return total, err
		}
	}
}

// ended judges the end of a piece.
func (r *piecesReader) ended() error {
	if r.left != 0 {
		return fmt.Errorf("%w: a piece has %d bytes less than it should", object.ErrDamaged, r.left)
	}
	return nil
}

// close closes the piece that is open.
func (r *piecesReader) close() error {
	if r.body == nil {
		return nil
	}
	b := r.body
	r.body, r.from, r.left = nil, nil, 0
	return storeErr(b.Close())
}
