package config

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cisternhq/cistern/utils"
)

// HTTPClientSettings are the settings of the client that InitHTTPClient makes.
type HTTPClientSettings struct {
	// ConnectTimeout bounds the making of a connection. 0 means the default.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// ReadTimeout is how long a connection that something is read from may stand still. There is no limit to a whole request.
	// 0 means no limit.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// WriteTimeout bounds a single write to a connection. 0 means no limit.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// TLSHandshakeTimeout bounds the TLS handshake. 0 means the default.
	TLSHandshakeTimeout time.Duration `yaml:"tls_timeout"`
	// IdleConnTimeout is how long an unused connection is kept. 0 means for ever.
	IdleConnTimeout time.Duration `yaml:"idle_timeout"`
	// TCPKeepAlive is the interval of keep-alive probes. 0 means 15 s, less than 0 none.
	TCPKeepAlive time.Duration `yaml:"tcp_keepalive_time"`
	// DualStack is kept for source compatibility; see Config.EnableDualStack.
	DualStack bool `yaml:"dual_stack"`
	// MaxIdleConns bounds the unused connections that are kept in all. 0 means no limit.
	MaxIdleConns int `yaml:"max_idle_conns"`
	// MaxIdleConnsPerHost bounds them for each host. 0 means 2.
	MaxIdleConnsPerHost int `yaml:"max_idle_conns_per_host"`
	// ExpectContinueTimeout is how long a request with "Expect: 100-continue" waits before it sends its body. 0 means the default.
	ExpectContinueTimeout time.Duration `yaml:"expect_continue_timeout"`
}

// DefaultHTTPClientSettings are the settings of a Config that sets none.
var DefaultHTTPClientSettings = HTTPClientSettings{
	ConnectTimeout:        30 * time.Second,
	ReadTimeout:           30 * time.Second,
	WriteTimeout:          30 * time.Second,
	TLSHandshakeTimeout:   10 * time.Second,
	IdleConnTimeout:       20 * time.Second,
	MaxIdleConns:          100,
	MaxIdleConnsPerHost:   10,
	ExpectContinueTimeout: 2 * time.Second,
}

// InitHTTPClient makes Connection from HTTPSettings. Call it again after changing them.
func (c *Config) InitHTTPClient() {
	s := &c.HTTPSettings
	if *s == (HTTPClientSettings{}) {
		*s = DefaultHTTPClientSettings
	}
	orDefault := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	orDefault(&s.ConnectTimeout, DefaultHTTPClientSettings.ConnectTimeout)
	orDefault(&s.TLSHandshakeTimeout, DefaultHTTPClientSettings.TLSHandshakeTimeout)
	orDefault(&s.ExpectContinueTimeout, DefaultHTTPClientSettings.ExpectContinueTimeout)

	d := utils.NewDialer(s.ConnectTimeout, s.ReadTimeout, s.WriteTimeout)
	d.KeepAlive = s.TCPKeepAlive
	if !c.EnableDualStack {
		d.FallbackDelay = -1
	}
	c.Connection = &http.Client{CheckRedirect: redirect, Transport: &http.Transport{
		DialContext:           d.DialContext,
		MaxIdleConns:          s.MaxIdleConns,
		MaxIdleConnsPerHost:   s.MaxIdleConnsPerHost,
		IdleConnTimeout:       s.IdleConnTimeout,
		TLSHandshakeTimeout:   s.TLSHandshakeTimeout,
		ExpectContinueTimeout: s.ExpectContinueTimeout,
	}}
}

// redirect follows up to 10 redirects, as net/http does by itself, and keeps to the service what is for the service: the previous URL, which may
// be a signed link, and at another host the x-qs- headers, which may hold a key of the caller. net/http takes care of Authorization.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	req.Header.Del("Referer")
	if req.URL.Host != via[0].URL.Host {
		for name := range req.Header {
			if strings.HasPrefix(name, "X-Qs-") {
				req.Header.Del(name)
			}
		}
	}
	return nil
}
