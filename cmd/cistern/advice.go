package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// advise says what to do about err, which is what stopped the checkup.
func (k *checkup) advise(err error) string {
	var lookup *net.DNSError
	var plain tls.RecordHeaderError
	switch {
	case errors.Is(err, object.ErrInvalidArgument) && k.Host == "":
		return "write it as [http://|https://]host[:port][/path]"
	case errors.Is(err, object.ErrInvalidKey):
		return fmt.Sprintf("a key has 1 to %d bytes of UTF-8", object.MaxKeyLen)
	case errors.Is(err, errNoAddress), errors.Is(err, object.ErrInvalidArgument):
		for _, a := range k.Addresses {
			if a.private {
				return "set the mirror with the operator's key, or start the server with --allow-source " + a.IP
			}
		}
		return "give the source a public address, or a private one that is not link-local, reserved or a metadata service's"
	case k.URL == "": // the key has no address
		return `ask for a key without "." and ".." segments`
	case errors.As(err, &lookup) && len(k.Answers) == 0:
		return "correct the host, or make it known to the resolver of the machine that the server runs on"
	}
	if last := k.lastConnect(); last != nil {
		switch {
		case last.refused:
			return "let the source redirect to an address that sources may have, or open " + last.Host + " with --allow-source"
		case last.Error != "":
			return "see that something listens at " + last.Host + " and that no firewall is between it and this machine"
		case errors.As(err, &plain):
			return "see that https is spoken there: it may be the wrong scheme, or another port's service"
		case last.TLS != nil && last.TLS.Error != "":
			return "give the source a certificate for its name that this machine trusts (SSL_CERT_FILE may name further authorities)"
		}
	}
	if len(k.Answers) == 0 {
		return "see that " + k.Scheme + " is spoken there: it may be the wrong scheme, or another port's service"
	}
	return k.adviseStatus(err)
}

// lastConnect is the last connection if what went wrong may be its fault: nothing was answered over it.
func (k *checkup) lastConnect() *connect {
	if len(k.Connects) == 0 {
		return nil
	}
	last := &k.Connects[len(k.Connects)-1]
	if last.Error != "" || last.TLS != nil && last.TLS.Error != "" {
		return last
	}
	return nil
}

// adviseStatus says what to do about the last answer.
func (k *checkup) adviseStatus(err error) string {
	status := k.Answers[len(k.Answers)-1].Status
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return "let the source answer without credentials: none are ever sent to it"
	case http.StatusNotFound, http.StatusGone:
		return `check site and key: the key is put behind the site's path as it stands, so a path that is a folder ends in "/"`
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		var later *object.Retry
		if errors.As(err, &later) && later.After > 0 {
			return "ask again in " + later.After.Round(time.Second).String() + ", as the source wants it"
		}
		return "ask again later, or look at the source's limits"
	case http.StatusOK:
		return "let the source send Content-Length, or chunks, and one of them only"
	}
	switch {
	case status >= 300 && status <= 399:
		return "make the site the address that the redirect leads to, if a source may have it, or let the source not redirect"
	case status >= 500:
		return "look at the source's own log: it failed"
	}
	return "see with a plain GET of the URL (curl -i) why the source answers so: only 200 makes an object"
}

// print writes the checkup for people, a line a finding.
func (k *checkup) print(w io.Writer) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("site", "%s", k.Site)
	if k.Host != "" {
		row("read as", "scheme %s, host %s, port %d, path %s", k.Scheme, k.Host, k.Port, k.Path)
	}
	if k.URL != "" {
		row("url", "%s", k.URL)
	}
	for _, a := range k.Addresses {
		if a.Allowed {
			row("address", "%s allowed", a.IP)
		} else {
			row("address", "%s refused: %s", a.IP, a.Why)
		}
	}
	for _, c := range k.Connects {
		switch {
		case c.Error != "":
			row("connect", "%s failed: %s", c.Host, c.Error)
		case c.IP != "":
			row("connect", "%s at %s in %s", c.Host, c.IP, c.Took)
		}
		if c.TLS != nil {
			row("tls", "%s", c.TLS)
		}
	}
	for _, a := range k.Answers {
		to := ""
		if a.Location != "" {
			to = ", leads to " + a.Location
		}
		row("answer", "%d after %s from %s%s", a.Status, a.After, a.URL, to)
	}
	if k.Object != nil {
		k.Object.print(row)
	}
	switch {
	case k.Problem != "":
		row("result", "a fill would fail: %s", k.Problem)
		if k.Advice != "" {
			row("advice", "%s", k.Advice)
		}
	case k.Key == nil:
		row("result", "the site answers; give a KEY to see what a fill would do")
	default:
		row("result", "a fill would store the object; nothing was stored now")
	}
}

func (s *secure) String() string {
	if s.Error != "" {
		return "failed: " + s.Error
	}
	parts := []string{s.Version}
	if s.Protocol != "" {
		parts = append(parts, s.Protocol)
	}
	if s.Subject != "" {
		parts = append(parts, "certificate of "+s.Subject+" by "+s.Issuer+" until "+s.Until)
	}
	return strings.Join(parts, ", ") + " in " + s.Took
}

func (d *candidate) print(row func(name, format string, args ...any)) {
	if d.Size < 0 {
		row("length", "not sent: it is known at the end")
	} else {
		row("length", "%d", d.Size)
	}
	show := func(name string, v validator) {
		word := "weak"
		if v.Strong {
			word = "strong"
		}
		if v.Value != "" {
			row("validator", "%s %s is %s: %s", name, v.Value, word, v.Why)
		}
	}
	show("ETag", d.ETag)
	show("Last-Modified", d.LastModified)
	if d.ETag.Value == "" && d.LastModified.Value == "" {
		row("validator", "none")
	}
	if len(d.Digests) > 0 {
		row("digests", "%s", strings.Join(d.Digests, ", "))
	} else {
		row("digests", "none sent; the length is checked")
	}
	row("ranges", "%s", d.Ranges.Text)
	for _, h := range d.Kept {
		row("kept", "%s: %s", h.Name, h.Value)
	}
	if d.StoredETag != "" {
		row("etag", "%s, %s", d.StoredETag, d.ETagRule)
	} else {
		row("etag", "%s", d.ETagRule)
	}
}
