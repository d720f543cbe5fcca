package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc64"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

var appendTests = []test{
	{"an object grows", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		var whole []byte
		var bodies []store.BodyID
		for i, n := range []int{0, 0, 10, 50_000, 0, 1, 100_000, 32 << 10} {
			content := Content(uint64(i), n)
			sp := spoolFor(t, s, content)
			bodies = append(bodies, sp.ID())
			m, err := s.Append(bg, b, "key", partOf(0, content), sp, grow)
			check(t, err)
			whole = append(whole, content...)
			if sum := crc64.Checksum(whole, crc64.MakeTable(0x9a6c9329ac4bc9b5)); m.Size != int64(len(whole)) || !m.Appendable || m.Digest.CRC64NVME != sum {
				t.Fatalf("Append %d = %+v, want %d bytes with CRC %x", i, m, len(whole), sum)
			}
			got, err := s.Stat(bg, b, "key")
			check(t, err)
			if diff := cmp.Diff(m, got); diff != "" {
				t.Fatalf("Stat (-appended +got):\n%s", diff)
			}
			wantBytes(t, "the object", get(t, s, b, "key"), whole)
			wantUsage(t, s, b)
		}
		wantRanges(t, s, b, "key", whole)
		put(t, s, b, "key", []byte("put"))
		wantBytes(t, "a PUT over it", get(t, s, b, "key"), []byte("put"))
		wantGone(t, e, bodies...)
		wantNone(t, e, "M", "G")
		wantUsage(t, s, b)
	}},
	{"only an object that grows does", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		put(t, s, b, "put", []byte("put"))
		put(t, s, b, "empty", nil)
		u := begin(t, s, b, "parts")
		putPart(t, s, b, u, 0, []byte("x"))
		_, err := complete(s, b, u, 0)
		check(t, err)
		before := unbounded(t, e)
		for _, key := range []string{"put", "empty", "parts"} {
			_, err := appendTo(s, b, key, []byte("y"))
			wantErr(t, "Append to "+key, err, object.ErrObjectState)
		}
		_, err = s.Append(bg, b, "new", partOf(0, []byte("x")), spoolFor(t, s, []byte("x")), func(*object.Meta) (object.Meta, error) {
			return object.Meta{Encryption: &object.Encryption{}}, nil
		})
		wantErr(t, "Append of an encrypted object", err, object.ErrObjectState)
		if diff := cmp.Diff(before, unbounded(t, e)); diff != "" {
			t.Fatalf("records (-before +after):\n%s", diff)
		}
	}},
	{"an append that fails leaves nothing", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		_, err := appendTo(s, b, "key", []byte("x"))
		check(t, err)
		refused := errors.New("refused")
		for _, tc := range []struct {
			name, key string
			part      store.Part
			judge     func(*object.Meta) (object.Meta, error)
			want      error
		}{
			{"refused", "key", partOf(0, []byte("y")), func(*object.Meta) (object.Meta, error) { return object.Meta{}, refused }, refused},
			{"empty key", "", partOf(0, []byte("y")), grow, object.ErrInvalidKey},
			{"wrong size", "key", store.Part{Size: 2}, grow, object.ErrStore},
			{"negative size", "key", store.Part{Size: -1}, grow, object.ErrInvalidArgument},
		} {
			sp := spoolFor(t, s, []byte("y"))
			_, err := s.Append(bg, b, tc.key, tc.part, sp, tc.judge)
			wantErr(t, tc.name, err, tc.want)
			if _, err := sp.WriteAt([]byte("x"), 0); err == nil {
				t.Fatalf("%s: the spool was not discarded", tc.name)
			}
		}
		wantBytes(t, "the object", get(t, s, b, "key"), []byte("x"))
		wantUsage(t, s, b)
		check(t, s.Delete(bg, b, "key"))
		check(t, s.DeleteBucket(bg, b))
		_, err = appendTo(s, b, "key", []byte("x"))
		wantErr(t, "Append in a bucket that is gone", err, object.ErrNoSuchBucket)
		if left := unbounded(t, e); len(left) > 1 {
			t.Fatalf("records %q are left, want at most the last ID", left)
		}
	}},
	{"appends at once come one behind the other", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for n := range 4 {
					if _, err := appendTo(s, b, "key", fmt.Appendf(nil, "%d.%d;", i, n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		got := get(t, s, b, "key")
		if len(got) != 8*4*4 {
			t.Fatalf("the object is %q", got)
		}
		next := make([]int, 8)
		for i := 0; i < len(got); i += 4 {
			writer, n := int(got[i]-'0'), int(got[i+2]-'0')
			if next[writer] != n {
				t.Fatalf("append %d of writer %d comes where %d should: %q", n, writer, next[writer], got)
			}
			next[writer]++
		}
		wantUsage(t, s, b)
	}},
	{"of appends to one position, one wins", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		var won []string
		for position := int64(0); position < 5; position++ {
			var mu sync.Mutex // guards won
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					content := []byte{'a' + byte(i)}
					_, err := s.Append(bg, b, "key", partOf(0, content), spoolFor(t, s, content), at(position))
					if errors.Is(err, object.ErrPosition) {
						return
					}
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					won = append(won, string(content))
				})
			}
			wg.Wait()
		}
		got := get(t, s, b, "key")
		if len(won) != 5 || string(got) != fmt.Sprint(won[0], won[1], won[2], won[3], won[4]) {
			t.Fatalf("the object is %q, %q were told that they had appended", got, won)
		}
	}},
	{"a reader sees the object as it was when it came", func(t *testing.T, e store.Engine) {
		s := store.New(e)
		b := newBucket(t, s, "bucket")
		_, err := appendTo(s, b, "key", []byte("one"))
		check(t, err)
		o, err := s.Open(bg, b, "key")
		check(t, err)
		defer o.Body.Close()
		_, err = appendTo(s, b, "key", []byte("two"))
		check(t, err)
		wantBytes(t, "who came before", readBody(t, o.Body), []byte("one"))
		wantBytes(t, "who comes after", get(t, s, b, "key"), []byte("onetwo"))
		check(t, s.Delete(bg, b, "key"))
		_, err = appendTo(s, b, "key", []byte("anew"))
		check(t, err)
		wantBytes(t, "who came before, after a DELETE", readBody(t, o.Body), []byte("one"))
		wantBytes(t, "who comes after a DELETE", get(t, s, b, "key"), []byte("anew"))
	}},
	{"the hundredth append writes no more than the second", func(t *testing.T, e store.Engine) {
		w := &weighing{Engine: e}
		s := store.New(w)
		b := newBucket(t, s, "bucket")
		sum := sha256.New()
		var weights []int
		for i := range 100 {
			content := Content(uint64(i), 20)
			sum.Write(content)
			w.bytes = 0
			_, err := appendTo(s, b, "key", content)
			check(t, err)
			weights = append(weights, w.bytes)
		}
		if slices.Max(weights) > weights[1]+20 { // the size takes a byte more, now and then
			t.Errorf("bytes of records and bodies written, by append: %v", weights)
		}
		if got := sha256.Sum256(get(t, s, b, "key")); string(got[:]) != string(sum.Sum(nil)) {
			t.Error("the object is not what was appended")
		}
		check(t, s.Delete(bg, b, "key"))
		wantNone(t, e, "M", "G")
	}},
}

// weighing counts what batches write.
type weighing struct {
	store.Engine
	bytes int
}

func (w *weighing) Apply(ctx context.Context, b *store.Batch) error {
	for _, r := range b.Set {
		w.bytes += len(r.Key) + len(r.Value)
	}
	for _, k := range b.Keep {
		w.bytes += int(k.Size)
	}
	return w.Engine.Apply(ctx, b)
}

// grow lets every append through.
func grow(was *object.Meta) (object.Meta, error) {
	if was == nil {
		return object.Meta{ContentType: "text/plain"}, nil
	}
	return *was, nil
}

// at lets an append through at that position.
func at(position int64) func(was *object.Meta) (object.Meta, error) {
	return func(was *object.Meta) (object.Meta, error) {
		m, err := grow(was)
		if m.Size != position {
			err = object.ErrPosition
		}
		return m, err
	}
}

func appendTo(s *store.Store, b store.Bucket, key string, content []byte) (object.Meta, error) {
	sp, err := s.NewSpool(bg, int64(len(content)))
	if err != nil {
		return object.Meta{}, err
	}
	if _, err := sp.WriteAt(content, 0); err != nil {
		return object.Meta{}, err
	}
	return s.Append(bg, b, key, partOf(0, content), sp, grow)
}
