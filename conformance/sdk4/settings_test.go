package sdk4

import (
	"fmt"
	"io"
	"testing"

	"github.com/qingstor/qingstor-sdk-go/v4/service"
)

func TestSettings(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "settings")

	t.Run("cname", func(t *testing.T) {
		set, err := b.PutCNAME(&service.PutBucketCNAMEInput{Domain: ptr("files.example.com"), Type: ptr("normal")})
		ok(t, "PUT", err, value(set).StatusCode, 200)
		out, err := b.GetCNAME(&service.GetBucketCNAMEInput{Type: ptr("normal")})
		ok(t, "GET", err, value(out).StatusCode, 200)
		if value(out.Count) != 1 || len(out.CnameRecords) != 1 || value(out.CnameRecords[0].Domain) != "files.example.com" || value(out.CnameRecords[0].Type) != "normal" || value(out.CnameRecords[0].Created) == "" {
			t.Errorf("GET: %d records, want the one that was put", value(out.Count))
		}
		put(t, b, "a b/中", "by its own name")
		acl, err := b.PutACL(grant("READ"))
		ok(t, "PUT acl", err, value(acl).StatusCode, 200)
		client := s.config(t, "", "", domain).Connection
		resp, err := client.Get(fmt.Sprintf("http://files.example.com:%d/a%%20b/%%E4%%B8%%AD", s.Port))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(body) != "by its own name" {
			t.Errorf("GET by the domain = %d %q %v", resp.StatusCode, body, err)
		}
		unset, err := b.DeleteCNAME(&service.DeleteBucketCNAMEInput{Domain: ptr("files.example.com")})
		ok(t, "DELETE", err, value(unset).StatusCode, 204)
		out, err = b.GetCNAME(nil)
		ok(t, "GET after DELETE", err, value(out).StatusCode, 200)
		if value(out.Count) != 0 {
			t.Errorf("GET after DELETE: %d records", value(out.Count))
		}
	})
}
