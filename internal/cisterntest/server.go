package cisterntest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/internal/store/memstore"
	"github.com/cisternhq/cistern/service"
)

// Server is a whole Cistern server within the test's process.
type Server struct {
	// URL is where it listens, without a slash at the end.
	URL string
	// Operator is the operator's key.
	Operator keys.Key
	// Service is the SDK with the operator's key.
	Service *service.Service
	// Node is the server itself.
	Node *node.Node

	t    testing.TB
	ring *keys.Ring
	log  *logBuffer
	wg   sync.WaitGroup // the serving goroutine
	once sync.Once

	mu   sync.Mutex // guards cfgs
	cfgs []*config.Config
}

// Option changes how a server starts.
type Option func(*startOptions)

type startOptions struct {
	node  node.Options
	dir   string
	grace time.Duration
}

// OnDisk keeps the objects below dir, so that a second server can go on with them. Without it they are in memory.
func OnDisk(dir string) Option { return func(o *startOptions) { o.dir = dir } }

// With changes the server's options before it starts.
func With(change func(*node.Options)) Option { return func(o *startOptions) { change(&o.node) } }

// Grace is how long Stop lets requests and fills go on. Without it they are aborted after 5 s.
func Grace(d time.Duration) Option { return func(o *startOptions) { o.grace = d } }

// Start starts a server on a loopback port. It ends with the test, which fails if that goes wrong; when the test has failed, the server's
// log is shown.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := startOptions{grace: 5 * time.Second}
	for _, opt := range opts {
		opt(&o)
	}
	s := &Server{t: t, log: &logBuffer{}}
	if o.node.Logger == nil {
		o.node.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	var err error
	if o.node.Engine == nil {
		if o.node.Engine, err = engine(o.dir, o.node.Logger); err != nil {
			t.Fatalf("start server: %v", err)
		}
	}
	if s.ring, err = keys.Open(""); err != nil {
		t.Fatalf("start server: %v", err)
	}
	if s.Operator, _, err = s.ring.EnsureOperator(); err != nil {
		t.Fatalf("start server: %v", err)
	}
	o.node.Keys = s.ring
	if s.Node, err = node.New(t.Context(), o.node); err != nil {
		t.Fatalf("start server: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start server: %v", err)
	}
	s.Node.Own(ln.Addr())
	s.URL = "http://" + ln.Addr().String()
	s.Service = s.As(s.Operator)
	s.wg.Go(func() {
		if err := s.Node.Serve(ln); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	t.Cleanup(func() {
		s.stop(o.grace)
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log)
		}
	})
	return s
}

func engine(dir string, log *slog.Logger) (store.Engine, error) {
	if dir == "" {
		return memstore.New(), nil
	}
	return diskstore.Open(dir, diskstore.Options{Logger: log})
}

// Stop ends the server before the test ends; requests and fills have grace to finish.
func (s *Server) Stop(grace time.Duration) { s.stop(grace) }

func (s *Server) stop(grace time.Duration) {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		s.mu.Lock()
		for _, c := range s.cfgs {
			c.Connection.CloseIdleConnections()
		}
		s.mu.Unlock()
		if err := s.Node.Shutdown(ctx); err != nil {
			s.t.Errorf("stop server: %v", err)
		}
		s.wg.Wait()
	})
}

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.log.String() }

// NewUser returns a new key of a user who is not the operator.
func (s *Server) NewUser() keys.Key {
	s.t.Helper()
	k, err := s.ring.New("")
	if err != nil {
		s.t.Fatalf("new user: %v", err)
	}
	return k
}

// Config is an SDK configuration for this server with k's credentials; the zero key is anonymous.
func (s *Server) Config(k keys.Key) *config.Config {
	s.t.Helper()
	c, err := config.New(k.ID, k.Secret)
	if err != nil {
		s.t.Fatalf("configuration: %v", err)
	}
	c.Endpoint = s.URL
	c.DisableURICleaning = true
	c.MaxRetries = 0 // tests count requests
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfgs = append(s.cfgs, c)
	return c
}

// As is the SDK with k's credentials; the zero key is anonymous.
func (s *Server) As(k keys.Key) *service.Service {
	s.t.Helper()
	svc, err := service.Init(s.Config(k))
	if err != nil {
		s.t.Fatalf("SDK: %v", err)
	}
	return svc
}

// Bucket returns a bucket with the operator's credentials.
func (s *Server) Bucket(name string) *service.Bucket {
	s.t.Helper()
	b, err := s.Service.Bucket(name, "")
	if err != nil {
		s.t.Fatalf("bucket %s: %v", name, err)
	}
	return b
}

// Mirror makes a public bucket that fills from site, and returns the address of its objects, with a slash at the end.
func (s *Server) Mirror(bucket, site string) string {
	s.t.Helper()
	if err := s.Node.Mirror(s.t.Context(), bucket, site); err != nil {
		s.t.Fatalf("mirror %s=%s: %v", bucket, site, err)
	}
	return s.URL + "/" + bucket + "/"
}

// logBuffer holds the log of a server that runs.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
