package origin

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
	"golang.org/x/net/idna"
)

// maxSite is the longest source site, in bytes.
const maxSite = 2048

// ParseSite reads a source site: host[:port][/path] with "http://", "https://" or nothing in front (QingStor API, "PUT Bucket
// External Mirror"). It refuses everything that two parsers could read in two ways; the error matches
// [object.ErrInvalidArgument] and its text names the part. It does not look at where the address leads: see [Client.CheckSite].
func ParseSite(site string) (object.Source, error) {
	return parseSite("source_site", site, "", maxSite)
}

// refused is the error for a part of what, a name that the caller knows it by.
func refused(what, format string, args ...any) error {
	return object.Explain(object.ErrInvalidArgument, what+": "+format, args...)
}

// parseSite reads a site that the caller calls what, of limit bytes at most. The bytes in plain may stand in its path as they are.
func parseSite(what, site, plain string, limit int) (object.Source, error) {
	refuse := func(format string, args ...any) (object.Source, error) {
		return object.Source{}, refused(what, format, args...)
	}
	switch {
	case site == "":
		return refuse("it is empty; write [http://|https://]host[:port][/path]")
	case len(site) > limit:
		return refuse("it has %d bytes; at most %d are allowed", len(site), limit)
	}
	for i := range len(site) {
		switch c := site[i]; {
		case c < 0x20 || c == 0x7f:
			return refuse("byte %d is a control character", i+1)
		case c == ' ':
			return refuse("byte %d is a blank; write it as %%20", i+1)
		case c == '\\':
			return refuse("byte %d is a backslash; only \"/\" separates", i+1)
		}
	}

	src := object.Source{Scheme: "http"}
	rest := site
	if scheme, after, ok := strings.Cut(site, "://"); ok && isScheme(scheme) {
		src.Scheme, rest = strings.ToLower(scheme), after
		if src.Scheme != "http" && src.Scheme != "https" {
			return refuse("the scheme %q is not allowed; use http or https", scheme)
		}
	}
	switch {
	case strings.Contains(rest, "#"):
		return refuse("a fragment (#) is not allowed: the key would be lost behind it")
	case strings.Contains(rest, "?"):
		return refuse("a query (?) is not allowed: the key would become part of it")
	}
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.Contains(authority, "@") {
		return refuse("user information (\"@\") is not allowed in the host")
	}
	host, port, err := splitPort(authority)
	if err != "" {
		return refuse("%s", err)
	}
	src.Port = 80
	if src.Scheme == "https" {
		src.Port = 443
	}
	if port != nil {
		n, bad := parsePort(*port)
		if bad != "" {
			return refuse("%s", bad)
		}
		src.Port = n
	}
	if src.Host, err = parseHost(host); err != "" {
		return refuse("%s", err)
	}
	if src.Path, err = parsePath(path, plain); err != "" {
		return refuse("%s", err)
	}
	return src, nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z' || i > 0 && (c >= '0' && c <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.')) {
			return false
		}
	}
	return s != ""
}

// splitPort returns the host of authority, an IPv6 address still in its brackets, and the port if there is a colon.
func splitPort(authority string) (host string, port *string, bad string) {
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return "", nil, "the host lacks its \"]\""
		}
		host, rest := authority[:end+1], authority[end+1:]
		if rest == "" {
			return host, nil, ""
		}
		if rest[0] != ':' {
			return "", nil, "only a port may follow the \"]\" of the host"
		}
		rest = rest[1:]
		return host, &rest, ""
	}
	host, rest, found := strings.Cut(authority, ":")
	if !found {
		return host, nil, ""
	}
	if strings.Contains(rest, ":") {
		return "", nil, "the host has several colons; write an IPv6 address in brackets"
	}
	return host, &rest, ""
}

// Ports of services that are not HTTP but would read a request as their own commands. They are those of the Fetch
// standard's list (fetch.spec.whatwg.org, "port blocking") that lie below 1024, and a few above.
var badPorts = map[uint16]bool{
	1: true, 7: true, 9: true, 11: true, 13: true, 15: true, 17: true, 19: true, 20: true, 21: true, 22: true, 23: true, 25: true,
	37: true, 42: true, 43: true, 53: true, 69: true, 77: true, 79: true, 87: true, 95: true, 101: true, 102: true, 103: true,
	104: true, 109: true, 110: true, 111: true, 113: true, 115: true, 117: true, 119: true, 123: true, 135: true, 137: true,
	139: true, 143: true, 161: true, 179: true, 389: true, 427: true, 465: true, 512: true, 513: true, 514: true, 515: true,
	526: true, 530: true, 531: true, 532: true, 540: true, 548: true, 554: true, 556: true, 563: true, 587: true, 601: true,
	636: true, 989: true, 990: true, 993: true, 995: true, 1719: true, 1720: true, 1723: true, 2049: true, 3659: true, 4045: true,
	4190: true, 5060: true, 5061: true, 6000: true, 6566: true, 6665: true, 6666: true, 6667: true, 6668: true, 6669: true,
	6679: true, 6697: true, 10080: true,
}

func parsePort(s string) (port uint16, bad string) {
	if s == "" {
		return 0, "the port after \":\" is missing"
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, "the port " + strconv.Quote(s) + " is no number"
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, "the port " + s + " is not between 1 and 65535"
	}
	if badPorts[uint16(n)] {
		return 0, "the port " + s + " belongs to another protocol than HTTP"
	}
	return uint16(n), ""
}

// hostProfile checks internationalised names and maps nothing: a name whose characters would have to be mapped (full-width
// digits, circled letters, a soft hyphen) can be dialled as something else than it looks.
var hostProfile = idna.New(idna.ValidateLabels(true), idna.CheckHyphens(true), idna.CheckJoiners(true), idna.BidiRule())

// parseHost returns host in its canonical spelling: names in lower case and ASCII without the root dot, addresses as
// netip prints them.
func parseHost(host string) (canonical, bad string) {
	if host == "" {
		return "", "the host is empty"
	}
	if strings.HasPrefix(host, "[") {
		return parseIPv6(host[1 : len(host)-1])
	}
	if strings.Contains(host, "%") {
		return "", "the host holds a percent sign; write it plainly"
	}
	name := lowerASCII(host)
	if !isASCII(name) {
		ascii, err := hostProfile.ToASCII(name)
		if err != nil {
			return "", "the host " + strconv.Quote(host) + " is no valid international domain name in lower case"
		}
		name = ascii
	}
	name = strings.TrimSuffix(name, ".")
	if last, ok := numeric(name); ok {
		addr, err := netip.ParseAddr(name)
		if err != nil || !addr.Is4() { // netip knows one spelling of an IPv4 address only
			return "", "the host " + strconv.Quote(host) + " ends in the number " + strconv.Quote(last) + " but is no dotted address (a.b.c.d)"
		}
		return name, ""
	}
	if len(name) > 253 {
		return "", "the host is longer than 253 characters"
	}
	for label := range strings.SplitSeq(name, ".") {
		if why := badLabel(label); why != "" {
			return "", "the host's label " + strconv.Quote(label) + " " + why
		}
	}
	return name, ""
}

func parseIPv6(s string) (canonical, bad string) {
	// A zone is written %25 in URLs (RFC 6874). It means something only with link-local addresses, which are never allowed; a
	// zone on another address would slip past prefix tests. With loopback it says nothing, so it is dropped.
	s, zone, zoned := strings.Cut(s, "%")
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil || !addr.Is6():
		return "", "the host [" + s + "] is no IPv6 address"
	case addr.Is4In6():
		return "", "the host [" + s + "] is an IPv4 address in disguise; write it as a.b.c.d"
	case zoned && (!addr.IsLoopback() || !strings.HasPrefix(zone, "25") || len(zone) == 2):
		return "", "the host [" + s + "] has a zone, which is not allowed"
	}
	return addr.String(), ""
}

// numeric reports whether a resolver could read name as a number, or as an address: by its last label.
func numeric(name string) (last string, ok bool) {
	last = strings.TrimSuffix(name, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if last == "" {
		return last, false
	}
	digits := last
	hex := strings.HasPrefix(last, "0x")
	if hex {
		digits = last[2:]
	}
	for i := range len(digits) {
		c := digits[i]
		if !(c >= '0' && c <= '9' || hex && c >= 'a' && c <= 'f') {
			return last, false
		}
	}
	return last, true
}

func badLabel(label string) string {
	switch {
	case label == "":
		return "is empty"
	case len(label) > 63:
		return "is longer than 63 characters"
	case label[0] == '-' || label[len(label)-1] == '-':
		return "begins or ends with a hyphen"
	}
	for i := range len(label) {
		c := label[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return "holds " + strconv.Quote(string(rune(c)))
		}
	}
	if strings.HasPrefix(label, "xn--") {
		if u, err := hostProfile.ToUnicode(label); err != nil || u == label {
			return "is broken punycode"
		}
	}
	return ""
}

// parsePath checks the path of a source site and returns it with each byte outside unreserved, "/", plain and valid escapes
// percent-encoded.
func parsePath(path, plain string) (canonical, bad string) {
	if path == "" {
		return "/", ""
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if strings.IndexByte(plain, path[i]) >= 0 {
			b.WriteByte(path[i])
			continue
		}
		if path[i] != '%' {
			escapeByte(&b, path[i])
			continue
		}
		if i+2 >= len(path) || unhex(path[i+1]) < 0 || unhex(path[i+2]) < 0 {
			return "", "the path holds a \"%\" that no two hex digits follow; write it as %25"
		}
		c := byte(unhex(path[i+1])<<4 | unhex(path[i+2]))
		if c < 0x20 || c == 0x7f {
			return "", "the path holds an escaped control character"
		}
		b.WriteString(strings.ToUpper(path[i : i+3]))
		i += 2
	}
	if dotSegment(path) {
		return "", "the path holds a \".\" or \"..\" segment; write where it leads"
	}
	return b.String(), ""
}

// lowerASCII lowers A-Z only. Unicode's rules would turn some other letters into ASCII, such as the Kelvin sign into a k.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// isLocalName reports whether name always means this machine (RFC 6761 §6.3).
func isLocalName(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
