package fill

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
)

// A large fill that is interrupted, by the end of the server or by its source, goes on later from what is on disk. Now and then the
// flight has the store note what has arrived, and what the object was; whoever wants the key next asks for the first byte that is
// missing, on condition that the object is still the one that it was. If it is not, the fill begins anew.

// checkpoint is what is noted. Its form may change: one that cannot be read counts as none.
type checkpoint struct {
	Meta       object.Meta       `json:"meta"`
	Provenance object.Provenance `json:"provenance"`
	Validator  string            `json:"validator"`
	Ranges     bool              `json:"ranges"`
	Claims     []origin.Claim    `json:"claims,omitempty"`
	Have       []span            `json:"have"`
}

// maxNoted bounds the spans of a checkpoint. Of more, the longest are noted; the rest is fetched again.
const maxNoted = 500

// resumable reports whether the flight is worth noting; mu is held.
func (fl *flight) resumable() bool {
	o := &fl.f.o
	return o.ResumeSize > 0 && fl.size >= o.ResumeSize && fl.spool != nil && fl.relay == nil && fl.head.Validator != "" &&
		!fl.lied && !fl.superseded
}

// note has the store keep what has arrived.
func (fl *flight) note(ctx context.Context, intent store.Intent) error {
	fl.mu.Lock()
	if !fl.resumable() {
		fl.mu.Unlock()
		return nil
	}
	spool := fl.spool
	c := checkpoint{
		Meta: fl.head.Meta, Provenance: fl.head.Provenance, Validator: fl.head.Validator, Ranges: fl.head.Ranges, Claims: fl.head.Claims,
		Have: slices.Clone(fl.have.spans),
	}
	fl.mu.Unlock()
	if len(c.Have) > maxNoted {
		slices.SortFunc(c.Have, func(a, b span) int { return cmp.Compare(b.To-b.From, a.To-a.From) })
		c.Have = c.Have[:maxNoted]
		slices.SortFunc(c.Have, func(a, b span) int { return cmp.Compare(a.From, b.From) })
	}
	doc, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return fl.f.o.Store.SaveFill(ctx, intent, spool, doc)
}

// noter notes a flight every now and then, one note at a time, beside the connections and not in their way.
type noter struct {
	fl     *flight
	intent store.Intent
	tick   <-chan time.Time
	ticker *time.Ticker
	wg     sync.WaitGroup
	mu     sync.Mutex // held while a note is made
}

func newNoter(fl *flight, intent store.Intent) *noter {
	n := &noter{fl: fl, intent: intent}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.resumable() {
		n.ticker = time.NewTicker(fl.f.o.NoteEvery)
		n.tick = n.ticker.C
	}
	return n
}

// write begins a note unless one is being made.
func (n *noter) write() {
	if !n.mu.TryLock() {
		return
	}
	n.wg.Go(func() {
		defer n.mu.Unlock()
		if err := n.fl.note(n.fl.ctx, n.intent); err != nil && !errors.Is(err, object.ErrSuperseded) && n.fl.ctx.Err() == nil {
			n.fl.f.o.Logger.Warn("progress of a fill was not noted", "bucket", n.fl.want.Bucket.Name, "key", n.fl.key.key, "err", err)
		}
	})
}

// stop waits for the note that is being made.
func (n *noter) stop() {
	if n.ticker != nil {
		n.ticker.Stop()
	}
	n.wg.Wait()
}

// resume takes up what an earlier fill of the key left, if the object at the source is still the same. ok is false where there is
// nothing to take up; then the flight begins anew. With an error the rest stays for another time.
func (fl *flight) resume(intent store.Intent) (c *connection, resp *origin.Response, ok bool, err error) {
	st := fl.f.o.Store
	spool, doc, found, err := st.ResumeFill(fl.ctx, intent)
	if err != nil || !found {
		if err != nil {
			fl.f.o.Logger.Warn("an earlier fill cannot be taken up", "bucket", fl.want.Bucket.Name, "key", fl.key.key, "err", err)
		}
		return nil, nil, false, nil
	}
	anew := func() (*connection, *origin.Response, bool, error) {
		if err := spool.Discard(); err != nil {
			fl.f.o.Logger.Warn("spool was not removed", "bucket", fl.want.Bucket.Name, "key", fl.key.key, "err", err)
		}
		return nil, nil, false, nil
	}
	var was checkpoint
	if json.Unmarshal(doc, &was) != nil || !was.sound(fl.f.o.MaxSize) {
		return anew()
	}
	var have segments
	for _, s := range was.Have {
		have.add(s.From, s.To)
	}
	size := was.Meta.Size
	from := have.missing(0)
	if from >= size { // all was there but for the commit: the last byte asks whether it still stands
		from = size - 1
		have = segments{spans: []span{{0, from}}}
	}
	c = fl.newConnection(from, size)
	req := origin.Request{
		Source: fl.key.source, Key: fl.key.key, Hops: fl.want.Hops,
		Range: object.Range{Offset: from, Length: size - from}, Validator: was.Validator,
	}
	resp, err = fl.f.ask(c.ctx, fl.source, req, &fl.requests)
	head := &origin.Response{
		Meta: was.Meta, Provenance: was.Provenance, Status: 200, Ranges: was.Ranges, Validator: was.Validator, Claims: was.Claims,
	}
	switch {
	case errors.Is(err, object.ErrSourceChanged), errors.Is(err, object.ErrSourceBad), errors.Is(err, object.ErrNoSuchKey):
		c.cancel(context.Canceled)
		return anew()
	case err != nil:
		c.cancel(context.Canceled)
		return nil, nil, false, errors.Join(err, st.LeaveFill(context.WithoutCancel(fl.ctx), intent, spool))
	case resp.Status != 206 || fl.same(head, resp, size) != nil:
		resp.Body.Close()
		c.cancel(context.Canceled)
		return anew()
	}
	head.FirstByte = resp.FirstByte
	if err := fl.begin(head, spool, have); err != nil {
		resp.Body.Close()
		c.cancel(context.Canceled)
		return anew()
	}
	return c, resp, true, nil
}

// sound reports whether c can be gone on from.
func (c *checkpoint) sound(maxSize int64) bool {
	if c.Validator == "" || c.Meta.Size <= 0 || c.Meta.Size > min(maxSize, math.MaxInt64-1) {
		return false
	}
	end := int64(0)
	for _, s := range c.Have {
		if s.From < end || s.To <= s.From || s.To > c.Meta.Size {
			return false
		}
		end = s.To
	}
	return true
}

// leaveForLater ends a flight that failed for reasons that may pass, and keeps what has arrived. It reports whether it did.
func (fl *flight) leaveForLater(intent store.Intent, err error) bool {
	if !errors.Is(err, object.ErrShuttingDown) && !errors.Is(err, object.ErrSourceDown) {
		return false
	}
	fl.mu.Lock()
	worth := fl.head != nil && fl.resumable() && fl.have.total() > 0
	spool := fl.spool
	fl.mu.Unlock()
	if !worth {
		return false
	}
	ctx := context.WithoutCancel(fl.ctx)
	if err := fl.note(ctx, intent); err != nil {
		return false
	}
	return fl.f.o.Store.LeaveFill(ctx, intent, spool) == nil
}
