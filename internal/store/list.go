package store

import (
	"context"
	"slices"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
)

// ListQuery asks for a page of a bucket's keys.
type ListQuery struct {
	// Prefix is what the keys begin with; "" for all keys.
	Prefix string
	// Delimiter groups the keys that have it behind the prefix: of those, only the part up to and with the first delimiter is
	// listed, once. "" groups none.
	Delimiter string
	// Marker is where the page begins: with the first key or group that sorts behind it. "" begins at the front.
	Marker string
	// Limit is the most keys and groups of the page, together. 0 and less list nothing.
	Limit int
}

// Page is a part of a listing, in byte order.
type Page struct {
	Entries  []Entry
	Prefixes []string // the groups
	Next     string   // the marker of the next page: the last key or group of this one; "" when there is no more
	More     bool
}

// Entry is an object in a listing.
type Entry struct {
	Key  string
	Meta object.Meta
}

// List returns a page of the bucket's keys as they are at the moment of the call. It touches about one record for each line of the page,
// however many keys a group has. A bucket that is gone lists nothing.
func (s *Store) List(ctx context.Context, b Bucket, q ListQuery) (Page, error) {
	p, err := s.list(ctx, b, q)
	if err != nil {
		return Page{}, on("list objects", b.Name, "", err)
	}
	return p, nil
}

func (s *Store) list(ctx context.Context, b Bucket, q ListQuery) (Page, error) {
	var p Page
	if q.Limit <= 0 {
		return p, ctx.Err()
	}
	lower := objectKey(b.ID, q.Prefix)
	upper := after(lower)
	if q.Marker >= q.Prefix && q.Marker != "" {
		// All that is in the marker's own group sorts by the group's name, which is not behind the marker.
		if group, ok := q.group(q.Marker); ok {
			lower = after(objectKey(b.ID, group))
		} else {
			lower = objectKey(b.ID, q.Marker+"\x00")
		}
	}
	if string(lower) >= string(upper) {
		return p, ctx.Err()
	}
	it, err := s.e.Scan(ctx, lower, upper)
	if err != nil {
		return Page{}, storeErr(err)
	}
	defer it.Close()

	last := ""
	for n, ok := 0, it.Next(); ok; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return Page{}, ctx.Err()
		}
		if n == q.Limit {
			p.Next, p.More = last, true
			break
		}
		key := string(it.Key()[1+8:])
		if group, in := q.group(key); in {
			p.Prefixes = append(p.Prefixes, group)
			last = group
			ok = it.Seek(after(objectKey(b.ID, group)))
			continue
		}
		m, _, err := decodeObject(it.Value())
		if err != nil {
			return Page{}, on("list object", b.Name, key, err)
		}
		if len(p.Entries) == 16 { // not a short page: the rest in one piece, as copying entries costs as much as reading them
			p.Entries = slices.Grow(p.Entries, max(min(q.Limit, 1000)-16, 0))
		}
		p.Entries = append(p.Entries, Entry{Key: key, Meta: m})
		last = key
		ok = it.Next()
	}
	if err := it.Err(); err != nil {
		return Page{}, storeErr(err)
	}
	return p, nil
}

// group returns the group that key belongs to, if it does to any.
func (q ListQuery) group(key string) (string, bool) {
	if q.Delimiter == "" || !strings.HasPrefix(key, q.Prefix) {
		return "", false
	}
	i := strings.Index(key[len(q.Prefix):], q.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(q.Prefix)+i+len(q.Delimiter)], true
}
