package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// versionModel is what the versions of a bucket should be: for each key a list, the newest first.
type versionModel struct {
	t *testing.T
	s *store.Store
	b store.Bucket

	state store.Versioning
	keys  map[string][]modelVersion
	gone  []string // IDs of versions that were removed
}

type modelVersion struct {
	id      string // NullVersion for that one
	content []byte
	marker  bool
}

// checkVersions compares the Store over an engine with the model over random histories of a bucket that keeps versions.
func checkVersions(t *testing.T, open func(t *testing.T) store.Engine) {
	s := store.New(open(t))
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		m := &versionModel{t: t, s: s, b: newBucket(t, s, fmt.Sprint("bucket", n)), keys: make(map[string][]modelVersion)}
		rt.Repeat(map[string]func(*rapid.T){
			"state":    m.setState,
			"put":      m.put,
			"put more": m.put,
			"delete":   m.delete,
			"remove":   m.remove,
			"fill":     m.fill,
			"list":     m.list,
			"recover":  func(rt *rapid.T) { check(rt, m.s.Recover(bg)) },
			"read all": m.readAll,
			"":         func(rt *rapid.T) {},
		})
		m.readAll(rt)
		m.end(rt)
	})
}

func (m *versionModel) setState(rt *rapid.T) {
	m.state = rapid.SampledFrom([]store.Versioning{store.Enabled, store.Suspended}).Draw(rt, "state")
	check(rt, m.s.SetVersioning(bg, m.b, m.state))
}

// come is what the model makes of a version that comes.
func (m *versionModel) come(rt *rapid.T, key string, v modelVersion) {
	list := m.keys[key]
	switch m.state {
	case store.Unversioned:
		list = nil
	case store.Suspended:
		list = slices.DeleteFunc(slices.Clone(list), func(v modelVersion) bool { return v.id == store.NullVersion })
	}
	if isNull := v.id == store.NullVersion; isNull != (m.state != store.Enabled) {
		rt.Fatalf("version %s of a bucket that is %q", v.id, m.state)
	}
	for _, other := range list {
		if v.id != store.NullVersion && other.id != store.NullVersion && other.id >= v.id {
			rt.Fatalf("version %s comes behind %s", v.id, other.id)
		}
	}
	m.keys[key] = append([]modelVersion{v}, list...)
}

func (m *versionModel) current(key string) *modelVersion {
	if list := m.keys[key]; len(list) > 0 && !list[0].marker {
		return &list[0]
	}
	return nil
}

func (m *versionModel) put(rt *rapid.T) {
	key, content := modelKeys.Draw(rt, "key"), contents.Draw(rt, "content")
	m.come(rt, key, modelVersion{id: putVersion(m.t, m.s, m.b, key, content), content: content})
}

func (m *versionModel) key(rt *rapid.T) string {
	if len(m.keys) == 0 {
		rt.Skip("no key")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.keys))).Draw(rt, "key")
}

func (m *versionModel) delete(rt *rapid.T) {
	key := m.key(rt)
	r := remove(rt, m.s, m.b, key, "")
	switch {
	case m.current(key) == nil:
		if r != (store.Removed{}) {
			rt.Fatalf("Remove of nothing = %+v", r)
		}
	case m.state == store.Unversioned:
		if r != (store.Removed{}) {
			rt.Fatalf("Remove without versions = %+v", r)
		}
		delete(m.keys, key)
	default:
		if !r.DeleteMarker {
			rt.Fatalf("Remove = %+v, want a delete marker", r)
		}
		m.come(rt, key, modelVersion{id: r.VersionID, marker: true})
	}
}

func (m *versionModel) remove(rt *rapid.T) {
	key := m.key(rt)
	ids := []string{store.NullVersion, "none", "0000000000000001"}
	for _, v := range m.keys[key] {
		ids = append(ids, v.id, v.id, v.id)
	}
	ids = append(ids, m.gone...)
	id := rapid.SampledFrom(ids).Draw(rt, "version")
	r := remove(rt, m.s, m.b, key, id)
	at := slices.IndexFunc(m.keys[key], func(v modelVersion) bool { return v.id == id })
	if at < 0 {
		if r != (store.Removed{}) {
			rt.Fatalf("Remove of a version that is not there = %+v", r)
		}
		return
	}
	if want := (store.Removed{VersionID: id, DeleteMarker: m.keys[key][at].marker}); r != want {
		rt.Fatalf("Remove = %+v, want %+v", r, want)
	}
	if id != store.NullVersion {
		m.gone = append(m.gone, id)
	}
	if m.keys[key] = slices.Delete(slices.Clone(m.keys[key]), at, at+1); len(m.keys[key]) == 0 {
		delete(m.keys, key)
	}
}

func (m *versionModel) fill(rt *rapid.T) {
	key, content := modelKeys.Draw(rt, "key"), contents.Draw(rt, "content")
	i, err := m.s.BeginFill(bg, m.b, key, nil)
	if m.current(key) != nil {
		wantErr(rt, "BeginFill", err, object.ErrExists)
		return
	}
	check(rt, err)
	check(rt, m.s.CommitFill(bg, i, meta(content), spoolFor(m.t, m.s, content)))
	o, err := m.s.Stat(bg, m.b, key)
	check(rt, err)
	id := o.VersionID
	if id == "" {
		id = store.NullVersion
	}
	m.come(rt, key, modelVersion{id: id, content: content})
}

// lines is what a listing should say: keys with their versions and groups, in order, one text each.
func (m *versionModel) lines(q store.ListQuery, version string) []string {
	group := func(key string) (string, bool) {
		rest, ok := strings.CutPrefix(key, q.Prefix)
		i := strings.Index(rest, q.Delimiter)
		if !ok || q.Delimiter == "" || i < 0 {
			return "", false
		}
		return key[:len(q.Prefix)+i+len(q.Delimiter)], true
	}
	passed, inGroup := group(q.Marker)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if !strings.HasPrefix(key, q.Prefix) {
			continue
		}
		if g, ok := group(key); ok {
			line := "group " + g
			if q.Marker != "" && key <= q.Marker || inGroup && g == passed || len(lines) > 0 && lines[len(lines)-1] == line {
				continue
			}
			lines = append(lines, line)
			continue
		}
		list := m.keys[key]
		from := 0
		switch {
		case q.Marker == "" || key > q.Marker:
		case key < q.Marker || version == "":
			from = len(list)
		default:
			from = slices.IndexFunc(list, func(v modelVersion) bool { return v.id == version }) + 1
		}
		for i := from; i < len(list); i++ {
			lines = append(lines, fmt.Sprintf("%q %s %v %v", key, list[i].id, list[i].marker, i == 0))
		}
	}
	return lines
}

// pageLines is the same of a page. Groups and versions come back into order by the key that each has.
func pageLines(p store.VersionPage) []string {
	var lines []string
	groups := p.Prefixes
	for _, v := range p.Entries {
		for len(groups) > 0 && groups[0] < v.Key {
			lines, groups = append(lines, "group "+groups[0]), groups[1:]
		}
		id := v.Meta.VersionID
		if id == "" {
			id = store.NullVersion
		}
		lines = append(lines, fmt.Sprintf("%q %s %v %v", v.Key, id, v.Meta.DeleteMarker, v.Latest))
	}
	for _, g := range groups {
		lines = append(lines, "group "+g)
	}
	return lines
}

func (m *versionModel) list(rt *rapid.T) {
	q := store.ListQuery{
		Prefix:    markers.Draw(rt, "prefix"),
		Delimiter: rapid.SampledFrom([]string{"", "", "/", "//", "a", "\U0010ffff"}).Draw(rt, "delimiter"),
		Marker:    markers.Draw(rt, "marker"),
		Limit:     rapid.IntRange(0, 4).Draw(rt, "limit"),
	}
	version := ""
	if list := m.keys[q.Marker]; len(list) > 0 && rapid.Bool().Draw(rt, "behind a version") {
		version = rapid.SampledFrom(list).Draw(rt, "version").id
	}
	want := m.lines(q, version)
	p, err := m.s.ListVersions(bg, m.b, q, version)
	check(rt, err)
	if q.Limit == 0 {
		want = nil
	}
	if got, first := pageLines(p), want[:min(q.Limit, len(want))]; !slices.Equal(got, first) || p.More != (len(want) > q.Limit && q.Limit > 0) {
		rt.Fatalf("ListVersions(%+v, %q) =\n%s, more %v, want\n%s", q, version, strings.Join(got, "\n"), p.More, strings.Join(first, "\n"))
	}
	if q.Limit == 0 {
		return
	}
	var all []string
	for {
		p, err := m.s.ListVersions(bg, m.b, q, version)
		check(rt, err)
		all = append(all, pageLines(p)...)
		if !p.More {
			if p.NextKey != "" || p.NextVersion != "" {
				rt.Fatalf("the last page names a next one: %q, %q", p.NextKey, p.NextVersion)
			}
			break
		}
		if len(all) > len(want) {
			break
		}
		q.Marker, version = p.NextKey, p.NextVersion
	}
	if !slices.Equal(all, want) {
		rt.Fatalf("all pages of ListVersions(%+v) =\n%s, want\n%s", q, strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
}

func (m *versionModel) readAll(rt *rapid.T) {
	var use store.Usage
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		for i, v := range m.keys[key] {
			o, err := m.s.OpenVersion(bg, m.b, key, v.id)
			if v.marker {
				wantErr(rt, "OpenVersion of a marker", err, object.ErrNoSuchKey)
				continue
			}
			check(rt, err)
			wantBytes(rt, key+" "+v.id, readBody(m.t, o.Body), v.content)
			check(rt, o.Body.Close())
			if i > 0 {
				use.Versions += int64(len(v.content))
			}
		}
		if v := m.current(key); v == nil {
			wantMissing(rt, m.s, m.b, key)
		} else {
			if got := get(rt, m.s, m.b, key); !bytes.Equal(got, v.content) {
				rt.Fatalf("%q is not its newest version", key)
			}
			use.Objects++
			use.Bytes += int64(len(v.content))
			keys = append(keys, key)
		}
	}
	for _, id := range m.gone {
		for key := range m.keys {
			if slices.ContainsFunc(m.keys[key], func(v modelVersion) bool { return v.id == id }) {
				continue // of another key
			}
			_, err := m.s.StatVersion(bg, m.b, key, id)
			wantErr(rt, "StatVersion of what was removed", err, object.ErrNoSuchKey)
		}
	}
	if got, _ := listAll(rt, m.s, m.b, store.ListQuery{Limit: 3}); !slices.Equal(got, keys) {
		rt.Fatalf("keys = %q, want %q", got, keys)
	}
	if u, err := m.s.Usage(bg, m.b); err != nil || u != use {
		rt.Fatalf("Usage = %+v, %v, want %+v", u, err, use)
	}
}

// end removes all versions, in whatever order, and then the bucket.
func (m *versionModel) end(rt *rapid.T) {
	if len(m.keys) > 0 {
		wantErr(rt, "DeleteBucket", m.s.DeleteBucket(bg, m.b), object.ErrBucketNotEmpty)
	}
	for key, list := range m.keys {
		for _, v := range list {
			remove(rt, m.s, m.b, key, v.id)
		}
	}
	check(rt, m.s.DeleteBucket(bg, m.b))
}
