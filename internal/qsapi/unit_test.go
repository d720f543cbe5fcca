package qsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/store"
	"github.com/cisternhq/cistern/internal/wire"
	"github.com/cisternhq/cistern/service"
	"github.com/google/go-cmp/cmp"
)

func TestEveryErrorIsComplete(t *testing.T) {
	errs := []error{
		errors.New("disk on fire in /var/lib/secret"),
		fail(400, "invalid_argument", "Text."),
		&missingMethod{"PATCH", []string{"GET"}},
		object.Explain(object.ErrInvalidArgument, "source_site: the port is bad"),
		&object.Error{Op: "get object", Bucket: "b", Key: "k", Err: object.ErrDamaged},
		&object.Retry{After: 1500 * time.Millisecond, Err: object.Explain(object.ErrSourceDown, "the source answered 503")},
		&object.Retry{Err: object.ErrThrottled},
		&unsatisfiable{7, object.ErrInvalidRange},
		&wire.FieldError{Name: "limit", Location: "query", Err: errors.New("must be a whole number")},
		&wire.FieldError{Location: "elements", Err: wire.ErrSyntax},
		object.ErrStore, object.ErrExists, badEscape,
	}
	for _, a := range answers {
		errs = append(errs, fmt.Errorf("deep inside: %w", a.err))
	}
	a := &API{}
	for _, err := range errs {
		t.Run(err.Error(), func(t *testing.T) {
			rec := httptest.NewRecorder()
			hr := httptest.NewRequest("GET", "/b/k", nil)
			w := newAnswer(rec, hr, time.Second, time.Now())
			w.Header()["Etag"] = []string{`"of the answer that failed"`}
			a.writeError(w, &request{Request: hr, id: newID()}, err)

			var got map[string]string
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatalf("body %q: %v", rec.Body, err)
			}
			for _, name := range []string{"code", "message", "request_id", "url"} {
				if got[name] == "" {
					t.Errorf("%s is empty in %s", name, rec.Body)
				}
			}
			if strings.Contains(rec.Body.String(), "secret") || strings.Contains(rec.Body.String(), "deep inside") {
				t.Errorf("the client is told internals: %s", rec.Body)
			}
			h := rec.Result().Header
			if h.Get("Content-Type") != "application/json" || h.Get("Content-Length") != fmt.Sprint(rec.Body.Len()) || h.Get("Etag") != "" {
				t.Errorf("header = %v", h)
			}
			if len(got["request_id"]) != 32 || h.Get("X-Qs-Request-Id") != got["request_id"] {
				t.Errorf("request id = %q in the header, %q in the body", h.Get("X-Qs-Request-Id"), got["request_id"])
			}
			if rec.Code < 400 || rec.Code > 599 || rec.Code == statusClientGone {
				t.Errorf("status = %d", rec.Code)
			}
		})
	}
}

func TestErrorHeaders(t *testing.T) {
	write := func(err error) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		hr := httptest.NewRequest("HEAD", "/b/k", nil)
		w := newAnswer(rec, hr, time.Second, time.Now())
		(&API{}).writeError(w, &request{Request: hr, id: newID()}, err)
		return rec
	}
	rec := write(&object.Retry{After: 1500 * time.Millisecond, Err: object.ErrSourceDown})
	if rec.Code != 503 || rec.Header().Get("Retry-After") != "2" {
		t.Errorf("status %d, Retry-After %q, want 503 and 2", rec.Code, rec.Header().Get("Retry-After"))
	}
	if rec.Body.Len() != 0 || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("HEAD answered %q of type %q, want no body of type application/json", rec.Body, rec.Header().Get("Content-Type"))
	}
	rec = write(&unsatisfiable{7, object.ErrInvalidRange})
	if rec.Code != 416 || rec.Header().Get("Content-Range") != "bytes */7" {
		t.Errorf("status %d, Content-Range %q, want 416 and bytes */7", rec.Code, rec.Header().Get("Content-Range"))
	}
}

func TestClientTextOfErrors(t *testing.T) {
	err := &object.Error{Op: "get", Bucket: "b", Err: &object.Retry{After: 1, Err: &object.Explained{
		Kind: object.ErrSourceDown, Text: "the source answered 500", Cause: errors.New("dial tcp 10.1.2.3")}}}
	status, code, message := describe(err)
	if status != 503 || code != "upstream_failed" || message != "The source answered 500." {
		t.Errorf("describe = %d, %s, %q", status, code, message)
	}
	if status, code, _ := describe(context.Canceled); status != statusClientGone || code == "" {
		t.Errorf("describe(Canceled) = %d, %q", status, code)
	}
}

func TestResolve(t *testing.T) {
	const size = 100
	tests := []struct {
		value string
		want  []object.Range
		bad   bool
	}{
		{"bytes=0-9", []object.Range{{Offset: 0, Length: 10}}, false},
		{"bytes=90-", []object.Range{{Offset: 90, Length: 10}}, false},
		{"bytes=90-1000", []object.Range{{Offset: 90, Length: 10}}, false},
		{"bytes=-10", []object.Range{{Offset: 90, Length: 10}}, false},
		{"bytes=-1000", []object.Range{{Offset: 0, Length: 100}}, false},
		{"bytes=100-", nil, true},
		{"bytes=-0", nil, true},
		{"bytes=0-0,99-99", []object.Range{{Offset: 0, Length: 1}, {Offset: 99, Length: 1}}, false},
		{"bytes=0-0,100-", []object.Range{{Offset: 0, Length: 1}}, false},
		{"bytes=0-60,20-99", nil, false}, // more than all of it
		{"bytes=100-,200-", nil, true},
	}
	for _, tt := range tests {
		ranges, err := object.ParseRange(tt.value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := resolve(ranges, size)
		if (err != nil) != tt.bad {
			t.Errorf("resolve(%s) = %v, want an error: %v", tt.value, err, tt.bad)
		}
		if tt.bad && contentRange(err) != "bytes */100" {
			t.Errorf("resolve(%s): Content-Range %q", tt.value, contentRange(err))
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("resolve(%s): -want +got\n%s", tt.value, d)
		}
	}
}

func TestMetaOf(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		want   object.Meta
		code   string
	}{
		{"nothing", nil, object.Meta{ContentType: defaultType}, ""},
		{"all", http.Header{"Content-Type": {"image/jpeg"}, "Cache-Control": {"no-cache"}, "Expires": {"0"}, "Content-Encoding": {"gzip"},
			"Content-Language": {"de"}, "Content-Disposition": {"inline"}, "X-Qs-Storage-Class": {"STANDARD_IA"},
			"X-Qs-Meta-A_b.C": {"v 1"}, "X-Qs-Date": {"not kept"}},
			object.Meta{ContentType: "image/jpeg", CacheControl: "no-cache", Expires: "0", ContentEncoding: "gzip", ContentLanguage: "de",
				ContentDisposition: "inline", StorageClass: "STANDARD_IA", User: map[string]string{"a_b.c": "v 1"}}, ""},
		{"long type", http.Header{"Content-Type": {strings.Repeat("a", 256)}}, object.Meta{}, "invalid_argument"},
		{"class", http.Header{"X-Qs-Storage-Class": {"COLD"}}, object.Meta{}, "invalid_request"},
		{"empty name", http.Header{"X-Qs-Meta-": {"v"}}, object.Meta{}, "invalid_argument"},
		{"name", http.Header{"X-Qs-Meta-A!": {"v"}}, object.Meta{}, "invalid_argument"},
		{"twice", http.Header{"X-Qs-Meta-A": {"v", "v"}}, object.Meta{}, "invalid_argument"},
		{"not ASCII", http.Header{"X-Qs-Meta-A": {"é"}}, object.Meta{}, "invalid_argument"},
		{"long name", http.Header{"X-Qs-Meta-" + strings.Repeat("A", 513): {""}}, object.Meta{}, "metadata_too_large"},
		{"too much", http.Header{"X-Qs-Meta-A": {strings.Repeat("v", 1024)}, "X-Qs-Meta-B": {strings.Repeat("v", 1023)}}, object.Meta{}, "metadata_too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := metaOf(tt.header)
			if err != nil {
				_, code, _ := describe(err)
				if code != tt.code {
					t.Errorf("metaOf = %s (%v), want %q", code, err, tt.code)
				}
				return
			}
			if d := cmp.Diff(tt.want, got); d != "" || tt.code != "" {
				t.Errorf("metaOf, want %q: -want +got\n%s", tt.code, d)
			}
		})
	}
	if _, err := metaOf(http.Header{"X-Qs-Meta-A": {strings.Repeat("v", 1024)}, "X-Qs-Meta-B": {strings.Repeat("v", 1022)}}); err != nil {
		t.Errorf("2,048 bytes of metadata: %v, want none", err)
	}
}

func TestContentMD5(t *testing.T) {
	for value, ok := range map[string]bool{
		"1B2M2Y8AsgTpgAmY7PhCfg==":          true,
		"d41d8cd98f00b204e9800998ecf8427e":  true,
		"D41D8CD98F00B204E9800998ECF8427E":  true,
		"":                                  true,
		"1B2M2Y8AsgTpgAmY7PhCfg":            false,
		"AAAA":                              false,
		"x41d8cd98f00b204e9800998ecf8427e":  false,
		"d41d8cd98f00b204e9800998ecf8427e0": false,
	} {
		sum, err := contentMD5(http.Header{"Content-Md5": {value}})
		if (err == nil) != ok || ok && value != "" && fmt.Sprintf("%x", sum) != "d41d8cd98f00b204e9800998ecf8427e" {
			t.Errorf("contentMD5(%q) = %x, %v, want ok %v", value, sum, err, ok)
		}
	}
}

func TestHops(t *testing.T) {
	for value, want := range map[string]int{"0": 0, "2": 2, "9999": 9999, "": -1, "-1": -1, "+1": -1, "1 ": -1, "99999": -1, "0x1": -1} {
		got, err := hops(http.Header{hopHeader: {value}})
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("hops(%q) = %d, want %d", value, got, want)
		}
	}
	if n, err := hops(nil); n != 0 || err != nil {
		t.Errorf("hops() = %d, %v, want 0", n, err)
	}
	if _, err := hops(http.Header{hopHeader: {"1", "1"}}); err == nil {
		t.Error("two hop headers: no error")
	}
}

func TestConditions(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 44, 22, 0, time.UTC)
	got := conditions(http.Header{
		"If-Match": {`"a"`, `"b"`}, "If-None-Match": {"%22c%22"},
		"If-Modified-Since": {at.Format(timeFormat)}, "If-Unmodified-Since": {"yesterday"},
	})
	want := object.Conditions{IfMatch: `"a", "b"`, IfNoneMatch: `"c"`, IfModifiedSince: at}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("conditions: -want +got\n%s", d)
	}
}

func TestPageReadsBack(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 44, 22, 123e6, time.UTC)
	b := store.Bucket{Name: "my-bucket", Owner: "operator"}
	q := store.ListQuery{Prefix: "a", Delimiter: "/", Marker: "m", Limit: 2}
	page := store.Page{
		Entries:  []store.Entry{{Key: "a\"\\\n\x00\u2028\x7f中", Meta: object.Meta{Size: 5, ETag: `"e"`, LastModified: at.Truncate(time.Second), Created: at}}, {Key: "b"}},
		Prefixes: []string{"a/", "b\t/"}, Next: "b\t/", More: true,
	}
	doc := appendPage(nil, b, q, page)
	if !json.Valid(doc) {
		t.Fatalf("no JSON: %s", doc)
	}
	var got service.ListObjectsOutput
	if err := wire.DecodeStrict(wire.Message{JSON: doc}, &got); err != nil {
		t.Fatalf("the SDK cannot read %s: %v", doc, err)
	}
	if k := got.Keys[0]; *k.Key != page.Entries[0].Key || *k.Size != 5 || *k.Etag != `"e"` || !k.Created.Equal(at) || int64(*k.Modified) != at.Unix() ||
		*k.MimeType != defaultType || *k.StorageClass != "STANDARD" {
		t.Errorf("first key = %s", doc)
	}
	if len(got.Keys) != 2 || len(got.CommonPrefixes) != 2 || *got.CommonPrefixes[1] != "b\t/" || *got.NextMarker != "b\t/" || !*got.HasMore ||
		*got.Name != b.Name || *got.Owner.ID != "operator" || *got.Limit != 2 || *got.Marker != "m" || *got.Prefix != "a" || *got.Delimiter != "/" {
		t.Errorf("page = %s", doc)
	}
	empty := string(appendPage(nil, b, store.ListQuery{Limit: 1}, store.Page{}))
	if !strings.Contains(empty, `"keys":[],"common_prefixes":[],"next_marker":"","has_more":false`) {
		t.Errorf("empty page = %s, want every member", empty)
	}
}

// FuzzString holds that a string reads back as it was, where it is UTF-8.
func FuzzString(f *testing.F) {
	f.Add("a\"\\\n\r\t\x00\x1f\x7f\u2028\u2029中😀\xff\xc3")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		doc := appendString(nil, s)
		if err := json.Unmarshal(doc, &got); err != nil {
			t.Fatalf("appendString(%q) = %s: %v", s, doc, err)
		}
		if utf8.ValidString(s) && got != s {
			t.Errorf("appendString(%q) = %s", s, doc)
		}
		if !utf8.Valid(doc) {
			t.Errorf("appendString(%q) = %q, no UTF-8", s, doc)
		}
	})
}

// FuzzHeaders reads whatever stands in the fields that reads and writes look at.
func FuzzHeaders(f *testing.F) {
	f.Add("bytes=0-1,-3", `"a"`, "Sun, 22 Nov 2026 06:44:22 GMT", "2")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		h := http.Header{"Range": {a}, "If-Match": {b}, "If-Modified-Since": {c}, hopHeader: {d}, "Content-Md5": {a}, "X-Qs-Meta-A": {b}, metaPrefix + c: {d}}
		conditions(h).Check(object.Meta{ETag: `"a"`, LastModified: time.Now()})
		if n, err := hops(h); err == nil && (n < 0 || n > 9999) {
			t.Errorf("hops = %d", n)
		}
		if sum, err := contentMD5(h); err == nil && sum != nil && len(sum) != 16 {
			t.Errorf("MD5 of %d bytes", len(sum))
		}
		if m, err := metaOf(h); err == nil {
			for k, v := range m.User {
				if strings.ContainsAny(k+v, "\r\n\x00") || len(k)+len(v) > maxMeta {
					t.Errorf("metadata %q: %q", k, v)
				}
			}
		}
		if ranges, err := object.ParseRange(a); err == nil {
			rs, _ := resolve(ranges, 10)
			for _, r := range rs {
				if r.Offset < 0 || r.Length <= 0 || r.End() > 10 {
					t.Errorf("resolve(%q) = %v", a, r)
				}
			}
		}
	})
}

func TestBodyBlamesTheClient(t *testing.T) {
	for name, tt := range map[string]struct {
		from  io.Reader
		limit int64
		want  error
	}{
		"cut":       {io.MultiReader(strings.NewReader("ab"), errReader{io.ErrUnexpectedEOF}), 0, object.ErrIncompleteBody},
		"stalled":   {errReader{os.ErrDeadlineExceeded}, 0, object.ErrIncompleteBody},
		"too large": {strings.NewReader("abcdef"), 5, object.ErrTooLarge},
		"just fits": {strings.NewReader("abcde"), 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			hr := httptest.NewRequest("PUT", "/b/k", tt.from)
			b := newBody(httptest.NewRecorder(), hr, time.Second)
			b.limit = tt.limit
			if _, err := io.ReadAll(b); !errors.Is(err, tt.want) {
				t.Errorf("ReadAll = %v, want %v", err, tt.want)
			}
		})
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestAnswerKeepsSendfile(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content := strings.Repeat("0123456789abcdef", block/16*2) + "the end"
	if _, err := file.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(3, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	under := &recorder{ResponseRecorder: httptest.NewRecorder()}
	w := newAnswer(under, httptest.NewRequest("GET", "/", nil), time.Minute, time.Now())
	w.begin(http.StatusPartialContent)
	n, err := io.Copy(w, &io.LimitedReader{R: file, N: int64(len(content) - 4)})
	if err != nil || n != int64(len(content)-4) || w.sent != n {
		t.Fatalf("Copy = %d, %v, sent %d, want %d", n, err, w.sent, len(content)-4)
	}
	if got := under.Body.String(); got != content[3:len(content)-1] {
		t.Error("other bytes arrived")
	}
	if under.files != 3 || under.Code != http.StatusPartialContent {
		t.Errorf("%d blocks came as files with status %d, want 3 with 206", under.files, under.Code)
	}
}

// recorder counts what net/http could send by sendfile.
type recorder struct {
	*httptest.ResponseRecorder
	files int
}

func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			r.files++
		}
	}
	return io.Copy(writerOnly{r.ResponseRecorder}, src)
}
