package origin

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/cisternhq/cistern/internal/object"
)

// Target is where something is sent to: an address with a query. Make one with [ParseTarget]; it is comparable.
type Target struct {
	// Source is the address, whose path is the whole one. Its Private is the caller's to set.
	Source object.Source
	// Query is what stands behind the "?", as it is; "" for none.
	Query string
}

// ParseTarget reads an address as [ParseSite] does, with the same errors, and with a query where there is one.
func ParseTarget(s string) (Target, error) {
	if len(s) > maxSite {
		return Target{}, object.Explain(object.ErrInvalidArgument, "the address has %d bytes; at most %d are allowed", len(s), maxSite)
	}
	site, query, _ := strings.Cut(s, "?")
	for i := range len(query) {
		if c := query[i]; c <= 0x20 || c == 0x7f || c == '#' || c == '\\' {
			return Target{}, object.Explain(object.ErrInvalidArgument, "the query holds a blank, a control character, a fragment (#) or a backslash")
		}
	}
	src, err := ParseSite(site)
	if err != nil {
		return Target{}, asTarget(err)
	}
	return Target{Source: src, Query: query}, nil
}

// CheckTarget is CheckSite for a target.
func (c *Client) CheckTarget(t Target) error { return asTarget(c.CheckSite(t.Source)) }

// asTarget leaves the name of the setting that sites stand in out of an error.
func asTarget(err error) error {
	var explained *object.Explained
	if !errors.As(err, &explained) {
		return err
	}
	return &object.Explained{Kind: explained.Kind, Text: strings.TrimPrefix(explained.Text, "source_site: "), Cause: explained.Cause}
}

// url is the address as it is asked for.
func (t Target) url() (*url.URL, error) {
	path, err := url.PathUnescape(t.Source.Path)
	if err != nil {
		return nil, object.Explain(object.ErrSourceBad, "the address cannot be asked for")
	}
	return &url.URL{Scheme: t.Source.Scheme, Host: authority(t.Source), Path: path, RawPath: t.Source.Path, RawQuery: t.Query}, nil
}

// Post sends body, at most a few KiB, to t and returns the status of the answer, of which nothing else is kept. The guard judges the address as that of a
// source; redirects are answers like others, so nothing leads elsewhere. ctx bounds it all. It fails with object.ErrSourceDown or object.ErrSourceBad.
func (c *Client) Post(ctx context.Context, t Target, contentType string, body []byte) (status int, err error) {
	u, err := t.url()
	if err != nil {
		return 0, err
	}
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, object.Explain(object.ErrSourceBad, "the address cannot be asked for")
	}
	out.URL = u // as it was built: String and Parse could spell it anew
	out.Header.Set("User-Agent", c.o.UserAgent)
	out.Header.Set("Content-Type", contentType)
	out.Header.Set("Accept-Encoding", "identity")
	resp, err := c.pools[reachOf(t.Source)].RoundTrip(out)
	if err != nil {
		return 0, failure(ctx, err)
	}
	drain(resp.Body)
	return resp.StatusCode, nil
}
