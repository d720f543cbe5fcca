package diskstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/cisternhq/cistern/internal/object"
)

// formatVersion is the version of the layout, and of everything in it but the records' values. Version 2 has bodies that only records know which version 1
// did not have, those of parts, pieces and versions: a server that reads version 1 would sweep them away. Otherwise it is version 1.
const formatVersion = 2

const formatWord = "cistern data directory, format "

// makeDir makes dir, with its parents, if it is missing. A symbolic link in its place is refused: what it points to may be somebody
// else's, and may be another directory tomorrow.
func makeDir(dir string) error {
	var missing []string
	for p := dir; ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, p)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, p := range missing { // a directory is durable once its parent is
		if err := syncDir(filepath.Dir(p)); err != nil {
			return err
		}
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeDir {
		return fmt.Errorf("%s is no directory but a %s; name the directory itself", dir, kind(fi.Mode()))
	}
	return nil
}

func kind(m fs.FileMode) string {
	if m.Type() == fs.ModeSymlink {
		return "symbolic link"
	}
	return "file"
}

// lockDir takes the directory for this process. The lock goes with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: another process uses it; stop that one, or choose another directory", object.ErrStore)
	}
	return nil, fmt.Errorf("lock: %w", err)
}

// checkFormat reads the version of the directory, and writes this one's into a new or an older one.
func checkFormat(dir string, log *slog.Logger) error {
	path := filepath.Join(dir, "FORMAT")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{"db", "bodies"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				return fmt.Errorf("%w: it has %s but no FORMAT", object.ErrDamaged, name)
			}
		}
		return writeFile(path, formatWord+strconv.Itoa(formatVersion)+"\n")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return err
	}
	word, ok := strings.CutPrefix(strings.TrimSpace(string(text)), formatWord)
	n, err := strconv.Atoi(word)
	switch {
	case !ok || err != nil || n < 1:
		return fmt.Errorf("%w: its FORMAT cannot be read", object.ErrDamaged)
	case n < formatVersion:
		// What there is stays as it is. The note comes first: from here on there may be what the version before does not know.
		log.Info("data directory is taken over from an older version, which cannot use it any more", "dir", dir, "was", n, "format", formatVersion)
		return writeFile(path, formatWord+strconv.Itoa(formatVersion)+"\n")
	case n > formatVersion:
		return fmt.Errorf("%w: it has format %d, this version reads %d; use the version that wrote it, or a newer one",
			object.ErrStore, n, formatVersion)
	}
	return nil
}

// writeFile writes a small file so that after a crash it is there as a whole or not at all.
func writeFile(path, text string) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// findShards looks which directories of bodies there are.
func (e *Engine) findShards() error {
	bodies := filepath.Join(e.dir, "bodies")
	if err := makeDir(bodies); err != nil {
		return err
	}
	there, err := os.ReadDir(bodies)
	if err != nil {
		return err
	}
	for _, d := range there {
		for i := range e.shards {
			if d.Name() != shardName(byte(i)) {
				continue
			}
			if d.Type() != fs.ModeDir {
				return fmt.Errorf("%s is no directory but a %s; move it away", filepath.Join(bodies, d.Name()), kind(d.Type()))
			}
			e.shards[i].made.Store(true)
			e.shards[i].durable.Store(true)
		}
	}
	if len(there) == 0 {
		return nil
	}
	return syncDir(bodies) // a process that was killed may have made some and not synced them
}

// needShard makes the directory of a body that is about to come, if it is missing. Its name need not be durable before the
// body is, and readers wait for this: see syncShard.
func (e *Engine) needShard(i byte) error {
	s := &e.shards[i]
	if s.made.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made.Load() {
		return nil
	}
	if err := os.Mkdir(e.shard(i), 0o700); err != nil {
		return err
	}
	s.made.Store(true)
	return nil
}

// syncShard makes the names in a directory of bodies durable, and the directory's own name if it is not yet.
func (e *Engine) syncShard(i byte) error {
	if err := syncDir(e.shard(i)); err != nil {
		return err
	}
	s := &e.shards[i]
	if s.durable.Load() {
		return nil
	}
	// Held over the I/O: a second body must not be at rest in a directory that is not durable yet. It happens once for each of 256.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.durable.Load() {
		return nil
	}
	if err := syncDir(filepath.Join(e.dir, "bodies")); err != nil {
		return err
	}
	s.durable.Store(true)
	return nil
}

// shard is one of the directories of bodies.
type shard struct {
	mu      sync.Mutex  // held while the directory is made, or its name made durable
	made    atomic.Bool // it is there
	durable atomic.Bool // its name is, too
	touched atomic.Bool // it lost a file since Open
}

func shardName(i byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[i>>4], digits[i&15]})
}

func (e *Engine) shard(i byte) string { return filepath.Join(e.dir, "bodies", shardName(i)) }

// path is where the body of that ID rests.
func (e *Engine) path(raw [16]byte, id string) string {
	return filepath.Join(e.shard(raw[0]), id)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
