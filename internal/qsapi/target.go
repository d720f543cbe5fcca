package qsapi

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
)

// scope is what a request is about.
type scope int

const (
	onService scope = iota
	onBucket
	onObject
)

func (s scope) String() string { return [...]string{"the service", "a bucket", "an object"}[s] }

// target is what host and path of a request name.
type target struct {
	bucket, key string
	// vhost says that the Host names the bucket; the signature then covers it.
	vhost bool
	// zone is the zone that the Host names, "" if it names none.
	zone string
	// cname is the domain of the bucket's own that the Host is, "" if it is none. It is a virtual host then, too; with website the bucket's objects are the
	// pages of a website.
	cname   string
	website bool
	// domain is the configured domain that the Host is under, "" if there is none.
	domain string
	// port is the Host's port with its colon, or "".
	port string
	// key is "" both for a bucket's root and where there is no bucket; named says that the path named a bucket.
	named bool
}

func (t target) scope() scope {
	switch {
	case t.key != "":
		return onObject
	case t.named:
		return onBucket
	}
	return onService
}

// hosts tells the styles of addressing apart by the Host. The rules, in this order:
//
//	an address, with or without one label in front     path style; the label is the zone
//	a domain that a bucket is bound to                 virtual-host style, no zone
//	a name that is not under a configured domain       path style, no zone
//	DOMAIN                                             path style, no zone
//	ZONE.DOMAIN                                        path style
//	BUCKET.DOMAIN                                      virtual-host style
//	BUCKET.ZONE.DOMAIN                                 virtual-host style, any zone
//
// One label in front of a domain is a zone if it is the configured zone or has the shape of one: two to four letters, digits, at most
// one letter more (pek3a, sh1a, gd2, zone1). A bucket with such a name is reached with a zone in front of the domain, or in path style.
type hosts struct {
	domains []string // lower case, the longest first
	zone    string
}

func newHosts(domains []string, zone string) hosts {
	h := hosts{zone: zone}
	for _, d := range domains {
		name, _ := splitHost(d)
		if d = strings.Trim(name, "."); d != "" {
			h.domains = append(h.domains, d)
		}
	}
	slices.SortFunc(h.domains, func(a, b string) int { return len(b) - len(a) })
	return h
}

// splitURI returns path and query as they came. net/http's URL is no help: it keeps the bytes of the path only where
// they are escaped as it would have done it.
func splitURI(r *http.Request) (path, query string, err error) {
	uri := r.RequestURI
	if uri == "" {
		uri = r.URL.RequestURI()
	}
	if !strings.HasPrefix(uri, "/") { // the absolute form: http://host/path
		_, rest, ok := strings.Cut(uri, "://")
		if !ok {
			return "", "", fail(http.StatusBadRequest, "invalid_request", "The request names no path.")
		}
		i := strings.IndexAny(rest, "/?")
		if i < 0 {
			i = len(rest)
		}
		uri = rest[i:]
	}
	path, query, _ = strings.Cut(uri, "?")
	if path == "" {
		path = "/"
	}
	return path, query, nil
}

// target reads what host and escaped path name. find looks up whether a bucket is bound to a host that is not otherwise known. The path is decoded once, percent escapes only; it is never cleaned, because keys may
// hold anything.
func (h hosts) target(host, path string, find func(host string) (bound, error)) (target, error) {
	t := h.host(host)
	if name, _ := splitHost(host); t.domain == "" && t.zone == "" && strings.Contains(name, ".") && !isAddress(name) {
		b, err := find(name)
		if err != nil {
			return t, err
		}
		if b.bucket != "" {
			t.bucket, t.cname, t.website, t.vhost, t.named = b.bucket, name, b.website, true, true
		}
	}
	rest := path[1:]
	if !t.vhost {
		if rest == "" {
			return t, nil
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		t.named = true
		var err error
		if t.bucket, err = url.PathUnescape(name); err != nil {
			return t, badEscape
		}
	}
	var err error
	if t.key, err = url.PathUnescape(rest); err != nil {
		return t, badEscape
	}
	if t.key != "" {
		if err := object.CheckKey(t.key); err != nil {
			t.key = "" // it is of no use, not in a log either
			return t, object.Explain(object.ErrInvalidKey, "a key is 1 to %d bytes of UTF-8", object.MaxKeyLen)
		}
	}
	return t, nil
}

var badEscape = fail(http.StatusBadRequest, "invalid_argument", "The path holds a broken percent escape.")

func (h hosts) host(host string) target {
	name, port := splitHost(host)
	t := target{port: port}
	if isAddress(name) {
		return t
	}
	for _, d := range h.domains {
		if name == d {
			t.domain = d
			return t
		}
		label, ok := strings.CutSuffix(name, "."+d)
		if !ok {
			continue
		}
		t.domain = d
		if bucket, zone, two := cutLast(label); two {
			t.bucket, t.zone = bucket, zone
		} else if h.isZone(label) {
			t.zone = label
			return t
		} else {
			t.bucket = label
		}
		t.vhost, t.named = true, true
		return t
	}
	if label, rest, ok := strings.Cut(name, "."); ok && isAddress(rest) && label != "" {
		t.zone = label
	}
	return t
}

// splitHost returns the name in lower case without a dot at the end, and the port with its colon.
func splitHost(host string) (name, port string) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") && (strings.HasPrefix(host, "[") || strings.Count(host, ":") == 1) {
		host, port = host[:i], host[i:]
	}
	return strings.TrimSuffix(strings.ToLower(host), "."), port
}

func isAddress(name string) bool {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	_, err := netip.ParseAddr(name)
	return err == nil
}

// cutLast cuts s around its last dot.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (h hosts) isZone(label string) bool {
	if label == h.zone {
		return true
	}
	rest := strings.TrimLeft(label, "abcdefghijklmnopqrstuvwxyz")
	letters := len(label) - len(rest)
	tail := strings.TrimLeft(rest, "0123456789")
	digits := len(rest) - len(tail)
	return letters >= 2 && letters <= 4 && digits >= 1 && digits <= 3 && (tail == "" || len(tail) == 1 && tail[0] >= 'a' && tail[0] <= 'z')
}

// discovery answers the unsigned HEAD by which clients ask for a bucket's zone. There are two forms, each with its own status, because
// their clients insist on it:
//
//	HEAD /         Host BUCKET.DOMAIN   307 to http://BUCKET.ZONE.DOMAIN/
//	HEAD /BUCKET   Host DOMAIN          301 to http://ZONE.DOMAIN/BUCKET
//
// It looks nothing up, so it tells nobody which buckets exist. On other hosts such a HEAD is an anonymous HEAD Bucket.
func (a *API) discovery(r *http.Request, t target) (location string, status int, ok bool) {
	if r.Method != http.MethodHead || t.domain == "" || t.zone != "" || t.key != "" || !t.named || r.Header.Get("Authorization") != "" {
		return "", 0, false
	}
	if _, query, err := splitURI(r); err != nil || query != "" || object.CheckBucket(t.bucket) != nil {
		return "", 0, false
	}
	scheme := scheme(r)
	if t.vhost {
		return scheme + "://" + t.bucket + "." + a.o.Zone + "." + t.domain + t.port + "/", http.StatusTemporaryRedirect, true
	}
	return scheme + "://" + a.o.Zone + "." + t.domain + t.port + "/" + t.bucket, http.StatusMovedPermanently, true
}

// scheme is the scheme that the client used, as far as we see.
func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
