package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/service"
)

func newList() *cobra.Command {
	var cl client
	var recursive, asJSON bool
	c := &cobra.Command{
		Use:   "ls [qs://BUCKET[/PREFIX]]",
		Short: "List buckets or objects",
		Long: `List the buckets, or what is stored in one. Without -r what has a "/" after the prefix is folded into one line for each folder.
The listing shows what is stored, not what the source has. Times are UTC. A name with characters that a terminal would not show
is quoted. With --json each line is one object.`,
		Example: `  cistern ls
  cistern ls qs://demo/docs/
  cistern ls -r --json qs://demo`,
		Args: args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listBuckets(c.Context(), &cl, c.OutOrStdout(), asJSON)
			}
			at, err := parseLocation(args[0])
			if err != nil {
				return err
			}
			return listObjects(c.Context(), &cl, c.OutOrStdout(), at, recursive, asJSON)
		},
	}
	cl.flags(c)
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "list every object, do not fold folders")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

func listObjects(ctx context.Context, cl *client, w io.Writer, at location, recursive, asJSON bool) error {
	b, err := cl.bucket(at.Bucket)
	if err != nil {
		return err
	}
	delimiter := "/"
	if recursive {
		delimiter = ""
	}
	for e, err := range list(ctx, b, at.Key, delimiter) {
		if err != nil {
			return explain(err)
		}
		if err := printEntry(w, at.Bucket, e, asJSON); err != nil {
			return err
		}
	}
	return nil
}

// listed is one line of ls --json.
type listed struct {
	Key      string `json:"key,omitempty"`
	Prefix   string `json:"prefix,omitempty"`
	Size     *int64 `json:"size,omitempty"`
	Modified string `json:"modified,omitempty"`
	ETag     string `json:"etag,omitempty"`
	Type     string `json:"type,omitempty"`
}

func printEntry(w io.Writer, bucket string, e entry, asJSON bool) error {
	var err error
	switch name := printable(location{bucket, e.Key}.String()); {
	case asJSON && e.Prefix:
		err = printJSON(w, listed{Prefix: e.Key})
	case asJSON:
		err = printJSON(w, listed{Key: e.Key, Size: &e.Size, Modified: formatTime(e.Modified), ETag: e.ETag, Type: e.Type})
	case e.Prefix:
		_, err = fmt.Fprintf(w, "%20s  %12s  %s\n", "", "-", name)
	default:
		_, err = fmt.Fprintf(w, "%20s  %12d  %s\n", formatTime(e.Modified), e.Size, name)
	}
	return err
}

func listBuckets(ctx context.Context, cl *client, w io.Writer, asJSON bool) error {
	if err := cl.open(); err != nil {
		return err
	}
	in := &service.ListBucketsInput{}
	if cl.zone != "" {
		in.Location = service.String(cl.zone)
	}
	out, err := cl.svc.ListBucketsWithContext(ctx, in)
	if err != nil {
		return explain(err)
	}
	for _, b := range out.Buckets {
		created := ""
		if b.Created != nil {
			created = formatTime(*b.Created)
		}
		name, zone := service.StringValue(b.Name), service.StringValue(b.Location)
		if asJSON {
			err = printJSON(w, struct {
				Name    string `json:"name"`
				Zone    string `json:"zone,omitempty"`
				Created string `json:"created,omitempty"`
			}{name, zone, created})
		} else {
			_, err = fmt.Fprintf(w, "%20s  %-8s  %s\n", created, zone, scheme+name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
