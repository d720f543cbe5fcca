package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/service"
)

func newMirror() *cobra.Command {
	c := &cobra.Command{
		Use:   "mirror",
		Short: "Say where a bucket fills itself from",
		Long: `Say where a bucket fills itself from. An object that is asked for and is not in the bucket is fetched from the source site with its
key appended, streamed to the reader and kept.`,
		Example: `  cistern mirror set demo https://example.org/files/
  cistern mirror show demo
  cistern mirror check demo a.txt`,
	}
	c.AddCommand(newMirrorSet(), newMirrorShow(), newMirrorRemove(), newMirrorCheck())
	return group(c)
}

func newMirrorSet() *cobra.Command {
	var cl client
	c := &cobra.Command{
		Use:   "set BUCKET URL",
		Short: "Set a bucket's source site",
		Long: `Set a bucket's source site: [http://|https://]host[:port][/path]. The key is appended to it as it stands, so a path that is a folder
ends in "/". What is stored already stays.`,
		Example: "  cistern mirror set demo https://example.org/files/",
		Args:    args(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := bucketName(args[0])
			if err != nil {
				return err
			}
			b, err := cl.bucket(name)
			if err != nil {
				return err
			}
			_, err = b.PutExternalMirrorWithContext(c.Context(), &service.PutBucketExternalMirrorInput{SourceSite: service.String(args[1])})
			return explain(err)
		},
	}
	cl.flags(c)
	return c
}

func newMirrorShow() *cobra.Command {
	var cl client
	var asJSON bool
	c := &cobra.Command{
		Use:     "show BUCKET",
		Short:   "Print a bucket's source site",
		Long:    "Print a bucket's source site as it was set. The exit code is 4 if there is none.",
		Example: "  cistern mirror show demo",
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
			out, err := b.GetExternalMirrorWithContext(c.Context())
			if err != nil {
				return explain(err)
			}
			site := service.StringValue(out.SourceSite)
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]string{"bucket": name, "source_site": site})
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), site)
			return err
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newMirrorRemove() *cobra.Command {
	var cl client
	c := &cobra.Command{
		Use:     "rm BUCKET",
		Short:   "Remove a bucket's source site",
		Long:    "Remove a bucket's source site. What is stored stays. Removing what is not there is no error.",
		Example: "  cistern mirror rm demo",
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
			_, err = b.DeleteExternalMirrorWithContext(c.Context())
			return explain(err)
		},
	}
	cl.flags(c)
	return c
}
