package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/memstore"
)

// What a fill left counts for seven days after it was saved last, for a start as for a filler.
func TestPartialAge(t *testing.T) {
	const limit = 7 * 24 * time.Hour
	for _, tc := range []struct {
		name    string
		age     time.Duration
		restart bool
		want    bool
	}{
		{"found in time", limit, false, true},
		{"found late", limit + 1, false, false},
		{"started in time", limit, true, true},
		{"started late", limit + 1, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := memstore.New()
				s := store.New(e)
				b, err := s.CreateBucket(t.Context(), "bucket", "owner", "zone")
				check(t, err)
				i, err := s.BeginFill(t.Context(), b, "key", nil)
				check(t, err)
				sp, err := s.NewSpool(t.Context(), 100)
				check(t, err)
				_, err = sp.WriteAt([]byte("some"), 0)
				check(t, err)
				check(t, s.SaveFill(t.Context(), i, sp, []byte("one")))
				<-time.After(limit) // by the bubble's clock: saving again begins the time anew
				check(t, s.SaveFill(t.Context(), i, sp, []byte("two")))
				check(t, s.LeaveFill(t.Context(), i, sp))
				<-time.After(tc.age)
				if tc.restart {
					s = store.New(e)
					check(t, s.Recover(t.Context()))
					again, err := e.Reopen(t.Context(), sp.ID(), 4)
					if got := err == nil; got != tc.want {
						t.Fatalf("the body is there after the start = %v, want %v", got, tc.want)
					}
					if tc.want {
						check(t, again.Leave())
					}
				}
				i, err = s.BeginFill(t.Context(), b, "key", nil)
				check(t, err)
				_, state, ok, err := s.ResumeFill(t.Context(), i)
				check(t, err)
				if ok != tc.want || ok && string(state) != "two" {
					t.Fatalf("ResumeFill = %q, %v, want %v", state, ok, tc.want)
				}
				if !ok {
					if _, err := e.Reopen(t.Context(), sp.ID(), 0); !errors.Is(err, object.ErrDamaged) {
						t.Fatalf("Reopen of what is too old = %v, want %v", err, object.ErrDamaged)
					}
				}
			})
		})
	}
}

// Whose time is over can still leave: what was saved stays, what was not is gone.
func TestLeaveFillAfterItsContext(t *testing.T) {
	for _, saved := range []bool{true, false} {
		e := memstore.New()
		s := store.New(e)
		b, err := s.CreateBucket(t.Context(), "bucket", "owner", "zone")
		check(t, err)
		i, err := s.BeginFill(t.Context(), b, "key", nil)
		check(t, err)
		sp, err := s.NewSpool(t.Context(), 100)
		check(t, err)
		if saved {
			check(t, s.SaveFill(t.Context(), i, sp, nil))
		} else if _, err := sp.Sync(); err != nil { // so that the engine does not see that it is worth nothing
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.LeaveFill(ctx, i, sp); !errors.Is(err, context.Canceled) { // the intent is left to Recover
			t.Fatalf("LeaveFill = %v, want %v", err, context.Canceled)
		}
		if _, err := e.Reopen(t.Context(), sp.ID(), 0); (err == nil) != saved {
			t.Fatalf("saved = %v: Reopen = %v", saved, err)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
