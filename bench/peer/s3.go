package peer

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/cisternhq/cistern/bench/load"
)

func minio() Peer {
	return Peer{
		Name:    "minio",
		Sync:    "the object's file is synced (fdatasync) before a write is answered, its new name is not",
		Needs:   []string{"minio"},
		Version: func(ctx context.Context, e Env) string { return moduleVersion(ctx, e.Programs["minio"]) },
		Start: func(ctx context.Context, e Env) (*Server, error) {
			port, err := freePort()
			if err != nil {
				return nil, err
			}
			console, err := freePort()
			if err != nil {
				return nil, err
			}
			env := []string{"MINIO_ROOT_USER=" + keyID, "MINIO_ROOT_PASSWORD=" + secret, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off"}
			addr := "127.0.0.1:" + port
			return startS3(ctx, e, addr, "/minio/health/ready", env, e.Programs["minio"],
				"server", "--quiet", "--address", addr, "--console-address", "127.0.0.1:"+console, "--config-dir", filepath.Join(e.Dir, "config"), filepath.Join(e.Dir, "data"))
		},
	}
}

func versitygw() Peer {
	return Peer{
		Name:    "versitygw",
		Sync:    "none: files are written without fsync",
		Needs:   []string{"versitygw"},
		Version: func(ctx context.Context, e Env) string { return moduleVersion(ctx, e.Programs["versitygw"]) },
		Start: func(ctx context.Context, e Env) (*Server, error) {
			port, err := freePort()
			if err != nil {
				return nil, err
			}
			dir := filepath.Join(e.Dir, "data")
			if err := os.Mkdir(dir, 0o755); err != nil {
				return nil, err
			}
			addr := "127.0.0.1:" + port
			s, err := startS3(ctx, e, addr, "/", nil, e.Programs["versitygw"], "--quiet", "--port", addr, "--access", keyID, "--secret", secret, "--region", region, "posix", dir)
			if err == nil {
				s.Folder = filepath.Join(dir, bucket)
			}
			return s, err
		},
	}
}

// moduleVersion asks the binary what it was built from, since those that go install makes do not know it themselves.
func moduleVersion(ctx context.Context, name string) string {
	return firstLine(ctx, "\tmod\t", "go", "version", "-m", name)
}

const region = "us-east-1"

// startS3 starts a server of Amazon's dialect with a bucket in it.
func startS3(ctx context.Context, e Env, addr, path string, env []string, name string, args ...string) (*Server, error) {
	t, err := launch(ctx, e, addr, path, env, name, args...)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Tree: t, Addr: addr,
		// A link that is good for an hour, so that the server has to check a signature, as it has for most who ask it.
		Path: func(key string) string { return presigned(http.MethodGet, addr, "/"+bucket+"/"+key, nil) },
		Put: func(key string, size int64) []byte {
			return s3Head(http.MethodPut, addr, "/"+bucket+"/"+key, nil, size)
		},
		List: func(marker string) []byte {
			return s3Head(http.MethodGet, addr, "/"+bucket, url.Values{"list-type": {"2"}, "max-keys": {"1000"}, "start-after": {marker}}, -1)
		},
		Keys: func(page []byte) ([]string, error) {
			var p struct {
				Contents []struct{ Key string }
			}
			err := xml.Unmarshal(page, &p)
			keys := make([]string, len(p.Contents))
			for i, c := range p.Contents {
				keys[i] = c.Key
			}
			return keys, err
		},
	}
	if err := makeBucket(ctx, s); err != nil {
		s.Close()
		return nil, fmt.Errorf("make a bucket: %w\n%s", err, t.Log())
	}
	return s, nil
}

// makeBucket waits for the server to take a bucket: it may answer before it can.
func makeBucket(ctx context.Context, s *Server) error {
	var err error
	for range 100 {
		var c *load.Conn
		if c, err = load.Dial(ctx, s.Addr); err == nil {
			_, err = c.Send(s3Head(http.MethodPut, s.Addr, "/"+bucket, nil, 0), nil)
			c.Close()
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func presigned(method, addr, path string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query.Set("X-Amz-Expires", "3600")
	r := &http.Request{Method: method, Host: addr, URL: &url.URL{Scheme: "http", Host: addr, Path: path, RawQuery: query.Encode()}, Header: http.Header{}}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	link, _, err := signer.PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, r, "UNSIGNED-PAYLOAD", "s3", region, time.Now())
	if err != nil {
		panic(err) // of fixed credentials and paths of our own
	}
	u, err := url.Parse(link)
	if err != nil {
		panic(err)
	}
	return u.RequestURI()
}

// s3Head is a whole head, signed as the clients of the dialect do it; a size below 0 means that there is no body.
func s3Head(method, addr, path string, query url.Values, size int64) []byte {
	const payload = "UNSIGNED-PAYLOAD"
	r := &http.Request{
		Method: method, Host: addr, URL: &url.URL{Scheme: "http", Host: addr, Path: path, RawQuery: query.Encode()},
		Header: http.Header{"X-Amz-Content-Sha256": {payload}}, ContentLength: max(0, size),
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, r, payload, "s3", region, time.Now()); err != nil {
		panic(err) // of fixed credentials and paths of our own
	}
	head := method + " " + r.URL.RequestURI() + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	for _, name := range []string{"X-Amz-Content-Sha256", "X-Amz-Date", "Authorization"} {
		head += name + ": " + r.Header.Get(name) + "\r\n"
	}
	if size >= 0 {
		head += "Content-Length: " + strconv.FormatInt(size, 10) + "\r\n"
	}
	return []byte(head + "\r\n")
}
