package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cisternhq/cistern/internal/accesslog"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/image"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/lifecycle"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/notify"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/replicate"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/internal/telemetry"
)

// The operator's key, when the environment gives it. Secrets are no flags: every user of a machine sees those.
const (
	envKeyID  = "CISTERN_ACCESS_KEY_ID"
	envSecret = "CISTERN_SECRET_ACCESS_KEY"
)

// settings are those of a server, before they were looked at.
type settings struct {
	config               string
	data, listen         string
	zone                 string
	domains              []string
	cname                string
	index, errorPage     string
	proxies              []string
	mirrors              []string
	allow                []string
	logFormat, logLevel  string
	grace                time.Duration
	maxConnections       int
	maxBuckets           int
	idleTimeout, stall   time.Duration
	origin               origin.Options
	minRate              int64
	resumeSize           int64
	fill                 fill.Options
	lifecycle            lifecycle.Options
	notify               notify.Options
	replicate            replicate.Options
	accessLog            accesslog.Options
	eventQueue           int64
	images               image.Options
	onlyAllowed          bool
	breaker, retries     int
	redirects, keepConns int
}

func newServe() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server. It needs no configuration: objects are kept in ./cistern-data, and the first start makes the operator's key and
prints it once.

--mirror BUCKET=URL makes a bucket that everybody may read and that fills itself from URL. It may be repeated, and a changed URL
is taken over at the next start.

Every flag is also a variable of the environment and a setting of the YAML file that --config names: --log-level is
CISTERN_LOG_LEVEL and log_level. A flag wins over the environment, the environment over the file. Several values of one variable
are separated by blanks; in the file they are a list, and mirror may be a mapping of buckets to URLs.
CISTERN_ACCESS_KEY_ID and CISTERN_SECRET_ACCESS_KEY, when set, are the operator's key instead of the one that is kept.

GET /-/healthz says that the process lives, /-/readyz that it serves, /-/metrics is for Prometheus and names sources that are in
trouble; "cistern fills" shows what is being fetched. Once it serves, the log has a line
"listening" whose "url" says where, also for --listen 127.0.0.1:0.

The first SIGTERM or SIGINT ends it: nothing new is accepted, what runs may finish within --grace and is aborted after that, which
leaves nothing partial behind. The second one ends it at once.`,
		Example: `  cistern serve
  cistern serve --mirror demo=https://example.org/files/
  cistern serve --config /etc/cistern.yaml --data /var/lib/cistern --listen :9000`,
		Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := resolve(c.Flags(), os.Getenv); err != nil {
				return err
			}
			return s.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), os.Getenv)
		},
	}
	s.flags(c.Flags())
	return c
}

func (s *settings) flags(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVar(&s.config, "config", "", "YAML file with settings")
	fs.StringVar(&s.data, "data", "./cistern-data", "folder that the objects are kept in; one process at a time uses it")
	fs.StringVar(&s.listen, "listen", "127.0.0.1:9000", "address to listen on; port 0 takes a free one")
	fs.StringArrayVar(&s.mirrors, "mirror", nil, "BUCKET=URL: a public bucket that fills itself from URL (repeatable)")
	fs.StringVar(&s.zone, "zone", "pek3a", "zone of the buckets that are made without one")
	fs.StringArrayVar(&s.domains, "domain", nil, "name under which buckets are addressed as BUCKET.ZONE.NAME (repeatable)")
	fs.StringVar(&s.cname, "cname", "operator", "who binds own domains to buckets: operator, or owner for the buckets' owners, too")
	fs.StringVar(&s.index, "website-index", "index.html", "key of a website's page for a path that ends in /, behind which it is put")
	fs.StringVar(&s.errorPage, "website-error", "error.html", "key of a website's page for what is not there")
	fs.StringArrayVar(&s.proxies, "trusted-proxy", nil, "CIDR or address of a proxy whose X-Forwarded-For says who the client is (repeatable)")
	fs.StringVar(&s.logFormat, "log-format", "", "text or json (default text on a terminal, json otherwise)")
	fs.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.DurationVar(&s.grace, "grace", 30*time.Second, "how long requests and fills may go on after the signal to end")
	fs.IntVar(&s.maxConnections, "max-connections", 10_000, "connections of clients at a time; 0: any number")
	fs.IntVar(&s.maxBuckets, "max-buckets", 1000, "buckets of each user but the operator; 0: any number")
	fs.DurationVar(&s.idleTimeout, "idle-timeout", 60*time.Second, "how long an unused connection of a client is kept")
	fs.DurationVar(&s.stall, "stall-timeout", 60*time.Second, "how long a body may stand still before the connection is cut")

	fs.DurationVar(&s.lifecycle.Interval, "lifecycle-interval", 24*time.Hour, "time between two runs of the lifecycle rules of all buckets")
	fs.DurationVar(&s.notify.Timeout, "notify-timeout", 5*time.Second, "limit for a notification's address to answer")
	fs.DurationVar(&s.notify.MaxAge, "notify-max-age", 24*time.Hour, "how long an event is offered to an address that does not take it")
	fs.IntVar(&s.notify.Workers, "notify-workers", 16, "notifications that are sent at a time")
	fs.DurationVar(&s.replicate.MaxAge, "replication-max-age", 24*time.Hour, "how long it is tried to repeat a change in another bucket")
	fs.IntVar(&s.replicate.Workers, "replication-workers", 4, "copies for one bucket at a time")
	bytesVar(fs, &s.accessLog.Slice, "access-log-slice", 64<<20, "size from which on a bucket's access log is delivered before its hour is over")
	fs.Int64Var(&s.eventQueue, "event-queue", 10_000, "events that may wait for one notification, or one bucket's replication; what comes beyond is lost and counted")

	fs.IntVar(&s.images.MaxPixels, "image-max-pixels", 50_000_000, "pixels of a picture that is processed, and of every result")
	bytesVar(fs, &s.images.Memory, "image-memory", 1<<30, "memory for the pictures that are processed at a time; further ones wait")
	fs.IntVar(&s.images.Workers, "image-workers", 0, "pictures that are processed at a time; 0: as many as there are processors")
	fs.DurationVar(&s.images.Timeout, "image-timeout", 30*time.Second, "limit for processing a picture")

	fs.StringArrayVar(&s.allow, "allow-source", nil, "CIDR, address or host that every bucket may fill from, though it is not public (repeatable)")
	fs.BoolVar(&s.onlyAllowed, "only-allowed-sources", false, "refuse all sources that --allow-source does not name")
	fs.DurationVar(&s.fill.NegativeTTL, "negative-ttl", 0, "how long a source's \"not there\" is remembered; 0: not at all")
	fs.DurationVar(&s.origin.ConnectTimeout, "source-connect-timeout", 10*time.Second, "limit for looking up and connecting to a source")
	fs.DurationVar(&s.origin.TLSTimeout, "source-tls-timeout", 10*time.Second, "limit for a TLS handshake with a source")
	fs.DurationVar(&s.origin.FirstByteTimeout, "source-first-byte-timeout", 30*time.Second, "limit for a source to begin its answer")
	fs.DurationVar(&s.origin.IdleTimeout, "source-idle-timeout", 30*time.Second, "limit for a silence within a source's answer")
	bytesVar(fs, &s.minRate, "source-min-rate", 256, "least bytes a second that a source must send on average; 0: any")
	fs.IntVar(&s.redirects, "source-max-redirects", 10, "redirects of a source that are followed; 0: none")
	fs.IntVar(&s.keepConns, "source-idle-connections", 64, "unused connections that are kept to a source")
	bytesVar(fs, &s.fill.SourceBytesPerSecond, "source-rate", 0, "bytes a second that are read from one source; 0: no limit")
	bytesVar(fs, &s.fill.BytesPerSecond, "fill-rate", 0, "bytes a second that are read from all sources; 0: no limit")

	bytesVar(fs, &s.fill.SegmentSize, "segment-size", 8<<20, "size of the parts in which a large object is fetched")
	fs.IntVar(&s.fill.MaxConnsPerFlight, "fill-connections", 8, "connections of one fill")
	fs.IntVar(&s.fill.MaxConnsPerSource, "source-connections", 64, "connections to one source")
	fs.IntVar(&s.fill.MaxConns, "all-source-connections", 256, "connections to all sources")
	fs.IntVar(&s.fill.MaxQueue, "fill-queue", 1024, "fills that may wait for a connection")
	fs.DurationVar(&s.fill.QueueWait, "fill-queue-wait", 30*time.Second, "how long a fill may wait for a connection")
	fs.IntVar(&s.retries, "fill-retries", 2, "how often in a row a source that fails is asked again; 0: never")
	fs.DurationVar(&s.fill.RetryPause, "fill-retry-pause", 100*time.Millisecond, "pause before the first of these, doubled for each further one")
	fs.DurationVar(&s.fill.Patience, "fill-patience", 0, "how long a source's Retry-After is waited out while readers wait; 0: not at all")
	fs.DurationVar(&s.fill.GrowAfter, "fill-grow-after", 2*time.Second, "a fill that is expected to take longer opens further connections")
	fs.IntVar(&s.breaker, "breaker-failures", 10, "failures in a row after which a source is left alone; 0: never")
	fs.DurationVar(&s.fill.BreakerPause, "breaker-pause", 5*time.Second, "how long it is left alone")
	bytesVar(fs, &s.resumeSize, "fill-resume-size", 64<<20, "size from which on an interrupted fill leaves on disk what has arrived; 0: none does")
	fs.DurationVar(&s.fill.NoteEvery, "fill-note-every", 5*time.Second, "how often it is noted what of such a fill has arrived")
	bytesVar(fs, &s.fill.MaxSize, "max-object-size", 5<<40, "largest object that is fetched")
	bytesVar(fs, &s.fill.MaxUnsized, "max-unsized-object-size", 5<<30, "largest object that is fetched when the source does not say its length")
}

type mirror struct{ bucket, site string }

// check looks at every setting before anything is opened, so that a wrong one changes nothing.
func (s *settings) check() ([]mirror, error) {
	var list []mirror
	seen := map[string]bool{}
	for _, m := range s.mirrors {
		bucket, site, ok := strings.Cut(m, "=")
		if !ok {
			return nil, usagef("--mirror %q: write BUCKET=URL", m)
		}
		if err := object.CheckBucket(bucket); err != nil {
			return nil, usagef("--mirror %q: %v", m, err)
		}
		if _, err := origin.ParseSite(site); err != nil {
			return nil, usagef("--mirror %q: %v", m, err)
		}
		if seen[bucket] {
			return nil, usagef("--mirror %q: the bucket has a source already", m)
		}
		seen[bucket] = true
		list = append(list, mirror{bucket, site})
	}
	for _, a := range s.allow {
		allow, err := origin.ParseAllow(a)
		if err != nil {
			return nil, usagef("--allow-source: %v", err)
		}
		s.origin.Allow = append(s.origin.Allow, allow)
	}
	if s.cname != "operator" && s.cname != "owner" {
		return nil, usagef("--cname %q: use operator or owner", s.cname)
	}
	for name, key := range map[string]string{"website-index": s.index, "website-error": s.errorPage} {
		if err := object.CheckKey(key); err != nil {
			return nil, usagef("--%s %q: %v", name, key, err)
		}
	}
	if _, err := s.trusted(); err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(s.listen); err != nil {
		return nil, usagef("--listen %q: write HOST:PORT or :PORT", s.listen)
	}
	for name, n := range map[string]int64{
		"grace": int64(s.grace), "negative-ttl": int64(s.fill.NegativeTTL), "max-connections": int64(s.maxConnections), "max-buckets": int64(s.maxBuckets),
		"source-max-redirects": int64(s.redirects), "fill-retries": int64(s.retries), "breaker-failures": int64(s.breaker),
		"fill-patience": int64(s.fill.Patience), "fill-resume-size": s.resumeSize,
		"image-workers": int64(s.images.Workers),
	} {
		if n < 0 {
			return nil, usagef("--%s must not be negative", name)
		}
	}
	for name, n := range map[string]int64{
		"lifecycle-interval":  int64(s.lifecycle.Interval),
		"notify-timeout":      int64(s.notify.Timeout),
		"notify-max-age":      int64(s.notify.MaxAge),
		"notify-workers":      int64(s.notify.Workers),
		"replication-max-age": int64(s.replicate.MaxAge),
		"replication-workers": int64(s.replicate.Workers),
		"access-log-slice":    s.accessLog.Slice,
		"event-queue":         s.eventQueue,
		"image-max-pixels":    int64(s.images.MaxPixels), "image-memory": s.images.Memory,
		"image-timeout": int64(s.images.Timeout),
		"idle-timeout":  int64(s.idleTimeout), "stall-timeout": int64(s.stall),
		"source-connect-timeout": int64(s.origin.ConnectTimeout), "source-tls-timeout": int64(s.origin.TLSTimeout),
		"source-first-byte-timeout": int64(s.origin.FirstByteTimeout), "source-idle-timeout": int64(s.origin.IdleTimeout),
		"source-idle-connections": int64(s.keepConns), "segment-size": s.fill.SegmentSize,
		"fill-connections": int64(s.fill.MaxConnsPerFlight), "source-connections": int64(s.fill.MaxConnsPerSource),
		"all-source-connections": int64(s.fill.MaxConns), "fill-queue": int64(s.fill.MaxQueue), "fill-queue-wait": int64(s.fill.QueueWait),
		"fill-retry-pause": int64(s.fill.RetryPause), "fill-grow-after": int64(s.fill.GrowAfter), "breaker-pause": int64(s.fill.BreakerPause),
		"fill-note-every": int64(s.fill.NoteEvery), "max-object-size": s.fill.MaxSize, "max-unsized-object-size": s.fill.MaxUnsized,
	} {
		if n <= 0 {
			return nil, usagef("--%s must be greater than 0", name)
		}
	}
	// A zero of these fields means their default, a zero of the flags none.
	s.origin.MinRate = noneIsNegative(s.minRate)
	s.origin.MaxRedirects = noneIsNegative(s.redirects)
	s.origin.MaxIdle = s.keepConns
	s.origin.OnlyAllowed = s.onlyAllowed
	s.origin.UserAgent = "Cistern/" + version
	s.fill.Retries = noneIsNegative(s.retries)
	s.fill.ResumeSize = noneIsNegative(s.resumeSize)
	s.fill.BreakerFailures = noneIsNegative(s.breaker)
	s.maxConnections, s.maxBuckets = noneIsNegative(s.maxConnections), noneIsNegative(s.maxBuckets)
	return list, nil
}

// trusted reads the networks of --trusted-proxy.
func (s *settings) trusted() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, p := range s.proxies {
		n, err := netip.ParsePrefix(p)
		if a, aerr := netip.ParseAddr(p); aerr == nil {
			n, err = netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
		}
		if err != nil || n.Addr().Is4In6() {
			return nil, usagef("--trusted-proxy %q: write an address, or a network such as 10.0.0.0/8", p)
		}
		list = append(list, n.Masked())
	}
	return list, nil
}

func noneIsNegative[T int | int64](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

// run serves until ctx ends. Only the first key goes to out; the log goes to logs.
func (s *settings) run(ctx context.Context, out, logs io.Writer, getenv func(string) string) (err error) {
	mirrors, err := s.check()
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(logs, s.logFormat, s.logLevel)
	if err != nil {
		return usage(err)
	}
	id, secret := getenv(envKeyID), getenv(envSecret)
	if (id == "") != (secret == "") {
		return usagef("set both %s and %s, or none of them", envKeyID, envSecret)
	}
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	defer ln.Close() // also closed by the server; twice is harmless
	engine, err := diskstore.Open(s.data, diskstore.Options{Logger: log})
	if err != nil {
		return err
	}
	// From here on the folder is locked, so that the keys are ours, too.
	ring, err := keys.Open(filepath.Join(s.data, "keys.json"))
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	if ring.Exposed() {
		log.Warn("others can read the file of access keys: make it 0600", "file", filepath.Join(s.data, "keys.json"))
	}
	if id != "" {
		if _, err := ring.ReplaceOperator(id, secret); err != nil {
			return errors.Join(usagef("%s, %s: %w", envKeyID, envSecret, err), engine.Close())
		}
	}
	proxies, err := s.trusted()
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	n, err := node.New(ctx, node.Options{
		Engine: engine, Keys: ring, Origin: s.origin, Fill: s.fill, Zone: s.zone, Domains: s.domains,
		OwnersBind: s.cname == "owner", WebsiteIndex: s.index, WebsiteError: s.errorPage, TrustedProxies: proxies,
		IdleTimeout: s.idleTimeout, StallTimeout: s.stall, MaxConnections: s.maxConnections, MaxBuckets: s.maxBuckets, Logger: log, Version: version,
		Lifecycle: s.lifecycle, Notify: s.notify, Replicate: s.replicate, AccessLog: s.accessLog, EventQueue: s.eventQueue,
		Images: s.images,
	})
	if err != nil {
		return err
	}
	down := sync.OnceValue(func() error { return s.shutdown(n, log) })
	defer func() { err = errors.Join(err, down()) }()

	n.Own(ln.Addr())
	for _, m := range mirrors {
		if err := n.Mirror(ctx, m.bucket, m.site); err != nil {
			err = fmt.Errorf("--mirror %s=%s: %w", m.bucket, m.site, err)
			if errors.Is(err, object.ErrInvalidArgument) {
				err = usage(err)
			}
			return err
		}
	}
	key, made, err := ring.EnsureOperator()
	if err != nil {
		return err
	}
	url := "http://" + reachable(ln.Addr())
	if made {
		welcome(out, url, key, mirrors, filepath.Join(s.data, "keys.json"))
	}
	log.Info("listening", "url", url, "addr", ln.Addr().String(), "data", s.data, "version", version)
	// The other end of Serve: it returns once the listener is closed, by shutdown or by its own failure.
	stop := context.AfterFunc(ctx, func() {
		log.Info("shutting down", "grace", s.grace)
		_ = down() // its error is returned by the deferred call, which waits for this one
	})
	defer stop()
	return n.Serve(ln)
}

func (s *settings) shutdown(n *node.Node, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	err := n.Shutdown(ctx)
	log.Info("stopped")
	return err
}

// reachable is an address that a client on this machine can use.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
	}
	return a.String()
}

// welcome shows the operator's key, once: it is written nowhere but in the file of keys.
func welcome(w io.Writer, url string, key keys.Key, mirrors []mirror, file string) {
	bucket, name := "demo", "KEY"
	if len(mirrors) > 0 {
		bucket = mirrors[0].bucket
	}
	fmt.Fprintf(w, `Cistern serves on %[1]s

This is the operator's key. It is shown this once, and kept in %[4]s.

  access key id      %[2]s
  secret access key  %[3]s

For the cistern commands and the SDK, in a shell:

  export QINGSTOR_ACCESS_KEY_ID=%[2]s
  export QINGSTOR_SECRET_ACCESS_KEY=%[3]s
  export QINGSTOR_ENDPOINT=%[1]s

In a Go program, with the three variables set:

  cfg, _ := config.NewDefault()
  svc, _ := service.Init(cfg)
  bucket, _ := svc.Bucket(%[5]q, "pek3a")

A bucket that fills itself, and an object from it:

`, url, key.ID, key.Secret, file, bucket)
	if len(mirrors) == 0 {
		fmt.Fprintf(w, "  cistern bucket make --public %[1]s && cistern mirror set %[1]s https://example.org/\n", bucket)
	}
	fmt.Fprintf(w, "  curl -i %s/%s/%s\n\n", url, bucket, name)
}
