// Package storetest is the suite that every engine of a store passes.
//
// A new rule for engines begins as a new test here. What is special to one engine (files, restarts) is tested with that engine.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Run tests every promise of store.Engine, and the rules of store.Store over that engine. open returns an empty engine; its test
// closes it.
func Run(t *testing.T, open func(t *testing.T) store.Engine) {
	for _, suite := range []struct {
		name  string
		tests []test
	}{
		{"engine", engineTests},
		{"bodies", bodyTests},
		{"unfinished", unfinishedTests},
		{"store", storeTests},
		{"usage", usageTests},
		{"quota", quotaTests},
		{"versions", versionTests},
		{"moves", moveTests},
		{"fills", fillTests},
		{"partials", partialTests},
		{"outbox", outboxTests},
		{"jobs", jobTests},
		{"between", betweenTests},
		{"between partials", betweenPartialTests},
		{"uploads", uploadTests},
		{"appends", appendTests},
		{"between uploads", betweenUploadTests},
		{"domains", domainTests},
	} {
		t.Run(suite.name, func(t *testing.T) {
			for _, tc := range suite.tests {
				t.Run(tc.name, func(t *testing.T) { tc.run(t, open(t)) })
			}
		})
	}
	t.Run("model", func(t *testing.T) { checkModel(t, open) })
	t.Run("versions model", func(t *testing.T) { checkVersions(t, open) })
}

// tb is what testing.T and rapid.T share.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// test is one promise.
type test struct {
	name string
	run  func(t *testing.T, e store.Engine)
}

// Content returns n bytes that are determined by seed and not like those of another seed.
func Content(seed uint64, n int) []byte {
	b := make([]byte, n)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}

func check(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t tb, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
}

func spoolOf(t tb, e store.Engine, content []byte) store.Spool {
	t.Helper()
	sp, err := e.NewSpool(context.Background(), int64(len(content)))
	check(t, err)
	if len(content) > 0 {
		n, err := sp.WriteAt(content, 0)
		check(t, err)
		if n != len(content) {
			t.Fatalf("WriteAt = %d, want %d", n, len(content))
		}
	}
	return sp
}

func readBody(t tb, b store.Body) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 10_000)
	for {
		n, err := b.ReadAt(buf, int64(len(all)))
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all
		}
		check(t, err)
		if n != len(buf) {
			t.Fatalf("ReadAt(%d bytes) = %d without an error", len(buf), n)
		}
	}
}

func wantBytes(t tb, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Fatalf("%s: %d bytes, want %d; the first difference is at %d", what, len(got), len(want), at)
}

// short names a long key in a failure.
func short(key string) string {
	if len(key) > 40 {
		return fmt.Sprintf("%q...(%d bytes)", key[:40], len(key))
	}
	return fmt.Sprintf("%q", key)
}

// put stores content under key.
func put(t tb, s *store.Store, b store.Bucket, key string, content []byte) {
	t.Helper()
	if err := tryPut(t, s, b, key, content); err != nil {
		t.Fatalf("Put(%s) = %v", short(key), err)
	}
}

func tryPut(t tb, s *store.Store, b store.Bucket, key string, content []byte) error {
	t.Helper()
	return s.Put(context.Background(), b, key, meta(content), spoolFor(t, s, content))
}

func meta(content []byte) object.Meta {
	return object.Meta{Size: int64(len(content)), ETag: fmt.Sprintf(`"%d"`, len(content)), ContentType: "text/plain"}
}

func spoolFor(t tb, s *store.Store, content []byte) store.Spool {
	t.Helper()
	sp, err := s.NewSpool(context.Background(), int64(len(content)))
	check(t, err)
	if len(content) > 0 {
		_, err = sp.WriteAt(content, 0)
		check(t, err)
	}
	return sp
}

// get reads the object under key.
func get(t tb, s *store.Store, b store.Bucket, key string) []byte {
	t.Helper()
	o, err := s.Open(context.Background(), b, key)
	if err != nil {
		t.Fatalf("Open(%s) = %v", short(key), err)
	}
	defer o.Body.Close()
	got := readBody(t, o.Body)
	if int64(len(got)) != o.Size {
		t.Fatalf("Open(%s): size %d, body of %d bytes", short(key), o.Size, len(got))
	}
	return got
}

func newBucket(t tb, s *store.Store, name string) store.Bucket {
	t.Helper()
	b, err := s.CreateBucket(context.Background(), name, "owner", "zone")
	check(t, err)
	return b
}

func wantMissing(t tb, s *store.Store, b store.Bucket, key string) {
	t.Helper()
	_, err := s.Stat(context.Background(), b, key)
	wantErr(t, "Stat("+short(key)+")", err, object.ErrNoSuchKey)
	_, err = s.Open(context.Background(), b, key)
	wantErr(t, "Open("+short(key)+")", err, object.ErrNoSuchKey)
}

// wantUsage compares the counters with a count of the listing.
func wantUsage(t tb, s *store.Store, b store.Bucket) {
	t.Helper()
	var want store.Usage
	q := store.ListQuery{Limit: 7}
	for {
		p, err := s.List(context.Background(), b, q)
		check(t, err)
		for _, e := range p.Entries {
			want.Objects++
			want.Bytes += e.Meta.Size
		}
		if !p.More {
			break
		}
		q.Marker = p.Next
	}
	p, err := s.ListVersions(context.Background(), b, store.ListQuery{Limit: 100_000}, "")
	check(t, err)
	for _, v := range p.Entries {
		if !v.Latest {
			want.Versions += v.Meta.Size
		}
	}
	got, err := s.Usage(context.Background(), b)
	check(t, err)
	if got != want {
		t.Fatalf("Usage = %+v, a count gives %+v", got, want)
	}
}
