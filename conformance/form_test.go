package conformance

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// A page's form: what a browser sends, with a policy that a program signed.
func TestFormUpload(t *testing.T) {
	s := start(t)
	s.bucket(t, "forms")
	policy := base64.StdEncoding.EncodeToString([]byte(`{"key": "user/tom/${filename}"}`))
	const boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
	var body strings.Builder
	for _, field := range [][2]string{{"key", "user/tom/${filename}"}, {"access_key_id", keyID}, {"policy", policy}, {"signature", signature(policy)}} {
		fmt.Fprintf(&body, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", boundary, field[0], field[1])
	}
	fmt.Fprintf(&body, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b 中.txt\"\r\nContent-Type: text/plain\r\n\r\nfrom a page\r\n--%s--\r\n", boundary, boundary)
	post := sent{method: "POST", target: "/forms", as: "none", body: body.String(), header: []string{
		fmt.Sprintf("Content-Length: %d", body.Len()), "Content-Type: multipart/form-data; boundary=" + boundary, "Origin: http://page.example",
	}}
	post.want(t, s, 201, "-")
	sum := md5.Sum([]byte("from a page"))
	got := sent{method: "GET", target: "/forms/user/tom/a%20b%20%E4%B8%AD.txt", header: []string{date()}}.want(t, s, 200, "from a page")
	if got.Get("Etag") != `"`+hex.EncodeToString(sum[:])+`"` {
		t.Errorf("GET of what the form sent: ETag %s", got.Get("Etag"))
	}
	post.body = strings.Replace(post.body, signature(policy), signature("another policy"), 1)
	if resp, text := post.do(t, s); resp.StatusCode != 401 && resp.StatusCode != 403 && resp.StatusCode != 400 {
		t.Errorf("a form with another signature = %d %s, want it refused", resp.StatusCode, text)
	}
}
