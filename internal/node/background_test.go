package node_test

import (
	"bytes"
	"encoding/json"
	"image"
	pngs "image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/keys"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/store/diskstore"
	"github.com/cisternhq/cistern/service"
)

func ptr[T any](v T) *T { return &v }

// must is for calls of the SDK whose outputs are of no interest.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// until asks again and again until ok says that the answer is what is waited for.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("after 20 s: %s is not so", what)
		}
	}
}

// metric returns the value of a metric without labels.
func metric(t *testing.T, s *cisterntest.Server, name string) int64 {
	t.Helper()
	_, text := do(t, s.Operator, http.MethodGet, s.URL+"/-/metrics", "", "")
	_, rest, ok := strings.Cut(text, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if !ok || err != nil {
		t.Fatalf("metric %s is %q", name, value)
	}
	return int64(n)
}

func TestLifecycleRulesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := cisterntest.Start(t, cisterntest.OnDisk(dir))
	b := first.Bucket("bucket")
	must[*service.PutBucketOutput](t)(b.Put())
	must[*service.PutBucketLifecycleOutput](t)(b.PutLifecycle(&service.PutBucketLifecycleInput{Rule: []*service.RuleType{{
		ID: ptr("logs"), Status: ptr("enabled"), Filter: &service.FilterType{Prefix: ptr("logs/")}, Expiration: &service.ExpirationType{Days: ptr(30)},
	}}}))
	must[*service.PutObjectOutput](t)(b.PutObject("logs/new", &service.PutObjectInput{Body: strings.NewReader("new")}))
	first.Stop(5 * time.Second)

	// An object from a month ago.
	e, err := diskstore.Open(dir, diskstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st := store.New(e)
	bucket, err := st.Bucket(t.Context(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"logs/old", "other/old"} {
		sp, err := st.NewSpool(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		ago := time.Now().Add(-31 * 24 * time.Hour)
		if err := st.Put(t.Context(), bucket, key, object.Meta{LastModified: ago, Created: ago}, sp); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	s := cisterntest.Start(t, cisterntest.OnDisk(dir), cisterntest.With(func(o *node.Options) { o.Lifecycle.Interval = 10 * time.Millisecond }))
	get := func(key string) int {
		status, _ := do(t, s.Operator, http.MethodGet, s.URL+"/bucket/"+key, "", "")
		return status
	}
	until(t, "the old object has expired", func() bool { return get("logs/old") == 404 })
	if a, b := get("logs/new"), get("other/old"); a != 200 || b != 200 {
		t.Errorf("a new object: %d, one that no rule is about: %d; want both there", a, b)
	}
	until(t, "the metrics say so", func() bool { return metric(t, s, "cistern_lifecycle_expired_total") == 1 })
}

// hook is an address that notifications are sent to.
type hook struct {
	*httptest.Server
	mu     sync.Mutex // guards the fields below
	status int
	got    []string // "type key principal"
}

func newHook(t *testing.T) *hook {
	h := &hook{status: 200}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Events []struct {
				Type     string `json:"event_type"`
				Identity struct {
					Principal string `json:"principal_id"`
				} `json:"user_identify"`
				Response struct {
					RequestID string `json:"request_id"`
				} `json:"response_elements"`
				QingStor struct {
					Bucket struct{ Name string }
					Object struct{ Name string }
				}
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || len(m.Events) != 1 || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the hook got %v, %v", m, err)
			return
		}
		e := m.Events[0]
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.status == 200 {
			h.got = append(h.got, e.Type+" "+e.QingStor.Bucket.Name+"/"+e.QingStor.Object.Name+" "+e.Identity.Principal)
			if (e.Response.RequestID == "") != (e.Identity.Principal == "") {
				t.Errorf("principal %q, request %q; want both or none", e.Identity.Principal, e.Response.RequestID)
			}
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func notifyAll(url string) *service.PutBucketNotificationInput {
	return &service.PutBucketNotificationInput{Notifications: []*service.NotificationType{{
		ID: ptr("all"), Cloudfunc: ptr("notifier"), NotifyURL: ptr(url),
		EventTypes: []*string{ptr("create_object"), ptr("delete_object"), ptr("complete_multipart"), ptr("abort_multipart")},
	}}}
}

func TestNotificationsSurviveARestart(t *testing.T) {
	h := newHook(t)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "from the source") }))
	defer source.Close()
	dir := t.TempDir()
	first := cisterntest.Start(t, cisterntest.OnDisk(dir))
	first.Mirror("bucket", source.URL)
	b := first.Bucket("bucket")
	must[*service.PutBucketNotificationOutput](t)(b.PutNotification(notifyAll(h.URL)))
	must[*service.PutObjectOutput](t)(b.PutObject("a", &service.PutObjectInput{Body: strings.NewReader("x")}))
	until(t, "the first event came", func() bool { return len(h.told()) == 1 })
	h.answer(503)
	must[*service.PutObjectOutput](t)(b.PutObject("b", &service.PutObjectInput{Body: strings.NewReader("x")}))
	must[*service.DeleteObjectOutput](t)(b.DeleteObject("a"))
	if status, body := do(t, keys.Key{}, "GET", first.URL+"/bucket/filled", "", ""); status != 200 || body != "from the source" {
		t.Fatalf("GET of a miss = %d %s", status, body)
	}
	until(t, "the fill is stored", func() bool {
		out, err := b.ListObjects(&service.ListObjectsInput{})
		return err == nil && len(out.Keys) == 2
	})
	first.Stop(5 * time.Second)

	h.answer(200)
	second := cisterntest.Start(t, cisterntest.OnDisk(dir))
	until(t, "all events came", func() bool { return len(h.told()) == 4 })
	op := node.Operator().Owner
	want := []string{"create_object bucket/a " + op, "create_object bucket/b " + op, "delete_object bucket/a " + op, "create_object bucket/filled "}
	if diff := cmp.Diff(want, h.told()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	until(t, "the metrics say so", func() bool {
		return metric(t, second, "cistern_notifications_delivered_total") == 3 && metric(t, second, "cistern_notifications_pending") == 0
	})
}

// A user's notification never reaches the server's own network: neither by its address nor by a redirect.
func TestNotificationsStayOutside(t *testing.T) {
	h := newHook(t)
	moved := httptest.NewServer(http.RedirectHandler(h.URL, http.StatusTemporaryRedirect))
	defer moved.Close()
	names := cisterntest.NewDNS(t)
	names.Set("hook.test", "127.0.0.1")
	s := cisterntest.Start(t, cisterntest.With(func(o *node.Options) { o.Origin.Resolver = names.Resolver() }))
	user := s.As(s.NewUser())
	b, err := user.Bucket("bucket", "")
	if err != nil {
		t.Fatal(err)
	}
	must[*service.PutBucketOutput](t)(b.Put())
	if _, err := b.PutNotification(notifyAll(h.URL)); err == nil || !strings.Contains(err.Error(), `"400"`) || !strings.Contains(err.Error(), "private address") {
		t.Errorf("PUT of a private address = %v, want 400", err)
	}
	if _, err := s.Bucket("bucket").PutNotification(notifyAll(s.URL)); err == nil || !strings.Contains(err.Error(), `"400"`) || !strings.Contains(err.Error(), "is this server") {
		t.Errorf("PUT of the server's own address = %v, want 400", err)
	}
	// The name is judged when it is dialled.
	port := h.URL[strings.LastIndexByte(h.URL, ':'):]
	must[*service.PutBucketNotificationOutput](t)(b.PutNotification(notifyAll("http://hook.test" + port)))
	must[*service.PutObjectOutput](t)(b.PutObject("a", &service.PutObjectInput{Body: strings.NewReader("x")}))
	failed := func() int64 { return metric(t, s, "cistern_notifications_failed_total") }
	until(t, "the attempt failed", func() bool { return failed() > 0 })
	if names.Asked("hook.test") == 0 {
		t.Error("the name was not even looked up: the test shows nothing")
	}
	must[*service.DeleteBucketNotificationOutput](t)(b.DeleteNotification())

	op, before := s.Bucket("ops-bucket"), failed()
	must[*service.PutBucketOutput](t)(op.Put())
	must[*service.PutBucketNotificationOutput](t)(op.PutNotification(notifyAll(moved.URL)))
	must[*service.PutObjectOutput](t)(op.PutObject("a", &service.PutObjectInput{Body: strings.NewReader("x")}))
	until(t, "the redirect counts as a failure", func() bool { return failed() > before })
	if got := h.told(); len(got) != 0 {
		t.Errorf("the hook was told %q", got)
	}
}

func TestReplicationSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first := cisterntest.Start(t, cisterntest.OnDisk(dir))
	from, to := first.Bucket("from"), first.Bucket("backup")
	must[*service.PutBucketOutput](t)(from.Put())
	must[*service.PutBucketOutput](t)(to.Put())
	content := strings.Repeat("0123456789", 100_000)
	must[*service.PutObjectOutput](t)(from.PutObject("there before", &service.PutObjectInput{Body: strings.NewReader(content), ContentType: ptr("text/x")}))
	must[*service.PutBucketReplicationOutput](t)(from.PutReplication(&service.PutBucketReplicationInput{Rules: []*service.RulesType{{
		ID: ptr("all"), Filters: &service.FiltersType{Prefix: ptr("")}, Destination: &service.DestinationType{Bucket: ptr("backup")},
		SyncMarker: ptr("enabled"), DeleteMarker: ptr("enabled"),
	}}}))
	must[*service.PutObjectOutput](t)(from.PutObject("new", &service.PutObjectInput{Body: strings.NewReader("new")}))
	first.Stop(5 * time.Second) // perhaps before any of it was copied

	s := cisterntest.Start(t, cisterntest.OnDisk(dir))
	head := func(bucket, key string) (etag, modified string) {
		out, err := s.Bucket(bucket).HeadObject(key, nil)
		if err != nil {
			return "", ""
		}
		return *out.ETag, out.LastModified.String()
	}
	for _, key := range []string{"there before", "new"} {
		etag, modified := head("from", key)
		until(t, key+" is copied", func() bool { e, m := head("backup", key); return e == etag && m == modified && e != "" })
	}
	if _, body := do(t, s.Operator, "GET", s.URL+"/backup/there%20before", "", ""); body != content {
		t.Error("the copy has other bytes")
	}
	must[*service.DeleteObjectOutput](t)(s.Bucket("from").DeleteObject("new"))
	until(t, "the deletion is repeated", func() bool { e, _ := head("backup", "new"); return e == "" })
	until(t, "the metrics say so", func() bool {
		return metric(t, s, "cistern_replication_pending") == 0 && metric(t, s, "cistern_replication_deleted_total") == 1
	})
}

func TestAccessLogs(t *testing.T) {
	dir := t.TempDir()
	first := cisterntest.Start(t, cisterntest.OnDisk(dir))
	b := first.Bucket("bucket")
	must[*service.PutBucketOutput](t)(b.Put())
	must[*service.PutBucketOutput](t)(first.Bucket("target").Put())
	must[*service.PutBucketLoggingOutput](t)(b.PutLogging(&service.PutBucketLoggingInput{TargetBucket: ptr("target"), TargetPrefix: ptr("logs/")}))
	must[*service.PutObjectOutput](t)(b.PutObject("a b", &service.PutObjectInput{Body: strings.NewReader("12345")}))
	do(t, keys.Key{}, "GET", first.URL+"/bucket/a%20b?access_key_id=SECRET&expires=1&signature=SECRET", "", "")
	do(t, keys.Key{}, "GET", first.URL+"/target/x", "", "")
	first.Stop(5 * time.Second) // before the lines were written, perhaps

	// A slice of one byte is full at once: nobody has to wait for the hour.
	s := cisterntest.Start(t, cisterntest.OnDisk(dir), cisterntest.With(func(o *node.Options) { o.AccessLog.Slice, o.AccessLog.Look = 1, 10*time.Millisecond }))
	var text string
	until(t, "the log is delivered", func() bool {
		out, err := s.Bucket("target").ListObjects(&service.ListObjectsInput{Prefix: ptr("logs/bucket-")})
		if err != nil || len(out.Keys) == 0 {
			return false
		}
		text = ""
		for _, key := range out.Keys {
			_, body := do(t, s.Operator, "GET", s.URL+"/target/"+*key.Key, "", "")
			text += body
		}
		return strings.Count(text, "\n") >= 3
	})
	op := node.Operator().Owner
	for _, want := range []string{
		`127.0.0.1 - [`, `"PUT /bucket?logging`, `"PUT /bucket/a%20b" 201 `, ` 5 0 "`, ` bucket put_object ` + op + ` `,
		`"GET /bucket/a%20b?access_key_id=***&expires=1&signature=***" 40`, ` bucket - - `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "SECRET") || strings.Contains(text, "/target/x") || strings.Count(text, "\n") != 3 {
		t.Errorf("the log shows a credential, or requests for another bucket:\n%s", text)
	}
}

func TestPicturesAreMadeOfPictures(t *testing.T) {
	s := cisterntest.Start(t)
	user := s.As(s.NewUser())
	b, err := user.Bucket("pictures", "")
	if err != nil {
		t.Fatal(err)
	}
	must[*service.PutBucketOutput](t)(b.Put())
	must[*service.PutBucketNotificationOutput](t)(b.PutNotification(&service.PutBucketNotificationInput{Notifications: []*service.NotificationType{{
		ID: ptr("small"), Cloudfunc: ptr("image"), CloudfuncArgs: &service.CloudfuncArgsType{Action: ptr("resize:w_3,h_2,m_2")},
		EventTypes: []*string{ptr("create_object")},
	}}}))
	var png bytes.Buffer
	if err := pngs.Encode(&png, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	must[*service.PutObjectOutput](t)(b.PutObject("dir/a.png", &service.PutObjectInput{Body: bytes.NewReader(png.Bytes())}))
	var made *service.GetObjectOutput
	until(t, "the picture is made", func() bool {
		made, err = b.GetObject("gen_dir/a.png", nil)
		return err == nil
	})
	defer made.Close()
	c, err := pngs.DecodeConfig(made.Body)
	if err != nil || c.Width != 3 || *made.ContentType != "image/png" {
		t.Errorf("the result is %+v, %v of type %s, want a small PNG", c, err, *made.ContentType)
	}
	until(t, "all events were taken", func() bool { return metric(t, s, "cistern_notifications_pending") == 0 })
	if out, err := b.ListObjects(nil); err != nil || len(out.Keys) != 2 {
		t.Errorf("the bucket lists %d objects, %v; want the picture and what was made of it", len(out.Keys), err)
	}
}
