package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/service"
)

func newMirrorCheck() *cobra.Command {
	var cl client
	var asJSON, strict bool
	var allow []string
	c := &cobra.Command{
		Use:   "check URL|BUCKET [KEY]",
		Short: "Say step by step what a fill from a source would do",
		Long: `Say step by step what a fill from a source would do: how the site is read, where a key is, which addresses the host has and which
of them are allowed, and, if a KEY is given, what the source answers for it and what would be kept of that. The source is asked from this
machine, with the code that the server uses. Nothing is stored.

A BUCKET's site is read from its setting. Addresses are judged as for a setting made with the operator's key; --strict judges them as for
everybody else's. --allow-source is the server's flag of that name.

The exit code is 0 if a fill would work, 1 if not, and 4 if the source has no such object.`,
		Example: `  cistern mirror check https://example.org/files/ a.txt
  cistern mirror check demo a.txt --json`,
		Args: args(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			site := args[0]
			if name, err := bucketName(site); err == nil {
				b, err := cl.bucket(name)
				if err != nil {
					return err
				}
				out, err := b.GetExternalMirrorWithContext(c.Context())
				if err != nil {
					return explain(err)
				}
				site = service.StringValue(out.SourceSite)
			}
			o := origin.Options{UserAgent: "Cistern/" + version}
			for _, a := range allow {
				one, err := origin.ParseAllow(a)
				if err != nil {
					return usagef("--allow-source: %v", err)
				}
				o.Allow = append(o.Allow, one)
			}
			k := checkup{Site: site, o: o, strict: strict}
			if len(args) > 1 {
				k.Key = args[1]
			}
			err := k.run(c.Context())
			if err != nil {
				k.Problem = clientText(err)
			}
			if asJSON {
				if perr := printJSON(c.OutOrStdout(), k); perr != nil {
					return perr
				}
			} else {
				k.print(c.OutOrStdout())
			}
			if err != nil {
				return &coded{code: exitCode(err), err: errReported}
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&strict, "strict", false, "judge addresses as for settings that are not the operator's")
	c.Flags().StringArrayVar(&allow, "allow-source", nil, "CIDR, address or host that is opened (repeatable)")
	return c
}

// checkup is what mirror check found out, as far as it got.
type checkup struct {
	Site string `json:"source_site"`
	Key  string `json:"key,omitempty"`

	Scheme string `json:"scheme,omitempty"`
	Host   string `json:"host,omitempty"`
	Port   uint16 `json:"port,omitempty"`
	Path   string `json:"path,omitempty"`

	URL       string    `json:"url,omitempty"`
	Addresses []address `json:"addresses,omitempty"`
	Answer    *reply    `json:"answer,omitempty"`
	// Problem is why a fill would not work; "" if nothing was found.
	Problem string `json:"problem,omitempty"`

	o      origin.Options
	strict bool
}

type address struct {
	IP      string `json:"ip"`
	Allowed bool   `json:"allowed"`
	Why     string `json:"why,omitempty"`
}

type reply struct {
	Status    int      `json:"status"`
	URL       string   `json:"url"` // after redirects, without its query
	Redirects bool     `json:"redirected"`
	FirstByte string   `json:"first_byte"`
	Size      int64    `json:"size"` // -1: the source did not say
	Validator string   `json:"validator,omitempty"`
	Ranges    string   `json:"ranges"`
	Digests   []string `json:"digests,omitempty"`
	ETag      string   `json:"etag"` // that the object would have
	Kept      []header `json:"kept"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (k *checkup) run(ctx context.Context) error {
	src, err := origin.ParseSite(k.Site)
	if err != nil {
		return err
	}
	src.Private = !k.strict
	k.Scheme, k.Host, k.Port, k.Path = src.Scheme, src.Host, src.Port, src.Path
	client := origin.New(k.o)
	defer client.Close()
	if err := client.CheckSite(src); err != nil {
		return err
	}
	if k.Key != "" {
		if err := object.CheckKey(k.Key); err != nil {
			return err
		}
	}
	u, err := origin.URL(src, k.Key)
	if err != nil {
		return err
	}
	k.URL = u.String()
	if err := k.resolve(ctx, client, src); err != nil {
		return err
	}
	if k.Key == "" {
		return nil
	}
	return k.ask(ctx, client, src, u)
}

// resolve looks the host up and asks the guard about each address, by way of connections that are never made.
func (k *checkup) resolve(ctx context.Context, client *origin.Client, src object.Source) error {
	resolver := &net.Resolver{PreferGo: true}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ips, err := resolver.LookupNetIP(ctx, "ip", src.Host)
	if err != nil {
		return fmt.Errorf("the host cannot be looked up: %w", err)
	}
	var mu sync.Mutex // guards passed
	var passed []netip.Addr
	probe := k.o
	probe.Resolver = resolver
	probe.Dial = func(_ context.Context, _ string, to netip.AddrPort) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		passed = append(passed, to.Addr())
		return nil, errors.New("not connected: only asked for")
	}
	dry := origin.New(probe)
	defer dry.Close()
	// It fails, because no connection is made; which addresses it would have connected to is the answer.
	if resp, err := dry.Fetch(ctx, origin.Request{Source: src, Key: "x"}); err == nil {
		_ = resp.Body.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	for _, ip := range ips {
		ip = ip.Unmap()
		a := address{IP: ip.String(), Allowed: slices.Contains(passed, ip)}
		if !a.Allowed {
			literal := src
			literal.Host = ip.String()
			if err := client.CheckSite(literal); err != nil {
				a.Why = clientText(err)
			} else {
				a.Why = "not an address that sources may have"
			}
		}
		k.Addresses = append(k.Addresses, a)
	}
	if len(passed) == 0 {
		return errors.New("no address of the host is allowed")
	}
	return nil
}

// ask asks for the key as a fill does, reads nothing of the body, and tries a range if one is offered.
func (k *checkup) ask(ctx context.Context, client *origin.Client, src object.Source, u *url.URL) error {
	resp, err := client.Fetch(ctx, origin.Request{Source: src, Key: k.Key})
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // the rest of the body is not wanted
	r := &reply{
		Status: resp.Status, URL: resp.Provenance.URL, Redirects: resp.Provenance.URL != u.String(),
		FirstByte: resp.FirstByte.Round(time.Microsecond).String(), Size: resp.Meta.Size, Validator: resp.Validator, ETag: resp.Meta.ETag,
	}
	if r.ETag == "" {
		r.ETag = "the MD5 of the body"
	}
	for _, c := range resp.Claims {
		r.Digests = append(r.Digests, c.Header)
	}
	r.Kept = kept(resp.Meta)
	k.Answer = r
	switch {
	case !resp.Ranges:
		r.Ranges = "not offered: one connection, no resume"
	case resp.Validator == "":
		r.Ranges = "offered, but without a strong validator: one connection, no resume"
	case resp.Meta.Size < 1:
		r.Ranges = "offered"
	default:
		last := object.Range{Offset: resp.Meta.Size - 1, Length: 1}
		part, err := client.Fetch(ctx, origin.Request{Source: src, Key: k.Key, Range: last, Validator: resp.Validator})
		switch {
		case err != nil:
			r.Ranges = "offered, but the last byte was not answered: " + clientText(err)
		case part.Status != 206:
			r.Ranges = fmt.Sprintf("offered, but answered with %d", part.Status)
		default:
			r.Ranges = "yes: seeks, several connections and resume work"
		}
		if err == nil {
			_ = part.Body.Close()
		}
	}
	return nil
}

// kept lists what of the answer's header would be stored.
func kept(m object.Meta) []header {
	list := []header{}
	for _, h := range []header{
		{"content-type", m.ContentType}, {"content-encoding", m.ContentEncoding}, {"content-language", m.ContentLanguage},
		{"content-disposition", m.ContentDisposition}, {"cache-control", m.CacheControl}, {"expires", m.Expires}, {"etag", m.ETag},
	} {
		if h.Value != "" {
			list = append(list, h)
		}
	}
	if !m.LastModified.IsZero() {
		list = append(list, header{"last-modified", formatTime(m.LastModified)})
	}
	var names []string
	for name := range m.User {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, header{"x-qs-meta-" + name, m.User[name]})
	}
	return list
}

// clientText is all that is known of an error: this runs on the user's own machine, so there is nothing to hide.
func clientText(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (k *checkup) print(w io.Writer) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("site", "%s", k.Site)
	if k.Host != "" {
		row("read as", "scheme %s, host %s, port %d, path %s", k.Scheme, k.Host, k.Port, k.Path)
	}
	if k.URL != "" && k.Key != "" {
		row("url", "%s", k.URL)
	}
	for _, a := range k.Addresses {
		if a.Allowed {
			row("address", "%s allowed", a.IP)
		} else {
			row("address", "%s refused: %s", a.IP, a.Why)
		}
	}
	if r := k.Answer; r != nil {
		row("answer", "%d after %s", r.Status, r.FirstByte)
		if r.Redirects {
			row("from", "%s", r.URL)
		}
		if r.Size < 0 {
			row("length", "not sent")
		} else {
			row("length", "%d", r.Size)
		}
		if r.Validator != "" {
			row("validator", "%s", r.Validator)
		}
		row("ranges", "%s", r.Ranges)
		if len(r.Digests) > 0 {
			row("digests", "%s", strings.Join(r.Digests, ", "))
		}
		for _, h := range r.Kept {
			row("kept", "%s: %s", h.Name, h.Value)
		}
		row("etag", "%s", r.ETag)
	}
	switch {
	case k.Problem != "":
		row("result", "a fill would fail: %s", k.Problem)
	case k.Key == "":
		row("result", "no problem found; give a KEY to ask the source for an object")
	default:
		row("result", "a fill would store the object; nothing was stored now")
	}
}
