package signer_test

import (
	"net/http/httptest"
	"testing"

	"github.com/cisternhq/cistern/request/signer"
)

const (
	keyID  = "CISTERNTESTKEY000001"
	secret = "cistern-test-secret-key-0123456789abcdef"
	date   = "Wed, 10 Dec 2014 17:20:31 GMT"
)

// The vectors of the fact sheet that both styles have.
func TestVectors(t *testing.T) {
	tests := []struct {
		name, url     string
		vhost         bool
		wantSignature string
	}{
		{"path style", "http://zone1.cistern.local:9000/mybucket?acl=", false, "NHvqcbhr1Ntc0yhJ+kOCQ5mDMglx7GSgK1Ua3gV0gNU="},
		{"virtual-host style", "http://mybucket.zone1.cistern.local:9000/?acl=", true, "6eX/UsmfbVZNzCOKjxZofI8hg3ovJCx4Id1rPrT0ogY="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := signer.QingStorSigner{AccessKeyID: keyID, SecretAccessKey: secret, EnableVirtualHostStyle: tt.vhost}
			r := httptest.NewRequest("GET", tt.url, nil)
			r.Header.Set("Date", date)
			if err := s.WriteSignature(r); err != nil {
				t.Fatal(err)
			}
			built, err := s.BuildSignature(r)
			if got, want := r.Header.Get("Authorization"), "QS "+keyID+":"+tt.wantSignature; got != want || built != want || err != nil {
				t.Errorf("Authorization = %s, built %s, %v; want %s", got, built, err, want)
			}
			text, err := s.BuildStringToSign(r)
			path := map[bool]string{false: "/mybucket?acl", true: "/mybucket/?acl"}[tt.vhost]
			if want := "GET\n\n\n" + date + "\n" + path; text != want || err != nil {
				t.Errorf("string to sign = %q, %v; want %q", text, err, want)
			}
			if r.Host = ""; tt.vhost {
				if again, _ := s.BuildStringToSign(r); again != text {
					t.Errorf("string to sign by the URL's host = %q, want %q", again, text)
				}
			}
		})
	}
}

func TestLink(t *testing.T) {
	const want = "access_key_id=" + keyID + "&expires=1479107162&signature=06oLIEDUNLISuc96SPHhJnEQqVoANuiVF5vNtooEGtU="
	s := signer.QingStorSigner{AccessKeyID: keyID, SecretAccessKey: secret, EnableVirtualHostStyle: true}
	r := httptest.NewRequest("GET", "http://mybucket.zone1.cistern.local:9000/music%20file%2B.mp3", nil)
	if got, err := s.BuildQuerySignature(r, 1479107162); got != want || err != nil {
		t.Errorf("BuildQuerySignature = %s, %v; want %s", got, err, want)
	}
	if err := s.WriteQuerySignature(r, 1479107162); err != nil || r.URL.RawQuery != want {
		t.Errorf("query = %s, %v; want %s", r.URL.RawQuery, err, want)
	}
	if got, err := s.BuildQueryStringToSign(r, 1479107162); got != "GET\n\n\n1479107162\n/mybucket/music%20file%2B.mp3" || err != nil {
		t.Errorf("string to sign = %q, %v", got, err)
	}
}
