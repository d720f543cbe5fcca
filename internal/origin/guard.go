package origin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"code.dny.dev/ssrf"
	"github.com/cisternhq/cistern/internal/object"
)

// errGuard is matched by every refusal of the address guard. It is for the log: a client is told the same as when nobody answers,
// so that the guard is no way to scan a network.
var errGuard = errors.New("address is not allowed for sources")

// reach is how far a connection may go.
type reach int

const (
	reachPublic reach = iota // public addresses, nothing else: behind a redirect from a public source
	reachStrict              // public addresses and what the operator opened
	reachLAN                 // also private and loopback addresses: settings made with the operator's key
	reaches
)

func reachOf(src object.Source) reach {
	if src.Private {
		return reachLAN
	}
	return reachStrict
}

// Allow is one entry of the operator's list of opened destinations.
type Allow struct {
	prefix netip.Prefix // valid, or
	host   string       // a name in its canonical spelling
	port   uint16       // 0: any
}

// ParseAllow reads an entry: an address, a block (CIDR) or a host name, each with or without ":port"; IPv6 with a
// port stands in brackets.
func ParseAllow(s string) (Allow, error) {
	refuse := func(why string) (Allow, error) {
		return Allow{}, object.Explain(object.ErrInvalidArgument, "allowed source %q: %s", s, why)
	}
	host, port := s, ""
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.LastIndexByte(s, ']')
		if end < 0 {
			return refuse("the \"]\" is missing")
		}
		host, port = s[1:end], s[end+1:]
		if port != "" && port[0] != ':' {
			return refuse("only a port may follow the \"]\"")
		}
	case strings.Count(s, ":") == 1:
		i := strings.IndexByte(s, ':')
		host, port = s[:i], s[i:]
	}
	var a Allow
	if port != "" {
		n, err := strconv.ParseUint(port[1:], 10, 16)
		if err != nil || n == 0 {
			return refuse("the port is not between 1 and 65535")
		}
		a.port = uint16(n)
	}
	if p, err := netip.ParsePrefix(host); err == nil {
		a.prefix = p.Masked()
		return a, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		ip = ip.Unmap() // as check compares it
		a.prefix = netip.PrefixFrom(ip, ip.BitLen())
		return a, nil
	}
	name, bad := parseHost(host)
	if bad != "" {
		return refuse(bad)
	}
	a.host = name
	return a, nil
}

// guard judges every address before it is connected to, after names were resolved.
type guard struct {
	public, lan *ssrf.Guardian
	allow       []Allow
	onlyAllowed bool

	mu  sync.Mutex // guards own
	own []netip.AddrPort
}

// Never, whatever is opened: the addresses at which clouds hand out credentials. The others of their kind are link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud, in the shared address space
	netip.MustParseAddr("168.63.129.16"),   // Azure, a public address
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud classic
	netip.MustParseAddr("fd00:ec2::254"),   // AWS, in the unique local space
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud, in the unique local space
}

// reserved are addresses that lead nowhere, or differ from system to system.
var reserved = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}

// never says why ip is no source whatever is opened; "" if it may be one.
func never(ip netip.Addr) (why string) {
	switch {
	case slices.Contains(metadata, ip.WithZone("")):
		return "is a cloud's metadata service"
	case ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified(), ip.Zone() != "":
		return "is link-local, multicast, unspecified or has a zone"
	case slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return "is reserved"
	}
	return ""
}

var (
	nat64 = []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48")}
	sixTo = netip.MustParsePrefix("2002::/16")
)

// translated returns the IPv4 address that a gateway would make of ip. Where an operator opened the gateway's range, that one counts too.
func translated(ip netip.Addr) (netip.Addr, bool) {
	b := ip.As16()
	switch {
	case slices.ContainsFunc(nat64, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixTo.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

func newGuard(allow []Allow, onlyAllowed bool) *guard {
	lan4 := []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"),
	}
	lan6 := []netip.Prefix{netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fc00::/7")}
	return &guard{
		public:      ssrf.New(ssrf.WithAnyPort()),
		lan:         ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(lan4...), ssrf.WithAllowedV6Prefixes(lan6...)),
		allow:       allow,
		onlyAllowed: onlyAllowed,
	}
}

// setOwn names the server's own listeners.
func (g *guard) setOwn(own []netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own = own
}

// check says whether to, which host resolved to, may be connected to within r.
func (g *guard) check(to netip.AddrPort, host string, r reach) error {
	ip := to.Addr()
	if ip.Is4In6() {
		// The kernel dials a mapped address as the IPv4 address in it.
		ip = ip.Unmap()
	}
	if why := never(ip); why != "" {
		return fmt.Errorf("%w: %v %s", errGuard, ip, why)
	}
	if inner, ok := translated(ip); ok && never(inner) != "" {
		return fmt.Errorf("%w: %v leads to %v, which %s", errGuard, ip, inner, never(inner))
	}
	if g.isOwn(netip.AddrPortFrom(ip, to.Port())) {
		return fmt.Errorf("%w: %v is this server", errGuard, to)
	}
	opened := g.allowed(ip, to.Port(), host)
	if g.onlyAllowed && !opened {
		return fmt.Errorf("%w: %s (%v) is not among the allowed sources", errGuard, host, to)
	}
	if opened && r != reachPublic {
		return nil
	}
	judge := g.public
	if r == reachLAN {
		judge = g.lan
	}
	if err := judge.SafeAddr(ip); err != nil {
		return fmt.Errorf("%w: %w", errGuard, err)
	}
	return nil
}

func (g *guard) allowed(ip netip.Addr, port uint16, host string) bool {
	for _, a := range g.allow {
		if a.port != 0 && a.port != port {
			continue
		}
		if a.host != "" && a.host == host || a.prefix.IsValid() && a.prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// isOwn reports whether to leads to one of the server's own listeners.
func (g *guard) isOwn(to netip.AddrPort) bool {
	g.mu.Lock()
	own := g.own
	g.mu.Unlock()
	for _, o := range own {
		if o.Port() != to.Port() {
			continue
		}
		if o.Addr().Unmap() == to.Addr() {
			return true
		}
		if o.Addr().IsUnspecified() && isLocalAddr(to.Addr()) {
			return true
		}
	}
	return false
}

func isLocalAddr(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if local, ok := netip.AddrFromSlice(n.IP); ok && local.Unmap() == ip {
				return true
			}
		}
	}
	return false
}

// isPublic reports whether ip is one that a public source may redirect to.
func (g *guard) isPublic(ip netip.Addr) bool {
	return g.public.SafeAddr(ip.Unmap()) == nil
}

// CheckSite says whether a setting may name src. A literal address, or a name that always means this machine, is judged here and
// refused with [object.ErrInvalidArgument]; other names are judged when they are dialled, on what they resolve to then.
// The answer depends on nothing but src: it asks nobody.
func (c *Client) CheckSite(src object.Source) error { return c.check("source_site", src) }

// check is CheckSite for what the caller calls what.
func (c *Client) check(what string, src object.Source) error {
	refuse := func(why string) error { return refused(what, "the host %q %s", src.Host, why) }
	for _, own := range c.o.OwnHosts {
		if src.Host == own || strings.HasSuffix(src.Host, "."+own) {
			return refuse("is this server")
		}
	}
	r := reachOf(src)
	ip, err := netip.ParseAddr(src.Host)
	if err != nil {
		if !isLocalName(src.Host) {
			return nil
		}
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	to := netip.AddrPortFrom(ip.Unmap(), src.Port)
	if c.guard.isOwn(to) {
		return refuse("with this port is this server")
	}
	if err := c.guard.check(netip.AddrPortFrom(ip, src.Port), src.Host, r); err != nil {
		if r == reachStrict && c.guard.check(netip.AddrPortFrom(ip, src.Port), src.Host, reachLAN) == nil {
			return refuse("is a private address; only the operator's key may set it, or the operator opens it with --allow-source")
		}
		return refuse("is an address that no source may have")
	}
	return nil
}
