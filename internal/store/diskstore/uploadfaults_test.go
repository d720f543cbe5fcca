package diskstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/storetest"
)

// When the disk fails while a change waits for it, nobody knows whether the change is there after the next start. Either way what is there is whole: the
// parts of an upload that was completed, aborted or not, and the pieces of an object that was deleted, replaced, appended to or not.
func TestUploadsAfterAFailingLog(t *testing.T) {
	ctx := context.Background()
	first, second := storetest.Content(1, 50_000), storetest.Content(2, 60_000)
	part := func(s *store.Store, content []byte) (store.Part, store.Spool) {
		sp, err := s.NewSpool(ctx, int64(len(content)))
		check(t, err)
		_, err = sp.WriteAt(content, 0)
		check(t, err)
		return store.Part{Size: int64(len(content))}, sp
	}
	upload := func(s *store.Store, b store.Bucket, key string) store.Upload {
		u, err := s.CreateUpload(ctx, b, key, object.Meta{})
		check(t, err)
		for i, content := range [][]byte{first, second} {
			p, sp := part(s, content)
			p.Number = i
			_, err := s.PutPart(ctx, b, key, u.ID, p, sp)
			check(t, err)
		}
		return u
	}
	complete := func(s *store.Store, b store.Bucket, u store.Upload) error {
		_, err := s.CompleteUpload(ctx, b, u.Key, u.ID, func(u store.Upload, parts []store.Part) ([]store.Part, object.Meta, error) {
			return parts, u.Meta, nil
		})
		return err
	}
	grow := func(s *store.Store, b store.Bucket, content []byte) error {
		p, sp := part(s, content)
		_, err := s.Append(ctx, b, "log", p, sp, func(was *object.Meta) (object.Meta, error) {
			if was == nil {
				return object.Meta{}, nil
			}
			return *was, nil
		})
		return err
	}
	whole := append(bytes.Clone(first), second...)
	for _, tc := range []struct {
		name   string
		change func(s *store.Store, b store.Bucket, u store.Upload) error
		// key and log are what may be there afterwards; nil: nothing may be.
		key, log [][]byte
	}{
		{"completion", complete, [][]byte{whole, []byte("before")}, [][]byte{first}},
		{"abort", func(s *store.Store, b store.Bucket, u store.Upload) error { return s.AbortUpload(ctx, b, u.Key, u.ID) }, [][]byte{[]byte("before")}, [][]byte{first}},
		{"append", func(s *store.Store, b store.Bucket, u store.Upload) error { return grow(s, b, second) }, [][]byte{[]byte("before")}, [][]byte{first, whole}},
		{"DELETE", func(s *store.Store, b store.Bucket, u store.Upload) error { return s.Delete(ctx, b, "log") }, [][]byte{[]byte("before")}, [][]byte{first, nil}},
		{"PUT", func(s *store.Store, b store.Bucket, u store.Upload) error {
			p, sp := part(s, second)
			return s.Put(ctx, b, "log", object.Meta{Size: p.Size}, sp)
		}, [][]byte{[]byte("before")}, [][]byte{first, second}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			e, disk := openFaulty(t, dir)
			s := store.New(e)
			b, err := s.CreateBucket(ctx, "bucket", "owner", "zone")
			check(t, err)
			p, sp := part(s, []byte("before"))
			check(t, s.Put(ctx, b, "key", object.Meta{Size: p.Size}, sp))
			check(t, grow(s, b, first))
			u := upload(s, b, "key")
			disk.set(func(op errorfs.Op) bool {
				return strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo)
			})
			if err := tc.change(s, b, u); !errors.Is(err, object.ErrStore) {
				t.Errorf("%v, want %v", err, object.ErrStore)
			}
			if err := e.Close(); !errors.Is(err, object.ErrStore) {
				t.Errorf("Close = %v, want %v", err, object.ErrStore)
			}

			again, err := Open(copyDir(t, dir), Options{})
			check(t, err)
			defer func() { check(t, again.Close()) }()
			s = store.New(again)
			check(t, s.Recover(ctx))
			for key, may := range map[string][][]byte{"key": tc.key, "log": tc.log} {
				got, err := read(ctx, s, b, key)
				ok := false
				for _, want := range may {
					ok = ok || want == nil && errors.Is(err, object.ErrNoSuchKey) || err == nil && want != nil && bytes.Equal(got, want)
				}
				if !ok {
					t.Errorf("%s has %d bytes, %v after the next start; that is neither what it was nor what it should have become", key, len(got), err)
				}
			}
			if _, err := s.Upload(ctx, b, "key", u.ID); err == nil { // it did not end, so it can be completed
				check(t, complete(s, b, u))
				if got, err := read(ctx, s, b, "key"); err != nil || !bytes.Equal(got, whole) {
					t.Errorf("the upload that did not end gives %d bytes, %v", len(got), err)
				}
			}
		})
	}
}

func read(ctx context.Context, s *store.Store, b store.Bucket, key string) ([]byte, error) {
	o, err := s.Open(ctx, b, key)
	if err != nil {
		return nil, err
	}
	defer o.Body.Close()
	r, err := o.Body.Section(0, o.Size)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
