package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// errNo is what somebody who may not says.
var errNo = errors.New("no")

func chunk(b store.Bucket, file int64, lines string) store.Chunk {
	return store.Chunk{Bucket: b, File: file, Lines: []byte(lines)}
}

func putIf(s *store.Store, b store.Bucket, m object.Meta, sp store.Spool, may func(*object.Meta) error) error {
	_, err := s.PutIf(bg, b, "key", m, sp, may)
	return err
}

// jobTests are of what the jobs of the server need of the store.
var jobTests = []test{
	outboxTest("PutIf and DeleteIf are asked about what is there", func(t *testing.T, o *outbox) {
		var asked []int64
		answer := func(answer error) func(*object.Meta) error {
			return func(old *object.Meta) error {
				if old == nil {
					asked = append(asked, -1)
				} else {
					asked = append(asked, old.Size)
				}
				return answer
			}
		}
		content := []byte("put")
		wantErr(t, "PutIf", putIf(o.s, o.b, meta(content), spoolFor(t, o.s, content), answer(errNo)), errNo)
		wantMissing(t, o.s, o.b, "key")
		check(t, putIf(o.s, o.b, meta(content), spoolFor(t, o.s, content), answer(nil)))
		wantErr(t, "PutIf", putIf(o.s, o.b, meta(nil), spoolFor(t, o.s, nil), answer(errNo)), errNo)
		wantErr(t, "DeleteIf", o.s.DeleteIf(bg, o.b, "key", answer(errNo)), errNo)
		wantBytes(t, "key", get(t, o.s, o.b, "key"), content)
		check(t, o.s.DeleteIf(bg, o.b, "key", answer(nil)))
		wantMissing(t, o.s, o.b, "key")
		wantErr(t, "DeleteIf", o.s.DeleteIf(bg, o.b, "key", answer(errNo)), errNo)
		if diff := cmp.Diff([]int64{-1, -1, 3, 3, 3, -1}, asked); diff != "" {
			t.Fatalf("asked about sizes (-want +got):\n%s", diff)
		}
		wantUsage(t, o.s, o.b)
	}),
	between("DeleteIf, and a PUT comes in", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		put(t, o.s, o.b, "key", []byte("old"))
		h.apply = func() { put(t, o.s, o.b, "key", []byte("newer")) }
		err := mine.DeleteIf(bg, o.b, "key", func(old *object.Meta) error {
			if old.Size != 3 {
				return errNo
			}
			return nil
		})
		wantErr(t, "DeleteIf", err, errNo)
		o.want("key", "newer")
	}),
	outboxTest("Relabel changes what is known of an object, and neither its bytes nor anybody's mind", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("x")))
		content := Content(1, 50_000)
		put(t, o.s, o.b, "key", content)
		label := func(m *object.Meta) bool {
			changed := m.StorageClass != "STANDARD_IA"
			m.StorageClass, m.Size = "STANDARD_IA", 1
			return changed
		}
		for _, want := range []bool{true, false} {
			got, err := o.s.Relabel(bg, o.b, "key", label)
			check(t, err)
			if got != want {
				t.Fatalf("Relabel = %v, want %v", got, want)
			}
		}
		wantBytes(t, "key", get(t, o.s, o.b, "key"), content)
		m, err := o.s.Stat(bg, o.b, "key")
		check(t, err)
		if m.StorageClass != "STANDARD_IA" || m.ContentType != "text/plain" {
			t.Fatalf("Stat = %+v, want another class and nothing else", m)
		}
		_, err = o.s.Relabel(bg, o.b, "other", label)
		wantErr(t, "Relabel of nothing", err, object.ErrNoSuchKey)
		wantUsage(t, o.s, o.b)
		o.want(plain, "", `1 key "50000" 50000`)
	}),
	outboxTest("a state is what was noted last, and goes with its bucket", func(t *testing.T, o *outbox) {
		for _, b := range []store.Bucket{o.b, {}} {
			doc, err := o.s.State(bg, b, "job")
			if err != nil || doc != nil {
				t.Fatalf("State = %q, %v, want nothing", doc, err)
			}
			check(t, o.s.SetState(bg, b, "job", []byte("one")))
			check(t, o.s.SetState(bg, b, "job", []byte("two")))
			doc, err = o.s.State(bg, b, "job")
			if err != nil || string(doc) != "two" {
				t.Fatalf("State = %q, %v, want two", doc, err)
			}
			check(t, o.s.SetState(bg, b, "other", []byte("other")))
			check(t, o.s.SetState(bg, b, "other", nil))
		}
		check(t, o.s.DeleteBucket(bg, o.b))
		wantErr(t, "SetState", o.s.SetState(bg, o.b, "job", []byte("x")), object.ErrNoSuchBucket)
		if left := keys(t, o.e, "J", "K"); len(left) != 1 {
			t.Fatalf("states %q are left, want that of no bucket", left)
		}
	}),
	outboxTest("a journal's chunks are taken in order, once", func(t *testing.T, o *outbox) {
		other := newBucket(t, o.s, "other")
		gone := newBucket(t, o.s, "gone")
		check(t, o.s.DeleteBucket(bg, gone))
		check(t, o.s.AppendJournal(bg, []store.Chunk{chunk(o.b, 7, "one"), chunk(o.b, 7, "two"), chunk(other, 7, "x"), chunk(gone, 7, "x")}))
		check(t, o.s.AppendJournal(bg, []store.Chunk{chunk(o.b, 7, "three"), chunk(o.b, 8, "eight")}))
		check(t, o.s.AppendJournal(bg, []store.Chunk{chunk(gone, 7, "x")}))
		files := func() []store.JournalFile {
			t.Helper()
			list, err := o.s.JournalFiles(bg)
			check(t, err)
			return list
		}
		all := []store.JournalFile{{Bucket: o.b.ID, File: 7, Bytes: 11}, {Bucket: o.b.ID, File: 8, Bytes: 5}, {Bucket: other.ID, File: 7, Bytes: 1}}
		if diff := cmp.Diff(all, files()); diff != "" {
			t.Fatalf("files (-want +got):\n%s", diff)
		}
		take := func(limit int64, done error) (string, error) {
			var b strings.Builder
			_, err := o.s.TakeJournal(bg, all[0], limit, func(lines []byte) error { b.Write(lines); return nil }, func() error { return done })
			return b.String(), err
		}
		if got, err := take(6, errNo); got != "onetwo" || !errors.Is(err, errNo) {
			t.Fatalf("take = %q, %v, want onetwo and the error", got, err)
		}
		for _, want := range []string{"onetwo", "three", ""} {
			if got, err := take(6, nil); got != want || err != nil {
				t.Fatalf("take = %q, %v, want %q", got, err, want)
			}
		}
		if diff := cmp.Diff(all[1:], files()); diff != "" {
			t.Fatalf("files (-want +got):\n%s", diff)
		}
		check(t, o.s.DropJournal(bg, all[1]))
		check(t, o.s.DeleteBucket(bg, other))
		if left := keys(t, o.e, "L", "M"); len(left) > 0 {
			t.Fatalf("records %q are left", left)
		}
	}),
	outboxTest("a chunk that comes in while others are taken stays", func(t *testing.T, o *outbox) {
		f := store.JournalFile{Bucket: o.b.ID, File: 7}
		check(t, o.s.AppendJournal(bg, []store.Chunk{chunk(o.b, 7, "one")}))
		n, err := o.s.TakeJournal(bg, f, 100, func([]byte) error { return nil }, func() error {
			return o.s.AppendJournal(bg, []store.Chunk{chunk(o.b, 7, "three")})
		})
		check(t, err)
		list, err := o.s.JournalFiles(bg)
		check(t, err)
		if n != 3 || len(list) != 1 || list[0].Bytes != 5 {
			t.Fatalf("took %d bytes, files = %+v, want 3 and 5 left", n, list)
		}
	}),
}
