package qsapi

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/cisternhq/cistern/internal/sign"
)

// authenticate finds out who asks, before anything else of the request is looked at. Credentials that are sent are checked, also where
// anonymous requests would do.
func (a *API) authenticate(r *request, path, query string) error {
	r.caller.Referer = r.Header.Get("Referer")
	r.caller.Address = a.clientAddress(r.Request)
	if r.Method == http.MethodOptions && r.Header.Get("Authorization") == "" {
		// A browser asks under the address that its page will use. A signature in that is one for another method.
		return nil
	}
	covered := sign.Request{Method: r.Method, Path: path, Query: query, Header: r.Header}
	if r.target.vhost {
		covered.Bucket = r.target.bucket
	}
	c, ok, err := sign.Parse(covered)
	if err != nil {
		return fail(http.StatusBadRequest, "invalid_argument", "%s", sentence(err.Error()))
	}
	if !ok {
		return nil
	}
	k, known := a.o.Keys.Lookup(c.KeyID)
	if !known {
		k.Secret = a.decoySK
	}
	err = c.Verify(covered, k.Secret, a.o.Now())
	if errors.Is(err, sign.ErrMismatch) && r.target.cname != "" {
		// The documents call it virtual-host style with the whole host as the bucket's name, and say both (QingStor API, "Custom domain").
		covered.Bucket = r.target.cname
		err = c.Verify(covered, k.Secret, a.o.Now())
	}
	switch {
	case !known:
		return fail(http.StatusUnauthorized, "invalid_access_key_id", "The access key id is not known here.")
	case errors.Is(err, sign.ErrMismatch):
		return fail(http.StatusUnauthorized, "signature_not_matched",
			"The signature does not match. Check the secret access key, and that path and query are signed as they are sent.")
	case errors.Is(err, sign.ErrExpired):
		return fail(http.StatusForbidden, "request_expired", "%s", sentence(err.Error()))
	case err != nil:
		return fail(http.StatusBadRequest, "invalid_argument", "%s", sentence(err.Error()))
	case k.Disabled: // only who has the secret is told
		return fail(http.StatusForbidden, "access_key_disabled", "The access key is disabled. The operator of this server can enable it again.")
	}
	if c.Presigned && a.o.MaxPresign > 0 && c.Expires > a.o.Now().Add(a.o.MaxPresign).Unix() {
		return fail(http.StatusForbidden, "permission_denied", "Links may not be signed for longer than %v.", a.o.MaxPresign)
	}
	r.caller.Owner, r.caller.Operator = k.Owner, k.Operator
	r.signed, r.link = true, c.Presigned
	return nil
}

// clientAddress is where a request comes from: its connection's other end, or what a proxy that is trusted says of that. A proxy adds who asked it to the end of
// X-Forwarded-For, behind what that one claims. So the list is read from its end, as long as those who wrote it are trusted.
func (a *API) clientAddress(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := peer.Addr().Unmap()
	if len(a.o.TrustedProxies) == 0 {
		return at
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && a.trusts(at); i-- {
		next, ok := forwardedFor(strings.TrimSpace(hops[i]))
		if !ok {
			break // whoever wrote that, the last one who is known is all there is
		}
		at = next
	}
	return at
}

func (a *API) trusts(at netip.Addr) bool {
	return slices.ContainsFunc(a.o.TrustedProxies, func(n netip.Prefix) bool { return n.Contains(at.WithZone("")) })
}

// forwardedFor reads an address of X-Forwarded-For; some proxies write the port behind it.
func forwardedFor(s string) (netip.Addr, bool) {
	if at, err := netip.ParseAddr(s); err == nil {
		return at.Unmap(), true
	}
	at, err := netip.ParseAddrPort(s)
	return at.Addr().Unmap(), err == nil
}

// sentence makes a text of ours one. A name of the API at its beginning, such as source_site, stays as it is.
func sentence(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if s == "" || strings.ContainsAny(first, "_[:") {
		return strings.TrimSuffix(s, ".") + "."
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
