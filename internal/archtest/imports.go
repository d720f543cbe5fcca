package archtest

import (
	"slices"
	"strings"
)

// Row says what the packages of one folder may import of ours.
type Row struct {
	// Imports are folders below the root; a trailing "/..." takes in everything below one, and "*"
	// is every package that is not there for tests only. Empty means nothing of ours.
	Imports []string
	// Tests are further folders for the package's test files. A package's tests may always import the
	// package itself, [Table.Tests] and what Imports has.
	Tests []string
	// NoHTTP forbids net/http and what is below it outside of tests. False allows it.
	NoHTTP bool
}

// Table is who may import whom.
type Table struct {
	// Module is the module's path, which all our import paths begin with.
	Module string
	// Rows has a row for each folder with a package; a key that ends in "/..." stands for all folders below.
	// The longest key that fits counts.
	Rows map[string]Row
	// Tests are folders that the tests of every package may import.
	Tests []string
	// TestOnly are folders that nothing but tests may import, one another excepted.
	TestOnly []string
}

// row finds the row of a folder.
func (t Table) row(dir string) (key string, row Row, ok bool) {
	for k := range t.Rows {
		if fits(k, dir) && len(k) > len(key) {
			key, ok = k, true
		}
	}
	return key, t.Rows[key], ok
}

// Check names each import of files that the table does not allow, each package without a row and
// each row without a package. Files of nested modules are left out.
func (t Table) Check(files []File) []string {
	var bad []string
	used := map[string]bool{}
	missing := map[string]bool{}
	for _, f := range files {
		if f.Nested {
			continue
		}
		dir := f.Dir()
		key, row, ok := t.row(dir)
		if !ok {
			if !missing[dir] {
				bad = append(bad, dir+": no row in the table of imports; say who may import whom, with the reason, in a commit of its own")
			}
			missing[dir] = true
			continue
		}
		used[key] = true
		for i, imp := range f.Imports() {
			pos := f.syntax.Imports[i].Pos()
			if row.NoHTTP && !f.Test() && (imp == "net/http" || strings.HasPrefix(imp, "net/http/")) {
				bad = append(bad, f.at(pos, "%s must not know HTTP, but imports %s", dir, imp))
			}
			target, ours := t.folder(imp)
			if !ours || t.allows(row, f, target) {
				continue
			}
			bad = append(bad, f.at(pos, "%s must not import %s", dir, target))
		}
	}
	for key := range t.Rows {
		if !used[key] {
			bad = append(bad, key+": a row in the table of imports, but no package")
		}
	}
	slices.Sort(bad)
	return bad
}

// folder turns an import path into a folder below the root; false if it is not ours.
func (t Table) folder(imp string) (string, bool) {
	if imp == t.Module {
		return ".", true
	}
	return strings.CutPrefix(imp, t.Module+"/")
}

func (t Table) allows(row Row, f File, target string) bool {
	if f.Test() {
		if target == f.Dir() || fitsAny(row.Tests, target) || fitsAny(t.Tests, target) {
			return true
		}
	} else if fitsAny(t.TestOnly, target) && !fitsAny(t.TestOnly, f.Dir()) {
		return false
	}
	return fitsAny(row.Imports, target)
}

func fitsAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, dir) })
}

// fits says whether the folder dir is one that pattern stands for. Commands fit no pattern but their own.
func fits(pattern, dir string) bool {
	if pattern == "*" {
		return dir != "cmd" && !strings.HasPrefix(dir, "cmd/")
	}
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == above || strings.HasPrefix(dir, above+"/")
	}
	return pattern == dir
}
