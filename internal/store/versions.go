package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// A bucket can keep versions: then what is replaced or deleted stays, as a version that is not the current one. The current version of a key is its
// object as ever, so that reading and listing objects cost nothing more. All others lie in a space of their own, by key, the newest first. A key that was deleted has no
// object, and its newest version is a delete marker.
//
// What is true of a key at any moment: its object is newer than all its other versions; where there is no object, there is no other version, or the
// newest is a delete marker; and one version at most is the null version, which is what was written while the bucket kept no versions.

// versioningSetting is the name of the setting that says whether a bucket keeps versions; its document is a Versioning.
const versioningSetting = "versioning"

// Versioning says whether a bucket keeps versions.
type Versioning string

const (
	// Unversioned is a bucket that never kept versions.
	Unversioned Versioning = ""
	// Enabled keeps every version.
	Enabled Versioning = "ENABLED"
	// Suspended keeps the versions that are there. What is written is the null version, and takes the place of the null version before.
	Suspended Versioning = "SUSPENDED"
)

// NullVersion is what the version is called that was written while its bucket kept no versions. Its VersionID is "".
const NullVersion = "null"

// SetVersioning changes whether a bucket keeps versions; it cannot be made Unversioned again. It fails with object.ErrNoSuchBucket.
func (s *Store) SetVersioning(ctx context.Context, b Bucket, v Versioning) error {
	if v != Enabled && v != Suspended {
		return on("change versioning", b.Name, "", fmt.Errorf("%w: versioning %q", object.ErrInvalidArgument, v))
	}
	return s.SetSetting(ctx, b, versioningSetting, []byte(v))
}

// Versioning returns whether a bucket keeps versions.
func (s *Store) Versioning(ctx context.Context, b Bucket) (Versioning, error) {
	v, _, err := s.versioning(ctx, b)
	return v, on("look up versioning", b.Name, "", err)
}

// versioning returns whether b keeps versions, and the condition that this is unchanged.
func (s *Store) versioning(ctx context.Context, b Bucket) (Versioning, Condition, error) {
	key := settingKey(b.ID, versioningSetting)
	v, err := s.get(ctx, key)
	if err != nil || v == nil {
		return Unversioned, unchanged(key, nil), err
	}
	_, doc, err := decodeSetting(v)
	return Versioning(doc), unchanged(key, v), err
}

// version is one that is not the current one, as it lies in the store.
type version struct {
	key, record []byte
	order       uint64
	object.Meta
	at place
}

// formatVersion is the VersionID of the version of that order; later versions have higher ones.
func formatVersion(order uint64) string { return fmt.Sprintf("%016x", order) }

// parseVersion is the way back. ok is false for what cannot be a VersionID.
func parseVersion(id string) (order uint64, ok bool) {
	order, err := strconv.ParseUint(id, 16, 64)
	return order, err == nil && order != 0 && formatVersion(order) == id
}

// orderOf is the order of a version by its VersionID; 0 for the null version.
func orderOf(m *object.Meta) uint64 {
	order, _ := parseVersion(m.VersionID)
	return order
}

// newest returns the newest version of a key in [lower, upper) of its versions that are not current; nil for none.
func (s *Store) newest(ctx context.Context, lower, upper []byte) (*version, error) {
	var found *version
	err := s.each(ctx, lower, upper, func(k, v []byte) (bool, error) {
		found = &version{key: append([]byte(nil), k...), record: append([]byte(nil), v...), order: ^binary.BigEndian.Uint64(k[len(k)-8:])}
		var err error
		found.Meta, found.at, err = decodeOld(v)
		return false, err
	})
	return found, err
}

// change is what happens to a key.
type change struct {
	kind EventKind
	// old is the record of the object under the key; nil: there is none. same: what comes is the same version, and has its bytes. moved: its bytes
	// go with it elsewhere.
	old         []byte
	same, moved bool
	// next takes its place, with its bytes at at; nil: nothing does. Its VersionID is set.
	next *object.Meta
	at   place
	// marker becomes the delete marker that is the newest version of the key then; nil: there is none.
	marker *object.Meta
}

// keep adds to batch what becomes of the versions of a key when c happens to it, and sets the version of what comes. It reports whether what was there
// is kept as a version. was is nil where there was nothing, or nothing that can be read.
func (s *Store) keep(ctx context.Context, b Bucket, key string, c *change, was *object.Meta, batch *Batch) (kept bool, err error) {
	state, same, err := s.versioning(ctx, b)
	if err != nil {
		return false, err
	}
	batch.require(same)
	switch {
	case was != nil && c.same:
		c.next.VersionID = was.VersionID
		return false, nil
	case state == Unversioned:
		if c.next != nil {
			c.next.VersionID = ""
		}
		return false, nil
	}

	lower := versionKey(b.ID, key, nil)
	upper := after(lower)
	first, err := s.newest(ctx, lower, upper)
	if err != nil {
		return false, err
	}
	// All that follows is newer than the newest, so that must be the newest still. The object's record does not say so where it is missing: a PUT and a
	// DELETE in between leave it missing, and a marker.
	var top uint64
	if first != nil {
		top, upper = first.order, first.key
	}
	batch.require(Condition{Key: lower, Until: upper})

	if was != nil {
		order := orderOf(was)
		if order == 0 { // of the null version: what it was before counts for nothing, as it is the newest now
			order = uint64(max(was.Created.UnixNano(), 1))
		}
		top = max(order, top+1)
		kept = !c.moved && (state == Enabled || was.VersionID != "")
	}
	if kept {
		batch.set(versionKey(b.ID, key, &top), c.old)
		batch.Add = append(batch.Add, usageOfVersion(b.ID, was, 1)...)
		if was.VersionID == "" {
			batch.set(nullKey(b.ID, key), binary.BigEndian.AppendUint64(nil, top))
		}
	}
	id := ""
	switch {
	case state != Enabled:
		if err := s.dropNull(ctx, b, key, c.next != nil, batch); err != nil {
			return false, err
		}
		top = max(top+1, uint64(s.stamp()))
	case c.next != nil && orderOf(c.next) > top:
		id = c.next.VersionID // of the try before: it is written beside the body already
	default:
		top = max(top+1, uint64(s.stamp()))
		id = formatVersion(top)
	}
	if c.next != nil {
		c.next.VersionID = id
		return kept, nil
	}
	now := time.Now().UTC()
	c.marker = &object.Meta{VersionID: id, DeleteMarker: true, Created: now, LastModified: now.Truncate(time.Second)}
	batch.set(versionKey(b.ID, key, &top), encodeObject(*c.marker, place{}))
	if id == "" {
		batch.set(nullKey(b.ID, key), binary.BigEndian.AppendUint64(nil, top))
	}
	return kept, nil
}

// dropNull adds to batch that the null version of a key goes, if it is not the current one. forget: no other one follows it there.
func (s *Store) dropNull(ctx context.Context, b Bucket, key string, forget bool, batch *Batch) error {
	pointer := nullKey(b.ID, key)
	p, err := s.get(ctx, pointer)
	if err != nil {
		return err
	}
	batch.require(unchanged(pointer, p))
	if p == nil {
		return nil
	}
	order, err := counter(p)
	if err != nil {
		return err
	}
	at := uint64(order)
	rec := versionKey(b.ID, key, &at)
	old, err := s.get(ctx, rec)
	if err != nil {
		return err
	}
	batch.require(unchanged(rec, old))
	if forget {
		batch.delete(pointer)
	}
	if old == nil {
		return nil
	}
	return s.dropVersion(b, rec, old, batch)
}

// dropVersion adds to batch that a version goes that is not the current one.
func (s *Store) dropVersion(b Bucket, rec, old []byte, batch *Batch) error {
	m, at, err := decodeOld(old)
	if err != nil {
		return err
	}
	batch.delete(rec)
	drop(at, batch)
	batch.Add = append(batch.Add, usageOfVersion(b.ID, &m, -1)...)
	return nil
}

// findVersion returns a version of a key that is not the current one; nil where there is none of that name.
func (s *Store) findVersion(ctx context.Context, b Bucket, key, id string) (*version, error) {
	order, ok := parseVersion(id)
	if id == NullVersion {
		p, err := s.get(ctx, nullKey(b.ID, key))
		if err != nil || p == nil {
			return nil, err
		}
		n, err := counter(p)
		if err != nil {
			return nil, err
		}
		order, ok = uint64(n), true
	}
	if !ok {
		return nil, nil
	}
	v := &version{key: versionKey(b.ID, key, &order), order: order}
	var err error
	if v.record, err = s.get(ctx, v.key); err != nil || v.record == nil {
		return nil, err
	}
	v.Meta, v.at, err = decodeObject(v.record)
	switch {
	case errors.Is(err, object.ErrDamaged): // it must be possible to remove it
		return v, nil
	case err == nil && (v.VersionID == "") != (id == NullVersion):
		return nil, nil // the null version has an order, too, but is not known by it
	}
	return v, err
}

// isVersion reports whether m is the version of that name.
func isVersion(m *object.Meta, id string) bool {
	return m.VersionID == id && id != "" || m.VersionID == "" && id == NullVersion
}

// lookVersion is look for a version of the key. It fails with an *object.DeleteMarker, which is an object.ErrNoSuchKey, for one that is none.
func (s *Store) lookVersion(ctx context.Context, b Bucket, key, id string) (object.Meta, place, []byte, error) {
	for range 2 {
		m, at, record, err := s.look(ctx, b, key)
		if err == nil && isVersion(&m, id) {
			return m, at, record, nil
		}
		damaged := errors.Is(err, object.ErrDamaged)
		if err != nil && !errors.Is(err, object.ErrNoSuchKey) && !damaged {
			return object.Meta{}, place{}, nil, err
		}
		v, verr := s.findVersion(ctx, b, key, id)
		switch {
		case verr != nil:
			return object.Meta{}, place{}, nil, verr
		case v == nil && damaged:
			return object.Meta{}, place{}, nil, err // it may be the one
		case v == nil:
			continue // it may have become the current one in between
		case v.DeleteMarker:
			return object.Meta{}, place{}, nil, &object.DeleteMarker{VersionID: id}
		}
		m, at, err = decodeObject(v.record)
		return m, at, v.record, err
	}
	return object.Meta{}, place{}, nil, object.ErrNoSuchKey
}

// StatVersion is Stat for one version of an object. It fails with an *object.DeleteMarker for one that is a delete marker.
func (s *Store) StatVersion(ctx context.Context, b Bucket, key, id string) (object.Meta, error) {
	m, _, _, err := s.lookVersion(ctx, b, key, id)
	return m, on("look up version", b.Name, key, err)
}

// OpenVersion is Open for one version of an object. It fails with an *object.DeleteMarker for one that is a delete marker.
func (s *Store) OpenVersion(ctx context.Context, b Bucket, key, id string) (*Object, error) {
	o, err := s.open(ctx, func() (object.Meta, place, []byte, error) { return s.lookVersion(ctx, b, key, id) })
	return o, on("open version", b.Name, key, err)
}

// Hidden returns what hides a key that has no object: an *object.DeleteMarker if its newest version is one, else object.ErrNoSuchKey.
func (s *Store) Hidden(ctx context.Context, b Bucket, key string) error {
	lower := versionKey(b.ID, key, nil)
	v, err := s.newest(ctx, lower, after(lower))
	switch {
	case err != nil:
	case v == nil || !v.DeleteMarker:
		err = object.ErrNoSuchKey
	default:
		err = &object.DeleteMarker{VersionID: versionName(&v.Meta)}
	}
	return on("look up object", b.Name, key, err)
}

// versionName is what a version is called.
func versionName(m *object.Meta) string {
	if m.VersionID == "" {
		return NullVersion
	}
	return m.VersionID
}

// Removed says what a deletion did. The zero value: there was nothing to delete, or the object is gone for good.
type Removed struct {
	// VersionID is the version that was made, or removed; DeleteMarker: it is, or was, a delete marker.
	VersionID    string
	DeleteMarker bool
}

// Remove deletes what is under key as Delete does, or one version of it for good if id names one. If that was the current one, or the
// delete marker that hid the key, the next newest takes its place, unless that is a delete marker.
func (s *Store) Remove(ctx context.Context, b Bucket, key, id string) (Removed, error) {
	var r Removed
	err := retry(ctx, func() (err error) {
		if id == "" {
			r, err = s.delete(ctx, b, key, nil)
		} else {
			r, err = s.removeVersion(ctx, b, key, id)
		}
		return err
	})
	return r, on("delete object", b.Name, key, err)
}

// removeVersion is one try.
func (s *Store) removeVersion(ctx context.Context, b Bucket, key, id string) (Removed, error) {
	rec := objectKey(b.ID, key)
	old, err := s.get(ctx, rec)
	if err != nil {
		return Removed{}, err
	}
	batch := &Batch{}
	batch.require(unchanged(rec, old))
	if old != nil {
		m, at, err := decodeOld(old)
		if err != nil {
			return Removed{}, err
		}
		if isVersion(&m, id) {
			drop(at, batch)
			lower := versionKey(b.ID, key, nil)
			if err := s.promote(ctx, b, key, &m, lower, after(lower), batch); err != nil {
				return Removed{}, err
			}
			return Removed{VersionID: id}, s.apply(ctx, batch)
		}
	}
	v, err := s.findVersion(ctx, b, key, id)
	if err != nil {
		return Removed{}, err
	}
	if v == nil {
		return Removed{}, s.apply(ctx, batch) // waits until all that it saw is durable, see Delete
	}
	batch.require(unchanged(v.key, v.record))
	if err := s.dropVersion(b, v.key, v.record, batch); err != nil {
		return Removed{}, err
	}
	if v.VersionID == "" {
		batch.delete(nullKey(b.ID, key))
	}
	if old == nil {
		// If it is the newest, what is behind it comes forward.
		lower := versionKey(b.ID, key, nil)
		first, err := s.newest(ctx, lower, after(lower))
		if err != nil {
			return Removed{}, err
		}
		if first != nil && first.order == v.order {
			batch.require(Condition{Key: lower, Until: v.key})
			if err := s.promote(ctx, b, key, nil, append(v.key[:len(v.key):len(v.key)], 0), after(lower), batch); err != nil {
				return Removed{}, err
			}
		}
	}
	return Removed{VersionID: id, DeleteMarker: v.DeleteMarker}, s.apply(ctx, batch)
}

// promote adds to batch that the newest version in [lower, upper) becomes the object under key, if there is one and it is no delete marker. gone is the
// object that was there before, nil for none.
func (s *Store) promote(ctx context.Context, b Bucket, key string, gone *object.Meta, lower, upper []byte, batch *Batch) error {
	v, err := s.newest(ctx, lower, upper)
	if err != nil {
		return err
	}
	var next *object.Meta
	kind := Deleted
	if v != nil {
		upper = v.key
		batch.require(unchanged(v.key, v.record))
		if !v.DeleteMarker {
			next = &v.Meta
			batch.delete(v.key)
			if v.VersionID == "" {
				batch.delete(nullKey(b.ID, key))
			}
			batch.set(objectKey(b.ID, key), v.record)
			batch.Add = append(batch.Add, usageOfVersion(b.ID, next, -1)...)
		}
	}
	if gone != nil && next == nil {
		batch.delete(objectKey(b.ID, key))
	}
	batch.require(Condition{Key: lower, Until: upper})
	ik := intentKey(b.ID, key)
	fill, err := s.get(ctx, ik)
	if err != nil {
		return err
	}
	if fill != nil {
		batch.delete(ik)
	}
	batch.Add = append(batch.Add, usage(b.ID, gone, next)...)
	if gone == nil && next == nil {
		return nil // nothing changed for those who see no versions
	}
	if gone == nil {
		kind = Created
	}
	return s.happened(ctx, b, key, kind, gone, next, batch)
}
