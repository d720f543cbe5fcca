package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/service"
)

// client is what every command that talks to a server has: where it is, and whose keys to use.
type client struct {
	endpoint string
	zone     string

	cfg *config.Config
	svc *service.Service
}

// flags adds --endpoint and --zone to c.
func (cl *client) flags(c *cobra.Command) {
	c.Flags().StringVar(&cl.endpoint, "endpoint", "", "server to talk to, such as http://127.0.0.1:9000 (QINGSTOR_ENDPOINT)")
	c.Flags().StringVar(&cl.zone, "zone", "", "zone of the bucket; Cistern itself needs none")
}

// patience is how long a connection may stand still: a server that fetches a cold object from a slow source is silent
// until the source answers.
const patience = 2 * time.Minute

// open reads the user's configuration. It asks the server nothing.
func (cl *client) open() error {
	cfg, err := config.NewDefault()
	if err != nil {
		return usage(err)
	}
	path := config.GetUserConfigFilePath()
	switch err := cfg.LoadConfigFromFilePath(path); {
	case errors.Is(err, fs.ErrNotExist) && os.Getenv(config.EnvConfigPath) == "":
		// Nothing is made in the user's home just because a command ran.
	case err != nil:
		return usage(err)
	}
	// The file had the last word within the SDK; for a command what was exported for this shell is nearer.
	if os.Getenv(config.EnvEndpoint) != "" {
		cfg.Endpoint = ""
	}
	if err := cfg.LoadEnvironment(); err != nil {
		return usage(err)
	}
	if cl.endpoint != "" {
		cfg.Endpoint = cl.endpoint
	}
	protocol, host, port, err := cfg.Address()
	if err != nil {
		return usage(err)
	}
	cfg.Protocol, cfg.Host, cfg.Port, cfg.Endpoint = protocol, host, port, ""
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		cfg.EnableDualStack = true
	}
	cfg.DisableURICleaning = true // keys are bytes: "a//b" is not "a/b"
	cfg.MaxRetries = 0            // sendPatiently comes back where it makes sense; elsewhere a person at a terminal hears at once
	if err := cfg.Check(); err != nil {
		return usage(err)
	}
	if cfg.HTTPSettings.ReadTimeout == config.DefaultHTTPClientSettings.ReadTimeout {
		cfg.HTTPSettings.ReadTimeout = patience
	}
	cfg.InitHTTPClient()
	if cl.svc, err = service.Init(cfg); err != nil {
		return err
	}
	cl.cfg = cfg
	return nil
}

// base is the server's address without a path.
func (cl *client) base() string {
	return cl.cfg.Protocol + "://" + net.JoinHostPort(cl.cfg.Host, fmt.Sprint(cl.cfg.Port))
}

// bucket opens the configuration and returns a bucket's operations.
func (cl *client) bucket(name string) (*service.Bucket, error) {
	if cl.svc == nil {
		if err := cl.open(); err != nil {
			return nil, err
		}
	}
	return cl.svc.Bucket(name, cl.zone)
}

// entry is one line of a listing: an object, or a common prefix.
type entry struct {
	Key      string
	Prefix   bool
	Size     int64
	Modified time.Time
	ETag     string
	Type     string
}

// listPage is how many keys one request asks for.
const listPage = 1000

// list yields what is below prefix, page by page. It ends with the first error.
func list(ctx context.Context, b *service.Bucket, prefix, delimiter string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		marker := ""
		for {
			in := &service.ListObjectsInput{
				Prefix: service.String(prefix), Delimiter: service.String(delimiter), Marker: service.String(marker), Limit: service.Int(listPage),
			}
			out, err := b.ListObjectsWithContext(ctx, in)
			if err != nil {
				yield(entry{}, err)
				return
			}
			// Keys and prefixes are each in order; a reader of the listing wants them in one.
			keys, prefixes := out.Keys, out.CommonPrefixes
			for len(keys) > 0 || len(prefixes) > 0 {
				var e entry
				if len(keys) == 0 || len(prefixes) > 0 && service.StringValue(prefixes[0]) < service.StringValue(keys[0].Key) {
					e = entry{Key: service.StringValue(prefixes[0]), Prefix: true}
					prefixes = prefixes[1:]
				} else {
					k := keys[0]
					e = entry{
						Key: service.StringValue(k.Key), Size: service.Int64Value(k.Size), Modified: time.Unix(int64(service.IntValue(k.Modified)), 0).UTC(),
						ETag: service.StringValue(k.Etag), Type: service.StringValue(k.MimeType),
					}
					keys = keys[1:]
				}
				if !yield(e, nil) {
					return
				}
			}
			next := service.StringValue(out.NextMarker)
			if !service.BoolValue(out.HasMore) || next == "" {
				return
			}
			if next <= marker {
				yield(entry{}, fmt.Errorf("the server's listing does not go on after %q", marker))
				return
			}
			marker = next
		}
	}
}
