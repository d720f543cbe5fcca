package diskstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cisternhq/cistern/internal/store"
)

const tmpSuffix = ".tmp"

// sweepAtOnce bounds the memory of a sweep: so many bodies, of 17 bytes each, are compared with the records in one walk.
const sweepAtOnce = 1 << 20

// Sweep removes what earlier processes left: unfinished files that are not in spare, and files of bodies that live does not yield.
// Bodies that were begun or reopened since Open are safe, whether they are named or not. After a clean end there is nothing to look
// for, and it returns at once.
// live is called zero or more times; an error of it ends the sweep, and nothing that was in question is removed.
func (e *Engine) Sweep(ctx context.Context, spare map[store.BodyID]bool, live func(yield func(store.BodyID) bool) error) error {
	if err := e.enter(ctx); err != nil {
		return err
	}
	defer e.leave()
	if e.swept.Load() {
		return nil
	}
	var found []rest
	removed := 0
	flush := func() error {
		n, err := e.sweepFiles(ctx, found, live)
		removed += n
		found = found[:0]
		return err
	}
	for i := range 256 {
		var err error
		if found, err = e.listShard(byte(i), spare, found); err != nil {
			return diskErr(err)
		}
		if len(found) >= sweepAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	e.swept.Store(true)
	if removed > 0 {
		e.log.Info("store removed what an unclean end had left", "bodies", removed)
	}
	return nil
}

// rest is a body's file of an earlier process.
type rest struct {
	raw   [16]byte
	small bool
}

func (r rest) compare(o rest) int {
	if c := bytes.Compare(r.raw[:], o.raw[:]); c != 0 || r.small == o.small {
		return c
	}
	if o.small {
		return -1
	}
	return 1
}

func (r rest) id() store.BodyID {
	id := fmt.Sprintf("%x", r.raw)
	if r.small {
		id += "s"
	}
	return store.BodyID(id)
}

// listShard removes the unfinished files of earlier processes from a shard, but those in spare, and appends its bodies to found. Files with
// other names are nobody's business.
func (e *Engine) listShard(i byte, spare map[store.BodyID]bool, found []rest) ([]rest, error) {
	if !e.shards[i].made.Load() {
		return found, nil
	}
	dir := e.shard(i)
	files, err := os.ReadDir(dir)
	if err != nil {
		return found, err
	}
	for _, f := range files {
		id, tmp := strings.CutSuffix(f.Name(), tmpSuffix)
		raw, small, ok := parseID(store.BodyID(id))
		if !ok || raw[0] != i || binary.BigEndian.Uint32(raw[12:]) == e.epoch || f.Type() != 0 {
			continue
		}
		if !tmp {
			found = append(found, rest{raw, small})
			continue
		}
		if spare[store.BodyID(id)] || e.files.wasReopened(store.BodyID(id)) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
		e.shards[i].touched.Store(true)
	}
	return found, nil
}

// sweepFiles removes those of found that live does not yield.
func (e *Engine) sweepFiles(ctx context.Context, found []rest, live func(yield func(store.BodyID) bool) error) (int, error) {
	if len(found) == 0 {
		return 0, nil
	}
	slices.SortFunc(found, rest.compare)
	used := make([]bool, len(found))
	err := live(func(id store.BodyID) bool {
		if raw, small, ok := parseID(id); ok {
			if i, ok := slices.BinarySearchFunc(found, rest{raw, small}, rest.compare); ok {
				used[i] = true
			}
		}
		return ctx.Err() == nil
	})
	if err := errors.Join(err, ctx.Err()); err != nil {
		return 0, err
	}
	n := 0
	for i, r := range found {
		// A body of an earlier process may have been taken up and kept just now, after live looked:
		//   a spool's commit gives the file its final name,
		//   this finds the file, and live does not yield it,
		//   the commit applies its record.
		if id := r.id(); !used[i] && !e.files.wasReopened(id) {
			e.remove(id)
			n++
		}
	}
	return n, nil
}
