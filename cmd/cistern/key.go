package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/internal/sign"
	qserrors "github.com/cisternhq/cistern/request/errors"
)

func newKey() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make, list, disable and remove access keys of a Cistern server",
		Long: `Make, list, disable and remove access keys of a Cistern server. Only the operator's key may do that, and a running server knows of it
at once. It is a part of Cistern, not of the QingStor API.`,
		Example: `  cistern key new --owner alice
  cistern key ls
  cistern key disable QWERTYUIOPASDFGHJKLZ
  cistern key rm QWERTYUIOPASDFGHJKLZ`,
	}
	c.AddCommand(newKeyNew(), newKeyList(), newKeyDisable(), newKeyEnable(), newKeyRemove())
	return group(c)
}

// accessKey is a key as the server's /-/keys describes it. The secret is there only when the key was just made.
type accessKey struct {
	ID       string    `json:"id"`
	Secret   string    `json:"secret,omitempty"`
	Owner    string    `json:"owner"`
	Operator bool      `json:"operator,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Disabled bool      `json:"disabled,omitempty"`
}

func newKeyNew() *cobra.Command {
	var cl client
	var owner string
	var asJSON bool
	c := &cobra.Command{
		Use:   "new",
		Short: "Make an access key",
		Long: `Make a random access key. Its secret is shown now and never again. Keys of one owner share their buckets; without --owner
the key gets an owner of its own.`,
		Example: `  cistern key new --owner alice`,
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			var k accessKey
			if err := cl.admin(c.Context(), http.MethodPost, "/-/keys", map[string]string{"owner": owner}, &k); err != nil {
				return explain(err)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), k)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "access key id      %s\nsecret access key  %s\nowner              %s\n", k.ID, k.Secret, k.Owner)
			return err
		},
	}
	cl.flags(c)
	c.Flags().StringVar(&owner, "owner", "", "user whom the key belongs to: up to 64 letters, digits and \"-_.@\"")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newKeyList() *cobra.Command {
	var cl client
	var asJSON bool
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List access keys",
		Long:    "List access keys, the oldest first, without their secrets.",
		Example: "  cistern key ls",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			var keys []accessKey
			if err := cl.admin(c.Context(), http.MethodGet, "/-/keys", nil, &keys); err != nil {
				return explain(err)
			}
			for _, k := range keys {
				var err error
				if asJSON {
					err = printJSON(c.OutOrStdout(), k)
				} else {
					mark := ""
					if k.Disabled {
						mark = "  (disabled)"
					}
					_, err = fmt.Fprintf(c.OutOrStdout(), "%20s  %-20s  %s%s\n", formatTime(k.Created), k.ID, k.Owner, mark)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

func newKeyDisable() *cobra.Command {
	return newKeySwitch("disable", "Refuse an access key for a while",
		`Refuse requests signed with an access key from now on, with 403 access_key_disabled, until "cistern key enable". Its owner's buckets and
other keys stay as they are. The operator's key cannot be disabled.`, true)
}

func newKeyEnable() *cobra.Command {
	return newKeySwitch("enable", "Take a disabled access key again", `Take requests signed with a disabled access key again.`, false)
}

func newKeySwitch(verb, short, long string, disabled bool) *cobra.Command {
	var cl client
	c := &cobra.Command{
		Use:     verb + " KEY_ID",
		Short:   short,
		Long:    long,
		Example: "  cistern key " + verb + " QWERTYUIOPASDFGHJKLZ",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in := map[string]bool{"disabled": disabled}
			return explain(cl.admin(c.Context(), http.MethodPut, "/-/keys/"+url.PathEscape(args[0]), in, nil))
		},
	}
	cl.flags(c)
	return c
}

func newKeyRemove() *cobra.Command {
	var cl client
	c := &cobra.Command{
		Use:     "rm KEY_ID",
		Short:   "Remove an access key",
		Long:    "Remove an access key: requests signed with it are refused from then on. Its owner's buckets stay. The operator's key cannot be removed.",
		Example: "  cistern key rm QWERTYUIOPASDFGHJKLZ",
		Args:    args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return explain(cl.admin(c.Context(), http.MethodDelete, "/-/keys/"+url.PathEscape(args[0]), nil, nil))
		},
	}
	cl.flags(c)
	return c
}

// admin sends a signed request to one of the server's own paths, and reads the JSON of the answer into out.
func (cl *client) admin(ctx context.Context, method, path string, in, out any) error {
	if cl.svc == nil {
		if err := cl.open(); err != nil {
			return err
		}
	}
	if cl.cfg.AccessKeyID == "" {
		return usagef("set QINGSTOR_ACCESS_KEY_ID and QINGSTOR_SECRET_ACCESS_KEY to the operator's key")
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, cl.base()+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	signed := sign.Request{Method: method, Path: r.URL.EscapedPath(), Header: r.Header}
	r.Header.Set("Authorization", sign.Header(signed, cl.cfg.AccessKeyID, cl.cfg.SecretAccessKey))
	resp, err := cl.cfg.Connection.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		q := &qserrors.QingStorError{}
		if json.Unmarshal(text, q) != nil || q.Message == "" {
			q.Message = "the server does not look like Cistern: " + strings.ToLower(http.StatusText(resp.StatusCode))
		}
		q.StatusCode = resp.StatusCode
		return q
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the server does not look like Cistern: %w", err)
	}
	return nil
}
