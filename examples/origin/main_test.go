package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestFiles(t *testing.T) {
	for _, tt := range []struct {
		path   string
		status int
		size   int
	}{
		{"/hello.txt", 200, len(hello)},
		{"/docs/c.txt", 200, len("This is c.txt.\n") * 100},
		{"/docs/z.txt", 404, -1},
		{"/image/1MiB.bin", 200, 1 << 20},
		{"/image/10.bin", 200, 10},
		{"/image/0.bin", 200, 0},
		{"/image/9999999TiB.bin", 404, -1},
		{"/image/-1.bin", 404, -1},
		{"/", 404, -1},
	} {
		w := httptest.NewRecorder()
		site{log: io.Discard}.ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
		if w.Code != tt.status || tt.size >= 0 && w.Body.Len() != tt.size {
			t.Errorf("GET %s = %d, %d bytes; want %d, %d bytes", tt.path, w.Code, w.Body.Len(), tt.status, tt.size)
		}
	}
}

func TestRangesAreParts(t *testing.T) {
	srv := httptest.NewServer(site{rate: 10 << 20, log: io.Discard})
	defer srv.Close()
	fetch := func(ranges string) []byte {
		r, err := http.NewRequest("GET", srv.URL+"/image/100KiB.bin", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Range", ranges)
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	all := fetch("")
	if part := fetch("bytes=12345-50000"); !bytes.Equal(part, all[12345:50001]) {
		t.Error("a range differs from the same bytes of the whole")
	}
}
