package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cisternhq/cistern/internal/object"
)

// Usage is what a bucket holds.
type Usage struct {
	Objects int64
	Bytes   int64 // the sum of the objects' sizes
	// Versions is the sum of the sizes of the versions that are not current, which count nowhere else.
	Versions int64
}

// standard is the storage class of objects that have none.
const standard = "STANDARD"

// class is the storage class of an object as it is counted: "" for the standard one.
func class(m *object.Meta) string {
	if m.StorageClass == standard {
		return ""
	}
	return m.StorageClass
}

// Usage returns what b holds, from its counters. For a bucket that is gone it is zero.
func (s *Store) Usage(ctx context.Context, b Bucket) (Usage, error) {
	u, _, err := s.usage(ctx, b)
	return u, on("count objects", b.Name, "", err)
}

// UsageByClass returns what b holds in all and of each storage class, at one moment and from its counters. A class of which it holds nothing is not there.
func (s *Store) UsageByClass(ctx context.Context, b Bucket) (total Usage, classes map[string]Usage, err error) {
	total, classes, err = s.usage(ctx, b)
	if err == nil && classes == nil {
		classes, err = s.countClasses(ctx, b.ID)
	}
	if err != nil {
		return Usage{}, nil, on("count objects", b.Name, "", err)
	}
	rest := Usage{total.Objects, total.Bytes, classes[""].Versions}
	delete(classes, "")
	for name, u := range classes {
		rest.Objects -= u.Objects
		rest.Bytes -= u.Bytes
		if u == (Usage{}) {
			delete(classes, name)
		}
	}
	if rest != (Usage{}) {
		classes[standard] = rest
	}
	return total, classes, nil
}

// usage reads the counters of b at one moment. classes has those of all classes, of the standard one, "", only
// of its versions; it is nil where they are not counted.
func (s *Store) usage(ctx context.Context, b Bucket) (total Usage, classes map[string]Usage, err error) {
	lower, upper := span(spaceUsage, b.ID)
	it, err := s.e.Scan(ctx, lower, upper)
	if err != nil {
		return Usage{}, nil, storeErr(err)
	}
	defer it.Close()
	counted := false
	classes = make(map[string]Usage)
	for it.Next() {
		_, name := split(it.Key())
		if name == "" {
			continue
		}
		n, err := counter(it.Value())
		if err != nil {
			return Usage{}, nil, err
		}
		of := classes[name[1:]]
		switch name[0] {
		case usageObjects:
			total.Objects = n
		case usageBytes:
			total.Bytes = n
		case usageClassObjects:
			of.Objects = n
			classes[name[1:]] = of
		case usageClassBytes:
			of.Bytes = n
			classes[name[1:]] = of
		case usageVersionBytes:
			of.Versions = n
			classes[name[1:]] = of
			total.Versions += n
		case usageClasses:
			counted = true
		}
	}
	if !counted {
		classes = nil
	}
	return total, classes, storeErr(it.Err())
}

// usage is the change of a bucket's counters when next takes the place of old, nil for nothing. Where nothing changes there is none.
func usage(bucket uint64, old, next *object.Meta) []Delta {
	var d []Delta
	add := func(key []byte, by int64) {
		for i := range d {
			if string(d[i].Key) == string(key) {
				d[i].By += by
				return
			}
		}
		d = append(d, Delta{key, by})
	}
	for _, of := range [...]struct {
		m    *object.Meta
		sign int64
	}{{old, -1}, {next, 1}} {
		if of.m == nil {
			continue
		}
		add(usageKey(bucket, usageObjects), of.sign)
		add(usageKey(bucket, usageBytes), of.sign*of.m.Size)
		if c := class(of.m); c != "" {
			add(classKey(bucket, usageClassObjects, c), of.sign)
			add(classKey(bucket, usageClassBytes, c), of.sign*of.m.Size)
		}
	}
	return slices.DeleteFunc(d, func(d Delta) bool { return d.By == 0 })
}

// usageOfVersion is the change of a bucket's counters when a version comes (1) or goes (-1) that is not current.
func usageOfVersion(bucket uint64, m *object.Meta, sign int64) []Delta {
	if m.Size == 0 {
		return nil
	}
	return []Delta{{classKey(bucket, usageVersionBytes, class(m)), sign * m.Size}}
}

// recoverUsage counts the objects of each class where a version of the program that did not count them left the bucket. Nobody may change objects
// meanwhile.
func (s *Store) recoverUsage(ctx context.Context) error {
	buckets, err := s.bucketsByID(ctx)
	if err != nil {
		return err
	}
	for id := range buckets {
		mark := usageKey(id, usageClasses)
		if v, err := s.get(ctx, mark); err != nil {
			return err
		} else if v != nil {
			continue
		}
		classes, err := s.countClasses(ctx, id)
		if err != nil {
			return err
		}
		batch := &Batch{Require: []Condition{unchanged(mark, nil)}, Set: []Record{{mark, number(1)}}}
		for name, u := range classes {
			batch.Set = append(batch.Set, Record{classKey(id, usageClassObjects, name), number(u.Objects)},
				Record{classKey(id, usageClassBytes, name), number(u.Bytes)})
		}
		if err := s.e.Apply(ctx, batch); err != nil {
			return storeErr(err)
		}
	}
	return nil
}

// countClasses counts the objects of all classes but the standard one by looking at each of them. Damaged ones count for none.
func (s *Store) countClasses(ctx context.Context, bucket uint64) (map[string]Usage, error) {
	lower, upper := span(spaceObject, bucket)
	it, err := s.e.Scan(ctx, lower, upper)
	if err != nil {
		return nil, storeErr(err)
	}
	defer it.Close()
	classes := make(map[string]Usage)
	for n := 0; it.Next(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		m, _, err := decodeOld(it.Value())
		if err != nil {
			return nil, err
		}
		if c := class(&m); c != "" {
			u := classes[c]
			classes[c] = Usage{Objects: u.Objects + 1, Bytes: u.Bytes + m.Size}
		}
	}
	return classes, storeErr(it.Err())
}

// counter reads the record of a counter.
func counter(v []byte) (int64, error) {
	switch {
	case v == nil:
		return 0, nil
	case len(v) != 8:
		return 0, fmt.Errorf("%w: counter of %d bytes", object.ErrDamaged, len(v))
	}
	return int64(binary.BigEndian.Uint64(v)), nil
}

// number is the record of a counter.
func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
