package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
)

const scheme = "qs://"

// location is a parsed qs://BUCKET[/KEY]. Key is "" for the bucket.
type location struct{ Bucket, Key string }

func (l location) String() string {
	if l.Key == "" {
		return scheme + l.Bucket
	}
	return scheme + l.Bucket + "/" + l.Key
}

// isRemote reports whether an argument names something in a store.
func isRemote(arg string) bool { return strings.HasPrefix(arg, scheme) }

// parseLocation reads qs://BUCKET[/KEY]. The key is taken byte by byte.
func parseLocation(arg string) (location, error) {
	rest, ok := strings.CutPrefix(arg, scheme)
	if !ok {
		return location{}, usagef("%q does not begin with %s", arg, scheme)
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if err := object.CheckBucket(bucket); err != nil {
		return location{}, usagef("%q: %v", arg, err)
	}
	if key != "" {
		if err := object.CheckKey(key); err != nil {
			return location{}, usagef("%q: %v", arg, err)
		}
	}
	return location{bucket, key}, nil
}

// parseObject is parseLocation for what must have a key.
func parseObject(arg string) (location, error) {
	l, err := parseLocation(arg)
	if err == nil && l.Key == "" {
		err = usagef("%q names a bucket, not an object", arg)
	}
	return l, err
}

// bucketName accepts a bucket's plain name as well as qs://NAME.
func bucketName(arg string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(arg, scheme), "/")
	if err := object.CheckBucket(name); err != nil {
		return "", usagef("%q: %v", arg, err)
	}
	return name, nil
}

// folder turns a key into the prefix of what is below it: "dir" and "dir/" both mean "dir/", so that "dirty" is never touched.
func folder(key string) string {
	if key == "" || strings.HasSuffix(key, "/") {
		return key
	}
	return key + "/"
}

// fileName maps the part of a key below the copied folder to a relative file name that stays below the target. A key that has no
// such name ("../x", "a//b", "/x", "./x", a NUL) is refused, never bent into another name: two keys could meet there.
func fileName(rel string) (string, error) {
	if !fs.ValidPath(rel) || rel == "." {
		return "", fmt.Errorf("the key has no safe file name")
	}
	name, err := filepath.Localize(rel)
	if err != nil {
		return "", fmt.Errorf("the key has no safe file name")
	}
	return name, nil
}

// printable quotes text that would disturb a terminal or a line-oriented reader: control characters, direction overrides.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return s
	}
	return strconv.Quote(s)
}
