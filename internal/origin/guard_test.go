package origin

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestPoolsHaveNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	c := New(Options{})
	defer c.Close()
	for r, p := range c.pools {
		if p.Proxy != nil {
			t.Errorf("the pool of reach %d asks somebody for a proxy", r)
		}
		if !p.DisableCompression {
			t.Errorf("the pool of reach %d would inflate what it is sent", r)
		}
	}
}

func addrPort(ip string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(ip), 80) }

func TestNeverIsNotOpened(t *testing.T) {
	var all []Allow
	for _, s := range []string{"0.0.0.0/0", "::/0"} {
		a, err := ParseAllow(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	g := newGuard(all, false)
	for _, s := range []string{
		"169.254.169.254", "169.254.1.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "::1%lo", "224.0.0.1", "ff02::1", "0.0.0.0", "0.1.2.3", "::",
		"240.0.0.1", "255.255.255.255", "::ffff:169.254.169.254", "::ffff:100.100.100.200", "::ffff:240.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2002:6464:64c8::", "64:ff9b::",
	} {
		if err := g.check(addrPort(s), "name.test", reachLAN); !errors.Is(err, errGuard) {
			t.Errorf("with everything opened, %s is judged %v, want it refused", s, err)
		}
	}
	for _, s := range []string{"10.0.0.1", "127.0.0.1", "::1", "fd12::1", "198.18.0.1", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "93.184.216.34"} {
		if err := g.check(addrPort(s), "name.test", reachStrict); err != nil {
			t.Errorf("with everything opened, %s is judged %v, want it allowed", s, err)
		}
	}
	if err := g.check(addrPort("10.0.0.1"), "name.test", reachPublic); !errors.Is(err, errGuard) {
		t.Errorf("behind a public source, an opened address is judged %v, want it refused", err)
	}
}

func TestAllow(t *testing.T) {
	for _, tt := range []struct {
		entry string
		yes   []string // name and address
		no    []string
	}{
		{"10.1.2.3", []string{"x.test 10.1.2.3:80", "x.test 10.1.2.3:8080"}, []string{"x.test 10.1.2.4:80"}},
		{"10.1.2.3:80", []string{"x.test 10.1.2.3:80"}, []string{"x.test 10.1.2.3:81"}},
		{"::ffff:10.1.2.3", []string{"x.test 10.1.2.3:80"}, nil},
		{"10.1.2.3/16", []string{"x.test 10.1.255.255:80", "x.test [::ffff:10.1.0.1]:80"}, []string{"x.test 10.2.0.0:80"}},
		{"10.1.0.0/16:80", []string{"x.test 10.1.0.1:80"}, []string{"x.test 10.1.0.1:443"}},
		{"fd00::/8", []string{"x.test [fd12::1]:80"}, []string{"x.test [fe12::1]:80", "x.test 10.0.0.1:80"}},
		{"[fd00::1]:80", []string{"x.test [fd00::1]:80"}, []string{"x.test [fd00::1]:81"}},
		{"[fd00::/8]:80", []string{"x.test [fdff::1]:80"}, []string{"x.test [fdff::1]:81"}},
		{"OK.test.", []string{"ok.test 10.0.0.1:80", "ok.test 127.0.0.1:8080"}, []string{"sub.ok.test 10.0.0.1:80", "xok.test 10.0.0.1:80"}},
		{"ok.test:80", []string{"ok.test 10.0.0.1:80"}, []string{"ok.test 10.0.0.1:81"}},
		{"bücher.test", []string{"xn--bcher-kva.test 10.0.0.1:80"}, nil},
	} {
		a, err := ParseAllow(tt.entry)
		if err != nil {
			t.Errorf("ParseAllow(%q) = %v", tt.entry, err)
			continue
		}
		g := newGuard([]Allow{a}, false)
		for i, pair := range append(append([]string(nil), tt.yes...), tt.no...) {
			name, to, _ := strings.Cut(pair, " ")
			if err := g.check(netip.MustParseAddrPort(to), name, reachStrict); (err == nil) != (i < len(tt.yes)) {
				t.Errorf("with %s opened, %s is judged %v", tt.entry, pair, err)
			}
		}
	}
	for _, bad := range []string{"", ":80", "ok.test:", "ok.test:0", "ok.test:65536", "ok.test:+80", "10.0.0.0/33", "10.0.0.0/", "[fd00::1", "[fd00::1]80", "fe80::1%eth0", "http://ok.test", "ok.test/path", "user@ok.test", "*.test", "0x7f.1", "2130706433"} {
		if a, err := ParseAllow(bad); err == nil {
			t.Errorf("ParseAllow(%q) = %+v, want an error", bad, a)
		}
	}
	// The operator's own settings reach private addresses without a list; with OnlyAllowed nobody does.
	a, err := ParseAllow("127.0.0.1:8081")
	if err != nil {
		t.Fatal(err)
	}
	if err := newGuard([]Allow{a}, false).check(netip.MustParseAddrPort("127.0.0.1:8082"), "127.0.0.1", reachLAN); err != nil {
		t.Errorf("the operator's setting is refused: %v", err)
	}
	for to, ok := range map[string]bool{"127.0.0.1:8081": true, "127.0.0.1:8082": false, "93.184.216.34:80": false} {
		if err := newGuard([]Allow{a}, true).check(netip.MustParseAddrPort(to), "x.test", reachLAN); (err == nil) != ok {
			t.Errorf("with nothing but the list allowed, %s is judged %v", to, err)
		}
	}
}

func TestOwnHostsAreNoSource(t *testing.T) {
	c := New(Options{OwnHosts: []string{"Store.Example."}})
	defer c.Close()
	c.SetOwn([]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:9000"), netip.MustParseAddrPort("[::1]:9001")})
	for site, ok := range map[string]bool{
		"http://store.example/": false, "http://STORE.example.:8080/": false, "http://demo.pek3a.store.example/": false, "http://notstore.example/": true, "http://store.example.org/": true,
		"http://127.0.0.1:9000/": false, "http://127.9.9.9:9000/": false, "http://localhost:9000/": false, "http://[::1]:9000/": false, "http://127.0.0.1:9002/": true, "http://[::1]:9001/": false, "http://127.0.0.1:9001/": true,
	} {
		src, err := ParseSite(site)
		if err != nil {
			t.Fatal(err)
		}
		src.Private = true
		if err := c.CheckSite(src); (err == nil) != ok {
			t.Errorf("CheckSite(%s) = %v, want it allowed: %t", site, err, ok)
		}
	}
}
