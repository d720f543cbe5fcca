package origin

import (
	"context"

	"github.com/cisternhq/cistern/internal/object"
)

// Open asks for t itself, as [Client.Fetch] asks for a key at a source, and with the same errors. The caller closes the body. hops is how many servers of
// this kind the request came through.
func (c *Client) Open(ctx context.Context, t Target, hops int) (*Response, error) {
	if hops >= MaxHops {
		return nil, object.Explain(object.ErrSourceBad, "the request came through %d mirrors already: do they mirror one another?", hops)
	}
	u, err := t.url()
	if err != nil {
		return nil, err
	}
	return c.get(ctx, u, Request{Source: t.Source, Hops: hops})
}
