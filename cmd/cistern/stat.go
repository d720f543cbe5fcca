package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/service"
)

// described is stat --json.
type described struct {
	URL          string            `json:"url"`
	Size         *int64            `json:"size,omitempty"`
	Type         string            `json:"type,omitempty"`
	ETag         string            `json:"etag,omitempty"`
	Modified     string            `json:"modified,omitempty"`
	StorageClass string            `json:"storage_class,omitempty"`
	Meta         map[string]string `json:"meta,omitempty"`
}

func newStat() *cobra.Command {
	var cl client
	var asJSON bool
	c := &cobra.Command{
		Use:   "stat qs://BUCKET[/KEY]",
		Short: "Show what is known of an object",
		Long: `Show what is known of an object, or whether a bucket is there. An object that only the source has is looked up there and not
fetched. The exit code is 4 if there is none.`,
		Example: `  cistern stat qs://demo/a.txt
  cistern stat --json qs://demo/a.txt`,
		Args: args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := parseLocation(args[0])
			if err != nil {
				return err
			}
			b, err := cl.bucket(at.Bucket)
			if err != nil {
				return err
			}
			d := described{URL: at.String()}
			if at.Key == "" {
				if _, err := b.HeadWithContext(c.Context()); err != nil {
					return fmt.Errorf("%s: %w", at, explain(err))
				}
			} else {
				out, err := b.HeadObjectWithContext(c.Context(), at.Key, nil)
				if err != nil {
					return fmt.Errorf("%s: %w", printable(at.String()), explain(err))
				}
				d.Size = out.ContentLength
				d.Type, d.ETag = service.StringValue(out.ContentType), service.StringValue(out.ETag)
				d.StorageClass = service.StringValue(out.XQSStorageClass)
				if out.LastModified != nil {
					d.Modified = formatTime(*out.LastModified)
				}
				if out.XQSMetaData != nil {
					d.Meta = *out.XQSMetaData
				}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), d)
			}
			row := func(name, value string) {
				if value != "" {
					fmt.Fprintf(c.OutOrStdout(), "%-14s %s\n", name, printable(value))
				}
			}
			row("url", d.URL)
			if d.Size != nil {
				row("size", fmt.Sprint(*d.Size))
			}
			row("type", d.Type)
			row("etag", d.ETag)
			row("modified", d.Modified)
			row("storage class", d.StorageClass)
			for _, name := range slices.Sorted(maps.Keys(d.Meta)) {
				row(name, d.Meta[name])
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
