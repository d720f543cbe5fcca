package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"mime"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/client/upload"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

func newCopy() *cobra.Command {
	cp := &copier{}
	var recursive, asJSON, quiet bool
	c := &cobra.Command{
		Use:   "cp SOURCE... TARGET",
		Short: "Copy files to a bucket, or objects to files",
		Long: `Copy files to a bucket, or objects to files. One side is qs://BUCKET[/KEY], the other a path.

A target that ends in "/", is a bucket or is a folder that exists keeps the names of its sources. With -r a folder is copied
with all below it. A file appears under its name only when it is complete. A key that has no safe file name, such as "../x" or
"a//b", is reported and left out: nothing is ever written outside of the target. So is a key like "dir" beside "dir/child",
because a file and a folder cannot share a name.

Files of 32 MiB and more are uploaded in parts, four at a time; where that fails the parts are deleted.

A server that says when to come back (429 or 503 with Retry-After, up to a minute) is asked again for an object, three times at most.
After one object failed the others are still copied; the exit code is 3 then.`,
		Example: `  cistern cp a.txt qs://demo/docs/
  cistern cp qs://demo/a.txt .
  cistern cp -r qs://demo/docs ./docs`,
		Args: args(2, -1),
		RunE: func(c *cobra.Command, args []string) error {
			cp.sum = &batch{verb: "copied", json: asJSON, quiet: quiet, out: c.OutOrStdout(), log: c.ErrOrStderr()}
			cp.shown = newProgress(c.ErrOrStderr(), asJSON || quiet)
			if cp.shown.bars != nil {
				// Lines and bars share the screen, so that one does not write over the other.
				cp.sum.log = cp.shown.bars
				if isTerminal(cp.sum.out) {
					cp.sum.out = cp.shown.bars
				}
			}
			err := cp.run(c.Context(), args[:len(args)-1], args[len(args)-1], recursive)
			cp.shown.wait()
			cp.sum.log = c.ErrOrStderr()
			if err != nil {
				return err
			}
			return cp.sum.end()
		},
	}
	cp.cl.flags(c)
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "copy folders with all below them")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print failures only")
	return c
}

// copier is one run of cp. Errors of its methods are those of the command; what happens to single objects goes to sum.
type copier struct {
	cl    client
	sum   *batch
	shown *progress
}

func (cp *copier) run(ctx context.Context, sources []string, target string, recursive bool) error {
	up := isRemote(target)
	for _, s := range sources {
		if isRemote(s) == up {
			return usagef("one side is qs://BUCKET[/KEY], the other a path: %q and %q", s, target)
		}
	}
	// Everything that can be judged without work is judged before any of it.
	var from []location
	if !up {
		for _, s := range sources {
			parse := parseObject
			if recursive {
				parse = parseLocation
			}
			at, err := parse(s)
			if err != nil {
				return err
			}
			from = append(from, at)
		}
	}
	if up {
		to, err := parseLocation(target)
		if err != nil {
			return err
		}
		keep := to.Key == "" || strings.HasSuffix(to.Key, "/")
		if len(sources) > 1 && !keep {
			return usagef("%q must end in \"/\" to take more than one source", target)
		}
		return cp.up(ctx, sources, to, keep, recursive)
	}
	st, err := os.Stat(target)
	keep := strings.HasSuffix(target, string(filepath.Separator)) || err == nil && st.IsDir()
	if len(sources) > 1 && !keep {
		return usagef("%q must be a folder to take more than one source", target)
	}
	return cp.down(ctx, from, target, keep, recursive)
}

// job copies one object. It reports progress to the bar that it is given.
type job struct {
	from, to string
	size     int64 // -1: not known yet
	copy     func(ctx context.Context, b *bar) (int64, error)
}

// all copies what produce hands out, some at a time. It returns produce's error after all that was begun has ended.
func (cp *copier) all(ctx context.Context, produce func(add func(job) error) error) error {
	work := make(chan job)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range work {
				b := cp.shown.begin(j.from, j.size)
				n, err := j.copy(ctx, b)
				b.end(err == nil)
				cp.sum.add(j.from, j.to, n, err)
			}
		})
	}
	err := produce(func(j job) error {
		select {
		case work <- j:
			return nil
		case <-ctx.Done():
			return errors.New("interrupted")
		}
	})
	close(work)
	wg.Wait()
	return err
}

// up copies files and folders to a bucket.
func (cp *copier) up(ctx context.Context, sources []string, to location, keep, recursive bool) error {
	b, err := cp.cl.bucket(to.Bucket)
	if err != nil {
		return err
	}
	return cp.all(ctx, func(add func(job) error) error {
		for _, source := range sources {
			st, err := os.Stat(source)
			switch {
			case err != nil:
				cp.sum.add(source, "", 0, err)
			case !st.IsDir():
				key := to.Key
				if keep {
					key += filepath.Base(source)
				}
				if err := add(cp.upload(b, source, location{to.Bucket, key}, st)); err != nil {
					return err
				}
			case !recursive:
				cp.sum.add(source, "", 0, errors.New("it is a folder: copy it with -r"))
			default:
				prefix := folder(to.Key)
				if len(sources) > 1 {
					prefix += filepath.Base(source) + "/"
				}
				if err := cp.walk(b, source, location{to.Bucket, prefix}, add); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// walk adds every file below dir. What cannot be read is counted as failed, and the rest goes on.
func (cp *copier) walk(b *service.Bucket, dir string, to location, add func(job) error) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			cp.sum.add(name, "", 0, err)
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			cp.sum.add(name, "", 0, err)
			return nil
		}
		st, err := os.Stat(name) // of what a link leads to
		if err != nil {
			cp.sum.add(name, "", 0, err)
			return nil
		}
		return add(cp.upload(b, name, location{to.Bucket, to.Key + filepath.ToSlash(rel)}, st))
	})
}

const (
	// inParts is from which size on a file is uploaded in parts, some side by side.
	inParts  = 32 << 20 // bytes
	partSize = 16 << 20 // bytes
)

func (cp *copier) upload(b *service.Bucket, name string, to location, st fs.FileInfo) job {
	return job{from: name, to: to.String(), size: st.Size(), copy: func(ctx context.Context, shown *bar) (int64, error) {
		switch err := object.CheckKey(to.Key); {
		case err != nil:
			return 0, err
		case !st.Mode().IsRegular():
			return 0, errors.New("it is no regular file")
		}
		f, err := os.Open(name)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		var kind *string
		if k := mime.TypeByExtension(path.Ext(to.Key)); k != "" {
			kind = &k
		}
		if st.Size() >= inParts {
			u := upload.Init(b, partSize)
			u.Object = &service.InitiateMultipartUploadInput{ContentType: kind}
			if err := u.UploadWithContext(ctx, shown.file(f), to.Key); err != nil {
				return 0, err
			}
			return st.Size(), nil
		}
		in := &service.PutObjectInput{ContentLength: service.Int64(st.Size()), ContentType: kind, Body: shown.reader(f)}
		if _, err := b.PutObjectWithContext(ctx, to.Key, in); err != nil {
			return 0, err
		}
		return st.Size(), nil
	}}
}

// down copies objects and folders of objects to files.
func (cp *copier) down(ctx context.Context, from []location, target string, keep, recursive bool) error {
	dir := target
	if !keep && !recursive {
		dir = filepath.Dir(target)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	// Every file is made through root, which never leaves dir, not through a symbolic link either.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return cp.all(ctx, func(add func(job) error) error {
		for _, at := range from {
			b, err := cp.cl.bucket(at.Bucket)
			if err != nil {
				return err
			}
			if !recursive {
				name := filepath.Base(target)
				if keep {
					if name, err = fileName(at.Key[strings.LastIndexByte(at.Key, '/')+1:]); err != nil {
						cp.sum.add(at.String(), "", 0, err)
						continue
					}
				}
				if err := add(cp.download(b, root, dir, at, name, -1)); err != nil {
					return err
				}
				continue
			}
			prefix := folder(at.Key)
			into := ""
			if len(from) > 1 {
				if into, err = fileName(path.Base(strings.TrimSuffix(at.Bucket+"/"+at.Key, "/"))); err != nil {
					cp.sum.add(at.String(), "", 0, err)
					continue
				}
			}
			found := false
			for e, err := range list(ctx, b, prefix, "") {
				if err != nil {
					cp.sum.add(at.String(), "", 0, err)
					found = true
					break
				}
				found = true
				one := location{at.Bucket, e.Key}
				rel := strings.TrimPrefix(e.Key, prefix)
				if (rel == "" || strings.HasSuffix(rel, "/")) && e.Size == 0 {
					cp.marker(root, one, filepath.Join(into, rel), rel)
					continue
				}
				name, err := fileName(rel)
				if err != nil {
					cp.sum.add(one.String(), "", 0, err)
					continue
				}
				if err := add(cp.download(b, root, dir, one, filepath.Join(into, name), e.Size)); err != nil {
					return err
				}
			}
			if !found {
				cp.sum.add(at.String(), "", 0, &coded{code: exitAbsent, err: errors.New("nothing is stored below it")})
			}
		}
		return nil
	})
}

// marker makes the folder that an empty object with a key that ends in "/" stands for.
func (cp *copier) marker(root *os.Root, at location, name, rel string) {
	if rel == "" {
		return // the folder that is being copied
	}
	if _, err := fileName(strings.TrimSuffix(rel, "/")); err != nil {
		cp.sum.add(at.String(), "", 0, err)
		return
	}
	if err := root.MkdirAll(name, 0o777); err != nil {
		cp.sum.add(at.String(), "", 0, err)
	}
}

// download writes an object below root. It has its name only once it is complete.
func (cp *copier) download(b *service.Bucket, root *os.Root, dir string, at location, name string, size int64) job {
	return job{from: at.String(), to: filepath.Join(dir, name), size: size, copy: func(ctx context.Context, shown *bar) (n int64, err error) {
		if parent := filepath.Dir(name); parent != "." {
			if err := root.MkdirAll(parent, 0o777); err != nil {
				return 0, err
			}
		}
		// A short name of its own: the object's name with something behind it may be too long for the file system.
		temp := filepath.Join(filepath.Dir(name), ".cistern-"+rand.Text()+".part")
		f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return 0, err
		}
		defer func() {
			if err != nil {
				_ = f.Close() // closing twice is harmless
				_ = root.Remove(temp)
			}
		}()
		if n, err = download(ctx, b, at.Key, nil, f, shown); err != nil {
			return n, err
		}
		if err := f.Close(); err != nil {
			return n, err
		}
		return n, root.Rename(temp, name)
	}}
}
