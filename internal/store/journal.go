package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// A journal is what is written line by line and becomes an object later: for each bucket, files in order, each of chunks in order.

// Chunk is a part of a journal's file.
type Chunk struct {
	Bucket Bucket
	File   int64 // which of the bucket's files; not negative
	Lines  []byte
}

// JournalFile is a file of a journal.
type JournalFile struct {
	Bucket uint64
	File   int64
	Bytes  int64 // of its chunks
}

func journalFile(bucket uint64, file int64) []byte {
	return binary.BigEndian.AppendUint64(within(spaceJournal, bucket, ""), uint64(file))
}

// AppendJournal writes chunks behind those of their files; when it returns nil, they will survive a crash. Chunks of buckets that are gone are dropped.
func (s *Store) AppendJournal(ctx context.Context, chunks []Chunk) error {
	err := retry(ctx, func() error {
		batch := &Batch{}
		for _, c := range chunks {
			bucket, bv, err := s.bucketRecord(ctx, c.Bucket)
			if isGone(err) {
				continue
			}
			if err != nil {
				return err
			}
			file := journalFile(c.Bucket.ID, c.File)
			batch.Require = append(batch.Require, unchanged(bucket, bv))
			batch.Set = append(batch.Set, Record{binary.BigEndian.AppendUint64(slices.Clip(file), uint64(s.stamp())), c.Lines})
			batch.Add = append(batch.Add, Delta{file, int64(len(c.Lines))})
		}
		if len(batch.Set) == 0 {
			return nil
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// JournalFiles returns the files of all buckets, by bucket, the first ones first.
func (s *Store) JournalFiles(ctx context.Context) ([]JournalFile, error) {
	list, err := s.journalFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	return list, nil
}

func (s *Store) journalFiles(ctx context.Context) ([]JournalFile, error) {
	it, err := s.e.Scan(ctx, []byte{spaceJournal}, []byte{spaceJournal + 1})
	if err != nil {
		return nil, storeErr(err)
	}
	defer it.Close()
	var list []JournalFile
	for ok := it.Next(); ok; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k := it.Key()
		bucket, rest := split(k)
		if len(rest) < 8 {
			ok = it.Next()
			continue
		}
		f := JournalFile{Bucket: bucket, File: int64(binary.BigEndian.Uint64([]byte(rest)))}
		if len(rest) == 8 {
			if f.Bytes, err = counter(it.Value()); err != nil {
				return nil, err
			}
		}
		list = append(list, f)
		ok = it.Seek(after(journalFile(bucket, f.File)))
	}
	return list, storeErr(it.Err())
}

// TakeJournal passes the lines of a file's first chunks to write, up to limit bytes or one chunk if that is larger, and then removes them with done. They
// stay when write or done fails, and may come again when the server ends in between: what write made of them is to be replaced then. It returns
// how many bytes they had; 0 when the file has no more.
func (s *Store) TakeJournal(ctx context.Context, f JournalFile, limit int64, write func(lines []byte) error, done func() error) (int64, error) {
	n, err := s.takeJournal(ctx, f, limit, write, done)
	if err != nil {
		return n, fmt.Errorf("take from journal: %w", err)
	}
	return n, nil
}

func (s *Store) takeJournal(ctx context.Context, f JournalFile, limit int64, write func(lines []byte) error, done func() error) (n int64, err error) {
	file := journalFile(f.Bucket, f.File)
	it, err := s.e.Scan(ctx, append(slices.Clip(file), 0), after(file))
	if err != nil {
		return 0, storeErr(err)
	}
	defer it.Close()
	var taken [][]byte
	for it.Next() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		v := it.Value()
		if n > 0 && n+int64(len(v)) > limit {
			break
		}
		if err := write(v); err != nil {
			return 0, err
		}
		n += int64(len(v))
		taken = append(taken, slices.Clone(it.Key()))
	}
	if err := it.Err(); err != nil {
		return 0, storeErr(err)
	}
	if len(taken) > 0 {
		if err := done(); err != nil {
			return 0, err
		}
	}
	// Only the one who takes removes, so the chunks are still there, unless their bucket is gone and they with it.
	return n, retry(ctx, func() error {
		v, err := s.get(ctx, file)
		if err != nil || v == nil && len(taken) == 0 {
			return err
		}
		batch := &Batch{Delete: taken}
		if left, err := counter(v); err != nil || left <= n || n == 0 {
			batch.Require = []Condition{unchanged(file, v)}
			batch.Delete = append(slices.Clip(taken), file)
		} else {
			batch.Add = []Delta{{file, -n}}
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
}

// DropJournal forgets a file.
func (s *Store) DropJournal(ctx context.Context, f JournalFile) error {
	file := journalFile(f.Bucket, f.File)
	if err := s.clear(ctx, file, after(file)); err != nil {
		return fmt.Errorf("drop journal: %w", err)
	}
	return nil
}
