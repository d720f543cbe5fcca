package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// A large fill can go on after a restart. Its filler saves now and then how far it came: a note, beside the unfinished body. The filler of the
// same key in a later process resumes it.
//
// A note is about the mirror setting that it was made under, and is worth nothing under another one. It is not about the key: a PUT or a DELETE
// ends the intent and leaves the note, as what the source had is no less right for it. Whether the source still has it is for the
// filler to find out, by the validator in its state.

const (
	// maxState bounds the state of a note, in bytes.
	maxState = 64 << 10
	// maxPartialAge is how long a note counts after it was saved.
	maxPartialAge = 7 * 24 * time.Hour
)

// SaveFill notes how far a fill has come, so that a later process can go on with it. The bytes that spool holds at the call are made durable
// first; then state, which is opaque to the store and at most 64 KiB, is noted beside the body's name. So what state says is there must have
// been written before the call. A later SaveFill of the same intent replaces it.
//
// It fails with object.ErrSuperseded when the fill cannot commit any more. After an error of the disk the spool can neither be
// noted nor committed; what was noted before stays. Not to be called at once with anything that ends the spool.
func (s *Store) SaveFill(ctx context.Context, i Intent, spool Spool, state []byte) error {
	return on("save fill", i.bucket.Name, i.key, s.saveFill(ctx, i, spool, state))
}

func (s *Store) saveFill(ctx context.Context, i Intent, spool Spool, state []byte) error {
	if len(state) > maxState {
		return fmt.Errorf("%w: state of %d bytes, at most %d", object.ErrInvalidArgument, len(state), maxState)
	}
	if _, _, err := s.unended(ctx, i); err != nil {
		return err // before the long work
	}
	size, err := spool.Sync()
	if err != nil {
		return storeErr(err)
	}
	return retry(ctx, func() error {
		conditions, revision, err := s.unended(ctx, i)
		if err != nil {
			return err
		}
		note, old, err := s.note(ctx, i)
		if err != nil {
			return err
		}
		p := partial{setting: revision, saved: time.Now().UTC(), body: spool.ID(), size: size, state: state}
		batch := &Batch{
			Require: append(conditions, unchanged(note, old)),
			Set:     []Record{{note, encodePartial(p)}},
		}
		for _, id := range noted(old) {
			if id != p.body { // of an earlier fill that was not resumed
				batch.Forget = append(batch.Forget, id)
			}
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
}

// unended is stands for those to whom it is all one what ended the fill.
func (s *Store) unended(ctx context.Context, i Intent) ([]Condition, uint64, error) {
	conditions, revision, err := s.stands(ctx, i)
	if errors.Is(err, object.ErrExists) {
		err = object.ErrSuperseded
	}
	return conditions, revision, err
}

// ResumeFill returns what SaveFill left of an earlier fill of the same key from the same mirror setting: its spool, to be written on, and its
// state. Of the spool's bytes only those count that the state speaks for, and they must not be written again with others: who finds that the
// source has something else by now discards the spool.
//
// ok is false when there is nothing, when another filler of this process has it, or when it cannot be used; then it is removed. It fails with
// object.ErrSuperseded when the fill cannot commit any more.
// The spool is the caller's: commit it by CommitFill, Discard it, or leave it again by LeaveFill.
func (s *Store) ResumeFill(ctx context.Context, i Intent) (spool Spool, state []byte, ok bool, err error) {
	err = retry(ctx, func() (err error) {
		spool, state, err = s.resumeFill(ctx, i)
		return err
	})
	return spool, state, spool != nil, on("resume fill", i.bucket.Name, i.key, err)
}

// resumeFill is one try. The spool is nil where there is nothing to resume.
func (s *Store) resumeFill(ctx context.Context, i Intent) (Spool, []byte, error) {
	_, revision, err := s.unended(ctx, i)
	if err != nil {
		return nil, nil, err
	}
	note, v, err := s.note(ctx, i)
	if err != nil || v == nil {
		return nil, nil, err
	}
	p, err := decodePartial(v)
	if err != nil || !p.usable(revision) {
		return nil, nil, s.dropPartial(ctx, note, v)
	}
	spool, err := s.e.Reopen(ctx, p.body, p.size)
	switch {
	case errors.Is(err, ErrTaken):
		return nil, nil, nil
	case errors.Is(err, object.ErrDamaged):
		return nil, nil, s.dropPartial(ctx, note, v)
	case err != nil:
		return nil, nil, storeErr(err)
	}
	// From here on nobody else can write the body, nor a note that names it. But one may have come before that:
	//   this reads the note,
	//   another filler resumes the body, saves more and leaves it again,
	//   this reopens the body by the old note.
	now, err := s.get(ctx, note)
	if err == nil && !same(v, now) {
		err = ErrConflict
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.leave(spool))
	}
	return spool, p.state, nil
}

// LeaveFill ends a fill that did not commit like EndFill, but keeps what SaveFill noted for a later process, or for the next filler of this
// one. The spool is the store's afterwards: it is closed, and discarded only if no note names it.
func (s *Store) LeaveFill(ctx context.Context, i Intent, spool Spool) error {
	err := s.leaveFill(ctx, i, spool)
	if s.release(i) {
		defer s.forget(i)
		err = errors.Join(err, retry(ctx, func() error { return s.endFill(ctx, i, nil, nil) }))
	}
	return on("leave fill", i.bucket.Name, i.key, err)
}

func (s *Store) leaveFill(ctx context.Context, i Intent, spool Spool) error {
	if err := s.leave(spool); err != nil {
		return err
	}
	// First it is left, then the note is looked for: whoever removes the note in between removes the body as well, or finds it still taken, and
	// then this finds no note. It is done even if the caller's time is over, as nobody else would look for the body.
	ctx = context.WithoutCancel(ctx)
	_, v, err := s.note(ctx, i)
	if err != nil {
		return err
	}
	for _, id := range noted(v) {
		if id == spool.ID() {
			return nil
		}
	}
	return storeErr(s.e.Apply(ctx, &Batch{Forget: []BodyID{spool.ID()}, NoSync: true}))
}

// leave leaves the spool, or gives it up if that fails.
func (s *Store) leave(spool Spool) error {
	if err := spool.Leave(); err != nil {
		return storeErr(errors.Join(err, spool.Discard()))
	}
	return nil
}

// note returns the key and the record, nil if there is none, of what is noted of the key of i.
func (s *Store) note(ctx context.Context, i Intent) (key, value []byte, err error) {
	key = partialKey(i.bucket.ID, i.key)
	value, err = s.get(ctx, key)
	return key, value, err
}

// noted returns the body that the record of a note names; none if there is no record, or a damaged one.
func noted(v []byte) []BodyID {
	if p, err := decodePartial(v); err == nil {
		return []BodyID{p.body}
	}
	return nil
}

// usable reports whether a note counts under a mirror setting of that revision.
func (p partial) usable(revision uint64) bool {
	return p.setting == revision && time.Since(p.saved) <= maxPartialAge
}

// wasLeft reports whether the body that a note names is there, and nobody's.
func (s *Store) wasLeft(ctx context.Context, v []byte) bool {
	p, err := decodePartial(v)
	if err != nil {
		return false
	}
	spool, err := s.e.Reopen(ctx, p.body, p.size)
	return err == nil && s.leave(spool) == nil
}

// dropPartial removes a note and the unfinished body that it names, unless the note is another one by now.
func (s *Store) dropPartial(ctx context.Context, note, v []byte) error {
	err := s.e.Apply(ctx, &Batch{Require: []Condition{unchanged(note, v)}, Delete: [][]byte{note}, Forget: noted(v), NoSync: true})
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return storeErr(err)
}

// dropPartials removes all notes in [lower, upper), with the unfinished bodies that they name.
func (s *Store) dropPartials(ctx context.Context, lower, upper []byte) error {
	return s.eachPartial(ctx, lower, upper, func(note, v []byte) error { return s.dropPartial(ctx, note, v) })
}

// recoverPartials removes the notes that nobody will resume, and returns the bodies that the others name.
func (s *Store) recoverPartials(ctx context.Context) (map[BodyID]bool, error) {
	buckets, err := s.bucketsByID(ctx)
	if err != nil {
		return nil, err
	}
	spare := make(map[BodyID]bool)
	err = s.eachPartial(ctx, []byte{spacePartial}, []byte{spacePartial + 1}, func(note, v []byte) error {
		p, err := decodePartial(v)
		good := false
		if err == nil {
			good, err = s.resumable(ctx, buckets, note, p)
			if err != nil {
				return err
			}
		}
		if !good {
			return s.dropPartial(ctx, note, v)
		}
		spare[p.body] = true
		return nil
	})
	return spare, err
}

// resumable reports whether anybody can resume p, which was noted under note.
func (s *Store) resumable(ctx context.Context, buckets map[uint64]Bucket, note []byte, p partial) (bool, error) {
	bucket, key := split(note)
	b, ok := buckets[bucket]
	if !ok {
		return false, nil
	}
	if old, err := s.get(ctx, objectKey(bucket, key)); err != nil || old != nil {
		return false, err
	}
	_, _, revision, _, err := s.mirrorRecord(ctx, b)
	if err != nil {
		return ctx.Err() == nil, ctx.Err() // nothing can be said against it; nobody can fill either
	}
	if !p.usable(revision) {
		return false, nil
	}
	spool, err := s.e.Reopen(ctx, p.body, p.size)
	switch {
	case errors.Is(err, ErrTaken):
		return true, nil
	case errors.Is(err, object.ErrDamaged):
		return false, nil
	case err != nil:
		return false, storeErr(err)
	}
	return true, s.leave(spool)
}

// eachPartial calls do with the key and the record of every note in [lower, upper), as they are at the call.
func (s *Store) eachPartial(ctx context.Context, lower, upper []byte, do func(note, v []byte) error) error {
	keys, err := s.keys(ctx, lower, upper, -1)
	if err != nil {
		return err
	}
	for _, note := range keys {
		v, err := s.get(ctx, note)
		if err == nil && v != nil {
			err = do(note, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
