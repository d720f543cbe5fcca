package origin_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
)

// Spellings that must not become a source, whoever sets them, with the word by which the refusal names the part.
var refusedSites = []struct{ name, site, part string }{
	{"mapped IPv6", "http://[::ffff:127.0.0.1]/", "IPv4 address in disguise"},
	{"mapped IPv6 of a public address", "http://[::ffff:93.184.216.34]/", "IPv4 address in disguise"},
	{"mapped IPv6 in hex", "http://[::ffff:7f00:1]/", "IPv4 address in disguise"},
	{"compatible IPv6", "http://[::127.0.0.1]/", "host"},
	{"translated IPv4 (SIIT)", "http://[::ffff:0:127.0.0.1]/", "host"},
	{"6to4 around loopback", "http://[2002:7f00:1::]/", "host"},
	{"6to4 around a public address", "http://[2002:5db8:d822::]/", "host"},
	{"link-local ISATAP", "http://[fe80::5efe:7f00:1]/", "host"},
	{"link-local with a zone", "http://[fe80::1%25eth0]/", "zone"},
	{"zone without its escape", "http://[::1%lo]/", "zone"},
	{"empty zone", "http://[::1%25]/", "zone"},
	{"site-local", "http://[fec0::1]/", "host"},
	{"metadata of a cloud in the unique local space", "http://[fd00:ec2::254]/", "host"},
	{"metadata of another", "http://[fd20:ce::254]/", "host"},
	{"documentation, the newer block", "http://[3fff::1]/", "host"},
	{"segment routing", "http://[5f00::1]/", "host"},
	{"discard", "http://[100::1]/", "host"},
	{"unspecified IPv6", "http://[::]/", "host"},
	{"unspecified IPv4", "http://0.0.0.0/", "host"},
	{"multicast", "http://224.0.0.1/", "host"},
	{"zero", "http://0/", "host"},
	{"two parts", "http://127.1/", "host"},
	{"three parts", "http://127.0.1/", "host"},
	{"five parts", "http://1.2.3.4.5/", "host"},
	{"octet too large", "http://256.1.1.1/", "host"},
	{"leading zero", "http://127.0.0.01/", "host"},
	{"hex in the last part", "http://127.0.0.0x1/", "host"},
	{"hex prefix alone", "http://0x/", "host"},
	{"name that ends in a number", "http://ok.test.1/", "host"},
	{"number with root dot", "http://2130706433./", "host"},
	{"signed part", "http://+127.0.0.1/", "host"},
	{"international name that ends in a number", "http://bücher.1/", "number"},
	{"digits of another script", "http://١٢٧.0.0.1/", "host"},
	{"full-width name", "http://ｌｏｃａｌｈｏｓｔ/", "host"},
	{"circled name", "http://ⓛocalhost/", "host"},
	{"Kelvin sign for k", "http://\u212aube.test/", "host"},
	{"dotted capital I", "http://metadata.google.\u0130nternal/", "host"},
	{"zero-width space", "http://ok.test\u200b/", "host"},
	{"word joiner", "http://ok\u2060.test/", "host"},
	{"right-to-left override", "http://\u202etset.ko/", "host"},
	{"no-break space", "http://ok.test\u00a0/", "host"},
	{"line separator", "http://ok.test\u2028/", "host"},
	{"ideographic full stop", "http://ok.test。evil.test/", "host"},
	{"full-width slash", "http://ok.test／evil/", "host"},
	{"full-width colon", "http://ok.test：22/", "host"},
	{"full-width at-sign", "http://ok.test＠127.0.0.1/", "host"},
	{"full-width number sign", "http://ok.test＃/", "host"},
	{"invalid UTF-8", "http://ok\xff.test/", "host"},
	{"punycode of a number", "http://xn--127-.test/", "host"},
	{"punycode of full-width", "http://xn--mi7cd0acm/", "host"},
	{"escaped NUL behind a local name", "http://localhost%00/", "percent"},
	{"escaped dot", "http://127%2e0%2e0%2e1/", "percent"},
	{"escaped slash", "http://ok.test%2f@evil.test/", "user information"},
	{"double escape", "http://%256c%256fcalhost/", "percent"},
	{"user information with brackets", "http://[::1]@ok.test/", "user information"},
	{"user information behind the port", "http://ok.test:80@127.0.0.1:80/", "user information"},
	{"two at-signs", "http://a@b@ok.test/", "user information"},
	{"at-sign alone", "http://@/", "user information"},
	{"text behind the bracket", "http://[::1].ok.test/", "host"},
	{"two brackets", "http://[[::1]]/", "host"},
	{"open bracket", "http://[::1/", "host"},
	{"IPv6 without brackets", "http://::1/", "host"},
	{"IPv4 in brackets", "http://[127.0.0.1]/", "host"},
	{"empty brackets", "http://[]/", "host"},
	{"IPvFuture", "http://[v1.fe80::1]/", "host"},
	{"name in brackets", "http://[localhost]/", "host"},
	{"two root dots", "http://ok.test../", "host"},
	{"leading dot", "http://.ok.test/", "host"},
	{"empty label", "http://ok..test/", "host"},
	{"dot alone", "http://./", "host"},
	{"semicolon", "http://ok.test;127.0.0.1/", "host"},
	{"comma", "http://ok.test,127.0.0.1/", "host"},
	{"ampersand", "http://ok.test&127.0.0.1/", "host"},
	{"dollar sign", "http://ok.test$/", "host"},
	{"braces", "http://{ok.test}/", "host"},
	{"star", "http://*.test/", "host"},
	{"huge host", "http://" + strings.Repeat("a.", 127) + "a/", "host"},
	{"huge site", "http://ok.test/" + strings.Repeat("a", 2048), "bytes"},
	{"no host", "http:///etc/passwd", "host"},
	{"no host, https", "https:///path", "host"},
	{"host-relative", "//ok.test/", "host"},
	{"path only", "/etc/passwd", "host"},
	{"nested scheme", "http://http://ok.test/", "port"},
	{"scheme behind a scheme", "https://file:///etc/passwd", "port"},
	{"view-source", "view-source:http://ok.test/", "host"},
	{"unknown scheme", "javascript://ok.test/%0aalert(1)", "scheme"},
	{"scheme with a plus", "git+http://ok.test/", "scheme"},
	{"no port behind the colon", "http://ok.test:/", "port"},
	{"port zero", "http://ok.test:0/", "port"},
	{"negative port", "http://ok.test:-1/", "port"},
	{"two ports", "http://ok.test:80:80/", "colons"},
	{"port of 20 digits", "http://ok.test:00000000000000065616/", "port"},
	{"port in hex", "http://ok.test:0x50/", "port"},
	{"port with a blank", "http://ok.test:80 /", "blank"},
	{"port of SSH behind brackets", "http://[2606:4700::1111]:22/", "port"},
	{"blank before the host", "http:// ok.test/", "blank"},
	{"trailing line feed", "http://ok.test/\n", "control character"},
	{"tab within the scheme", "ht\ttp://ok.test/", "control character"},
	{"DEL", "http://ok.test/\x7f", "control character"},
	{"backslashes for slashes", `http:\\ok.test\`, "backslash"},
	{"backslash in the path", `http://ok.test/\..\`, "backslash"},
	{"dot segment", "http://ok.test/../x", "segment"},
	{"escaped dot segment", "http://ok.test/a/%2e%2E/x", "segment"},
	{"twice escaped dot segment", "http://ok.test/%252e%252e/", "segment"},
	{"dot segment behind an escaped backslash", "http://ok.test/a/..%5cb", "segment"},
	{"dot segment behind an escaped slash", "http://ok.test/a%2f..", "segment"},
	{"cut escape", "http://ok.test/%4", "path"},
	{"escaped DEL", "http://ok.test/%7f/", "path"},
	{"query without a path", "http://ok.test?x", "query"},
	{"fragment without a path", "http://ok.test#x", "fragment"},
}

func TestRefusedSites(t *testing.T) {
	c := newClient(t, origin.Options{})
	for _, tt := range refusedSites {
		for _, p := range []policy{{"strict", false, ""}, {"lan", true, ""}} {
			t.Run(tt.name+"/"+p.name, func(t *testing.T) {
				src, err := origin.ParseSite(tt.site)
				if err == nil {
					src.Private = p.private
					err = c.CheckSite(src)
				}
				if !errors.Is(err, object.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.part) {
					t.Errorf("%q is answered with %v, want an invalid argument that names the %s", tt.site, err, tt.part)
				}
			})
		}
	}
}

// Spellings that look odd and are fine, with what is dialled and sent.
func TestOddSites(t *testing.T) {
	const public = "93.184.216.34"
	for _, tt := range []struct {
		name, site  string
		strict      bool // a user's setting may have it, too
		host        string
		port        uint16
		target      string
		dialled     string
		nameToPlace string // what the name resolves to; "" if it is none
	}{
		{"no scheme", "ok.test", true, "ok.test", 80, "/k", public, public},
		{"no scheme, but a port and a path", "ok.test:8080/a", true, "ok.test", 8080, "/ak", public, public},
		{"mixed case", "hTTp://OK.Test/A", true, "ok.test", 80, "/Ak", public, public},
		{"root dot", "http://ok.test./", true, "ok.test", 80, "/k", public, public},
		{"zeros before the port", "http://ok.test:0080/", true, "ok.test", 80, "/k", public, public},
		{"at-sign in the path", "http://ok.test/@127.0.0.1/", true, "ok.test", 80, "/%40127.0.0.1/k", public, public},
		{"address in the path", "http://ok.test//127.0.0.1/", true, "ok.test", 80, "//127.0.0.1/k", public, public},
		{"three dots", "http://ok.test/.../", true, "ok.test", 80, "/.../k", public, public},
		{"bytes in the path", "http://ok.test/\xff\u00e9/", true, "ok.test", 80, "/%FF%C3%A9/k", public, public},
		{"escape in small letters", "http://ok.test/%2f%e9/", true, "ok.test", 80, "/%2F%E9/k", public, public},
		{"international name", "http://bücher.test/", true, "xn--bcher-kva.test", 80, "/k", public, public},
		{"letters of another script that look like ok", "http://ок.test/", true, "xn--j1ah.test", 80, "/k", public, public},
		{"IPv6 in full", "http://[2606:4700:0:0:0:0:0:1111]/", true, "2606:4700::1111", 80, "/k", "2606:4700::1111", ""},
		{"IPv6 in capitals", "http://[2606:4700::ABCD]/", true, "2606:4700::abcd", 80, "/k", "2606:4700::abcd", ""},
		{"ISATAP at a public prefix goes there", "http://[2606:4700::5efe:7f00:1]/", true, "2606:4700::5efe:7f00:1", 80, "/k", "2606:4700::5efe:7f00:1", ""},
		{"loopback with root dot", "http://127.0.0.1./", false, "127.0.0.1", 80, "/k", "127.0.0.1", ""},
		{"loopback in full", "http://[0:0:0:0:0:0:0:1]/", false, "::1", 80, "/k", "::1", ""},
		{"below localhost", "http://a.localhost/", false, "a.localhost", 80, "/k", "127.0.0.1", "127.0.0.1"},
		{"international name below localhost", "http://bücher.localhost/", false, "xn--bcher-kva.localhost", 80, "/k", "127.0.0.1", "127.0.0.1"},
		{"localhost in capitals", "http://LOCALHOST.LOCALHOST/", false, "localhost.localhost", 80, "/k", "127.0.0.1", "127.0.0.1"},
	} {
		for _, private := range []bool{false, true} {
			t.Run(tt.name+map[bool]string{false: "/strict", true: "/lan"}[private], func(t *testing.T) {
				n, o := newNetwork(t)
				dns := cisterntest.NewDNS(t)
				if tt.nameToPlace != "" {
					dns.Set(tt.host, tt.nameToPlace)
				}
				o.Resolver = dns.Resolver()
				c := newClient(t, o)
				src := source(t, tt.site, private)
				if src.Host != tt.host || src.Port != tt.port {
					t.Errorf("ParseSite(%q) = %+v, want %s and %d", tt.site, src, tt.host, tt.port)
				}
				allowed := tt.strict || private
				if err := c.CheckSite(src); (err == nil) != allowed {
					t.Errorf("CheckSite = %v, want it allowed: %t", err, allowed)
				}
				_, err := fetch(t, c, src, "k")
				if !allowed {
					if !errors.Is(err, object.ErrSourceBad) || len(n.dialled()) != 0 {
						t.Errorf("Fetch = %v, dialled %v, want no dial", err, n.dialled())
					}
					return
				}
				if err != nil {
					t.Fatalf("Fetch = %v", err)
				}
				want := netip.AddrPortFrom(netip.MustParseAddr(tt.dialled), tt.port)
				if d := n.dialled(); len(d) != 1 || d[0] != want {
					t.Errorf("dialled %v, want %v", d, want)
				}
				if heads := n.requests(); len(heads) != 1 || !strings.HasPrefix(heads[0], "GET "+tt.target+" HTTP/1.1\r\n") {
					t.Errorf("sent %q, want a GET of %s", heads, tt.target)
				}
			})
		}
	}
}

// Names that lead to one address or several: what is dialled of them.
func TestResolvedAddresses(t *testing.T) {
	const public = "93.184.216.34"
	for _, tt := range []struct {
		name        string
		records     []string
		strict, lan []string // what may be dialled; none: nobody is
	}{
		{"public", []string{public}, []string{public}, []string{public}},
		{"loopback", []string{"127.0.0.1"}, nil, []string{"127.0.0.1"}},
		{"loopback, the far end", []string{"127.255.255.254"}, nil, []string{"127.255.255.254"}},
		{"private", []string{"172.31.255.255"}, nil, []string{"172.31.255.255"}},
		{"just behind private", []string{"172.32.0.0"}, []string{"172.32.0.0"}, []string{"172.32.0.0"}},
		{"unspecified", []string{"0.0.0.0"}, nil, nil},
		{"this network", []string{"0.1.2.3"}, nil, nil},
		{"link-local", []string{"169.254.0.1"}, nil, nil},
		{"metadata", []string{"169.254.169.254"}, nil, nil},
		{"metadata at a public address", []string{"168.63.129.16"}, nil, nil},
		{"metadata in the shared space", []string{"100.100.100.200"}, nil, nil},
		{"multicast", []string{"239.255.255.250"}, nil, nil},
		{"broadcast", []string{"255.255.255.255"}, nil, nil},
		{"reserved", []string{"240.0.0.1"}, nil, nil},
		{"unspecified IPv6", []string{"::"}, nil, nil},
		{"link-local IPv6", []string{"fe80::1"}, nil, nil},
		{"multicast IPv6", []string{"ff02::1"}, nil, nil},
		{"site-local IPv6", []string{"fec0::1"}, nil, nil},
		{"unique local", []string{"fd12::1"}, nil, []string{"fd12::1"}},
		{"metadata in the unique local space", []string{"fd00:ec2::254"}, nil, nil},
		{"6to4 around metadata", []string{"2002:a9fe:a9fe::"}, nil, nil},
		{"Teredo", []string{"2001:0:7f00:1::"}, nil, nil},
		{"compatible IPv6", []string{"::7f00:1"}, nil, nil},
		{"local NAT64", []string{"64:ff9b:1::7f00:1"}, nil, nil},
		{"public and metadata", []string{"169.254.169.254", public}, []string{public}, []string{public}},
		{"public and loopback", []string{"127.0.0.1", public}, []string{public}, []string{"127.0.0.1", public}},
		{"loopback by IPv6, public by IPv4", []string{"::1", public}, []string{public}, []string{"::1", public}},
		{"own listener", []string{"127.0.0.9"}, nil, nil},
		{"all bad", []string{"169.254.169.254", "0.0.0.0", "fe80::1", "127.0.0.9"}, nil, nil},
	} {
		for _, private := range []bool{false, true} {
			want, name := tt.strict, "/strict"
			if private {
				want, name = tt.lan, "/lan"
			}
			t.Run(tt.name+name, func(t *testing.T) {
				n, o := newNetwork(t)
				n.refuse = true // so that every address is tried
				dns := cisterntest.NewDNS(t)
				dns.Set("name.test", tt.records...)
				o.Resolver = dns.Resolver()
				c := newClient(t, o)
				c.SetOwn([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:8080")})
				src := source(t, "name.test:8080", private)
				if err := c.CheckSite(src); err != nil {
					t.Errorf("CheckSite = %v, want names judged when they are dialled", err)
				}
				if _, err := fetch(t, c, src, "k"); err == nil || explained(err) != unanswered {
					t.Errorf("Fetch = %v", err)
				}
				var got []string
				for _, to := range n.dialled() {
					got = append(got, to.Addr().String())
				}
				slices.Sort(got)
				slices.Sort(want)
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("dialled other addresses (-want +got):\n%s", d)
				}
			})
		}
	}
}

// What a redirect may lead to, by where it comes from. Empty want: nobody else is asked.
func TestRedirects(t *testing.T) {
	for _, tt := range []struct {
		name, site, location string
		private              bool
		allow                string
		want                 string // the request that follows, as HOST TARGET
	}{
		{name: "path", location: "/other", want: "src.test /other"},
		{name: "relative path", location: "other", want: "src.test /a/other"},
		{name: "up", location: "../../other", want: "src.test /other"},
		{name: "query only", location: "?x=1&y", want: "src.test /a/k?x=1&y"},
		{name: "fragment is dropped", location: "/other#x", want: "src.test /other"},
		{name: "signed link", location: "http://ok.test/b/k?Signature=a%2Fb%3D", want: "ok.test /b/k?Signature=a%2Fb%3D"},
		{name: "host-relative", location: "//ok.test/b", want: "ok.test /b"},
		{name: "scheme in capitals", location: "HTTP://OK.test/b", want: "ok.test /b"},
		{name: "other port", location: "http://ok.test:8080/b", want: "ok.test:8080 /b"},
		{name: "port of the scheme", location: "http://ok.test:80/b", want: "ok.test /b"},
		{name: "escapes stay", location: "http://ok.test/a%2Fb%20c", want: "ok.test /a%2Fb%20c"},
		{name: "international name", location: "http://bücher.test/b", want: "xn--bcher-kva.test /b"},
		{name: "three slashes are a path", location: "///127.0.0.1:8081/", want: "src.test ///127.0.0.1:8081/"},
		{name: "up to https", location: "https://ok.test/b", want: "ok.test /b"},

		{name: "host-relative to loopback", location: "//127.0.0.1:8081/"},
		{name: "backslashes", location: `http:\\127.0.0.1:8081\`},
		{name: "backslash behind the slash", location: `/\127.0.0.1:8081/`},
		{name: "no slashes", location: "http:127.0.0.1:8081"},
		{name: "one slash", location: "http:/127.0.0.1:8081/"},
		{name: "no host", location: "http:///k"},
		{name: "tab", location: "ht\ttp://ok.test/"},
		{name: "blank", location: "http://ok.test/a b"},
		{name: "metadata", location: "http://169.254.169.254/latest/"},
		{name: "metadata by name", location: "http://meta.test/"},
		{name: "private by name", location: "http://lan.test/"},
		{name: "private", location: "http://10.1.2.3/"},
		{name: "private, from an operator's setting", location: "http://10.1.2.3/", private: true},
		{name: "private by name, from an operator's setting", location: "http://lan.test/", private: true},
		{name: "opened, but from a public source", location: "http://10.1.2.3/", allow: "10.0.0.0/8"},
		{name: "mapped IPv6", location: "http://[::ffff:127.0.0.1]:8081/"},
		{name: "zone", location: "http://[::1%25lo]:8081/"},
		{name: "hex", location: "http://0x7f.1:8081/"},
		{name: "circled digits", location: "http://①②⑦.0.0.1:8081/"},
		{name: "escaped host", location: "http://%6cocalhost:8081/"},
		{name: "escaped NUL", location: "http://ok.test%00/"},
		{name: "empty user information", location: "http://@ok.test/"},
		{name: "port of SSH", location: "http://ok.test:22/"},
		{name: "empty port", location: "http://ok.test:/"},
		{name: "port out of range", location: "http://ok.test:65536/"},
		{name: "another scheme", location: "gopher://ok.test/"},
		{name: "script", location: "javascript:alert(1)"},
		{name: "data", location: "data:text/plain,x"},
		{name: "nested", location: "jar:http://ok.test!/x"},
		{name: "too long", location: "http://ok.test/" + strings.Repeat("a", 9000)},
		{name: "bad escape", location: "http://ok.test/%zz"},
		{name: "own listener", location: "http://127.0.0.1:9000/", private: true, site: "http://10.1.2.3/a/"},

		{name: "private to private, operator", site: "http://10.1.2.3/a/", private: true, location: "http://10.1.2.4/b", want: "10.1.2.4 /b"},
		{name: "private to loopback, operator", site: "http://lan.test/a/", private: true, location: "http://127.0.0.1:8081/b", want: "127.0.0.1:8081 /b"},
		{name: "private to public, operator", site: "http://10.1.2.3/a/", private: true, location: "http://ok.test/b", want: "ok.test /b"},
		{name: "private to metadata, operator", site: "http://10.1.2.3/a/", private: true, location: "http://169.254.169.254/"},
		{name: "opened to opened", site: "http://10.1.2.3/a/", allow: "10.0.0.0/8", location: "http://10.1.2.4/b", want: "10.1.2.4 /b"},
		{name: "opened to private", site: "http://10.1.2.3/a/", allow: "10.0.0.0/8", location: "http://192.168.1.1/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, o := newNetwork(t)
			dns := cisterntest.NewDNS(t)
			for name, ip := range map[string]string{
				"src.test": "93.184.216.40", "ok.test": "93.184.216.34", "xn--bcher-kva.test": "93.184.216.34", "meta.test": "169.254.169.254", "lan.test": "10.1.2.3",
			} {
				dns.Set(name, ip)
			}
			o.Resolver = dns.Resolver()
			if tt.allow != "" {
				a, err := origin.ParseAllow(tt.allow)
				if err != nil {
					t.Fatal(err)
				}
				o.Allow = []origin.Allow{a}
			}
			c := newClient(t, o)
			c.SetOwn([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9000")})
			n.answer = redirectOnce(tt.location)
			if tt.site == "" {
				tt.site = "http://src.test/a/"
			}
			body, err := fetch(t, c, source(t, tt.site, tt.private), "k")
			heads := n.requests()
			if tt.want == "" {
				if !errors.Is(err, object.ErrSourceBad) || len(heads) != 1 || len(n.dialled()) != 1 {
					t.Errorf("Fetch = %q, %v, dialled %v, sent %q; want a bad source and no second hop", body, err, n.dialled(), heads)
				}
				return
			}
			if err != nil || body != "ok" || len(heads) != 2 {
				t.Fatalf("Fetch = %q, %v, sent %q; want the second answer", body, err, heads)
			}
			host, target, _ := strings.Cut(tt.want, " ")
			if !strings.HasPrefix(heads[1], "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n") {
				t.Errorf("the second request is %q, want %s", heads[1], tt.want)
			}
		})
	}
}
