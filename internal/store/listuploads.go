package store

import (
	"context"

	"github.com/cisternhq/cistern/internal/object"
)

// UploadPage is a part of a listing of uploads, by key, then by ID.
type UploadPage struct {
	Uploads  []Upload
	Prefixes []string // the groups
	// NextKey and NextID are the markers of the next page: the last upload of this one, or its last group, without an ID; "" when there is no more.
	NextKey, NextID string
	More            bool
}

// ListUploads returns a page of the bucket's unfinished uploads as they are at the moment of the call. q is as in List, its Marker is a key. With an ID beside
// it the page begins behind that upload of the key, else behind all of them.
func (s *Store) ListUploads(ctx context.Context, b Bucket, q ListQuery, id string) (UploadPage, error) {
	p, err := s.listUploads(ctx, b, q, id)
	if err != nil {
		return UploadPage{}, on("list uploads", b.Name, "", err)
	}
	return p, nil
}

func (s *Store) listUploads(ctx context.Context, b Bucket, q ListQuery, id string) (UploadPage, error) {
	var p UploadPage
	if q.Limit <= 0 {
		return p, ctx.Err()
	}
	begin := func(prefix string) []byte { return within(spaceUpload, b.ID, inOrder(prefix)) }
	lower := begin(q.Prefix)
	upper := after(lower)
	if q.Marker >= q.Prefix && q.Marker != "" {
		group, in := q.group(q.Marker)
		switch {
		case in:
			lower = after(begin(group))
		case id != "":
			lower = append(uploadKey(b.ID, q.Marker, id), 0)
		default:
			lower = after(uploadKey(b.ID, q.Marker, ""))
		}
	}
	if string(lower) >= string(upper) {
		return p, ctx.Err()
	}
	it, err := s.e.Scan(ctx, lower, upper)
	if err != nil {
		return UploadPage{}, storeErr(err)
	}
	defer it.Close()

	var lastKey, lastID string
	for n, ok := 0, it.Next(); ok; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return UploadPage{}, ctx.Err()
		}
		if n == q.Limit {
			p.NextKey, p.NextID, p.More = lastKey, lastID, true
			break
		}
		key, id, good := splitUpload(it.Key())
		if group, in := q.group(key); in {
			p.Prefixes = append(p.Prefixes, group)
			lastKey, lastID = group, ""
			ok = it.Seek(after(begin(group)))
			continue
		}
		m, _, err := decodeObject(it.Value())
		if err == nil && !good {
			err = object.ErrDamaged
		}
		if err != nil {
			return UploadPage{}, on("list upload", b.Name, key, err)
		}
		p.Uploads = append(p.Uploads, Upload{ID: id, Key: key, Meta: m})
		lastKey, lastID = key, id
		ok = it.Next()
	}
	if err := it.Err(); err != nil {
		return UploadPage{}, storeErr(err)
	}
	return p, nil
}
