// Package image applies QingStor's image actions to a picture.
//
// It reads files of other people's making, so everything that a file claims is bounded before it is believed: what it would decode to is
// known from its head, and is refused where it is too much. It knows no objects and no network: who calls it brings the bytes.
package image

import (
	"context"
	"fmt"
	"image"
	"runtime"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Options bound what a processor does. The zero value of each field means the default that its comment names.
type Options struct {
	// MaxBytes is the largest file of a picture, in bytes; 0 means 10 MiB (QingStor API, "Image Process").
	MaxBytes int64
	// MaxPixels is how many pixels a picture may have, the source as well as every result; the frames of an animation count
	// together. 0 means 50 million.
	MaxPixels int
	// MaxFrames is how many frames an animation may have; 0 means 1,000.
	MaxFrames int
	// Workers is how many pictures are worked on at once; 0 means as many as the machine has processors.
	Workers int
	// Gathering is how many actions may have pictures on their way from the network at once, each up to MaxBytes for the picture and as
	// much for all that are drawn on it; 0 means 16.
	Gathering int
	// Memory is about how much memory the pictures that are worked on may need together, in bytes; 0 means 1 GiB. One that needs
	// more by itself is refused.
	Memory int64
	// Timeout bounds the work on one picture; 0 means 30 s.
	Timeout time.Duration
	// Wait bounds the wait for others' pictures to be done; 0 means 30 s.
	Wait time.Duration
}

// Processor works on pictures, on a bounded number at once. It is safe for concurrent use; make one with [New].
type Processor struct {
	o       Options
	workers gate
	gather  gate
	memory  gate
	fonts   fonts
}

// New returns a processor with the bounds in o.
func New(o Options) *Processor {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 10 << 20
	}
	if o.MaxPixels <= 0 {
		o.MaxPixels = 50_000_000
	}
	if o.MaxFrames <= 0 {
		o.MaxFrames = 1000
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Gathering <= 0 {
		o.Gathering = 16
	}
	if o.Memory <= 0 {
		o.Memory = 1 << 30
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Wait <= 0 {
		o.Wait = 30 * time.Second
	}
	return &Processor{o: o, workers: gate{free: int64(o.Workers)}, gather: gate{free: int64(o.Gathering)}, memory: gate{free: o.Memory}}
}

// MaxBytes is the largest file of a picture, in bytes.
func (p *Processor) MaxBytes() int64 { return p.o.MaxBytes }

// Gather waits for leave to bring pictures from the network, which is to be had before and beside a place to work on them: who waits for
// others' servers must not keep those from working who do not. The caller calls leave once the pictures are done with. It fails as Begin does.
func (p *Processor) Gather(ctx context.Context) (leave func(), err error) {
	if err := p.enter(ctx, &p.gather, 1); err != nil {
		return nil, err
	}
	return func() { p.gather.leave(1) }, nil
}

// Begin waits for a place among the pictures that are worked on. The caller ends the work. It fails with [object.ErrBusy] when none is
// free in time.
func (p *Processor) Begin(ctx context.Context) (*Work, error) {
	if err := p.enter(ctx, &p.workers, 1); err != nil {
		return nil, err
	}
	return &Work{p: p}, nil
}

func (p *Processor) enter(ctx context.Context, g *gate, n int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.o.Wait, errBusy)
	defer cancel()
	return g.enter(ctx, n)
}

var errBusy = &object.Retry{After: time.Second, Err: object.Explain(object.ErrBusy, "too many pictures are being processed; try again")}

// Work is a place among the pictures that are worked on. Not safe for concurrent use.
type Work struct {
	p      *Processor
	memory int64 // that was taken
	left   bool  // the place was given to the next one
}

// Keep gives the place to the next one, and of the memory all but what a result of n bytes has. So who takes the result slowly keeps nobody
// from working, and the results that wait to be taken are bounded together with the pictures that are worked on. End comes all the same.
func (w *Work) Keep(n int) {
	w.leave(min(int64(n), w.memory))
}

// End gives everything back. Further calls do nothing.
func (w *Work) End() {
	w.leave(0)
}

func (w *Work) leave(keep int64) {
	w.p.memory.leave(w.memory - keep)
	w.memory = keep
	if !w.left {
		w.left = true
		w.p.workers.leave(1)
	}
}

// need waits for memory. It is called once, before anything is decoded.
func (w *Work) need(ctx context.Context, n int64) error {
	if n > w.p.o.Memory {
		return object.Explain(object.ErrTooLarge, "the picture would need %d bytes of memory to work on; %d are allowed", n, w.p.o.Memory)
	}
	if err := w.p.enter(ctx, &w.p.memory, n); err != nil {
		return err
	}
	w.memory = n
	return nil
}

// Picture is a file of a picture.
type Picture struct {
	Body []byte
	// Type is its media type.
	Type string
}

// Job is what is to be done.
type Job struct {
	Action Action
	// Source is the file of the picture; it is not changed.
	Source []byte
	// Marks are the files of the pictures that [Action.Marks] names, in its order.
	Marks [][]byte
	// Save keeps a result that [Action.Saves] asks for.
	Save func(context.Context, Save, Picture) error
}

// Do does a job and returns what it led to: a picture, or the JSON of info. It fails with an error that matches
//
//   - [object.ErrNoImage]: a file is no picture, is broken, or is of a format that an operation is not for;
//   - [object.ErrTooLarge]: the picture, or a result, has more pixels than are allowed;
//   - [object.ErrInvalidArgument]: an operation does not fit the picture;
//   - [object.ErrBusy]: others need all the memory, or the work took too long.
func (w *Work) Do(ctx context.Context, j Job) (Picture, error) {
	h, err := readHeader(j.Source)
	if err != nil {
		return Picture{}, err
	}
	r := &run{p: w.p, job: j, pic: picture{format: h.format, header: h, raw: j.Source}}
	for _, op := range j.Action.ops {
		if err := op.fits(h.format); err != nil {
			return Picture{}, err
		}
		if _, ok := op.(markImage); ok {
			r.marks = append(r.marks, j.Marks[len(r.marks)])
		}
	}
	if err := r.plan(); err != nil {
		return Picture{}, err
	}
	if err := w.need(ctx, r.memory); err != nil {
		return Picture{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.p.o.Timeout, errSlow)
	defer cancel()
	for _, op := range j.Action.ops {
		if err := stopped(ctx); err != nil {
			return Picture{}, err
		}
		if err := op.apply(ctx, r); err != nil {
			return Picture{}, err
		}
	}
	if r.result != nil {
		return *r.result, nil
	}
	return r.pic.file(ctx)
}

var errSlow = object.Explain(object.ErrBusy, "working on the picture took too long")

// stopped says why the work may not go on; nil if it may.
func stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// operation is one step of an action.
type operation interface {
	// fits says why the operation is not for pictures that come as f; nil if it is.
	fits(f Format) error
	// size returns the size of the picture after the operation.
	size(now image.Point) image.Point
	apply(ctx context.Context, r *run) error
}

// run is a job on its way.
type run struct {
	p      *Processor
	job    Job
	pic    picture
	marks  [][]byte // those that are not drawn yet
	memory int64    // what the job needs, about, in bytes
	result *Picture // of an operation whose result is no picture
}

// picture is what an operation gets and leaves.
type picture struct {
	format Format // what it is written as
	header header
	// raw is its file as it is; nil once it was changed. img is what it shows, upright; nil while nobody looked.
	raw []byte
	img image.Image
	gif *animation // in the place of img
}

// bounded says why a picture of size is too large; nil if it is not.
func (p *Processor) bounded(what string, size image.Point, frames int) error {
	switch {
	case size.X > maxSide || size.Y > maxSide:
		return object.Explain(object.ErrTooLarge, "%s has %d x %d pixels; no side may have more than %d", what, size.X, size.Y, maxSide)
	case int64(size.X)*int64(size.Y)*int64(frames) > int64(p.o.MaxPixels):
		times := ""
		if frames > 1 {
			times = fmt.Sprintf(" in each of %d frames", frames)
		}
		return object.Explain(object.ErrTooLarge, "%s has %d x %d pixels%s; %d are allowed in all", what, size.X, size.Y, times, p.o.MaxPixels)
	}
	return nil
}

// plan checks every size that will come up, and adds up the memory that it takes. It looks at heads only.
func (r *run) plan() error {
	h := r.pic.header
	r.memory = int64(len(r.job.Source)) // which may be the result
	if !r.looks() {
		return nil // nobody will decode anything
	}
	if err := r.p.bounded("the picture", h.size, max(1, h.frames)); err != nil {
		return err
	}
	if h.frames > r.p.o.MaxFrames {
		return object.Explain(object.ErrTooLarge, "the picture has %d frames; %d are allowed", h.frames, r.p.o.MaxFrames)
	}
	need := h.decoded(len(r.job.Source))
	size := h.upright()
	largest := area(size)
	for i, op := range r.job.Action.ops {
		size = op.size(size)
		if err := r.p.bounded(fmt.Sprintf("the result of operation %d", i+1), size, max(1, h.frames)); err != nil {
			return err
		}
		largest = max(largest, area(size))
		if f, ok := op.(format); ok && f.to == WebP {
			need += area(size) * 4 // what the encoder works on
		}
	}
	if h.frames > 0 {
		need += (area(h.size) + largest) * int64(h.frames)
	} else {
		need += 2 * 4 * largest // an operation has the picture before and after it, 4 bytes a pixel
	}
	for _, file := range r.marks {
		m, err := markHeader(file)
		if err != nil {
			return err
		}
		if err := r.p.bounded("the picture of watermark_image", m.size, 1); err != nil {
			return err
		}
		need += m.decoded(len(file))
	}
	r.memory += need
	return nil
}

func area(size image.Point) int64 { return int64(size.X) * int64(size.Y) }

// looks reports whether an operation needs more of the picture than its head.
func (r *run) looks() bool {
	for _, op := range r.job.Action.ops {
		switch op.(type) {
		case info, save:
		default:
			return true
		}
	}
	return false
}

func (info) size(now image.Point) image.Point      { return now }
func (save) size(now image.Point) image.Point      { return now }
func (format) size(now image.Point) image.Point    { return now }
func (markText) size(now image.Point) image.Point  { return now }
func (markImage) size(now image.Point) image.Point { return now }

// What is for which format is the table of the API's page.
func (info) fits(Format) error        { return nil }
func (save) fits(Format) error        { return nil }
func (c crop) fits(f Format) error    { return pixels("crop", f) }
func (c rotate) fits(f Format) error  { return pixels("rotate", f) }
func (markText) fits(f Format) error  { return pixels("watermark", f) }
func (markImage) fits(f Format) error { return pixels("watermark_image", f) }
func (format) fits(f Format) error    { return pixels("format", f) }

func (resize) fits(f Format) error {
	if f == GIF {
		return nil
	}
	return pixels("resize", f)
}

func pixels(operation string, f Format) error {
	switch f {
	case JPEG, PNG, WebP, TIFF:
		return nil
	case GIF:
		return object.Explain(object.ErrNoImage, "%s is not for a gif; info, resize and save are", operation)
	}
	return object.Explain(object.ErrNoImage, "%s is not for %s; info and save are", operation, f)
}

func (s save) apply(ctx context.Context, r *run) error {
	file, err := r.pic.file(ctx)
	if err != nil {
		return err
	}
	return r.job.Save(ctx, s.to, file)
}

func (f format) apply(ctx context.Context, r *run) error {
	if f.to == r.pic.format {
		return nil
	}
	if _, err := r.pic.look(ctx); err != nil {
		return err
	}
	r.pic.format, r.pic.raw = f.to, nil
	return nil
}
