package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

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
	CRC64NVME    string            `json:"crc64nvme,omitempty"` // Base64
	MD5          string            `json:"md5,omitempty"`       // hex
	Filled       *filled           `json:"filled,omitempty"`
}

// filled is where an object came from, as a Cistern server tells the bucket's owner and the operator.
type filled struct {
	URL      string   `json:"url"`
	ETag     string   `json:"etag,omitempty"`
	Modified string   `json:"modified,omitempty"`
	Verified []string `json:"verified,omitempty"`
	At       string   `json:"at"`
}

// provenance reads what no field of the API holds.
func (d *described) provenance(h http.Header) {
	d.CRC64NVME, d.MD5 = h.Get("Cistern-Crc64nvme"), h.Get("Cistern-Md5")
	if h.Get("Cistern-Filled-At") == "" {
		return
	}
	d.Filled = &filled{
		URL: h.Get("Cistern-Source-Url"), ETag: h.Get("Cistern-Source-Etag"), Modified: h.Get("Cistern-Source-Last-Modified"), At: h.Get("Cistern-Filled-At"),
	}
	if v := h.Get("Cistern-Verified"); v != "" {
		d.Filled.Verified = strings.Split(v, ", ")
	}
}

func newStat() *cobra.Command {
	var cl client
	var asJSON bool
	c := &cobra.Command{
		Use:   "stat qs://BUCKET[/KEY]",
		Short: "Show what is known of an object",
		Long: `Show what is known of an object, or whether a bucket is there. An object that only the source has is looked up there and not
fetched. The exit code is 4 if there is none.

The bucket's owner and the operator also see the checksums that Cistern keeps, and of an object that was fetched from a source its
address after redirects, the source's ETag and Last-Modified, the digests that it was checked against, and when.`,
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
				r, out, err := b.HeadObjectRequest(at.Key, nil)
				if err == nil {
					err = r.SendWithContext(c.Context())
				}
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
				d.provenance(r.HTTPResponse.Header)
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
			row("crc64nvme", d.CRC64NVME)
			row("md5", d.MD5)
			if f := d.Filled; f != nil {
				row("filled from", f.URL)
				row("filled at", f.At)
				row("its etag", f.ETag)
				row("its modified", f.Modified)
				row("verified", strings.Join(f.Verified, ", "))
			}
			return nil
		},
	}
	cl.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
