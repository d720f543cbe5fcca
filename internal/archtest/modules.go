package archtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Linked reads the output of `go list -deps -json=ImportPath,Standard,Module` and returns the paths of the modules in
// it, sorted, without our own.
func Linked(list []byte) ([]string, error) {
	var modules []string
	dec := json.NewDecoder(strings.NewReader(string(list)))
	for dec.More() {
		var p struct {
			ImportPath string
			Standard   bool
			Module     *struct{ Path string }
		}
		if err := dec.Decode(&p); err != nil {
			return nil, fmt.Errorf("output of go list: %w", err)
		}
		if p.Module != nil && p.Module.Path != Module {
			modules = append(modules, p.Module.Path)
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

// LinkedDiff names the modules that are linked but not written down, and those that are written down but no
// longer linked.
func LinkedDiff(got, written []string) []string {
	var bad []string
	for _, m := range got {
		if !slices.Contains(written, m) {
			bad = append(bad, m+": linked into the binary, but not in linked-modules.txt")
		}
	}
	for _, m := range written {
		if !slices.Contains(got, m) {
			bad = append(bad, m+": in linked-modules.txt, but no longer linked")
		}
	}
	return bad
}

// GoMod reads the output of `go mod edit -json` and names what must not be in the go.mod that users build from:
// tools, which have a module of their own, and replacements, which `go install` refuses.
func GoMod(mod []byte) ([]string, error) {
	var m struct {
		Tool    []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(mod, &m); err != nil {
		return nil, fmt.Errorf("output of go mod edit: %w", err)
	}
	var bad []string
	for _, t := range m.Tool {
		bad = append(bad, "go.mod: tool "+t.Path+" belongs in tools/go.mod")
	}
	for _, r := range m.Replace {
		bad = append(bad, "go.mod: "+r.Old.Path+" is replaced, so `go install` of the command would be refused")
	}
	return bad, nil
}
