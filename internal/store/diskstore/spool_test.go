package diskstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// What an fsync failed to write is lost, though a second one may succeed: the spool can neither be noted nor kept nor left any more.
func TestFailedSyncIsNotForgotten(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name string
		then func(t *testing.T, e *Engine, s *spool)
	}{
		{"Sync", func(t *testing.T, _ *Engine, s *spool) {
			if size, err := s.Sync(); !errors.Is(err, object.ErrStore) {
				t.Errorf("Sync after a failed one = %d, %v, want %v", size, err, object.ErrStore)
			}
		}},
		{"Apply", func(t *testing.T, e *Engine, s *spool) {
			err := e.Apply(ctx, &store.Batch{Keep: []store.Kept{{Spool: s, Size: 100_000}}})
			if !errors.Is(err, object.ErrStore) {
				t.Errorf("Apply after a failed Sync = %v, want %v", err, object.ErrStore)
			}
		}},
		{"Leave", func(t *testing.T, e *Engine, s *spool) {
			if err := s.Leave(); !errors.Is(err, object.ErrStore) {
				t.Errorf("Leave after a failed Sync = %v, want %v", err, object.ErrStore)
			}
			if _, err := e.Reopen(ctx, s.id, 0); !errors.Is(err, object.ErrDamaged) {
				t.Errorf("Reopen = %v, want %v", err, object.ErrDamaged)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := Open(t.TempDir(), Options{})
			check(t, err)
			defer func() { check(t, e.Close()) }()
			sp, err := e.NewSpool(ctx, 100_000)
			check(t, err)
			s := sp.(*spool)
			_, err = s.WriteAt(make([]byte, 100_000), 0)
			check(t, err)
			_, err = s.Sync()
			check(t, err)
			// The next fsync fails: its file is not open. The one after that would succeed.
			good := s.file
			closed, err := os.Create(filepath.Join(t.TempDir(), "closed"))
			check(t, err)
			check(t, closed.Close())
			s.file = closed
			if _, err := s.Sync(); !errors.Is(err, object.ErrStore) {
				t.Errorf("Sync = %v, want %v", err, object.ErrStore)
			}
			s.file = good
			tc.then(t, e, s)
			check(t, s.Discard())
			if left, err := filepath.Glob(filepath.Join(e.dir, "bodies", "*", "*")); err != nil || len(left) > 0 {
				t.Errorf("files %q are left (%v)", left, err)
			}
		})
	}
}

// An fsync may take long. Meanwhile the spool is written and read.
func TestSpoolGoesOnDuringSync(t *testing.T) {
	e, err := Open(t.TempDir(), Options{})
	check(t, err)
	defer func() { check(t, e.Close()) }()
	sp, err := e.NewSpool(context.Background(), 100_000)
	check(t, err)
	s := sp.(*spool)
	s.syncing.Lock() // all that a Sync and a commit hold while they wait for the disk
	_, err = s.WriteAt([]byte("abc"), 0)
	check(t, err)
	b, err := s.Open()
	check(t, err)
	got := make([]byte, 3)
	if _, err := b.ReadAt(got, 0); err != nil || string(got) != "abc" {
		t.Errorf("ReadAt = %q, %v", got, err)
	}
	check(t, b.Close())
	check(t, s.Discard())
	s.syncing.Unlock()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
