package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Bucket is a bucket as stored.
type Bucket struct {
	ID      uint64 // never used twice: a bucket made again under the same name is another one
	Name    string
	Owner   string
	Zone    string
	Created time.Time // UTC
	// Settings are which settings the bucket may have, as of when it was looked up.
	Settings SettingSet
}

// SettingSet is a set of the names of settings, that may have more in it than were put there. It saves requests the look for settings that most
// buckets do not have.
type SettingSet uint64

// anySetting is for buckets of which it is not known.
const anySetting = ^SettingSet(0)

// May reports whether name may be in the set.
func (s SettingSet) May(name string) bool { return s&settingBit(name) != 0 }

// settingBit is the place of a name. Two names may share one.
func settingBit(name string) SettingSet {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it never fails
	return 1 << (h.Sum32() % 64)
}

// CreateBucket makes an empty bucket. It fails with object.ErrBucketExists.
func (s *Store) CreateBucket(ctx context.Context, name, owner, zone string) (Bucket, error) {
	return s.CreateBucketWithin(ctx, name, owner, zone, 0)
}

// CreateBucketWithin is CreateBucket that fails with object.ErrTooManyBuckets if the owner has most buckets already; 0 is any number.
func (s *Store) CreateBucketWithin(ctx context.Context, name, owner, zone string, most int) (Bucket, error) {
	key, next := bucketKey(name), []byte{spaceNext}
	var b Bucket
	err := retry(ctx, func() error {
		old, err := s.get(ctx, key)
		if err != nil {
			return err
		}
		if old != nil {
			return object.ErrBucketExists
		}
		last, err := s.get(ctx, next)
		if err != nil {
			return err
		}
		id, err := counter(last)
		if err != nil {
			return err
		}
		if most > 0 {
			// No other bucket comes in between this look and the batch: each changes the last ID.
			n, err := s.countBuckets(ctx, owner)
			if err != nil {
				return err
			}
			if n >= most {
				return object.ErrTooManyBuckets
			}
		}
		b = Bucket{ID: uint64(id) + 1, Name: name, Owner: owner, Zone: zone, Created: time.Now().UTC()}
		return storeErr(s.e.Apply(ctx, &Batch{
			Require: []Condition{unchanged(key, nil), unchanged(next, last)},
			Set: []Record{
				{key, encodeBucket(b)},
				{next, binary.BigEndian.AppendUint64(nil, b.ID)},
				{usageKey(b.ID, usageClasses), number(1)},
			},
		}))
	})
	if err != nil {
		return Bucket{}, on("create bucket", name, "", err)
	}
	return b, nil
}

// countBuckets counts the buckets of an owner whose records can be read.
func (s *Store) countBuckets(ctx context.Context, owner string) (n int, err error) {
	err = s.each(ctx, []byte{spaceBucket}, []byte{spaceBucket + 1}, func(_, v []byte) (bool, error) {
		b, err := decodeBucket(v)
		if err == nil && b.Owner == owner {
			n++
		}
		return true, nil
	})
	return n, err
}

// Bucket returns the bucket of that name, or object.ErrNoSuchBucket.
func (s *Store) Bucket(ctx context.Context, name string) (Bucket, error) {
	v, err := s.get(ctx, bucketKey(name))
	if err == nil && v == nil {
		err = object.ErrNoSuchBucket
	}
	if err != nil {
		return Bucket{}, on("look up bucket", name, "", err)
	}
	b, err := decodeBucket(v)
	if err != nil {
		return Bucket{}, on("look up bucket", name, "", err)
	}
	return b, nil
}

// Buckets returns all buckets by name, in byte order.
func (s *Store) Buckets(ctx context.Context) ([]Bucket, error) {
	it, err := s.e.Scan(ctx, []byte{spaceBucket}, []byte{spaceBucket + 1})
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", storeErr(err))
	}
	defer it.Close()
	var list []Bucket
	for it.Next() {
		b, err := decodeBucket(it.Value())
		if err != nil {
			return nil, on("list buckets", string(it.Key()[1:]), "", err)
		}
		list = append(list, b)
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("list buckets: %w", storeErr(err))
	}
	return list, nil
}

// DeleteBucket removes a bucket with its settings, its domains, its counters, its fill intents, its unfinished uploads and what is noted of its unfinished fills. It
// fails with object.ErrBucketNotEmpty, or with object.ErrNoSuchBucket when b is gone, even if there is another bucket of its name.
func (s *Store) DeleteBucket(ctx context.Context, b Bucket) error {
	settings, settingsEnd := span(spaceSetting, b.ID)
	usage, usageEnd := span(spaceUsage, b.ID)
	intents, intentsEnd := span(spaceIntent, b.ID)
	partials, partialsEnd := span(spacePartial, b.ID)
	objects, objectsEnd := span(spaceObject, b.ID)
	versions, versionsEnd := span(spaceVersion, b.ID)
	outbox, outboxEnd := span(spaceOutbox, b.ID)
	states, statesEnd := span(spaceState, b.ID)
	journal, journalEnd := span(spaceJournal, b.ID)
	err := retry(ctx, func() error {
		key, v, err := s.bucketRecord(ctx, b)
		if err != nil {
			return err
		}
		for _, r := range [...][2][]byte{{objects, objectsEnd}, {versions, versionsEnd}} {
			some, err := s.keys(ctx, r[0], r[1], 1)
			if err != nil {
				return err
			}
			if len(some) > 0 {
				return object.ErrBucketNotEmpty
			}
		}
		batch := &Batch{
			Require: []Condition{unchanged(key, v), {Key: objects, Until: objectsEnd}, {Key: versions, Until: versionsEnd}},
			Delete:  [][]byte{key},
			Set:     []Record{garbageUploads(b.ID)}, // of which none can come in after this, as they all require the bucket's record
		}
		for _, r := range [...][2][]byte{{settings, settingsEnd}, {usage, usageEnd}, {intents, intentsEnd}} {
			keys, err := s.keys(ctx, r[0], r[1], -1)
			if err != nil {
				return err
			}
			batch.Delete = append(batch.Delete, keys...)
		}
		err = s.eachPartial(ctx, partials, partialsEnd, func(note, v []byte) error {
			batch.Delete, batch.Forget = append(batch.Delete, note), append(batch.Forget, noted(v)...)
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.freeDomains(ctx, batch, b.ID); err != nil {
			return err
		}
		return s.apply(ctx, batch)
	})
	if err != nil {
		return on("delete bucket", b.Name, "", err)
	}
	// A setting, an intent, a domain or a note may have come in after the look above and before the batch. Nobody finds it, as the ID is never used
	// again, and none can follow, as they all require the bucket's record. So the bucket is gone whether or not this succeeds.
	// Nor is there anybody left who could be told what happened in it.
	err = errors.Join(s.clear(ctx, settings, settingsEnd), s.clear(ctx, intents, intentsEnd), s.dropPartials(ctx, partials, partialsEnd),
		s.clear(ctx, outbox, outboxEnd), s.clear(ctx, states, statesEnd), s.clear(ctx, journal, journalEnd), s.dropDomains(ctx, b.ID))
	if err != nil && ctx.Err() == nil {
		return on("delete bucket", b.Name, "", err)
	}
	return nil
}

// bucketsByID returns all buckets whose records can be read.
func (s *Store) bucketsByID(ctx context.Context) (map[uint64]Bucket, error) {
	it, err := s.e.Scan(ctx, []byte{spaceBucket}, []byte{spaceBucket + 1})
	if err != nil {
		return nil, storeErr(err)
	}
	defer it.Close()
	all := make(map[uint64]Bucket)
	for it.Next() {
		if b, err := decodeBucket(it.Value()); err == nil {
			all[b.ID] = b
		}
	}
	return all, storeErr(it.Err())
}

// bucketRecord returns the record of b, for a condition, or object.ErrNoSuchBucket if b itself is gone.
func (s *Store) bucketRecord(ctx context.Context, b Bucket) (key, value []byte, err error) {
	key = bucketKey(b.Name)
	value, err = s.get(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	if value == nil {
		return nil, nil, object.ErrNoSuchBucket
	}
	now, err := decodeBucket(value)
	if err != nil {
		return nil, nil, err
	}
	if now.ID != b.ID {
		return nil, nil, object.ErrNoSuchBucket
	}
	return key, value, nil
}

// isGone reports whether err says that there is no such bucket.
func isGone(err error) bool { return errors.Is(err, object.ErrNoSuchBucket) }

// same reports whether two records are the same, a missing one (nil) included.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
