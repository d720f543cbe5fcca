package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
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
of them are allowed, how connecting and TLS go, every redirect, and what the source answers for the KEY: its length, validators,
digests, whether it serves ranges, which headers would be kept and which ETag the object would have. Without a KEY the site's own
path is asked for, and any answer is a good one. The source is asked from this machine, with the code that the server uses, once
for the object and once for its last byte. Nothing is stored.

A BUCKET's site is read from its setting. Addresses are judged as for a setting made with the operator's key; --strict judges them as for
everybody else's. --allow-source is the server's flag of that name. What is refused comes with a line "advice" that says what to do.

The exit code is 0 if a fill would work, 1 if not, 2 for wrong usage, and 4 if the source has no such object or the BUCKET no setting.`,
		Example: `  cistern mirror check https://example.org/files/
  cistern mirror check https://example.org/files/ a.txt
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
			k := checkup{Site: site, private: !strict}
			if len(args) > 1 {
				k.Key = &args[1]
			}
			err := k.run(c.Context(), o)
			if err != nil {
				k.Problem, k.Advice = oneLine(err), k.advise(err)
			}
			if asJSON {
				if perr := printJSON(c.OutOrStdout(), &k); perr != nil {
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
	Site string  `json:"source_site"`
	Key  *string `json:"key,omitempty"` // nil: only the site is checked

	Scheme string `json:"scheme,omitempty"`
	Host   string `json:"host,omitempty"`
	Port   uint16 `json:"port,omitempty"`
	Path   string `json:"path,omitempty"`

	URL       string     `json:"url,omitempty"`
	Addresses []address  `json:"addresses,omitempty"`
	Connects  []connect  `json:"connects,omitempty"`
	Answers   []reply    `json:"answers,omitempty"` // redirects first
	Object    *candidate `json:"object,omitempty"`
	// Problem is why a fill would not work, Advice what to do about it; "" if nothing was found.
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`

	private bool // judge as for the operator's settings
	way     way
}

type address struct {
	IP      string `json:"ip"`
	Allowed bool   `json:"allowed"`
	Why     string `json:"why,omitempty"`

	private bool // refused only because the setting is not the operator's
}

// connect is one connection that was tried.
type connect struct {
	Host  string  `json:"host"` // with its port
	IP    string  `json:"ip,omitempty"`
	Took  string  `json:"took"`
	TLS   *secure `json:"tls,omitempty"`
	Error string  `json:"error,omitempty"`

	refused bool // by the guard
}

type secure struct {
	Version  string `json:"version,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Subject  string `json:"subject,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	Until    string `json:"valid_until,omitempty"`
	Took     string `json:"took"`
	Error    string `json:"error,omitempty"`
}

// reply is one response head.
type reply struct {
	URL      string `json:"url"` // without its query, as all URLs here
	Status   int    `json:"status"`
	Location string `json:"location,omitempty"`
	After    string `json:"after"` // since the first request
}

// candidate is the object as a fill would store it.
type candidate struct {
	Size         int64     `json:"size"` // -1: the source did not say
	ETag         validator `json:"source_etag,omitzero"`
	LastModified validator `json:"source_last_modified,omitzero"`
	Digests      []string  `json:"digests"` // that would be checked
	Ranges       ranges    `json:"ranges"`
	Kept         []header  `json:"kept"`
	StoredETag   string    `json:"etag"` // which the object would have, "" if that takes its bytes
	ETagRule     string    `json:"etag_rule"`
}

type validator struct {
	Value  string `json:"value"`
	Strong bool   `json:"strong"`
	Why    string `json:"why"`
}

// ranges is what asking for a part of the object came to.
type ranges struct {
	Offered bool   `json:"offered"`         // by Accept-Ranges
	Asked   string `json:"asked,omitempty"` // "" if it was of no use
	Status  int    `json:"status,omitempty"`
	Resume  bool   `json:"resume"`   // a broken connection can be resumed
	Split   bool   `json:"parallel"` // several connections, and seeks into what has not arrived
	Text    string `json:"text"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// way collects what a request does on its way; its functions are called from several goroutines.
type way struct {
	mu       sync.Mutex // guards the fields below
	connects []connect
	answers  []reply
}

func (w *way) trace() *origin.Trace {
	return &origin.Trace{
		Connected: func(c origin.Connection) {
			w.mu.Lock()
			defer w.mu.Unlock()
			one := connect{Host: c.Host, Took: round(c.Took)}
			if c.Err != nil {
				one.Error, one.refused = oneLine(c.Err), origin.Refused(c.Err)
			} else if c.To.IsValid() {
				one.IP = c.To.Addr().String()
			}
			w.connects = append(w.connects, one)
		},
		Secured: func(h origin.Handshake) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for i := len(w.connects) - 1; i >= 0; i-- {
				if w.connects[i].Host == h.Host && w.connects[i].TLS == nil {
					w.connects[i].TLS = describeTLS(h)
					return
				}
			}
		},
		Answered: func(a origin.Answer) {
			w.mu.Lock()
			defer w.mu.Unlock()
			location, _, _ := strings.Cut(a.Header.Get("Location"), "?")
			if a.Status < 300 || a.Status > 399 {
				location = ""
			}
			w.answers = append(w.answers, reply{URL: a.URL, Status: a.Status, Location: location, After: round(a.Took)})
		},
	}
}

// seen copies what there is by now.
func (w *way) seen() ([]connect, []reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.connects), slices.Clone(w.answers)
}

func describeTLS(h origin.Handshake) *secure {
	s := &secure{Took: round(h.Took)}
	if h.Err != nil {
		s.Error = oneLine(h.Err)
		return s
	}
	s.Version, s.Protocol = tls.VersionName(h.State.Version), h.State.NegotiatedProtocol
	if len(h.State.PeerCertificates) > 0 {
		cert := h.State.PeerCertificates[0]
		s.Subject, s.Issuer, s.Until = cert.Subject.String(), cert.Issuer.String(), formatTime(cert.NotAfter)
	}
	return s
}

func round(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

// run goes as far as a fill would, and returns what stopped it.
func (k *checkup) run(ctx context.Context, o origin.Options) error {
	src, err := origin.ParseSite(k.Site)
	if err != nil {
		return err
	}
	src.Private = k.private
	k.Scheme, k.Host, k.Port, k.Path = src.Scheme, src.Host, src.Port, src.Path
	client := origin.New(o)
	defer client.Close()
	if err := client.CheckSite(src); err != nil {
		_ = k.judge(ctx, client, src) // what it finds is shown; the refusal says as much
		return err
	}
	key := ""
	if k.Key != nil {
		key = *k.Key
		if err := object.CheckKey(key); err != nil {
			return err
		}
	}
	u, err := origin.URL(src, key)
	if err != nil {
		return err
	}
	k.URL = u.String()
	if err := k.judge(ctx, client, src); err != nil {
		return err
	}
	resp, err := client.Fetch(origin.WithTrace(ctx, k.way.trace()), origin.Request{Source: src, Key: key})
	if err == nil {
		_ = resp.Body.Close() // the rest of the body is not wanted
	}
	k.Connects, k.Answers = k.way.seen()
	switch {
	case k.Key == nil && len(k.Answers) > 0:
		return nil // the path itself need not be an object
	case err != nil:
		return err
	case k.Key == nil:
		return nil
	}
	k.Object = describe(resp)
	k.Object.Ranges = tryRange(ctx, client, src, key, resp)
	return nil
}

// errNoAddress: the host has addresses, but none that a source may have.
var errNoAddress = errors.New("no address of the host is allowed")

// judge looks the host up and asks the guard about each address.
func (k *checkup) judge(ctx context.Context, client *origin.Client, src object.Source) error {
	verdicts, err := client.Judge(ctx, src)
	if err != nil {
		return fmt.Errorf("the host cannot be looked up: %w", err)
	}
	allowed := false
	for _, v := range verdicts {
		a := address{IP: v.Addr.String(), Allowed: v.Err == nil, private: v.Private}
		if v.Err != nil {
			a.Why = oneLine(v.Err)
		}
		allowed = allowed || a.Allowed
		k.Addresses = append(k.Addresses, a)
	}
	if !allowed {
		return errNoAddress
	}
	return nil
}

// describe says what a fill would make of the source's answer.
func describe(resp *origin.Response) *candidate {
	d := &candidate{Size: resp.Meta.Size, Digests: []string{}, Kept: kept(resp.Meta)}
	etag, modified := resp.Provenance.ETag, resp.Provenance.LastModified
	switch {
	case etag == "":
	case etag == resp.Validator:
		d.ETag = validator{etag, true, "it names these very bytes"}
	case strings.HasPrefix(etag, "W/"):
		d.ETag = validator{etag, false, "the bytes may differ under one tag; it is not kept"}
	default:
		d.ETag = validator{etag, false, "it is no entity tag as RFC 9110 writes it; it is not kept"}
	}
	switch {
	case modified == "":
	case modified == resp.Validator:
		d.LastModified = validator{modified, true, "the source's Date is later, so no second change can hide in that second"}
	case etag != "":
		d.LastModified = validator{modified, false, "the ETag counts"}
	default:
		d.LastModified = validator{modified, false, "it is no date, or the source's Date is not at least a second later"}
	}
	md5 := false
	for _, c := range resp.Claims {
		d.Digests = append(d.Digests, c.Header+" ("+c.Algorithm+")")
		md5 = md5 || c.Header == "etag"
	}
	switch tag := resp.Meta.ETag; {
	case tag == "":
		d.ETagRule = "the MD5 of the body"
	case !isMD5(tag):
		d.StoredETag, d.ETagRule = tag, "the source's"
	case md5:
		d.StoredETag, d.ETagRule = tag, "the source's, which has to be the MD5 of the body"
	default:
		d.ETagRule = tag + ", the source's, if it is the MD5 of the body, else " + strings.TrimSuffix(tag, `"`) + `-m"`
	}
	return d
}

// isMD5 reports whether a client would take tag for the MD5 of the body.
func isMD5(tag string) bool {
	return len(tag) == 34 && strings.Trim(strings.ToLower(tag), `"0123456789abcdef`) == ""
}

// tryRange asks for the last byte, as a fill that resumes would.
func tryRange(ctx context.Context, client *origin.Client, src object.Source, key string, resp *origin.Response) ranges {
	r := ranges{Offered: resp.Ranges}
	switch {
	case resp.Meta.Size < 0:
		r.Text = "not asked for: the source does not say the length; one connection, no resume"
		return r
	case resp.Validator == "":
		r.Text = "not asked for: there is no strong validator; one connection, no resume"
		return r
	case resp.Meta.Size == 0:
		r.Text = "not asked for: the object is empty"
		return r
	}
	last := object.Range{Offset: resp.Meta.Size - 1, Length: 1}
	r.Asked = fmt.Sprintf("bytes=%d-%d", last.Offset, last.Offset)
	var w way
	part, err := client.Fetch(origin.WithTrace(ctx, w.trace()), origin.Request{Source: src, Key: key, Range: last, Validator: resp.Validator})
	if err == nil {
		_ = part.Body.Close()
	}
	if _, answers := w.seen(); len(answers) > 0 {
		r.Status = answers[len(answers)-1].Status
	}
	r.Resume = err == nil && part.Status == http.StatusPartialContent
	r.Split = r.Resume && r.Offered
	switch {
	case err != nil:
		r.Text = "no: the last byte was not answered: " + oneLine(err)
	case !r.Resume:
		r.Text = fmt.Sprintf("no: the last byte was asked for and answered with %d; one connection, no resume", part.Status)
	case r.Split:
		r.Text = "yes: resume, seeks and several connections work"
	default:
		r.Text = `for resume only: without "Accept-Ranges: bytes" seeks and several connections are not tried`
	}
	return r
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

// oneLine is all that is known of an error: this runs on the user's own machine, so there is nothing to hide.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
