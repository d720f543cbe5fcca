package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/service"
)

func newBucket() *cobra.Command {
	c := &cobra.Command{
		Use:   "bucket",
		Short: "Make, list and remove buckets",
		Example: `  cistern bucket make demo
  cistern bucket ls
  cistern bucket rm demo`,
	}
	c.AddCommand(newBucketMake(), newBucketList(), newBucketRemove())
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
