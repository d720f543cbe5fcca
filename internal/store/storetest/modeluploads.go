package storetest

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// modelUpload is a multipart upload, also one that has ended.
type modelUpload struct {
	store.Upload
	bucket *modelBucket
	parts  map[int][]byte
	ended  bool
}

// grows is what an object is made of that an append made; an upload's has the upload's ID in its place, any other "".
const grows = "grows"

// modelReader is an object that somebody has open.
type modelReader struct {
	*store.Object
	content []byte
}

// set makes content the object under key.
func (b *modelBucket) set(key string, content []byte, madeOf string) {
	b.objects[key], b.madeOf[key] = content, madeOf
	delete(b.fills, key)
}

func (m *model) beginUpload(rt *rapid.T) {
	b, key := m.bucket(rt), modelKeys.Draw(rt, "key")
	u, err := m.s.CreateUpload(bg, b.Bucket, key, object.Meta{ContentType: key})
	check(rt, err)
	m.uploads = append(m.uploads, &modelUpload{Upload: u, bucket: b, parts: make(map[int][]byte)})
}

func (m *model) upload(rt *rapid.T) *modelUpload {
	if len(m.uploads) == 0 {
		rt.Skip("no upload")
	}
	return m.uploads[rapid.IntRange(0, len(m.uploads)-1).Draw(rt, "upload")]
}

// gone reports whether nothing can be done to u any more.
func (m *model) gone(u *modelUpload) bool { return u.ended || m.buckets[u.bucket.Name] != u.bucket }

func (m *model) putPart(rt *rapid.T) {
	u := m.upload(rt)
	n := rapid.SampledFrom([]int{0, 1, 2, 300, store.MaxPart}).Draw(rt, "number")
	content := contents.Draw(rt, "content")
	sp := spoolFor(m.t, m.s, content)
	_, err := m.s.PutPart(bg, u.bucket.Bucket, u.Key, u.ID, partOf(n, content), sp)
	switch {
	case m.buckets[u.bucket.Name] != u.bucket:
		wantErr(rt, "PutPart after the bucket went", err, object.ErrNoSuchBucket)
	case u.ended:
		wantErr(rt, "PutPart after the end", err, object.ErrNoSuchUpload)
	default:
		check(rt, err)
		u.parts[n] = content
	}
}

func (m *model) complete(rt *rapid.T) {
	u := m.upload(rt)
	b := u.bucket
	var numbers []int
	var whole []byte
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if !u.ended && rapid.Bool().Draw(rt, "chosen") {
			numbers = append(numbers, n)
			whole = append(whole, u.parts[n]...)
		}
	}
	meta, err := complete(m.s, b.Bucket, u.Upload, numbers...)
	if m.gone(u) {
		if made := b.madeOf[u.Key] == u.ID && len(b.objects[u.Key]) > 0; !made || m.buckets[b.Name] != b {
			wantErr(rt, "CompleteUpload after the end", err, object.ErrNoSuchUpload)
			return
		}
		whole = b.objects[u.Key]
	}
	check(rt, err)
	if meta.Size != int64(len(whole)) {
		rt.Fatalf("CompleteUpload = %d bytes, want %d", meta.Size, len(whole))
	}
	if !u.ended {
		b.set(u.Key, whole, u.ID)
		u.ended = true
	}
}

func (m *model) abort(rt *rapid.T) {
	u := m.upload(rt)
	err := m.s.AbortUpload(bg, u.bucket.Bucket, u.Key, u.ID)
	if m.gone(u) {
		wantErr(rt, "AbortUpload after the end", err, object.ErrNoSuchUpload)
		return
	}
	check(rt, err)
	u.ended = true
}

func (m *model) append(rt *rapid.T) {
	b, content := m.bucket(rt), contents.Draw(rt, "content")
	key := modelKeys.Draw(rt, "key")
	var all []string // those that grow
	for key, of := range b.madeOf {
		if of == grows {
			all = append(all, key)
		}
	}
	if slices.Sort(all); len(all) > 0 && rapid.Bool().Draw(rt, "one that grows") {
		key = rapid.SampledFrom(all).Draw(rt, "object")
	}
	_, err := appendTo(m.s, b.Bucket, key, content)
	if old, ok := b.objects[key]; ok {
		if b.madeOf[key] != grows {
			wantErr(rt, "Append to an object that does not grow", err, object.ErrObjectState)
			return
		}
		content = slices.Concat(old, content)
	}
	check(rt, err)
	b.set(key, content, grows)
}

func (m *model) open(rt *rapid.T) {
	b := m.bucket(rt)
	if len(b.objects) == 0 {
		rt.Skip("no object")
	}
	key := rapid.SampledFrom(slices.Sorted(maps.Keys(b.objects))).Draw(rt, "object")
	o, err := m.s.Open(bg, b.Bucket, key)
	check(rt, err)
	m.readers = append(m.readers, modelReader{o, b.objects[key]})
}

// close reads what was opened some time ago, and closes it.
func (m *model) close(rt *rapid.T) {
	if len(m.readers) == 0 {
		rt.Skip("nothing is open")
	}
	i := rapid.IntRange(0, len(m.readers)-1).Draw(rt, "reader")
	r := m.readers[i]
	m.readers = slices.Delete(m.readers, i, i+1)
	wantBytes(rt, "an object opened before", readBody(m.t, r.Body), r.content)
	check(rt, r.Body.Close())
}

// readUploads compares what is listed of the uploads, and what their parts are.
func (m *model) readUploads(rt *rapid.T) {
	want := make(map[*modelBucket][]line)
	for _, u := range m.uploads {
		if m.gone(u) {
			continue
		}
		want[u.bucket] = append(want[u.bucket], line{u.Key, u.ID})
		parts, err := m.s.Parts(bg, u.bucket.Bucket, u.Key, u.ID, -1, 1000)
		check(rt, err)
		got := make(map[int]int64)
		for _, p := range parts {
			got[p.Number] = p.Size
		}
		for n, content := range u.parts {
			if size, ok := got[n]; !ok || size != int64(len(content)) || len(got) != len(u.parts) {
				rt.Fatalf("parts = %v, want number %d of %d bytes among %d", got, n, len(content), len(u.parts))
			}
		}
	}
	for _, b := range m.buckets {
		q := store.ListQuery{Prefix: markers.Draw(rt, "prefix"), Delimiter: rapid.SampledFrom([]string{"", "/", "\x00"}).Draw(rt, "delimiter"),
			Marker: markers.Draw(rt, "marker"), Limit: rapid.IntRange(1, 4).Draw(rt, "limit")}
		page, err := m.s.ListUploads(bg, b.Bucket, q, "")
		check(rt, err)
		all := want[b]
		slices.SortFunc(all, line.compare)
		wantUploads(rt, q, "", page, all)
	}
}

// wantNothing closes what is open, empties the store, and looks whether all that belonged to uploads and pieces is gone.
func (m *model) wantNothing(rt *rapid.T) {
	for len(m.readers) > 0 {
		m.close(rt)
	}
	clearStore(m.t, m.s)
	wantNone(rt, m.e, "A", "G", "M", "T")
}
