package node_test

import (
	"fmt"
	"testing"

	"github.com/cisternhq/cistern/internal/cisterntest"
)

// A source whose object changes before the first byte of it went out: the client gets the new one whole, and not an error.
func TestChangedBeforeTheFirstByte(t *testing.T) {
	older, newer := text(1000), text(2000)
	cut := func(c *cisterntest.Conn, _ cisterntest.Request) {
		c.Head(200, `ETag: "v1"`, fmt.Sprintf("Content-Length: %d", len(older)))
	}
	next := says(whole(newer, `ETag: "v2"`))
	o := cisterntest.NewOrigin(t, steps(cut, next, next))
	b := newBench(t, o.URL())
	r := b.send("GET", "k")
	r.ok(200, newer)
	r.has("Etag", `"v2"`)
	b.landed() // the flight of the old one, and
	b.landed() // that of the new one
	b.stored("k", newer)
	b.sees(o, 3)
}
