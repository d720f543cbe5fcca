package qsapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/cisternhq/cistern/internal/sign"
)

const formBoundary = "----formBoundary7MA4YWxk"

// formBody is a form as browsers send it: name and value by turns, then the file, unless its name is "-".
func formBody(fileName, content string, fields ...string) string {
	var b strings.Builder
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", formBoundary, fields[i], fields[i+1])
	}
	if fileName != "-" {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\nContent-Type: text/html\r\n\r\n%s\r\n", formBoundary, fileName, content)
	}
	fmt.Fprintf(&b, "--%s--\r\n", formBoundary)
	return b.String()
}

func formMessage(body string) message {
	return message{method: "POST", path: "/alices-bucket", header: []string{"Content-Type: multipart/form-data; boundary=" + formBoundary}, body: body}
}

// signedForm adds the policy that says fields, with its signature.
func signedForm(keyID string, fields ...string) []string {
	said := map[string]string{}
	for i := 0; i < len(fields); i += 2 {
		said[fields[i]] = fields[i+1]
	}
	text, _ := json.Marshal(said)
	policy := base64.StdEncoding.EncodeToString(text)
	return append(fields, "policy", policy, "access_key_id", keyID, "signature", sign.Form(policy, "secret-"+strings.ToLower(keyID)))
}

func TestFormUpload(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	read := func(key, content string) reply {
		t.Helper()
		r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/" + key}, 200, "")
		if r.body != content {
			t.Errorf("%s = %q, want %q", key, r.body, content)
		}
		return r
	}
	large := strings.Repeat("0123456789\r\n--", 50_000)
	r := s.want(formMessage(formBody("photo.jpg", large, signedForm("ALICE", "key", "user/tom/${filename}", "content-type", "image/jpeg", "charset", "utf-8",
		"x-qs-storage-class", "STANDARD_IA", "X-QS-Meta-Colour", "blue", "cache-control", "no-store", "content-disposition", "inline")...)), 201, "")
	if r.body != "" || r.Header.Get("Etag") != `"`+md5Of(large)+`"` {
		t.Errorf("a form answers %q, ETag %s", r.body, r.Header.Get("Etag"))
	}
	r = read("user/tom/photo.jpg", large)
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg; charset=utf-8", "X-Qs-Storage-Class": "STANDARD_IA", "X-Qs-Meta-Colour": "blue", "Cache-Control": "no-store",
		"Content-Disposition": "inline",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	// What the visitor's browser says of the file does not count.
	s.want(formMessage(formBody("x.html", "<script>", signedForm("ALICE", "key", "page")...)), 201, "")
	if got := read("page", "<script>").Header.Get("Content-Type"); got != "application/octet-stream" {
		t.Errorf("Content-Type = %q, want none of the visitor's", got)
	}
	for name, want := range map[string]string{
		`C:\fakepath\a b.txt`: "a b.txt", `../../etc/passwd`: "passwd", `日本 ${filename}.txt`: "日本 ${filename}.txt", `dir/`: "dir",
	} {
		s.want(formMessage(formBody(strings.ReplaceAll(name, `\`, `\\`), "x", signedForm("ALICE", "key", "up/${filename}")...)), 201, "")
		read("up/"+url.PathEscape(want), "x")
	}
	s.want(formMessage(formBody("empty", "", signedForm("ALICE", "key", "empty")...)), 201, "")
	read("empty", "")
	// What follows the file counts for nothing.
	body := formBody("f", "x", signedForm("ALICE", "key", "early")...)
	late := strings.TrimSuffix(body, "--"+formBoundary+"--\r\n") + strings.TrimPrefix(formBody("-", "", "key", "late", "x", "y"), "")
	s.want(formMessage(late), 201, "")
	read("early", "x")
	s.want(message{as: "ALICE", method: "HEAD", path: "/alices-bucket/late"}, 404, "")
	// A digest of the file is held against it.
	for digest, status := range map[string]int{md5Of("x"): 201, md5Of("y"): 400} {
		if r := s.send(formMessage(formBody("f", "x", signedForm("ALICE", "key", "digest", "content-md5", digest)...))); r.StatusCode != status {
			t.Errorf("content-md5 %s = %d %s, want %d", digest, r.StatusCode, r.body, status)
		}
	}
}

func TestFormRedirect(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	for to, prefix := range map[string]string{
		"http://app.example/callback":         "http://app.example/callback?status=201&code=created&message=Object+created&request_id=",
		"https://app.example:8443/?a=b#there": "https://app.example:8443/?a=b&status=201&code=created&message=Object+created&request_id=",
	} {
		r := s.want(formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "redirect", to)...)), 302, "")
		got := r.Header.Get("Location")
		if !strings.HasPrefix(got, prefix+r.Header.Get("X-Qs-Request-Id")) || strings.HasSuffix(got, "#there") != strings.HasSuffix(to, "#there") {
			t.Errorf("Location for %s = %s", to, got)
		}
	}
	for _, to := range []string{
		"javascript:alert(1)", "//app.example/", "/path", "ftp://app.example/", "http:///path", "http://user:secret@app.example/", "data:text/html,x",
		"http://app.example/\r\nSet-Cookie: a=b", `http:\\app.example`, "http://app.example/" + strings.Repeat("x", 2048), "https:app.example",
	} {
		s.want(formMessage(formBody("f", "x", signedForm("ALICE", "key", "bad", "redirect", to)...)), 400, "invalid_argument")
	}
	s.want(message{as: "ALICE", method: "HEAD", path: "/alices-bucket/bad"}, 404, "")
}

// The vector of the API's own pages.
func TestFormPolicyVector(t *testing.T) {
	const policy = "eyJrZXkiOiAidXNlci90b20vJHtmaWxlbmFtZX0iLCAicmVkaXJlY3QiOiAiaHR0cDovL2FwcC5leGFtcGxlL2NhbGxiYWNrIn0="
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	r := s.want(formMessage(formBody("a.txt", "x", "key", "user/tom/${filename}", "redirect", "http://app.example/callback", "policy", policy,
		"access_key_id", "ALICE", "signature", sign.Form(policy, "secret-alice"))), 302, "")
	if !strings.HasPrefix(r.Header.Get("Location"), "http://app.example/callback?status=201") {
		t.Errorf("Location = %s", r.Header.Get("Location"))
	}
	s.want(message{as: "ALICE", method: "HEAD", path: "/alices-bucket/user/tom/a.txt"}, 200, "")
}

func TestFormRefused(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	signed := signedForm("ALICE", "key", "k")
	change := func(name, value string) []string {
		f := append([]string{}, signed...)
		for i := 0; i < len(f); i += 2 {
			if f[i] == name {
				f[i+1] = value
				return f
			}
		}
		return append(f, name, value)
	}
	text := func(policy string) []string {
		p := base64.StdEncoding.EncodeToString([]byte(policy))
		return []string{"key", "k", "policy", p, "access_key_id", "ALICE", "signature", sign.Form(p, "secret-alice")}
	}
	whole := formBody("f", "x", signed...)
	cut := func(body string) message {
		m := formMessage(body)
		m.length, m.cut = fmt.Sprint(len(whole)), true
		return m
	}
	many := []string{}
	for i := range 101 {
		many = append(many, fmt.Sprint("f", i), "x")
	}
	for _, tc := range []struct {
		name   string
		m      message
		status int
		code   string
	}{
		{"no form", message{method: "POST", path: "/alices-bucket", body: "x", header: []string{"Content-Type: text/plain"}}, 400, "invalid_request"},
		{"a form of another kind", message{method: "POST", path: "/alices-bucket", body: "key=k", header: []string{"Content-Type: application/x-www-form-urlencoded"}}, 400, "invalid_request"},
		{"no boundary", message{method: "POST", path: "/alices-bucket", body: whole, header: []string{"Content-Type: multipart/form-data"}}, 400, "invalid_request"},
		{"another boundary", message{method: "POST", path: "/alices-bucket", body: whole, header: []string{"Content-Type: multipart/form-data; boundary=x"}}, 400, "invalid_request"},
		{"nothing", formMessage(""), 400, "invalid_request"},
		{"no file", formMessage(formBody("-", "", signed...)), 400, "invalid_request"},
		{"a digest of the whole", message{method: "POST", path: "/alices-bucket", body: whole, header: append(formMessage("").header, "Content-MD5: "+md5Of(whole))}, 400, "invalid_argument"},
		{"ended before the file", formMessage(whole[:60]), 400, "invalid_request"},
		{"cut before the file", cut(whole[:60]), 400, "incomplete_body"},
		{"the connection cut in the file", cut(whole[:len(whole)-30]), 400, "incomplete_body"},
		{"cut in the file", formMessage(whole[:len(whole)-30]), 400, "incomplete_body"},
		{"a field of no name", formMessage(formBody("f", "x", append([]string{"", "x"}, signed...)...)), 400, "invalid_request"},
		{"a field twice", formMessage(formBody("f", "x", append([]string{"KEY", "k"}, signed...)...)), 400, "invalid_request"},
		{"too many fields", formMessage(formBody("f", "x", many...)), 400, "invalid_request"},
		{"large fields", formMessage(formBody("f", "x", "key", "k", "x", strings.Repeat("x", 80<<10))), 400, "entity_too_large"},
		{"a key that is no UTF-8", formMessage(formBody("f", "x", "key", "\xff")), 400, "invalid_argument"},

		{"another key than the policy's", formMessage(formBody("f", "x", change("key", "other")...)), 400, "form_policy_violated"},
		{"a field that the policy lacks", formMessage(formBody("f", "x", change("x-qs-meta-a", "b")...)), 400, "form_policy_violated"},
		{"a field that the form lacks", formMessage(formBody("f", "x", text(`{"key":"k","redirect":"http://app.example/"}`)...)), 400, "form_policy_violated"},
		{"a policy that is no text", formMessage(formBody("f", "x", text(`{"key":["k"]}`)...)), 400, "form_policy_violated"},
		{"a policy that says a key twice", formMessage(formBody("f", "x", text(`{"key":"k","Key":"k"}`)...)), 400, "form_policy_violated"},
		{"two policies", formMessage(formBody("f", "x", text(`{"key":"k"}{}`)...)), 400, "form_policy_violated"},
		{"no policy in it", formMessage(formBody("f", "x", text("")...)), 400, "form_policy_violated"},
		{"a policy that is no base64", formMessage(formBody("f", "x", "key", "k", "policy", "{}", "access_key_id", "ALICE", "signature", sign.Form("{}", "secret-alice"))), 400, "form_policy_violated"},
		{"another policy than was signed", formMessage(formBody("f", "x", change("policy", base64.StdEncoding.EncodeToString([]byte(`{"key":"k" }`)))...)), 401, "signature_not_matched"},
		{"another's signature", formMessage(formBody("f", "x", change("access_key_id", "BOB")...)), 401, "signature_not_matched"},
		{"an unknown key", formMessage(formBody("f", "x", change("access_key_id", "NOBODY")...)), 401, "invalid_access_key_id"},
		{"a disabled key", formMessage(formBody("f", "x", signedForm("MALLORY", "key", "k")...)), 403, "access_key_disabled"},
		{"who has no right", formMessage(formBody("f", "x", signedForm("BOB", "key", "k")...)), 403, "permission_denied"},
		{"nobody", formMessage(formBody("f", "x", "key", "k")), 403, "permission_denied"},
		{"a signature without a policy", formMessage(formBody("f", "x", "key", "k", "access_key_id", "ALICE", "signature", "x")), 400, "invalid_request"},
		{"signed twice", message{as: "ALICE", method: "POST", path: "/alices-bucket", body: whole, header: formMessage("").header}, 400, "invalid_request"},

		{"no key", formMessage(formBody("f", "x", signedForm("ALICE", "a", "b")...)), 400, "invalid_request"},
		{"a key of nothing", formMessage(formBody("f", "x", signedForm("ALICE", "key", "")...)), 400, "invalid_object_name"},
		{"a key that begins with a slash", formMessage(formBody("f", "x", signedForm("ALICE", "key", "/k")...)), 400, "invalid_object_name"},
		{"a long key", formMessage(formBody("f", "x", signedForm("ALICE", "key", strings.Repeat("k", 1024))...)), 400, "invalid_object_name"},
		{"a file of no name", formMessage(formBody("", "x", signedForm("ALICE", "key", "${filename}")...)), 400, "invalid_argument"},
		{"a file name that is a slash", formMessage(formBody("/", "x", signedForm("ALICE", "key", "${filename}")...)), 400, "invalid_argument"},
		{"a type of two lines", formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "content-type", "a/b\r\nX: y")...)), 400, "invalid_argument"},
		{"a class that there is not", formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "x-qs-storage-class", "COLD")...)), 400, "invalid_request"},
		{"metadata of an odd name", formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "x-qs-meta-a b", "c")...)), 400, "invalid_argument"},
		{"metadata of two lines", formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "x-qs-meta-a", "b\r\nc")...)), 400, "invalid_argument"},
		{"much metadata", formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "x-qs-meta-a", strings.Repeat("b", 2048))...)), 400, "metadata_too_large"},
		{"a copy", formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "x-qs-copy-source", "/alices-bucket/a")...)), 400, "invalid_argument"},
		{"an odd charset", formMessage(formBody("f", "x", signedForm("ALICE", "key", "k", "charset", "a\"b\n")...)), 400, "invalid_argument"},
		{"no bucket", message{method: "POST", path: "/no-bucket", body: whole, header: formMessage("").header}, 404, "bucket_not_exists"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.t = t
			s.want(tc.m, tc.status, tc.code)
		})
	}
	s.t = t
	if r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket?stats"}, 200, ""); !strings.HasPrefix(r.body, `{"count":0,`) {
		t.Errorf("a form that was refused left an object: %s", r.body)
	}
}

// A bucket that lets anybody write takes a form without a signature.
func TestFormOfNobody(t *testing.T) {
	s := start(t, nil)
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/alices-bucket?acl", body: `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"WRITE"}]}`}, 200, "")
	s.want(formMessage(formBody("f.txt", "from nobody", "key", "in/${filename}", "submit", "Send")), 201, "")
	if r := s.want(message{as: "ALICE", method: "GET", path: "/alices-bucket/in/f.txt"}, 200, ""); r.body != "from nobody" {
		t.Errorf("the file = %q", r.body)
	}
	m := formMessage(formBody("f.txt", "from alice", "key", "own"))
	m.as = "ALICE" // by the request's signature
	s.want(m, 201, "")
}
