package store

import (
	"bytes"
	"context"
	"errors"

	"github.com/cisternhq/cistern/internal/object"
)

// Intent is a running fill, as BeginFill noted it. The zero value is none: it never commits.
type Intent struct {
	bucket Bucket
	key    string
	record []byte // as it is in the store
}

// fillID names an intent among those that this process holds.
type fillID struct{ key, record string }

func (i Intent) id() fillID { return fillID{string(intentKey(i.bucket.ID, i.key)), string(i.record)} }

// BeginFill notes in the store that key is being filled from what setting, the bucket's mirror document, says.
// A second filler of the same key shares the intent of the first: either may commit, and what ends one ends the other.
//
// It fails with object.ErrExists when the key is there already (the second look of a fill), object.ErrNoSuchBucket when the bucket
// is gone, and object.ErrSuperseded when the mirror setting is another one by now.
// The intent need not survive a crash: a fill does not.
func (s *Store) BeginFill(ctx context.Context, b Bucket, key string, setting []byte) (Intent, error) {
	var i Intent
	err := object.CheckKey(key)
	if err == nil {
		err = retry(ctx, func() (err error) {
			i, err = s.beginFill(ctx, b, key, setting)
			return err
		})
	}
	if err != nil {
		return Intent{}, on("begin fill", b.Name, key, err)
	}
	return i, nil
}

func (s *Store) beginFill(ctx context.Context, b Bucket, key string, setting []byte) (Intent, error) {
	bucket, bv, err := s.bucketRecord(ctx, b)
	if err != nil {
		return Intent{}, err
	}
	rec, ik := objectKey(b.ID, key), intentKey(b.ID, key)
	if old, err := s.get(ctx, rec); err != nil {
		return Intent{}, err
	} else if old != nil {
		return Intent{}, object.ErrExists
	}
	mk, mv, revision, doc, err := s.mirrorRecord(ctx, b)
	if err != nil {
		return Intent{}, err
	}
	if !bytes.Equal(doc, setting) {
		return Intent{}, object.ErrSuperseded
	}
	standing, err := s.get(ctx, ik)
	if err != nil {
		return Intent{}, err
	}
	if standing != nil {
		was, err := decodeIntent(standing)
		if i := (Intent{bucket: b, key: key, record: standing}); err == nil && was.setting == revision && s.hold(i) {
			// From here on nobody removes it. Somebody may have, since it was read.
			if again, err := s.get(ctx, ik); err == nil && same(again, standing) {
				return i, nil
			}
			if s.release(i) {
				s.forget(i)
			}
			return Intent{}, ErrConflict
		}
		// It is of a fill that is about to be forgotten, or from another setting and cannot commit any more, or damaged: this one takes
		// its place.
	}
	i := Intent{bucket: b, key: key, record: encodeIntent(intent{token: random(), setting: revision})}
	s.hold(i)
	err = s.e.Apply(ctx, &Batch{
		Require: []Condition{unchanged(bucket, bv), unchanged(rec, nil), unchanged(mk, mv), unchanged(ik, standing)},
		Set:     []Record{{ik, i.record}},
		NoSync:  true,
	})
	if err != nil {
		if s.release(i) {
			s.forget(i)
		}
		return Intent{}, storeErr(err)
	}
	return i, nil
}

// CommitFill makes spool the object if the key is still absent and the intent still stands. It fails with object.ErrExists after a PUT or a
// commit of another filler, and with object.ErrSuperseded after a DELETE of the key, a change of the mirror setting
// or a deletion of the bucket. When it returns nil, the object will survive a crash.
// The spool is the store's afterwards, also on failure: it is discarded. A fill whose commit failed is still to be ended with EndFill;
// after a success that is not needed, and harmless.
func (s *Store) CommitFill(ctx context.Context, i Intent, m object.Meta, spool Spool) error {
	batch, at, err := newObject(i.key, &m, spool)
	if err == nil {
		err = retry(ctx, func() error { return s.commitFill(ctx, i, &m, at, batch) })
	}
	if err != nil || m.Size == 0 {
		_ = spool.Discard() // what it cannot remove now is swept at the next start
	}
	if err == nil && s.release(i) {
		s.forget(i)
	}
	return on("commit fill", i.bucket.Name, i.key, err)
}

// commitFill is one try. It looks before it applies, because a refused batch does not say which of its conditions failed.
func (s *Store) commitFill(ctx context.Context, i Intent, m *object.Meta, at place, batch Batch) error {
	conditions, _, err := s.stands(ctx, i)
	if err != nil {
		return err
	}
	note, v, err := s.note(ctx, i)
	if err != nil {
		return err
	}
	batch.Require = append(conditions, unchanged(note, v))
	if err := s.replace(ctx, i.bucket, i.key, &change{kind: Created, next: m, at: at}, &batch); err != nil {
		return err
	}
	batch.delete(intentKey(i.bucket.ID, i.key))
	if v != nil {
		// It may name another body than this one, of a filler that runs beside or before. Nobody needs that any more.
		batch.delete(note)
		batch.Forget = noted(v)
	}
	return s.apply(ctx, &batch)
}

// stands returns the conditions under which a fill may change anything, and the revision of its mirror setting. It fails with object.ErrExists
// when the key has an object, and with object.ErrSuperseded when anything else ended the fill.
func (s *Store) stands(ctx context.Context, i Intent) ([]Condition, uint64, error) {
	b := i.bucket
	bucket, bv, err := s.bucketRecord(ctx, b)
	if errors.Is(err, object.ErrNoSuchBucket) {
		return nil, 0, object.ErrSuperseded
	}
	if err != nil {
		return nil, 0, err
	}
	rec, ik := objectKey(b.ID, i.key), intentKey(b.ID, i.key)
	if old, err := s.get(ctx, rec); err != nil {
		return nil, 0, err
	} else if old != nil {
		return nil, 0, object.ErrExists
	}
	standing, err := s.get(ctx, ik)
	if err != nil {
		return nil, 0, err
	}
	if standing == nil || !same(standing, i.record) {
		return nil, 0, object.ErrSuperseded
	}
	was, err := decodeIntent(standing)
	if err != nil {
		return nil, 0, err
	}
	mk, mv, revision, _, err := s.mirrorRecord(ctx, b)
	if err != nil {
		return nil, 0, err
	}
	if revision != was.setting {
		return nil, 0, object.ErrSuperseded
	}
	return []Condition{unchanged(bucket, bv), unchanged(rec, nil), unchanged(mk, mv), unchanged(ik, standing)}, revision, nil
}

// EndFill forgets the intent of a fill that did not commit, once every filler that shares it has ended, and what SaveFill noted of it. The caller
// discards the spool, before or after. What an earlier fill left, and this one did not resume, stays for the next.
func (s *Store) EndFill(ctx context.Context, i Intent) error {
	if !s.release(i) {
		return nil
	}
	defer s.forget(i)
	err := retry(ctx, func() error {
		note, v, err := s.note(ctx, i)
		if err != nil {
			return err
		}
		if v != nil && s.wasLeft(ctx, v) {
			v = nil
		}
		return s.endFill(ctx, i, note, v)
	})
	return on("end fill", i.bucket.Name, i.key, err)
}

// endFill removes the intent, if it still stands, and with it the note, unless v is nil.
func (s *Store) endFill(ctx context.Context, i Intent, note, v []byte) error {
	ik := intentKey(i.bucket.ID, i.key)
	standing, err := s.get(ctx, ik)
	if err != nil {
		return err
	}
	if standing == nil || !same(standing, i.record) {
		return nil // it was ended already, or a later fill has its own
	}
	batch := &Batch{
		Require: []Condition{unchanged(ik, i.record)},
		Delete:  [][]byte{ik},
		NoSync:  true,
	}
	if v != nil {
		batch.Require = append(batch.Require, unchanged(note, v))
		batch.Delete = append(batch.Delete, note)
		batch.Forget = noted(v)
	}
	return storeErr(s.e.Apply(ctx, batch))
}

// ending is the count of an intent that its last filler is about to remove. Nobody may share it any more:
//
//	filler 1: EndFill counts down to nobody
//	filler 2:                               BeginFill reads the intent, counts itself
//	filler 1:                                                                        removes the intent, and filler 2 never commits
const ending = -1

// hold counts a filler of i, unless i is ending.
func (s *Store) hold(i Intent) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := i.id()
	if s.fills[id] == ending {
		return false
	}
	s.fills[id]++
	return true
}

// release counts a filler of i less, and reports whether it was the last one; who is told so removes what stands of i, and then forgets it.
func (s *Store) release(i Intent) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := i.id()
	switch n := s.fills[id]; {
	case n > 1:
		s.fills[id] = n - 1
		return false
	case n == 1:
		s.fills[id] = ending
		return true
	}
	return false
}

// forget ends the ending of i.
func (s *Store) forget(i Intent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fills, i.id())
}
