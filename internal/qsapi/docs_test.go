package qsapi

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/service"
)

// Every code that this dialect can answer has a section in docs/errors.md, because the url of an error leads there, and no section is about
// a code that does not exist.
func TestErrorCodesAreDocumented(t *testing.T) {
	codes := []string{"method_not_allowed", "internal_error"}
	for _, a := range answers {
		if a.status != statusClientGone {
			codes = append(codes, a.code)
		}
	}
	literal := regexp.MustCompile(`fail\(http\.Status\w+, "(\w+)"`)
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		src, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(src), -1) {
			codes = append(codes, m[1])
		}
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)

	doc, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(doc), -1) {
		documented = append(documented, m[1])
	}
	for _, c := range codes {
		if !slices.Contains(documented, c) {
			t.Errorf("docs/errors.md has no section %q", c)
		}
	}
	for _, c := range documented {
		if !slices.Contains(codes, c) {
			t.Errorf("docs/errors.md has a section %q, which no answer has", c)
		}
	}
	if !slices.IsSorted(documented) {
		t.Error("docs/errors.md is not in order")
	}
}

// docs/api.md lists every operation of the API with what this server does. -update writes its table anew.
func TestOperationsAreDocumented(t *testing.T) {
	const path, begin, end = "../../docs/api.md", "<!-- operations -->\n", "<!-- end -->\n"
	var table strings.Builder
	table.WriteString("| operation | request | answer | served |\n| --- | --- | --- | --- |\n")
	for _, op := range service.Operations() {
		yes := "no"
		if _, ok := operations[op.APIName]; ok {
			yes = "yes"
		}
		var codes []string
		for _, c := range op.StatusCodes {
			codes = append(codes, fmt.Sprint(c))
		}
		fmt.Fprintf(&table, "| %s | `%s %s` | %s | %s |\n", op.APIName, op.RequestMethod, op.RequestURI, strings.Join(codes, " "), yes)
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	was, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks for the table", path)
	}
	if was == table.String() {
		return
	}
	if u := flag.Lookup("update"); u == nil || u.Value.String() != "true" {
		t.Fatalf("the table of operations in docs/api.md is not what the code does; run this test with -update")
	}
	if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
