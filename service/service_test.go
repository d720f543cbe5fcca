package service_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/internal/sign"
	qserrors "github.com/cisternhq/cistern/request/errors"
	"github.com/cisternhq/cistern/service"
)

var update = flag.Bool("update", false, "write testdata/requests.golden anew")

const (
	keyID  = "CISTERNTESTKEY000001"
	secret = "cistern-test-secret-key-0123456789abcdef"
)

// open returns a service whose requests go to h, whatever the environment says.
func open(t *testing.T, h http.HandlerFunc) *service.Service {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	for _, name := range []string{config.EnvAccessKeyID, config.EnvSecretAccessKey, config.EnvEnableVirtualHostStyle, config.EnvEnableDualStack} {
		t.Setenv(name, "")
	}
	t.Setenv(config.EnvEndpoint, srv.URL)
	c, err := config.New(keyID, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Connection.CloseIdleConnections)
	s, err := service.Init(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openBucket(t *testing.T, h http.HandlerFunc) *service.Bucket {
	t.Helper()
	b, err := open(t, h).Bucket("mybucket", "PEK3a")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each operation with every input field set, as it stands on the wire; the signature is checked by the server's side.
func TestGoldenRequests(t *testing.T) {
	at := time.Date(2014, 12, 10, 17, 20, 31, 0, time.UTC)
	str := service.String
	var dump strings.Builder
	status := 0
	s := open(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		path, query, _ := strings.Cut(r.RequestURI, "?")
		sr := sign.Request{Method: r.Method, Path: path, Query: query, Header: r.Header}
		cred, ok, err := sign.Parse(sr)
		if err == nil && ok {
			err = cred.Verify(sr, secret, time.Now())
		}
		if err != nil || !ok || cred.KeyID != keyID {
			t.Errorf("%s %s: signature: %v", r.Method, r.RequestURI, err)
		}
		fmt.Fprintf(&dump, "%s %s\n", r.Method, r.RequestURI)
		var lines []string
		for name, values := range r.Header {
			switch name {
			case "Date", "Authorization", "User-Agent":
				if values[0] == "" {
					t.Errorf("%s %s: %s is empty", r.Method, r.RequestURI, name)
				}
				values = []string{"..."}
			}
			lines = append(lines, name+": "+strings.Join(values, " | ")+"\n")
		}
		sort.Strings(lines)
		fmt.Fprintf(&dump, "%s\n%s\n\n", strings.Join(lines, ""), body)
		w.Header().Set("X-QS-Request-ID", "00112233")
		w.WriteHeader(status)
	})
	b, err := s.Bucket("mybucket", "PEK3a")
	if err != nil {
		t.Fatal(err)
	}
	calls := []struct {
		name string
		want int
		call func() (code *int, id *string, err error)
	}{
		{"ListBuckets", 200, func() (*int, *string, error) {
			o, err := s.ListBuckets(&service.ListBucketsInput{Limit: service.Int(10), Offset: service.Int(0), Location: str("pek3a")})
			return o.StatusCode, o.RequestID, err
		}},
		{"ListBuckets without input", 200, func() (*int, *string, error) {
			o, err := s.ListBuckets(nil)
			return o.StatusCode, o.RequestID, err
		}},
		{"Put", 201, func() (*int, *string, error) { o, err := b.Put(); return o.StatusCode, o.RequestID, err }},
		{"Head", 200, func() (*int, *string, error) { o, err := b.Head(); return o.StatusCode, o.RequestID, err }},
		{"Delete", 204, func() (*int, *string, error) { o, err := b.Delete(); return o.StatusCode, o.RequestID, err }},
		{"ListObjects", 200, func() (*int, *string, error) {
			o, err := b.ListObjects(&service.ListObjectsInput{Delimiter: str("/"), Limit: service.Int(5), Marker: str("a+b"), Prefix: str("a b/中")})
			return o.StatusCode, o.RequestID, err
		}},
		{"GetACL", 200, func() (*int, *string, error) { o, err := b.GetACL(); return o.StatusCode, o.RequestID, err }},
		{"PutACL", 200, func() (*int, *string, error) {
			o, err := b.PutACL(&service.PutBucketACLInput{ACL: []*service.ACLType{
				{Grantee: &service.GranteeType{Type: str("group"), Name: str("QS_ALL_USERS")}, Permission: str("READ")},
				{Grantee: &service.GranteeType{Type: str("user"), ID: str("usr-1")}, Permission: str("FULL_CONTROL")},
			}})
			return o.StatusCode, o.RequestID, err
		}},
		{"PutACL of nothing", 200, func() (*int, *string, error) {
			o, err := b.PutACL(&service.PutBucketACLInput{ACL: []*service.ACLType{}})
			return o.StatusCode, o.RequestID, err
		}},
		{"GetExternalMirror", 200, func() (*int, *string, error) {
			o, err := b.GetExternalMirror()
			return o.StatusCode, o.RequestID, err
		}},
		{"PutExternalMirror", 200, func() (*int, *string, error) {
			o, err := b.PutExternalMirror(&service.PutBucketExternalMirrorInput{SourceSite: str("http://example.com:80/image/")})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteExternalMirror", 204, func() (*int, *string, error) {
			o, err := b.DeleteExternalMirror()
			return o.StatusCode, o.RequestID, err
		}},
		{"PutObject", 201, func() (*int, *string, error) {
			o, err := b.PutObject("dir/('this is test',) 中文+=.jpg", &service.PutObjectInput{
				CacheControl: str("max-age=60"), ContentDisposition: str("inline"), ContentEncoding: str("gzip"), ContentLanguage: str("de"), Expires: str("0"),
				ContentLength: service.Int64(5), ContentMD5: str("XUFAKrxLKna5cZ2REBfFkg=="), ContentType: str("text/plain"),
				XQSMetaData: &map[string]string{"x-qs-meta-colour": "blue sky", "X-QS-Meta-Name": "ü"}, XQSStorageClass: str("STANDARD_IA"),
				XQSEncryptionCustomerAlgorithm: str("AES256"), XQSEncryptionCustomerKey: str("a2V5"), XQSEncryptionCustomerKeyMD5: str("bWQ1"),
				Body: strings.NewReader("hello"),
			})
			return o.StatusCode, o.RequestID, err
		}},
		{"PutObject, copy", 201, func() (*int, *string, error) {
			o, err := b.PutObject("copy", &service.PutObjectInput{
				XQSCopySource: str("/mybucket/中文 a.txt"), XQSMetadataDirective: str("REPLACE"),
				XQSCopySourceIfMatch: str(`"e"`), XQSCopySourceIfNoneMatch: str(`"n"`), XQSCopySourceIfModifiedSince: &at, XQSCopySourceIfUnmodifiedSince: &at,
				XQSCopySourceEncryptionCustomerAlgorithm: str("AES256"), XQSCopySourceEncryptionCustomerKey: str("a2V5"), XQSCopySourceEncryptionCustomerKeyMD5: str("bWQ1"),
			})
			return o.StatusCode, o.RequestID, err
		}},
		{"PutObject, move", 201, func() (*int, *string, error) {
			o, err := b.PutObject("move", &service.PutObjectInput{XQSMoveSource: str("/mybucket/a b"),
				XQSMoveSourceIfMatch: str(`"e"`), XQSMoveSourceIfNoneMatch: str(`"n"`), XQSMoveSourceIfModifiedSince: &at, XQSMoveSourceIfUnmodifiedSince: &at})
			return o.StatusCode, o.RequestID, err
		}},
		{"PutObject, fetch", 201, func() (*int, *string, error) {
			o, err := b.PutObject("fetch", &service.PutObjectInput{XQSFetchSource: str("http://example.com/a?b"), XQSFetchIfUnmodifiedSince: &at})
			return o.StatusCode, o.RequestID, err
		}},
		{"PutObject of nothing", 201, func() (*int, *string, error) {
			o, err := b.PutObject("empty", nil)
			return o.StatusCode, o.RequestID, err
		}},
		{"GetObject", 206, func() (*int, *string, error) {
			o, err := b.GetObject("a//b", &service.GetObjectInput{
				IfMatch: str(`"m"`), IfModifiedSince: &at, IfNoneMatch: str(`"n"`), IfUnmodifiedSince: &at, Range: str("bytes=0-4"), IfRange: str(`"r"`), VersionID: str("v1"),
				ResponseCacheControl: str("no-store"), ResponseContentDisposition: str(`attachment; filename="a b"`), ResponseContentEncoding: str("br"),
				ResponseContentLanguage: str("de"), ResponseContentType: str("video/mp4; charset=utf8"), ResponseExpires: str("0"),
				XQSEncryptionCustomerAlgorithm: str("AES256"), XQSEncryptionCustomerKey: str("a2V5"), XQSEncryptionCustomerKeyMD5: str("bWQ1"),
			})
			return o.StatusCode, o.RequestID, errors.Join(err, o.Close())
		}},
		{"HeadObject", 200, func() (*int, *string, error) {
			o, err := b.HeadObject("trail/", &service.HeadObjectInput{IfMatch: str("*"), IfModifiedSince: &at, IfNoneMatch: str(`"n"`), IfUnmodifiedSince: &at, VersionID: str("v1"),
				XQSEncryptionCustomerAlgorithm: str("AES256"), XQSEncryptionCustomerKey: str("a2V5"), XQSEncryptionCustomerKeyMD5: str("bWQ1")})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteObject", 204, func() (*int, *string, error) {
			o, err := b.DeleteObject("a/../b")
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteObjectVersion", 204, func() (*int, *string, error) {
			o, err := b.DeleteObjectVersion("k", &service.DeleteObjectVersionInput{VersionID: str("v+1")})
			return o.StatusCode, o.RequestID, err
		}},
		{"GetStatistics", 200, func() (*int, *string, error) {
			o, err := b.GetStatistics()
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteMultipleObjects", 200, func() (*int, *string, error) {
			o, err := b.DeleteMultipleObjects(&service.DeleteMultipleObjectsInput{Objects: []*service.KeyType{{Key: str("a")}, {Key: str("b/c")}}, Quiet: service.Bool(true)})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteMultipleObjects, not quiet", 200, func() (*int, *string, error) {
			o, err := b.DeleteMultipleObjects(&service.DeleteMultipleObjectsInput{Objects: []*service.KeyType{{Key: str("中")}}})
			return o.StatusCode, o.RequestID, err
		}},
		{"ListMultipartUploads", 200, func() (*int, *string, error) {
			o, err := b.ListMultipartUploads(&service.ListMultipartUploadsInput{
				Delimiter: str("/"), KeyMarker: str("k"), Limit: service.Int(2), Prefix: str("p"), UploadIDMarker: str("u")})
			return o.StatusCode, o.RequestID, err
		}},
		{"GetCORS", 200, func() (*int, *string, error) { o, err := b.GetCORS(); return o.StatusCode, o.RequestID, err }},
		{"PutCORS", 200, func() (*int, *string, error) {
			o, err := b.PutCORS(&service.PutBucketCORSInput{RespVary: str("enabled"), CORSRules: []*service.CORSRuleType{
				{AllowedOrigin: str("https://*.example.com"), AllowedMethods: service.StringSlice([]string{"GET", "PUT"}), AllowedHeaders: service.StringSlice([]string{"*"}),
					ExposeHeaders: service.StringSlice([]string{"ETag"}), MaxAgeSeconds: service.Int(60)},
				{AllowedOrigin: str("*"), AllowedMethods: service.StringSlice([]string{"*"}), AllowedHeaders: []*string{}},
			}})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteCORS", 204, func() (*int, *string, error) { o, err := b.DeleteCORS(); return o.StatusCode, o.RequestID, err }},
		{"GetPolicy", 200, func() (*int, *string, error) { o, err := b.GetPolicy(); return o.StatusCode, o.RequestID, err }},
		{"PutPolicy", 200, func() (*int, *string, error) {
			one := func(s string) []*string { return []*string{&s} }
			o, err := b.PutPolicy(&service.PutBucketPolicyInput{Statement: []*service.StatementType{{
				ID: str("all"), User: one("*"), Action: one("get_object"), Effect: str("allow"), Resource: one("mybucket/*"),
				Condition: &service.ConditionType{
					IPAddress: &service.IPAddressType{SourceIP: one("192.0.2.0/24")}, NotIPAddress: &service.NotIPAddressType{SourceIP: one("192.0.2.1")},
					StringLike: &service.StringLikeType{Referer: one("*.example.com")}, StringNotLike: &service.StringNotLikeType{Referer: one("evil.*")},
					IsNull: &service.IsNullType{Referer: service.Bool(false)},
				}}, {ID: str("min"), User: one("usr-1"), Action: one("head_bucket"), Effect: str("deny")}}})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeletePolicy", 204, func() (*int, *string, error) { o, err := b.DeletePolicy(); return o.StatusCode, o.RequestID, err }},
		{"GetLifecycle", 200, func() (*int, *string, error) { o, err := b.GetLifecycle(); return o.StatusCode, o.RequestID, err }},
		{"PutLifecycle", 200, func() (*int, *string, error) {
			all := &service.FilterType{Prefix: str("")}
			o, err := b.PutLifecycle(&service.PutBucketLifecycleInput{Rule: []*service.RuleType{
				{ID: str("a"), Status: str("enabled"), Filter: all, Expiration: &service.ExpirationType{Days: service.Int(1)}},
				{ID: str("b"), Status: str("disabled"), Filter: all, AbortIncompleteMultipartUpload: &service.AbortIncompleteMultipartUploadType{DaysAfterInitiation: service.Int(2)}},
				{ID: str("c"), Status: str("enabled"), Filter: all, Transition: &service.TransitionType{Days: service.Int(30), StorageClass: service.Int(service.TransitionStandardIA)}},
			}})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteLifecycle", 204, func() (*int, *string, error) {
			o, err := b.DeleteLifecycle()
			return o.StatusCode, o.RequestID, err
		}},
		{"GetNotification", 200, func() (*int, *string, error) {
			o, err := b.GetNotification()
			return o.StatusCode, o.RequestID, err
		}},
		{"PutNotification", 200, func() (*int, *string, error) {
			o, err := b.PutNotification(&service.PutBucketNotificationInput{Notifications: []*service.NotificationType{{
				ID: str("n"), Cloudfunc: str("image"), EventTypes: service.StringSlice([]string{"create_object"}), NotifyURL: str("http://example.com/"),
				ObjectFilters: service.StringSlice([]string{"*.jpg"}),
				CloudfuncArgs: &service.CloudfuncArgsType{Action: str("resize:w_1"), KeyPrefix: str("gen"), KeySeprate: str("_"), SaveBucket: str("other")},
			}}})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteNotification", 204, func() (*int, *string, error) {
			o, err := b.DeleteNotification()
			return o.StatusCode, o.RequestID, err
		}},
		{"GetLogging", 200, func() (*int, *string, error) { o, err := b.GetLogging(); return o.StatusCode, o.RequestID, err }},
		{"PutLogging", 200, func() (*int, *string, error) {
			o, err := b.PutLogging(&service.PutBucketLoggingInput{TargetBucket: str("logs"), TargetPrefix: str("l/")})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteLogging", 204, func() (*int, *string, error) { o, err := b.DeleteLogging(); return o.StatusCode, o.RequestID, err }},
		{"GetReplication", 200, func() (*int, *string, error) {
			o, err := b.GetReplication()
			return o.StatusCode, o.RequestID, err
		}},
		{"PutReplication", 200, func() (*int, *string, error) {
			o, err := b.PutReplication(&service.PutBucketReplicationInput{Rules: []*service.RulesType{{
				ID: str("r"), Status: str("enabled"), SyncMarker: str("disabled"), DeleteMarker: str("enabled"), Filters: &service.FiltersType{Prefix: str("p/")},
				Destination: &service.DestinationType{Bucket: str("other"), Zone: str("pek3a"), StorageClass: str("STANDARD_IA")},
			}}})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteReplication", 204, func() (*int, *string, error) {
			o, err := b.DeleteReplication()
			return o.StatusCode, o.RequestID, err
		}},
		{"GetCNAME", 200, func() (*int, *string, error) {
			o, err := b.GetCNAME(&service.GetBucketCNAMEInput{Type: str("website")})
			return o.StatusCode, o.RequestID, err
		}},
		{"PutCNAME", 200, func() (*int, *string, error) {
			o, err := b.PutCNAME(&service.PutBucketCNAMEInput{Domain: str("www.example.com"), Type: str("normal")})
			return o.StatusCode, o.RequestID, err
		}},
		{"DeleteCNAME", 204, func() (*int, *string, error) {
			o, err := b.DeleteCNAME(&service.DeleteBucketCNAMEInput{Domain: str("www.example.com")})
			return o.StatusCode, o.RequestID, err
		}},
		{"GetVersioning", 200, func() (*int, *string, error) { o, err := b.GetVersioning(); return o.StatusCode, o.RequestID, err }},
		{"PutVersioning", 200, func() (*int, *string, error) {
			o, err := b.PutVersioning(&service.PutBucketVersioningInput{Status: str("ENABLED")})
			return o.StatusCode, o.RequestID, err
		}},
		{"ListObjectVersions", 200, func() (*int, *string, error) {
			o, err := b.ListObjectVersions(&service.ListObjectVersionsInput{
				Delimiter: str("/"), KeyMarker: str("k"), Limit: service.Int(2), Prefix: str("p"), VersionIDMarker: str("v")})
			return o.StatusCode, o.RequestID, err
		}},
		{"OptionsObject", 200, func() (*int, *string, error) {
			o, err := b.OptionsObject("k", &service.OptionsObjectInput{Origin: str("https://example.com"), AccessControlRequestMethod: str("PUT"), AccessControlRequestHeaders: str("a, b")})
			return o.StatusCode, o.RequestID, err
		}},
		{"AppendObject", 200, func() (*int, *string, error) {
			o, err := b.AppendObject("log", &service.AppendObjectInput{Position: service.Int64(1024), ContentLength: service.Int64(5), ContentMD5: str("XUFAKrxLKna5cZ2REBfFkg=="),
				ContentType: str("text/plain"), XQSStorageClass: str("STANDARD"), Body: strings.NewReader("hello")})
			return o.StatusCode, o.RequestID, err
		}},
		{"ImageProcess", 200, func() (*int, *string, error) {
			o, err := b.ImageProcess("a.jpg", &service.ImageProcessInput{Action: str("resize:w_300,h_400|rotate:a_90"), IfModifiedSince: &at,
				ResponseCacheControl: str("no-store"), ResponseContentDisposition: str("inline"), ResponseContentEncoding: str("br"),
				ResponseContentLanguage: str("de"), ResponseContentType: str("image/png"), ResponseExpires: str("0")})
			return o.StatusCode, o.RequestID, errors.Join(err, o.Close())
		}},
		{"InitiateMultipartUpload", 200, func() (*int, *string, error) {
			o, err := b.InitiateMultipartUpload("big", &service.InitiateMultipartUploadInput{
				CacheControl: str("max-age=60"), ContentDisposition: str("inline"), ContentEncoding: str("gzip"), ContentLanguage: str("de"), Expires: str("0"),
				ContentType: str("text/plain"), XQSMetaData: &map[string]string{"x-qs-meta-a": "b"}, XQSStorageClass: str("STANDARD_IA"),
				XQSEncryptionCustomerAlgorithm: str("AES256"), XQSEncryptionCustomerKey: str("a2V5"), XQSEncryptionCustomerKeyMD5: str("bWQ1")})
			return o.StatusCode, o.RequestID, err
		}},
		{"UploadMultipart", 201, func() (*int, *string, error) {
			o, err := b.UploadMultipart("big", &service.UploadMultipartInput{PartNumber: service.Int(0), UploadID: str("u1"), ContentLength: service.Int64(5),
				ContentMD5: str("XUFAKrxLKna5cZ2REBfFkg=="), Body: strings.NewReader("hello"),
				XQSEncryptionCustomerAlgorithm: str("AES256"), XQSEncryptionCustomerKey: str("a2V5"), XQSEncryptionCustomerKeyMD5: str("bWQ1")})
			return o.StatusCode, o.RequestID, err
		}},
		{"UploadMultipart, copy", 201, func() (*int, *string, error) {
			o, err := b.UploadMultipart("big", &service.UploadMultipartInput{PartNumber: service.Int(10000), UploadID: str("u1"),
				XQSCopySource: str("/mybucket/src"), XQSCopyRange: str("bytes=0-4"),
				XQSCopySourceIfMatch: str(`"e"`), XQSCopySourceIfNoneMatch: str(`"n"`), XQSCopySourceIfModifiedSince: &at, XQSCopySourceIfUnmodifiedSince: &at,
				XQSCopySourceEncryptionCustomerAlgorithm: str("AES256"), XQSCopySourceEncryptionCustomerKey: str("a2V5"), XQSCopySourceEncryptionCustomerKeyMD5: str("bWQ1")})
			return o.StatusCode, o.RequestID, err
		}},
		{"ListMultipart", 200, func() (*int, *string, error) {
			o, err := b.ListMultipart("big", &service.ListMultipartInput{UploadID: str("u1"), Limit: service.Int(2), PartNumberMarker: service.Int(0)})
			return o.StatusCode, o.RequestID, err
		}},
		{"CompleteMultipartUpload", 201, func() (*int, *string, error) {
			o, err := b.CompleteMultipartUpload("big", &service.CompleteMultipartUploadInput{UploadID: str("u1"), ETag: str(`"e"`),
				ObjectParts:                    []*service.ObjectPartType{{PartNumber: service.Int(0), Etag: str(`"e"`), Size: service.Int64(5), Created: &at}, {PartNumber: service.Int(1)}},
				XQSEncryptionCustomerAlgorithm: str("AES256"), XQSEncryptionCustomerKey: str("a2V5"), XQSEncryptionCustomerKeyMD5: str("bWQ1")})
			return o.StatusCode, o.RequestID, err
		}},
		{"AbortMultipartUpload", 204, func() (*int, *string, error) {
			o, err := b.AbortMultipartUpload("big", &service.AbortMultipartUploadInput{UploadID: str("u1")})
			return o.StatusCode, o.RequestID, err
		}},
	}
	for _, c := range calls {
		fmt.Fprintf(&dump, "# %s\n", c.name)
		status = c.want
		code, id, err := c.call()
		if err != nil || service.IntValue(code) != c.want || service.StringValue(id) != "00112233" {
			t.Errorf("%s = %d, %q, %v; want %d, %q, nil", c.name, service.IntValue(code), service.StringValue(id), err, c.want, "00112233")
		}
	}
	golden := filepath.Join("testdata", "requests.golden")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, []byte(dump.String()), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), dump.String()); diff != "" {
		t.Errorf("requests changed; if that is meant, run the test with -update (-want +got):\n%s", diff)
	}
}

func answer(status int, header map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for name, v := range header {
			w.Header().Set(name, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestListObjectsOutput(t *testing.T) {
	b := openBucket(t, answer(200, map[string]string{"Content-Type": "application/json"}, `{"name":"mybucket","prefix":"","delimiter":"/","limit":2,"marker":"",
		"keys":[{"key":"a","size":6442450944,"modified":1471878212,"created":"2016-08-22T15:03:32.000Z","etag":"\"e\"","mime_type":"text/plain","encrypted":false,"storage_class":"STANDARD"}],
		"common_prefixes":["b/"],"next_marker":"b/","has_more":true,"owner":{"id":"usr-1","name":"tom"},"new_member":{"x":[1]}}`))
	got, err := b.ListObjects(nil)
	if err != nil {
		t.Fatal(err)
	}
	str := service.String
	want := &service.ListObjectsOutput{
		StatusCode: service.Int(200), RequestID: str(""),
		CommonPrefixes: service.StringSlice([]string{"b/"}), Delimiter: str("/"), HasMore: service.Bool(true), Limit: service.Int(2),
		Marker: str(""), Name: str("mybucket"), NextMarker: str("b/"), Prefix: str(""), Owner: &service.OwnerType{ID: str("usr-1"), Name: str("tom")},
		Keys: []*service.KeyType{{
			Created: service.Time(time.Date(2016, 8, 22, 15, 3, 32, 0, time.UTC)), Encrypted: service.Bool(false), Etag: str(`"e"`), Key: str("a"),
			MimeType: str("text/plain"), Modified: service.Int(1471878212), Size: service.Int64(6442450944), StorageClass: str("STANDARD"),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ListObjects (-want +got):\n%s", diff)
	}
}

func TestGetObjectOutput(t *testing.T) {
	header := map[string]string{
		"Content-Type": "application/json", "ETag": `"e"`, "Last-Modified": "Wed, 10 Dec 2014 17:20:31 GMT", "Cache-Control": "max-age=1",
		"Content-Encoding": "gzip", "X-QS-Meta-Colour": "Blue", "x-qs-storage-class": "STANDARD_IA", "X-QS-Request-ID": "0011",
		"Content-Range": "bytes 0-6/9",
	}
	b := openBucket(t, answer(206, header, `not {"a`))
	got, err := b.GetObject("k", nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil || string(body) != `not {"a` {
		t.Errorf("Body = %q, %v; want the bytes as sent, whatever their type and coding", body, err)
	}
	if err := got.Close(); err != nil {
		t.Error(err)
	}
	got.Body = nil
	str := service.String
	want := &service.GetObjectOutput{
		StatusCode: service.Int(206), RequestID: str("0011"), CacheControl: str("max-age=1"), ContentEncoding: str("gzip"),
		ContentLength: service.Int64(7), ContentRange: str("bytes 0-6/9"), ContentType: str("application/json"), ETag: str(`"e"`),
		LastModified: service.Time(time.Date(2014, 12, 10, 17, 20, 31, 0, time.UTC)),
		XQSMetaData:  &map[string]string{"x-qs-meta-colour": "Blue"}, XQSStorageClass: str("STANDARD_IA"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("GetObject (-want +got):\n%s", diff)
	}
	if err := errors.Join((*service.GetObjectOutput)(nil).Close(), got.Close()); err != nil {
		t.Errorf("Close without a body = %v, want nil", err)
	}
}

func TestHeadObjectOutput(t *testing.T) {
	b := openBucket(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "6442450944")
		w.Header().Set("X-QS-Object-Type", "appendable")
		w.Header().Set("X-QS-Next-Append-Position", "6442450944")
	})
	got, err := b.HeadObject("k", nil)
	if err != nil {
		t.Fatal(err)
	}
	if service.Int64Value(got.ContentLength) != 6442450944 || service.Int64Value(got.XQSNextAppendPosition) != 6442450944 || service.StringValue(got.XQSObjectType) != "appendable" || got.XQSMetaData != nil {
		t.Errorf("HeadObject = %+v", got)
	}
}

// A cut body must not look like a whole one.
func TestGetObjectCut(t *testing.T) {
	b := openBucket(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "ten bytes.")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	o, err := b.GetObject("k", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if body, err := io.ReadAll(o.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reading a cut body = %q, %v; want io.ErrUnexpectedEOF", body, err)
	}
}

// How answers become errors: the table of the fact sheet. Where ours differs from QingStor's the case says so.
func TestErrorMapping(t *testing.T) {
	const body = `{"code":"object_not_exists","message":"The object does not exist.","request_id":"body-id","url":"http://docs/"}`
	jsonType := map[string]string{"Content-Type": "application/json", "X-QS-Request-ID": "head-id"}
	full := func(status int) *qserrors.QingStorError {
		return &qserrors.QingStorError{StatusCode: status, Code: "object_not_exists", Message: "The object does not exist.", RequestID: "body-id", ReferenceURL: "http://docs/"}
	}
	bare := func(status int, id string) *qserrors.QingStorError {
		return &qserrors.QingStorError{StatusCode: status, Message: http.StatusText(status), RequestID: id}
	}
	closeDelimited := func(w http.ResponseWriter, _ *http.Request) {
		c, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _ = buf.WriteString("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nX-QS-Request-ID: head-id\r\nConnection: close\r\n\r\n" + body)
		_ = buf.Flush()
	}
	const unhandled, sdkError, success = "UnhandledResponseError", "SDKError", "success"
	tests := []struct {
		name      string
		h         http.HandlerFunc
		get, head any // *QingStorError, or one of the words above
	}{
		{"404 JSON", answer(404, jsonType, body), full(404), bare(404, "head-id")},
		{"404 JSON with a charset", answer(404, map[string]string{"Content-Type": "application/json; charset=utf-8"}, body), full(404), bare(404, "")},
		{"404 JSON without the type", answer(404, map[string]string{"Content-Type": "text/plain"}, body), unhandled, unhandled},
		{"404 JSON, close-delimited; the original loses the code", closeDelimited, full(404), bare(404, "head-id")},
		{"404 JSON, chunked", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(404)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, body)
		}, full(404), bare(404, "")},
		{"404 with JSON that is none", answer(404, jsonType, "{oops"), unhandled, bare(404, "head-id")},
		{"404 with JSON of another form", answer(404, jsonType, `{"code":404}`), unhandled, bare(404, "head-id")},
		{"404 JSON without a request id", answer(404, jsonType, `{"code":"x","message":"y"}`),
			&qserrors.QingStorError{StatusCode: 404, Code: "x", Message: "y", RequestID: "head-id"}, bare(404, "head-id")},
		{"403 empty", answer(403, map[string]string{"X-QS-Request-ID": "head-id"}, ""), bare(403, "head-id"), bare(403, "head-id")},
		{"502 html", answer(502, map[string]string{"Content-Type": "text/html"}, "<h1>Bad Gateway</h1>"), unhandled, unhandled},
		{"304", answer(304, nil, ""), success, bare(304, "")},
		{"412", answer(412, nil, ""), success, bare(412, "")},
		{"416 JSON", answer(416, jsonType, body), full(416), bare(416, "head-id")},
		{"201 where 200 is due", answer(201, nil, ""), bare(201, ""), bare(201, "")},
		{"302 with a Location", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				w.Header().Set("ETag", `"there"`)
				return
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, success, success},
		{"301 without a Location", answer(301, nil, ""), bare(301, ""), bare(301, "")},
		{"200 with a Last-Modified that is none", answer(200, map[string]string{"Last-Modified": "2016-08-22T15:03:32Z"}, ""), sdkError, sdkError},
		{"a connection that is cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, sdkError, sdkError},
	}
	check := func(t *testing.T, method string, isNil bool, err error, want any) {
		t.Helper()
		if (err == nil) == isNil {
			t.Errorf("%s: output nil %t beside error %v", method, isNil, err)
		}
		var (
			refused *qserrors.QingStorError
			other   qserrors.UnhandledResponseError
			sdk     qserrors.SDKError
		)
		switch want := want.(type) {
		case *qserrors.QingStorError:
			if !errors.As(err, &refused) {
				t.Fatalf("%s = %v (%T), want a *QingStorError", method, err, err)
			}
			if diff := cmp.Diff(want, refused); diff != "" {
				t.Errorf("%s (-want +got):\n%s", method, diff)
			}
		case string:
			if got := map[bool]string{err == nil: success, errors.As(err, &other): unhandled, errors.As(err, &sdk): sdkError}[true]; got != want {
				t.Errorf("%s = %v (%T), want %s", method, err, err, want)
			}
			if want == unhandled && (other.StatusCode < 400 || other.Header == nil || method == "GET" && other.Content == "") {
				t.Errorf("%s = %+v, want status, header and content", method, other)
			}
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := openBucket(t, tt.h)
			got, err := b.GetObject("k", nil)
			check(t, "GET", got == nil, err, tt.get)
			if err := got.Close(); err != nil {
				t.Error(err)
			}
			head, err := b.HeadObject("k", nil)
			check(t, "HEAD", head == nil, err, tt.head)
		})
	}
}

// 200 with JSON of another type is no error, but nothing is read from it; QingStor's SDK does the same.
func TestJSONOfAnotherType(t *testing.T) {
	b := openBucket(t, answer(200, map[string]string{"Content-Type": "text/plain"}, `{"source_site":"http://example.com/"}`))
	o, err := b.GetExternalMirror()
	if err != nil || o.SourceSite != nil {
		t.Errorf("GetExternalMirror = %+v, %v; want no source site and no error", o, err)
	}
	b = openBucket(t, answer(200, map[string]string{"Content-Type": "application/json"}, `{"source_site":5}`))
	var sdk qserrors.SDKError
	if o, err := b.GetExternalMirror(); !errors.As(err, &sdk) || sdk.Action != "read response" || o != nil {
		t.Errorf("GetExternalMirror = %+v, %v; want an SDKError", o, err)
	}
}

func TestErrorText(t *testing.T) {
	err := error(&qserrors.QingStorError{StatusCode: 404, Code: "c", Message: "m", RequestID: "r", ReferenceURL: "u"})
	if got, want := err.Error(), `QingStor Error: StatusCode "404", Code "c", Message "m", Request ID "r", Reference URL "u"`; got != want {
		t.Errorf("Error() = %s, want %s", got, want)
	}
}

// What is wrong with an input is said before any traffic.
func TestValidate(t *testing.T) {
	requests := 0
	b := openBucket(t, func(http.ResponseWriter, *http.Request) { requests++ })
	str := service.String
	acl := func(a *service.ACLType) func() error {
		return func() error {
			_, err := b.PutACL(&service.PutBucketACLInput{ACL: []*service.ACLType{a}})
			return err
		}
	}
	user := &service.GranteeType{Type: str("user"), ID: str("usr-1")}
	tests := []struct {
		name string
		call func() error
		want error
	}{
		{"no input", func() error { _, err := b.PutExternalMirror(nil); return err },
			qserrors.ParameterRequiredError{ParameterName: "SourceSite", ParentName: "PutBucketExternalMirrorInput"}},
		{"no list", func() error { _, err := b.PutACL(&service.PutBucketACLInput{}); return err },
			qserrors.ParameterRequiredError{ParameterName: "ACL", ParentName: "PutBucketACLInput"}},
		{"no grantee", acl(&service.ACLType{Permission: str("READ")}), qserrors.ParameterRequiredError{ParameterName: "Grantee", ParentName: "ACLType"}},
		{"no permission", acl(&service.ACLType{Grantee: user}), qserrors.ParameterRequiredError{ParameterName: "Permission", ParentName: "ACLType"}},
		{"no type", acl(&service.ACLType{Grantee: &service.GranteeType{}, Permission: str("READ")}), qserrors.ParameterRequiredError{ParameterName: "Type", ParentName: "GranteeType"}},
		{"a permission that is none", acl(&service.ACLType{Grantee: user, Permission: str("read")}),
			qserrors.ParameterValueNotAllowedError{ParameterName: "Permission", ParameterValue: "read", AllowedValues: []string{"READ", "WRITE", "FULL_CONTROL"}}},
		{"an upload without a name", func() error {
			_, err := b.AbortMultipartUpload("k", &service.AbortMultipartUploadInput{UploadID: str("")})
			return err
		}, qserrors.ParameterRequiredError{ParameterName: "UploadID", ParentName: "AbortMultipartUploadInput"}},
		{"a version without a name", func() error {
			_, err := b.DeleteObjectVersion("k", &service.DeleteObjectVersionInput{VersionID: str("")})
			return err
		}, qserrors.ParameterRequiredError{ParameterName: "VersionID", ParentName: "DeleteObjectVersionInput"}},
		{"a rule in a rule", func() error {
			_, err := b.PutLifecycle(&service.PutBucketLifecycleInput{Rule: []*service.RuleType{{ID: str("r"), Status: str("enabled"), Filter: &service.FilterType{Prefix: str("")},
				Transition: &service.TransitionType{Days: service.Int(30)}}}})
			return err
		}, qserrors.ParameterRequiredError{ParameterName: "StorageClass", ParentName: "TransitionType"}},
		{"an effect that is none", func() error {
			_, err := b.PutPolicy(&service.PutBucketPolicyInput{Statement: []*service.StatementType{{
				ID: str("s"), User: []*string{str("*")}, Action: []*string{str("get_object")}, Effect: str("Allow")}}})
			return err
		}, qserrors.ParameterValueNotAllowedError{ParameterName: "Effect", ParameterValue: "Allow", AllowedValues: []string{"allow", "deny"}}},
		{"a storage class that is none", func() error {
			_, err := b.PutObject("k", &service.PutObjectInput{XQSStorageClass: str("COLD")})
			return err
		}, qserrors.ParameterValueNotAllowedError{ParameterName: "XQSStorageClass", ParameterValue: "COLD", AllowedValues: []string{"STANDARD", "STANDARD_IA"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.call()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	if requests != 0 {
		t.Errorf("%d requests were sent, want none", requests)
	}
}

// The way of `presign`: build, sign, take the URL; the server's side takes it.
func TestPresign(t *testing.T) {
	served := 0
	b := openBucket(t, func(w http.ResponseWriter, r *http.Request) {
		path, query, _ := strings.Cut(r.RequestURI, "?")
		sr := sign.Request{Method: r.Method, Path: path, Query: query, Header: r.Header}
		cred, ok, err := sign.Parse(sr)
		if err != nil || !ok || !cred.Presigned {
			t.Errorf("Parse = %+v, %t, %v; want a signed link", cred, ok, err)
		}
		if err := cred.Verify(sr, secret, time.Now()); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if err := cred.Verify(sr, secret, time.Now().Add(2*time.Minute)); !errors.Is(err, sign.ErrExpired) {
			t.Errorf("Verify two minutes later = %v, want %v", err, sign.ErrExpired)
		}
		served++
		_, _ = io.WriteString(w, "hello")
	})
	r, out, err := b.GetObjectRequest("music file+.mp3", &service.GetObjectInput{ResponseContentDisposition: service.String("attachment; filename=\"a b\"")})
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 programs written for the original call it
	if err := errors.Join(r.Build(), r.SignQuery(60)); err != nil {
		t.Fatal(err)
	}
	link := r.HTTPRequest.URL.String()
	if !regexp.MustCompile(`^http://127\.0\.0\.1:\d+/mybucket/music%20file%2B\.mp3\?response-content-disposition=attachment%3B\+filename%3D%22a\+b%22&access_key_id=` +
		keyID + `&expires=\d+&signature=[\w%=/]+$`).MatchString(link) {
		t.Errorf("link = %s", link)
	}
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	// The same request can be sent by the SDK itself.
	//lint:ignore SA1019 programs written for the original call it
	if err := r.Do(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil || served != 2 {
		t.Errorf("served %d requests, %v; want 2", served, err)
	}
}

// Calls on one bucket may run side by side: a key belongs to its call.
func TestConcurrentKeys(t *testing.T) {
	b := openBucket(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("ETag", r.URL.Path); w.WriteHeader(201) })
	errs := make(chan error)
	for i := range 8 {
		go func() {
			key := fmt.Sprint("k", i)
			o, err := b.PutObjectWithContext(context.Background(), key, nil)
			if err == nil && *o.ETag != "/mybucket/"+key {
				err = fmt.Errorf("key %s went to %s", key, *o.ETag)
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if b.Properties.ObjectKey != nil {
		t.Errorf("the bucket's own ObjectKey = %q, want nil", *b.Properties.ObjectKey)
	}
}

func TestOperations(t *testing.T) {
	ops := service.Operations()
	if len(ops) != 50 {
		t.Errorf("%d operations, want 50: the 46 of the Go SDK, three of versioning, and the form upload", len(ops))
	}
	names, wires := map[string]bool{}, map[string]string{}
	uri := regexp.MustCompile(`^/(<bucket-name>(/<object-key>)?(\?[a-z_]+(&[a-z_]+)*)?)?$`)
	for _, o := range ops {
		wire := o.RequestMethod + " " + o.RequestURI
		switch {
		case o.APIName == "" || names[o.APIName]:
			t.Errorf("%q is there twice, or has no name", o.APIName)
		case wires[wire] != "":
			t.Errorf("%q and %q are both %s", o.APIName, wires[wire], wire)
		case !uri.MatchString(o.RequestURI), o.ServiceName != "QingStor", len(o.StatusCodes) == 0, o.Config != nil, o.Properties != nil,
			!slices.Contains([]string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"}, o.RequestMethod):
			t.Errorf("odd operation %+v", o)
		}
		names[o.APIName], wires[wire] = true, o.APIName
	}
	ops[0].APIName, ops[0].StatusCodes[0] = "changed", 0
	if again := service.Operations(); again[0].APIName == "changed" || again[0].StatusCodes[0] == 0 {
		t.Error("a caller can change the table")
	}
}

func TestPointers(t *testing.T) {
	at := time.UnixMilli(1471878212345)
	if service.StringValue(nil) != "" || service.BoolValue(nil) || service.IntValue(nil) != 0 || service.Int64Value(nil) != 0 || !service.TimeValue(nil).IsZero() {
		t.Error("the value of nil is not the zero value")
	}
	if service.StringSlice(nil) != nil || service.IntValueMap(nil) != nil {
		t.Error("nil lists and maps do not stay nil")
	}
	if diff := cmp.Diff([]string{"a", ""}, service.StringValueSlice([]*string{service.String("a"), nil})); diff != "" {
		t.Errorf("StringValueSlice (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]time.Time{"a": at}, service.TimeValueMap(service.TimeMap(map[string]time.Time{"a": at}))); diff != "" {
		t.Errorf("TimeMap and back (-want +got):\n%s", diff)
	}
	v := []bool{true, false}
	p := service.BoolSlice(v)
	v[0] = false
	if !*p[0] {
		t.Error("BoolSlice points into its argument, want copies")
	}
	if got := service.TimeUnixMilli(at); got != 1471878212345 {
		t.Errorf("TimeUnixMilli = %d, want 1471878212345", got)
	}
}

func TestInit(t *testing.T) {
	if _, err := service.Init(nil); err == nil {
		t.Error("Init(nil) = nil, want an error")
	}
}
