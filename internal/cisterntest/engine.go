package cisterntest

import (
	"context"

	"github.com/cisternhq/cistern/internal/store"
)

// FaultyEngine is an engine whose disk fails when the test says so.
type FaultyEngine struct {
	store.Engine
	// OnSpool is called before a spool is made for size bytes, -1 if that is not known, and OnWrite before n bytes are written to one at off.
	// What they return fails the call; a nil function lets all pass. They may be called by several goroutines at once.
	OnSpool func(size int64) error
	OnWrite func(off int64, n int) error
}

var _ store.Engine = (*FaultyEngine)(nil)

// NewSpool asks OnSpool first.
func (e *FaultyEngine) NewSpool(ctx context.Context, size int64) (store.Spool, error) {
	if e.OnSpool != nil {
		if err := e.OnSpool(size); err != nil {
			return nil, err
		}
	}
	s, err := e.Engine.NewSpool(ctx, size)
	if err != nil {
		return nil, err
	}
	return &faultySpool{Spool: s, e: e}, nil
}

// Apply gives the engine its own spools back.
func (e *FaultyEngine) Apply(ctx context.Context, b *store.Batch) error {
	own := *b
	own.Keep = nil
	for _, k := range b.Keep {
		if s, ok := k.Spool.(*faultySpool); ok {
			k.Spool = s.Spool
		}
		own.Keep = append(own.Keep, k)
	}
	return e.Engine.Apply(ctx, &own)
}

type faultySpool struct {
	store.Spool
	e *FaultyEngine
}

func (s *faultySpool) WriteAt(p []byte, off int64) (int, error) {
	if s.e.OnWrite != nil {
		if err := s.e.OnWrite(off, len(p)); err != nil {
			return 0, err
		}
	}
	return s.Spool.WriteAt(p, off)
}
