package peer

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cisternhq/cistern/internal/sign"
)

// The operator's key of every Cistern that is measured, and the only key of other stores.
const (
	keyID  = "BENCHMARKKEY00000001"
	secret = "a-secret-of-the-benchmark-alone-000000001"
	bucket = "bench"
)

func cistern() Peer {
	return Peer{
		Name:    "cistern",
		Sync:    "a write is answered after fsync of data, folder and record; a fill is synced at its commit, its readers do not wait for that",
		Needs:   []string{"cistern"},
		Version: func(ctx context.Context, e Env) string { return firstLine(ctx, "", e.Programs["cistern"], "version") },
		Start: func(ctx context.Context, e Env) (*Server, error) {
			return startCistern(ctx, e, e.Programs["cistern"], "serve", "--grace", "1s", "--log-level", "warn")
		},
	}
}

// Profiled is a Cistern that leaves profiles in dir when it ends. It is the same server, started by the benchmark's own program.
func Profiled(dir string) Peer {
	p := cistern()
	p.Start = func(ctx context.Context, e Env) (*Server, error) {
		return startCistern(ctx, e, e.Self, "child", "node", "--profiles", dir)
	}
	return p
}

func startCistern(ctx context.Context, e Env, name string, args ...string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + port
	args = append(args, "--data", filepath.Join(e.Dir, "data"), "--listen", addr, "--mirror", bucket+"="+e.site()+"/")
	args = append(args, e.Flags...)
	env := []string{"CISTERN_ACCESS_KEY_ID=" + keyID, "CISTERN_SECRET_ACCESS_KEY=" + secret}
	t, err := launch(ctx, e, addr, "/-/readyz", env, name, args...)
	if err != nil {
		return nil, err
	}
	return &Server{
		Tree: t, Addr: addr, Fills: true,
		Path: func(key string) string { return "/" + bucket + "/" + key },
		Put: func(key string, size int64) []byte {
			return signed(http.MethodPut, "/"+bucket+"/"+key, "", addr, "Content-Length: "+strconv.FormatInt(size, 10)+"\r\n")
		},
		List: func(marker string) []byte {
			return signed(http.MethodGet, "/"+bucket, "limit=1000&marker="+url.QueryEscape(marker), addr, "")
		},
		Keys: func(page []byte) ([]string, error) {
			var p struct {
				Keys []struct {
					Key string `json:"key"`
				} `json:"keys"`
			}
			err := json.Unmarshal(page, &p)
			keys := make([]string, len(p.Keys))
			for i, k := range p.Keys {
				keys[i] = k.Key
			}
			return keys, err
		},
	}, nil
}

// signed is the head of a request with QingStor's signature.
func signed(method, path, query, host, header string) []byte {
	date := time.Now().UTC().Format(http.TimeFormat)
	auth := sign.Header(sign.Request{Method: method, Path: path, Query: query, Header: http.Header{"Date": {date}}}, keyID, secret)
	if query != "" {
		path += "?" + query
	}
	return []byte(method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nDate: " + date + "\r\nAuthorization: " + auth + "\r\n" + header + "\r\n")
}
