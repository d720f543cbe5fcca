package peer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

func nginx(name, sync string, location func(e Env) string) Peer {
	return Peer{
		Name: name, Sync: sync, Needs: []string{"nginx"},
		Version: func(ctx context.Context, e Env) string {
			return firstLine(ctx, "nginx version", e.Programs["nginx"], "-v")
		},
		Start: func(ctx context.Context, e Env) (*Server, error) {
			port, err := freePort()
			if err != nil {
				return nil, err
			}
			addr := "127.0.0.1:" + port
			user := ""
			if os.Getuid() == 0 {
				user = "user root;" // the folders are ours
			}
			conf, err := write(e, "nginx.conf", fmt.Sprintf(nginxConf, user, e.Dir, e.Dir, e.Dir, e.Origin, addr, location(e)))
			if err != nil {
				return nil, err
			}
			t, err := launch(ctx, e, addr, "/0/ready", nil, e.Programs["nginx"], "-c", conf, "-p", e.Dir, "-e", filepath.Join(e.Dir, "error.log"))
			if err != nil {
				return nil, err
			}
			return &Server{Tree: t, Addr: addr, Path: slash, Fills: name != "nginx"}, nil
		},
	}
}

// As Debian ships it (sendfile, tcp_nopush, a process a core), without an access log, since nobody else writes one here either.
const nginxConf = `%s
daemon off;
worker_processes auto;
worker_rlimit_nofile 8192;
pid %s/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  client_body_temp_path %s/body;
  proxy_temp_path %s/proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream origin { server %s; keepalive 64; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  server {
    listen %s backlog=4096;
    %s
  }
}
`

func nginxFiles(e Env) string { return fmt.Sprintf("root %s;", e.Files) }

func nginxCache(e Env) string {
	return fmt.Sprintf(`location / {
      proxy_pass http://origin/%s/;
      proxy_cache main;
      proxy_cache_valid 200 1h;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 5m;
      proxy_cache_lock_age 5m;
      add_header X-Cache $upstream_cache_status;
    }
  }
  proxy_cache_path %s/cache levels=1:2 keys_zone=main:64m max_size=50g inactive=1h use_temp_path=off;
  server {
    listen unix:%s/unused.sock;`, e.Profile, e.Dir, e.Dir)
}

func nginxStore(e Env) string {
	return fmt.Sprintf(`location / {
      root %s/store;
      try_files $uri @origin;
    }
    location @origin {
      rewrite ^(.*)$ /%s$1 break;
      proxy_pass http://origin;
      proxy_store %s/store$request_uri;
      proxy_store_access user:rw group:r all:r;
    }`, e.Dir, e.Profile, e.Dir)
}

func nginxSlice(e Env) string {
	return fmt.Sprintf(`location / {
      slice 1m;
      proxy_pass http://origin/%s/;
      proxy_cache main;
      proxy_cache_key $uri$slice_range;
      proxy_set_header Range $slice_range;
      proxy_cache_valid 200 206 1h;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 5m;
    }
  }
  proxy_cache_path %s/cache levels=1:2 keys_zone=main:64m max_size=50g inactive=1h use_temp_path=off;
  server {
    listen unix:%s/unused.sock;`, e.Profile, e.Dir, e.Dir)
}
