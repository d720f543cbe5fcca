// Package qsapi speaks the QingStor object storage API: it parses a request, authenticates it, calls the server, renders the answer.
//
// It is the only place with QingStor's names, codes and forms. Operations and their fields come from package service, so that the SDK and the
// server cannot differ. It knows no engines and no sources, and decides no rights: it says who asks.
package qsapi

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/store"
)

// Keys knows the access keys.
type Keys interface {
	// Lookup returns the key of an access key id; ok is false for an unknown one. It must be quick: every signed request asks.
	Lookup(keyID string) (k Key, ok bool)
}

// Key is what belongs to an access key id.
type Key struct {
	Secret string
	// Owner is the user whom requests signed with the key come from.
	Owner string
	// Operator: they may do everything.
	Operator bool
	// Disabled: they are refused.
	Disabled bool
}

// Options are the settings of an API.
type Options struct {
	// Core does what requests ask for. It must be set.
	Core *cistern.Server
	// Keys must be set; with no key in it all requests are anonymous.
	Keys Keys
	// Domains are the names under which buckets are addressed in the Host (<bucket>.<zone>.<domain>). None: path style only.
	Domains []string
	// TrustedProxies are networks whose X-Forwarded-For header is believed. None: the address of a client is its connection's.
	TrustedProxies []netip.Prefix
	// WebsiteIndex and WebsiteError are the keys of the pages that a website has for a path that ends in "/", behind which it is put, and for what is not
	// there. "" means index.html and error.html.
	WebsiteIndex, WebsiteError string
	// Zone is where buckets are when the Host names no zone. "" means pek3a.
	Zone string
	// MaxPresign bounds how far ahead a signed link may end. Zero means any time ahead: clients of this API sign links for years.
	MaxPresign time.Duration
	// ReadStall ends a request whose body brings no byte for so long. Zero means 60 s.
	ReadStall time.Duration
	// WriteStall ends an answer of which the client takes no block (512 KiB at most) for so long. Zero means 60 s.
	WriteStall time.Duration
	// Now is the clock that signatures are judged by; nil means time.Now.
	Now func() time.Time
	// Logger gets one line a request; nil means none.
	Logger *slog.Logger
	// OnRequest is called once a request, after the answer, from the request's goroutine; nil means nobody asks.
	OnRequest func(Report)
}

// Report is what became of one request.
type Report struct {
	// Operation is the title of the operation's page in the API, such as "GET Object"; "none" if the request named none. It
	// is one of a fixed set.
	Operation string
	// Status is the status code sent; 499 if the client went away before there was one.
	Status int
	// Code is the error code, "" without an error.
	Code string
	// Received and Sent are the bytes of the two bodies.
	Received, Sent int64
	// FirstByte is the time to the first byte of the answer's body, or to its head if it had none.
	FirstByte time.Duration
	// Duration is the time to the end of the answer.
	Duration time.Duration
	// Cache says how the read of an object was served.
	Cache Cache

	// Began is when the request came in, ID its id. Bucket is the one that it named and User who signed it; "" for none.
	Began            time.Time
	ID, Bucket, User string
	// Request is the request itself, from which headers may still be read.
	Request *http.Request
}

// Cache says how the read of an object was served.
type Cache int

// NoCache is for requests that read no object.
const (
	NoCache Cache = iota
	Hit
	Miss
)

// API is the dialect as an http.Handler. It is safe for concurrent use.
type API struct {
	o       Options
	core    *cistern.Server
	log     *slog.Logger
	hosts   hosts
	routes  routes
	decoySK string // secret of keys that do not exist, so that they cost as much as others
}

var _ http.Handler = (*API)(nil)

// New returns an API. It panics if an operation's definition makes no sense, which is a bug of the program.
func New(o Options) *API {
	if o.Zone == "" {
		o.Zone = "pek3a"
	}
	if o.WebsiteIndex == "" {
		o.WebsiteIndex = "index.html"
	}
	if o.WebsiteError == "" {
		o.WebsiteError = "error.html"
	}
	if o.ReadStall <= 0 {
		o.ReadStall = 60 * time.Second
	}
	if o.WriteStall <= 0 {
		o.WriteStall = 60 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &API{
		o:       o,
		core:    o.Core,
		log:     o.Logger,
		hosts:   newHosts(o.Domains, o.Zone),
		routes:  newRoutes(),
		decoySK: rand.Text(),
	}
}

// request is one request as the handlers see it.
type request struct {
	*http.Request
	id     string
	target target
	params params
	caller cistern.Caller
	signed bool
	// link: the signature is in the query, so that whoever was given the link may be asking.
	link bool
	// operation is what the request turned out to ask for.
	operation string
	// body is the request's body with its stall limit.
	body *body
}

// handler does one operation. It returns an error instead of writing one.
type handler func(a *API, w *answer, r *request) error

// ServeHTTP answers one request.
func (a *API) ServeHTTP(rw http.ResponseWriter, hr *http.Request) {
	began := time.Now()
	r := &request{Request: hr, id: newID(), operation: "none"}
	w := newAnswer(rw, hr, a.o.WriteStall, began)
	w.base(r.id)
	r.body = newBody(rw, hr, a.o.ReadStall) // not put into hr: net/http looks at its own body to see what is left of it

	err := a.answer(w, r)
	cut := false // the answer cannot be ended honestly
	switch {
	case err == nil:
	case errors.Is(err, http.ErrAbortHandler):
		cut = true
	case w.wrote:
		cut = true
	default:
		a.writeError(w, r, err)
	}
	a.report(w, r, err, cut, began)
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// answer runs the handler. A panic in it becomes an error: a bug in one operation is no reason to leave the client without an answer.
func (a *API) answer(w *answer, r *request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = http.ErrAbortHandler
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return a.handle(w, r)
}

func (a *API) handle(w *answer, r *request) error {
	path, query, err := splitURI(r.Request)
	if err != nil {
		return err
	}
	r.target, err = a.hosts.target(r.Host, path, func(host string) (bound, error) { return a.bound(r.Context(), host) })
	a.cross(w, r)
	if err != nil {
		return err
	}
	if location, status, ok := a.discovery(r.Request, r.target); ok {
		r.operation = "zone discovery"
		w.Header()["Location"] = []string{location}
		return w.empty(status)
	}
	if err := a.authenticate(r, path, query); err != nil {
		return err
	}
	if r.params, err = parseParams(query); err != nil {
		return err
	}
	if r.target.website && r.Method != http.MethodOptions {
		return a.website(w, r)
	}
	return a.operate(w, r)
}

// operate does the operation that the request names.
func (a *API) operate(w *answer, r *request) error {
	e, err := a.routes.find(r.Method, r.target.scope(), r.params)
	if err != nil {
		var missing *missingMethod
		if errors.As(err, &missing) {
			w.Header()["Allow"] = []string{strings.Join(missing.allow, ", ")}
		}
		return err
	}
	r.operation = e.name
	if err := e.check(r.Method, r.params); err != nil {
		return err
	}
	if err := checkHeaders(w, r.Request); err != nil {
		return err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead || e.name == imageProcess {
		// Whoever is told of a change is told who made it. Of reads, only those of pictures can make one.
		r.Request = r.Request.WithContext(store.WithCause(r.Context(), store.Cause{Principal: r.caller.Owner, RequestID: r.id}))
	}
	return e.handle(a, w, r)
}

// checkHeaders refuses what could be read in two ways by us and by whoever is in front of us.
func checkHeaders(w *answer, r *http.Request) error {
	for name, values := range r.Header {
		if len(values) > 1 && strings.HasPrefix(name, "X-Qs-") {
			return fail(http.StatusBadRequest, "invalid_argument", "The header %s is there more than once.", strings.ToLower(name))
		}
	}
	if r.ContentLength != 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return fail(http.StatusBadRequest, "invalid_request", "A %s request has no body.", r.Method)
	}
	if !r.ProtoAtLeast(1, 1) && r.Method != http.MethodGet && r.Method != http.MethodHead {
		// HTTP/1.0 has no Transfer-Encoding; net/http drops the field without a trace and would leave a body unread in the
		// connection, where it would be taken for the next request.
		w.Header()["Connection"] = []string{"close"}
		if len(r.Header["Content-Length"]) == 0 && (r.Method == http.MethodPut || r.Method == http.MethodPost) {
			return fail(http.StatusBadRequest, "invalid_request", "An HTTP/1.0 request with a body needs a Content-Length header.")
		}
	}
	return nil
}

// report writes the request's log line and tells OnRequest. Neither sees credentials: the query is left out.
func (a *API) report(w *answer, r *request, err error, cut bool, began time.Time) {
	took := time.Since(began)
	rep := Report{
		Began: began, ID: r.id, Bucket: r.target.bucket, User: r.caller.Owner, Request: r.Request,
		Operation: r.operation, Status: w.status, Received: r.body.n, Sent: w.sent,
		FirstByte: w.firstByte, Duration: took, Cache: w.cache,
	}
	if rep.Status == 0 {
		rep.Status = statusClientGone
	}
	level := slog.LevelInfo
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("id", r.id),
		slog.String("remote", r.RemoteAddr),
		slog.String("method", r.Method),
		slog.String("operation", r.operation),
		slog.String("bucket", r.target.bucket),
		slog.String("key", r.target.key),
		slog.Int("status", rep.Status),
		slog.Int64("received", rep.Received),
		slog.Int64("sent", rep.Sent),
		slog.Duration("first_byte", rep.FirstByte),
		slog.Duration("duration", took),
	)
	if r.caller.Owner != "" {
		attrs = append(attrs, slog.String("user", r.caller.Owner))
	}
	if w.cacheStatus != "" {
		attrs = append(attrs, slog.String("cache", w.cacheStatus))
	}
	if err != nil {
		if !errors.Is(err, http.ErrAbortHandler) {
			_, rep.Code, _ = describe(err)
			attrs = append(attrs, slog.String("code", rep.Code), slog.String("error", err.Error()))
		}
		if cut {
			attrs = append(attrs, slog.Bool("cut", true))
		}
		if w.status >= 500 || cut && r.Context().Err() == nil {
			level = slog.LevelError
		}
		if w.status == http.StatusServiceUnavailable {
			level = slog.LevelWarn // the source's fault, or a moment's load
		}
	}
	a.log.LogAttrs(r.Context(), level, "request", attrs...)
	if a.o.OnRequest != nil {
		a.o.OnRequest(rep)
	}
}

// newID returns a request id: 32 hex digits.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
