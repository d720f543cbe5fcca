package cistern

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/cisternhq/cistern/internal/image"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

// Process says what is to be made of a picture.
type Process struct {
	Action     image.Action
	Conditions object.Conditions
	// Hops is how many mirrors the request came through already.
	Hops int
	// Link: the request was signed as a link. What a link signs has the action not in it, so whoever got the link chose the action: it may
	// read what the link is for, and nothing else with the signer's rights.
	Link bool
	// Own finds the object of this server that an address leads to; ok is false for others' addresses. Nil means that all are others'.
	Own func(url string) (bucket, key string, ok bool)
}

// Processed is what was made of a picture.
type Processed struct {
	// Meta describes the result. Its entity tag changes whenever the result may; LastModified is the picture's, or that of a picture drawn on it if
	// that is later, and zero if nobody knows.
	Meta   object.Meta
	Status Status
	// NotModified: the caller's conditions say that the result is not wanted; Body is nil then.
	NotModified bool
	Body        []byte

	work *image.Work // nil if there was nothing to work on
}

// Close ends the use of Body, whose memory is accounted for until then.
func (p *Processed) Close() {
	if p.work != nil {
		p.work.End()
	}
}

// gatherTimeout bounds bringing one picture that is to be drawn on another.
const gatherTimeout = 30 * time.Second

// Process does an action to a picture, as [image.Work.Do] does and with its errors, and with those of Get. What the action saves is put as the caller, who
// needs leave for that. With something to save conditions do not end it early. The caller closes the result.
func (s *Server) Process(ctx context.Context, c Caller, bucket, key string, q Process) (*Processed, error) {
	saves, marks := q.Action.Saves(), q.Action.Marks()
	if len(saves) > 0 && q.Link {
		return nil, denied("a signed link does not cover its action, so it saves nothing; sign the request itself")
	}
	for _, to := range saves {
		if _, err := s.open(ctx, c, to.Bucket, to.Key, createObject); err != nil {
			return nil, err
		}
	}
	o, err := s.Get(ctx, c, bucket, key, Read{Hops: q.Hops})
	if errors.Is(err, object.ErrInvalidRequest) {
		return nil, object.Explain(object.ErrInvalidRequest, "pictures that are encrypted with a customer's key cannot be processed")
	}
	if err != nil {
		return nil, err
	}
	defer o.Close() // nothing was written

	p := &Processed{Meta: object.Meta{CacheControl: o.Meta.CacheControl, Expires: o.Meta.Expires, LastModified: o.Meta.LastModified}, Status: o.Status}
	settled := func(tag string, drawn []mark) (bool, error) {
		p.Meta.ETag = resultTag(tag, q.Action, drawn)
		if len(saves) > 0 {
			return false, nil
		}
		err := q.Conditions.Check(p.Meta)
		p.NotModified = errors.Is(err, object.ErrNotModified)
		return err != nil, err
	}
	if o.Meta.ETag != "" && len(marks) == 0 {
		if done, err := settled(o.Meta.ETag, nil); done {
			return p.orError(err)
		}
	}

	var body []byte
	var drawn []mark
	if !o.Status.Hit || len(marks) > 0 {
		leave, err := s.images.Gather(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	if !o.Status.Hit {
		if body, err = s.pictureOf(ctx, o); err != nil {
			return nil, err
		}
	}
	left := s.images.MaxBytes()
	for _, url := range marks {
		m, err := s.mark(ctx, c, url, q, left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(m.body))
		drawn = append(drawn, m)
		if m.modified.IsZero() || p.Meta.LastModified.IsZero() {
			p.Meta.LastModified = time.Time{}
		} else if m.modified.After(p.Meta.LastModified) {
			p.Meta.LastModified = m.modified
		}
	}
	if o.Meta.ETag != "" && len(marks) > 0 {
		if done, err := settled(o.Meta.ETag, drawn); done {
			return p.orError(err)
		}
	}

	work, err := s.images.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p.work == nil {
			work.End()
		}
	}()
	if body == nil {
		if body, err = s.pictureOf(ctx, o); err != nil {
			return nil, err
		}
	}
	if o.Meta.ETag == "" { // the source has none; the store will take the MD5
		sum := md5.Sum(body)
		if done, err := settled(`"`+hex.EncodeToString(sum[:])+`"`, drawn); done {
			return p.orError(err)
		}
	}
	job := image.Job{Action: q.Action, Source: body, Save: func(ctx context.Context, to image.Save, pic image.Picture) error {
		u := Upload{Meta: object.Meta{ContentType: pic.Type}, Size: int64(len(pic.Body)), Body: bytes.NewReader(pic.Body)}
		_, err := s.Put(ctx, c, to.Bucket, to.Key, u)
		return err
	}}
	for _, m := range drawn {
		job.Marks = append(job.Marks, m.body)
	}
	pic, err := work.Do(ctx, job)
	if err != nil {
		return nil, err
	}
	p.Body, p.Meta.ContentType, p.Meta.Size, p.work = pic.Body, pic.Type, int64(len(pic.Body)), work
	work.Keep(len(pic.Body))
	return p, nil
}

// orError is for what conditions decided.
func (p *Processed) orError(err error) (*Processed, error) {
	if p.NotModified {
		return p, nil
	}
	return nil, err
}

// resultTag is the entity tag of a result: of all that it is made of. It is not of the form of an MD5, because it is none.
func resultTag(source string, a image.Action, drawn []mark) string {
	h := sha256.New()
	const version = "1" // to be raised when the same action comes to make something else
	for _, part := range []string{version, source, a.String()} {
		io.WriteString(h, part+"\x00")
	}
	for _, m := range drawn {
		sum := sha256.Sum256(m.body)
		h.Write(sum[:])
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `-image"`
}

// pictureOf reads all of o, which is bounded.
func (s *Server) pictureOf(ctx context.Context, o *Object) ([]byte, error) {
	most := s.images.MaxBytes()
	if o.Meta.Size > most {
		return nil, tooLargeAPicture("the picture", most)
	}
	b := bounded{most: most}
	if o.Meta.Size > 0 {
		b.buf = make([]byte, 0, o.Meta.Size)
	}
	err := o.WriteRange(ctx, &b, object.Range{Length: o.Meta.Size})
	if b.full {
		err = tooLargeAPicture("the picture", most)
	}
	return b.buf, err
}

func tooLargeAPicture(what string, most int64) error {
	return object.Explain(object.ErrTooLarge, "%s has more than %d bytes", what, most)
}

// bounded is a buffer that takes no more than most bytes.
type bounded struct {
	buf  []byte
	most int64
	full bool // more was written
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.most-int64(len(b.buf)) {
		b.full = true
		return 0, io.ErrShortBuffer
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}

// mark is a picture that is drawn on another one.
type mark struct {
	body     []byte
	modified time.Time // zero: nobody said
}

// mark brings the picture at an address: from this server with the caller's rights, from others behind the guard.
func (s *Server) mark(ctx context.Context, c Caller, url string, q Process, most int64) (mark, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, gatherTimeout,
		object.Explain(object.ErrSourceDown, "watermark_image: the picture did not come within %v", gatherTimeout))
	defer cancel()
	m, err := s.bringMark(ctx, c, url, q, most)
	switch {
	case errors.Is(err, object.ErrNoSuchKey), errors.Is(err, object.ErrNoSuchBucket):
		return m, object.Explain(object.ErrInvalidArgument, "action: watermark_image: there is nothing at the address")
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return m, context.Cause(ctx)
	}
	return m, err
}

func (s *Server) bringMark(ctx context.Context, c Caller, url string, q Process, most int64) (mark, error) {
	if q.Own != nil {
		if bucket, key, ok := q.Own(url); ok {
			if q.Link {
				c = Caller{Address: c.Address, Referer: c.Referer}
			}
			return s.ownMark(ctx, c, bucket, key, q.Hops, most)
		}
	}
	t, err := origin.ParseTarget(url)
	if err == nil {
		t.Source.Private = c.Operator && !q.Link
		err = s.origin.CheckTarget(t)
	}
	if err != nil {
		var why *object.Explained
		if errors.As(err, &why) && errors.Is(err, object.ErrInvalidArgument) {
			err = object.Explain(object.ErrInvalidArgument, "action: watermark_image: the parameter u: %s", why.Text)
		}
		return mark{}, err
	}
	resp, err := s.origin.Open(ctx, t, q.Hops)
	if err != nil {
		return mark{}, err
	}
	defer resp.Body.Close() // what of it was needed is here
	b := bounded{most: most}
	_, err = io.Copy(&b, resp.Body)
	if b.full {
		err = tooLargeAPicture("what is drawn by watermark_image", s.images.MaxBytes())
	}
	return mark{b.buf, resp.Meta.LastModified}, err
}

func (s *Server) ownMark(ctx context.Context, c Caller, bucket, key string, hops int, most int64) (mark, error) {
	o, err := s.Get(ctx, c, bucket, key, Read{Hops: hops})
	if err != nil {
		return mark{}, err
	}
	defer o.Close() // nothing was written
	b := bounded{most: most}
	err = o.WriteRange(ctx, &b, object.Range{Length: o.Meta.Size})
	if b.full {
		err = tooLargeAPicture("what is drawn by watermark_image", s.images.MaxBytes())
	}
	return mark{b.buf, o.Meta.LastModified}, err
}
