package main

import (
	"context"
	"errors"
	"sync"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/service"
)

func newRemove() *cobra.Command {
	var cl client
	var recursive, asJSON, quiet bool
	c := &cobra.Command{
		Use:   "rm qs://BUCKET/KEY...",
		Short: "Remove objects",
		Long: `Remove objects. Removing what is not there is no error. An object of a bucket with a source site is fetched again when it is asked
for the next time.

With -r everything below the folder is removed: "qs://b/dir" and "qs://b/dir/" both mean the keys that begin with "dir/", and
"qs://b" means all of the bucket. After one object failed the others are still removed; the exit code is 3 then.`,
		Example: `  cistern rm qs://demo/a.txt
  cistern rm -r qs://demo/docs/`,
		Args: args(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			var targets []location
			for _, arg := range args {
				parse := parseObject
				if recursive {
					parse = parseLocation
				}
				at, err := parse(arg)
				if err != nil {
					return err
				}
				targets = append(targets, at)
			}
			sum := &batch{verb: "removed", json: asJSON, quiet: quiet, out: c.OutOrStdout(), log: c.ErrOrStderr()}
			for _, at := range targets {
				if err := remove(c.Context(), &cl, at, recursive, sum); err != nil {
					return err
				}
			}
			return sum.end()
		},
	}
	cl.flags(c)
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "remove everything below the folder or bucket")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print failures only")
	return c
}

// remove removes one object or all below a folder. Its error is one of the command; those of single objects go to sum.
func remove(ctx context.Context, cl *client, at location, recursive bool, sum *batch) error {
	b, err := cl.bucket(at.Bucket)
	if err != nil {
		return err
	}
	if !recursive {
		_, err := b.DeleteObjectWithContext(ctx, at.Key)
		sum.add(at.String(), "", 0, err)
		return nil
	}
	work := make(chan string)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for key := range work {
				_, err := b.DeleteObjectWithContext(ctx, key)
				sum.add(location{at.Bucket, key}.String(), "", 0, err)
			}
		})
	}
	err = eachObject(ctx, b, folder(at.Key), func(e entry) error {
		select {
		case work <- e.Key:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(work)
	wg.Wait()
	if err != nil {
		sum.add(at.String(), "", 0, err)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	return nil
}

// workers is how many objects are copied or removed at a time.
const workers = 4

// eachObject calls f for each object below prefix until it fails.
func eachObject(ctx context.Context, b *service.Bucket, prefix string, f func(entry) error) error {
	for e, err := range list(ctx, b, prefix, "") {
		if err != nil {
			return err
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}
