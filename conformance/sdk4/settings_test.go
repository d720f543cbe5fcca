package sdk4

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/qingstor/qingstor-sdk-go/v4/service"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

func TestSettings(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "settings")
	s.bucket(t, "log-target")
	s.bucket(t, "copies")

	t.Run("logging", func(t *testing.T) {
		set, err := b.PutLogging(&service.PutBucketLoggingInput{TargetBucket: ptr("log-target"), TargetPrefix: ptr("logs/")})
		ok(t, "PUT", err, value(set).StatusCode, 200)
		out, err := b.GetLogging()
		ok(t, "GET", err, value(out).StatusCode, 200)
		if value(out.TargetBucket) != "log-target" || value(out.TargetPrefix) != "logs/" {
			t.Errorf("GET: %q %q, want what was put", value(out.TargetBucket), value(out.TargetPrefix))
		}
		unset, err := b.DeleteLogging()
		ok(t, "DELETE", err, value(unset).StatusCode, 204)
	})
	t.Run("replication", func(t *testing.T) {
		set, err := b.PutReplication(&service.PutBucketReplicationInput{Rules: []*service.RulesType{{
			ID: ptr("all"), Status: ptr("enabled"), Filters: &service.FiltersType{Prefix: ptr("in/")},
			Destination: &service.DestinationType{Bucket: ptr("copies")}, DeleteMarker: ptr("enabled"),
		}}})
		ok(t, "PUT", err, value(set).StatusCode, 200)
		out, err := b.GetReplication()
		ok(t, "GET", err, value(out).StatusCode, 200)
		if len(out.Rules) != 1 || value(out.Rules[0].ID) != "all" || value(out.Rules[0].Filters.Prefix) != "in/" || value(out.Rules[0].Destination.Bucket) != "copies" || value(out.Rules[0].DeleteMarker) != "enabled" {
			t.Errorf("GET: %+v, want the rule that was put", out.Rules)
		}
		copies := open(t, s.config(t, cistern.KeyID, cistern.Secret, domain), "copies", "pek3a")
		put(t, b, "in/key", "replicated")
		put(t, b, "key", "not replicated")
		arrives(t, "the copy", func() bool {
			head, err := copies.HeadObject("in/key", nil)
			return err == nil && value(head.ContentLength) == int64(len("replicated"))
		})
		get(t, copies, "in/key", "replicated")
		unset, err := b.DeleteReplication()
		ok(t, "DELETE", err, value(unset).StatusCode, 204)
	})
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
	t.Run("notification", func(t *testing.T) {
		events := make(chan string, 10)
		hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			events <- string(body)
		}))
		t.Cleanup(hook.Close)
		set, err := b.PutNotification(&service.PutBucketNotificationInput{Notifications: []*service.NotificationType{{
			ID: ptr("n"), EventTypes: service.StringSlice([]string{"create_object"}), Cloudfunc: ptr("notifier"),
			ObjectFilters: service.StringSlice([]string{"seen/*"}), NotifyURL: &hook.URL,
		}}})
		ok(t, "PUT", err, value(set).StatusCode, 200)
		put(t, b, "unseen", "x")
		put(t, b, "seen/中", "body")
		select {
		case event := <-events:
			for _, part := range []string{`"create_object"`, `"seen/中"`, `"settings"`, `"notification_id":"n"`} {
				if !strings.Contains(event, part) {
					t.Errorf("the event has no %s: %s", part, event)
				}
			}
		case <-time.After(cistern.Patience):
			t.Error("no event arrived")
		}
		unset, err := b.DeleteNotification()
		ok(t, "DELETE", err, value(unset).StatusCode, 204)
	})
}

// arrives waits for what the server does after it has answered.
func arrives(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cistern.Patience)
	defer cancel()
	if err := cistern.Poll(ctx, done); err != nil {
		t.Fatalf("%s did not arrive: %v", what, err)
	}
}
