package origin

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
)

// canonicalSite is the one spelling of src that ParseSite reads as src.
func canonicalSite(src object.Source) string {
	host := src.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return src.Scheme + "://" + host + ":" + strconv.Itoa(int(src.Port)) + src.Path
}

// What is accepted means the same to everybody who reads it: to us again, and to net/url, which net/http goes by.
func FuzzParseSite(f *testing.F) {
	for _, s := range []string{
		"ok.test", "http://ok.test", "HTTPS://OK.test:8443/a%2fb/", "http://[::1]:80/", "http://[::1%25lo]/", "http://127.0.0.1/", "http://0x7f.1/",
		"http://bücher.test/ü", "http://xn--bcher-kva.test./", "http://a_b.test/", "http://user@ok.test/", "http://ok.test?x", "http://ok.test/../",
		"http://\u212a.test/", "http://[::ffff:127.0.0.1]/", "http://ok.test:65536", "jar:http://x!/", "//ok.test", "http://1.2.3.4.", "ok.test:0080//",
		"http://ς.test/", "http://א.test/", "http://a\u200db.test/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, site string) {
		src, err := ParseSite(site)
		if err != nil {
			if !errors.Is(err, object.ErrInvalidArgument) || src != (object.Source{}) {
				t.Fatalf("ParseSite(%q) = %+v, %v, want the zero source and an invalid argument", site, src, err)
			}
			return
		}
		if src.Scheme != "http" && src.Scheme != "https" || src.Port == 0 || !strings.HasPrefix(src.Path, "/") || src.Private {
			t.Fatalf("ParseSite(%q) = %+v", site, src)
		}
		if src.Host == "" || !isASCII(src.Host) || strings.ToLower(src.Host) != src.Host || strings.ContainsAny(src.Host, "/\\@?#%[] \t") || !isASCII(src.Path) {
			t.Fatalf("ParseSite(%q): the host is %q, the path %q", site, src.Host, src.Path)
		}
		if ip, err := netip.ParseAddr(src.Host); err == nil && ip.String() != src.Host {
			t.Fatalf("ParseSite(%q): the host %q is not as it would be printed", site, src.Host)
		}
		if len(canonicalSite(src)) > maxSite {
			return // escapes have three bytes where there was one; the setting keeps what was set
		}
		again, err := ParseSite(canonicalSite(src))
		if err != nil || again != src {
			t.Fatalf("ParseSite(%q) = %+v, but the same in canonical spelling = %+v, %v", site, src, again, err)
		}
		u, err := URL(src, "")
		if err != nil {
			t.Fatalf("URL of ParseSite(%q): %v", site, err)
		}
		read, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("ParseSite(%q) leads to %q, which is no URL: %v", site, u, err)
		}
		port := read.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[read.Scheme]
		}
		if read.Scheme != src.Scheme || read.Hostname() != src.Host || port != strconv.Itoa(int(src.Port)) || read.User != nil || read.RawQuery != "" || read.Fragment != "" {
			t.Fatalf("ParseSite(%q) = %+v, but its URL %q is read as %#v", site, src, u, read)
		}
		if read.EscapedPath() != src.Path {
			t.Fatalf("ParseSite(%q): the path %q is read as %q", site, src.Path, read.EscapedPath())
		}
	})
}

// A key changes nothing of an address but the end of its path.
func FuzzURL(f *testing.F) {
	for _, s := range [][2]string{
		{"http://ok.test/base/", "k"}, {"http://ok.test", "@evil.test/x"}, {"http://ok.test", ".evil.test"}, {"http://ok.test", ":22/x"}, {"https://[::1]:8443/a%2F", "../x"},
		{"http://ok.test/a", "/../b"}, {"http://ok.test/a", "b/./c"}, {"http://ok.test/%25", "2e%2e/"}, {"http://ok.test/a%25", "252e%252e/x"}, {"http://ok.test/.a", "..\\b"},
		{"http://ok.test/a/.%2", "e"}, {"http://ok.test/", "//evil.test"}, {"http://ok.test/", "a?b#c%d e\x00\xff"}, {"http://ok.test/x/...", "."}, {"http://ok.test/.", "x"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, site, key string) {
		src, err := ParseSite(site)
		if err != nil {
			return
		}
		u, err := URL(src, key)
		if err != nil {
			if !errors.Is(err, object.ErrNoSuchKey) {
				t.Fatalf("URL(%+v, %q) = %v, want no such key", src, key, err)
			}
			return
		}
		base, err := URL(src, "")
		if err != nil {
			t.Fatalf("URL(%+v, \"\") = %v", src, err)
		}
		read, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("URL(%+v, %q) = %q, which is no URL: %v", src, key, u, err)
		}
		if read.Scheme != base.Scheme || read.Host != base.Host || read.User != nil || read.RawQuery != "" || read.Fragment != "" || read.Opaque != "" {
			t.Fatalf("URL(%+v, %q) = %q, which leads elsewhere than %q", src, key, u, base)
		}
		if read.Path != base.Path+key {
			t.Fatalf("URL(%+v, %q) = %q, the path is %q, want %q", src, key, u, read.Path, base.Path+key)
		}
		if target := u.RequestURI(); target != u.RawPath || !isASCII(target) || strings.ContainsAny(target, " \r\n\t\\?#") {
			t.Fatalf("URL(%+v, %q): the request is for %q, want %q", src, key, target, u.RawPath)
		}
		decoded := u.RawPath
		for range 3 {
			for _, segment := range strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' }) {
				if segment == "." || segment == ".." {
					t.Fatalf("URL(%+v, %q) = %q has a segment %q", src, key, u, segment)
				}
			}
			if next, err := url.PathUnescape(decoded); err == nil {
				decoded = next
			}
		}
	})
}

func TestURL(t *testing.T) {
	for _, tt := range []struct{ name, site, key, want string }{
		{"plain", "http://ok.test/a/", "b/c.txt", "http://ok.test/a/b/c.txt"},
		{"concatenation adds nothing", "http://ok.test/a", "b", "http://ok.test/ab"},
		{"no path", "ok.test", "b", "http://ok.test/b"},
		{"leading slash stays", "http://ok.test/a/", "/b", "http://ok.test/a//b"},
		{"empty segments stay", "http://ok.test/", "a//b///", "http://ok.test/a//b///"},
		{"port of the scheme", "https://ok.test:443/", "b", "https://ok.test/b"},
		{"other port", "https://ok.test:80/", "b", "https://ok.test:80/b"},
		{"IPv6", "http://[::1]/", "b", "http://[::1]/b"},
		{"IPv6 with a port", "http://[::1]:81/", "b", "http://[::1]:81/b"},
		{"unreserved", "http://ok.test/", "AZaz09-._~", "http://ok.test/AZaz09-._~"},
		{"all else", "http://ok.test/", "!\"#$%&'()*+,:;<=>?@[\\]^`{|} \t\x7fé", "http://ok.test/%21%22%23%24%25%26%27%28%29%2A%2B%2C%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D%20%09%7F%C3%A9"},
		{"an escape in a key is text", "http://ok.test/", "a%2Fb", "http://ok.test/a%252Fb"},
		{"an escape in the site is one", "http://ok.test/a%2fb/", "c", "http://ok.test/a%2Fb/c"},
		{"dots within a name", "http://ok.test/", "a..b/...c/d.", "http://ok.test/a..b/...c/d."},
		{"up", "http://ok.test/a/", "../b", ""},
		{"up in the middle", "http://ok.test/a/", "b/../../c", ""},
		{"up at the end", "http://ok.test/a/", "b/..", ""},
		{"here", "http://ok.test/a/", "b/./c", ""},
		{"dot alone", "http://ok.test/a/", ".", ""},
		{"up with a backslash", "http://ok.test/a/", `b\..\c`, ""},
		{"up, escaped", "http://ok.test/a/", "%2e%2E/c", ""},
		{"up, escaped twice", "http://ok.test/a/", "%252e./c", ""},
		{"up, with an escaped slash", "http://ok.test/a/", "..%2fc", ""},
		{"site and key make a dot segment", "http://ok.test/a.", "./b", ""},
		{"site and key make one across an escape", "http://ok.test/%25", "2e/b", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, err := ParseSite(tt.site)
			if err != nil {
				t.Fatal(err)
			}
			u, err := URL(src, tt.key)
			if tt.want == "" {
				if !errors.Is(err, object.ErrNoSuchKey) {
					t.Errorf("URL(%s, %q) = %v, %v, want no such key", tt.site, tt.key, u, err)
				}
				return
			}
			if err != nil || u.String() != tt.want {
				t.Errorf("URL(%s, %q) = %v, %v, want %s", tt.site, tt.key, u, err, tt.want)
			}
		})
	}
}

// A Location leads to a host that a setting could have, or nowhere.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{
		"/x", "x", "?q", "#f", "//ok.test/", "///x", "http://ok.test/", "HTTPS://OK.test:8443/%2f?a=b", "http:/x", "http:x", "http://u@ok.test/", "http://[::1%25lo]/",
		"javascript:x", "http://①.test", "/\\x", "http://ok.test:/", "..", "http://ok.test/é", "http://bücher.test", "http://[::ffff:1.2.3.4]/", "",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, location string, secure bool) {
		from := &url.URL{Scheme: "http", Host: "src.test:8080", Path: "/a/b"}
		if secure {
			from.Scheme = "https"
		}
		to, err := redirect(from, []string{location})
		if err != nil {
			if !errors.Is(err, object.ErrSourceBad) || to != nil {
				t.Fatalf("redirect(%q) = %v, %v, want a bad source", location, to, err)
			}
			return
		}
		if to.Scheme != "https" && (to.Scheme != "http" || secure) || to.User != nil || to.Opaque != "" || to.Fragment != "" {
			t.Fatalf("redirect(%q) = %q", location, to)
		}
		src, err := ParseSite(to.Scheme + "://" + to.Host)
		if err != nil || authority(src) != to.Host {
			t.Fatalf("redirect(%q) leads to the host %q, which is no source's: %v", location, to.Host, err)
		}
		if read, err := url.Parse(to.String()); err != nil || read.Host != to.Host || read.Scheme != to.Scheme {
			t.Fatalf("redirect(%q) = %q, which reads as %v, %v", location, to, read, err)
		}
		if target := to.RequestURI(); !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n\t") {
			t.Fatalf("redirect(%q): the request is for %q", location, target)
		}
	})
}
