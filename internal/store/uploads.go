package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Upload is a multipart upload that is neither completed nor aborted.
type Upload struct {
	// ID is 32 hex digits. Later uploads have later IDs, to the millisecond.
	ID  string
	Key string
	// Meta is what the object will have of what was chosen when the upload was begun, which was at Created. Size is 0.
	Meta object.Meta
}

// MaxPart is the highest number of a part; the lowest is 0 (QingStor API, "Upload Multipart").
const MaxPart = 10_000

// Part is a part of an upload.
type Part struct {
	Number int
	Size   int64 // bytes
	// AtRest is the length of the part at rest, where that is another than Size: it is encrypted. Zero means Size.
	AtRest  int64
	ETag    string
	Digest  object.Digest
	Created time.Time // UTC

	body BodyID
}

func (p *Part) atRest() int64 {
	if p.AtRest != 0 {
		return p.AtRest
	}
	return p.Size
}

const uploadIDLen = 32

// newUploadID returns 48 bits of milliseconds since 1970, then 80 random ones, in hex.
func newUploadID(now time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(raw[6:]) // never fails (crypto/rand)
	return hex.EncodeToString(raw[:])
}

// validUploadID reports whether id is the form of one.
func validUploadID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(id) == uploadIDLen
}

// CreateUpload begins a multipart upload of the object m, of which Size is yet to come. m.Created is set to now if it is zero. It fails with
// object.ErrNoSuchBucket when b is gone.
func (s *Store) CreateUpload(ctx context.Context, b Bucket, key string, m object.Meta) (Upload, error) {
	u := Upload{Key: key, Meta: m}
	err := object.CheckKey(key)
	if err == nil {
		now := time.Now().UTC()
		if u.Meta.Created.IsZero() {
			u.Meta.Created = now
		}
		u.ID, u.Meta.Size = newUploadID(now), 0
		err = retry(ctx, func() error {
			bucket, bv, err := s.bucketRecord(ctx, b)
			if err != nil {
				return err
			}
			rec := uploadKey(b.ID, key, u.ID)
			return storeErr(s.e.Apply(ctx, &Batch{
				Require: []Condition{unchanged(bucket, bv), unchanged(rec, nil)},
				Set:     []Record{{rec, encodeObject(u.Meta, place{})}},
			}))
		})
	}
	if err != nil {
		return Upload{}, on("begin upload", b.Name, key, err)
	}
	return u, nil
}

// Upload returns an upload, or object.ErrNoSuchUpload when there is none of that ID under that key.
func (s *Store) Upload(ctx context.Context, b Bucket, key, id string) (Upload, error) {
	u, _, err := s.upload(ctx, b, key, id)
	return u, on("look up upload", b.Name, key, err)
}

// upload returns an upload and the condition that it is as it was.
func (s *Store) upload(ctx context.Context, b Bucket, key, id string) (Upload, Condition, error) {
	if !validUploadID(id) {
		return Upload{}, Condition{}, object.ErrNoSuchUpload
	}
	rec := uploadKey(b.ID, key, id)
	v, err := s.get(ctx, rec)
	if err != nil {
		return Upload{}, Condition{}, err
	}
	if v == nil {
		return Upload{}, unchanged(rec, nil), object.ErrNoSuchUpload
	}
	m, _, err := decodeObject(v)
	return Upload{ID: id, Key: key, Meta: m}, unchanged(rec, v), err
}

// PutPart makes spool the part p.Number of an upload, in place of one that was there. p.Size is its length, and p.AtRest that of the spool where it is
// another; p.Created is set to now. When it returns nil, the part will survive a crash. It fails with object.ErrNoSuchUpload.
// The spool is the store's afterwards, also on failure: it is discarded.
func (s *Store) PutPart(ctx context.Context, b Bucket, key, id string, p Part, spool Spool) (Part, error) {
	p.Created, p.body = time.Now().UTC(), ""
	if p.Size > 0 {
		p.body = spool.ID()
	}
	err := p.check()
	if err == nil {
		err = retry(ctx, func() error { return s.putPart(ctx, b, key, id, p, spool) })
	}
	if err != nil || p.Size == 0 {
		_ = spool.Discard() // what it cannot remove now is swept at the next start
	}
	return p, on("put part", b.Name, key, err)
}

func (p *Part) check() error {
	if p.Number < 0 || p.Number > MaxPart || p.Size < 0 || p.AtRest < 0 {
		return fmt.Errorf("%w: part %d of %d bytes, %d at rest", object.ErrInvalidArgument, p.Number, p.Size, p.AtRest)
	}
	return nil
}

func (s *Store) putPart(ctx context.Context, b Bucket, key, id string, p Part, spool Spool) error {
	// The bucket is a condition of its own: when it goes, its uploads go bit by bit.
	bucket, bv, err := s.bucketRecord(ctx, b)
	if err != nil {
		return err
	}
	_, stands, err := s.upload(ctx, b, key, id)
	if err != nil {
		return err
	}
	rec := partKey(b.ID, id, p.Number)
	old, err := s.get(ctx, rec)
	if err != nil {
		return err
	}
	batch := &Batch{
		Require: []Condition{unchanged(bucket, bv), stands, unchanged(rec, old)},
		Set:     []Record{{rec, encodePart(p)}},
		// So that a completion which saw other parts is refused, without a condition for each of them.
		Add: []Delta{{changesKey(b.ID, id), 1}},
	}
	if p.body != "" {
		batch.Keep = []Kept{{Spool: spool, Size: p.atRest(), Label: encodeLabel(rec, batch.Set[0].Value)}}
	}
	if old != nil {
		// A damaged one is replaced: its body is swept at the next start.
		if was, err := decodePart(old); err == nil && was.body != "" {
			batch.Drop = []BodyID{was.body}
		}
	}
	return storeErr(s.e.Apply(ctx, batch))
}

// Parts returns the parts of an upload with numbers above marker, at most limit. -1 begins at the front. It fails with object.ErrNoSuchUpload.
func (s *Store) Parts(ctx context.Context, b Bucket, key, id string, marker, limit int) ([]Part, error) {
	_, _, err := s.upload(ctx, b, key, id)
	var parts []Part
	if err == nil {
		parts, err = s.parts(ctx, b, id, marker, limit)
	}
	return parts, on("list parts", b.Name, key, err)
}

func (s *Store) parts(ctx context.Context, b Bucket, id string, marker, limit int) ([]Part, error) {
	var parts []Part
	if limit <= 0 {
		return nil, ctx.Err()
	}
	lower := partKey(b.ID, id, min(max(marker, -1), MaxPart)+1)
	err := s.each(ctx, lower, after(changesKey(b.ID, id)), func(k, v []byte) (bool, error) {
		p, err := decodePart(v)
		p.Number, _ = partNumber(k)
		parts = append(parts, p)
		return len(parts) < limit, err
	})
	return parts, err
}

// AbortUpload ends an upload and removes its parts. It fails with object.ErrNoSuchUpload. When it returns that or nil, the end of the upload will
// survive a crash.
func (s *Store) AbortUpload(ctx context.Context, b Bucket, key, id string) error {
	err := retry(ctx, func() error {
		_, stands, missing := s.upload(ctx, b, key, id)
		if missing != nil && stands.Key == nil {
			return missing
		}
		// Where it is missing, the batch changes nothing, but waits until that is durable; see Delete.
		batch := &Batch{Require: []Condition{stands}}
		if stands.Equals != nil { // a damaged one, too: that is the only way to get rid of it
			batch.Delete, batch.Set, missing = [][]byte{stands.Key}, []Record{garbageParts(b.ID, id)}, nil
			if err := s.happened(ctx, b, key, Aborted, nil, nil, batch); err != nil {
				return err
			}
		}
		if err := s.apply(ctx, batch); err != nil {
			return err
		}
		return missing
	})
	return on("abort upload", b.Name, key, err)
}

// CompleteUpload makes parts of an upload the object under its key, whatever was there. choose gets the upload and all its parts, by number, and
// returns those that the object shall have, in ascending order, and its metadata; of that, Size, Digest and the encryption's Size are set here. It
// may be called more than once, and its error ends the attempt. The bytes are not copied: each part becomes a piece of the object.
//
// It fails with object.ErrNoSuchUpload. An upload that was completed before is no error as long as the object that it made is there: then that is
// returned, so that who did not hear of the success can ask again.
func (s *Store) CompleteUpload(ctx context.Context, b Bucket, key, id string,
	choose func(u Upload, parts []Part) ([]Part, object.Meta, error)) (object.Meta, error) {
	var m object.Meta
	err := retry(ctx, func() (err error) {
		m, err = s.completeUpload(ctx, b, key, id, choose)
		return err
	})
	if err != nil {
		return object.Meta{}, on("complete upload", b.Name, key, err)
	}
	return m, nil
}

func (s *Store) completeUpload(ctx context.Context, b Bucket, key, id string,
	choose func(u Upload, parts []Part) ([]Part, object.Meta, error)) (object.Meta, error) {
	u, stands, err := s.upload(ctx, b, key, id)
	if errors.Is(err, object.ErrNoSuchUpload) {
		return s.completed(ctx, b, key, id)
	}
	if err != nil {
		return object.Meta{}, err
	}
	// First the counter, then the parts: one that comes in between changes the counter.
	changes := changesKey(b.ID, id)
	n, err := s.get(ctx, changes)
	if err != nil {
		return object.Meta{}, err
	}
	parts, err := s.parts(ctx, b, id, -1, MaxPart+1)
	if err != nil {
		return object.Meta{}, err
	}
	chosen, m, err := choose(u, parts)
	if err != nil {
		return object.Meta{}, err
	}
	old, err := s.get(ctx, objectKey(b.ID, key))
	if err != nil {
		return object.Meta{}, err
	}

	batch := Batch{Require: []Condition{stands, unchanged(changes, n)}, Delete: [][]byte{stands.Key, changes}}
	to, free, err := s.freePieces(ctx, id)
	if err != nil {
		return object.Meta{}, err
	}
	batch.Require = append(batch.Require, free)
	m.Size, m.Digest = 0, object.Digest{}
	var atRest int64
	for i := range chosen {
		p := &chosen[i]
		if i > 0 && p.Number <= chosen[i-1].Number {
			return object.Meta{}, fmt.Errorf("%w: part %d behind part %d", object.ErrInvalidArgument, p.Number, chosen[i-1].Number)
		}
		if i == 0 {
			m.Digest = p.Digest
		} else {
			m.Digest = m.Digest.Then(p.Digest, p.atRest())
		}
		batch.Delete = append(batch.Delete, partKey(b.ID, id, p.Number))
		if p.Size == 0 {
			continue
		}
		m.Size += p.Size
		atRest += p.atRest()
		batch.Set = append(batch.Set, Record{pieceKey(to, m.Size), encodePart(*p)})
	}
	if len(chosen) < len(parts) {
		batch.Set = append(batch.Set, garbageParts(b.ID, id))
	}
	at := place{pieces: to}
	if m.Size == 0 {
		at = place{}
	}
	if m.Encryption != nil {
		e := *m.Encryption
		e.Size = atRest
		m.Encryption = &e
	}
	if m.Created.IsZero() {
		m.Created = time.Now().UTC()
	}
	m.VersionID = ""
	err = s.putOver(ctx, b, key, change{kind: Completed, old: old, next: &m, at: at}, batch)
	return m, err
}

// piecesOf is the ID that the pieces of an object have that an upload made.
func piecesOf(upload string) uint64 {
	raw, err := hex.DecodeString(upload[uploadIDLen-16:])
	if err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(raw)
}

// freePieces returns the ID for the pieces that an upload becomes, and the condition that nothing has it.
func (s *Store) freePieces(ctx context.Context, upload string) (uint64, Condition, error) {
	for id := piecesOf(upload); ; id = random() {
		lower, upper := span(spacePiece, id)
		there, err := s.keys(ctx, lower, upper, 1)
		if err != nil {
			return 0, Condition{}, err
		}
		if id != 0 && len(there) == 0 {
			return id, Condition{Key: lower, Until: upper}, nil
		}
	}
}

// completed returns the object under key if it is the one that the upload id made.
func (s *Store) completed(ctx context.Context, b Bucket, key, id string) (object.Meta, error) {
	if !validUploadID(id) {
		return object.Meta{}, object.ErrNoSuchUpload
	}
	m, at, record, err := s.look(ctx, b, key)
	switch {
	case errors.Is(err, object.ErrNoSuchKey), err == nil && (at.pieces == 0 || at.pieces != piecesOf(id)):
		return object.Meta{}, object.ErrNoSuchUpload
	case err != nil:
		return object.Meta{}, err
	}
	// It may not be durable yet.
	return m, storeErr(s.e.Apply(ctx, &Batch{Require: []Condition{unchanged(objectKey(b.ID, key), record)}}))
}
