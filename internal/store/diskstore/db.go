package diskstore

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// dbOptions keep the database small: an idle server shall stay below 40 MB.
func dbOptions(cache *pebble.Cache, fs vfs.FS, h *health) *pebble.Options {
	o := &pebble.Options{
		Cache: cache,
		FS:    fs,
		// Pinned, so that a newer library does not change the directory unasked.
		FormatMajorVersion: pebble.FormatValueSeparation,
		MemTableSize:       8 << 20,
		MaxOpenFiles:       512,
		Merger:             sum,
		Logger:             h,
		EventListener: &pebble.EventListener{
			BackgroundError: h.backgroundError,
			DataCorruption:  h.corruption,
			FlushEnd:        h.flushEnd,
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// sum merges the changes of a counter. Its name is in the database: another merger is refused.
var sum = &pebble.Merger{
	Name: "cistern.int64",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		s := new(total)
		return s, s.add(value)
	},
}

type total struct{ n uint64 }

func (t *total) add(v []byte) error {
	if len(v) != 8 {
		return fmt.Errorf("counter of %d bytes", len(v))
	}
	t.n += binary.BigEndian.Uint64(v)
	return nil
}

func (t *total) MergeNewer(v []byte) error { return t.add(v) }
func (t *total) MergeOlder(v []byte) error { return t.add(v) }
func (t *total) Finish(bool) ([]byte, io.Closer, error) {
	return binary.BigEndian.AppendUint64(nil, t.n), nil, nil
}
