package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, name, source string) File {
	t.Helper()
	f, err := Parse(name, source)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wantComplaints checks that each complaint holds the wanted text, in order, and that there are no others.
func wantComplaints(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("complaints = %q, want %d of them: %q", got, len(want), want)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("complaint %d = %q, want it to say %q", i, got[i], want[i])
		}
	}
}

func TestTableCheck(t *testing.T) {
	table := Table{
		Module: "example.org/m",
		Rows: map[string]Row{
			"low":      {NoHTTP: true},
			"high":     {Imports: []string{"low"}},
			"lowtest":  {Imports: []string{"low"}},
			"tree/...": {Imports: []string{"low"}, Tests: []string{"high"}},
			"cmd/c":    {Imports: []string{"*"}},
		},
		Tests:    []string{"lowtest"},
		TestOnly: []string{"lowtest"},
	}
	// Every row has a package, so that only the file under test can be complained of.
	clean := []string{"low/l.go", "high/h.go", "lowtest/t.go", "tree/a/a.go", "cmd/c/main.go"}
	tests := []struct {
		name   string
		path   string
		source string
		nested bool
		want   []string
	}{
		{name: "downwards", path: "high/x.go", source: `import "example.org/m/low"`},
		{name: "upwards", path: "low/x.go", source: `import "example.org/m/high"`, want: []string{"low/x.go:2: low must not import high"}},
		{name: "upwards in a test", path: "low/x_test.go", source: `import "example.org/m/high"`, want: []string{"low must not import high"}},
		{name: "the package itself in its test", path: "low/x_test.go", source: `import "example.org/m/low"`},
		{name: "a test's own allowance", path: "tree/a/x_test.go", source: `import "example.org/m/high"`},
		{name: "a test's allowance outside of tests", path: "tree/a/x.go", source: `import "example.org/m/high"`, want: []string{"tree/a must not import high"}},
		{name: "a test package in a test", path: "high/x_test.go", source: `import "example.org/m/lowtest"`},
		{name: "a test package outside of tests", path: "high/x.go", source: `import "example.org/m/lowtest"`, want: []string{"high must not import lowtest"}},
		{name: "a test package in a command", path: "cmd/c/x.go", source: `import "example.org/m/lowtest"`, want: []string{"cmd/c must not import lowtest"}},
		{name: "anything in a command", path: "cmd/c/x.go", source: `import ("example.org/m/low"; "example.org/m/tree/a")`},
		{name: "a command", path: "tree/a/x.go", source: `import "example.org/m/cmd/c"`, want: []string{"tree/a must not import cmd/c"}},
		{name: "the root", path: "high/x.go", source: `import "example.org/m"`, want: []string{"high must not import ."}},
		{name: "another module with a similar path", path: "low/x.go", source: `import "example.org/more"`},
		{name: "HTTP where it is allowed", path: "high/x.go", source: `import "net/http"`},
		{name: "HTTP where it is not", path: "low/x.go", source: `import "net/http"`, want: []string{"low must not know HTTP"}},
		{name: "a part of HTTP where it is not", path: "low/x.go", source: `import "net/http/httptrace"`, want: []string{"low must not know HTTP"}},
		{name: "HTTP in a test", path: "low/x_test.go", source: `import "net/http"`},
		{name: "renamed", path: "low/x.go", source: `import _ "example.org/m/high"`, want: []string{"low must not import high"}},
		{name: "behind a build constraint", path: "low/x.go", source: "import \"example.org/m/high\"\n//go:build plan9", want: []string{"low must not import high"}},
		{name: "no row", path: "new/x.go", source: ``, want: []string{"new: no row"}},
		{name: "no row in a module of its own", path: "new/x.go", source: `import "example.org/m/low"`, nested: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var files []File
			for _, name := range clean {
				files = append(files, parse(t, name, "package p\n"))
			}
			f := parse(t, tt.path, "package p\n"+tt.source+"\n")
			f.Nested = tt.nested
			wantComplaints(t, table.Check(append(files, f)), tt.want)
		})
	}
	t.Run("row without a package", func(t *testing.T) {
		var files []File
		for _, name := range clean[1:] {
			files = append(files, parse(t, name, "package p\n"))
		}
		wantComplaints(t, table.Check(files), []string{"low: a row in the table of imports, but no package"})
	})
}

func TestCommentsRule(t *testing.T) {
	tests := []struct {
		name   string
		path   string
		source string
		want   []string
	}{
		{name: "good", path: "a/a.go", source: "// Package a does it.\n//\n// It knows nothing and nobody.\npackage a"},
		{name: "good command", path: "cmd/serve/main.go", source: "// Command serve serves.\npackage main"},
		{name: "missing", path: "a/a.go", source: "package a", want: []string{"a: no package comment"}},
		{name: "detached", path: "a/a.go", source: "// Package a does it.\n\npackage a", want: []string{"a: no package comment"}},
		{name: "another name", path: "a/a.go", source: "// Package b does it.\npackage a", want: []string{`want "Package a …"`}},
		{name: "a longer name", path: "a/a.go", source: "// Package ab does it.\npackage a", want: []string{`want "Package a …"`}},
		{name: "a command called a package", path: "cmd/c/main.go", source: "// Package main runs.\npackage main", want: []string{`want "Command c …"`}},
		{name: "two jobs", path: "a/a.go", source: "// Package a does this and that.\npackage a", want: []string{"more than one job"}},
		{name: "two jobs on two lines", path: "a/a.go", source: "// Package a does this\n// and that.\npackage a", want: []string{"more than one job"}},
		{name: "tests only", path: "a/a_test.go", source: "// Package a checks it.\npackage a_test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantComplaints(t, Comments([]File{parse(t, tt.path, tt.source)}), tt.want)
		})
	}
}

func TestGoroutinesRule(t *testing.T) {
	tests := []struct {
		name   string
		path   string
		source string
		want   []string
	}{
		{name: "owned", path: "a/a.go", source: "package a\nfunc f(wg *sync.WaitGroup) { wg.Go(func() {}) }"},
		{name: "bare", path: "a/a.go", source: "package a\nfunc f() {\n\tgo f()\n}", want: []string{"a/a.go:3: bare go statement"}},
		{name: "bare inside a literal", path: "a/a.go", source: "package a\nvar f = func() { func() { go println() }() }", want: []string{"bare go statement"}},
		{name: "in a test", path: "a/a_test.go", source: "package a\nfunc f() { go f() }"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantComplaints(t, Goroutines([]File{parse(t, tt.path, tt.source)}), tt.want)
		})
	}
}

func TestSleepsRule(t *testing.T) {
	tests := []struct {
		name   string
		path   string
		source string
		want   []string
	}{
		{name: "none", path: "a/a_test.go", source: "package a\nimport \"time\"\nvar _ = time.Second"},
		{name: "called", path: "a/a_test.go", source: "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }", want: []string{"a/a_test.go:3: a test sleeps"}},
		{name: "as a value", path: "a/a_test.go", source: "package a\nimport \"time\"\nvar wait = time.Sleep", want: []string{"a test sleeps"}},
		{name: "renamed", path: "a/a_test.go", source: "package a\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }", want: []string{"a test sleeps"}},
		{name: "dot import", path: "a/a_test.go", source: "package a\nimport . \"time\"\nfunc f() { Sleep(1) }", want: []string{"a test sleeps"}},
		{name: "another's method", path: "a/a_test.go", source: "package a\nfunc f(time clock) { time.Sleep(1) }"},
		{name: "in a package for tests", path: "atest/a.go", source: "package atest\nimport \"time\"\nfunc F() { time.Sleep(1) }", want: []string{"a test sleeps"}},
		{name: "outside of tests", path: "a/a.go", source: "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantComplaints(t, Sleeps([]File{parse(t, tt.path, tt.source)}), tt.want)
		})
	}
}

func TestLinkedRule(t *testing.T) {
	list := `{"ImportPath":"fmt","Standard":true}
{"ImportPath":"example.org/b/x","Module":{"Path":"example.org/b"}}
{"ImportPath":"example.org/a","Module":{"Path":"example.org/a"}}
{"ImportPath":"example.org/b/y","Module":{"Path":"example.org/b"}}
{"ImportPath":"` + Module + `/cmd/cistern","Module":{"Path":"` + Module + `"}}
`
	got, err := Linked([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"example.org/a", "example.org/b"}, got); diff != "" {
		t.Errorf("Linked (-want +got):\n%s", diff)
	}
	if _, err := Linked([]byte(`{"ImportPath":`)); err == nil {
		t.Error("Linked of half an answer = nil error, want one")
	}
	wantComplaints(t, LinkedDiff(got, got), nil)
	wantComplaints(t, LinkedDiff(got, got[:1]), []string{"example.org/b: linked into the binary"})
	wantComplaints(t, LinkedDiff(got[1:], got), []string{"example.org/a: in linked-modules.txt, but no longer linked"})
}

func TestGoModRule(t *testing.T) {
	tests := []struct {
		name string
		mod  string
		want []string
	}{
		{name: "clean", mod: `{"Module":{"Path":"m"},"Require":[{"Path":"example.org/a"}]}`},
		{name: "tool", mod: `{"Tool":[{"Path":"example.org/lint"}]}`, want: []string{"example.org/lint belongs in tools/go.mod"}},
		{name: "replace", mod: `{"Replace":[{"Old":{"Path":"example.org/a"},"New":{"Path":"../a"}}]}`, want: []string{"example.org/a is replaced"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := GoMod([]byte(tt.mod))
			if err != nil {
				t.Fatal(err)
			}
			wantComplaints(t, got, tt.want)
		})
	}
}

// Load must see nested modules as such, and must not see what the go command ignores.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":              "module m",
		"a.go":                "package m",
		"in/b.go":             "package in",
		"in/b_other.go":       "//go:build plan9\n\npackage in",
		"in/testdata/no.go":   "package no",
		"own/go.mod":          "module own",
		"own/deep/c.go":       "package deep",
		".hidden/no.go":       "package no",
		"_ignored/no.go":      "package no",
		"in/_ignored.go":      "package no",
		"vendor/example/x.go": "package no",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range files {
		got[f.Path] = f.Nested
	}
	want := map[string]bool{"a.go": false, "in/b.go": false, "in/b_other.go": false, "own/deep/c.go": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load, nested by path (-want +got):\n%s", diff)
	}
}
