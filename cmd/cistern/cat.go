package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/service"
)

func newCat() *cobra.Command {
	var cl client
	var span string
	c := &cobra.Command{
		Use:   "cat qs://BUCKET/KEY...",
		Short: "Write objects to standard output",
		Long: `Write objects to standard output while they arrive. A body that breaks off is an error (exit code 1), whatever was written
before. A server that says when to come back (429 or 503 with Retry-After, up to a minute) is asked again, three times at most.`,
		Example: `  cistern cat qs://demo/a.txt
  cistern cat --range 0-1023 qs://demo/big.iso | xxd`,
		Args: args(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			var targets []location
			for _, arg := range args {
				at, err := parseObject(arg)
				if err != nil {
					return err
				}
				targets = append(targets, at)
			}
			for _, at := range targets {
				b, err := cl.bucket(at.Bucket)
				if err != nil {
					return err
				}
				var in *service.GetObjectInput
				if span != "" {
					in = &service.GetObjectInput{Range: service.String("bytes=" + span)}
				}
				if _, err := download(c.Context(), b, at.Key, in, c.OutOrStdout(), &bar{}); err != nil {
					return fmt.Errorf("%s: %w", printable(at.String()), explain(err))
				}
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().StringVar(&span, "range", "", "only these bytes: FIRST-LAST, FIRST- or -COUNT")
	return c
}

// download writes an object's body to w, shows how far it got, and checks that all of it came.
func download(ctx context.Context, b *service.Bucket, key string, in *service.GetObjectInput, w io.Writer, shown *bar) (int64, error) {
	r, out, err := b.GetObjectRequest(key, in)
	if err == nil {
		err = sendPatiently(ctx, r)
	}
	if err != nil {
		return 0, err
	}
	defer out.Close()
	if out.ContentLength != nil {
		shown.total(*out.ContentLength)
	}
	n, err := io.Copy(io.MultiWriter(w, shown), out.Body)
	if err == nil && out.ContentLength != nil && n != *out.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("after %d bytes: %w", n, err)
	}
	return n, nil
}
