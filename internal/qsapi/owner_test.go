package qsapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/sign"
)

// Where an object came from is shown to the bucket's owner and the operator, by requests that they signed themselves. It is shown to nobody else,
// and for nothing that is not stored.
func TestProvenanceIsTheOwners(t *testing.T) {
	s := start(t, nil)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to?signature=secret", http.StatusFound)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==")
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader("hello"))
	}))
	t.Cleanup(origin.Close)
	s.want(message{as: "ALICE", method: "PUT", path: "/mirrored"}, 201, "")
	s.want(message{as: "ALICE", method: "PUT", path: "/mirrored?acl", body: `{"acl":[{"grantee":{"type":"group","name":"QS_ALL_USERS"},"permission":"READ"},` +
		`{"grantee":{"type":"user","id":"bob"},"permission":"FULL_CONTROL"}]}`}, 200, "")
	s.want(message{as: "OPERATOR", method: "PUT", path: "/mirrored?mirror", body: `{"source_site":"` + origin.URL + `/"}`}, 200, "")

	if r := s.want(message{as: "ALICE", method: "HEAD", path: "/mirrored/from"}, 200, ""); len(provenance(r)) > 0 {
		t.Errorf("HEAD of what is not stored shows %v", provenance(r))
	}
	if r := s.want(message{as: "ALICE", method: "GET", path: "/mirrored/from"}, 200, ""); len(provenance(r)) > 0 {
		t.Errorf("the first GET shows %v", provenance(r))
	}
	for { // the commit comes right behind the last byte; a GET would be a hit of the flight before that
		if r := s.want(message{method: "HEAD", path: "/mirrored/from"}, 200, ""); r.Header.Get("Cache-Status") == "cistern; hit" {
			break
		}
	}
	s.want(message{as: "ALICE", method: "PUT", path: "/mirrored/put", body: "hello"}, 201, "")
	filled := map[string]string{
		"Cistern-Source-Url": origin.URL + "/to", "Cistern-Source-Etag": `"v1"`, "Cistern-Source-Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT",
		"Cistern-Verified": "content-md5", "Cistern-Md5": "5d41402abc4b2a76b9719d911017c592", "Cistern-Crc64nvme": "M3eFcAZSQlc=", "Cistern-Filled-At": "",
	}
	put := map[string]string{"Cistern-Md5": "5d41402abc4b2a76b9719d911017c592", "Cistern-Crc64nvme": "M3eFcAZSQlc="}
	link := sign.Request{Method: "GET", Path: "/mirrored/from", Header: http.Header{}}
	for _, tt := range []struct {
		name   string
		as     string
		path   string
		method string
		sees   map[string]string
	}{
		{"operator", "OPERATOR", "/mirrored/from", "HEAD", filled},
		{"operator", "OPERATOR", "/mirrored/from", "GET", filled},
		{"owner", "ALICE", "/mirrored/from", "HEAD", filled},
		{"owner", "ALICE", "/mirrored/from", "GET", filled},
		{"owner, of a put", "ALICE", "/mirrored/put", "HEAD", put},
		{"granted", "BOB", "/mirrored/from", "HEAD", nil},
		{"granted", "BOB", "/mirrored/from", "GET", nil},
		{"granted, of a put", "BOB", "/mirrored/put", "HEAD", nil},
		{"anonymous", "", "/mirrored/from", "HEAD", nil},
		{"anonymous", "", "/mirrored/from", "GET", nil},
		{"the owner's link", "", "/mirrored/from?" + sign.Query(link, "ALICE", "secret-alice", now.Add(time.Hour).Unix()), "GET", nil},
	} {
		r := s.want(message{as: tt.as, method: tt.method, path: tt.path}, 200, "")
		if got := provenance(r); !equal(got, tt.sees) {
			t.Errorf("%s of the %s shows %v, want %v", tt.method, tt.name, got, tt.sees)
		}
	}
	if r := s.want(message{as: "ALICE", method: "GET", path: "/mirrored/from", header: []string{"Range: bytes=0-0"}}, 206, ""); !equal(provenance(r), filled) {
		t.Errorf("a range shows %v, want %v", provenance(r), filled)
	}
}

// provenance returns the header fields that tell of the source and of the bytes.
func provenance(r reply) map[string]string {
	got := map[string]string{}
	for name := range r.Header {
		if strings.HasPrefix(name, "Cistern-") {
			got[name] = r.Header.Get(name)
		}
	}
	return got
}

// equal compares, but for the time of the fill, which only has to be there, in its form.
func equal(got, want map[string]string) bool {
	if len(got) != len(want) {
		return false
	}
	for name, v := range want {
		if name == "Cistern-Filled-At" {
			if _, err := time.Parse(time.RFC3339, got[name]); err != nil {
				return false
			}
		} else if got[name] != v {
			return false
		}
	}
	return true
}
