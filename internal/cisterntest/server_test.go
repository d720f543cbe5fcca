package cisterntest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
	"github.com/cisternhq/cistern/internal/node"
	"github.com/cisternhq/cistern/service"
)

func TestServerFillsFromASite(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts func(t *testing.T) []cisterntest.Option
	}{
		{"in memory", func(*testing.T) []cisterntest.Option { return nil }},
		{"on disk", func(t *testing.T) []cisterntest.Option { return []cisterntest.Option{cisterntest.OnDisk(t.TempDir())} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := cisterntest.NewSite(t, cisterntest.SiteOptions{Objects: map[string]int64{"a/b.bin": 300_000}})
			ended := make(chan fill.Report, 1) // the readers of a fill are served before it is stored
			s := cisterntest.Start(t, append(tt.opts(t), cisterntest.With(func(o *node.Options) {
				o.Fill.OnReport = func(r fill.Report) { ended <- r }
			}))...)
			at := s.Mirror("demo", site.URL()+"/")
			c := cisterntest.NewContent("a/b.bin", 300_000)
			for i, cache := range []string{"fwd=uri-miss", "hit"} {
				resp, body, err := get(t, at+"a/b.bin")
				if err != nil || resp.StatusCode != 200 || string(body) != string(c.Bytes()) {
					t.Fatalf("GET %d = %v, %d bytes, %v; want the site's bytes", i+1, resp, len(body), err)
				}
				if got := resp.Header.Get("Cache-Status"); !strings.Contains(got, cache) {
					t.Errorf("GET %d: Cache-Status = %q, want %q in it", i+1, got, cache)
				}
				if i == 0 {
					if r := <-ended; r.Outcome != fill.Stored || r.Bytes != 300_000 {
						t.Errorf("the fill's report = %+v, want 300000 bytes stored", r)
					}
				}
			}
			if n := site.Requests("a/b.bin"); n != 1 {
				t.Errorf("the site was asked %d times, want 1", n)
			}
		})
	}
}

func TestServerGoesOnWithItsFolder(t *testing.T) {
	dir := t.TempDir()
	first := cisterntest.Start(t, cisterntest.OnDisk(dir))
	if _, err := first.Bucket("demo").Put(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Bucket("demo").PutObject("a//b", &service.PutObjectInput{Body: strings.NewReader("hello")}); err != nil {
		t.Fatal(err)
	}
	first.Stop(time.Second)
	second := cisterntest.Start(t, cisterntest.OnDisk(dir))
	out, err := second.Bucket("demo").HeadObject("a//b", nil)
	if err != nil || service.Int64Value(out.ContentLength) != 5 {
		t.Errorf("HEAD after a restart = %+v, %v; want 5 bytes", out, err)
	}
}

func TestUsersAreApart(t *testing.T) {
	s := cisterntest.Start(t)
	if _, err := s.Bucket("demo").Put(); err != nil {
		t.Fatal(err)
	}
	b, err := s.As(s.NewUser()).Bucket("demo", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Delete(); err == nil || !strings.Contains(err.Error(), "permission_denied") {
		t.Errorf("DELETE of another user's bucket = %v, want permission_denied", err)
	}
}
