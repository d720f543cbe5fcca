package diskstore

import (
	"sync"

	"github.com/cisternhq/cistern/internal/store"
)

// claims says which files of bodies are somebody's in this process. The zero value says none.
type claims struct {
	mu       sync.Mutex // guards all below
	taken    map[store.BodyID]struct{}
	reopened map[store.BodyID]struct{} // ever, and made by an earlier process: their IDs do not say that they are of this one
}

// take makes id the caller's alone, until release. It reports false if it is somebody's already.
func (c *claims) take(id store.BodyID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.taken[id]; ok {
		return false
	}
	if c.taken == nil {
		c.taken = make(map[store.BodyID]struct{})
	}
	c.taken[id] = struct{}{}
	return true
}

func (c *claims) release(id store.BodyID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.taken, id)
}

// reopen notes that id may be kept by this process.
func (c *claims) reopen(id store.BodyID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reopened == nil {
		c.reopened = make(map[store.BodyID]struct{})
	}
	c.reopened[id] = struct{}{}
}

func (c *claims) wasReopened(id store.BodyID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.reopened[id]
	return ok
}
