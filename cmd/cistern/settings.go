package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/pflag"
)

// Every setting of the server is one flag. Its name gives the other two spellings: --log-level is CISTERN_LOG_LEVEL in the
// environment and log_level in the file. What stands first here wins: flag, environment, file, default.

// envName is the environment variable of a flag.
func envName(flag string) string {
	return "CISTERN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fileKey is the key of a flag in the YAML file.
func fileKey(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// The flags that are no settings of a file: the file itself, and cobra's own.
var noSetting = map[string]bool{"config": true, "help": true}

// resolve sets the flags that the command line left alone from the environment, then from the file that --config names.
// A variable that is set but empty counts as not set.
func resolve(fs *pflag.FlagSet, lookup func(string) string) error {
	var errs []error
	given := map[string]bool{}
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		if f.Changed {
			given[f.Name] = true
			return
		}
		text := lookup(envName(f.Name))
		if text == "" {
			return
		}
		given[f.Name] = true
		values := []string{text}
		if many(f) {
			values = strings.Fields(text)
		}
		for _, v := range values {
			if err := f.Value.Set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %q: %w", envName(f.Name), v, err))
			}
		}
	})
	if len(errs) > 0 {
		return usage(errors.Join(errs...))
	}
	path := fs.Lookup("config").Value.String()
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return usage(err)
	}
	if err := applyFile(fs, path, text, given); err != nil {
		return usage(err)
	}
	return nil
}

// many reports whether a flag takes several values.
func many(f *pflag.Flag) bool {
	_, ok := f.Value.(pflag.SliceValue)
	return ok
}

// applyFile sets every flag that text has a key for, except the given ones, which are only checked for their names.
// Errors carry the line and the column.
func applyFile(fs *pflag.FlagSet, path string, text []byte, given map[string]bool) error {
	doc, err := parser.ParseBytes(text, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	at := func(n ast.Node, format string, args ...any) error {
		if pairs, ok := mapping(n); ok && len(pairs) > 0 {
			n = pairs[0].Key // a mapping's own token is its first colon
		}
		p := n.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", path, p.Line, p.Column, fmt.Sprintf(format, args...))
	}
	if len(doc.Docs) == 0 || doc.Docs[0].Body == nil {
		return nil // an empty file
	}
	if len(doc.Docs) > 1 {
		return at(doc.Docs[1].Body, "a second document: one is enough")
	}
	pairs, ok := mapping(doc.Docs[0].Body)
	if !ok {
		return at(doc.Docs[0].Body, "the file must be a list of \"setting: value\"")
	}
	flags := map[string]*pflag.Flag{}
	fs.VisitAll(func(f *pflag.Flag) {
		if !noSetting[f.Name] {
			flags[fileKey(f.Name)] = f
		}
	})
	seen := map[string]bool{}
	for _, pair := range pairs {
		name := pair.Key.GetToken().Value
		f, ok := flags[name]
		if !ok {
			return at(pair.Key, "unknown setting %q", name)
		}
		if seen[name] {
			return at(pair.Key, "%q is set twice", name)
		}
		seen[name] = true
		values, bad := valuesOf(pair.Value, many(f))
		if bad != nil {
			return at(bad, "%q takes one value of a simple kind, or a list of them where it may be repeated", name)
		}
		for _, v := range values {
			if given[f.Name] {
				break
			}
			if err := f.Value.Set(v.text); err != nil {
				return at(v.node, "%s: %q: %v", name, v.text, err)
			}
		}
	}
	return nil
}

type value struct {
	text string
	node ast.Node
}

// valuesOf flattens a node: a scalar, a list of scalars, or a mapping of scalars, whose pairs become "key=value".
func valuesOf(n ast.Node, many bool) (values []value, bad ast.Node) {
	if _, ok := n.(*ast.NullNode); ok {
		return nil, nil
	}
	if s, ok := scalar(n); ok {
		return []value{{s, n}}, nil
	}
	if !many {
		return nil, n
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, item := range list.Values {
			s, ok := scalar(item)
			if !ok {
				return nil, item
			}
			values = append(values, value{s, item})
		}
		return values, nil
	}
	pairs, ok := mapping(n)
	if !ok {
		return nil, n
	}
	for _, p := range pairs {
		s, ok := scalar(p.Value)
		if !ok {
			return nil, p.Value
		}
		values = append(values, value{p.Key.GetToken().Value + "=" + s, p.Key})
	}
	return values, nil
}

// mapping returns the pairs of a mapping; the parser has a type of its own for one with a single pair.
func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// scalar returns the text of a simple value as it stands in the file, so that 010 or 1e3 mean what the flag says they mean.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// bytesValue is a flag that holds a number of bytes, written with or without KiB, MiB, GiB or TiB.
type bytesValue int64

func bytesVar(fs *pflag.FlagSet, p *int64, name string, value int64, usage string) {
	*p = value
	fs.Var((*bytesValue)(p), name, usage)
}

var units = []struct {
	suffix string
	size   int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func (b *bytesValue) Set(s string) error {
	unit := int64(1)
	for _, u := range units {
		if digits, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(digits), u.size
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return errors.New("not a size such as 64KiB, 8MiB or 1048576")
	}
	*b = bytesValue(int64(n) * unit)
	return nil
}

func (b *bytesValue) String() string { return formatSize(int64(*b)) }

// formatSize writes a size with the largest unit that divides it.
func formatSize(n int64) string {
	for _, u := range units {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

func (b *bytesValue) Type() string { return "size" }
