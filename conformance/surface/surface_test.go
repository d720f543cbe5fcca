package surface

import (
	"bufio"
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	ours = "github.com/cisternhq/cistern"
	v3   = "github.com/yunify/qingstor-sdk-go/v3"
	v4   = "github.com/qingstor/qingstor-sdk-go/v4"
)

// packages are those whose every exported name has to be in ours, "" being the module's root. What the modules have beside them is listed in
// docs/sdk.md with the reason: request/unpacker and request/builder of v3, which v4 replaced.
var packages = map[string][]string{
	v4: {"", "config", "service", "request", "request/builder", "request/data", "request/errors", "request/response", "request/signer",
		"client/upload", "client/image", "interface", "log", "utils"},
	v3: {"", "config", "service", "request", "request/data", "request/errors", "request/signer",
		"client/upload", "client/image", "interface", "logger", "utils"},
}

// deviations are what differs on purpose, by module and name, with the reason. One that does not differ any more is an error.
var deviations = map[string]map[string]string{
	v4: {
		"Version":                         "the version is ours",
		"config.DefaultConfigFileContent": "all keys are commented out, so that the environment counts over a file that nobody wrote",
	},
	v3: {
		"Version":                         "the version is ours",
		"config.DefaultConfigFileContent": "all keys are commented out, so that the environment counts over a file that nobody wrote",
	},
}

// Whatever a program may name of the genuine modules it finds in ours, with a type that fits. Types are compared as they are written, the path
// of the module replaced.
func TestEveryNameIsThere(t *testing.T) {
	mine := newLoader(t, "../..", ours+"/...")
	for module, paths := range packages {
		t.Run(module, func(t *testing.T) {
			genuine := newLoader(t, "..", patterns(module, paths)...)
			reasons := deviations[module]
			left := map[string]bool{}
			for name := range reasons {
				left[name] = true
			}
			for _, path := range paths {
				theirs, err := genuine.load(join(module, path))
				if err != nil {
					t.Fatal(err)
				}
				own, err := mine.load(join(ours, path))
				if err != nil {
					t.Errorf("package %s: %v", path, err)
					continue
				}
				got := names(own, ours)
				for name, want := range names(theirs, module) {
					full := strings.TrimPrefix(path+"."+name, ".")
					if got[name] == want {
						continue
					}
					if reasons[full] == "" {
						t.Errorf("%s: ours is %q, want %q", full, got[name], want)
					}
					delete(left, full)
				}
			}
			for name := range left {
				t.Errorf("%s is listed as a deviation, but does not differ", name)
			}
		})
	}
}

func join(module, path string) string {
	return strings.TrimSuffix(module+"/"+path, "/")
}

func patterns(module string, paths []string) []string {
	var ps []string
	for _, p := range paths {
		ps = append(ps, join(module, p))
	}
	return ps
}

// loader reads the types of packages from what the compiler wrote about them.
type loader struct {
	types types.Importer
}

func newLoader(t *testing.T, dir string, patterns ...string) loader {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}"}, patterns...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v\n%s", dir, err, stderr.Bytes())
	}
	files := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		path, file, _ := strings.Cut(lines.Text(), " ")
		files[path] = file
	}
	return loader{importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if files[path] == "" {
			return nil, fmt.Errorf("package %s is not there", path)
		}
		return os.Open(files[path])
	})}
}

func (l loader) load(path string) (*types.Package, error) { return l.types.Import(path) }

// names returns what a program can name of a package and how it is declared: functions, variables, constants with their values, types,
// their fields, their methods and what interfaces ask for.
func names(p *types.Package, module string) map[string]string {
	qualify := func(o *types.Package) string {
		path, found := strings.CutPrefix(o.Path(), module)
		if found {
			return "sdk" + path
		}
		return o.Path()
	}
	written := func(t types.Type) string { return types.TypeString(unaliased(t), qualify) }
	all := map[string]string{}
	for _, name := range p.Scope().Names() {
		o := p.Scope().Lookup(name)
		if !o.Exported() {
			continue
		}
		switch o := o.(type) {
		case *types.Const:
			all[name] = "const " + written(o.Type()) + " = " + o.Val().ExactString()
		case *types.Var:
			all[name] = "var " + written(o.Type())
		case *types.Func:
			all[name] = "func" + parameters(o.Signature(), written)
		case *types.TypeName:
			describe(all, name, o.Type(), written)
		}
	}
	return all
}

// unaliased is t with the names that mean another type written out.
func unaliased(t types.Type) types.Type {
	switch t := types.Unalias(t).(type) {
	case *types.Pointer:
		return types.NewPointer(unaliased(t.Elem()))
	case *types.Slice:
		return types.NewSlice(unaliased(t.Elem()))
	default:
		return t
	}
}

func describe(all map[string]string, name string, t types.Type, written func(types.Type) string) {
	switch u := t.Underlying().(type) {
	case *types.Struct:
		all[name] = "struct"
		for i := range u.NumFields() {
			if f := u.Field(i); f.Exported() {
				all[name+"."+f.Name()] = "field " + written(f.Type())
			}
		}
	case *types.Interface:
		all[name] = "interface"
	default:
		all[name] = "type " + written(u)
	}
	set := types.NewMethodSet(types.NewPointer(t))
	if types.IsInterface(t) {
		set = types.NewMethodSet(t)
	}
	for i := range set.Len() {
		if m := set.At(i).Obj(); m.Exported() {
			all[name+"."+m.Name()] = "method" + parameters(m.(*types.Func).Signature(), written)
		}
	}
}

// parameters writes a signature without the names of its parameters.
func parameters(s *types.Signature, written func(types.Type) string) string {
	list := func(tuple *types.Tuple) string {
		var parts []string
		for i := range tuple.Len() {
			parts = append(parts, written(tuple.At(i).Type()))
		}
		return "(" + strings.Join(parts, ", ") + ")"
	}
	text := list(s.Params()) + " " + list(s.Results())
	if s.Variadic() {
		text += " variadic"
	}
	return text
}
