package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParseLocation(t *testing.T) {
	for _, tt := range []struct {
		arg  string
		want location
		bad  string
	}{
		{arg: "qs://demo", want: location{"demo", ""}},
		{arg: "qs://demo/", want: location{"demo", ""}},
		{arg: "qs://demo/a/b", want: location{"demo", "a/b"}},
		{arg: "qs://demo//a", want: location{"demo", "/a"}},
		{arg: "qs://demo/../%41?x#y z", want: location{"demo", "../%41?x#y z"}},
		{arg: "demo/a", bad: "does not begin with qs://"},
		{arg: "qs://", bad: "invalid bucket name"},
		{arg: "qs://Demo/a", bad: "invalid bucket name"},
		{arg: "qs://demo/" + strings.Repeat("x", 1024), bad: "invalid object name"},
		{arg: "qs://demo/\xff", bad: "not UTF-8"},
	} {
		got, err := parseLocation(tt.arg)
		switch {
		case tt.bad == "" && (err != nil || got != tt.want):
			t.Errorf("parseLocation(%q) = %+v, %v; want %+v", tt.arg, got, err, tt.want)
		case tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)):
			t.Errorf("parseLocation(%q) = %v, want an error with %q", tt.arg, err, tt.bad)
		case tt.bad != "" && exitCode(err) != exitUsage:
			t.Errorf("parseLocation(%q): exit code %d, want %d", tt.arg, exitCode(err), exitUsage)
		}
	}
}

func TestFileName(t *testing.T) {
	for _, rel := range []string{"a", "a/b.txt", "..a", "a..b/...", "a b", "-x", "~", "a\\b", "%2e%2e/x"} {
		if got, err := fileName(rel); err != nil || got != filepath.FromSlash(rel) {
			t.Errorf("fileName(%q) = %q, %v; want it as it is", rel, got, err)
		}
	}
	for _, rel := range []string{"", ".", "..", "/", "/a", "a/", "a//b", "./a", "../a", "a/..", "a/../b", "a/./b", "a\x00b"} {
		if got, err := fileName(rel); err == nil {
			t.Errorf("fileName(%q) = %q, want it refused", rel, got)
		}
	}
}

// Whatever the key, the file is below the target, and no two keys share one.
func FuzzFileName(f *testing.F) {
	for _, s := range []string{"a/b", "../x", "a//b", "/etc/passwd", "a/../../b", ".", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rel string) {
		name, err := fileName(rel)
		if err != nil {
			return
		}
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || filepath.ToSlash(name) != rel {
			t.Errorf("fileName(%q) = %q", rel, name)
		}
	})
}

func TestFolder(t *testing.T) {
	for key, want := range map[string]string{"": "", "dir": "dir/", "dir/": "dir/", "a/b": "a/b/"} {
		if got := folder(key); got != want {
			t.Errorf("folder(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"qs://demo/a b \"c\" \\d": "qs://demo/a b \"c\" \\d",
		"ключ/鍵":                  "ключ/鍵",
		"a\nb":                    `"a\nb"`,
		"a\x1b[2Jb":               `"a\x1b[2Jb"`,
		"a\u202eb":                `"a\u202eb"`,
		"\xff":                    `"\xff"`,
	} {
		if got := printable(s); got != want {
			t.Errorf("printable(%q) = %s, want %s", s, got, want)
		}
	}
}
