package service_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/service"
)

// What the API's pages show as answers, read into the outputs.
func TestOutputs(t *testing.T) {
	str, num, long := service.String, service.Int, service.Int64
	list := func(s ...string) []*string { return service.StringSlice(s) }
	at := service.Time(time.Date(2016, 8, 22, 15, 3, 32, 0, time.UTC))
	ok, id := num(200), str("0011")
	tests := []struct {
		name string
		body string
		call func(*service.Bucket) (any, error)
		want any
	}{
		{"statistics", `{"count":2,"size":6442450944,"status":"active","created":"2016-08-22T15:03:32.000Z","location":"pek3a","name":"mybucket","url":"mybucket.pek3a.qingstor.com",
			"storage_classes":{"STANDARD":{"count":1,"size":5,"billing_size":6},"STANDARD_IA":{"count":1}}}`,
			func(b *service.Bucket) (any, error) { return b.GetStatistics() },
			&service.GetBucketStatisticsOutput{StatusCode: ok, RequestID: id, Count: long(2), Size: long(6442450944), Status: str("active"), Created: at, Location: str("pek3a"),
				Name: str("mybucket"), URL: str("mybucket.pek3a.qingstor.com"), StorageClasses: map[string]*service.StorageClassStatisticsType{
					"STANDARD": {Count: long(1), Size: long(5), BillingSize: long(6)}, "STANDARD_IA": {Count: long(1)}}}},
		{"batch delete", `{"deleted":[{"key":"a"}],"errors":[{"key":"b","code":"permission_denied","message":"No."}]}`,
			func(b *service.Bucket) (any, error) {
				return b.DeleteMultipleObjects(&service.DeleteMultipleObjectsInput{Objects: []*service.KeyType{}})
			},
			&service.DeleteMultipleObjectsOutput{StatusCode: ok, RequestID: id, Deleted: []*service.KeyType{{Key: str("a")}},
				Errors: []*service.KeyDeleteErrorType{{Key: str("b"), Code: str("permission_denied"), Message: str("No.")}}}},
		{"policy with texts for lists", `{"statement":[{"id":"s","user":"*","action":["get_object","head_object"],"effect":"allow","resource":"mybucket/*",
			"condition":{"string_like":{"Referer":"*.example.com"},"ip_address":{"source_ip":["192.0.2.0/24"]},"is_null":{"Referer":true}}}]}`,
			func(b *service.Bucket) (any, error) { return b.GetPolicy() },
			&service.GetBucketPolicyOutput{StatusCode: ok, RequestID: id, Statement: []*service.StatementType{{
				ID: str("s"), User: list("*"), Action: list("get_object", "head_object"), Effect: str("allow"), Resource: list("mybucket/*"),
				Condition: &service.ConditionType{StringLike: &service.StringLikeType{Referer: list("*.example.com")}, IPAddress: &service.IPAddressType{SourceIP: list("192.0.2.0/24")},
					IsNull: &service.IsNullType{Referer: service.Bool(true)}}}}}},
		{"lifecycle, a storage class as text and as number", `{"rule":[{"id":"a","status":"Enabled","filter":{"prefix":""},"transition":{"days":30,"storage_class":"STANDARD_IA"}},
			{"id":"b","status":"disabled","filter":{"prefix":"x"},"transition":{"days":30,"storage_class":7}}]}`,
			func(b *service.Bucket) (any, error) { return b.GetLifecycle() },
			&service.GetBucketLifecycleOutput{StatusCode: ok, RequestID: id, Rule: []*service.RuleType{
				{ID: str("a"), Status: str("Enabled"), Filter: &service.FilterType{Prefix: str("")}, Transition: &service.TransitionType{Days: num(30), StorageClass: num(service.TransitionStandardIA)}},
				{ID: str("b"), Status: str("disabled"), Filter: &service.FilterType{Prefix: str("x")}, Transition: &service.TransitionType{Days: num(30), StorageClass: num(7)}}}}},
		{"CORS", `{"cors_rules":[{"allowed_origin":"*","allowed_methods":["GET"],"max_age_seconds":60}],"resp_vary":"enabled"}`,
			func(b *service.Bucket) (any, error) { return b.GetCORS() },
			&service.GetBucketCORSOutput{StatusCode: ok, RequestID: id, RespVary: str("enabled"),
				CORSRules: []*service.CORSRuleType{{AllowedOrigin: str("*"), AllowedMethods: list("GET"), MaxAgeSeconds: num(60)}}}},
		{"notification with a text for a list", `{"notifications":[{"id":"n","cloudfunc":"notifier","event_types":["create_object"],"object_filters":"*.jpg"}]}`,
			func(b *service.Bucket) (any, error) { return b.GetNotification() },
			&service.GetBucketNotificationOutput{StatusCode: ok, RequestID: id, Notifications: []*service.NotificationType{
				{ID: str("n"), Cloudfunc: str("notifier"), EventTypes: list("create_object"), ObjectFilters: list("*.jpg")}}}},
		{"CNAME", `{"cname_records":[{"domain":"www.example.com","type":"normal","created":"2016-08-22T15:03:32.000Z"}],"count":1}`,
			func(b *service.Bucket) (any, error) { return b.GetCNAME(nil) },
			&service.GetBucketCNAMEOutput{StatusCode: ok, RequestID: id, Count: num(1), CnameRecords: []*service.CnameRecordType{
				{Domain: str("www.example.com"), Type: str("normal"), Created: str("2016-08-22T15:03:32.000Z")}}}},
		{"parts", `{"count":1,"object_parts":[{"part_number":0,"size":5,"created":"2016-08-22T15:03:32.000Z","etag":"5d41"}]}`,
			func(b *service.Bucket) (any, error) {
				return b.ListMultipart("k", &service.ListMultipartInput{UploadID: str("u")})
			},
			&service.ListMultipartOutput{StatusCode: ok, RequestID: id, Count: num(1), ObjectParts: []*service.ObjectPartType{{PartNumber: num(0), Size: long(5), Created: at, Etag: str("5d41")}}}},
		{"uploads", `{"name":"mybucket","prefix":"","delimiter":"/","limit":200,"marker":"","uploads":[{"key":"k","upload_id":"u","created":"2016-08-22T15:03:32.000Z"}],
			"common_prefixes":["a/"],"next_key_marker":"k","next_upload_id_marker":"u","has_more":true}`,
			func(b *service.Bucket) (any, error) { return b.ListMultipartUploads(nil) },
			&service.ListMultipartUploadsOutput{StatusCode: ok, RequestID: id, Name: str("mybucket"), Prefix: str(""), Delimiter: str("/"), Limit: num(200), Marker: str(""),
				Uploads: []*service.UploadsType{{Key: str("k"), UploadID: str("u"), Created: at}}, CommonPrefixes: list("a/"), NextKeyMarker: str("k"), NextUploadIDMarker: str("u"),
				HasMore: service.Bool(true)}},
		{"versions", `{"name":"mybucket","keys":[{"key":"k","version_id":"v","is_latest":true,"delete_marker":false,"size":5}],"next_key_marker":"","next_version_id_marker":"","has_more":false}`,
			func(b *service.Bucket) (any, error) { return b.ListObjectVersions(nil) },
			&service.ListObjectVersionsOutput{StatusCode: ok, RequestID: id, Name: str("mybucket"), NextKeyMarker: str(""), NextVersionIDMarker: str(""), HasMore: service.Bool(false),
				Keys: []*service.ObjectVersionType{{Key: str("k"), VersionID: str("v"), IsLatest: service.Bool(true), DeleteMarker: service.Bool(false), Size: long(5)}}}},
		{"an upload", `{"bucket":"mybucket","key":"k","upload_id":"u"}`,
			func(b *service.Bucket) (any, error) { return b.InitiateMultipartUpload("k", nil) },
			&service.InitiateMultipartUploadOutput{StatusCode: ok, RequestID: id, Bucket: str("mybucket"), Key: str("k"), UploadID: str("u")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := openBucket(t, answer(200, map[string]string{"Content-Type": "application/json", "X-QS-Request-ID": "0011"}, tt.body))
			got, err := tt.call(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What travels in headers of the answer.
func TestOutputHeaders(t *testing.T) {
	str := service.String
	header := map[string]string{
		"X-QS-Request-ID": "0011", "X-QS-Version-ID": "v1", "X-QS-Delete-Marker": "true", "X-QS-Next-Append-Position": "1029", "ETag": `"e"`,
		"X-QS-Content-Copy-Range": "bytes 0-4/9", "X-QS-Encryption-Customer-Algorithm": "AES256", "Content-Type": "image/png",
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "a", "Access-Control-Expose-Headers": "b", "Access-Control-Max-Age": "60",
	}
	open := func(status int) *service.Bucket { return openBucket(t, answer(status, header, "")) }
	check := func(name string, want, got any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	deleted, err := open(204).DeleteObject("k")
	check("DeleteObject", &service.DeleteObjectOutput{StatusCode: service.Int(204), RequestID: str("0011"), XQSDeleteMarker: service.Bool(true), XQSVersionID: str("v1")}, deleted, err)
	appended, err := open(200).AppendObject("k", &service.AppendObjectInput{Position: service.Int64(1024)})
	check("AppendObject", &service.AppendObjectOutput{StatusCode: service.Int(200), RequestID: str("0011"), XQSNextAppendPosition: service.Int64(1029)}, appended, err)
	part, err := open(201).UploadMultipart("k", &service.UploadMultipartInput{PartNumber: service.Int(0), UploadID: str("u")})
	check("UploadMultipart", &service.UploadMultipartOutput{StatusCode: service.Int(201), RequestID: str("0011"), ETag: str(`"e"`), XQSContentCopyRange: str("bytes 0-4/9"),
		XQSEncryptionCustomerAlgorithm: str("AES256")}, part, err)
	completed, err := open(201).CompleteMultipartUpload("k", &service.CompleteMultipartUploadInput{UploadID: str("u"), ObjectParts: []*service.ObjectPartType{}})
	check("CompleteMultipartUpload", &service.CompleteMultipartUploadOutput{StatusCode: service.Int(201), RequestID: str("0011"), XQSEncryptionCustomerAlgorithm: str("AES256"), XQSVersionID: str("v1")}, completed, err)
	options, err := open(200).OptionsObject("k", &service.OptionsObjectInput{Origin: str("o"), AccessControlRequestMethod: str("PUT")})
	check("OptionsObject", &service.OptionsObjectOutput{StatusCode: service.Int(200), RequestID: str("0011"), AccessControlAllowOrigin: str("*"), AccessControlAllowMethods: str("PUT"),
		AccessControlAllowHeaders: str("a"), AccessControlExposeHeaders: str("b"), AccessControlMaxAge: str("60")}, options, err)

	image, err := openBucket(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, "pixels")
	}).ImageProcess("k", &service.ImageProcessInput{Action: str("info")})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(image.Body)
	if string(body) != "pixels" || err != nil || service.Int64Value(image.ContentLength) != 6 || service.StringValue(image.ContentType) != "image/png" || image.Close() != nil {
		t.Errorf("ImageProcess = %+v with body %q, %v; want six bytes of image/png", image, body, err)
	}
	if err := (*service.ImageProcessOutput)(nil).Close(); err != nil {
		t.Errorf("Close of nothing = %v, want nil", err)
	}
}
