package cistern

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/seal"
	"github.com/cisternhq/cistern/internal/store"
)

// Read says how an object is asked for.
type Read struct {
	Conditions object.Conditions
	// Key is what the object is encrypted with; nil: it is not.
	Key *seal.Key
	// Version names one version of the object, which may be another than the current one; "": the object as it is now. It is never asked of a source.
	Version string
	// Hops is how many mirrors the request came through already.
	Hops int
}

// Object is an object open for one reader. Not safe for concurrent use.
type Object struct {
	// Meta describes it. Size is -1 while a source has not said it: see Sized. Digest and Filled are set for stored objects.
	Meta   object.Meta
	Status Status
	// Owned: the caller is the bucket's owner or the operator, who may see where the object came from (Meta.Filled). Others may not: it tells of
	// the source what its owner did not publish.
	Owned bool
	// Varies: answers are to say that they differ by the origin of the page that asks, also where no page does.
	Varies bool

	conditions object.Conditions
	stored     *store.Object // of these three one at most is not nil
	reader     *fill.Reader
}

// Get opens an object: from the store, or from the flight that brings it. The caller closes it. It fails with
// [object.ErrNoSuchKey] when neither the store nor the source has it, with [object.ErrInvalidRequest] when the object is encrypted and q has no key, or
// the other way round, with [object.ErrDenied] for the wrong key, and as [fill.Filler.Get] does.
func (s *Server) Get(ctx context.Context, c Caller, bucket, key string, q Read) (*Object, error) {
	b, err := s.open(ctx, c, bucket, key, getObject)
	if err != nil {
		return nil, err
	}
	for {
		o, err := s.openVersion(ctx, b, key, q.Version)
		if err == nil {
			if err := unlock(o, q.Key); err != nil {
				return nil, errors.Join(err, o.Body.Close())
			}
			return &Object{Meta: o.Meta, Status: Status{Hit: true}, Owned: c.owns(b), Varies: s.varies(ctx, b), conditions: q.Conditions, stored: o}, nil
		}
		want, err := s.miss(ctx, b, key, q, err)
		if err != nil {
			return nil, err
		}
		r, err := s.filler.Get(ctx, want)
		if errors.Is(err, object.ErrExists) {
			continue // it came into the store between our look and the flight's
		}
		if err != nil {
			return nil, err
		}
		return &Object{
			Meta: r.Meta(), Owned: c.owns(b), Varies: s.varies(ctx, b), conditions: q.Conditions, reader: r,
			Status: Status{Hit: r.Complete(), FwdStatus: r.Status(), Stored: true, Collapsed: r.Coalesced(), FirstByte: r.FirstByte()},
		}, nil
	}
}

// Head is Get without the bytes, and needs no key: one that is given must be the right one. A miss asks the source and stores nothing.
func (s *Server) Head(ctx context.Context, c Caller, bucket, key string, q Read) (*Object, error) {
	b, err := s.open(ctx, c, bucket, key, headObject)
	if err != nil {
		return nil, err
	}
	m, err := s.statVersion(ctx, b, key, q.Version)
	if err == nil {
		if q.Key != nil {
			err = fits(&m, q.Key)
		}
		if err != nil {
			return nil, err
		}
		return &Object{Meta: m, Status: Status{Hit: true}, Owned: c.owns(b), Varies: s.varies(ctx, b), conditions: q.Conditions}, nil
	}
	want, err := s.miss(ctx, b, key, q, err)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	m, err = s.filler.Head(ctx, want)
	if err != nil {
		return nil, err
	}
	return &Object{Meta: m, Status: Status{FwdStatus: 200, FirstByte: time.Since(begin)}, Owned: c.owns(b), Varies: s.varies(ctx, b), conditions: q.Conditions}, nil
}

func (s *Server) openVersion(ctx context.Context, b store.Bucket, key, version string) (*store.Object, error) {
	if version != "" {
		return s.store.OpenVersion(ctx, b, key, version)
	}
	return s.store.Open(ctx, b, key)
}

func (s *Server) statVersion(ctx context.Context, b store.Bucket, key, version string) (object.Meta, error) {
	if version != "" {
		return s.store.StatVersion(ctx, b, key, version)
	}
	return s.store.Stat(ctx, b, key)
}

// miss decides what the store's answer means: only "no such key" leads to the source, and only in a bucket that has one. So an object that was deleted is
// fetched again, also where a delete marker hides its versions.
func (s *Server) miss(ctx context.Context, b store.Bucket, key string, q Read, found error) (fill.Want, error) {
	if !errors.Is(found, object.ErrNoSuchKey) || object.CheckKey(key) != nil || q.Version != "" {
		return fill.Want{}, found
	}
	src, doc, ok, err := s.source(ctx, b)
	if err != nil {
		return fill.Want{}, err
	}
	if !ok {
		return fill.Want{}, s.hidden(ctx, b, key, found)
	}
	if q.Key != nil {
		return fill.Want{}, notEncrypted() // what comes from a source never is
	}
	return fill.Want{Bucket: b, Key: key, Source: src, Setting: doc, Hops: q.Hops}, nil
}

// Err says what the reader's conditions make of the object: nil, [object.ErrNotModified] or [object.ErrPrecondition].
func (o *Object) Err() error { return o.conditions.Check(o.Meta) }

// Sized waits until the size is known and returns it, in bytes.
func (o *Object) Sized(ctx context.Context) (int64, error) {
	if o.reader == nil || o.Meta.Size >= 0 {
		return o.Meta.Size, nil
	}
	return o.reader.Size(ctx)
}

// WriteRange writes the bytes of r to w, as they arrive if they have to; Length -1 means up to the end. An error may come
// after some bytes; then what was written must not look like the object.
func (o *Object) WriteRange(ctx context.Context, w io.Writer, r object.Range) error {
	if o.reader != nil {
		return o.reader.WriteRange(ctx, w, r)
	}
	if o.stored == nil {
		return nil // of a HEAD
	}
	n := r.Length
	if n < 0 {
		n = o.Meta.Size - r.Offset
	}
	section, err := o.stored.Body.Section(r.Offset, n)
	if err != nil {
		return err
	}
	copied, err := io.Copy(w, section)
	if err == nil && copied < n {
		err = object.ErrDamaged
	}
	return err
}

// Close ends the reading. A flight goes on.
func (o *Object) Close() error {
	switch {
	case o.reader != nil:
		return o.reader.Close()
	case o.stored != nil:
		return o.stored.Body.Close()
	}
	return nil
}

// Status is how an answer came about.
type Status struct {
	// Hit: the source had nothing to do with it.
	Hit bool
	// FwdStatus is what the source answered, Stored whether that is kept, Collapsed whether the request joined another one's flight.
	FwdStatus         int
	Stored, Collapsed bool
	// FirstByte is how long the source took to answer.
	FirstByte time.Duration
}

// CacheStatus is the value of the Cache-Status header (RFC 9211).
func (s Status) CacheStatus() string {
	if s.Hit {
		return "cistern; hit"
	}
	var b strings.Builder
	b.WriteString("cistern; fwd=uri-miss; fwd-status=")
	b.WriteString(strconv.Itoa(s.FwdStatus))
	if s.Stored {
		b.WriteString("; stored")
	}
	if s.Collapsed {
		b.WriteString("; collapsed")
	}
	return b.String()
}
