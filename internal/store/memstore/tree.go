package memstore

import (
	"bytes"
	"math/rand/v2"
)

// node is a node of a treap: ordered by key, and a heap by a random priority, which keeps it about balanced. Nodes never change: set and
// remove copy the path from the root, so that an older root is a snapshot for free. The nil node is the empty tree.
type node struct {
	key, value  []byte
	priority    uint64
	left, right *node
}

func (n *node) find(key []byte) *node {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// split returns the nodes before key and those after it; a node at key is in neither.
func (n *node) split(key []byte) (before, behind *node) {
	if n == nil {
		return nil, nil
	}
	c := bytes.Compare(n.key, key)
	if c == 0 {
		return n.left, n.right
	}
	cp := *n
	if c < 0 {
		cp.right, behind = n.right.split(key)
		return &cp, behind
	}
	before, cp.left = n.left.split(key)
	return before, &cp
}

// join returns a tree of a and b, all keys of a being before those of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		cp := *a
		cp.right = join(a.right, b)
		return &cp
	default:
		cp := *b
		cp.left = join(a, b.left)
		return &cp
	}
}

func (n *node) set(key, value []byte) *node {
	before, behind := n.split(key)
	return join(join(before, &node{key: key, value: value, priority: rand.Uint64()}), behind)
}

func (n *node) remove(key []byte) *node {
	if n.find(key) == nil {
		return n
	}
	return join(n.split(key))
}

// iterator walks a snapshot.
type iterator struct {
	root         *node
	lower, upper []byte  // a nil upper is no bound
	path         []*node // the current node last, before it those that come after it
	started      bool
}

func (it *iterator) Next() bool {
	if !it.started {
		return it.Seek(it.lower)
	}
	if len(it.path) == 0 {
		return false
	}
	n := it.path[len(it.path)-1].right
	it.path = it.path[:len(it.path)-1]
	for ; n != nil; n = n.left {
		it.path = append(it.path, n)
	}
	return it.within()
}

func (it *iterator) Seek(key []byte) bool {
	it.started = true
	if bytes.Compare(key, it.lower) < 0 {
		key = it.lower
	}
	it.path = it.path[:0]
	for n := it.root; n != nil; {
		if bytes.Compare(n.key, key) >= 0 {
			it.path = append(it.path, n)
			n = n.left
		} else {
			n = n.right
		}
	}
	return it.within()
}

// within ends the walk at the upper bound.
func (it *iterator) within() bool {
	if len(it.path) > 0 && it.upper != nil && bytes.Compare(it.Key(), it.upper) >= 0 {
		it.path = it.path[:0]
	}
	return len(it.path) > 0
}

func (it *iterator) Key() []byte   { return it.path[len(it.path)-1].key }
func (it *iterator) Value() []byte { return it.path[len(it.path)-1].value }
func (it *iterator) Err() error    { return nil }
func (it *iterator) Close() error  { return nil }
