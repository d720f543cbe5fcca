package cistern

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// The kinds of domains (QingStor API, "PUT Bucket CNAME").
const (
	NormalDomain  = "normal"  // the bucket's address, as the one under the server's own domain
	WebsiteDomain = "website" // its objects as the pages of a website
)

// Domain returns the bucket that is reached under a host's name in lower case, and whether as a website. It fails with [object.ErrNoDomain]. It needs
// no leave, and gives none.
func (s *Server) Domain(ctx context.Context, host string) (bucket string, website bool, err error) {
	b, d, err := s.store.Domain(ctx, host)
	return b.Name, d.Kind == WebsiteDomain, err
}

// Domains returns the domains of one kind that a bucket is reached under, in byte order.
func (s *Server) Domains(ctx context.Context, c Caller, bucket, kind string) ([]store.Domain, error) {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return nil, err
	}
	if kind, err = domainKind(kind); err != nil {
		return nil, err
	}
	all, err := s.store.Domains(ctx, b)
	if err != nil {
		return nil, err
	}
	list := all[:0]
	for _, d := range all {
		if d.Kind == kind {
			list = append(list, d)
		}
	}
	return list, nil
}

// BindDomain makes a bucket reachable under a domain. It fails with [object.ErrInvalidDomain], and with [object.ErrDomainTaken] when another bucket has the
// domain: the first one keeps it until its owner, or the operator, takes it off. Where Options.OwnersBind is not set, only the operator binds.
func (s *Server) BindDomain(ctx context.Context, c Caller, bucket, domain, kind string) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	if !c.Operator && !s.ownersBind {
		return denied("on this server only the operator binds domains; --cname owner lets owners do it")
	}
	if kind, err = domainKind(kind); err != nil {
		return err
	}
	name, err := s.checkDomain(domain)
	if err != nil {
		return object.Explain(object.ErrInvalidDomain, "the domain %v", err)
	}
	err = s.store.ClaimDomain(ctx, b, store.Domain{Name: name, Kind: kind, Created: time.Now().UTC()})
	if errors.Is(err, object.ErrDomainTaken) && c.Operator {
		if other, _, err := s.store.Domain(ctx, name); err == nil {
			return object.Explain(object.ErrDomainTaken, "the domain is bound to the bucket %q", other.Name) // which is nobody else's business
		}
	}
	return err
}

// UnbindDomain takes a domain off a bucket; one that the bucket does not have it leaves alone.
func (s *Server) UnbindDomain(ctx context.Context, c Caller, bucket, domain string) error {
	b, err := s.open(ctx, c, bucket, "", own)
	if err != nil {
		return err
	}
	return s.store.ReleaseDomain(ctx, b, hostName(domain))
}

func domainKind(kind string) (string, error) {
	switch kind {
	case "":
		return NormalDomain, nil
	case NormalDomain, WebsiteDomain:
		return kind, nil
	}
	return "", object.Explain(object.ErrInvalidArgument, "type is %q; use %s or %s", kind, NormalDomain, WebsiteDomain)
}

// hostName is the spelling of a host's name that is kept and looked for.
func hostName(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }

// checkDomain returns the name that is bound for a domain, or what is wrong with it. A name under which the server itself is reached must not become one
// bucket's: all requests under it would go there.
func (s *Server) checkDomain(domain string) (string, error) {
	name := hostName(domain)
	switch {
	case name == "":
		return "", errors.New("is missing")
	case len(name) > 253:
		return "", errors.New("is longer than 253 characters")
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !validLabel(l) {
			return "", errors.New("is no host's name: labels of 1 to 63 letters, digits and, between them, \"-\", with dots between the labels and without a port; " +
				"write names in other letters as they are in the DNS (xn--...)")
		}
	}
	last := labels[len(labels)-1]
	switch {
	case len(labels) == 1:
		return "", errors.New("has no dot")
	case strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"):
		return "", errors.New("is an address") // so does the URL standard see it
	case last == "localhost":
		return "", errors.New("is one of this machine")
	}
	for _, own := range s.domains {
		if name == own || strings.HasSuffix(name, "."+own) {
			return "", fmt.Errorf("is one of this server's own: %q is", own)
		}
	}
	return name, nil
}

func validLabel(l string) bool {
	for i := range len(l) {
		c := l[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' && i > 0 && i < len(l)-1) {
			return false
		}
	}
	return l != "" && len(l) <= 63
}
