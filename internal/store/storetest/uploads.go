package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

var uploadTests = []test{
	{"parts become the object, in order, without those that are not chosen", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u, err := s.CreateUpload(bg, b, "key", object.Meta{ContentType: "a/b", User: map[string]string{"n": "v"}})
		check(t, err)
		contents := map[int][]byte{0: Content(1, 100), 3: Content(2, 50_000), 7: Content(3, 0), 8: Content(4, 70_000), 9_999: Content(5, 10), 10_000: Content(6, 1)}
		bodies := make(map[int]store.BodyID)
		for n, content := range contents {
			bodies[n] = putPart(t, s, b, u, n, content)
		}
		wantMissing(t, s, b, "key")
		wantUsage(t, s, b)
		want := slices.Concat(contents[0], contents[8], contents[9_999])
		m, err := complete(s, b, u, 0, 7, 8, 9_999)
		check(t, err)
		got, err := s.Stat(bg, b, "key")
		check(t, err)
		if diff := cmp.Diff(m, got); diff != "" || got.ContentType != "a/b" || got.User["n"] != "v" || got.Size != int64(len(want)) {
			t.Fatalf("Stat = %+v (-completed +got):\n%s", got, diff)
		}
		if sum := crc64.Checksum(want, crc64.MakeTable(0x9a6c9329ac4bc9b5)); got.Digest != (object.Digest{CRC64NVME: sum}) {
			t.Fatalf("Digest = %+v, want CRC %x of the whole, and no MD5", got.Digest, sum)
		}
		wantBytes(t, "the object", get(t, s, b, "key"), want)
		wantUsage(t, s, b)
		wantGone(t, e, bodies[3], bodies[10_000])
		wantNone(t, e, "A", "T", "G")
		_, err = s.Upload(bg, b, "key", u.ID)
		wantErr(t, "Upload after its completion", err, object.ErrNoSuchUpload)
		check(t, s.Delete(bg, b, "key"))
		wantGone(t, e, bodies[0], bodies[8], bodies[9_999])
		wantNone(t, e, "M", "G")
		wantUsage(t, s, b)
	}},
	{"pieces are copied one by one, or none of them", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, other := newBucket(t, s, "bucket"), newBucket(t, s, "other")
		u := begin(t, s, b, "key")
		contents := [][]byte{Content(1, 70_000), []byte("x"), Content(2, 60_000)}
		for n, content := range contents {
			putPart(t, s, b, u, n, content)
		}
		_, err := complete(s, b, u, 0, 1, 2)
		check(t, err)
		put(t, s, other, "key", []byte("was there"))
		// at is called before each piece.
		clone := func(at func(n int) error, may func(*object.Meta) error) error {
			o, err := s.Open(bg, b, "key")
			check(t, err)
			defer func() { check(t, o.Body.Close()) }()
			n := 0
			m, err := s.PutPieces(bg, other, "key", o.Meta, o, may, func(spool store.Spool, from store.Body, size int64, crc64 uint64) error {
				if err := at(n); err != nil {
					return err
				}
				content := make([]byte, size)
				if _, err := from.ReadAt(content, 0); err != nil {
					return err
				}
				wantBytes(t, "the piece", content, contents[n])
				n++
				_, err := spool.WriteAt(content, 0)
				return err
			})
			if err == nil && (m.Size != o.Size || m.Digest != o.Digest) {
				t.Fatalf("PutPieces = %+v, want what %+v says", m, o.Meta)
			}
			return err
		}
		never := func(int) error { return nil }
		failed := errors.New("failed")

		err = clone(func(n int) error {
			if n == 2 {
				return failed
			}
			return nil
		}, nil)
		wantErr(t, "a copy of which a piece fails", err, failed)
		err = clone(never, func(old *object.Meta) error {
			if old == nil || old.Size != int64(len("was there")) {
				t.Fatalf("may is asked about %+v", old)
			}
			return failed
		})
		wantErr(t, "a copy that may not be", err, failed)
		if err := clone(func(n int) error {
			if n == 2 { // what a process leaves that ends here
				return store.New(e).Recover(bg)
			}
			return nil
		}, nil); err == nil {
			t.Fatal("a copy whose pieces were taken for leftovers = nil, want an error")
		}
		wantBytes(t, "what was there", get(t, s, other, "key"), []byte("was there"))
		check(t, s.Delete(bg, other, "key"))
		check(t, s.DeleteBucket(bg, other))
		wantErr(t, "a copy into a bucket that is gone", clone(never, nil), object.ErrNoSuchBucket)
		other = newBucket(t, s, "other")

		check(t, clone(func(int) error { return s.Delete(bg, b, "key") }, nil)) // the reader has the pieces
		wantMissing(t, s, b, "key")
		wantBytes(t, "the copy", get(t, s, other, "key"), slices.Concat(contents...))
		wantUsage(t, s, other)
		wantNone(t, e, "G")
		check(t, store.New(e).Recover(bg))
		wantBytes(t, "the copy after a restart", get(t, s, other, "key"), slices.Concat(contents...))
		check(t, s.Delete(bg, other, "key"))
		wantNone(t, e, "M", "G")
	}},
	{"one part keeps its MD5, and no bytes are an empty object", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		for _, content := range [][]byte{[]byte("content"), nil} {
			u := begin(t, s, b, "key")
			putPart(t, s, b, u, 1, content)
			m, err := complete(s, b, u, 1)
			check(t, err)
			if m.Digest.MD5 != fmt.Sprint("md5 of ", len(content)) {
				t.Fatalf("Digest = %+v, want that of the part", m.Digest)
			}
			wantBytes(t, "the object", get(t, s, b, "key"), content)
			wantUsage(t, s, b)
		}
		check(t, s.Delete(bg, b, "key"))
		check(t, s.DeleteBucket(bg, b))
		wantNone(t, e, "A", "T", "M", "G")
	}},
	{"a part that comes again replaces the one before", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u := begin(t, s, b, "key")
		first := putPart(t, s, b, u, 4, Content(1, 60_000))
		putPart(t, s, b, u, 2, []byte("front"))
		putPart(t, s, b, u, 4, []byte("back"))
		wantGone(t, e, first)
		parts, err := s.Parts(bg, b, "key", u.ID, -1, 10)
		check(t, err)
		if len(parts) != 2 || parts[1].Number != 4 || parts[1].Size != 4 || parts[1].ETag != `"4"` || parts[1].Created.IsZero() {
			t.Fatalf("Parts = %+v", parts)
		}
		_, err = complete(s, b, u, 2, 4)
		check(t, err)
		wantBytes(t, "the object", get(t, s, b, "key"), []byte("frontback"))
	}},
	{"a page of parts begins behind its marker", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u, beside := begin(t, s, b, "key"), begin(t, s, b, "key")
		numbers := []int{0, 1, 5, 255, 256, 10_000}
		for _, n := range numbers {
			putPart(t, s, b, u, n, []byte("x"))
			putPart(t, s, b, beside, n/2, []byte("y"))
		}
		for _, marker := range []int{-1, 0, 1, 4, 255, 9_999, 10_000} {
			for _, limit := range []int{0, 1, 3, 1000} {
				parts, err := s.Parts(bg, b, "key", u.ID, marker, limit)
				check(t, err)
				var got, want []int
				for _, p := range parts {
					got = append(got, p.Number)
				}
				for _, n := range numbers {
					if n > marker && len(want) < limit {
						want = append(want, n)
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("Parts(marker %d, limit %d) = %v, want %v", marker, limit, got, want)
				}
			}
		}
	}},
	{"what is no upload is none", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, other := newBucket(t, s, "bucket"), newBucket(t, s, "other")
		u := begin(t, s, b, "key")
		for _, tc := range []struct {
			b       store.Bucket
			key, id string
		}{
			{b, "key", ""}, {b, "key", "x"}, {b, "key", strings.ToUpper(u.ID)}, {b, "key", u.ID[:31]}, {b, "key", u.ID + "0"}, {b, "key", u.ID[:30] + "/0"},
			{b, "key", strings.Repeat("0", 32)}, {b, "ke", u.ID}, {b, "key2", u.ID}, {b, "", u.ID}, {other, "key", u.ID},
		} {
			what := fmt.Sprintf("%s %q %q", tc.b.Name, tc.key, tc.id)
			_, err := s.Upload(bg, tc.b, tc.key, tc.id)
			wantErr(t, "Upload "+what, err, object.ErrNoSuchUpload)
			sp := spoolFor(t, s, []byte("x"))
			_, err = s.PutPart(bg, tc.b, tc.key, tc.id, store.Part{Size: 1}, sp)
			wantErr(t, "PutPart "+what, err, object.ErrNoSuchUpload)
			if _, err := sp.WriteAt([]byte("x"), 0); err == nil {
				t.Fatalf("PutPart %s: the spool was not discarded", what)
			}
			_, err = s.Parts(bg, tc.b, tc.key, tc.id, -1, 10)
			wantErr(t, "Parts "+what, err, object.ErrNoSuchUpload)
			_, err = complete(s, tc.b, store.Upload{ID: tc.id, Key: tc.key}, 0)
			wantErr(t, "CompleteUpload "+what, err, object.ErrNoSuchUpload)
			wantErr(t, "AbortUpload "+what, s.AbortUpload(bg, tc.b, tc.key, tc.id), object.ErrNoSuchUpload)
		}
		for _, p := range []store.Part{{Number: -1, Size: 1}, {Number: 10_001, Size: 1}, {Size: -1}, {Size: 1, AtRest: -1}} {
			_, err := s.PutPart(bg, b, "key", u.ID, p, spoolFor(t, s, []byte("x")))
			wantErr(t, fmt.Sprintf("PutPart %+v", p), err, object.ErrInvalidArgument)
		}
		_, err := s.CreateUpload(bg, b, "", object.Meta{})
		wantErr(t, "CreateUpload without a key", err, object.ErrInvalidKey)
		check(t, s.DeleteBucket(bg, other))
		_, err = s.CreateUpload(bg, other, "key", object.Meta{})
		wantErr(t, "CreateUpload in a bucket that is gone", err, object.ErrNoSuchBucket)
	}},
	{"an aborted upload leaves nothing", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u, beside := begin(t, s, b, "key"), begin(t, s, b, "key")
		small, large := putPart(t, s, b, u, 0, []byte("x")), putPart(t, s, b, u, 1, Content(1, 60_000))
		putPart(t, s, b, beside, 0, []byte("beside"))
		check(t, s.AbortUpload(bg, b, "key", u.ID))
		wantGone(t, e, small, large)
		wantErr(t, "AbortUpload again", s.AbortUpload(bg, b, "key", u.ID), object.ErrNoSuchUpload)
		_, err := complete(s, b, u, 0, 1)
		wantErr(t, "CompleteUpload after AbortUpload", err, object.ErrNoSuchUpload)
		_, err = complete(s, b, beside, 0)
		check(t, err)
		wantBytes(t, "the upload beside it", get(t, s, b, "key"), []byte("beside"))
		wantNone(t, e, "A", "T", "G")
	}},
	{"a completion that is asked for again says what it made, as long as that is there", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u := begin(t, s, b, "key")
		putPart(t, s, b, u, 0, []byte("x"))
		m, err := complete(s, b, u, 0)
		check(t, err)
		again, err := complete(s, b, u, 0)
		check(t, err)
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatalf("CompleteUpload again (-first +again):\n%s", diff)
		}
		wantErr(t, "AbortUpload after CompleteUpload", s.AbortUpload(bg, b, "key", u.ID), object.ErrNoSuchUpload)
		wantBytes(t, "the object", get(t, s, b, "key"), []byte("x"))
		put(t, s, b, "key", []byte("y"))
		_, err = complete(s, b, u, 0)
		wantErr(t, "CompleteUpload after a PUT", err, object.ErrNoSuchUpload)
		check(t, s.Delete(bg, b, "key"))
		_, err = complete(s, b, u, 0)
		wantErr(t, "CompleteUpload after a DELETE", err, object.ErrNoSuchUpload)
	}},
	{"who chooses may refuse, and may not mix up the parts", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u := begin(t, s, b, "key")
		putPart(t, s, b, u, 0, []byte("x"))
		putPart(t, s, b, u, 1, []byte("y"))
		refused := errors.New("refused")
		_, err := s.CompleteUpload(bg, b, "key", u.ID, func(store.Upload, []store.Part) ([]store.Part, object.Meta, error) {
			return nil, object.Meta{}, refused
		})
		wantErr(t, "CompleteUpload", err, refused)
		for _, order := range [][]int{{1, 0}, {0, 0}, {0, 1, 1}} {
			_, err := complete(s, b, u, order...)
			wantErr(t, fmt.Sprintf("CompleteUpload of %v", order), err, object.ErrInvalidArgument)
		}
		wantMissing(t, s, b, "key")
		_, err = complete(s, b, u, 0, 1)
		check(t, err)
		wantBytes(t, "the object", get(t, s, b, "key"), []byte("xy"))
	}},
	{"any range of an object in pieces is that of its bytes", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u := begin(t, s, b, "key")
		var whole []byte
		sizes := []int{1, 40_000, 1, 0, 7, 100_000, 32 << 10, 3}
		for i, n := range sizes {
			content := Content(uint64(i), n)
			putPart(t, s, b, u, i, content)
			whole = append(whole, content...)
		}
		_, err := complete(s, b, u, 0, 1, 2, 3, 4, 5, 6, 7)
		check(t, err)
		wantRanges(t, s, b, "key", whole)
	}},
	{"the pieces of a lasting reader stay until it is done", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		first, second := Content(1, 50_000), Content(2, 60_000)
		for name, end := range map[string]func(){
			"a PUT":    func() { put(t, s, b, "key", []byte("other")) },
			"a DELETE": func() { check(t, s.Delete(bg, b, "key")) },
			"another upload": func() {
				u := begin(t, s, b, "key")
				putPart(t, s, b, u, 0, []byte("other"))
				_, err := complete(s, b, u, 0)
				check(t, err)
			},
		} {
			u := begin(t, s, b, "key")
			one, two := putPart(t, s, b, u, 0, first), putPart(t, s, b, u, 1, second)
			_, err := complete(s, b, u, 0, 1)
			check(t, err)
			var open []*store.Object
			for range 2 {
				o, err := s.Open(bg, b, "key")
				check(t, err)
				open = append(open, o)
			}
			section, err := open[0].Body.Section(0, open[0].Size)
			check(t, err)
			_, err = io.ReadFull(section, make([]byte, 10))
			check(t, err)
			end()
			check(t, s.Recover(bg))
			rest, err := io.ReadAll(section)
			check(t, err)
			wantBytes(t, "the rest after "+name, rest, slices.Concat(first[10:], second))
			check(t, open[0].Body.Close())
			check(t, open[0].Body.Close())
			wantBytes(t, "another reader after "+name, readBody(t, open[1].Body), slices.Concat(first, second))
			check(t, open[1].Body.Close())
			wantGone(t, e, one, two)
			wantNone(t, e, "G")
		}
	}},
	{"a lost piece is damage, and no bytes but its own are missing", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u := begin(t, s, b, "key")
		putPart(t, s, b, u, 0, []byte("front"))
		lost := putPart(t, s, b, u, 1, []byte("lost"))
		putPart(t, s, b, u, 2, []byte("back"))
		_, err := complete(s, b, u, 0, 1, 2)
		check(t, err)
		check(t, e.Apply(bg, &store.Batch{Drop: []store.BodyID{lost}}))
		o, err := s.Open(bg, b, "key")
		check(t, err)
		defer o.Body.Close()
		_, err = o.Body.ReadAt(make([]byte, 10), 0)
		wantErr(t, "ReadAt over a lost piece", err, object.ErrDamaged)
		for _, r := range []object.Range{{Offset: 0, Length: 5}, {Offset: 9, Length: 4}} {
			section, err := o.Body.Section(r.Offset, r.Length)
			check(t, err)
			if got, err := io.ReadAll(section); err != nil || int64(len(got)) != r.Length {
				t.Fatalf("range %+v beside a lost piece = %q, %v", r, got, err)
			}
		}
		var out bytes.Buffer
		section, err := o.Body.Section(0, 13)
		check(t, err)
		_, err = io.Copy(&out, section)
		wantErr(t, "Copy over a lost piece", err, object.ErrDamaged)
		wantBytes(t, "what came before it", out.Bytes(), []byte("front"))

		// A record that is lost, and one that is damaged.
		pieces := keys(t, e, "M", "N")
		v, err := e.Get(bg, []byte(pieces[2]))
		check(t, err)
		v[3] ^= 1
		check(t, e.Apply(bg, &store.Batch{Set: []store.Record{{Key: []byte(pieces[2]), Value: v}}}))
		_, err = o.Body.ReadAt(make([]byte, 1), 12)
		wantErr(t, "ReadAt in a damaged piece", err, object.ErrDamaged)
		check(t, e.Apply(bg, &store.Batch{Delete: [][]byte{[]byte(pieces[2])}}))
		_, err = o.Body.ReadAt(make([]byte, 1), 12)
		wantErr(t, "ReadAt in a piece without a record", err, object.ErrDamaged)
		check(t, e.Apply(bg, &store.Batch{Delete: [][]byte{[]byte(pieces[0])}}))
		_, err = o.Body.ReadAt(make([]byte, 1), 0)
		wantErr(t, "ReadAt before the first piece", err, object.ErrDamaged)
	}},
	{"each body of an object is wrapped by itself", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		flipped := func(content []byte) store.Spool { // at rest a byte more in front, and each one inverted
			at := append([]byte{0xff}, content...)
			for i := range at {
				at[i] ^= 0xff
			}
			return spoolFor(t, s, at)
		}
		sealed := &object.Encryption{Algorithm: "AES256", KeyMD5: "md5", Salt: []byte("salt")}
		u, err := s.CreateUpload(bg, b, "pieces", object.Meta{Encryption: sealed})
		check(t, err)
		var whole []byte
		for i, n := range []int{10, 50_000, 0, 30_000} {
			content := Content(uint64(i), n)
			p := store.Part{Number: i, Size: int64(n), AtRest: int64(n + 1)}
			_, err := s.PutPart(bg, b, "pieces", u.ID, p, flipped(content))
			check(t, err)
			whole = append(whole, content...)
		}
		m, err := complete(s, b, u, 0, 1, 2, 3)
		check(t, err)
		if m.AtRest() != m.Size+3 || m.Encryption.KeyMD5 != "md5" || sealed.Size != 0 {
			t.Fatalf("completed %+v with %+v, want 3 bytes more at rest", m, m.Encryption)
		}
		m = object.Meta{Size: int64(len(whole)), Encryption: &object.Encryption{Size: int64(len(whole)) + 1}}
		check(t, s.Put(bg, b, "single", m, flipped(whole)))
		put(t, s, b, "empty", nil)
		for _, tc := range []struct {
			key  string
			want []byte
		}{{"pieces", whole}, {"single", whole}, {"empty", nil}} {
			o, err := s.Open(bg, b, tc.key)
			check(t, err)
			opened, closed := 0, 0
			check(t, o.Wrap(func(in store.Body, size int64) (store.Body, error) {
				opened++
				return &flip{in, size, &closed}, nil
			}))
			section, err := o.Body.Section(5, int64(len(tc.want)))
			check(t, err)
			got, err := io.ReadAll(section)
			check(t, err)
			wantBytes(t, tc.key, got, tc.want[min(5, len(tc.want)):])
			check(t, o.Body.Close())
			if opened != closed || tc.key == "pieces" && opened != 3 {
				t.Fatalf("%s: %d bodies wrapped and %d closed", tc.key, opened, closed)
			}
			refused := errors.New("wrong key")
			o, err = s.Open(bg, b, tc.key)
			check(t, err)
			err = o.Wrap(func(store.Body, int64) (store.Body, error) { return nil, refused })
			if err == nil && o.Size > 0 {
				_, err = o.Body.ReadAt(make([]byte, 1), 0)
			}
			if o.Size > 0 {
				wantErr(t, "reading "+tc.key, err, refused)
			}
			check(t, o.Body.Close())
		}
	}},
	{"listings of uploads equal a plain filter", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, beside := newBucket(t, s, "bucket"), newBucket(t, s, "beside")
		begin(t, s, beside, "a")
		list := append([]string{"a", "a", "a/", "a/1", "a/1", "a/1/x", "a/2", "a\x00", "a\x00", "a\x00\x01", "a\x01", "b", "c--1", "c--2", "\U0010ffff/", "\U0010ffff/1"}, oddKeys...)
		var all []line
		for _, key := range list {
			all = append(all, line{key, begin(t, s, b, key).ID})
		}
		slices.SortFunc(all, line.compare)
		for _, prefix := range []string{"", "a", "a/", "a/1", "a\x00", "dir/", "c-", "\U0010ffff", "zz", strings.Repeat("d/", 500)} {
			for _, delimiter := range []string{"", "/", "--", "\x00"} {
				markers := []line{{}, {"a", ""}, {"a/", ""}, {"a/1", ""}, {"a\x00", ""}, {"dir/", ""}, {"~", ""}}
				for _, l := range all {
					if len(l.key) < 4 {
						markers = append(markers, l)
					}
				}
				for _, marker := range markers {
					for _, limit := range []int{0, 1, 2, 1000} {
						q := store.ListQuery{Prefix: prefix, Delimiter: delimiter, Marker: marker.key, Limit: limit}
						got, err := s.ListUploads(bg, b, q, marker.id)
						check(t, err)
						wantUploads(t, q, marker.id, got, all)
					}
				}
			}
		}
		check(t, s.DeleteBucket(bg, b))
		page, err := s.ListUploads(bg, b, store.ListQuery{Limit: 10}, "")
		check(t, err)
		if len(page.Uploads) > 0 {
			t.Fatalf("a bucket that is gone lists %v", page.Uploads)
		}
		page, err = s.ListUploads(bg, beside, store.ListQuery{Limit: 10}, "")
		check(t, err)
		if len(page.Uploads) != 1 || page.Uploads[0].Meta.Created.IsZero() {
			t.Fatalf("the bucket beside it lists %v", page.Uploads)
		}
	}},
	{"a bucket takes its uploads with it", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		var bodies []store.BodyID
		var uploads []store.Upload
		for i, n := range []int{1, 10, 60_000, 0} {
			u := begin(t, s, b, fmt.Sprint(i%2))
			uploads = append(uploads, u)
			if n > 0 {
				bodies = append(bodies, putPart(t, s, b, u, 0, Content(1, n)), putPart(t, s, b, u, 1, Content(2, n)))
			}
		}
		check(t, s.DeleteBucket(bg, b))
		if left := unbounded(t, e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}
		wantGone(t, e, bodies...)
		again := newBucket(t, s, "bucket")
		for _, b := range []store.Bucket{b, again} {
			for _, u := range uploads {
				sp := spoolFor(t, s, []byte("x"))
				if _, err := s.PutPart(bg, b, u.Key, u.ID, store.Part{Size: 1}, sp); !errors.Is(err, object.ErrNoSuchBucket) && !errors.Is(err, object.ErrNoSuchUpload) {
					t.Fatalf("PutPart to an upload of a bucket that is gone = %v", err)
				}
			}
		}
	}},
	{"of a completion and an abort at once, one wins", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		for round := range 10 {
			u := begin(t, s, b, "key")
			body := putPart(t, s, b, u, 0, []byte("x"))
			var completed, aborted error
			var wg sync.WaitGroup
			wg.Go(func() { _, completed = complete(s, b, u, 0) })
			wg.Go(func() { aborted = s.AbortUpload(bg, b, "key", u.ID) })
			wg.Wait()
			switch {
			case completed == nil && errors.Is(aborted, object.ErrNoSuchUpload):
				wantBytes(t, "the object", get(t, s, b, "key"), []byte("x"))
				check(t, s.Delete(bg, b, "key"))
			case aborted == nil && errors.Is(completed, object.ErrNoSuchUpload):
				wantMissing(t, s, b, "key")
			default:
				t.Fatalf("round %d: completion %v, abort %v", round, completed, aborted)
			}
			wantGone(t, e, body)
			wantNone(t, e, "A", "T", "M", "G")
		}
		wantUsage(t, s, b)
	}},
	{"completions and parts at once make one whole object", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		for round := range 5 {
			u := begin(t, s, b, "key")
			for n := range 4 {
				putPart(t, s, b, u, n, bytes.Repeat([]byte{'a' + byte(n)}, 40_000))
			}
			var wg sync.WaitGroup
			for n := range 4 {
				wg.Go(func() {
					content := bytes.Repeat([]byte{'A' + byte(n)}, 40_000)
					_, err := s.PutPart(bg, b, "key", u.ID, partOf(n, content), spoolFor(t, s, content))
					if err != nil && !errors.Is(err, object.ErrNoSuchUpload) {
						t.Error(err)
					}
				})
			}
			for range 2 {
				wg.Go(func() {
					if _, err := complete(s, b, u, 0, 1, 2, 3); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			got := get(t, s, b, "key")
			for n := range 4 {
				piece := got[n*40_000 : (n+1)*40_000]
				c := piece[0]
				if (c != 'a'+byte(n) && c != 'A'+byte(n)) || !bytes.Equal(piece, bytes.Repeat([]byte{c}, 40_000)) {
					t.Fatalf("round %d: piece %d is neither of the two that were put", round, n)
				}
			}
			wantNone(t, e, "A", "T", "G")
		}
	}},
	{"an interrupted removal goes on at the next start", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		var bodies []store.BodyID
		upload := func(key string) store.Upload {
			u := begin(t, s, b, key)
			for n := range 3 {
				bodies = append(bodies, putPart(t, s, b, u, n, Content(uint64(n), 20_000*(n+1))))
			}
			return u
		}
		for what, end := range map[string]func(s *store.Store) error{
			"DELETE": func(s *store.Store) error {
				_, err := complete(s, b, upload("key"), 0, 1, 2)
				check(t, err)
				return s.Delete(bg, b, "key")
			},
			"AbortUpload": func(s *store.Store) error { return s.AbortUpload(bg, b, "key", upload("key").ID) },
			"a part that is not chosen": func(s *store.Store) error {
				_, err := complete(s, b, upload("key"), 0)
				return err
			},
			"DeleteBucket": func(s *store.Store) error {
				check(t, s.Delete(bg, b, "key"))
				upload("one")
				upload("two")
				err := s.DeleteBucket(bg, b)
				b = newBucket(t, store.New(e), "bucket")
				return err
			},
		} {
			stops := &stopsCollecting{Engine: e}
			check(t, end(store.New(stops)))
			if !stops.stopped {
				t.Fatalf("%s removed nothing bit by bit", what)
			}
			if got := keys(t, e, "G", "H"); len(got) == 0 {
				t.Fatalf("%s: nothing says what is left", what)
			}
			check(t, store.New(e).Recover(bg))
			wantNone(t, e, "A", "T", "G")
			if what == "a part that is not chosen" {
				wantBytes(t, "the object", get(t, s, b, "key"), Content(0, 20_000))
				check(t, s.Delete(bg, b, "key"))
			}
			wantGone(t, e, bodies...)
			wantNone(t, e, "M")
		}
	}},
	{"what cannot be written changes nothing", func(t *testing.T, e store.Engine) {
		f := &failing{Engine: e}
		s := store.New(f)
		b := newBucket(t, s, "bucket")
		u := begin(t, s, b, "key")
		putPart(t, s, b, u, 0, Content(1, 40_000))
		_, err := appendTo(s, b, "log", []byte("one"))
		check(t, err)
		before := unbounded(t, e)
		for _, n := range []int{10, 40_000} {
			content := Content(2, n)
			sp := spoolFor(t, s, content)
			for what, do := range map[string]func() error{
				"CreateUpload":   func() error { _, err := s.CreateUpload(bg, b, "key", object.Meta{}); return err },
				"PutPart":        func() error { _, err := s.PutPart(bg, b, "key", u.ID, partOf(0, content), sp); return err },
				"CompleteUpload": func() error { _, err := complete(s, b, u, 0); return err },
				"AbortUpload":    func() error { return s.AbortUpload(bg, b, "key", u.ID) },
				"Append": func() error {
					_, err := s.Append(bg, b, "log", partOf(0, content), spoolFor(t, s, content), grow)
					return err
				},
				"Delete": func() error { return s.Delete(bg, b, "log") },
			} {
				f.fail = true
				wantErr(t, what, do(), object.ErrStore)
				if diff := cmp.Diff(before, unbounded(t, e)); diff != "" {
					t.Fatalf("records after %s failed (-before +after):\n%s", what, diff)
				}
			}
			wantGone(t, e, sp.ID())
		}
		wantBytes(t, "the log", get(t, s, b, "log"), []byte("one"))
		_, err = complete(s, b, u, 0)
		check(t, err)
		wantBytes(t, "the object", get(t, s, b, "key"), Content(1, 40_000))
	}},
	{"Recover spares parts and pieces", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		u, v := begin(t, s, b, "key"), begin(t, s, b, "unfinished")
		putPart(t, s, b, u, 0, Content(1, 60_000))
		putPart(t, s, b, v, 0, Content(2, 60_000))
		_, err := complete(s, b, u, 0)
		check(t, err)
		check(t, store.New(e).Recover(bg))
		wantBytes(t, "the object", get(t, s, b, "key"), Content(1, 60_000))
		_, err = complete(s, b, v, 0)
		check(t, err)
		wantBytes(t, "the upload", get(t, s, b, "unfinished"), Content(2, 60_000))
	}},
	outboxTest("the end of an upload is told once, and an append like a PUT", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", nil))
		for _, key := range []string{"completed", "aborted"} {
			u := begin(t, o.s, o.b, key)
			putPart(t, o.s, o.b, u, 0, []byte("x"))
			for range 2 {
				if key == "completed" {
					_, err := complete(o.s, o.b, u, 0)
					check(t, err)
				} else if err := o.s.AbortUpload(bg, o.b, key, u.ID); err != nil {
					wantErr(t, "AbortUpload", err, object.ErrNoSuchUpload)
				}
			}
		}
		_, err := appendTo(o.s, o.b, "appended", []byte("abc"))
		check(t, err)
		o.want(plain, "", "3 completed  1", "4 aborted  0", "1 appended  3")
	}),
	uploadFill("CompleteUpload", func(t *testing.T, f *fills) {
		u := begin(t, f.s, f.b, "key")
		putPart(t, f.s, f.b, u, 0, []byte("wins"))
		_, err := complete(f.s, f.b, u, 0)
		check(t, err)
	}),
	uploadFill("Append", func(t *testing.T, f *fills) {
		_, err := appendTo(f.s, f.b, "key", []byte("wins"))
		check(t, err)
	}),
}

// uploadFill tests that an object that comes in during a fill wins over it, as a PUT does.
func uploadFill(what string, come func(t *testing.T, f *fills)) test {
	return fillTest(what+" during a fill wins", func(t *testing.T, f *fills) {
		i := f.begin("key")
		come(t, f)
		f.wantNoIntents()
		wantErr(t, "commit", f.commit(i, "filled"), object.ErrExists)
		f.want("key", "wins")
		check(t, f.s.EndFill(bg, i))
		i = f.begin("key2")
		check(t, f.s.Delete(bg, f.b, "key"))
		wantErr(t, "commit", f.commit(i, "filled"), nil)
		wantUsage(t, f.s, f.b)
	})
}

// stopsCollecting is an engine that fails, from the first removal of garbage on.
type stopsCollecting struct {
	store.Engine
	stopped bool
}

func (s *stopsCollecting) Apply(ctx context.Context, b *store.Batch) error {
	if b.NoSync && len(b.Delete) > 0 && len(b.Require) == 0 && len(b.Set) == 0 {
		s.stopped = true
		return object.ErrStore
	}
	return s.Engine.Apply(ctx, b)
}

// flip is a body whose bytes are inverted at rest, behind one more.
type flip struct {
	store.Body
	size   int64
	closed *int
}

func (f *flip) Close() error {
	*f.closed++
	return f.Body.Close()
}

func (f *flip) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.Body.ReadAt(p, off+1)
	for i := range p[:n] {
		p[i] ^= 0xff
	}
	return n, err
}

func (f *flip) Section(off, n int64) (io.Reader, error) {
	return io.NewSectionReader(f, off, min(n, f.size-off)), nil
}

func begin(t tb, s *store.Store, b store.Bucket, key string) store.Upload {
	t.Helper()
	u, err := s.CreateUpload(bg, b, key, object.Meta{})
	if err != nil {
		t.Fatalf("CreateUpload(%s) = %v", short(key), err)
	}
	return u
}

func partOf(number int, content []byte) store.Part {
	return store.Part{Number: number, Size: int64(len(content)), ETag: fmt.Sprintf(`"%d"`, len(content)), Digest: object.Digest{
		CRC64NVME: crc64.Checksum(content, crc64.MakeTable(0x9a6c9329ac4bc9b5)), MD5: fmt.Sprint("md5 of ", len(content)),
	}}
}

// putPart uploads a part and returns the name of its body.
func putPart(t tb, s *store.Store, b store.Bucket, u store.Upload, number int, content []byte) store.BodyID {
	t.Helper()
	sp := spoolFor(t, s, content)
	if _, err := s.PutPart(bg, b, u.Key, u.ID, partOf(number, content), sp); err != nil {
		t.Fatalf("PutPart(%d) = %v", number, err)
	}
	return sp.ID()
}

// complete completes an upload with those of its parts.
func complete(s *store.Store, b store.Bucket, u store.Upload, numbers ...int) (object.Meta, error) {
	return s.CompleteUpload(bg, b, u.Key, u.ID, func(u store.Upload, parts []store.Part) ([]store.Part, object.Meta, error) {
		var chosen []store.Part
		for _, n := range numbers {
			i := slices.IndexFunc(parts, func(p store.Part) bool { return p.Number == n })
			chosen = append(chosen, parts[i])
		}
		return chosen, u.Meta, nil
	})
}

// wantGone checks that no body of these is left.
func wantGone(t tb, e store.Engine, bodies ...store.BodyID) {
	t.Helper()
	for _, id := range bodies {
		_, err := e.Open(bg, id)
		wantErr(t, "Open of a body that should be gone", err, object.ErrDamaged)
	}
}

// wantNone checks that there is no record in these spaces.
func wantNone(t tb, e store.Engine, spaces ...string) {
	t.Helper()
	for _, s := range spaces {
		if got := keys(t, e, s, string(s[0]+1)); len(got) > 0 {
			t.Fatalf("records %q are left", got)
		}
	}
}

// wantRanges reads ranges of an object in every way.
func wantRanges(t tb, s *store.Store, b store.Bucket, key string, whole []byte) {
	t.Helper()
	o, err := s.Open(bg, b, key)
	check(t, err)
	defer o.Body.Close()
	wantBytes(t, "the whole by ReadAt", readBody(t, o.Body), whole)
	size := len(whole)
	for _, off := range []int{0, 1, 2, 40_000, 40_001, 40_002, 40_009, 100_000, size - 4, size - 1, size, size + 5} {
		for _, n := range []int{0, 1, 5, 60_000, size - off, size} {
			n = max(n, 0)
			want := whole[min(off, size):min(off+n, size)]
			section, err := o.Body.Section(int64(off), int64(n))
			check(t, err)
			got, err := io.ReadAll(onlyReader{section})
			check(t, err)
			wantBytes(t, fmt.Sprintf("section of %d bytes at %d", n, off), got, want)
			section, err = o.Body.Section(int64(off), int64(n))
			check(t, err)
			var out bytes.Buffer
			_, err = io.Copy(&out, section)
			check(t, err)
			wantBytes(t, fmt.Sprintf("copy of %d bytes at %d", n, off), out.Bytes(), want)
			got = make([]byte, n)
			k, err := o.Body.ReadAt(got, int64(off))
			if (err == nil) != (len(want) == n) || err != nil && err != io.EOF {
				t.Fatalf("ReadAt of %d bytes at %d of %d = %d, %v", n, off, size, k, err)
			}
			wantBytes(t, fmt.Sprintf("ReadAt of %d bytes at %d", n, off), got[:k], want)
		}
	}
	for _, r := range [][2]int64{{-1, 1}, {0, -1}} {
		if _, err := o.Body.Section(r[0], r[1]); err == nil {
			t.Fatalf("Section(%d, %d) succeeds", r[0], r[1])
		}
	}
	if _, err := o.Body.ReadAt(make([]byte, 1), -1); err == nil {
		t.Fatal("ReadAt(-1) succeeds")
	}
}

// onlyReader hides all but Read.
type onlyReader struct{ io.Reader }

// line is an upload in a listing.
type line struct{ key, id string }

func (l line) compare(o line) int {
	if c := strings.Compare(l.key, o.key); c != 0 {
		return c
	}
	return strings.Compare(l.id, o.id)
}

// wantUploads compares a page with what a plain walk over all uploads gives.
func wantUploads(t tb, q store.ListQuery, id string, got store.UploadPage, all []line) {
	t.Helper()
	var want, have []string
	var next line
	more := false
	seen := make(map[string]bool)
	for _, l := range all {
		rest, ok := strings.CutPrefix(l.key, q.Prefix)
		if !ok {
			continue
		}
		at := l
		if q.Delimiter != "" {
			if head, _, ok := strings.Cut(rest, q.Delimiter); ok {
				at = line{q.Prefix + head + q.Delimiter, ""}
			}
		}
		switch {
		case at.id == "" && (seen[at.key] || at.key <= q.Marker):
			continue
		case at.id != "" && (at.key < q.Marker || at.key == q.Marker && q.Marker != "" && (id == "" || at.id <= id)):
			continue
		}
		if len(want) >= q.Limit {
			more = q.Limit > 0
			break
		}
		seen[at.key] = true
		want = append(want, at.key+" "+at.id)
		next = at
	}
	if !more {
		next = line{}
	}
	for _, u := range got.Uploads {
		have = append(have, u.Key+" "+u.ID)
	}
	for _, p := range got.Prefixes {
		have = append(have, p+" ")
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) || got.NextKey != next.key || got.NextID != next.id || got.More != more {
		t.Fatalf("ListUploads(%+v, %q) = %q, next %q %q, more %v\nwant %q, next %+v, more %v", q, id, have, got.NextKey, got.NextID, got.More, want, next, more)
	}
}

// failing is an engine whose next batch cannot be written.
type failing struct {
	store.Engine
	fail bool
}

func (f *failing) Apply(ctx context.Context, b *store.Batch) error {
	if f.fail {
		f.fail = false
		return errors.New("no space left on device")
	}
	return f.Engine.Apply(ctx, b)
}
