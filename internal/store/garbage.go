package store

import (
	"context"
	"encoding/binary"
	"errors"
)

// Some things are too many to be removed in one batch: the pieces of an object, the parts of an upload, the uploads of a bucket. The batch that
// makes them garbage sets a record that says so, and they are removed a bounded number at a time once it is applied (Store.apply). What a
// process leaves that ends before that is removed at the next start.

// What is garbage: the byte behind the space.
const (
	garbageOfPieces  = 'p' // pieces ID
	garbageOfParts   = 'u' // bucket ID, upload ID
	garbageOfUploads = 'b' // bucket ID
)

// garbageAtOnce is how many records are removed in one batch.
const garbageAtOnce = 1000

func garbageOf(what byte, id uint64, rest string) Record {
	k := binary.BigEndian.AppendUint64([]byte{spaceGarbage, what}, id)
	return Record{append(k, rest...), []byte{recordVersion}}
}

func garbagePieces(pieces uint64) Record { return garbageOf(garbageOfPieces, pieces, "") }
func garbageParts(bucket uint64, upload string) Record {
	return garbageOf(garbageOfParts, bucket, upload)
}
func garbageUploads(bucket uint64) Record { return garbageOf(garbageOfUploads, bucket, "") }

// recoverGarbage goes on where an earlier process was interrupted.
func (s *Store) recoverGarbage(ctx context.Context) error {
	notes, err := s.keys(ctx, []byte{spaceGarbage}, []byte{spaceGarbage + 1}, -1)
	for _, note := range notes {
		err = errors.Join(err, s.collect(ctx, note))
	}
	return err
}

// collect removes what the record of that key says is garbage, then the record. Pieces that somebody reads stay until nobody does.
func (s *Store) collect(ctx context.Context, note []byte) error {
	if len(note) < 2+8 {
		return nil // of no kind that this version knows, as below
	}
	id, rest := binary.BigEndian.Uint64(note[2:]), string(note[2+8:])
	var lower, upper [2][]byte
	switch note[1] {
	case garbageOfPieces:
		if s.isRead(id) {
			return nil
		}
		lower[0], upper[0] = span(spacePiece, id)
	case garbageOfParts:
		lower[0] = changesKey(id, rest)
		upper[0] = after(lower[0])
	case garbageOfUploads:
		lower[0], upper[0] = span(spaceUpload, id)
		lower[1], upper[1] = span(spacePart, id)
	default:
		return nil
	}
	for i := range lower {
		if lower[i] == nil {
			continue
		}
		if err := s.clearBodies(ctx, lower[i], upper[i]); err != nil {
			return err
		}
	}
	return storeErr(s.e.Apply(ctx, &Batch{Delete: [][]byte{note}, NoSync: true}))
}

// clearBodies removes all records in [lower, upper), with the bodies of those that are parts or pieces.
func (s *Store) clearBodies(ctx context.Context, lower, upper []byte) error {
	for {
		batch := &Batch{NoSync: true} // after a crash it is garbage as before
		err := s.each(ctx, lower, upper, func(k, v []byte) (bool, error) {
			batch.Delete = append(batch.Delete, append([]byte(nil), k...))
			if p, err := decodePart(v); err == nil && p.body != "" && (k[0] == spacePart || k[0] == spacePiece) {
				batch.Drop = append(batch.Drop, p.body)
			}
			return len(batch.Delete) < garbageAtOnce, nil
		})
		if err != nil || len(batch.Delete) == 0 {
			return err
		}
		if err := s.e.Apply(ctx, batch); err != nil {
			return storeErr(err)
		}
	}
}

// pin is what is known of pieces that somebody reads. What is open stays readable when it is replaced or deleted; but pieces are opened one after
// another, so nobody may remove them before the last reader is done:
//
//	reader: reads the record, pins its pieces, reads the record again: it is the same
//	PUT:                                                                               replaces it, finds the pin, leaves the pieces
//	reader: is done, and removes them
//
// A PUT that comes before the second look makes the reader begin again.
type pin struct {
	readers int
	garbage bool
}

func (s *Store) pin(pieces uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pins[pieces]
	if p == nil {
		p = new(pin)
		s.pins[pieces] = p
	}
	p.readers++
}

// unpin ends what pin began. The last reader of pieces that became garbage meanwhile removes them.
func (s *Store) unpin(pieces uint64) {
	if s.lastReader(pieces) {
		// No context: whoever read is done, and nobody else would do it before the next start.
		_ = s.collect(context.Background(), garbagePieces(pieces).Key)
	}
}

// lastReader counts a reader less, and reports whether that was the last one of garbage.
func (s *Store) lastReader(pieces uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pins[pieces]
	if p.readers--; p.readers > 0 {
		return false
	}
	delete(s.pins, pieces)
	return p.garbage
}

// isRead reports whether somebody reads pieces; then the last one will know that they are garbage.
func (s *Store) isRead(pieces uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pins[pieces]
	if p != nil {
		p.garbage = true
	}
	return p != nil
}
