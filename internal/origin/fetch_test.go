package origin

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want string // what is asked for, "" if it is refused
		bad  string // what the error names
	}{
		{"http://ok.test/dir/a.txt", "http://ok.test/dir/a.txt", ""},
		{"ok.test", "http://ok.test/", ""},
		{"HTTPS://OK.test:8443/a", "https://ok.test:8443/a", ""},
		{"https://ok.test:443/a?b", "https://ok.test/a?b", ""},
		{"http://ok.test/a%20b;v=1,2!$&'()*+:@", "http://ok.test/a%20b;v=1,2!$&'()*+:@", ""},
		{"http://ok.test/ü\"<>", "http://ok.test/%C3%BC%22%3C%3E", ""},
		{"http://ok.test/a%2fb", "http://ok.test/a%2Fb", ""},
		{"http://ok.test?x=1", "http://ok.test/?x=1", ""},
		{"http://ok.test/a?X-Amz-Signature=0a%2Fb&x=/?:@", "http://ok.test/a?X-Amz-Signature=0a%2Fb&x=/?:@", ""},
		{"http://ok.test/a?ü=\"", "http://ok.test/a?%C3%BC=%22", ""},
		{"http://ok.test/a?%zz", "http://ok.test/a?%zz", ""}, // not ours to judge
		{"http://ok.test/a?", "http://ok.test/a", ""},
		{"http://ok.test/" + strings.Repeat("%20", 1023), "http://ok.test/" + strings.Repeat("%20", 1023), ""},

		{"", "", "empty"},
		{"http://ok.test/a#b", "", "fragment"},
		{"http://ok.test/a?b#c", "", "fragment"},
		{"ftp://ok.test/a", "", "scheme"},
		{"http://user@ok.test/a", "", "user information"},
		{"http://user:password@ok.test/a?b", "", "user information"},
		{"http://ok.test/a?b@c d", "", "blank"},
		{"http://ok.test/a?b\r\nHost:x", "", "control"},
		{"http://ok.test/a b", "", "blank"},
		{"http://ok.test/../a", "", "segment"},
		{"http://ok.test/%zz", "", "%"},
		{"http://0x7f.1/", "", "number"},
		{"http://ok.test/" + strings.Repeat("x", maxURL), "", "at most"},
	} {
		src, err := ParseURL(tt.url)
		if tt.want == "" {
			if !errors.Is(err, object.ErrInvalidArgument) || !strings.HasPrefix(err.Error(), "fetch source: ") || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("ParseURL(%q) = %+v, %v, want an error that names %q", tt.url, src, err, tt.bad)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseURL(%q) = %v", tt.url, err)
			continue
		}
		u, err := URL(src, "")
		if err != nil || u.String() != tt.want {
			t.Errorf("URL of ParseURL(%q) = %v, %v, want %s", tt.url, u, err, tt.want)
		}
		if at := Address(src, ""); strings.Contains(at, "?") || !strings.HasPrefix(tt.want, at) {
			t.Errorf("Address of ParseURL(%q) = %s, want it without the query", tt.url, at)
		}
	}
}

// What is accepted means the same to net/url, by which it is asked for, and no part of it became another one.
func FuzzParseURL(f *testing.F) {
	for _, u := range []string{
		"http://ok.test/a?b=c", "ok.test?", "https://[::1]:80/a;b?c", "http://a@b/?c", "http://ok.test/?a#b", "http://ok.test/%41?%", "http://ok.test\\@x/", "?", "#",
	} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, s string) {
		src, err := ParseURL(s)
		if err != nil {
			if !errors.Is(err, object.ErrInvalidArgument) || src != (object.Source{}) {
				t.Fatalf("ParseURL(%q) = %+v, %v, want the zero source and an invalid argument", s, src, err)
			}
			return
		}
		u, err := URL(src, "")
		if err != nil {
			t.Fatalf("URL of ParseURL(%q): %v", s, err)
		}
		again, err := url.Parse(u.String())
		if err != nil || again.User != nil || again.Fragment != "" || again.Host != u.Host || again.EscapedPath() != src.Path || again.RawQuery != src.Query {
			t.Fatalf("ParseURL(%q) asks for %s, which is read as %+v, %v", s, u, again, err)
		}
		if strings.ContainsAny(u.RequestURI(), " \r\n\\") || !isASCII(u.RequestURI()) {
			t.Fatalf("ParseURL(%q) asks for %q", s, u.RequestURI())
		}
	})
}
