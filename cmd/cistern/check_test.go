package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/origin"
)

// What mirror check says of names and of TLS; the scripts have the rest.
func TestCheckup(t *testing.T) {
	dns := cisterntest.NewDNS(t)
	dns.Set("good.example", "127.0.0.1")
	dns.Set("mixed.example", "169.254.169.254", "127.0.0.1")
	dns.Set("reserved.example", "169.254.169.254", "240.0.0.1")
	ca := cisterntest.NewCA(t)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	secure := func(change func(*x509.Certificate), names ...string) *cisterntest.Origin {
		config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(cisterntest.NewKey(t), change, names...)}}
		return cisterntest.NewTLSOrigin(t, config, func(c *cisterntest.Conn) {
			if _, ok := c.ReadHead(); ok {
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
	}
	good, old, other := secure(nil, "good.example", "mixed.example"), secure(expired, "good.example"), secure(nil, "other.example")
	nonsense := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) { c.Send("220 mail ready\r\n") })
	at := func(host string, o *cisterntest.Origin) string {
		_, port, _ := strings.Cut(o.Addr().String(), ":")
		return host + ":" + port + "/"
	}
	for _, tt := range []struct {
		name  string
		site  string
		other bool   // the setting is not the operator's
		want  string // of the whole text, a regular expression; \n stands between lines
	}{
		{"good", "https://" + at("good.example", good), false,
			`\naddress    127.0.0.1 allowed\nconnect    good.example:\d+ at 127.0.0.1 in .*\ntls        TLS 1.3, certificate of CN=good.example by CN=test authority until 20.*Z in .*\nanswer     200 (?s:.*)\nresult     a fill would store`},
		{"one address of two", "https://" + at("mixed.example", good), false,
			`\naddress    127.0.0.1 allowed\naddress    169.254.169.254 refused: .*link-local.*\nconnect (?s:.*)\nresult     a fill would store`},
		{"none", "http://reserved.example/", false,
			`(\naddress    [0-9.]+ refused: .*){2}\nresult     a fill would fail: no address .*\nadvice     give the source a public address`},
		{"private name of a user", "https://" + at("good.example", good), true,
			`\naddress    127.0.0.1 refused: .*\nresult     .*\nadvice     set the mirror with the operator's key, or start the server with --allow-source 127.0.0.1\n`},
		{"unknown name", "http://none.example/", false, `\nresult     a fill would fail: the host cannot be looked up.*\nadvice     correct the host`},
		{"expired", "https://" + at("good.example", old), false, `\ntls        failed: .*expired.*\nresult     .*\nadvice     give the source a certificate`},
		{"another's certificate", "https://" + at("good.example", other), false, `\ntls        failed: .*other.example.*\nresult     .*\nadvice     give the source a certificate`},
		{"no TLS", "https://" + at("good.example", nonsense), false, `\ntls        failed: .*\nresult     .*\nadvice     see that https is spoken there`},
		{"no HTTP", "http://" + at("good.example", nonsense), false, `\nconnect .*\nresult     .*\nadvice     see that http is spoken there`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := "a"
			k := checkup{Site: tt.site, Key: &key, private: !tt.other}
			if err := k.run(t.Context(), origin.Options{Resolver: dns.Resolver(), RootCAs: ca.Pool()}); err != nil {
				k.Problem, k.Advice = oneLine(err), k.advise(err)
			}
			var out bytes.Buffer
			k.print(&out)
			if !regexp.MustCompile(tt.want).MatchString(out.String()) {
				t.Errorf("mirror check says\n%s\nwant a match of %s", out.String(), tt.want)
			}
		})
	}
}
