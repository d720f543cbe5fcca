package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "cistern",
		Short: "An object store that fills itself",
		Long: `Cistern is an object store that fills itself. A bucket is given a source site; an object that is asked for and is not
there yet is fetched from the source, streamed to the reader while it arrives, kept, and served locally from then on.

"cistern serve" is the server. All other commands are clients of a server that speaks the QingStor API. They read
~/.qingstor/config.yaml, then QINGSTOR_ACCESS_KEY_ID, QINGSTOR_SECRET_ACCESS_KEY and QINGSTOR_ENDPOINT, then --endpoint;
the last one wins. QINGSTOR_CONFIG_PATH names another file.

Objects are written qs://BUCKET/KEY. The key is taken as it stands: nothing in it is escaped or resolved.

Exit codes:
  0  everything was done
  1  it failed
  2  wrong usage: an unknown command, flag, value or setting
  3  some of several objects failed, the others were done
  4  the bucket, object, key or setting does not exist`,
		Example: `  cistern serve --mirror demo=https://example.org/files/
  curl http://127.0.0.1:9000/demo/a.txt
  cistern ls qs://demo`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("cistern {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(
		newServe(), newMirror(), newBucket(), newKey(), newFills(),
		newList(), newCopy(), newCat(), newRemove(), newStat(), newPresign(), newVersion(),
	)
	group(root)
	return root
}

// group makes a command that only holds others print its help when nothing follows, and name what is wrong otherwise.
func group(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
		c.SuggestionsMinimumDistance = 2
		if like := c.SuggestionsFor(args[0]); len(like) > 0 {
			text += ", did you mean " + strings.Join(like, " or ") + "?"
		}
		return usagef("%s", text)
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// args is cobra.RangeArgs with an error that counts as wrong usage. most -1 means any number.
func args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, got []string) error {
		switch {
		case len(got) < least:
			return usagef("too few arguments: %s", c.UseLine())
		case most >= 0 && len(got) > most:
			return usagef("too many arguments: %s", c.UseLine())
		}
		return nil
	}
}
