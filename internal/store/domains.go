package store

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// Domain is a name of the bucket's owner under which a bucket is reached.
type Domain struct {
	Name string
	// Kind says what is found under it, in the words of whoever claimed it.
	Kind string
	// Created is when the bucket claimed it, UTC.
	Created time.Time
}

// MaxDomains is how many domains a bucket may have.
const MaxDomains = 100

// claim is the record of a domain. It names the bucket with its ID, so that it means nothing once that bucket is gone.
type claim struct {
	bucket uint64
	name   string
	domain Domain
}

func encodeClaim(c claim) []byte {
	b := []byte{recordVersion}
	b = binary.BigEndian.AppendUint64(b, c.bucket)
	b = appendString(b, c.name)
	b = appendString(b, c.domain.Kind)
	b = appendTime(b, c.domain.Created)
	return seal(b)
}

func decodeClaim(domain string, v []byte) (claim, error) {
	r, err := unseal("domain", recordVersion, v)
	if err != nil {
		return claim{}, err
	}
	c := claim{bucket: r.uint64(), name: r.string(), domain: Domain{Name: domain, Kind: r.string(), Created: r.time()}}
	if err := r.end(); err != nil {
		return claim{}, err
	}
	return c, nil
}

// Domain returns the bucket that has a domain, and the domain. It fails with object.ErrNoDomain.
func (s *Store) Domain(ctx context.Context, name string) (Bucket, Domain, error) {
	v, err := s.get(ctx, domainKey(name))
	if err == nil && v == nil {
		return Bucket{}, Domain{}, object.ErrNoDomain // no more than that: many requests ask for what is no domain of a bucket
	}
	if err != nil {
		return Bucket{}, Domain{}, on("look up domain "+name, "", "", err)
	}
	c, err := decodeClaim(name, v)
	if err != nil {
		return Bucket{}, Domain{}, on("look up domain "+name, "", "", err)
	}
	b, err := s.Bucket(ctx, c.name)
	switch {
	case errors.Is(err, object.ErrNoSuchBucket), err == nil && b.ID != c.bucket:
		return Bucket{}, Domain{}, object.ErrNoDomain
	case err != nil:
		return Bucket{}, Domain{}, err
	}
	return b, c.domain, nil
}

// ClaimDomain makes d a domain of b, or changes its kind if it is one. The first bucket that claims a domain has it until it releases it or is deleted:
// others get object.ErrDomainTaken. It fails with object.ErrTooManyDomains, and with object.ErrNoSuchBucket when b is gone.
func (s *Store) ClaimDomain(ctx context.Context, b Bucket, d Domain) error {
	key := domainKey(d.Name)
	err := retry(ctx, func() error {
		bucket, bv, err := s.bucketRecord(ctx, b)
		if err != nil {
			return err
		}
		old, err := s.get(ctx, key)
		if err != nil {
			return err
		}
		c := claim{b.ID, b.Name, d}
		batch := &Batch{Require: []Condition{unchanged(bucket, bv), unchanged(key, old)}}
		if old != nil {
			was, err := decodeClaim(d.Name, old)
			if err != nil {
				return err
			}
			if was.bucket == b.ID {
				c.domain.Created = was.domain.Created
			} else if _, _, err := s.bucketRecord(ctx, Bucket{ID: was.bucket, Name: was.name}); err == nil {
				return object.ErrDomainTaken
			} else if !errors.Is(err, object.ErrNoSuchBucket) {
				return err
			}
			// What a deleted bucket left is free. It cannot come back: IDs are never used twice.
		}
		if old == nil {
			lower, upper := span(spaceDomains, b.ID)
			// Claims that come in at once may exceed the limit by their number, which harms nobody.
			has, err := s.keys(ctx, lower, upper, MaxDomains)
			if err != nil {
				return err
			}
			if len(has) >= MaxDomains {
				return object.ErrTooManyDomains
			}
		}
		batch.Set = []Record{{key, encodeClaim(c)}, {domainsKey(b.ID, d.Name), nil}}
		return storeErr(s.e.Apply(ctx, batch))
	})
	return on("claim domain "+d.Name, b.Name, "", err)
}

// ReleaseDomain makes a domain free that b has; any other it leaves alone.
func (s *Store) ReleaseDomain(ctx context.Context, b Bucket, name string) error {
	err := retry(ctx, func() error {
		batch := &Batch{}
		if err := s.freeDomain(ctx, batch, b.ID, name); err != nil {
			return err
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
	return on("release domain "+name, b.Name, "", err)
}

// freeDomain adds to batch that the bucket has the domain no more.
func (s *Store) freeDomain(ctx context.Context, batch *Batch, bucket uint64, name string) error {
	key := domainKey(name)
	v, err := s.get(ctx, key)
	if err != nil {
		return err
	}
	if v != nil {
		c, err := decodeClaim(name, v)
		if err != nil {
			return err
		}
		if c.bucket == bucket {
			batch.Delete = append(batch.Delete, key)
		}
	}
	batch.Require = append(batch.Require, unchanged(key, v))
	batch.Delete = append(batch.Delete, domainsKey(bucket, name))
	return nil
}

// Domains returns the domains of b in byte order.
func (s *Store) Domains(ctx context.Context, b Bucket) ([]Domain, error) {
	names, err := s.domainNames(ctx, b.ID)
	if err != nil {
		return nil, on("list domains", b.Name, "", err)
	}
	list := make([]Domain, 0, len(names))
	for _, name := range names {
		v, err := s.get(ctx, domainKey(name))
		if err != nil {
			return nil, on("list domains", b.Name, "", err)
		}
		if v == nil {
			continue // it was released meanwhile
		}
		c, err := decodeClaim(name, v)
		if err != nil {
			return nil, on("list domains", b.Name, "", err)
		}
		if c.bucket == b.ID {
			list = append(list, c.domain)
		}
	}
	return list, nil
}

func (s *Store) domainNames(ctx context.Context, bucket uint64) ([]string, error) {
	lower, upper := span(spaceDomains, bucket)
	keys, err := s.keys(ctx, lower, upper, -1)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		_, names[i] = split(k)
	}
	return names, nil
}

// freeDomains adds to batch that the bucket has no domains.
func (s *Store) freeDomains(ctx context.Context, batch *Batch, bucket uint64) error {
	names, err := s.domainNames(ctx, bucket)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.freeDomain(ctx, batch, bucket, name); err != nil {
			return err
		}
	}
	return nil
}

// dropDomains frees all domains of a bucket that is gone.
func (s *Store) dropDomains(ctx context.Context, bucket uint64) error {
	return retry(ctx, func() error {
		batch := &Batch{}
		if err := s.freeDomains(ctx, batch, bucket); err != nil || len(batch.Delete) == 0 {
			return err
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
}
