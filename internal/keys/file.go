package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// version is the format of the file. A newer one is refused: writing it back would lose what this version does not know.
const version = 1

type document struct {
	Version int      `json:"version"`
	Keys    []record `json:"keys"`
}

type record struct {
	ID       string    `json:"id"`
	Secret   string    `json:"secret"`
	Owner    string    `json:"owner"`
	Operator bool      `json:"operator,omitempty"`
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled,omitempty"`
}

// read returns the keys of the file at path, and whether others than its owner may read or write it.
func read(path string) (stored map[string]Key, exposed bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Key{}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, false, err
	}
	// The version comes first: the rest of a newer file may look different.
	var v struct {
		Version int `json:"version"`
	}
	// The parser's own messages are not passed on: they quote the file, and the file holds secrets.
	if json.Unmarshal(text, &v) != nil {
		return nil, false, fmt.Errorf("%s is not a file of access keys", path)
	}
	if v.Version != version {
		return nil, false, fmt.Errorf("%s has format %d, this server knows %d: use the server that wrote it", path, v.Version, version)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var doc document
	if dec.Decode(&doc) != nil {
		return nil, false, fmt.Errorf("%s is not a file of access keys", path)
	}
	stored = make(map[string]Key, len(doc.Keys))
	operators := 0
	for i, rec := range doc.Keys {
		if err := check(rec.ID, rec.Secret); err != nil {
			return nil, false, fmt.Errorf("%s: key %d: %w", path, i+1, err)
		}
		if _, twice := stored[rec.ID]; twice {
			return nil, false, fmt.Errorf("%s: key %d: %s is there twice", path, i+1, rec.ID)
		}
		if rec.Owner == "" || rec.Operator != (rec.Owner == OperatorOwner) {
			return nil, false, fmt.Errorf("%s: key %d: wrong owner", path, i+1)
		}
		if rec.Operator {
			operators++
			if rec.Disabled {
				return nil, false, fmt.Errorf("%s: key %d: the operator's key is disabled", path, i+1)
			}
		}
		stored[rec.ID] = Key(rec)
	}
	if operators > 1 {
		return nil, false, fmt.Errorf("%s: more than one key of the operator", path)
	}
	return stored, st.Mode().Perm()&0o077 != 0, nil
}

// write replaces the file at path: after a crash it holds the old keys or the new ones, never a part.
func write(path string, stored map[string]Key) (err error) {
	doc := document{Version: version, Keys: make([]record, 0, len(stored))}
	for _, k := range stored {
		doc.Keys = append(doc.Keys, record(k))
	}
	slices.SortFunc(doc.Keys, func(a, b record) int { return strings.Compare(a.ID, b.ID) })
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keys-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // closing twice is harmless
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	// Without this a crash may bring the old directory back.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
