package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// asItIs changes nothing of an object that is moved.
func asItIs(*object.Meta) error { return nil }

var moveTests = []test{
	{"an object is moved with its bytes", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, other := newBucket(t, s, "bucket"), newBucket(t, s, "other")
		u := begin(t, s, b, "parts")
		putPart(t, s, b, u, 0, Content(1, 10))
		putPart(t, s, b, u, 1, Content(2, 50_000))
		_, err := complete(s, b, u, 0, 1)
		check(t, err)
		contents := map[string][]byte{"empty": nil, "small": Content(3, 100), "large": Content(4, 100_000)}
		for key, content := range contents {
			put(t, s, b, key, content)
		}
		contents["parts"] = append(Content(1, 10), Content(2, 50_000)...)
		for key, content := range contents {
			for _, step := range []struct {
				from  store.Bucket
				key   string
				to    store.Bucket
				toKey string
			}{{b, key, b, "dir/" + key}, {b, "dir/" + key, other, key}, {other, key, b, key}} {
				was, err := s.Stat(bg, step.from, step.key)
				check(t, err)
				m, err := s.Move(bg, step.from, step.key, step.to, step.toKey, asItIs)
				check(t, err)
				now, err := s.Stat(bg, step.to, step.toKey)
				check(t, err)
				if diff := cmp.Diff(was, m) + cmp.Diff(was, now); diff != "" {
					t.Fatalf("Move(%s) changed:\n%s", key, diff)
				}
				wantMissing(t, s, step.from, step.key)
				wantBytes(t, key, get(t, s, step.to, step.toKey), content)
				wantUsage(t, s, b)
				wantUsage(t, s, other)
			}
		}
		for key := range contents {
			check(t, s.Delete(bg, b, key))
		}
		wantNone(t, e, "M", "G", "O")
	}},
	{"what is moved over is gone", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		put(t, s, b, "from", Content(1, 40_000))
		sp := spoolFor(t, s, Content(2, 50_000))
		check(t, s.Put(bg, b, "to", meta(Content(2, 50_000)), sp))
		o, err := s.Open(bg, b, "to")
		check(t, err)
		moving, err := s.Open(bg, b, "from")
		check(t, err)
		_, err = s.Move(bg, b, "from", b, "to", asItIs)
		check(t, err)
		wantBytes(t, "the object that was there, open before", readBody(t, o.Body), Content(2, 50_000))
		wantBytes(t, "the object that was moved, open before", readBody(t, moving.Body), Content(1, 40_000))
		check(t, errors.Join(o.Body.Close(), moving.Body.Close()))
		wantBytes(t, "the object", get(t, s, b, "to"), Content(1, 40_000))
		wantGone(t, e, sp.ID())
		wantUsage(t, s, b)
	}},
	{"a move changes what the caller says, and nothing of the bytes", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		content := Content(1, 40_000)
		for _, to := range []string{"to", "from"} {
			put(t, s, b, "from", content)
			was, err := s.Stat(bg, b, "from")
			check(t, err)
			m, err := s.Move(bg, b, "from", b, to, func(m *object.Meta) error {
				m.ContentType, m.User, m.StorageClass = "image/png", map[string]string{"a": "b"}, "STANDARD_IA"
				m.Size, m.Digest, m.Encryption = 7, object.Digest{CRC64NVME: 7}, &object.Encryption{Algorithm: "none"}
				return nil
			})
			check(t, err)
			want := was
			want.ContentType, want.User, want.StorageClass = "image/png", map[string]string{"a": "b"}, "STANDARD_IA"
			now, err := s.Stat(bg, b, to)
			check(t, err)
			if diff := cmp.Diff(want, m) + cmp.Diff(want, now); diff != "" {
				t.Fatalf("Move to %s (-want +got):\n%s", to, diff)
			}
			wantBytes(t, "the object", get(t, s, b, to), content)
			wantUsage(t, s, b)
		}
	}},
	{"a move that fails changes nothing", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b, gone := newBucket(t, s, "bucket"), newBucket(t, s, "gone")
		check(t, s.DeleteBucket(bg, gone))
		put(t, s, b, "from", []byte("from"))
		put(t, s, b, "to", []byte("to"))
		before := unbounded(t, e)
		refused := errors.New("refused")
		for _, tc := range []struct {
			name     string
			from, to store.Bucket
			key      string
			toKey    string
			change   func(*object.Meta) error
			want     error
		}{
			{"no such object", b, b, "none", "to", asItIs, object.ErrNoSuchKey},
			{"no such object, onto itself", b, b, "none", "none", asItIs, object.ErrNoSuchKey},
			{"refused", b, b, "from", "to", func(*object.Meta) error { return refused }, refused},
			{"refused, onto itself", b, b, "from", "from", func(*object.Meta) error { return refused }, refused},
			{"into a bucket that is gone", b, gone, "from", "to", asItIs, object.ErrNoSuchBucket},
			{"out of a bucket that is gone", gone, b, "from", "to", asItIs, object.ErrNoSuchKey},
			{"a key that is none", b, b, "from", "", asItIs, object.ErrInvalidKey},
		} {
			_, err := s.Move(bg, tc.from, tc.key, tc.to, tc.toKey, tc.change)
			wantErr(t, tc.name, err, tc.want)
			if diff := cmp.Diff(before, unbounded(t, e)); diff != "" {
				t.Fatalf("%s: records (-before +after):\n%s", tc.name, diff)
			}
		}
	}},
	fillTest("a move ends the fills of both keys", func(t *testing.T, f *fills) {
		put(t, f.s, f.b, "from", []byte("from"))
		to := f.begin("to")
		_, err := f.s.Move(bg, f.b, "from", f.b, "to", asItIs)
		check(t, err)
		wantErr(t, "CommitFill of the target", f.commit(to, "filled"), object.ErrExists)
		f.want("to", "from")
		check(t, f.s.Delete(bg, f.b, "to"))
		wantErr(t, "CommitFill of the target after a DELETE", f.commit(to, "filled"), object.ErrSuperseded)

		from := f.begin("from")
		put(t, f.s, f.b, "from", []byte("put"))
		_, err = f.s.Move(bg, f.b, "from", f.b, "to", asItIs)
		check(t, err)
		wantErr(t, "CommitFill of the source", f.commit(from, "filled"), object.ErrSuperseded)
		wantMissing(t, f.s, f.b, "from")
	}),
	{"of those who move one object at once, one gets it", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		for round := range 5 {
			put(t, s, b, "from", Content(uint64(round), 40_000))
			var wg sync.WaitGroup
			got := make([]bool, 4)
			for i := range got {
				wg.Go(func() {
					_, err := s.Move(bg, b, "from", b, fmt.Sprint("to", i), asItIs)
					got[i] = err == nil
					if err != nil && !errors.Is(err, object.ErrNoSuchKey) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			all, _ := listAll(t, s, b, store.ListQuery{Limit: 10})
			won := 0
			for i, ok := range got {
				if ok {
					won++
					wantBytes(t, "the object", get(t, s, b, fmt.Sprint("to", i)), Content(uint64(round), 40_000))
				}
			}
			if won != 1 || len(all) != 1 {
				t.Fatalf("%d moves succeeded and %q are there, want one", won, all)
			}
			wantUsage(t, s, b)
			check(t, s.Delete(bg, b, all[0]))
		}
	}},
	between("Move, and another object is put in the source's place", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		put(t, o.s, o.b, "from", []byte("first"))
		h.apply = func() { put(t, o.s, o.b, "from", []byte("second")) }
		sizes := []int64{}
		_, err := mine.Move(bg, o.b, "from", o.b, "to", func(m *object.Meta) error {
			sizes = append(sizes, m.Size)
			return nil
		})
		check(t, err)
		o.want("to", "second")
		wantMissing(t, o.s, o.b, "from")
		if len(sizes) != 2 || sizes[0] != 5 || sizes[1] != 6 {
			t.Fatalf("change was asked about objects of %d bytes, want 5 and then 6", sizes)
		}
	}),
	between("Move, and the source goes", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		put(t, o.s, o.b, "from", []byte("from"))
		h.apply = func() { check(t, o.s.Delete(bg, o.b, "from")) }
		_, err := mine.Move(bg, o.b, "from", o.b, "to", asItIs)
		wantErr(t, "Move", err, object.ErrNoSuchKey)
		wantMissing(t, o.s, o.b, "to")
	}),
	between("Move, and another object is put in the target's place", func(t *testing.T, h *hooked, mine *store.Store, o *fills) {
		put(t, o.s, o.b, "from", []byte("from"))
		put(t, o.s, o.b, "to", []byte("to"))
		h.apply = func() { put(t, o.s, o.b, "to", []byte("meanwhile")) }
		_, err := mine.Move(bg, o.b, "from", o.b, "to", asItIs)
		check(t, err)
		o.want("to", "from")
		wantUsage(t, o.s, o.b)
	}),
	outboxTest("a move tells of what is gone, then of what is there", func(t *testing.T, o *outbox) {
		check(t, o.s.SetSetting(bg, o.b, "plain", []byte("on")))
		put(t, o.s, o.b, "from", []byte("from"))
		_, err := o.s.Move(bg, o.b, "from", o.b, "to", asItIs)
		check(t, err)
		_, err = o.s.Move(bg, o.b, "to", o.b, "to", asItIs)
		check(t, err)
		events, err := o.s.Events(bg, o.queue(plain, ""), 10)
		check(t, err)
		var got []string
		for _, ev := range events {
			got = append(got, fmt.Sprint(ev.Kind, " ", ev.Key))
		}
		if diff := cmp.Diff([]string{"1 from", "2 from", "1 to", "1 to"}, got); diff != "" {
			t.Fatalf("events (-want +got):\n%s", diff)
		}
	}),
}
