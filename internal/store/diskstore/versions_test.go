package diskstore_test

import (
	"testing"

	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/storetest"
)

// The bodies of versions that are not current are no leftovers, whatever the process before left.
func TestVersionsSurviveTheSweep(t *testing.T) {
	dir := t.TempDir()
	_, s, b := withBucket(t, dir)
	check(t, s.SetVersioning(bg, b, store.Enabled))
	contents := [][]byte{storetest.Content(1, 100_000), storetest.Content(2, 200_000)}
	for _, c := range contents {
		put(t, s, b, "key", c)
	}
	check(t, s.Delete(bg, b, "key"))
	_, lost := begin(t, s, b, "other", contents[0]) // so that there is something to sweep
	for range 2 {
		dir = crashCopy(t, dir)
		_, s, b = recovered(t, dir)
		if got := names(t, dir); len(got) != len(contents) {
			t.Fatalf("%d files after the sweep, want those of two versions: %q", len(got), got)
		}
		p, err := s.ListVersions(bg, b, store.ListQuery{Limit: 10}, "")
		check(t, err)
		if len(p.Entries) != 3 || !p.Entries[0].Meta.DeleteMarker {
			t.Fatalf("versions = %+v, want a delete marker and two", p.Entries)
		}
		for i, v := range p.Entries[1:] {
			o, err := s.OpenVersion(bg, b, "key", v.Meta.VersionID)
			check(t, err)
			got := make([]byte, o.Size)
			_, err = o.Body.ReadAt(got, 0)
			check(t, err)
			check(t, o.Body.Close())
			if want := contents[len(contents)-1-i]; string(got) != string(want) {
				t.Errorf("version %d is not what was put", i)
			}
		}
	}
	check(t, lost.Discard())
}
