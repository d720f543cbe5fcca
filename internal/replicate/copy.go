package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/minio/crc64nvme"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// errLater: the other bucket's object is of a later change, or is the same already.
var errLater = errors.New("nothing to do")

// one brings the other bucket to where b is with the event's key.
func (r *Replicator) one(b store.Bucket, rule Rule, e store.Event) error {
	ctx := r.ctx
	if e.Derived {
		// The copy of what was made of another object is no less made of it: or else something would be made of it in turn, and be copied back.
		ctx = store.WithCause(ctx, store.Cause{Replica: true, Derived: true})
	}
	o, err := r.o.Store.Open(ctx, b, e.Key)
	if errors.Is(err, object.ErrNoSuchKey) {
		if e.Kind != store.Deleted || !rule.Deletes {
			return nil // it is gone again; the event that says so comes, if anybody is to hear of it
		}
		return r.remove(b, rule, e)
	}
	if err != nil {
		return err
	}
	defer o.Body.Close()
	to, err := r.o.May(ctx, b, rule.Bucket, e.Key, false)
	if err != nil {
		return err
	}
	m := o.Meta
	// A copy has the time of the change that it repeats. So the later of two changes is known by it, in whichever of the buckets it was made, and a change that was
	// repeated by and by is not taken for a new one. The time of a PUT's end would not do: of two at once the one that ended first may have
	// come to the store last.
	m.Created = e.At
	m.Filled, m.VersionID, m.Appendable = nil, "", false
	if rule.Class != "" {
		m.StorageClass = rule.Class
	}
	// may decides in the batch that makes the copy; asked before, it saves copying the bytes.
	may := func(old *object.Meta) error {
		if old != nil && (!old.Created.Before(m.Created) || same(*old, m)) {
			return errLater
		}
		return nil
	}
	switch old, err := r.o.Store.Stat(ctx, to, e.Key); {
	case err == nil && may(&old) != nil:
		return nil
	case err != nil && !errors.Is(err, object.ErrNoSuchKey):
		return err
	}
	if o.InPieces() && m.Encryption != nil {
		_, err = r.o.Store.PutPieces(ctx, to, e.Key, m, o, may, func(spool store.Spool, from store.Body, size int64, crc64 uint64) error {
			return transfer(ctx, spool, from, size, crc64)
		})
	} else {
		err = r.put(ctx, to, e.Key, m, o, may)
	}
	if errors.Is(err, errLater) {
		return nil
	}
	if err == nil {
		r.copied.Add(1)
		r.o.Changed(to, e.Key)
	}
	return err
}

// put makes o, as it is at rest, the object under key in one body, if may allows it.
func (r *Replicator) put(ctx context.Context, to store.Bucket, key string, m object.Meta, o *store.Object, may func(*object.Meta) error) error {
	spool, err := r.o.Store.NewSpool(ctx, m.AtRest())
	if err != nil {
		return err
	}
	if err := transfer(ctx, spool, o.Body, o.AtRest(), o.Digest.CRC64NVME); err != nil {
		return errors.Join(err, spool.Discard())
	}
	_, err = r.o.Store.PutIf(ctx, to, key, m, spool, may)
	return err
}

// remove repeats a deletion, unless the object there is of a later change.
func (r *Replicator) remove(b store.Bucket, rule Rule, e store.Event) error {
	to, err := r.o.May(r.ctx, b, rule.Bucket, e.Key, true)
	if err != nil {
		return err
	}
	err = r.o.Store.DeleteIf(r.ctx, to, e.Key, func(old *object.Meta) error {
		if old == nil || !old.Created.Before(e.At) {
			return errLater
		}
		return nil
	})
	if errors.Is(err, errLater) {
		return nil
	}
	if err == nil {
		r.deleted.Add(1)
		r.o.Changed(to, e.Key)
	}
	return err
}

// same reports whether two objects have the same bytes and say the same.
func same(a, b object.Meta) bool {
	for _, m := range []*object.Meta{&a, &b} {
		m.Created, m.Filled, m.VersionID, m.Appendable = b.Created, nil, "", false
		m.Digest.MD5 = ""
	}
	return reflect.DeepEqual(a, b)
}

// transfer copies a body of size bytes as it is at rest, and holds what was read against its checksum: damage is not spread.
func transfer(ctx context.Context, spool store.Spool, from store.Body, size int64, crc64 uint64) error {
	section, err := from.Section(0, size)
	if err != nil {
		return err
	}
	buf, sum := make([]byte, 128<<10), crc64nvme.New()
	var n int64
	for n < size {
		if err := ctx.Err(); err != nil {
			return err
		}
		k, err := section.Read(buf)
		sum.Write(buf[:k])
		if k > 0 {
			if _, err := spool.WriteAt(buf[:k], n); err != nil {
				return fmt.Errorf("%w: write spool: %w", object.ErrStore, err)
			}
		}
		n += int64(k)
		if err == io.EOF && n == size {
			break
		}
		if err == io.EOF {
			return fmt.Errorf("%w: the body has %d bytes, not %d", object.ErrDamaged, n, size)
		}
		if err != nil {
			return err
		}
	}
	// Of an encrypted body, too, the checksum is that of what is at rest.
	if sum.Sum64() != crc64 {
		return fmt.Errorf("%w: the body's checksum is wrong", object.ErrDamaged)
	}
	return nil
}
