package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// parse resolves settings as serve does.
func parse(t *testing.T, file string, env map[string]string, args ...string) (*settings, error) {
	t.Helper()
	var s settings
	_, err := parseInto(t, &s, file, env, args...)
	return &s, err
}

// resolved is parse for whoever looks at flags instead of fields.
func resolved(t *testing.T, file string, env map[string]string) (*pflag.FlagSet, error) {
	t.Helper()
	return parseInto(t, &settings{}, file, env)
}

func setTo(fs *pflag.FlagSet, name string) string { return fs.Lookup(name).Value.String() }

func parseInto(t *testing.T, s *settings, file string, env map[string]string, args ...string) (*pflag.FlagSet, error) {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.flags(fs)
	if file != "" {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs, resolve(fs, func(name string) string { return env[name] })
}

func TestEverySettingHasThreeSpellings(t *testing.T) {
	var s settings
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.flags(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" {
			return
		}
		v := f.Value.String()
		switch f.Value.Type() {
		case "stringArray":
			v = "x y"
		case "string":
			v = "x"
		case "bool":
			v = "true"
		}
		file := fileKey(f.Name) + ": " + v + "\n"
		fromFile, err := resolved(t, file, nil)
		if err != nil {
			t.Errorf("%q in the file: %v", file, err)
			return
		}
		fromEnv, err := resolved(t, "", map[string]string{envName(f.Name): strings.ReplaceAll(v, "x y", "x_y")})
		if err != nil {
			t.Errorf("%s=%s: %v", envName(f.Name), v, err)
			return
		}
		if f.Value.Type() == "string" && (setTo(fromFile, f.Name) != "x" || setTo(fromEnv, f.Name) != "x") {
			t.Errorf("--%s is %q from the file and %q from the environment, want \"x\"", f.Name, setTo(fromFile, f.Name), setTo(fromEnv, f.Name))
		}
		if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
			t.Errorf("--%s: usage %q", f.Name, f.Usage)
		}
	})
}

func TestPrecedence(t *testing.T) {
	file := "grace: 1s\ndata: f\nzone: f\nallow_source: [f]\n"
	env := map[string]string{"CISTERN_GRACE": "2s", "CISTERN_DATA": "e", "CISTERN_ALLOW_SOURCE": " a  b "}
	s, err := parse(t, file, env, "--grace", "3s")
	if err != nil {
		t.Fatal(err)
	}
	got := []any{s.grace, s.data, s.zone, s.listen, s.allow}
	want := []any{3 * time.Second, "e", "f", "127.0.0.1:9000", []string{"a", "b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flag, environment, file, default, a list (-want +got):\n%s", diff)
	}
}

func TestFileForms(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string // of mirror
		bad        string
	}{
		{name: "list", file: "mirror: [a=b, c=d]", want: []string{"a=b", "c=d"}},
		{name: "block list", file: "mirror:\n  - a=b\n  - c=d\n", want: []string{"a=b", "c=d"}},
		{name: "mapping", file: "mirror:\n  a: b\n  c: https://d/\n", want: []string{"a=b", "c=https://d/"}},
		{name: "one pair", file: "mirror: {a: b}", want: []string{"a=b"}},
		{name: "one value", file: "mirror: a=b", want: []string{"a=b"}},
		{name: "quoted", file: "mirror: [\"a=b#c\", 'd=e']", want: []string{"a=b#c", "d=e"}},
		{name: "null", file: "mirror:\nzone: x", want: nil},
		{name: "empty file", file: "# nothing\n", want: nil},
		{name: "a list alone", file: "- a\n", bad: ":1:1: the file must be"},
		{name: "nested list", file: "mirror: [[a]]", bad: ":1:10: \"mirror\" takes"},
		{name: "list for one value", file: "grace: [1s]", bad: ":1:8: \"grace\" takes"},
		{name: "two documents", file: "zone: a\n---\nzone: b\n", bad: "a second document"},
		{name: "unknown", file: "zone: a\nmirrors: [a=b]\n", bad: ":2:1: unknown setting \"mirrors\""},
		{name: "flag's spelling", file: "log-level: info", bad: ":1:1: unknown setting \"log-level\""},
		{name: "bad value deep", file: "zone: a\nsegment_size:   8MB\n", bad: ":2:17: segment_size: \"8MB\""},
		{name: "anchor", file: "zone: &a x\ndata: *a\n", bad: "takes one value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parse(t, tt.file, nil)
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) || exitCode(err) != exitUsage {
					t.Errorf("resolve = %v, want wrong usage with %q", err, tt.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, s.mirrors); diff != "" {
				t.Errorf("mirror (-want +got):\n%s", diff)
			}
		})
	}
}

// No file makes the parser panic.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"mirror: {a: b}", "zone: &a x", "? a\n: b", "mirror: !!binary x", "a: |\n  b", "<<: {}", "[", "\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s settings
		fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		s.flags(fs)
		_ = applyFile(fs, "x", []byte(text), map[string]bool{})
	})
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1": 1, "64KiB": 64 << 10, "8 MiB": 8 << 20, "5TiB": 5 << 40, "9223372036854775807": math.MaxInt64} {
		var b bytesValue
		if err := b.Set(text); err != nil || int64(b) != want {
			t.Errorf("Set(%q) = %d, %v; want %d", text, b, err, want)
		}
		var again bytesValue
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%q is printed as %q, which reads as %d, %v", text, b.String(), again, err)
		}
	}
	for _, text := range []string{"", "-1", "8MB", "1.5MiB", "8388608TiB", "9223372036854775808", "KiB"} {
		var b bytesValue
		if err := b.Set(text); err == nil {
			t.Errorf("Set(%q) = %d, want it refused", text, b)
		}
	}
}

// A zero of a flag means none, a zero of the parts' options means their default.
func TestZeroMeansNone(t *testing.T) {
	s, err := parse(t, "", nil, "--fill-retries", "0", "--breaker-failures", "0", "--source-max-redirects", "0", "--source-min-rate", "0", "--max-connections", "0",
		"--max-buckets", "0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.check(); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int64{
		"Retries": int64(s.fill.Retries), "BreakerFailures": int64(s.fill.BreakerFailures), "MaxRedirects": int64(s.origin.MaxRedirects),
		"MinRate": s.origin.MinRate, "MaxConnections": int64(s.maxConnections), "MaxBuckets": int64(s.maxBuckets),
	} {
		if n >= 0 {
			t.Errorf("%s = %d, want a negative number", name, n)
		}
	}
}
