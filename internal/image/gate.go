package image

import (
	"context"
	"sync"
)

// gate lets so much through at once as there is free. Who asks first is let through first, so that one who needs much is not starved
// by those who need little.
type gate struct {
	mu    sync.Mutex // guards the fields below
	free  int64
	queue []*waiter
}

type waiter struct {
	n    int64
	open chan struct{} // closed when it may go on
}

// enter takes n, which must not be more than there is in all, and waits for it if need be. It fails with the cause of ctx.
func (g *gate) enter(ctx context.Context, n int64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	g.mu.Lock()
	if len(g.queue) == 0 && g.free >= n {
		g.free -= n
		g.mu.Unlock()
		return nil
	}
	w := &waiter{n, make(chan struct{})}
	g.queue = append(g.queue, w)
	g.mu.Unlock()
	select {
	case <-w.open:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.queue {
		if other == w {
			g.queue = append(g.queue[:i], g.queue[i+1:]...)
			g.next() // those behind may need less
			return context.Cause(ctx)
		}
	}
	g.free += n // it was let through in the same moment
	g.next()
	return context.Cause(ctx)
}

// leave gives n back.
func (g *gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free += n
	g.next()
}

// next lets through who can be; mu is held.
func (g *gate) next() {
	for len(g.queue) > 0 && g.queue[0].n <= g.free {
		g.free -= g.queue[0].n
		close(g.queue[0].open)
		g.queue = g.queue[1:]
	}
}
