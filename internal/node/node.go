// Package node is a whole Cistern server, put together from its parts in the order that data flows.
//
// It is the one place where that happens: the serve command and the tests run the same thing. It decides nothing about objects.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cisternhq/cistern/internal/accesslog"
	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/image"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/lifecycle"
	"github.com/cisternhq/cistern/internal/notify"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/qsapi"
	"github.com/cisternhq/cistern/internal/replicate"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/telemetry"
	"github.com/cisternhq/cistern/service"
)

// Options are the parts and settings of a server. The zero value of each field means the default that its comment names.
type Options struct {
	// Engine holds the objects. It must be set; the node closes it.
	Engine store.Engine
	// Keys must be set. Mirrors that are set at the start are the operator's.
	Keys *keys.Ring
	// Origin and Fill are the settings of the way out and of the flights. What ties them together is set by New; Fill.OnReport is called
	// after the node's own.
	Origin origin.Options
	Fill   fill.Options
	// Zone is where buckets are that are made without one; "" means pek3a.
	Zone string
	// Domains are the names under which buckets are addressed in the Host. None: path style only.
	Domains []string
	// OwnersBind lets the owners of buckets bind domains to them, not only the operator.
	OwnersBind bool
	// WebsiteIndex and WebsiteError are the keys of a website's pages; "" means index.html and error.html.
	WebsiteIndex, WebsiteError string
	// TrustedProxies are networks whose X-Forwarded-For header is believed. None: the address of a client is its connection's.
	TrustedProxies []netip.Prefix
	// ReadHeaderTimeout bounds the head of a request; 0 means 10 s.
	ReadHeaderTimeout time.Duration
	// IdleTimeout bounds how long an unused connection is kept; 0 means 60 s.
	IdleTimeout time.Duration
	// StallTimeout ends a request or an answer whose bytes do not move; 0 means 60 s.
	StallTimeout time.Duration
	// MaxConnections bounds the clients' connections; further ones wait to be accepted. 0 means 10,000, negative any number.
	MaxConnections int
	// MaxBuckets bounds the buckets of one owner, but not of the operator; 0 means 1,000, negative any number.
	MaxBuckets int
	// Logger gets a line for each request and for each fill; nil means none.
	Logger *slog.Logger
	// Version is shown in the metrics.
	Version string
	// Lifecycle, Notify, Replicate and AccessLog are the settings of what the server does by itself. What ties them to the rest is set by New.
	Lifecycle lifecycle.Options
	Notify    notify.Options
	Replicate replicate.Options
	AccessLog accesslog.Options
	// Images bounds what is done with pictures.
	Images image.Options
	// EventQueue bounds the events that wait for one consumer of a bucket; 0 means 10,000.
	EventQueue int64
}

// Node is a running server. Make one with [New]; it is safe for concurrent use.
type Node struct {
	o       Options
	log     *slog.Logger
	store   *store.Store
	client  *origin.Client
	filler  *fill.Filler
	core    *cistern.Server
	metrics *telemetry.Metrics
	api     *qsapi.API
	srv     *http.Server
	places  *places
	// What the server does by itself.
	lifecycle  *lifecycle.Runner
	notifier   *notify.Notifier
	replicator *replicate.Replicator
	accessLog  *accesslog.Log

	// operations are the counters of the API's operations, looked up once.
	operations map[string]*telemetry.Operation

	mu       sync.Mutex // guards the fields below
	serving  bool
	closing  bool
	requests int           // being answered
	quiet    chan struct{} // closed when closing and requests is 0
}

// New puts a server together. It removes what a server that ended early left in the store, and serves nothing yet.
// The engine is the node's from here on, also when New fails.
func New(ctx context.Context, o Options) (*Node, error) {
	if o.Zone == "" {
		o.Zone = "pek3a"
	}
	if o.ReadHeaderTimeout <= 0 {
		o.ReadHeaderTimeout = 10 * time.Second
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 60 * time.Second
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = 60 * time.Second
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 10_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		o: o, log: o.Logger, store: store.New(o.Engine, notify.Consumer(o.EventQueue), replicate.Consumer(o.EventQueue)), metrics: telemetry.New(o.Version),
		operations: map[string]*telemetry.Operation{}, quiet: make(chan struct{}),
	}
	if err := n.store.Recover(ctx); err != nil {
		return nil, errors.Join(err, n.store.Close())
	}

	o.Origin.OwnHosts = append(slices.Clip(o.Origin.OwnHosts), o.Domains...)
	n.client = origin.New(o.Origin)

	o.Fill.Store, o.Fill.Origin, o.Fill.Logger = n.store, n.client, o.Logger
	report := o.Fill.OnReport
	o.Fill.OnReport = func(r fill.Report) {
		n.filled(r)
		if report != nil {
			report(r)
		}
	}
	o.Fill.OnBreaker = n.breaker
	n.filler = fill.New(o.Fill)
	o.AccessLog.Store, o.AccessLog.Logger = n.store, o.Logger
	o.AccessLog.Changed = func(b store.Bucket, key string) { n.core.Forget(b, key) }
	n.accessLog = accesslog.New(o.AccessLog)
	n.core = cistern.New(cistern.Options{
		Store: n.store, Filler: n.filler, Origin: n.client, Domains: o.Domains, OwnersBind: o.OwnersBind, Logging: n.accessLog.Refresh,
		Images: o.Images, MaxBuckets: o.MaxBuckets,
	})

	o.Lifecycle.Store, o.Lifecycle.Deleted, o.Lifecycle.Logger = n.store, n.core.Forget, o.Logger
	n.lifecycle = lifecycle.New(o.Lifecycle)
	o.Notify.Store, o.Notify.Post, o.Notify.Make, o.Notify.Logger = n.store, n.post, n.core.Make, o.Logger
	n.notifier = notify.New(o.Notify)
	o.Replicate.Store, o.Replicate.May, o.Replicate.Changed, o.Replicate.Logger = n.store, n.core.MayReplicate, n.core.Forget, o.Logger
	n.replicator = replicate.New(o.Replicate)
	n.metrics.Watch(n.snapshot)

	for _, op := range service.Operations() {
		n.operations[op.APIName] = n.metrics.Operation(op.APIName)
	}
	n.api = qsapi.New(qsapi.Options{
		Core: n.core, Keys: ring{o.Keys}, Domains: o.Domains, Zone: o.Zone,
		WebsiteIndex: o.WebsiteIndex, WebsiteError: o.WebsiteError, TrustedProxies: o.TrustedProxies,
		ReadStall: o.StallTimeout, WriteStall: o.StallTimeout, Logger: o.Logger, OnRequest: n.answered,
	})
	n.srv = &http.Server{
		Handler:           http.HandlerFunc(n.serveHTTP),
		ReadHeaderTimeout: o.ReadHeaderTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		// Bodies have no limit in all: they may take hours. The API ends those that do not move.
		ErrorLog:                     slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the API's to answer
	}
	if o.MaxConnections > 0 {
		n.places = newPlaces(o.MaxConnections)
		n.srv.ConnState = n.places.changed
	}
	n.lifecycle.Start()
	n.notifier.Start()
	n.replicator.Start()
	n.accessLog.Start()
	return n, nil
}

// Core is what the server does, for callers within the process.
func (n *Node) Core() *cistern.Server { return n.core }

// Filler holds the flights.
func (n *Node) Filler() *fill.Filler { return n.filler }

// Operator is the caller that may do everything.
func Operator() cistern.Caller { return cistern.Caller{Owner: keys.OperatorOwner, Operator: true} }

// Mirror makes sure that bucket is there, that everybody may read it, and that it fills from site. It says what it had to change.
func (n *Node) Mirror(ctx context.Context, bucket, site string) error {
	op := Operator()
	if err := n.core.HeadBucket(ctx, op, bucket); errors.Is(err, object.ErrNoSuchBucket) {
		if err := n.core.CreateBucket(ctx, op, bucket, n.o.Zone); err != nil {
			return err
		}
		n.log.Info("bucket made", "bucket", bucket)
	} else if err != nil {
		return err
	}
	// The setting comes before the permission: nobody reads a bucket that half of the command line was applied to.
	switch was, err := n.core.Mirror(ctx, op, bucket); {
	case err == nil && was == site:
	case err != nil && !errors.Is(err, object.ErrNoSetting):
		return err
	default:
		if err := n.core.SetMirror(ctx, op, bucket, site); err != nil {
			return err
		}
		n.log.Info("mirror set", "bucket", bucket, "source_site", site, "was", was)
	}
	everybody := cistern.Grant{Type: "group", Name: "QS_ALL_USERS", Permission: "READ"}
	_, grants, err := n.core.ACL(ctx, op, bucket)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g.Type == everybody.Type && g.Name == everybody.Name && g.Permission != "WRITE" {
			return nil
		}
	}
	if err := n.core.SetACL(ctx, op, bucket, append(grants, everybody)); err != nil {
		return err
	}
	n.log.Info("bucket made public", "bucket", bucket)
	return nil
}

// Own names the addresses that the node listens on, so that no bucket fills from the server itself. It comes before Mirror.
func (n *Node) Own(addrs ...net.Addr) {
	var own []netip.AddrPort
	for _, a := range addrs {
		if tcp, ok := a.(*net.TCPAddr); ok {
			own = append(own, tcp.AddrPort())
		}
	}
	n.client.SetOwn(own)
}

// Serve answers clients of ln until Shutdown, and returns nil then. It closes ln.
func (n *Node) Serve(ln net.Listener) error {
	if n.o.MaxConnections > 0 {
		ln = n.places.listen(ln)
	}
	n.mu.Lock()
	n.serving = true
	n.mu.Unlock()
	if err := n.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Shutdown ends the server: it accepts nothing more, lets requests and fills finish until ctx ends, aborts what is left, waits for that and
// closes the store. Nothing partial stays. It returns what went wrong with the store; that something was aborted is only logged.
// It must be called once.
func (n *Node) Shutdown(ctx context.Context) error {
	n.mu.Lock()
	n.closing = true
	if n.requests == 0 {
		close(n.quiet)
	}
	n.mu.Unlock()

	// Requests wait for fills, so both have the same time. What the server does by itself goes on at the next start.
	var wg sync.WaitGroup
	wg.Go(n.lifecycle.Close)
	wg.Go(n.notifier.Close)
	wg.Go(n.replicator.Close)
	var fills error
	wg.Go(func() { fills = n.filler.Close(ctx) })
	requests := n.srv.Shutdown(ctx)
	if requests != nil {
		_ = n.srv.Close() // its error is that of a listener that is closed already
	}
	wg.Wait()
	<-n.quiet // a cut connection ends its request soon, but the request has to end before the store does
	if requests != nil || fills != nil {
		n.log.Warn("the grace period is over: what was still running was aborted")
	}
	n.accessLog.Close() // the last request is in it
	n.client.Close()
	if err := n.store.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// post sends a notification, by the way that leads to sources.
func (n *Node) post(ctx context.Context, r notify.Rule, body []byte) (int, error) {
	t, err := origin.ParseTarget(r.URL)
	if err != nil {
		return 0, err
	}
	t.Source.Private = r.Private
	return n.client.Post(ctx, t, "application/json", body)
}

// enter counts a request in, unless the server is about to end.
func (n *Node) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing && n.requests == 0 {
		return false
	}
	n.requests++
	return true
}

func (n *Node) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests--
	if n.closing && n.requests == 0 {
		close(n.quiet)
	}
}

func (n *Node) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if !n.enter() {
		panic(http.ErrAbortHandler) // the connection was accepted in the last moment; the client tries the next server
	}
	n.metrics.Begin()
	// The API ends broken answers by a panic, so both must be undone whatever happens.
	defer func() {
		n.metrics.End()
		n.leave()
	}()
	if n.isOwnPath(r) {
		n.serveOwn(w, r)
		return
	}
	n.api.ServeHTTP(w, r)
}

// ring is the keys as the API asks for them.
type ring struct{ r *keys.Ring }

var _ qsapi.Keys = ring{}

func (k ring) Lookup(id string) (qsapi.Key, bool) {
	key, ok := k.r.Lookup(id)
	return qsapi.Key{Secret: key.Secret, Owner: key.Owner, Operator: key.Operator, Disabled: key.Disabled}, ok
}
