package qsapi

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/multipart"
	"testing"

	"github.com/cisternhq/cistern/internal/object"
)

// Whatever a form is, what is read of it is an object that may be, or it is refused with an error of the client's.
func FuzzForm(f *testing.F) {
	const boundary = "b"
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	file := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\\\\b/c.txt\"\r\n\r\nbytes\r\n--b--\r\n"
	for _, seed := range []string{
		part("key", "a/${filename}") + file, part("key", "k") + part("redirect", "http://h/?a#b") + part("x-qs-meta-a", "b") + file,
		part("key", "k") + part("content-type", "text/plain") + part("charset", "utf-8") + file, file, "--b--", "--b\r\n\r\n\r\n", "",
		part("Key", "\xff") + file,
	} {
		f.Add([]byte(seed), []byte(`{"key":"k"}`))
	}
	f.Fuzz(func(t *testing.T, body, policy []byte) {
		refused := func(err error) {
			t.Helper()
			if status, code, _ := describe(err); status != 400 {
				t.Fatalf("%v answers %d %s, want 400", err, status, code)
			}
		}
		parts := multipart.NewReader(bytes.NewReader(body), boundary)
		form, err := readForm(parts)
		if err != nil {
			refused(err)
			return
		}
		if err := form.check(base64.StdEncoding.EncodeToString(policy)); err != nil {
			refused(err)
		}
		key, err := form.key()
		if err != nil {
			refused(err)
		} else if object.CheckKey(key) != nil || key[0] == '/' {
			t.Fatalf("key %q", key)
		}
		if to, err := form.redirect("id"); err != nil {
			refused(err)
		} else if to != "" && (hasControl(to) || to[:4] != "http") {
			t.Fatalf("redirect to %q", to)
		}
		h, err := form.header()
		if err == nil {
			_, err = metaOf(h)
		}
		if err != nil {
			refused(err)
		}
		for name, values := range h {
			for _, v := range values {
				if name != "" && err == nil && hasControl(v) {
					t.Fatalf("header %q: %q", name, v)
				}
			}
		}
		_, _ = io.Copy(io.Discard, form.file)
	})
}
