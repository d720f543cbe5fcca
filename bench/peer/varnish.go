package peer

import (
	"context"
	"fmt"
	"net"
)

func varnish() Peer {
	return Peer{
		Name: "varnish", Sync: "none: kept in memory only", Needs: []string{"varnishd"},
		Version: func(ctx context.Context, e Env) string {
			return firstLine(ctx, "varnishd (", e.Programs["varnishd"], "-V")
		},
		Start: func(ctx context.Context, e Env) (*Server, error) {
			port, err := freePort()
			if err != nil {
				return nil, err
			}
			addr := "127.0.0.1:" + port
			host, originPort, err := net.SplitHostPort(e.Origin)
			if err != nil {
				return nil, err
			}
			vcl, err := write(e, "bench.vcl", fmt.Sprintf(varnishVCL, host, originPort, e.Profile))
			if err != nil {
				return nil, err
			}
			t, err := launch(ctx, e, addr, "/0/ready", nil, e.Programs["varnishd"], "-F", "-j", "none", "-n", e.Dir+"/work", "-a", addr, "-f", vcl, "-s", "malloc,3G")
			if err != nil {
				return nil, err
			}
			return &Server{Tree: t, Addr: addr, Path: slash, Fills: true}, nil
		},
	}
}

const varnishVCL = `vcl 4.1;
backend origin { .host = "%s"; .port = "%s"; .first_byte_timeout = 60s; .between_bytes_timeout = 60s; }
sub vcl_backend_fetch { set bereq.url = "/%s" + bereq.url; }
sub vcl_backend_response { set beresp.ttl = 1h; set beresp.do_stream = true; }
`
