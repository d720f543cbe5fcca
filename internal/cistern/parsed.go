package cistern

import (
	"bytes"
	"sync"
)

// parsed keeps what the settings documents of buckets say, so that a hit does not decode the same JSON each time. It is never out of date: the
// store is asked for the document all the same, and another document is decoded anew. What it returns is shared and must not be changed.
type parsed[T any] struct {
	mu    sync.RWMutex // guards docs, bytes
	docs  map[uint64]entry[T]
	bytes int // of all documents
}

type entry[T any] struct {
	doc   []byte
	value T
}

// maxParsed and maxParsedBytes bound the buckets that are remembered, and their documents; beyond either all are forgotten.
const (
	maxParsed      = 10_000
	maxParsedBytes = 8 << 20
)

// get returns what doc, a document of the bucket, says, by decode if that is not known.
func (p *parsed[T]) get(bucket uint64, doc []byte, decode func([]byte) (T, error)) (T, error) {
	p.mu.RLock()
	e, ok := p.docs[bucket]
	p.mu.RUnlock()
	if ok && bytes.Equal(e.doc, doc) {
		return e.value, nil
	}
	value, err := decode(doc)
	if err != nil {
		return value, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += len(doc) - len(p.docs[bucket].doc)
	if p.docs == nil || len(p.docs) >= maxParsed || p.bytes > maxParsedBytes {
		p.docs, p.bytes = make(map[uint64]entry[T]), len(doc)
	}
	p.docs[bucket] = entry[T]{bytes.Clone(doc), value}
	return value, nil
}
