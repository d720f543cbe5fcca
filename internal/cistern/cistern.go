// Package cistern is what the server does: an object is in the store, or it is filled from the bucket's source.
//
// It knows who may do what, but no HTTP, no disks and no codes of an API; dialects parse, call it and render.
package cistern

import (
	"context"
	"errors"

	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/image"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/policy"
	"github.com/cisternhq/cistern/internal/store"
)

// Options are the parts of a server; all must be set, but for Logging.
type Options struct {
	Store  *store.Store
	Filler *fill.Filler
	// Origin judges source sites when they are set.
	Origin *origin.Client
	// Domains are the server's own names, which no bucket may be bound to.
	Domains []string
	// OwnersBind lets the owners of buckets bind domains. Otherwise only the operator does: nothing proves whose a domain is, and one that the server
	// is reached under, but does not know for its own, would lead all its users to the bucket that has it.
	OwnersBind bool
	// MaxBuckets bounds the buckets of one owner; those of the operator are not bounded. 0 means 1,000, negative any number.
	MaxBuckets int
	// Images bounds what is done with pictures.
	Images image.Options
	// Logging is called when a bucket's access log was switched on or off; nil means nobody asks.
	Logging func(context.Context)
}

// Server does what dialects ask for. It is safe for concurrent use. It owns none of its parts.
type Server struct {
	store  *store.Store
	filler *fill.Filler
	origin *origin.Client

	images *image.Processor

	logging func(context.Context)

	domains    []string
	ownersBind bool

	maxBuckets int // of one owner; negative: any number

	// What hits need of a bucket's settings, read once for each document.
	policies parsed[*policy.Policy]
	acls     parsed[[]Grant]
	cors     parsed[*CORS]
}

// New returns a server of the parts in o.
func New(o Options) *Server {
	if o.MaxBuckets == 0 {
		o.MaxBuckets = 1000
	}
	s := &Server{store: o.Store, filler: o.Filler, origin: o.Origin, ownersBind: o.OwnersBind, images: image.New(o.Images), logging: o.Logging,
		maxBuckets: o.MaxBuckets}
	if s.logging == nil {
		s.logging = func(context.Context) {}
	}
	for _, d := range o.Domains {
		s.domains = append(s.domains, hostName(d))
	}
	return s
}

// open returns the bucket if c has leave for need on key in it; key is "" for what is about the bucket, and the prefix of a listing. It fails with
// [object.ErrNoSuchBucket] or [object.ErrDenied]. Every operation comes through here first.
func (s *Server) open(ctx context.Context, c Caller, bucket, key string, need action) (store.Bucket, error) {
	b, err := s.store.Bucket(ctx, bucket)
	if err != nil {
		return store.Bucket{}, err
	}
	if err := s.may(ctx, c, b, key, need); err != nil {
		return store.Bucket{}, err
	}
	return b, nil
}

// may fails with [object.ErrDenied] unless c has leave for need on key in b. The order is: the operator, the owner's own matters, the bucket's policy, the
// owner, the access control list (QingStor API, "Access control"). So a policy binds the bucket's owner as anybody else, but for what is needed to
// change it.
func (s *Server) may(ctx context.Context, c Caller, b store.Bucket, key string, need action) error {
	switch {
	case c.Operator:
		return nil
	case need == own && c.owns(b):
		return nil
	case need == own:
		return denied("only the bucket's owner may do this")
	}
	p, err := s.policy(ctx, b)
	if err != nil {
		return err
	}
	if p != nil {
		switch p.Decide(policy.Request{User: c.Owner, Action: string(need), Key: key, Address: c.Address, Referer: c.Referer}) {
		case policy.Allow:
			return nil
		case policy.Deny:
			return denied("the bucket's policy denies this")
		}
	}
	if c.owns(b) {
		return nil
	}
	grants, err := s.grants(ctx, b)
	if err != nil {
		return err
	}
	switch {
	case allows(grants, c, need):
		return nil
	case c.Anonymous():
		return denied("the bucket does not allow this without a signature")
	}
	return denied("neither the bucket's policy nor its access control list allows this")
}

func denied(text string) error { return object.Explain(object.ErrDenied, "%s", text) }

// source returns where b fills from and the setting that says so; ok is false for a bucket without a mirror.
func (s *Server) source(ctx context.Context, b store.Bucket) (src object.Source, doc []byte, ok bool, err error) {
	doc, err = s.store.Setting(ctx, b, mirrorSetting)
	if errors.Is(err, object.ErrNoSetting) {
		return src, nil, false, nil
	}
	if err != nil {
		return src, nil, false, err
	}
	m, err := decodeMirror(doc)
	if err != nil {
		return src, nil, false, err
	}
	if src, err = origin.ParseSite(m.Site); err != nil {
		return src, nil, false, err
	}
	src.Private = m.Private
	return src, doc, true, nil
}
