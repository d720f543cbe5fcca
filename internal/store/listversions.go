package store

import (
	"bytes"
	"context"

	"github.com/cisternhq/cistern/internal/object"
)

// VersionEntry is a version in a listing.
type VersionEntry struct {
	Key    string
	Meta   object.Meta
	Latest bool // it is the newest of its key
}

// VersionPage is a part of a listing of versions: by key, the newest version of each first.
type VersionPage struct {
	Entries  []VersionEntry
	Prefixes []string // the groups
	// NextKey and NextVersion are the markers of the next page: those of the last version of this one, or its last group, without a version; "" when
	// there is no more.
	NextKey, NextVersion string
	More                 bool
}

// ListVersions returns a page of the versions of the bucket's keys, the current ones and all others, as they are at the moment of the call. q is as in
// List, its Marker is a key. With a version beside it, one of a page before or the ID of a version, the page begins behind that version of the key,
// else behind all of them. It touches about two records for each line of the page.
func (s *Store) ListVersions(ctx context.Context, b Bucket, q ListQuery, version string) (VersionPage, error) {
	p, err := s.listVersions(ctx, b, q, version)
	return p, on("list versions", b.Name, "", err)
}

func (s *Store) listVersions(ctx context.Context, b Bucket, q ListQuery, version string) (VersionPage, error) {
	var p VersionPage
	if q.Limit <= 0 {
		return p, ctx.Err()
	}
	current := newVersionScan(objectKey(b.ID, q.Prefix))
	others := newVersionScan(within(spaceVersion, b.ID, inOrder(q.Prefix)))
	begun := "" // the key of which the page before had some versions
	if q.Marker >= q.Prefix && q.Marker != "" {
		if group, in := q.group(q.Marker); in {
			current.from, others.from = after(objectKey(b.ID, group)), after(within(spaceVersion, b.ID, inOrder(group)))
		} else {
			current.from, others.from = objectKey(b.ID, q.Marker+"\x00"), after(versionKey(b.ID, q.Marker, nil))
			order, ok, err := s.orderBehind(ctx, b, q.Marker, version)
			if err != nil {
				return VersionPage{}, err
			}
			if ok {
				begun, others.from = q.Marker, append(versionKey(b.ID, q.Marker, &order), 0)
			}
		}
	}
	// One iterator over both spaces, so that both are as they were at the same moment: between two looks, the current version may become another one.
	it, err := s.e.Scan(ctx, current.lower, others.upper)
	if err != nil {
		return VersionPage{}, storeErr(err)
	}
	defer it.Close()
	current.next(it)
	others.next(it)

	last, seen, lastVersion := "", false, ""
	for n := 0; current.key != nil || others.key != nil; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return VersionPage{}, ctx.Err()
		}
		if n == q.Limit {
			p.NextKey, p.NextVersion, p.More = last, lastVersion, true
			break
		}
		var key string
		order := ^uint64(0)
		isCurrent := others.key == nil
		if others.key != nil {
			var ok bool
			if key, order, ok = splitVersion(others.key); !ok {
				return VersionPage{}, on("list version", b.Name, key, object.ErrDamaged)
			}
		}
		if current.key != nil {
			if _, object := split(current.key); isCurrent || object <= key {
				key, isCurrent = object, true
			}
		}
		if group, in := q.group(key); in {
			p.Prefixes = append(p.Prefixes, group)
			last, lastVersion, seen = group, "", false
			current.seek(it, after(objectKey(b.ID, group)))
			others.seek(it, after(within(spaceVersion, b.ID, inOrder(group))))
			continue
		}
		scan := others
		if isCurrent {
			scan, order = current, ^uint64(0) // newer than all others, whatever it is called
		}
		m, _, err := decodeObject(scan.value)
		if err != nil {
			return VersionPage{}, on("list version", b.Name, key, err)
		}
		latest := isCurrent || !(seen && last == key)
		if latest && !isCurrent && key == begun {
			// Else the page before had the newest, or there is a newer one by now.
			latest = !(it.Seek(objectKey(b.ID, key)) && bytes.Equal(it.Key(), objectKey(b.ID, key))) &&
				it.Seek(versionKey(b.ID, key, nil)) && bytes.Equal(it.Key(), others.key)
		}
		p.Entries = append(p.Entries, VersionEntry{Key: key, Meta: m, Latest: latest})
		last, lastVersion, seen = key, formatVersion(order), true
		scan.seek(it, append(scan.key, 0))
	}
	if err := it.Err(); err != nil {
		return VersionPage{}, storeErr(err)
	}
	return p, nil
}

// orderBehind returns the order behind which a page begins that goes on after that version of a key; ok is false where it begins behind all of them.
func (s *Store) orderBehind(ctx context.Context, b Bucket, key, version string) (order uint64, ok bool, err error) {
	if version == "" {
		return 0, false, nil
	}
	if order, ok = parseVersion(version); ok {
		return order, true, nil
	}
	if version != NullVersion {
		return 0, false, nil
	}
	if v, err := s.findVersion(ctx, b, key, NullVersion); err != nil || v != nil {
		if v == nil {
			return 0, false, err
		}
		return v.order, true, nil
	}
	m, _, _, err := s.look(ctx, b, key)
	if err != nil || m.VersionID != "" {
		return 0, false, nil // there is none any more
	}
	return ^uint64(0), true, nil // all others are behind it
}

// versionScan is a walk over the records of one space by an iterator that is shared.
type versionScan struct {
	lower, upper []byte
	from         []byte // where it begins, nil: at lower
	key, value   []byte // where it is; nil: at the end
}

func newVersionScan(prefix []byte) *versionScan {
	return &versionScan{lower: prefix, upper: after(prefix), from: prefix}
}

func (v *versionScan) next(it Iterator) { v.seek(it, v.from) }

// seek goes to the first record at or after key.
func (v *versionScan) seek(it Iterator, key []byte) {
	v.key, v.value = nil, nil
	if bytes.Compare(key, v.upper) < 0 && it.Seek(key) && bytes.Compare(it.Key(), v.upper) < 0 {
		v.key, v.value = bytes.Clone(it.Key()), bytes.Clone(it.Value())
	}
}
