package storetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// model is what a Store should be: maps. Its methods are the actions that rapid strings together.
type model struct {
	t *testing.T
	e store.Engine
	s *store.Store

	buckets map[string]*modelBucket
	intents []modelIntent
	bodies  map[store.BodyID]bodyState
	uploads []*modelUpload
	readers []modelReader
}

type modelBucket struct {
	store.Bucket
	objects  map[string][]byte
	madeOf   map[string]string // key → the upload that made the object, or grows
	mirror   string
	revision int            // another one for each change of the mirror, 0 while there is none
	changes  int            // how often the mirror was changed
	fills    map[string]int // key → number of the standing fill; a missing one is none
	notes    map[string]modelNote
}

type modelIntent struct {
	store.Intent
	bucket   *modelBucket
	key      string
	number   int
	revision int
	ended    bool
	spool    store.Spool // nil until something is saved or resumed
	content  []byte      // of spool
}

// checkModel compares the Store over an engine with the model over random histories.
func checkModel(t *testing.T, open func(t *testing.T) store.Engine) {
	e := open(t)
	s := store.New(e)
	rapid.Check(t, func(rt *rapid.T) {
		// One engine serves all histories, so that each begins beside what the others left: their buckets, emptied here.
		m := &model{t: t, e: e, s: s, buckets: make(map[string]*modelBucket), bodies: make(map[store.BodyID]bodyState)}
		clearStore(t, s)
		defer m.discard()
		number := 0
		rt.Repeat(map[string]func(*rapid.T){
			"create":       m.create,
			"drop":         m.drop,
			"put":          m.put,
			"delete":       m.delete,
			"move":         m.move,
			"mirror":       m.setMirror,
			"begin":        func(rt *rapid.T) { number++; m.begin(rt, number) },
			"commit":       m.commit,
			"end":          m.end,
			"save":         m.save,
			"resume":       m.resume,
			"leave":        m.leave,
			"begin upload": m.beginUpload,
			"put part":     m.putPart,
			"complete":     m.complete,
			"abort":        m.abort,
			"append":       m.append,
			"open":         m.open,
			"close":        m.close,
			"recover":      m.recover,
			"list":         m.list,
			"read all":     m.readAll,
			"":             func(rt *rapid.T) {},
		})
		m.readAll(rt)
		m.wantNothing(rt)
	})
}

func clearStore(t *testing.T, s *store.Store) {
	t.Helper()
	list, err := s.Buckets(bg)
	check(t, err)
	for _, b := range list {
		all, _ := listAll(t, s, b, store.ListQuery{Limit: 100})
		for _, key := range all {
			check(t, s.Delete(bg, b, key))
		}
		check(t, s.DeleteBucket(bg, b))
	}
}

// Few names, so that they meet; made of the parts that make listings hard.
var (
	bucketNames = rapid.SampledFrom([]string{"bucket", "bucket2", "other"})
	modelKeys   = rapid.Custom(func(rt *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "//", ".", "\x00", "\U0010ffff", "a/b"}), 1, 4).Draw(rt, "parts"), "")
	})
	markers  = rapid.OneOf(rapid.Just(""), modelKeys)
	contents = rapid.Custom(func(rt *rapid.T) []byte {
		n := rapid.SampledFrom([]int{0, 1, 20, 300, 33_000}).Draw(rt, "size")
		return Content(rapid.Uint64().Draw(rt, "seed"), n)
	})
)

func (m *model) bucket(rt *rapid.T) *modelBucket {
	if len(m.buckets) == 0 {
		rt.Skip("no bucket")
	}
	return m.buckets[rapid.SampledFrom(slices.Sorted(maps.Keys(m.buckets))).Draw(rt, "bucket")]
}

func (m *model) create(rt *rapid.T) {
	name := bucketNames.Draw(rt, "name")
	b, err := m.s.CreateBucket(bg, name, "owner", "zone")
	if m.buckets[name] != nil {
		wantErr(rt, "CreateBucket", err, object.ErrBucketExists)
		return
	}
	check(rt, err)
	m.buckets[name] = &modelBucket{Bucket: b, objects: make(map[string][]byte), madeOf: make(map[string]string), fills: make(map[string]int), notes: make(map[string]modelNote)}
}

func (m *model) drop(rt *rapid.T) {
	b := m.bucket(rt)
	err := m.s.DeleteBucket(bg, b.Bucket)
	if len(b.objects) > 0 {
		wantErr(rt, "DeleteBucket", err, object.ErrBucketNotEmpty)
		return
	}
	check(rt, err)
	clear(b.fills)
	for key := range b.notes {
		m.dropNote(b, key)
	}
	delete(m.buckets, b.Name)
}

func (m *model) put(rt *rapid.T) {
	b, key, content := m.bucket(rt), modelKeys.Draw(rt, "key"), contents.Draw(rt, "content")
	check(rt, tryPut(m.t, m.s, b.Bucket, key, content))
	b.set(key, content, "")
}

func (m *model) delete(rt *rapid.T) {
	b := m.bucket(rt)
	key := modelKeys.Draw(rt, "key")
	if all := slices.Sorted(maps.Keys(b.objects)); len(all) > 0 && rapid.Bool().Draw(rt, "one that is there") {
		key = rapid.SampledFrom(all).Draw(rt, "object")
	}
	check(rt, m.s.Delete(bg, b.Bucket, key))
	delete(b.objects, key)
	delete(b.madeOf, key)
	delete(b.fills, key)
}

func (m *model) move(rt *rapid.T) {
	b, to := m.bucket(rt), m.bucket(rt)
	key, toKey := modelKeys.Draw(rt, "key"), modelKeys.Draw(rt, "to")
	if all := slices.Sorted(maps.Keys(b.objects)); len(all) > 0 && rapid.Bool().Draw(rt, "one that is there") {
		key = rapid.SampledFrom(all).Draw(rt, "object")
	}
	if rapid.IntRange(0, 4).Draw(rt, "onto itself") == 0 {
		to, toKey = b, key
	}
	_, err := m.s.Move(bg, b.Bucket, key, to.Bucket, toKey, func(*object.Meta) error { return nil })
	content, ok := b.objects[key]
	if !ok {
		wantErr(rt, "Move", err, object.ErrNoSuchKey)
		return
	}
	check(rt, err)
	of := b.madeOf[key]
	delete(b.objects, key)
	delete(b.madeOf, key)
	delete(b.fills, key)
	to.set(toKey, content, of)
}

func (m *model) setMirror(rt *rapid.T) {
	b := m.bucket(rt)
	doc := rapid.SampledFrom([]string{"", "one", "two"}).Draw(rt, "mirror")
	if doc == "" {
		check(rt, m.s.DeleteSetting(bg, b.Bucket, "mirror"))
	} else {
		check(rt, m.s.SetSetting(bg, b.Bucket, "mirror", []byte(doc)))
	}
	if doc != b.mirror {
		b.changes++
		b.mirror, b.revision = doc, b.changes
		if doc == "" {
			b.revision = 0
		}
	}
}

func (m *model) begin(rt *rapid.T, number int) {
	b, key := m.bucket(rt), modelKeys.Draw(rt, "key")
	i, err := m.s.BeginFill(bg, b.Bucket, key, []byte(b.mirror))
	if _, ok := b.objects[key]; ok {
		wantErr(rt, "BeginFill", err, object.ErrExists)
		return
	}
	check(rt, err)
	// It shares a standing fill, unless that one is from another setting.
	if standing, ok := b.fills[key]; ok {
		for _, o := range m.intents {
			if o.number == standing && o.revision == b.revision {
				number = standing
			}
		}
	}
	b.fills[key] = number
	m.intents = append(m.intents, modelIntent{Intent: i, bucket: b, key: key, number: number, revision: b.revision})
}

func (m *model) intent(rt *rapid.T) *modelIntent {
	if len(m.intents) == 0 {
		rt.Skip("no fill")
	}
	i := &m.intents[rapid.IntRange(0, len(m.intents)-1).Draw(rt, "intent")]
	if i.ended {
		rt.Skip("fill has ended")
	}
	return i
}

func (m *model) commit(rt *rapid.T) {
	i := m.intent(rt)
	b, content, sp := i.bucket, i.content, i.spool
	if sp == nil {
		content = contents.Draw(rt, "content")
		sp = spoolFor(m.t, m.s, content)
	}
	err := m.s.CommitFill(bg, i.Intent, meta(content), sp)
	i.spool = nil
	m.bodies[sp.ID()] = ended
	_, exists := b.objects[i.key]
	gone := m.buckets[b.Name] != b
	switch {
	case gone:
		wantErr(rt, "CommitFill after the bucket went", err, object.ErrSuperseded)
	case exists:
		wantErr(rt, "CommitFill of a key that is there", err, object.ErrExists)
	case !m.stands(i):
		wantErr(rt, "CommitFill of a fill that was ended", err, object.ErrSuperseded)
	default:
		check(rt, err)
		b.set(i.key, content, "")
		m.dropNote(b, i.key)
		i.ended = true
	}
}

func (m *model) end(rt *rapid.T) {
	i := m.intent(rt)
	check(rt, m.s.EndFill(bg, i.Intent))
	if m.ends(i) {
		if n, ok := i.bucket.notes[i.key]; ok && m.bodies[n.body] != free {
			m.dropNote(i.bucket, i.key)
		}
	}
	if i.spool != nil {
		check(rt, i.spool.Discard())
		m.bodies[i.spool.ID()] = ended
		i.spool = nil
	}
}

// ends notes that i has ended, and reports whether that removes the intent.
func (m *model) ends(i *modelIntent) bool {
	i.ended = true
	for _, o := range m.intents {
		if o.number == i.number && !o.ended {
			return false // another filler shares it
		}
	}
	if i.bucket.fills[i.key] != i.number {
		return false
	}
	delete(i.bucket.fills, i.key)
	return true
}

func (m *model) list(rt *rapid.T) {
	b := m.bucket(rt)
	q := store.ListQuery{
		Prefix:    markers.Draw(rt, "prefix"),
		Delimiter: rapid.SampledFrom([]string{"", "/", "//", "a", "\U0010ffff"}).Draw(rt, "delimiter"),
		Marker:    markers.Draw(rt, "marker"),
		Limit:     rapid.IntRange(0, 4).Draw(rt, "limit"),
	}
	p, err := m.s.List(bg, b.Bucket, q)
	check(rt, err)
	all := slices.Collect(maps.Keys(b.objects))
	if q.Limit == 0 {
		if len(p.Entries)+len(p.Prefixes) > 0 || p.More {
			rt.Fatalf("List without a limit = %+v", p)
		}
		return
	}
	wantPage(rt, q, p, all)
}

func (m *model) readAll(rt *rapid.T) {
	m.readNotes(rt)
	m.readUploads(rt)
	list, err := m.s.Buckets(bg)
	check(rt, err)
	var names []string
	for _, b := range list {
		names = append(names, b.Name)
	}
	if want := slices.Sorted(maps.Keys(m.buckets)); !slices.Equal(names, want) {
		rt.Fatalf("buckets = %q, want %q", names, want)
	}
	for _, b := range m.buckets {
		got, _ := listAll(m.t, m.s, b.Bucket, store.ListQuery{Limit: 3})
		if want := slices.Sorted(maps.Keys(b.objects)); !slices.Equal(got, want) {
			rt.Fatalf("keys = %q, want %q", got, want)
		}
		var use store.Usage
		for key, content := range b.objects {
			o, err := m.s.Open(bg, b.Bucket, key)
			check(rt, err)
			wantBytes(rt, key, readBody(m.t, o.Body), content)
			check(rt, o.Body.Close())
			use.Objects++
			use.Bytes += int64(len(content))
		}
		if u, err := m.s.Usage(bg, b.Bucket); err != nil || u != use {
			rt.Fatalf("Usage = %+v, %v, want %+v", u, err, use)
		}
		doc, err := m.s.Setting(bg, b.Bucket, "mirror")
		if errors.Is(err, object.ErrNoSetting) {
			err = nil
		}
		if err != nil || string(doc) != b.mirror {
			rt.Fatalf("mirror = %q, %v, want %q", doc, err, b.mirror)
		}
	}
}
