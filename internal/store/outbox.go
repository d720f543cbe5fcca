package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// The outbox is what is still to be told about changes of objects. A record for each event and lane is written in the batch of the change itself, so
// that a crash neither loses nor invents one, and is removed by the consumer when it is done with it. So a consumer may see an event twice, when the
// server ends between the two.

// EventKind says what happened to an object.
type EventKind byte

// The kinds are written to disk: they keep their numbers.
const (
	// Created: the key has a new object, by a PUT, a fill, a copy or an append.
	Created EventKind = 1
	// Deleted: the object under the key is gone.
	Deleted EventKind = 2
	// Completed: the key has a new object, of the parts of a multipart upload.
	Completed EventKind = 3
	// Aborted: a multipart upload of the key was given up. Nothing under the key changed.
	Aborted EventKind = 4
)

// Event is one change of an object.
type Event struct {
	Kind   EventKind
	Bucket string // its name
	Key    string
	// ETag and Size are those of the new object, or of the one that is gone. Zero for an upload that was given up.
	ETag string
	Size int64
	// At is when it happened, UTC. Of two events of a key, the later one has the later time.
	At time.Time
	Cause

	id, record []byte
}

// Cause is who brought a change about. The zero value is the server itself.
type Cause struct {
	// Principal is the user who asked for it, "" for nobody, and RequestID the request that he did so with.
	Principal, RequestID string
	// Replica: it repeats a change in another bucket, so it is not repeated further.
	Replica bool
	// Derived: the server made the object of another one that had changed, so it makes nothing of it in turn.
	Derived bool
}

type causeKey struct{}

// WithCause returns a context whose changes have the cause c.
func WithCause(ctx context.Context, c Cause) context.Context {
	return context.WithValue(ctx, causeKey{}, c)
}

// Consumer is told what happens in the buckets whose setting asks for that.
type Consumer struct {
	// Tag stands for the consumer in keys of records. No two have the same, and none is ever used for another one.
	Tag byte
	// Setting is the name of the document that switches the consumer on for a bucket.
	Setting string
	// Lanes reads such a document and returns which lanes an event goes to; none means that nobody wants it. The events of a lane are in order; a
	// lane that cannot go on holds up no other. What it returns is kept and used by many goroutines at once.
	Lanes func(doc []byte) (func(Event) []string, error)
	// MaxPending bounds the events that wait in a lane; what comes beyond is lost, and counted. 0 means 10,000.
	MaxPending int64

	mu    sync.RWMutex // guards lanes
	lanes map[uint64]switched
}

// switched is a bucket's setting of a consumer as it was read last.
type switched struct {
	revision uint64
	lanes    func(Event) []string // nil: the document cannot be read
}

// maxSwitched bounds the buckets whose settings are remembered; beyond it all are forgotten.
const maxSwitched = 10_000

// Queue is a lane of a consumer for one bucket. It is comparable.
type Queue struct {
	// Bucket is the bucket's ID.
	Bucket uint64
	Lane   string
	tag    byte
}

// Backlog is what waits in a queue.
type Backlog struct {
	Queue
	Pending int64
	// Lost is how many events the queue had no room for since Admit.
	Lost int64
}

// What a queue has in the store, by the byte behind its name.
const (
	queuePending = 0 // a counter
	queueLost    = 1 // a counter
	queueEvent   = 2 // and a time → an event
)

// name is what the keys of a queue's records begin with.
func (q Queue) name() []byte {
	k := within(spaceOutbox, q.Bucket, string([]byte{q.tag}))
	k = binary.BigEndian.AppendUint16(k, uint16(len(q.Lane)))
	return append(k, q.Lane...)
}

func (q Queue) counter(what byte) []byte { return append(q.name(), what) }

func (q Queue) event(stamp int64) []byte {
	return binary.BigEndian.AppendUint64(q.counter(queueEvent), uint64(stamp))
}

// queueOf reads the queue of a record's key, and what the record is.
func queueOf(k []byte) (q Queue, what byte, ok bool) {
	if len(k) < 1+8+1+2 {
		return Queue{}, 0, false
	}
	q = Queue{Bucket: binary.BigEndian.Uint64(k[1:]), tag: k[9]}
	n := int(binary.BigEndian.Uint16(k[10:]))
	if len(k) < 12+n+1 {
		return Queue{}, 0, false
	}
	q.Lane = string(k[12 : 12+n])
	return q, k[12+n], true
}

// happened adds to batch what the bucket's consumers will be told: kind happened to key, whose object is now next, or was old (nil: there is none).
// It comes after the look at what is changed, in every try: then of two changes of a key the one that is applied later has the later time.
func (s *Store) happened(ctx context.Context, b Bucket, key string, kind EventKind, old, next *object.Meta, batch *Batch) error {
	if len(s.consumers) == 0 {
		return nil
	}
	e := Event{Kind: kind, Bucket: b.Name, Key: key}
	e.Cause, _ = ctx.Value(causeKey{}).(Cause)
	for _, m := range [...]*object.Meta{next, old} {
		if m != nil {
			e.ETag, e.Size = m.ETag, m.Size
			break
		}
	}
	for _, c := range s.consumers {
		lanes, err := s.lanes(ctx, c, b)
		if err != nil {
			return err
		}
		if lanes == nil {
			continue
		}
		for _, lane := range lanes(e) {
			q := Queue{Bucket: b.ID, Lane: lane, tag: c.Tag}
			v, err := s.get(ctx, q.counter(queuePending))
			if err != nil {
				return err
			}
			// A few more than that may get in, when many come at once.
			if pending, err := counter(v); err == nil && pending >= c.MaxPending {
				batch.Add = append(batch.Add, Delta{q.counter(queueLost), 1})
				continue
			}
			stamp := s.stamp()
			e.At = time.Unix(0, stamp).UTC()
			batch.Set = append(batch.Set[:len(batch.Set):len(batch.Set)], Record{q.event(stamp), encodeEvent(e)})
			batch.Add = append(batch.Add, Delta{q.counter(queuePending), 1})
		}
	}
	return nil
}

// lanes returns how the bucket's events go to c; nil if the bucket does not have it switched on.
func (s *Store) lanes(ctx context.Context, c *Consumer, b Bucket) (func(Event) []string, error) {
	v, err := s.get(ctx, settingKey(b.ID, c.Setting))
	if err != nil || v == nil {
		return nil, err
	}
	revision, doc, err := decodeSetting(v)
	if errors.Is(err, object.ErrDamaged) {
		return nil, nil // it must be possible to write to the bucket all the same
	}
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	known, ok := c.lanes[b.ID]
	c.mu.RUnlock()
	if ok && known.revision == revision {
		return known.lanes, nil
	}
	known = switched{revision: revision}
	if known.lanes, err = c.Lanes(doc); err != nil {
		known.lanes = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes == nil || len(c.lanes) >= maxSwitched {
		c.lanes = make(map[uint64]switched)
	}
	c.lanes[b.ID] = known
	return known.lanes, nil
}

// stamp returns the time in nanoseconds, and never the same or an earlier one again.
func (s *Store) stamp() int64 {
	for {
		last := s.stamped.Load()
		now := max(time.Now().UnixNano(), last+1)
		if s.stamped.CompareAndSwap(last, now) {
			return now
		}
	}
}

// apply applies a batch, wakes those who wait for events if it has any, and removes what it makes garbage. Whether that succeeds concerns nobody who
// waits for the batch: nobody finds it any more.
func (s *Store) apply(ctx context.Context, batch *Batch) error {
	if err := s.e.Apply(ctx, batch); err != nil {
		return storeErr(err)
	}
	if slices.ContainsFunc(batch.Set, func(r Record) bool { return r.Key[0] == spaceOutbox }) {
		s.wake()
	}
	for _, r := range batch.Set {
		if r.Key[0] == spaceGarbage {
			_ = s.collect(context.WithoutCancel(ctx), r.Key) // what is left, the next start removes
		}
	}
	return nil
}

func (s *Store) wake() {
	s.news.Lock()
	defer s.news.Unlock()
	close(s.news.more)
	s.news.more = make(chan struct{})
}

// News returns a channel that is closed when further events come in. Ask for it before looking.
func (s *Store) News() <-chan struct{} {
	s.news.Lock()
	defer s.news.Unlock()
	return s.news.more
}

// Waiting returns the queues of the consumer in which there is something to do, by bucket.
func (s *Store) Waiting(ctx context.Context, tag byte) ([]Backlog, error) {
	list, err := s.waiting(ctx, tag)
	if err != nil {
		return nil, fmt.Errorf("look for events: %w", err)
	}
	return list, nil
}

func (s *Store) waiting(ctx context.Context, tag byte) ([]Backlog, error) {
	it, err := s.e.Scan(ctx, []byte{spaceOutbox}, []byte{spaceOutbox + 1})
	if err != nil {
		return nil, storeErr(err)
	}
	defer it.Close()
	var list []Backlog
	for ok := it.Next(); ok; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q, what, valid := queueOf(it.Key())
		switch {
		case !valid:
			ok = it.Next()
		case q.tag < tag:
			ok = it.Seek(within(spaceOutbox, q.Bucket, string([]byte{tag})))
		case q.tag > tag:
			ok = it.Seek(after(within(spaceOutbox, q.Bucket, "")))
		case what == queueEvent:
			if len(list) == 0 || list[len(list)-1].Queue != q {
				list = append(list, Backlog{Queue: q, Pending: 1}) // its counter is wrong: there is something
			}
			ok = it.Seek(after(q.counter(queueEvent)))
		default:
			n, err := counter(it.Value())
			if err != nil {
				return nil, err
			}
			if len(list) == 0 || list[len(list)-1].Queue != q {
				list = append(list, Backlog{Queue: q})
			}
			if what == queuePending {
				list[len(list)-1].Pending = n
			} else {
				list[len(list)-1].Lost = n
			}
			ok = it.Next()
		}
	}
	return list, storeErr(it.Err())
}

// Events returns the first events of a queue, limit at most, the oldest first. It skips what cannot be read, up to the first that can: that was
// lost, and counts as done.
func (s *Store) Events(ctx context.Context, q Queue, limit int) ([]Event, error) {
	list, err := s.events(ctx, q, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return list, nil
}

func (s *Store) events(ctx context.Context, q Queue, limit int) ([]Event, error) {
	lower := q.counter(queueEvent)
	it, err := s.e.Scan(ctx, lower, after(lower))
	if err != nil {
		return nil, storeErr(err)
	}
	defer it.Close()
	var list, damaged []Event
	for len(list) < limit && it.Next() {
		e, err := decodeEvent(it.Value())
		e.id, e.record = bytes.Clone(it.Key()), bytes.Clone(it.Value())
		if errors.Is(err, object.ErrDamaged) {
			damaged = append(damaged, e)
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	if err := it.Err(); err != nil {
		return nil, storeErr(err)
	}
	return list, s.done(ctx, q, damaged)
}

// Done removes events that Events returned from their queue. Those that are gone count as removed.
func (s *Store) Done(ctx context.Context, q Queue, events ...Event) error {
	if err := s.done(ctx, q, events); err != nil {
		return fmt.Errorf("remove events: %w", err)
	}
	return nil
}

func (s *Store) done(ctx context.Context, q Queue, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	pending := q.counter(queuePending)
	return retry(ctx, func() error {
		batch := &Batch{}
		for _, e := range events {
			// With the bucket, its events go: then nothing may be counted.
			if v, err := s.get(ctx, e.id); err != nil {
				return err
			} else if same(v, e.record) {
				batch.Require = append(batch.Require, unchanged(e.id, e.record))
				batch.Delete = append(batch.Delete, e.id)
			}
		}
		n := int64(len(batch.Delete))
		if n == 0 {
			return nil
		}
		v, err := s.get(ctx, pending)
		if err != nil {
			return err
		}
		if left, err := counter(v); err != nil || left <= n {
			// Nothing is left of a queue that is empty.
			batch.Require = append(batch.Require, unchanged(pending, v))
			batch.Delete = append(batch.Delete, pending)
		} else {
			batch.Add = []Delta{{pending, -n}}
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
}

// Admit sets the count of a queue's lost events back: the consumer knows. It returns what it was.
func (s *Store) Admit(ctx context.Context, q Queue) (lost int64, err error) {
	key := q.counter(queueLost)
	err = retry(ctx, func() error {
		v, err := s.get(ctx, key)
		if err != nil {
			return err
		}
		if lost, err = counter(v); v == nil || err != nil {
			return err
		}
		return storeErr(s.e.Apply(ctx, &Batch{Require: []Condition{unchanged(key, v)}, Delete: [][]byte{key}}))
	})
	if err != nil {
		return 0, fmt.Errorf("look for lost events: %w", err)
	}
	return lost, nil
}

// DropQueue forgets all that is in a queue: its bucket, or its lane, is gone.
func (s *Store) DropQueue(ctx context.Context, q Queue) error {
	if err := s.clear(ctx, q.name(), append(q.name(), queueEvent+1)); err != nil {
		return fmt.Errorf("drop events: %w", err)
	}
	return nil
}

// recoverStamps makes sure that new events are later than all that wait, also when the clock was set back.
func (s *Store) recoverStamps(ctx context.Context) error {
	it, err := s.e.Scan(ctx, []byte{spaceOutbox}, []byte{spaceOutbox + 1})
	if err != nil {
		return storeErr(err)
	}
	defer it.Close()
	for it.Next() {
		k := it.Key()
		if _, what, ok := queueOf(k); ok && what == queueEvent {
			s.stamped.Store(max(s.stamped.Load(), int64(binary.BigEndian.Uint64(k[len(k)-8:]))))
		}
	}
	return storeErr(it.Err())
}

// The flags of an event.
const (
	isReplica = 1 << iota
	isDerived
)

// eventVersion is the version of the format of these records.
const eventVersion = 1

func encodeEvent(e Event) []byte {
	b := make([]byte, 0, 128+len(e.Key))
	b = append(b, eventVersion, byte(e.Kind))
	b = appendString(b, e.Bucket)
	b = appendString(b, e.Key)
	b = appendString(b, e.ETag)
	b = binary.AppendVarint(b, e.Size)
	b = appendTime(b, e.At)
	b = appendString(b, e.Principal)
	b = appendString(b, e.RequestID)
	var flags byte
	if e.Replica {
		flags |= isReplica
	}
	if e.Derived {
		flags |= isDerived
	}
	return seal(append(b, flags))
}

func decodeEvent(v []byte) (Event, error) {
	r, err := unseal("event", eventVersion, v)
	if err != nil {
		return Event{}, err
	}
	e := Event{Kind: EventKind(r.byte()), Bucket: r.string(), Key: r.string(), ETag: r.string(), Size: r.varint(), At: r.time()}
	e.Cause = Cause{Principal: r.string(), RequestID: r.string()}
	flags := r.byte()
	e.Replica, e.Derived = flags&isReplica != 0, flags&isDerived != 0
	if err := r.end(); err != nil {
		return Event{}, err
	}
	return e, nil
}
