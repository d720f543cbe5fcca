package origin_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

// A vector is one way to lead a fetch where it should not go, or one that looks like it and is fine.
type vector struct {
	id, category, input, dns, policy string
	strict, lan                      string // what is to happen to a user's setting, and to one of the operator's
	why                              string
}

// policy is whose setting a vector is tried with.
type policy struct {
	name    string
	private bool
	want    string
}

func (v vector) policies() []policy {
	return []policy{{"strict", false, v.strict}, {"lan", true, v.lan}}
}

// vectorTests say how the rows of a category are tried.
var vectorTests = map[string]func(*testing.T, vector, policy){
	"ipv4-literal":  trySite,
	"ipv4-notation": trySite,
	"ipv6-literal":  trySite,
	"v4-in-v6":      trySite,
	"metadata":      trySite,
	"hostname":      trySite,
	"dns":           trySite,
	"userinfo":      trySite,
	"port":          trySite,
	"scheme":        trySite,
	"crlf":          trySite,
	"unicode":       trySite,
	"path":          trySite,
	"policy":        trySite,
	"rebind":        tryRebind,
	"redirect":      tryRedirect,
	"key-join":      tryKey,
	"proxy-env":     tryProxy,
	"request-leak":  tryLeak,
}

// endToEnd are the rows that only a whole server can show. Their tests are in internal/node, which checks that it has them all.
// Those of PUT Object - Fetch wait for that operation; until then every one of them is answered 501.
var endToEnd = map[string]bool{"fetch_source": true, "abuse": true}

func TestVectors(t *testing.T) {
	rows := loadVectors(t)
	if len(rows) < 142 {
		t.Errorf("%d vectors, want all 142", len(rows))
	}
	seen := map[string]bool{}
	for _, v := range rows {
		if seen[v.id] {
			t.Errorf("the vector %s is there twice", v.id)
		}
		seen[v.id] = true
		try, ok := vectorTests[v.category]
		if !ok {
			if !endToEnd[v.category] {
				t.Errorf("the vector %s (%s) has no test", v.id, v.category)
			}
			continue
		}
		for _, p := range v.policies() {
			t.Run(v.id+"/"+p.name, func(t *testing.T) { try(t, v, p) })
		}
	}
}

func loadVectors(t *testing.T) []vector {
	t.Helper()
	f, err := os.Open("testdata/ssrf-vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unescape := strings.NewReplacer(`\\`, `\`, `\r`, "\r", `\n`, "\n", `\t`, "\t", `\0`, "\x00")
	var rows []vector
	lines := bufio.NewScanner(f)
	for first := true; lines.Scan(); first = false {
		field := strings.Split(lines.Text(), "\t")
		if len(field) != 9 {
			t.Fatalf("the line %q has %d fields, want 9", lines.Text(), len(field))
		}
		if first {
			continue
		}
		v := vector{id: field[0], category: field[1], dns: field[4], policy: field[5], strict: field[6], lan: field[7], why: field[8]}
		v.input = unescape.Replace(field[3])
		rows = append(rows, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

const (
	port    = 8081 // of whoever must not be asked
	ownPort = 9000 // of the server itself
)

// inputs spells out the inputs that the file only describes.
var inputs = map[string]string{
	"SC20": "",
	"UN06": "http://loca\u00adlhost/",
	"KJ05": "%2e%2e%2fsecret",
	"KJ16": strings.Repeat("k", 1024),
	"PX06": "http://169.254.169.254/", // there is no setting for a proxy, so this is a source like any other
}

func (v vector) site() string {
	if s, ok := inputs[v.id]; ok {
		return s
	}
	return strings.NewReplacer("OWNPORT", fmt.Sprint(ownPort), "PORT", fmt.Sprint(port), "OTHER", "8082").Replace(v.input)
}

// decided are the rows that leave the answer open.
var decided = map[string]string{
	// A public host may serve on any port that is not another protocol's (badPorts); modern servers of Redis hang up on HTTP.
	"PT11": "allow",
	// The operator's settings may lead to loopback, so a name that moves there is followed: it is the operator's own choice of name.
	"RB01": "allow",
	"RB04": "allow",
}

// parts are the words by which a refusal names the part that is wrong, where that is not the host.
var parts = map[string]string{
	"UI03": "user information", "UI04": "user information", "UI05": "user information", "UI06": "user information",
	"UI08": "backslash", "UI11": "fragment",
	"PT02": "port", "PT04": "port", "PT08": "port", "PT10": "port", "PT15": "port",
	"SC03": "scheme", "SC04": "scheme", "SC05": "scheme", "SC08": "scheme", "SC10": "scheme",
	"SC06": "port", "SC16": "port", "SC17": "port", // "http" would be the host, and what follows its colon the port
	"SC20": "empty",
	"CR02": "control character", "CR04": "control character", "CR08": "blank", "CR10": "path", "CR11": "path",
	"PA05": "query", "PA06": "fragment", "PA07": "path",
}

// canonical is what a site that is allowed though oddly spelled becomes.
var canonical = map[string]object.Source{
	"SC11": {Scheme: "http", Host: "ok.test", Port: 80, Path: "/"},
	"PA01": {Scheme: "http", Host: "ok.test", Port: 80, Path: "/image"},
	"PO14": {Scheme: "http", Host: "ok.test", Port: 80, Path: "/"},
}

// tlsFails are the rows whose other end speaks no TLS: they are dialled, but not answered.
var tlsFails = map[string]bool{"PT14": true}

func trySite(t *testing.T, v vector, p policy) {
	n, o := newNetwork(t)
	dns := cisterntest.NewDNS(t)
	reachable := v.answers(t, dns)
	o.Resolver = dns.Resolver()
	listed := v.options(t, &o)
	c := newClient(t, o)
	c.SetOwn([]netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), ownPort)})

	want := p.want
	if want == "decide" {
		want = decided[v.id]
	}
	src, err := origin.ParseSite(v.site())
	src.Private = p.private
	parsed := err == nil
	if parsed {
		err = c.CheckSite(src)
	}
	if want == "reject_config" {
		part := parts[v.id]
		if part == "" {
			part = "host"
		}
		if !errors.Is(err, object.ErrInvalidArgument) || !strings.HasPrefix(err.Error(), "source_site: ") || !strings.Contains(err.Error(), part) {
			t.Errorf("the site %q is answered with %v, want an invalid argument that names the %s (%s)", v.site(), err, part, v.why)
		}
	} else if err != nil && v.id != "PO02" { // a literal that the list does not open is refused before it could be dialled
		t.Fatalf("the site %q is refused: %v, want it allowed as a setting (%s)", v.site(), err, v.why)
	}
	if !parsed {
		return // there is nothing to dial
	}
	if at, ok := canonical[v.id]; ok {
		at.Private = p.private
		if d := cmp.Diff(at, src); d != "" {
			t.Errorf("the source is another one (-want +got):\n%s", d)
		}
	}

	// Whatever the setting's judgement was, the dial has its own: settings are older than what they lead to.
	body, err := fetch(t, c, src, "k")
	dials := n.dialled()
	switch want {
	case "allow", "normalise":
		if tlsFails[v.id] {
			if !errors.Is(err, object.ErrSourceBad) {
				t.Errorf("Fetch = %v, want a source that is bad for good", err)
			}
		} else if err != nil || body != "ok" {
			t.Errorf("Fetch = %q, %v, want the source's answer (%s)", body, err, v.why)
		}
		if len(dials) != 1 || dials[0].Port() != src.Port || !slices.Contains(reachable, dials[0].Addr()) {
			t.Errorf("dialled %v, want one of %v with the port %d", dials, reachable, src.Port)
		}
		if listed != nil && !slices.ContainsFunc(dials, func(to netip.AddrPort) bool { return listed.Contains(to.Addr()) }) {
			t.Errorf("dialled %v, want an address in %v only", dials, listed)
		}
	case "reject_config", "deny_dial":
		if len(dials) != 0 || !errors.Is(err, object.ErrSourceBad) {
			t.Errorf("Fetch = %v and dialled %v, want a bad source and no dial (%s)", err, dials, v.why)
		}
		if text := explained(err); text != unanswered {
			t.Errorf("the client is told %q, want %q as for every other source that does not answer", text, unanswered)
		}
	case "origin_error":
		if len(dials) != 0 || !errors.Is(err, object.ErrSourceDown) {
			t.Errorf("Fetch = %v and dialled %v, want a source that is down and no dial (%s)", err, dials, v.why)
		}
	default:
		t.Errorf("nobody knows what %q means", want)
	}
}

// unanswered is what clients are told of every source that could not be asked, whyever.
const unanswered = "the source could not be asked, or did not answer as HTTP should"

func explained(err error) string {
	var e *object.Explained
	if !errors.As(err, &e) {
		return ""
	}
	return e.Text
}

// options sets what the policy column says, and returns the block that is opened.
func (v vector) options(t *testing.T, o *origin.Options) *netip.Prefix {
	t.Helper()
	if v.policy == "default" || v.policy == "allow" {
		return nil
	}
	name, value, _ := strings.Cut(v.policy, "=")
	value, _, _ = strings.Cut(value, " ")
	entry := value
	if strings.Contains(v.policy, "port=PORT") {
		entry = strings.TrimSuffix(value, "/32") + ":" + fmt.Sprint(port)
	}
	a, err := origin.ParseAllow(entry)
	if err != nil {
		t.Fatalf("ParseAllow(%q) = %v", entry, err)
	}
	// The rows mean the list to be all that there is. Without OnlyAllowed the operator's own settings reach private addresses anyway
	// (TestAllow).
	o.Allow, o.OnlyAllowed = []origin.Allow{a}, true
	if name != "allow_cidr" {
		return nil
	}
	block := netip.MustParsePrefix(value)
	return &block
}

// answers tells the name server what the vector's names are, and returns the addresses that the site has.
func (v vector) answers(t *testing.T, dns *cisterntest.DNS) []netip.Addr {
	t.Helper()
	src, err := origin.ParseSite(v.site())
	if err != nil {
		return nil
	}
	var records []string
	switch {
	case v.dns == "":
		dns.Set("*", "127.0.0.1") // for a localhost that the hosts file does not know; literals are never asked for
		if ip, err := netip.ParseAddr(src.Host); err == nil {
			return []netip.Addr{ip}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	case strings.HasPrefix(v.dns, "any->"):
		records = []string{strings.TrimPrefix(v.dns, "any->")}
		dns.Set("*", records...)
	case v.dns == "NXDOMAIN":
		return nil
	case v.dns == "NOERROR, no records":
		dns.Set(src.Host)
	case strings.HasPrefix(v.dns, "CNAME -> "):
		alias, end, _ := strings.Cut(strings.TrimPrefix(v.dns, "CNAME -> "), " -> A ")
		records = []string{end}
		dns.Set(src.Host, "CNAME "+alias)
		dns.Set(alias, end)
	case strings.HasPrefix(v.dns, "64 x A"):
		for i := range 64 {
			records = append(records, fmt.Sprintf("10.0.%d.1", i))
		}
		dns.Set(src.Host, records...)
	default:
		for r := range strings.SplitSeq(v.dns, ", ") {
			_, address, _ := strings.Cut(r, " ")
			records = append(records, address)
		}
		dns.Set(src.Host, records...)
	}
	var all []netip.Addr
	for _, r := range records {
		all = append(all, netip.MustParseAddr(r).Unmap())
	}
	return all
}

func tryRebind(t *testing.T, v vector, p policy) {
	n, o := newNetwork(t)
	dns := cisterntest.NewDNS(t)
	o.Resolver = dns.Resolver()
	c := newClient(t, o)
	src := source(t, v.site(), p.private)
	dns.Set("rebind.test", "93.184.216.34")
	if err := c.CheckSite(src); err != nil {
		t.Fatalf("CheckSite = %v", err)
	}
	want := p.want
	if want == "decide" {
		want = decided[v.id]
	}
	first := 1
	switch v.id {
	case "RB01":
		first = 0 // the setting is made, nothing is fetched yet
	case "RB04":
		n.answer = func(*http.Request, netip.AddrPort) string {
			return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
		}
		fallthrough
	case "RB05":
		if body, err := fetch(t, c, src, "k"); err != nil || body != "ok" {
			t.Fatalf("Fetch = %q, %v before the name moved", body, err)
		}
	default:
		t.Fatalf("the vector %s has no test", v.id)
	}
	dns.Set("rebind.test", "127.0.0.1")
	body, err := fetch(t, c, src, "k")
	further := n.dialled()[first:]
	switch want {
	case "deny_dial":
		if !errors.Is(err, object.ErrSourceBad) || len(further) != 0 {
			t.Errorf("Fetch = %q, %v and dialled %v, want no dial once the name has moved", body, err, further)
		}
	case "allow":
		if err != nil || len(further) != 1 || !further[0].Addr().IsLoopback() {
			t.Errorf("Fetch = %q, %v and dialled %v, want the loopback address", body, err, further)
		}
	case "reuse_ok":
		if err != nil || len(further) != 0 {
			t.Errorf("Fetch = %q, %v and dialled %v, want the connection that is there", body, err, further)
		}
	default:
		t.Errorf("nobody knows what %q means", want)
	}
}

func tryRedirect(t *testing.T, v vector, p policy) {
	const from, ok = "93.184.216.40", "93.184.216.34"
	site, location := "http://src.test/", v.site()
	hops := map[string]string{}        // Location by host
	secondHop := []string{ok + ":80"}  // what may be dialled beside the source itself
	variants := []string{"Location: "} // header lines; only one, but for RD21
	requests := 1
	switch v.id {
	case "RD01", "RD03", "RD06", "RD07", "RD08", "RD09", "RD19": // nobody else
		secondHop = nil
	case "RD13":
		site, location, secondHop = "https://src.test/", "http://ok.test/", nil
	case "RD17":
		location, secondHop, requests = "/k", nil, 11
	case "RD18":
		location, hops["ok.test"], requests = "http://ok.test/", fmt.Sprintf("http://127.0.0.1:%d/", port), 2
	case "RD21":
		location, secondHop, variants = "", nil, []string{"Location: ", "X-Location: /elsewhere"}
	case "RD23":
		location, requests = "http://ok2.test/", 2
	default:
		t.Fatalf("the vector %s has no test", v.id)
	}
	hops["src.test"] = location
	for _, header := range variants {
		n, o := newNetwork(t)
		dns := cisterntest.NewDNS(t)
		dns.Set("src.test", from)
		dns.Set("ok.test", ok)
		dns.Set("ok2.test", ok)
		o.Resolver = dns.Resolver()
		c := newClient(t, o)
		n.answer = func(r *http.Request, to netip.AddrPort) string {
			if to, ok := hops[r.Host]; ok {
				return "HTTP/1.1 302 Found\r\n" + header + to + "\r\nSet-Cookie: secret=1\r\nContent-Length: 0\r\n\r\n"
			}
			return okAnswer
		}
		src := source(t, site, p.private)
		body, err := fetch(t, c, src, "k")
		switch p.want {
		case "deny_redirect", "origin_error":
			if !errors.Is(err, object.ErrSourceBad) {
				t.Errorf("Fetch = %q, %v, want a bad source (%s)", body, err, v.why)
			}
		case "allow":
			if err != nil || body != "ok" {
				t.Errorf("Fetch = %q, %v, want the second host's answer (%s)", body, err, v.why)
			}
		default:
			t.Errorf("nobody knows what %q means", p.want)
		}
		for _, to := range n.dialled() {
			if to != netip.AddrPortFrom(netip.MustParseAddr(from), src.Port) && !slices.Contains(secondHop, to.String()) {
				t.Errorf("dialled %v, which nobody may be led to (%s)", to, v.why)
			}
		}
		heads := n.requests()
		if len(heads) != requests {
			t.Errorf("%d requests were sent, want %d", len(heads), requests)
		}
		for _, head := range heads {
			onlyOwnFields(t, head)
		}
	}
}

// onlyOwnFields fails if a request carries a field that is not ours.
func onlyOwnFields(t *testing.T, head string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(head), "\r\n")[1:] {
		name, _, _ := strings.Cut(line, ":")
		if !slices.Contains([]string{"Host", "User-Agent", "Accept-Encoding", origin.HopHeader}, name) {
			t.Errorf("the source was sent %q", line)
		}
	}
}

func tryKey(t *testing.T, v vector, p policy) {
	n, o := newNetwork(t)
	dns := cisterntest.NewDNS(t)
	dns.Set("*", "93.184.216.34")
	o.Resolver = dns.Resolver()
	c := newClient(t, o)
	site, target := "http://ok.test/base/", ""
	switch v.id {
	case "KJ01", "KJ03", "KJ05":
	case "KJ07":
		target = "/base/a%3Fb%3Dc"
	case "KJ11":
		target = "/base/http%3A//evil.test/x"
	case "KJ12":
		site, target = "http://ok.test", "/%40evil.test/x"
	case "KJ13":
		site, target = "http://ok.test", "/.evil.test/x"
	case "KJ14":
		site, target = "http://ok.test", "/%3A22/x"
	case "KJ16":
		target = "/base/" + v.site()
	default:
		t.Fatalf("the vector %s has no test", v.id)
	}
	_, err := fetch(t, c, source(t, site, p.private), v.site())
	if target == "" {
		if !errors.Is(err, object.ErrNoSuchKey) || len(n.dialled()) != 0 || dns.Asked("ok.test") != 0 {
			t.Errorf("Fetch = %v, dialled %v, want no such key and nobody asked (%s)", err, n.dialled(), v.why)
		}
		return
	}
	want := "GET " + target + " HTTP/1.1\r\nHost: ok.test\r\nUser-Agent: Cistern\r\nAccept-Encoding: identity\r\nCistern-Hops: 1\r\n\r\n"
	if err != nil {
		t.Errorf("Fetch = %v (%s)", err, v.why)
	}
	if d := cmp.Diff([]string{want}, n.requests()); d != "" {
		t.Errorf("the source was sent something else (-want +got):\n%s", d)
	}
	if d := n.dialled(); len(d) != 1 || d[0].String() != "93.184.216.34:80" {
		t.Errorf("dialled %v, want the source's own address", d)
	}
}

func tryProxy(t *testing.T, v vector, p policy) {
	switch v.id {
	case "PX01", "PX02":
		n, o := newNetwork(t)
		dns := cisterntest.NewDNS(t)
		dns.Set("ok.test", "93.184.216.34")
		o.Resolver = dns.Resolver()
		name, _, _ := strings.Cut(v.input, "=")
		t.Setenv(name, fmt.Sprintf("http://127.0.0.1:%d", port))
		c := newClient(t, o) // TestPoolsHaveNoProxy guards this, too: net/http reads the environment once only
		body, err := fetch(t, c, source(t, "http://ok.test/", p.private), "k")
		if err != nil || body != "ok" || len(n.dialled()) != 1 || n.dialled()[0].String() != "93.184.216.34:80" {
			t.Errorf("Fetch = %q, %v, dialled %v, want the source itself (%s)", body, err, n.dialled(), v.why)
		}
	case "PX06":
		trySite(t, v, p)
	default:
		t.Fatalf("the vector %s has no test", v.id)
	}
}

// A request to a source has nothing of a client's: origin.Request has no room for it. That the server puts nothing else there is
// shown in internal/node.
func tryLeak(t *testing.T, v vector, p policy) {
	switch v.id {
	case "RL01", "RL02", "RL04", "RL05":
	default:
		t.Fatalf("the vector %s has no test", v.id)
	}
	n, o := newNetwork(t)
	dns := cisterntest.NewDNS(t)
	dns.Set("ok.test", "93.184.216.34")
	o.Resolver = dns.Resolver()
	if _, err := fetch(t, newClient(t, o), source(t, "http://ok.test:8080/", p.private), "k"); err != nil {
		t.Fatal(err)
	}
	want := "GET /k HTTP/1.1\r\nHost: ok.test:8080\r\nUser-Agent: Cistern\r\nAccept-Encoding: identity\r\nCistern-Hops: 1\r\n\r\n"
	if d := cmp.Diff([]string{want}, n.requests()); d != "" {
		t.Errorf("the source was sent something else (-want +got):\n%s", d)
	}
}
