package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	qserrors "github.com/yunify/qingstor-sdk-go/v3/request/errors"
	"github.com/yunify/qingstor-sdk-go/v3/service"
)

// call and with make the SDK's calls alike, so that a table can hold them.
func call[Out any](f func() (*Out, error)) func() (any, error) {
	return func() (any, error) { return f() }
}

func with[In, Out any](t *testing.T, f func(*In) (*Out, error), document string) func() (any, error) {
	return func() (any, error) { return f(from[In](t, document)) }
}

// from reads an input of the SDK from the document that the scenario sends.
func from[In any](t *testing.T, document string) *In {
	t.Helper()
	in := new(In)
	if err := json.Unmarshal([]byte(document), in); err != nil {
		t.Fatal(err)
	}
	return in
}

func TestScenarioSettings(t *testing.T) {
	const (
		cors = `{"cors_rules": [
			{"allowed_origin": "http://*.qingcloud.com", "allowed_methods": ["PUT", "GET", "DELETE", "POST"],
			 "allowed_headers": ["X-QS-Date", "Content-Type", "Content-MD5", "Authorization"], "max_age_seconds": 200, "expose_headers": ["X-QS-Date"]},
			{"allowed_origin": "http://*.example.com", "allowed_methods": ["PUT", "GET", "DELETE", "POST"], "allowed_headers": ["*"], "max_age_seconds": 400}]}`
		policy = `{"statement": [
			{"id": "allow certain site to get objects", "user": ["*"], "action": ["get_object"], "effect": "allow", "resource": ["settings/*"],
			 "condition": {"string_like": {"Referer": ["*.example1.com", "*.example2.com"]}, "ip_address": {"source_ip": ["172.16.0.0/24", "172.16.1.1/32"]}}}]}`
		lifecycle = `{"rule": [
			{"id": "abort-multipart-upload-in-data", "status": "enabled", "filter": {"prefix": "data/"},
			 "abort_incomplete_multipart_upload": {"days_after_initiation": 3}}]}`
		notification = `{"notifications": [
			{"id": "notification-1", "event_types": ["create_object"], "cloudfunc": "notifier", "object_filters": ["*"], "notify_url": "http://user_notify_url"}]}`
		mirror = `{"source_site": "https://example.com/something/"}`
	)
	s := start(t)
	b := s.bucket(t, "settings")
	tests := []struct {
		name, document   string
		put, get, delete func() (any, error)
	}{
		{"cors", cors, with(t, b.PutCORS, cors), call(b.GetCORS), call(b.DeleteCORS)},
		{"policy", policy, with(t, b.PutPolicy, policy), call(b.GetPolicy), call(b.DeletePolicy)},
		{"lifecycle", lifecycle, with(t, b.PutLifecycle, lifecycle), call(b.GetLifecycle), call(b.DeleteLifecycle)},
		{"notification", notification, with(t, b.PutNotification, notification), call(b.GetNotification), call(b.DeleteNotification)},
		{"mirror", mirror, with(t, b.PutExternalMirror, mirror), call(b.GetExternalMirror), call(b.DeleteExternalMirror)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			step := func(what string, call func() (any, error), want int) []byte {
				t.Helper()
				out, err := call()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				text, err := json.Marshal(out)
				if err != nil {
					t.Fatal(err)
				}
				var status struct{ StatusCode *int }
				if err := json.Unmarshal(text, &status); err != nil {
					t.Fatal(err)
				}
				wantStatus(t, what, status.StatusCode, want)
				return text
			}
			step("PUT", tt.put, 200)
			got := step("GET", tt.get, 200)
			if where := missing(t, got, []byte(tt.document)); where != "" {
				t.Errorf("GET: %s did not come back as it was put, got %s", where, got)
			}
			step("DELETE", tt.delete, 204)
			_, err := tt.get()
			var qs *qserrors.QingStorError
			if !errors.As(err, &qs) || qs.StatusCode != 404 {
				t.Errorf("GET after DELETE: %v, want 404", err)
			}
			step("DELETE again", tt.delete, 204)
		})
	}
}

// missing says which part of the document want is not in got in the same form; "" is none. The server may add members.
func missing(t *testing.T, got, want []byte) string {
	t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal(got, &g), json.Unmarshal(want, &w)); err != nil {
		t.Fatal(err)
	}
	return missingIn(g, w, "")
}

func missingIn(got, want any, where string) string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return where
		}
		for name, value := range want {
			if m := missingIn(got[name], value, where+"."+name); m != "" {
				return m
			}
		}
		return ""
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return where
		}
		for i := range want {
			if m := missingIn(got[i], want[i], fmt.Sprintf("%s[%d]", where, i)); m != "" {
				return m
			}
		}
		return ""
	default:
		if got != want {
			return where
		}
		return ""
	}
}

// preflight sends what a browser asks before it lets a page make a request: without any signature.
func preflight(t *testing.T, s *server, path, origin, method string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+s.host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", method)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestCORS(t *testing.T) {
	s := start(t)
	b := s.bucket(t, "cross")
	put(t, b, "key", "body")
	_, err := b.PutCORS(&service.PutBucketCORSInput{CORSRules: []*service.CORSRuleType{{
		AllowedOrigin:  ptr("http://*.example.com"),
		AllowedMethods: service.StringSlice([]string{"GET", "PUT"}),
		AllowedHeaders: service.StringSlice([]string{"*"}),
		ExposeHeaders:  service.StringSlice([]string{"ETag"}),
		MaxAgeSeconds:  ptr(200),
	}}})
	if err != nil {
		t.Fatalf("PUT cors: %v", err)
	}
	for _, tt := range []struct {
		origin, method string
		allowed        bool
	}{
		{"http://app.example.com", "GET", true},
		{"http://app.example.com", "PUT", true},
		{"http://app.example.com", "DELETE", false},
		{"http://example.org", "GET", false},
	} {
		out, err := b.OptionsObject("key", &service.OptionsObjectInput{Origin: &tt.origin, AccessControlRequestMethod: &tt.method})
		if err != nil {
			t.Errorf("OPTIONS from %s for %s: %v", tt.origin, tt.method, err)
			continue
		}
		wantStatus(t, "OPTIONS", out.StatusCode, 200)
		if got := value(out.AccessControlAllowOrigin) != ""; got != tt.allowed {
			t.Errorf("OPTIONS from %s for %s: allowed origin %q, want one: %v", tt.origin, tt.method, value(out.AccessControlAllowOrigin), tt.allowed)
		}
		if resp := preflight(t, s, "/cross/key", tt.origin, tt.method); (resp.Header.Get("Access-Control-Allow-Origin") != "") != tt.allowed {
			t.Errorf("a browser's OPTIONS from %s for %s: %d %v, want it allowed: %v", tt.origin, tt.method, resp.StatusCode, resp.Header, tt.allowed)
		}
	}
}
