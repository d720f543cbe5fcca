package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

func domain(name, kind string) store.Domain {
	return store.Domain{Name: name, Kind: kind, Created: time.Date(2026, 11, 25, 12, 0, 0, 1, time.UTC)}
}

// wantDomain checks whose a domain is; "" nobody's.
func wantDomain(t *testing.T, s *store.Store, name, bucket string) {
	t.Helper()
	b, _, err := s.Domain(bg, name)
	if bucket == "" {
		wantErr(t, "Domain", err, object.ErrNoDomain)
		return
	}
	check(t, err)
	if b.Name != bucket {
		t.Fatalf("Domain(%q) is of %q, want %q", name, b.Name, bucket)
	}
}

var domainTests = []test{
	{"the first claim of a domain counts until it is released", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		one, two := newBucket(t, s, "one"), newBucket(t, s, "two")
		wantDomain(t, s, "www.example.com", "")
		check(t, s.ClaimDomain(bg, one, domain("www.example.com", "website")))
		check(t, s.ClaimDomain(bg, one, domain("a.example.com", "normal")))
		wantErr(t, "ClaimDomain by another bucket", s.ClaimDomain(bg, two, domain("www.example.com", "normal")), object.ErrDomainTaken)
		wantDomain(t, s, "www.example.com", "one")
		wantDomain(t, s, "www.example.co", "")
		got, err := s.Domains(bg, one)
		check(t, err)
		if diff := cmp.Diff([]store.Domain{domain("a.example.com", "normal"), domain("www.example.com", "website")}, got); diff != "" {
			t.Fatalf("Domains (-want +got):\n%s", diff)
		}
		check(t, s.ReleaseDomain(bg, two, "www.example.com")) // it is not its
		wantDomain(t, s, "www.example.com", "one")
		check(t, s.ReleaseDomain(bg, one, "www.example.com"))
		check(t, s.ReleaseDomain(bg, one, "www.example.com"))
		wantDomain(t, s, "www.example.com", "")
		check(t, s.ClaimDomain(bg, two, domain("www.example.com", "normal")))
		wantDomain(t, s, "www.example.com", "two")
	}},
	{"a domain claimed again changes its kind and keeps its age", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "one")
		check(t, s.ClaimDomain(bg, b, domain("www.example.com", "normal")))
		later := domain("www.example.com", "website")
		later.Created = later.Created.Add(time.Hour)
		check(t, s.ClaimDomain(bg, b, later))
		got, err := s.Domains(bg, b)
		check(t, err)
		if diff := cmp.Diff([]store.Domain{domain("www.example.com", "website")}, got); diff != "" {
			t.Fatalf("Domains (-want +got):\n%s", diff)
		}
	}},
	{"a bucket that goes leaves its domains", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "one")
		check(t, s.ClaimDomain(bg, b, domain("www.example.com", "normal")))
		check(t, s.DeleteBucket(bg, b))
		wantDomain(t, s, "www.example.com", "")
		again := newBucket(t, s, "one")
		wantDomain(t, s, "www.example.com", "")
		got, err := s.Domains(bg, again)
		check(t, err)
		if len(got) != 0 {
			t.Fatalf("Domains of a new bucket = %v", got)
		}
		wantErr(t, "ClaimDomain for a bucket that is gone", s.ClaimDomain(bg, b, domain("www.example.com", "normal")), object.ErrNoSuchBucket)
		check(t, s.ClaimDomain(bg, again, domain("www.example.com", "normal")))
	}},
	{"a bucket has a bounded number of domains", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "one")
		for i := range store.MaxDomains {
			check(t, s.ClaimDomain(bg, b, domain(fmt.Sprintf("d%d.example.com", i), "normal")))
		}
		wantErr(t, "one more", s.ClaimDomain(bg, b, domain("more.example.com", "normal")), object.ErrTooManyDomains)
		check(t, s.ClaimDomain(bg, b, domain("d7.example.com", "website")))
		check(t, s.ReleaseDomain(bg, b, "d7.example.com"))
		check(t, s.ClaimDomain(bg, b, domain("more.example.com", "normal")))
	}},
	{"of many that claim a domain at once one gets it", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		var wg sync.WaitGroup
		var got atomic.Int32
		for i := range 8 {
			b := newBucket(t, s, fmt.Sprintf("bucket-%d", i))
			wg.Go(func() {
				if s.ClaimDomain(bg, b, domain("www.example.com", "normal")) == nil {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if n := got.Load(); n != 1 {
			t.Fatalf("%d buckets got the domain, want 1", n)
		}
	}},
	between("ClaimDomain, and its bucket goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { check(t, o.s.DeleteBucket(bg, o.b)) }
		wantErr(t, "ClaimDomain", mine.ClaimDomain(bg, o.b, domain("www.example.com", "normal")), object.ErrNoSuchBucket)
	}),
	between("DeleteBucket, and a domain is claimed", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		h.apply = func() { check(t, o.s.ClaimDomain(bg, o.b, domain("www.example.com", "normal"))) }
		check(t, mine.DeleteBucket(bg, o.b))
		wantDomain(t, mine, "www.example.com", "")
		other := newBucket(t, mine, "other")
		check(t, mine.ClaimDomain(bg, other, domain("www.example.com", "normal")))
	}),
	between("DeleteBucket, and its domain becomes another bucket's", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		check(t, mine.ClaimDomain(bg, o.b, domain("www.example.com", "normal")))
		other := newBucket(t, o.s, "other")
		h.apply = func() {
			check(t, o.s.ReleaseDomain(bg, o.b, "www.example.com"))
			check(t, o.s.ClaimDomain(bg, other, domain("www.example.com", "normal")))
		}
		check(t, mine.DeleteBucket(bg, o.b))
		wantDomain(t, mine, "www.example.com", "other")
	}),
}
