package request_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/request"
	"github.com/cisternhq/cistern/request/data"
	qserrors "github.com/cisternhq/cistern/request/errors"
	signer "github.com/cisternhq/cistern/request/signer/v2"
	"github.com/cisternhq/cistern/service"
)

const (
	keyID  = "CISTERNTESTKEY000001"
	secret = "cistern-test-secret-key-0123456789abcdef"
	date   = "Wed, 10 Dec 2014 17:20:31 GMT"
)

func ptr[T any](v T) *T { return &v }

// testConfig is the one of the vectors, whatever the environment says.
func testConfig(t *testing.T) *config.Config {
	t.Helper()
	for _, name := range []string{config.EnvEndpoint, config.EnvAccessKeyID, config.EnvSecretAccessKey, config.EnvEnableVirtualHostStyle, config.EnvEnableDualStack} {
		t.Setenv(name, "")
	}
	c, err := config.New(keyID, secret)
	if err != nil {
		t.Fatal(err)
	}
	c.Protocol, c.Host, c.Port = "http", "cistern.local", 9000
	return c
}

// operation is the row of that name.
func operation(t *testing.T, name string, c *config.Config, p *service.Properties) *data.Operation {
	t.Helper()
	for _, o := range service.Operations() {
		if o.APIName == name {
			o.Config, o.Properties = c, p
			return &o
		}
	}
	t.Fatalf("no operation %q", name)
	return nil
}

// covered is r's request with the path that is signed.
func covered(r *request.Request, vhost bool) signer.CanonicalReq {
	if vhost {
		return signer.CanonicalReqByVhost(r.HTTPRequest, "mybucket")
	}
	return signer.CanonicalReqByPath(r.HTTPRequest)
}

// The vectors of the fact sheet, which were made with QingStor's own SDK, through the request builder.
func TestVectors(t *testing.T) {
	tests := []struct {
		name      string
		operation string
		key       string
		in        data.Input
		vhost     bool
		header    map[string]string
		wantURL   string
		wantSign  string
		signature string
	}{
		{name: "1 list buckets", operation: "List Buckets", in: &service.ListBucketsInput{Location: ptr("zone1"), Limit: ptr(10)},
			wantURL:  "http://cistern.local:9000/?limit=10",
			wantSign: "GET\n\n\n" + date + "\n/", signature: "cvxOT8lITsA3icxS/vPWTNZm3+NJ74W0uJ+BA/i4U1Y="},
		{name: "2 sub-resource, path style", operation: "GET Bucket ACL",
			wantURL:  "http://zone1.cistern.local:9000/mybucket?acl=",
			wantSign: "GET\n\n\n" + date + "\n/mybucket?acl", signature: "NHvqcbhr1Ntc0yhJ+kOCQ5mDMglx7GSgK1Ua3gV0gNU="},
		{name: "3 sub-resource, virtual-host style", operation: "GET Bucket ACL", vhost: true,
			wantURL:  "http://mybucket.zone1.cistern.local:9000/?acl=",
			wantSign: "GET\n\n\n" + date + "\n/mybucket/?acl", signature: "6eX/UsmfbVZNzCOKjxZofI8hg3ovJCx4Id1rPrT0ogY="},
		{name: "4 JSON body", operation: "PUT Bucket External Mirror", in: &service.PutBucketExternalMirrorInput{SourceSite: ptr("http://example.com/")},
			wantURL:  "http://zone1.cistern.local:9000/mybucket?mirror=",
			wantSign: "PUT\n\napplication/json\n" + date + "\n/mybucket?mirror", signature: "sdNS6LxDBai7fiJm9PFcQ92uswVA4XuBc9prhRMTQMU="},
		{name: "5 odd key, metadata", operation: "PUT Object", key: "dir/('this is test',) 中文+=.jpg",
			in: &service.PutObjectInput{ContentMD5: ptr("4gJE4saaMU4BqNR0kLY+lw=="), ContentType: ptr("image/jpeg"), XQSStorageClass: ptr("STANDARD_IA"),
				XQSMetaData: &map[string]string{"x-qs-meta-owner": "alice", "x-qs-meta-colour": "blue"}},
			wantURL: "http://zone1.cistern.local:9000/mybucket/dir/%28%27this%20is%20test%27%2C%29%20%E4%B8%AD%E6%96%87%2B=.jpg",
			wantSign: "PUT\n4gJE4saaMU4BqNR0kLY+lw==\nimage/jpeg\n" + date + "\nx-qs-meta-colour:blue\nx-qs-meta-owner:alice\nx-qs-storage-class:STANDARD_IA\n" +
				"/mybucket/dir/%28%27this%20is%20test%27%2C%29%20%E4%B8%AD%E6%96%87%2B=.jpg", signature: "9+yXQFcQErEsmWJEKtVw40jJocNlKwURMvLaqIHZQ/k="},
		{name: "6 copy, X-QS-Date", operation: "PUT Object", key: "copy.txt", header: map[string]string{"X-QS-Date": date},
			in:      &service.PutObjectInput{XQSCopySource: ptr("/mybucket/中文 a.txt"), XQSCopySourceIfMatch: ptr(`"199389a12492266114933fc428e8cfdc"`)},
			wantURL: "http://zone1.cistern.local:9000/mybucket/copy.txt",
			wantSign: "PUT\n\n\n\nx-qs-copy-source:/mybucket/%E4%B8%AD%E6%96%87%20a.txt\nx-qs-copy-source-if-match:\"199389a12492266114933fc428e8cfdc\"\nx-qs-date:" + date +
				"\n/mybucket/copy.txt", signature: "VtEwddGNSsSKqcRt8I3J1oGmgzpYfFAFm0KqjMDysqk="},
		{name: "7 part", operation: "Upload Multipart", key: "movie.mov", in: &service.UploadMultipartInput{PartNumber: ptr(3), UploadID: ptr("dbb3d762975711e6b457525441715ab4")},
			wantURL:   "http://zone1.cistern.local:9000/mybucket/movie.mov?part_number=3&upload_id=dbb3d762975711e6b457525441715ab4",
			wantSign:  "PUT\n\n\n" + date + "\n/mybucket/movie.mov?part_number=3&upload_id=dbb3d762975711e6b457525441715ab4",
			signature: "1pc4ZCURPyrFtTmYYZ5M8PbXBV73Jl+rNdSe7xMgNC0="},
		{name: "8 response overrides", operation: "GET Object", key: "file name.txt",
			in:        &service.GetObjectInput{ResponseContentDisposition: ptr(`attachment; filename="a b.txt"`), ResponseContentType: ptr("text/plain; charset=utf-8")},
			wantURL:   "http://zone1.cistern.local:9000/mybucket/file%20name.txt?response-content-disposition=attachment%3B+filename%3D%22a+b.txt%22&response-content-type=text%2Fplain%3B+charset%3Dutf-8",
			wantSign:  "GET\n\n\n" + date + "\n/mybucket/file%20name.txt?response-content-disposition=attachment; filename=\"a b.txt\"&response-content-type=text/plain; charset=utf-8",
			signature: "qm3ikZcBGGaLnWZtXaXXE1fAhVEadscfohiK9fKD/+Y="},
		{name: "9 batch delete", operation: "Delete Multiple Objects", in: &service.DeleteMultipleObjectsInput{Objects: []*service.KeyType{{Key: ptr("a")}, {Key: ptr("b/c")}}, Quiet: ptr(true)},
			wantURL:  "http://zone1.cistern.local:9000/mybucket?delete=",
			wantSign: "POST\nrVtKwXdrfja2V6D0xE6tFA==\napplication/json\n" + date + "\n/mybucket?delete", signature: "qP2DGvSYCYkZjAE/zBDcv6FPaBoCfiu8mqnkr1CYthY="},
		{name: "10 list, path style", operation: "GET Bucket (List Objects)", in: &service.ListObjectsInput{Delimiter: ptr("/"), Limit: ptr(5), Prefix: ptr("a b/中")},
			wantURL:  "http://zone1.cistern.local:9000/mybucket?delimiter=%2F&limit=5&prefix=a+b%2F%E4%B8%AD",
			wantSign: "GET\n\n\n" + date + "\n/mybucket", signature: "M7Jspm5dop8MEfnKGZGtWyX/TTiBk2ejhvLFrMCew+w="},
		{name: "11 list, virtual-host style", operation: "GET Bucket (List Objects)", vhost: true, in: &service.ListObjectsInput{Delimiter: ptr("/"), Limit: ptr(5), Prefix: ptr("a b/中")},
			wantURL:  "http://mybucket.zone1.cistern.local:9000/?delimiter=%2F&limit=5&prefix=a+b%2F%E4%B8%AD",
			wantSign: "GET\n\n\n" + date + "\n/mybucket/", signature: "RjVWItuMiz1BPKee8JzKkP9I2pQawTW5Xz47bCpFyjs="},
		{name: "12 image", operation: "Image Process", key: "a.jpg", in: &service.ImageProcessInput{Action: ptr("resize:w_300,h_400|rotate:a_90")},
			wantURL:  "http://zone1.cistern.local:9000/mybucket/a.jpg?action=resize%3Aw_300%2Ch_400%7Crotate%3Aa_90&image=",
			wantSign: "GET\n\n\n" + date + "\n/mybucket/a.jpg?image", signature: "bFpulpDDWQ//z+gFLgOkbhmDFxF9m2rlkfZMe/BqfzY="},
		{name: "13 append", operation: "Append Object", key: "log.txt", in: &service.AppendObjectInput{Position: ptr(int64(1024))},
			wantURL:  "http://zone1.cistern.local:9000/mybucket/log.txt?append=&position=1024",
			wantSign: "POST\n\n\n" + date + "\n/mybucket/log.txt?append&position=1024", signature: "MQ3t96wE/oulglK5+eGVSE3S0e1l13EXt60zPss9lh4="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t)
			c.EnableVirtualHostStyle = tt.vhost
			p := &service.Properties{BucketName: ptr("mybucket"), ObjectKey: &tt.key, Zone: ptr("zone1")}
			if tt.operation == "List Buckets" {
				p = nil
			}
			r, err := request.New(operation(t, tt.operation, c, p), tt.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Build(); err != nil {
				t.Fatal(err)
			}
			r.HTTPRequest.Header.Set("Date", date)
			for name, v := range tt.header {
				r.HTTPRequest.Header.Set(name, v)
			}
			if got := r.HTTPRequest.URL.String(); got != tt.wantURL {
				t.Errorf("URL = %s\nwant  %s", got, tt.wantURL)
			}
			s := signer.QingStorSigner{AccessKeyID: keyID, SecretAccessKey: secret}
			if got, err := s.BuildStringToSign(covered(r, tt.vhost)); got != tt.wantSign || err != nil {
				t.Errorf("string to sign = %q, %v\nwant             %q", got, err, tt.wantSign)
			}
			if err := r.Sign(); err != nil {
				t.Fatal(err)
			}
			if got, want := r.HTTPRequest.Header.Get("Authorization"), "QS "+keyID+":"+tt.signature; got != want {
				t.Errorf("Authorization = %s, want %s", got, want)
			}
		})
	}
}

// Vectors 14 and 15: signed links.
func TestLinkVectors(t *testing.T) {
	const expires = 1479107162
	tests := []struct {
		name, operation, key, wantURL string
		in                            data.Input
		vhost                         bool
	}{
		{"14 path style", "GET Object", "music file+.mp3",
			"http://zone1.cistern.local:9000/mybucket/music%20file%2B.mp3?access_key_id=" + keyID + "&expires=1479107162&signature=06oLIEDUNLISuc96SPHhJnEQqVoANuiVF5vNtooEGtU=", nil, false},
		{"14 virtual-host style", "GET Object", "music file+.mp3",
			"http://mybucket.zone1.cistern.local:9000/music%20file%2B.mp3?access_key_id=" + keyID + "&expires=1479107162&signature=06oLIEDUNLISuc96SPHhJnEQqVoANuiVF5vNtooEGtU=", nil, true},
		{"15 with a Content-Type", "PUT Object", "up.txt",
			"http://zone1.cistern.local:9000/mybucket/up.txt?access_key_id=" + keyID + "&expires=1479107162&signature=ybXD%2B88JeFcGdZyv33qdzxlMYiFdORW0XLN8ZNhuusk=",
			&service.PutObjectInput{ContentType: ptr("text/plain")}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t)
			c.EnableVirtualHostStyle = tt.vhost
			r, err := request.New(operation(t, tt.operation, c, &service.Properties{BucketName: ptr("mybucket"), ObjectKey: &tt.key, Zone: ptr("zone1")}), tt.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Build(); err != nil {
				t.Fatal(err)
			}
			s := signer.QingStorSigner{AccessKeyID: keyID, SecretAccessKey: secret}
			// Twice: signing again replaces the first signature.
			for _, at := range []int{expires - 1, expires} {
				if err := s.WriteQuerySignature(covered(r, tt.vhost), at); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.HTTPRequest.URL.String(); got != tt.wantURL {
				t.Errorf("URL = %s\nwant  %s", got, tt.wantURL)
			}
			signature, _ := url.QueryUnescape(strings.ReplaceAll(r.HTTPRequest.URL.Query().Get("signature"), "+", "%2B"))
			if err := r.ApplyQuerySignature(keyID, expires, signature); err != nil {
				t.Fatal(err)
			}
			if got := r.HTTPRequest.URL.String(); got != tt.wantURL {
				t.Errorf("after ApplyQuerySignature URL = %s\nwant  %s", got, tt.wantURL)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	tests := []struct {
		name              string
		set               func(*config.Config)
		bucket, key, zone string
		want              string // the URL, or what the error says
	}{
		{"zone in front of a name", nil, "b", "k", "zone1", "http://zone1.cistern.local:9000/b/k"},
		{"no zone", nil, "b", "k", "", "http://cistern.local:9000/b/k"},
		{"an address", func(c *config.Config) { c.Host = "127.0.0.1" }, "b", "k", "zone1", "http://127.0.0.1:9000/b/k"},
		{"an IPv6 address", func(c *config.Config) { c.Host = "::1" }, "b", "k", "zone1", "http://[::1]:9000/b/k"},
		{"an IPv6 address in brackets", func(c *config.Config) { c.Host = "[::1]" }, "b", "k", "zone1", "http://[::1]:9000/b/k"},
		{"localhost", func(c *config.Config) { c.Host = "localhost" }, "b", "k", "zone1", "http://localhost:9000/b/k"},
		{"localhost, virtual-host style", func(c *config.Config) { c.Host = "localhost"; c.EnableVirtualHostStyle = true }, "b", "k", "zone1", "http://b.localhost:9000/k"},
		{"endpoint set in code", func(c *config.Config) { c.Endpoint = "https://store.example:8443" }, "b", "k", "zone1", "https://zone1.store.example:8443/b/k"},
		{"endpoint without a port", func(c *config.Config) { c.Endpoint = "http://store.example" }, "b", "k", "", "http://store.example:80/b/k"},
		{"the protocol's port", func(c *config.Config) { c.Port = 0 }, "b", "k", "", "http://cistern.local/b/k"},
		{"slashes are folded", nil, "b", "/lead//a///b/", "", "http://cistern.local:9000/b/lead/a/b/"},
		{"slashes are left alone", func(c *config.Config) { c.DisableURICleaning = true }, "b", "/lead//a/", "", "http://cistern.local:9000/b//lead//a/"},
		{"slashes are left alone, virtual-host style", func(c *config.Config) { c.DisableURICleaning, c.EnableVirtualHostStyle = true, true }, "bb", "/lead", "", "http://bb.cistern.local:9000//lead"},
		{"dots are left alone", nil, "b", "a/../b/./c", "", "http://cistern.local:9000/b/a/../b/./c"},
		{"percent signs are escaped", nil, "b", "a%2Fb 100%", "", "http://cistern.local:9000/b/a%252Fb%20100%25"},
		{"question marks and hashes are escaped", nil, "b", "a?acl#x&y", "", "http://cistern.local:9000/b/a%3Facl%23x%26y"},

		{"an empty key", nil, "b", "", "", `"ObjectKey" is required`},
		{"a key of slashes", nil, "b", "//", "", "nothing but slashes"},
		{"an empty bucket", nil, "", "k", "", `"BucketName" is required`},
		{"a bucket with a slash", nil, "b/c", "k", "", "not a bucket's name"},
		{"a bucket that leads up", nil, "..", "k", "", "not a bucket's name"},
		{"a zone that names another host", nil, "b", "k", "evil.example/", "not a host label"},
		{"a zone with user information", nil, "b", "k", "x@", "not a host label"},
		{"a bucket that names another host", func(c *config.Config) { c.EnableVirtualHostStyle = true }, "evil.example:80@", "k", "", "cannot be part of a host"},
		{"virtual-host style at an address", func(c *config.Config) { c.EnableVirtualHostStyle, c.Host = true, "127.0.0.1" }, "b", "k", "", "is an address"},
		{"no host", func(c *config.Config) { c.Host = "" }, "b", "k", "", "host"},
		{"a host with a path", func(c *config.Config) { c.Host = "a/b" }, "b", "k", "", "host"},
		{"a protocol that is none", func(c *config.Config) { c.Protocol = "ftp" }, "b", "k", "", "protocol"},
		{"an endpoint that is none", func(c *config.Config) { c.Endpoint = "127.0.0.1:9000" }, "b", "k", "", "endpoint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t)
			if tt.set != nil {
				tt.set(c)
			}
			s, _ := service.Init(c)
			b, _ := s.Bucket(tt.bucket, tt.zone)
			r, _, err := b.DeleteObjectRequest(tt.key)
			if err == nil {
				err = r.Build()
			}
			var sdk qserrors.SDKError
			switch {
			case err == nil:
				if got := r.HTTPRequest.URL.String(); got != tt.want {
					t.Errorf("URL = %s, want %s", got, tt.want)
				}
			case !errors.As(err, &sdk):
				t.Errorf("Build = %v, want an SDKError", err)
			case !strings.Contains(err.Error(), tt.want):
				t.Errorf("Build = %v, want %s", err, tt.want)
			}
		})
	}
}

// got is what a server saw of a request.
type got struct {
	method, target, host string
	header               http.Header
	length               int64
	chunked              bool
	body                 string
}

// recorder answers everything with status, and keeps what it saw.
func recorder(t *testing.T, c *config.Config, status int) *[]got {
	t.Helper()
	var seen []got
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen = append(seen, got{r.Method, r.RequestURI, r.Host, r.Header, r.ContentLength, len(r.TransferEncoding) > 0, string(b)})
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	c.Endpoint = srv.URL
	return &seen
}

// stream knows neither its length nor how to seek.
type stream struct{ io.Reader }

func TestBodies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("hello, file"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T) io.Reader {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if _, err := f.Seek(7, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		return f
	}
	tests := []struct {
		name    string
		body    func(*testing.T) io.Reader
		length  *int64
		want    string
		chunked bool
		again   bool // it can be sent twice
		err     string
	}{
		{name: "none", again: true},
		{name: "none of length 0", length: ptr(int64(0)), again: true},
		{name: "none of length 5", length: ptr(int64(5)), err: "there is no Body"},
		{name: "text", body: func(*testing.T) io.Reader { return strings.NewReader("hello") }, want: "hello", again: true},
		{name: "empty text", body: func(*testing.T) io.Reader { return strings.NewReader("") }, again: true},
		{name: "a file, wherever it stands", body: open, want: "hello, file", again: true},
		{name: "a file with a length, from where it stands", body: open, length: ptr(int64(4)), want: "file", again: true},
		{name: "a file with its whole length", body: open, length: ptr(int64(11)), want: "hello, file", again: true},
		{name: "a file with a length that is neither", body: open, length: ptr(int64(5)), err: "the body has 4 bytes"},
		{name: "a buffer", body: func(*testing.T) io.Reader { return bytes.NewBufferString("hello") }, want: "hello"},
		{name: "a stream", body: func(*testing.T) io.Reader { return stream{strings.NewReader("hello")} }, want: "hello", chunked: true},
		{name: "a stream of known length", body: func(*testing.T) io.Reader { return stream{strings.NewReader("hello")} }, length: ptr(int64(5)), want: "hello"},
		{name: "a stream that is longer than said", body: func(*testing.T) io.Reader { return stream{strings.NewReader("hello")} }, length: ptr(int64(0)), err: "is not empty"},
		{name: "an empty stream of known length", body: func(*testing.T) io.Reader { return stream{strings.NewReader("")} }, length: ptr(int64(0))},
		{name: "text that is longer than said", body: func(*testing.T) io.Reader { return strings.NewReader("hello") }, length: ptr(int64(4)), err: "the body has 5 bytes"},
		{name: "text that is shorter than said", body: func(*testing.T) io.Reader { return strings.NewReader("hello") }, length: ptr(int64(6)), err: "the body has 5 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t)
			seen := recorder(t, c, 201)
			s, _ := service.Init(c)
			b, _ := s.Bucket("mybucket", "zone1")
			in := &service.PutObjectInput{ContentLength: tt.length}
			if tt.body != nil {
				in.Body = tt.body(t)
			}
			r, _, err := b.PutObjectRequest("k", in)
			if err != nil {
				t.Fatal(err)
			}
			err = r.Send()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || len(*seen) > 0 {
					t.Fatalf("Send = %v with %d requests, want %q before any", err, len(*seen), tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Send: %v", err)
			}
			g := (*seen)[0]
			wantLength := int64(len(tt.want))
			if tt.chunked {
				wantLength = -1
			}
			if g.body != tt.want || g.chunked != tt.chunked || g.length != wantLength {
				t.Errorf("sent %q, chunked %t, length %d; want %q, %t, %d", g.body, g.chunked, g.length, tt.want, tt.chunked, wantLength)
			}
			if ct := g.header.Get("Content-Type"); ct != "" {
				t.Errorf("Content-Type = %q, want none to be guessed", ct)
			}
			err = r.Send()
			switch {
			case tt.again && (err != nil || len(*seen) != 2 || (*seen)[1].body != tt.want):
				t.Errorf("second Send = %v, want the same body", err)
			case !tt.again && tt.want != "" && (err == nil || len(*seen) != 1):
				t.Errorf("second Send = %v with %d requests, want an error before any", err, len(*seen))
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	c := testConfig(t)
	c.AccessKeyID, c.SecretAccessKey = "", ""
	seen := recorder(t, c, 200)
	s, _ := service.Init(c)
	b, _ := s.Bucket("mybucket", "")
	if _, err := b.Head(); err != nil {
		t.Fatal(err)
	}
	if a, ok := (*seen)[0].header["Authorization"]; ok {
		t.Errorf("Authorization = %q, want none", a)
	}
	r, _, err := b.GetObjectRequest("k", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SignQuery(60); err == nil {
		t.Error("SignQuery before Build = nil, want an error")
	}
	if err := r.Build(); err != nil {
		t.Fatal(err)
	}
	if err := r.SignQuery(60); err == nil || !strings.Contains(err.Error(), "without access keys") {
		t.Errorf("SignQuery = %v, want an error about keys", err)
	}
	c.AccessKeyID = keyID
	if err := r.Sign(); err == nil || !strings.Contains(err.Error(), "secret access key is missing") {
		t.Errorf("Sign with half of the keys = %v, want an error", err)
	}
	c.SecretAccessKey = secret
	if err := r.SignQuery(0); err == nil {
		t.Error("SignQuery(0) = nil, want an error")
	}
}

func TestApplySignature(t *testing.T) {
	c := testConfig(t)
	seen := recorder(t, c, 204)
	r, err := request.New(operation(t, "DELETE Object", c, &service.Properties{BucketName: ptr("mybucket"), ObjectKey: ptr("k")}), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.ApplySignature("x"), r.ApplyQuerySignature("x", 1, "y"), r.Sign(), r.Do()); strings.Count(err.Error(), "Build has to be called first") != 4 {
		t.Errorf("before Build: %v, want four errors", err)
	}
	if err := errors.Join(r.Build(), r.ApplySignature("QS me:mine"), r.Do()); err != nil {
		t.Fatal(err)
	}
	if g := (*seen)[0].header.Get("Authorization"); g != "QS me:mine" {
		t.Errorf("Authorization = %q, want what was applied", g)
	}
}

// A transport error shows the URL, and a signed link is as good as a key.
func TestTransportErrorHidesSignature(t *testing.T) {
	c := testConfig(t)
	c.Endpoint = "http://127.0.0.1:1"
	c.Connection = &http.Client{Transport: refuse{}}
	s, _ := service.Init(c)
	b, _ := s.Bucket("mybucket", "")
	r, _, err := b.GetObjectRequest("k", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(r.Build(), r.SignQuery(60))
	if err != nil {
		t.Fatal(err)
	}
	signature := r.HTTPRequest.URL.Query().Get("signature")
	err = r.Do()
	var sdk qserrors.SDKError
	if !errors.As(err, &sdk) || !errors.Is(err, errRefused) || sdk.Action != "send request" {
		t.Fatalf("Do = %v, want an SDKError around the transport's", err)
	}
	if s := err.Error(); strings.Contains(s, "signature") || strings.Contains(s, signature) || strings.Contains(s, secret) || !strings.Contains(s, "/mybucket/k") {
		t.Errorf("Do = %v, want the URL without its signature", err)
	}
}

var errRefused = errors.New("refused")

type refuse struct{}

func (refuse) RoundTrip(*http.Request) (*http.Response, error) { return nil, errRefused }

func TestContext(t *testing.T) {
	c := testConfig(t)
	seen := recorder(t, c, 200)
	s, _ := service.Init(c)
	b, _ := s.Bucket("mybucket", "")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.HeadWithContext(ctx); !errors.Is(err, context.Canceled) || len(*seen) != 0 {
		t.Errorf("Head in a context that is done = %v with %d requests, want context.Canceled and none", err, len(*seen))
	}
	//lint:ignore SA1012 a nil context is allowed here
	if _, err := b.HeadWithContext(nil); err != nil {
		t.Errorf("Head without a context = %v, want nil", err)
	}
}

func TestVhostSigner(t *testing.T) {
	req := httptest.NewRequest("GET", "http://mybucket.zone1.cistern.local:9000/?acl=", nil)
	req.Header.Set("Date", date)
	s := signer.QingStorSigner{AccessKeyID: keyID, SecretAccessKey: secret}
	if err := s.WriteSignature(signer.CanonicalReqByVhost(req, "mybucket")); err != nil {
		t.Fatal(err)
	}
	if got, want := req.Header.Get("Authorization"), "QS "+keyID+":6eX/UsmfbVZNzCOKjxZofI8hg3ovJCx4Id1rPrT0ogY="; got != want {
		t.Errorf("by vhost: %s, want %s", got, want)
	}
	req = httptest.NewRequest("GET", "http://zone1.cistern.local:9000/mybucket?acl=", nil)
	req.Header.Set("Date", date)
	if got, _ := s.BuildSignature(signer.CanonicalReqByPath(req)); got != "QS "+keyID+":NHvqcbhr1Ntc0yhJ+kOCQ5mDMglx7GSgK1Ua3gV0gNU=" {
		t.Errorf("by path: %s", got)
	}
}
