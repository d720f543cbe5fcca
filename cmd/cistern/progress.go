package main

import (
	"io"
	"os"
	"path"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows what runs, a bar for each object, on a terminal. Elsewhere it shows nothing.
type progress struct{ bars *mpb.Progress }

func newProgress(w io.Writer, hidden bool) *progress {
	if hidden || !isTerminal(w) {
		return &progress{}
	}
	return &progress{bars: mpb.New(mpb.WithOutput(w), mpb.WithWidth(60), mpb.WithRefreshRate(150*time.Millisecond))}
}

// begin shows a bar for an object of size bytes; -1: not known.
func (p *progress) begin(name string, size int64) *bar {
	if p.bars == nil {
		return &bar{}
	}
	return &bar{b: p.bars.AddBar(max(size, 0),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(printable(path.Base(name)), decor.WCSyncSpaceR), decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace)),
	)}
}

// wait ends the display after every bar has ended.
func (p *progress) wait() {
	if p.bars != nil {
		p.bars.Wait()
	}
}

// bar counts the bytes of one object; the zero value counts nothing.
type bar struct{ b *mpb.Bar }

// Write counts p and never fails, so that a bar can stand beside a file.
func (b *bar) Write(p []byte) (int, error) {
	if b.b != nil {
		b.b.IncrBy(len(p))
	}
	return len(p), nil
}

// total tells the bar the size, once it is known.
func (b *bar) total(n int64) {
	if b.b != nil {
		b.b.SetTotal(n, false)
	}
}

// reader returns r with its bytes counted. It can seek where r can, which lets a request be sent again.
func (b *bar) reader(r io.ReadSeeker) io.Reader {
	if b.b == nil {
		return r
	}
	return &countedReader{r: r, b: b}
}

// file returns f with its bytes counted. It can be read at offsets, which lets parts be sent side by side.
func (b *bar) file(f *os.File) io.Reader {
	if b.b == nil {
		return f
	}
	return &countedFile{countedReader{r: f, b: b}, f}
}

// end takes the bar away.
func (b *bar) end(complete bool) {
	switch {
	case b.b == nil:
	case complete:
		b.b.SetTotal(-1, true)
	default:
		b.b.Abort(true)
	}
}

type countedReader struct {
	r io.ReadSeeker
	b *bar
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.b.Write(p[:n])
	return n, err
}

func (c *countedReader) Seek(offset int64, whence int) (int64, error) {
	n, err := c.r.Seek(offset, whence)
	if err == nil && c.b.b != nil && whence == io.SeekStart {
		c.b.b.SetCurrent(n)
	}
	return n, err
}

type countedFile struct {
	countedReader
	f *os.File
}

func (c *countedFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.f.ReadAt(p, offset)
	_, _ = c.b.Write(p[:n])
	return n, err
}
