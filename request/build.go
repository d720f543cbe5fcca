package request

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cisternhq/cistern/internal/wire"
	qserrors "github.com/cisternhq/cistern/request/errors"
)

// Version is the version of this SDK, as in its User-Agent.
const Version = "0.1.0"

// The placeholders of a RequestURI, and the tags of the properties that replace them.
const (
	bucketPlace = "/<bucket-name>"
	keyPlace    = "/<object-key>"
)

func (r *Request) build(ctx context.Context) error {
	if r.config() == nil {
		return errors.New("the operation has no configuration")
	}
	var m wire.Message
	if in := *r.Input; in.IsValid() && (in.Kind() != reflect.Pointer || !in.IsNil()) {
		var err error
		if m, err = wire.Encode(in.Interface()); err != nil {
			return err
		}
	}
	u, err := r.address(m.Query)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, r.Operation.RequestMethod, "", nil)
	if err != nil {
		return err
	}
	req.URL, req.Host = u, u.Host
	for name, values := range m.Header {
		req.Header[name] = values
	}
	if err := r.setBody(req, m); err != nil {
		return err
	}
	if req.Header.Get("Date") == "" {
		req.Header.Set("Date", time.Now().UTC().Format(wire.TimeFormat))
	}
	req.Header.Set("User-Agent", userAgent(r.config().AdditionalUserAgent))
	if req.Method == http.MethodGet {
		// Otherwise net/http asks for gzip and undoes it, and what was stored with that coding would not arrive as it was stored.
		req.Header.Set("Accept-Encoding", "identity")
	}
	r.HTTPRequest = req
	return nil
}

// target is what the properties of an operation address.
type target struct {
	bucket, key, zone string
}

func (r *Request) target() target {
	var t target
	v := reflect.ValueOf(r.Operation.Properties)
	for v.IsValid() && v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return t
	}
	for i := range v.NumField() {
		p, ok := v.Field(i).Interface().(*string)
		if !ok || p == nil {
			continue
		}
		switch v.Type().Field(i).Tag.Get("name") {
		case "bucket-name":
			t.bucket = *p
		case "object-key":
			t.key = *p
		case "zone":
			t.zone = *p
		}
	}
	return t
}

// address returns the request's URL.
func (r *Request) address(query url.Values) (*url.URL, error) {
	c, t := r.config(), r.target()
	protocol, host, port, err := c.Address()
	if err != nil {
		return nil, err
	}
	if protocol != "http" && protocol != "https" {
		return nil, fmt.Errorf("protocol %q is neither http nor https", protocol)
	}
	if host == "" || strings.ContainsAny(host, "/?#@%") {
		return nil, fmt.Errorf("host %q is not a name or an address", host)
	}
	template, names, _ := strings.Cut(r.Operation.RequestURI, "?")
	path, err := t.path(template, c.DisableURICleaning)
	if err != nil {
		return nil, err
	}
	_, notAddress := netip.ParseAddr(host)
	// No zone can stand in front of an address, and what is put in front of a name without dots resolves nowhere.
	if t.zone != "" && notAddress != nil && strings.Contains(host, ".") {
		if !label(t.zone) {
			return nil, fmt.Errorf("zone %q is not a host label", t.zone)
		}
		host = t.zone + "." + host
	}
	if c.EnableVirtualHostStyle && strings.HasPrefix(template, bucketPlace) {
		if notAddress == nil {
			return nil, fmt.Errorf("host %s is an address, which no bucket can stand in front of; disable virtual-host style", host)
		}
		for part := range strings.SplitSeq(t.bucket, ".") {
			if !label(part) {
				return nil, fmt.Errorf("bucket %q cannot be part of a host; disable virtual-host style", t.bucket)
			}
		}
		host = t.bucket + "." + host
		path = strings.TrimPrefix(path, "/"+t.bucket)
		if path == "" {
			path = "/"
		}
	}
	if port > 0 {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, err
	}
	values := url.Values{}
	if names != "" {
		for name := range strings.SplitSeq(names, "&") {
			values.Set(name, "")
		}
	}
	for name, v := range query {
		values[name] = v
	}
	return &url.URL{Scheme: protocol, Host: host, Path: decoded, RawPath: path, RawQuery: values.Encode()}, nil
}

// path fills a template in, in path style.
//
// An empty bucket or key is refused, and so is a key that cleaning would leave nothing of: DELETE of the object "" or "/" would
// otherwise be DELETE of the bucket.
func (t target) path(template string, asIs bool) (string, error) {
	rest, inBucket := strings.CutPrefix(template, bucketPlace)
	if !inBucket {
		return template, nil
	}
	switch {
	case t.bucket == "":
		return "", qserrors.ParameterRequiredError{ParameterName: "BucketName", ParentName: "Properties"}
	case strings.Contains(t.bucket, "/"), t.bucket == ".", t.bucket == "..":
		return "", fmt.Errorf("%q is not a bucket's name", t.bucket)
	}
	path := "/" + wire.Escape(t.bucket)
	if rest != keyPlace {
		return path + rest, nil
	}
	switch {
	case t.key == "":
		return "", qserrors.ParameterRequiredError{ParameterName: "ObjectKey", ParentName: "Properties"}
	case asIs:
		return path + "/" + wire.Escape(t.key), nil
	case strings.Trim(t.key, "/") == "":
		return "", fmt.Errorf("the key %q has nothing but slashes; set DisableURICleaning to send it", t.key)
	}
	return fold(path + "/" + wire.Escape(t.key)), nil
}

// fold makes one slash of each run of them.
func fold(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b = append(b, path[i])
		}
	}
	return string(b)
}

// label reports whether s can be a label of a host's name. It is what keeps a zone or a bucket from naming another host.
func label(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

// setBody gives req its body and what the headers say of it.
func (r *Request) setBody(req *http.Request, m wire.Message) error {
	if m.JSON != nil {
		req.Header.Set("Content-Type", "application/json")
		if r.Operation.APIName == "Delete Multiple Objects" && req.Header.Get("Content-MD5") == "" {
			sum := md5.Sum(m.JSON)
			req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(m.JSON)), int64(len(m.JSON))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.JSON)), nil }
		return nil
	}
	want := int64(-1)
	if m.ContentLength != nil {
		want = *m.ContentLength
	}
	if m.Body == nil {
		if want > 0 {
			return fmt.Errorf("ContentLength is %d, but there is no Body", want)
		}
		req.Body = http.NoBody
		return nil
	}
	if r.spent {
		return errors.New("the body was sent already and cannot be read again")
	}
	size, err := r.measure(m.Body, want)
	if err != nil {
		return fmt.Errorf("measure body: %w", err)
	}
	switch {
	case want < 0:
		want = size
	case size >= 0 && size != want:
		return fmt.Errorf("ContentLength is %d, but the body has %d bytes", want, size)
	}
	if want == 0 {
		// To net/http a length of 0 with a body means that nobody knows.
		if size != 0 {
			if n, _ := io.ReadFull(m.Body, make([]byte, 1)); n > 0 {
				return errors.New("ContentLength is 0, but the body is not empty")
			}
		}
		req.Body = http.NoBody
		return nil
	}
	// The body is the caller's: the transport must not close it, for it may be sent again.
	req.Body, req.ContentLength = r.lent.lend(m.Body), want
	if at, ok := m.Body.(io.ReaderAt); ok && r.start != nil && want > 0 {
		start := *r.start
		req.GetBody = func() (io.ReadCloser, error) { return r.lent.lend(io.NewSectionReader(at, start, want)), nil }
	}
	return nil
}

// measure returns the bytes that body will give, -1 if that cannot be known, and puts a body that can seek where it has to be read from.
//
// As with QingStor's SDK that is its beginning, wherever the body stands, unless the caller says how much there is to be read: then it is
// where the body stood first. want is what the caller said, or -1.
func (r *Request) measure(body io.Reader, want int64) (int64, error) {
	if f, ok := body.(interface{ Stat() (fs.FileInfo, error) }); ok {
		// Terminals and some devices let themselves be sought, and tell nothing by it.
		if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
			return -1, nil
		}
	}
	if s, ok := body.(io.Seeker); ok {
		at, err := s.Seek(0, io.SeekCurrent)
		if err != nil {
			return -1, nil // a pipe that calls itself a file
		}
		end, err := s.Seek(0, io.SeekEnd)
		if err != nil {
			return 0, err
		}
		if r.start == nil {
			// A body that was read to its end by an earlier call is sent again from its beginning.
			if want < 0 || end == want {
				at = 0
			}
			r.start = &at
		}
		if _, err := s.Seek(*r.start, io.SeekStart); err != nil {
			return 0, err
		}
		return max(end-*r.start, 0), nil
	}
	if l, ok := body.(interface{ Len() int }); ok {
		return int64(l.Len()), nil
	}
	return -1, nil
}

func userAgent(additional string) string {
	ua := fmt.Sprintf("cistern-sdk-go/%s (Go v%s; %s_%s_%s)",
		Version, strings.TrimPrefix(runtime.Version(), "go"), runtime.GOOS, runtime.GOARCH, runtime.Compiler)
	if additional != "" {
		ua += " " + additional
	}
	return ua
}
