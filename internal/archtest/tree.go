// Package archtest checks the rules that hold for the tree as a whole.
//
// Each rule is a function from what it judges to a list of complaints, so that the tests can also show it something
// wrong. It reads source text only: build constraints are not applied, so a rule holds on every platform.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// File is one Go file of the tree.
type File struct {
	// Path is the file's path below the root, with slashes.
	Path string
	// Nested says that the file belongs to a module of its own below the root.
	Nested bool

	fset   *token.FileSet
	syntax *ast.File
}

// Parse makes a File from source text. The error is the parser's.
func Parse(name, source string) (File, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return File{}, err
	}
	return File{Path: name, fset: fset, syntax: syntax}, nil
}

// Load parses every Go file below root, nested modules included. What the go command ignores is left
// out: testdata, vendor, names that begin with a dot or an underscore.
func Load(root string) ([]File, error) {
	var files []File
	nested := map[string]bool{} // directories below a go.mod that is not the root's
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		base := path.Base(rel)
		hidden := rel != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
		if d.IsDir() {
			if hidden || base == "testdata" || base == "vendor" {
				return fs.SkipDir
			}
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			nested[rel] = rel != "." && (err == nil || nested[path.Dir(rel)])
			return nil
		}
		if hidden || !strings.HasSuffix(base, ".go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := Parse(rel, string(source))
		if err != nil {
			return err
		}
		f.Nested = nested[path.Dir(rel)]
		files = append(files, f)
		return nil
	})
	return files, err
}

// Dir is the folder of the file below the root; "." is the root itself.
func (f File) Dir() string { return path.Dir(f.Path) }

// Test says whether the file is compiled for tests only.
func (f File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Imports lists the import paths of the file.
func (f File) Imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil { // the parser let it through, so it is a string literal
			p = spec.Path.Value
		}
		paths = append(paths, p)
	}
	return paths
}

// at puts the place of pos before a complaint.
func (f File) at(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.Path, f.fset.Position(pos).Line) + fmt.Sprintf(format, args...)
}

// byDir groups files by folder; the second result is the folders in order.
func byDir(files []File) (map[string][]File, []string) {
	dirs := map[string][]File{}
	for _, f := range files {
		dirs[f.Dir()] = append(dirs[f.Dir()], f)
	}
	var names []string
	for dir := range dirs {
		names = append(names, dir)
	}
	slices.Sort(names)
	return dirs, names
}
