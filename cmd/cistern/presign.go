package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newPresign() *cobra.Command {
	var cl client
	var expires time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "presign qs://BUCKET/KEY",
		Short: "Print a link that whoever has it may read an object with",
		Long: `Print a signed link. Whoever has it may GET the object until it expires, without a key of their own. It is made without asking the
server, so it is no proof that the object exists.`,
		Example: "  curl -O \"$(cistern presign --expires 24h qs://demo/a.txt)\"",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := parseObject(args[0])
			if err != nil {
				return err
			}
			if expires < time.Second {
				return usagef("--expires %v: at least 1s", expires)
			}
			b, err := cl.bucket(at.Bucket)
			if err != nil {
				return err
			}
			if cl.cfg.AccessKeyID == "" {
				return usagef("a link is signed with a key: set QINGSTOR_ACCESS_KEY_ID and QINGSTOR_SECRET_ACCESS_KEY")
			}
			r, _, err := b.GetObjectRequest(at.Key, nil)
			if err != nil {
				return err
			}
			if err := r.BuildWithContext(c.Context()); err != nil {
				return err
			}
			if err := r.SignQuery(int(expires / time.Second)); err != nil {
				return err
			}
			link := r.HTTPRequest.URL.String()
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]string{"url": link, "expires": formatTime(time.Now().Add(expires))})
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), link)
			return err
		},
	}
	cl.flags(c)
	c.Flags().DurationVar(&expires, "expires", time.Hour, "how long the link is good for")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
