package fill

import (
	"context"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/origin"
	"github.com/cisternhq/cistern/internal/store"
)

// Fetch brings the one object at w.Source, a whole URL (see [origin.ParseURL]), and has put store it, over whatever is under w.Key; the spool is put's.
// It shares its limits, breakers and checks with the fills, but nobody reads along, and the end of ctx ends it: then, as after any other failure, put
// is not called. It returns what put got.
//
// It fails with [object.ErrFetching] while another fetch brings the same key, or a fill of the same bucket the very same URL, with what put fails with, and
// as [Filler.Get] does.
func (f *Filler) Fetch(ctx context.Context, w Want, put func(object.Meta, store.Spool) error) (object.Meta, error) {
	k := flightKey{bucket: w.Bucket.ID, key: w.Key, source: w.Source, hops: min(w.Hops, origin.MaxHops)}
	f.mu.Lock()
	err := f.mayFetch(k)
	if err != nil {
		f.mu.Unlock()
		return object.Meta{}, err
	}
	fl := newFlight(f, k, w)
	fl.put = put
	f.air[fl] = struct{}{} // and not among those that can be joined
	f.stats.started.Add(1)
	f.wg.Go(fl.run)
	f.mu.Unlock()
	defer context.AfterFunc(ctx, func() { fl.cancel(context.Cause(ctx)) })()
	// To the end also after a cancel: what is stored in this moment is to be told.
	for {
		fl.mu.Lock()
		landed, m, err := fl.landed, fl.meta, fl.result
		progress := fl.watch()
		fl.mu.Unlock()
		if landed {
			return m, err
		}
		<-progress
	}
}

// mayFetch says whether a fetch for k may begin; mu is held.
func (f *Filler) mayFetch(k flightKey) error {
	if f.closed {
		return object.ErrShuttingDown
	}
	url, err := origin.URL(k.source, "")
	if err != nil {
		return err
	}
	for fl := range f.air {
		switch {
		case fl.key.bucket != k.bucket, fl.hasLanded(): // who was told of its end must not be told that it runs
		case fl.put != nil && fl.key.key == k.key:
			return object.Explain(object.ErrFetching, "another fetch into this key is running")
		case fl.put == nil && k.source.Query == "" && fl.source == origin.Name(k.source):
			// Compared unescaped, as a fill may spell the same path in another way.
			if u, err := origin.URL(fl.key.source, fl.key.key); err == nil && u.Path == url.Path {
				return object.Explain(object.ErrFetching, "the mirror of the bucket is fetching this URL, for the key %q", fl.key.key)
			}
		}
	}
	return nil
}
