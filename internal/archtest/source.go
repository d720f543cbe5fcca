package archtest

import (
	"fmt"
	"go/ast"
	"go/doc"
	"path"
	"strings"
)

// Comments names each package whose comment is missing, does not begin with "Package x" ("Command x" for a
// command), or needs an "and" to say what the package is for.
func Comments(files []File) []string {
	var bad []string
	dirs, names := byDir(files)
	for _, dir := range names {
		var text, pkg string
		for _, f := range dirs[dir] {
			name := strings.TrimSuffix(f.syntax.Name.Name, "_test")
			if pkg == "" || !f.Test() {
				pkg = name
			}
			if text == "" && f.syntax.Doc != nil {
				text = f.syntax.Doc.Text()
			}
		}
		begin := "Package " + pkg
		if pkg == "main" {
			begin = "Command " + path.Base(dir)
		}
		first := new(doc.Package).Synopsis(text)
		switch {
		case text == "":
			bad = append(bad, fmt.Sprintf("%s: no package comment", dir))
		case !strings.HasPrefix(first+" ", begin+" "):
			bad = append(bad, fmt.Sprintf("%s: the package comment begins %q, want %q", dir, first, begin+" …"))
		case strings.Contains(first, " and "):
			bad = append(bad, fmt.Sprintf("%s: the package comment says more than one job: %q", dir, first))
		}
	}
	return bad
}

// Goroutines names each go statement outside of tests: a goroutine needs an owner that waits for it, which
// a sync.WaitGroup and its Go method give.
func Goroutines(files []File) []string {
	var bad []string
	for _, f := range files {
		if f.Test() {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				bad = append(bad, f.at(g.Pos(), "bare go statement: start it with the WaitGroup of its owner"))
			}
			return true
		})
	}
	return bad
}

// Sleeps names each use of time.Sleep in tests, and in packages that serve tests only (named …test).
func Sleeps(files []File) []string {
	var bad []string
	for _, f := range files {
		if !f.Test() && !strings.HasSuffix(f.syntax.Name.Name, "test") {
			continue
		}
		name := ""
		for i, imp := range f.Imports() {
			if imp != "time" {
				continue
			}
			name = "time"
			if alias := f.syntax.Imports[i].Name; alias != nil {
				name = alias.Name
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && name != "" && x.Name == name && n.Sel.Name == "Sleep" {
					bad = append(bad, f.at(n.Pos(), "a test sleeps: wait for what it waits for, or use testing/synctest"))
				}
				return true
			case *ast.CallExpr:
				if fun, ok := n.Fun.(*ast.Ident); ok && name == "." && fun.Name == "Sleep" {
					bad = append(bad, f.at(n.Pos(), "a test sleeps: wait for what it waits for, or use testing/synctest"))
				}
			}
			return true
		})
	}
	return bad
}
