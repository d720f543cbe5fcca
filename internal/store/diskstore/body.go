package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Open opens a body that a batch kept.
func (e *Engine) Open(ctx context.Context, id store.BodyID) (store.Body, error) {
	raw, small, ok := parseID(id)
	if !ok {
		return nil, fmt.Errorf("%w: %q is no body", object.ErrDamaged, id)
	}
	if small {
		v, err := e.read(ctx, inSpace(spaceBody, []byte(id)))
		if err == nil {
			return &memBody{v}, nil
		}
		if !errors.Is(err, store.ErrNoRecord) {
			return nil, err
		}
		// It began small and outgrew the database.
	}
	f, err := e.openFile(ctx, raw, string(id))
	if err != nil {
		return nil, err
	}
	end, err := readFooter(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("body %s: %w", id, err), f.Close())
	}
	return &fileBody{f: f, size: end.size}, nil
}

func (e *Engine) openFile(ctx context.Context, raw [16]byte, id string) (*os.File, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	f, err := os.OpenFile(e.path(raw, id), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: body %s is not there", object.ErrDamaged, id)
	}
	if err != nil { // too many open files, for example: the body itself may be well
		return nil, diskErr(err)
	}
	return f, nil
}

// Label returns what was written beside a body. Bodies in the database have none: they cannot lose their record alone.
// It fails with object.ErrDamaged when the label cannot be trusted.
func (e *Engine) Label(ctx context.Context, id store.BodyID) ([]byte, error) {
	raw, _, ok := parseID(id)
	if !ok {
		return nil, fmt.Errorf("%w: %q is no body", object.ErrDamaged, id)
	}
	f, err := e.openFile(ctx, raw, string(id))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLabel(f)
}

// remove removes the file of a body, if it has one. What cannot be removed is left to the sweep.
func (e *Engine) remove(id store.BodyID) {
	if raw, _, ok := parseID(id); ok {
		e.removeFile(raw, id, e.path(raw, string(id)))
	}
}

// forget removes the file of an unfinished body, unless a spool has it.
func (e *Engine) forget(id store.BodyID) {
	raw, _, ok := parseID(id)
	if !ok || !e.files.take(id) {
		return
	}
	defer e.files.release(id)
	e.removeFile(raw, id, e.path(raw, string(id))+tmpSuffix)
}

func (e *Engine) removeFile(raw [16]byte, id store.BodyID, path string) {
	err := os.Remove(path)
	switch {
	case err == nil:
		e.shards[raw[0]].touched.Store(true)
	case errors.Is(err, fs.ErrNotExist): // it was in the database, or is lost already
	default:
		e.littered.Store(true)
		e.log.Warn("body not removed; the next start will", "body", id, "err", err)
	}
}

// memBody is a body from the database.
type memBody struct{ bytes []byte }

func (b *memBody) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset(off)
	}
	n := copy(p, b.bytes[min(off, int64(len(b.bytes))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (b *memBody) Section(off, n int64) (io.Reader, error) {
	if off < 0 || n < 0 {
		return nil, errOffset(off)
	}
	// A bytes.Reader writes itself to where it is copied, without a buffer in between.
	p := b.bytes[min(off, int64(len(b.bytes))):]
	return bytes.NewReader(p[:min(n, int64(len(p)))]), nil
}

func (b *memBody) Close() error { return nil }

// fileBody is a body from a file.
type fileBody struct {
	f    *os.File
	size int64
}

func (b *fileBody) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset(off)
	}
	if off >= b.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), b.size-off))
	n, err := b.f.ReadAt(p[:want], off)
	switch {
	case n == want && want < len(p):
		return n, io.EOF
	case n == want:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("%w: the file of a body was cut", object.ErrDamaged)
	}
	return n, diskErr(err)
}

func (b *fileBody) Section(off, n int64) (io.Reader, error) {
	return section(b.f, off, n, b.size)
}

func (b *fileBody) Close() error { return diskErr(b.f.Close()) }

// section positions f and returns a reader of n bytes of it, or of what there is before end.
func section(f *os.File, off, n, end int64) (io.Reader, error) {
	if off < 0 || n < 0 {
		return nil, errOffset(off)
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return nil, diskErr(err)
	}
	return &io.LimitedReader{R: f, N: max(min(n, end-off), 0)}, nil
}

func errOffset(off int64) error {
	return fmt.Errorf("%w: access at offset %d", object.ErrStore, off)
}
