package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/service"
)

func newBucket() *cobra.Command {
	c := &cobra.Command{
		Use:   "bucket",
		Short: "Make, list, look at and remove buckets",
		Example: `  cistern bucket make demo
  cistern bucket ls
  cistern bucket stat demo
  cistern bucket rm demo`,
	}
	c.AddCommand(newBucketMake(), newBucketList(), newBucketStat(), newBucketRemove())
	return group(c)
}

func newBucketMake() *cobra.Command {
	var cl client
	var public bool
	c := &cobra.Command{
		Use:   "make BUCKET",
		Short: "Make a bucket",
		Long: `Make a bucket. It belongs to the owner of the key, and nobody else may read it unless --public is given. Names have 3 to 63
characters of a-z, 0-9 and "-".`,
		Example: `  cistern bucket make demo
  cistern bucket make --public demo`,
		Args: args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := bucketName(args[0])
			if err != nil {
				return err
			}
			b, err := cl.bucket(name)
			if err != nil {
				return err
			}
			if _, err := b.PutWithContext(c.Context()); err != nil {
				return explain(err)
			}
			if !public {
				return nil
			}
			_, err = b.PutACLWithContext(c.Context(), &service.PutBucketACLInput{ACL: []*service.ACLType{{
				Grantee:    &service.GranteeType{Type: service.String("group"), Name: service.String("QS_ALL_USERS")},
				Permission: service.String("READ"),
			}}})
			if err != nil {
				return fmt.Errorf("the bucket was made, but is not public: %w", explain(err))
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&public, "public", false, "let everybody read the bucket's objects")
	return c
}

func newBucketList() *cobra.Command {
	var cl client
	var asJSON bool
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List the buckets",
		Long:    "List the buckets of the key's owner; the operator sees all of them.",
		Example: "  cistern bucket ls --json",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			return listBuckets(c.Context(), &cl, c.OutOrStdout(), asJSON)
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

// held is bucket stat --json.
type held struct {
	URL     string           `json:"url"`
	Zone    string           `json:"zone"`
	Created string           `json:"created,omitempty"`
	Status  string           `json:"status"`
	Objects int64            `json:"objects"`
	Size    int64            `json:"size"`
	Classes map[string]class `json:"classes,omitempty"`
}

// class is what a bucket holds in one storage class.
type class struct {
	Objects int64 `json:"objects"`
	Size    int64 `json:"size"`
}

func newBucketStat() *cobra.Command {
	var cl client
	var asJSON bool
	c := &cobra.Command{
		Use:     "stat BUCKET",
		Short:   "Show how much a bucket holds",
		Long:    "Show how many objects a bucket holds, with how many bytes, as it is at this moment. Only its owner may.",
		Example: "  cistern bucket stat demo",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := bucketName(args[0])
			if err != nil {
				return err
			}
			b, err := cl.bucket(name)
			if err != nil {
				return err
			}
			out, err := b.GetStatisticsWithContext(c.Context())
			if err != nil {
				return explain(err)
			}
			h := held{
				URL: location{Bucket: name}.String(), Zone: service.StringValue(out.Location), Status: service.StringValue(out.Status),
				Objects: service.Int64Value(out.Count), Size: service.Int64Value(out.Size), Classes: map[string]class{},
			}
			if out.Created != nil {
				h.Created = formatTime(*out.Created)
			}
			for name, in := range out.StorageClasses {
				if in != nil {
					h.Classes[name] = class{service.Int64Value(in.Count), service.Int64Value(in.Size)}
				}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), h)
			}
			row := func(name, value string) { fmt.Fprintf(c.OutOrStdout(), "%-14s %s\n", name, printable(value)) }
			row("url", h.URL)
			row("zone", h.Zone)
			row("created", h.Created)
			row("status", h.Status)
			row("objects", fmt.Sprint(h.Objects))
			row("size", fmt.Sprint(h.Size))
			for _, name := range slices.Sorted(maps.Keys(h.Classes)) {
				row(name, fmt.Sprintf("%d objects, %d bytes", h.Classes[name].Objects, h.Classes[name].Size))
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newBucketRemove() *cobra.Command {
	var cl client
	c := &cobra.Command{
		Use:     "rm BUCKET",
		Short:   "Remove an empty bucket",
		Long:    "Remove an empty bucket with its settings. Remove its objects first: cistern rm -r qs://BUCKET",
		Example: "  cistern bucket rm demo",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := bucketName(args[0])
			if err != nil {
				return err
			}
			b, err := cl.bucket(name)
			if err != nil {
				return err
			}
			_, err = b.DeleteWithContext(c.Context())
			return explain(err)
		},
	}
	cl.flags(c)
	return c
}
