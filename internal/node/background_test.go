package node_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
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
	get := func(key string) int { status, _ := do(t, s.Operator, http.MethodGet, s.URL+"/bucket/"+key, "", ""); return status }
	until(t, "the old object has expired", func() bool { return get("logs/old") == 404 })
	if a, b := get("logs/new"), get("other/old"); a != 200 || b != 200 {
		t.Errorf("a new object: %d, one that no rule is about: %d; want both there", a, b)
	}
	until(t, "the metrics say so", func() bool {
		_, text := do(t, s.Operator, http.MethodGet, s.URL+"/-/metrics", "", "")
		return strings.Contains(text, "\ncistern_lifecycle_expired_total 1\n")
	})
}
