package accesslog

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
)

// Setting is the name of the bucket's setting, a JSON object whose member rules is a Target.
const Setting = "logging"

// Target is where the log of a bucket goes: a bucket of the same owner and zone.
type Target struct {
	Bucket string `json:"bucket"`
	// Prefix begins the keys of the logs.
	Prefix string `json:"prefix"`
}

// Parse reads the setting.
func Parse(doc []byte) (Target, error) {
	var setting struct {
		Target Target `json:"rules"`
	}
	if err := json.Unmarshal(doc, &setting); err != nil {
		return Target{}, fmt.Errorf("%w: logging setting: %w", object.ErrDamaged, err)
	}
	return setting.Target, nil
}

// Key is the key of the n-th object for the requests of an hour.
func (t Target) Key(bucket string, hour time.Time, n int) string {
	return fmt.Sprintf("%s%s-%s-%d.log", t.Prefix, bucket, hour.UTC().Format("2006-01-02-15"), n)
}

// Fits reports whether the log of b may go to the bucket to.
func Fits(b, to store.Bucket) bool { return b.Owner == to.Owner && b.Zone == to.Zone }

// Options are the settings of a Log. The zero value of each field means the default that its comment names.
type Options struct {
	// Store must be set.
	Store *store.Store
	// Flush is how often lines are written to the store; 0 means 1 s. What was not is lost when the process dies.
	Flush time.Duration
	// Look is how often it is looked for logs that are to be delivered; 0 means 10 s.
	Look time.Duration
	// Slice is the size in bytes from which on a log is delivered before its hour is over; 0 means 64 MiB. Four times as much may wait for a bucket;
	// further lines are lost, and counted.
	Slice int64
	// Buffer bounds the lines that wait to be written, in bytes; 0 means 16 MiB. Further lines are lost, and counted.
	Buffer int64
	// Changed is called for each object that was delivered; nil means nobody asks.
	Changed func(b store.Bucket, key string)
	// Logger gets a line for each log that could not be delivered; nil means none.
	Logger *slog.Logger
}

// Stats counts what a Log did since it was made.
type Stats struct {
	Lines     int64 // written
	Lost      int64 // lines that there was no room for, or nowhere to go
	Delivered int64 // objects
	Pending   int64 // bytes that wait to be delivered
}

// Log takes entries and delivers them. Make one with [New]; it does nothing before Start. It is safe for concurrent use.
type Log struct {
	o      Options
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// targets are the buckets whose requests are written down, by name. The map is never changed, only replaced: every request asks.
	targets atomic.Pointer[map[string]store.Bucket]
	refresh sync.Mutex  // one Refresh at a time
	stale   atomic.Bool // the last Refresh could not look at every bucket

	mu      sync.Mutex // guards the fields below
	files   map[file]*[]byte
	size    int64
	pending map[uint64]int64 // bytes in the store, by bucket, when it was looked last

	lines, lost, delivered atomic.Int64
}

// file is what a line goes to: a bucket and an hour.
type file struct {
	bucket store.Bucket
	hour   int64 // since 1970
}

// New returns a Log with settings o.
func New(o Options) *Log {
	if o.Flush <= 0 {
		o.Flush = time.Second
	}
	if o.Look <= 0 {
		o.Look = 10 * time.Second
	}
	if o.Slice <= 0 {
		o.Slice = 64 << 20
	}
	if o.Buffer <= 0 {
		o.Buffer = 16 << 20
	}
	if o.Changed == nil {
		o.Changed = func(store.Bucket, string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{o: o, log: o.Logger, files: map[file]*[]byte{}, pending: map[uint64]int64{}}
	l.targets.Store(&map[string]store.Bucket{})
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Start begins to write and to deliver.
func (l *Log) Start() {
	l.Refresh(l.ctx)
	l.wg.Go(l.run)
}

// Close ends it; what was taken by then is in the store afterwards, and is delivered after the next start.
func (l *Log) Close() {
	l.cancel()
	l.wg.Wait()
	l.flush()
}

// Stats returns the counts up to now.
func (l *Log) Stats() Stats {
	s := Stats{Lines: l.lines.Load(), Lost: l.lost.Load(), Delivered: l.delivered.Load()}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.pending {
		s.Pending += n
	}
	return s
}

// Refresh looks which buckets' requests are to be written down. It is to be called when the setting of a bucket changed. It does not end with ctx: the
// setting is there, whether or not who made it waits. What cannot be read now is looked at again soon.
func (l *Log) Refresh(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	l.refresh.Lock()
	defer l.refresh.Unlock()
	buckets, err := l.o.Store.Buckets(ctx)
	l.stale.Store(err != nil)
	if err != nil {
		l.problem("the buckets cannot be listed", err)
		return
	}
	targets := map[string]store.Bucket{}
	for _, b := range buckets {
		switch _, err := l.o.Store.Setting(ctx, b, Setting); {
		case err == nil:
			targets[b.Name] = b
		case !errors.Is(err, object.ErrNoSetting):
			l.stale.Store(true)
			l.problem("the setting of a bucket cannot be read", err)
		}
	}
	l.targets.Store(&targets)
}

// Wants reports whether the requests for the bucket are written down.
func (l *Log) Wants(bucket string) bool {
	_, ok := (*l.targets.Load())[bucket]
	return ok
}

// Add takes an entry, if the requests for its bucket are written down. It never waits for the disk.
func (l *Log) Add(e Entry) {
	b, ok := (*l.targets.Load())[e.Bucket]
	if !ok {
		return
	}
	line := e.line()
	f := file{b, e.Time.Add(e.Duration).Unix() / 3600}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(line)) > l.o.Buffer || l.pending[b.ID] > 4*l.o.Slice {
		l.lost.Add(1)
		return
	}
	l.size += int64(len(line))
	lines := l.files[f]
	if lines == nil {
		lines = new([]byte)
		l.files[f] = lines
	}
	*lines = append(*lines, line...)
	l.lines.Add(1)
}

func (l *Log) run() {
	flush, look := time.NewTicker(l.o.Flush), time.NewTicker(l.o.Look)
	defer flush.Stop()
	defer look.Stop()
	l.deliver() // what an earlier process left
	for {
		select {
		case <-flush.C:
			l.flush()
		case <-look.C:
			if l.stale.Load() {
				l.Refresh(l.ctx)
			}
			l.flush()
			l.deliver()
		case <-l.ctx.Done():
			return
		}
	}
}

// flush writes what was taken to the store. What cannot be written is lost: it must not fill the memory.
func (l *Log) flush() {
	l.mu.Lock()
	files := l.files
	l.files, l.size = map[file]*[]byte{}, 0
	l.mu.Unlock()
	if len(files) == 0 {
		return
	}
	var chunks []store.Chunk
	for f, lines := range files {
		chunks = append(chunks, store.Chunk{Bucket: f.bucket, File: f.hour, Lines: *lines})
	}
	// The end of the log must not take along what was just taken off the buffer; Close waits for it.
	if err := l.o.Store.AppendJournal(context.Background(), chunks); err != nil {
		for _, c := range chunks {
			l.lost.Add(int64(countLines(c.Lines)))
		}
		l.problem("lines were lost", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range chunks {
		l.pending[c.Bucket.ID] += int64(len(c.Lines))
	}
}

func countLines(b []byte) (n int) {
	for _, c := range b {
		if c == '\n' {
			n++
		}
	}
	return n
}

// deliver makes objects of the files whose hour is over, and of those that are large.
func (l *Log) deliver() {
	files, err := l.o.Store.JournalFiles(l.ctx)
	if err != nil {
		l.problem("the journal cannot be read", err)
		return
	}
	var buckets []store.Bucket
	if len(files) > 0 {
		if buckets, err = l.o.Store.Buckets(l.ctx); err != nil {
			l.problem("the buckets cannot be listed", err)
			return
		}
	}
	now := time.Now().Unix() / 3600
	pending := map[uint64]int64{}
	for _, f := range files {
		if l.ctx.Err() != nil {
			return
		}
		pending[f.Bucket] += f.Bytes
		if f.File >= now && f.Bytes < l.o.Slice {
			continue
		}
		i := slices.IndexFunc(buckets, func(b store.Bucket) bool { return b.ID == f.Bucket })
		if i < 0 {
			err = l.o.Store.DropJournal(l.ctx, f)
		} else {
			err = l.deliverFile(buckets[i], f, f.File < now)
		}
		if err != nil {
			l.problem("a log was not delivered", err)
			continue
		}
		pending[f.Bucket] -= f.Bytes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = pending
}

// deliverFile makes objects of a file: of all of it if it is over, else of whole slices.
func (l *Log) deliverFile(b store.Bucket, f store.JournalFile, over bool) error {
	t, to, why, err := l.target(b)
	if err != nil {
		return err
	}
	if why != "" {
		l.log.Error("access log dropped", "bucket", b.Name, "target", t.Bucket, "reason", why, "bytes", f.Bytes)
		l.lost.Add(1) // so many lines are not counted: nobody can read them any more
		return l.o.Store.DropJournal(l.ctx, f)
	}
	for left := f.Bytes; over || left >= l.o.Slice; {
		n, err := l.slice(b, t, to, f)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		left -= n
	}
	return nil
}

// target returns where the log of b goes, or why it goes nowhere.
func (l *Log) target(b store.Bucket) (t Target, to store.Bucket, why string, err error) {
	doc, err := l.o.Store.Setting(l.ctx, b, Setting)
	if errors.Is(err, object.ErrNoSetting) {
		return t, to, "logging was switched off", nil
	}
	if err != nil {
		return t, to, "", err
	}
	if t, err = Parse(doc); err != nil {
		return t, to, "", err
	}
	to, err = l.o.Store.Bucket(l.ctx, t.Bucket)
	switch {
	case errors.Is(err, object.ErrNoSuchBucket):
		return t, to, "the target bucket is gone", nil
	case err == nil && !Fits(b, to):
		return t, to, "the target bucket has another owner or zone", nil
	}
	return t, to, "", err
}

// slice makes one object of the first lines of a file and returns how many bytes that were.
//
// The object is there before the lines go. When the process ends in between, they come again, in one more object. None is lost.
func (l *Log) slice(b store.Bucket, t Target, to store.Bucket, f store.JournalFile) (int64, error) {
	key, err := l.free(b, t, to, f)
	if err != nil {
		return 0, err
	}
	spool, err := l.o.Store.NewSpool(l.ctx, -1)
	if err != nil {
		return 0, err
	}
	sum, crc := md5.New(), crc64nvme.New()
	var size int64
	kept := false
	n, err := l.o.Store.TakeJournal(l.ctx, f, l.o.Slice, func(lines []byte) error {
		if _, err := spool.WriteAt(lines, size); err != nil {
			return fmt.Errorf("%w: write spool: %w", object.ErrStore, err)
		}
		sum.Write(lines)
		crc.Write(lines)
		size += int64(len(lines))
		return nil
	}, func() error {
		now := time.Now().UTC()
		digest := hex.EncodeToString(sum.Sum(nil))
		kept = true
		_, err := l.o.Store.PutIf(l.ctx, to, key, object.Meta{
			Size: size, ETag: `"` + digest + `"`, ContentType: "text/plain; charset=utf-8", LastModified: now.Truncate(time.Second), Created: now,
			Digest: object.Digest{CRC64NVME: crc.Sum64(), MD5: digest},
		}, spool, func(old *object.Meta) error {
			if old != nil {
				return errTaken
			}
			return nil
		})
		if err != nil {
			return err
		}
		l.o.Changed(to, key)
		l.delivered.Add(1)
		return nil
	})
	if !kept {
		err = errors.Join(err, spool.Discard())
	}
	return n, err
}

// errTaken: a client put an object there meanwhile. It stays, and the lines go to the next key.
var errTaken = errors.New("the key of the log was taken meanwhile")

// free returns the first key of an hour that has no object.
func (l *Log) free(b store.Bucket, t Target, to store.Bucket, f store.JournalFile) (string, error) {
	for n := 1; ; n++ {
		key := t.Key(b.Name, time.Unix(f.File*3600, 0), n)
		switch _, err := l.o.Store.Stat(l.ctx, to, key); {
		case errors.Is(err, object.ErrNoSuchKey):
			return key, nil
		case err != nil:
			return "", err
		}
	}
}

// problem logs an error, unless the log is ending.
func (l *Log) problem(what string, err error) {
	if l.ctx.Err() == nil {
		l.log.Error("access log: "+what, "error", err.Error())
	}
}
