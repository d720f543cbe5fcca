package wire_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cisternhq/cistern/internal/wire"
)

type item struct {
	Key  *string    `json:"key,omitempty"`
	Size *int64     `json:"size,omitempty"`
	At   *time.Time `json:"at,omitempty"`
	Sub  *item      `json:"sub,omitempty"`
	List []*item    `json:"list,omitempty"`

	Class *int             `json:"class,omitempty" codes:"LOW HIGH"`
	Sums  map[string]*item `json:"sums,omitempty"`
}

// everything has a field of each kind that travels.
type everything struct {
	StatusCode *int `location:"statusCode"`

	Limit  *int    `name:"limit" location:"query"`
	Prefix *string `name:"prefix" location:"query"`
	Quick  *bool   `name:"quick" location:"query"`

	ETag          *string            `name:"ETag" location:"headers"`
	Since         *time.Time         `name:"If-Modified-Since" location:"headers" lenient:"true"`
	Modified      *time.Time         `name:"Last-Modified" location:"headers"`
	Position      *int64             `name:"X-QS-Next-Append-Position" location:"headers"`
	ContentLength *int64             `name:"Content-Length" location:"headers"`
	Meta          *map[string]string `name:"X-QS-MetaData" location:"headers"`

	Items []*item   `json:"items" name:"items" location:"elements"`
	Quiet *bool     `json:"quiet" name:"quiet" location:"elements"`
	Owner *item     `json:"owner,omitempty" name:"owner" location:"elements"`
	Names []*string `json:"names,omitempty" name:"names" location:"elements"`
}

type upload struct {
	Type *string `name:"Content-Type" location:"headers"`
	Body io.Reader
}

type download struct {
	Body io.ReadCloser `location:"body"`
}

func ptr[T any](v T) *T { return &v }

func TestEncode(t *testing.T) {
	at := time.Date(2014, 12, 10, 18, 20, 31, 999, time.FixedZone("CET", 3600))
	tests := []struct {
		name   string
		in     any
		query  string
		header http.Header
		json   string
		length *int64
	}{
		{name: "nothing set: nulls in the body, omitempty left out", in: &everything{}, json: `{"items":null,"quiet":null}`},
		{name: "a value, not a pointer", in: everything{Quiet: ptr(true)}, json: `{"items":null,"quiet":true}`},
		{name: "an empty list is written, also with omitempty", in: &everything{Items: []*item{}, Names: []*string{}}, json: `{"items":[],"names":[],"quiet":null}`},
		{name: "nested members", in: &everything{Items: []*item{{Key: ptr("a"), Sub: &item{Size: ptr(int64(1) << 60)}}}},
			json: `{"items":[{"key":"a","sub":{"size":1152921504606846976}}],"quiet":null}`},
		{name: "query", in: &everything{Limit: ptr(5), Prefix: ptr("a b/中"), Quick: ptr(false)},
			query: "limit=5&prefix=a+b%2F%E4%B8%AD&quick=false", json: `{"items":null,"quiet":null}`},
		{name: "an empty query value is written", in: &everything{Prefix: ptr("")}, query: "prefix=", json: `{"items":null,"quiet":null}`},
		{name: "times are GMT in whole seconds", in: &everything{Modified: &at},
			header: http.Header{"Last-Modified": {"Wed, 10 Dec 2014 17:20:31 GMT"}}, json: `{"items":null,"quiet":null}`},
		{name: "ASCII header values are raw", in: &everything{ETag: ptr(`"a b%41"`)}, header: http.Header{"Etag": {`"a b%41"`}}, json: `{"items":null,"quiet":null}`},
		{name: "other header values are escaped as a whole", in: &everything{ETag: ptr("/b/中 a+b=.txt")},
			header: http.Header{"Etag": {"/b/%E4%B8%AD%20a%2Bb=.txt"}}, json: `{"items":null,"quiet":null}`},
		{name: "metadata keys as given", in: &everything{Meta: &map[string]string{"X-QS-Meta-A": "1", "x-qs-meta-b_c.d": "ü"}},
			header: http.Header{"X-Qs-Meta-A": {"1"}, "X-Qs-Meta-B_c.d": {"%C3%BC"}}, json: `{"items":null,"quiet":null}`},
		{name: "content length is not a header", in: &everything{ContentLength: ptr(int64(7))}, length: ptr(int64(7)), json: `{"items":null,"quiet":null}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := wire.Encode(tt.in)
			if err != nil {
				t.Fatalf("Encode: %v", err)
			}
			if got := m.Query.Encode(); got != tt.query {
				t.Errorf("query = %q, want %q", got, tt.query)
			}
			if diff := cmp.Diff(tt.header, m.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if string(m.JSON) != tt.json {
				t.Errorf("JSON = %s, want %s", m.JSON, tt.json)
			}
			if diff := cmp.Diff(tt.length, m.ContentLength); diff != "" {
				t.Errorf("content length (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	tests := []struct {
		name  string
		in    any
		field string
	}{
		{"a line break in a header", &everything{ETag: ptr("a\r\nSet-Cookie: b")}, "ETag"},
		{"a line break in metadata", &everything{Meta: &map[string]string{"x-qs-meta-a": "b\nc"}}, "x-qs-meta-a"},
		{"a metadata key that is no header name", &everything{Meta: &map[string]string{"a: b": "c"}}, "a: b"},
		{"an empty metadata key", &everything{Meta: &map[string]string{"": "c"}}, ""},
		{"a negative length", &everything{ContentLength: ptr(int64(-1))}, "Content-Length"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wire.Encode(tt.in)
			var fe *wire.FieldError
			if !errors.As(err, &fe) || fe.Name != tt.field || fe.Location != "headers" {
				t.Errorf("Encode = %v, want a FieldError of header %q", err, tt.field)
			}
		})
	}
	for _, v := range []any{nil, 7, (*everything)(nil), struct {
		A []int `name:"a" location:"query"`
	}{}, struct {
		A *int `location:"query"`
	}{}, struct {
		Body string `location:"body"`
	}{}} {
		if _, err := wire.Encode(v); err == nil {
			t.Errorf("Encode(%T) = nil, want an error", v)
		}
	}
}

func TestBody(t *testing.T) {
	m, err := wire.Encode(&upload{Type: ptr("text/plain"), Body: strings.NewReader("abc")})
	if err != nil || m.Body == nil || m.JSON != nil {
		t.Fatalf("Encode = %+v, %v; want a body and no JSON", m, err)
	}
	var in upload
	if err := wire.Decode(m, &in); err != nil || in.Body != m.Body {
		t.Errorf("Decode into io.Reader = %v, want the same reader", err)
	}
	var out download
	if err := wire.Decode(m, &out); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(out.Body); string(b) != "abc" || err != nil || out.Body.Close() != nil {
		t.Errorf("Decode into io.ReadCloser reads %q, %v; want abc", b, err)
	}
	if m, err := wire.Encode(&upload{}); err != nil || m.Body != nil {
		t.Errorf("Encode without a body = %+v, %v; want none", m, err)
	}
}

func TestDecode(t *testing.T) {
	m := wire.Message{
		Query: url.Values{"limit": {"10", "20"}, "prefix": {""}, "other": {"x"}},
		Header: http.Header{
			"Etag":              {`"e"`},
			"If-Modified-Since": {"yesterday"},
			"Last-Modified":     {"Wed, 10 Dec 2014 17:20:31 GMT"},
			"X-Qs-Meta-Colour":  {"Blue", "Red"},
			"X-Qs-Meta-":        {"no name"},
			"Content-Length":    {"9"},
		},
		JSON: []byte(` {"items":[{"key":"a","unknown":[1,{}]},{"size":5,"at":"2016-08-22T15:03:32.000Z"}],"quiet":null,"Owner":{"key":"case"},"more":1} `),
	}
	var got everything
	if err := wire.Decode(m, &got); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2016, 8, 22, 15, 3, 32, 0, time.UTC)
	want := everything{
		Limit: ptr(10), ETag: ptr(`"e"`), ContentLength: ptr(int64(9)),
		Modified: ptr(time.Date(2014, 12, 10, 17, 20, 31, 0, time.UTC)),
		Meta:     &map[string]string{"x-qs-meta-colour": "Blue"},
		Items:    []*item{{Key: ptr("a")}, {Size: ptr(int64(5)), At: &at}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	m.ContentLength = ptr(int64(4))
	if err := wire.Decode(m, &got); err != nil || *got.ContentLength != 4 {
		t.Errorf("Decode with ContentLength beside the header = %d, %v; want 4", *got.ContentLength, err)
	}
	var strict everything
	var fe *wire.FieldError
	if err := wire.DecodeStrict(m, &strict); !errors.As(err, &fe) || fe.Name != "items[0].unknown" {
		t.Errorf("DecodeStrict = %v, want an error of items[0].unknown", err)
	}
}

// A whole number that travels as text, and members that the type does not name.
func TestCodesAndMaps(t *testing.T) {
	in := everything{Items: []*item{
		{Class: ptr(0), Sums: map[string]*item{"b": {Class: ptr(1)}, "a\"": {Size: ptr(int64(5))}}},
		{Class: ptr(2), List: []*item{}},
	}}
	m, err := wire.Encode(&in)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"items":[{"class":"LOW","sums":{"a\"":{"size":5},"b":{"class":"HIGH"}}},{"list":[],"class":2}],"quiet":null}`
	if string(m.JSON) != want {
		t.Errorf("Encode = %s, want %s", m.JSON, want)
	}
	var got everything
	if err := wire.DecodeStrict(m, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	if err := wire.DecodeStrict(wire.Message{JSON: []byte(`{"items":[{"class":1}]}`)}, &got); err != nil || *got.Items[0].Class != 1 {
		t.Errorf("Decode of the number itself = %v, %v; want 1", got.Items, err)
	}
}

// A policy's "user": "*" is a list of one.
func TestOneTextStandsForAList(t *testing.T) {
	var got everything
	if err := wire.DecodeStrict(wire.Message{JSON: []byte(`{"names":"a"}`)}, &got); err != nil || len(got.Names) != 1 || *got.Names[0] != "a" {
		t.Errorf("Decode = %v, %v; want a list of a", got.Names, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	body := func(s string) wire.Message { return wire.Message{JSON: []byte(s)} }
	tests := []struct {
		name   string
		m      wire.Message
		field  string
		syntax bool
		text   string
	}{
		{"a limit that is no number", wire.Message{Query: url.Values{"limit": {"ten"}}}, "limit", false, `query parameter "limit" must be a whole number`},
		{"a limit with a fraction", wire.Message{Query: url.Values{"limit": {"1.0"}}}, "limit", false, `query parameter "limit" must be a whole number`},
		{"a limit too large for any number", wire.Message{Query: url.Values{"limit": {"99999999999999999999"}}}, "limit", false, `query parameter "limit" is out of range`},
		{"a truth that is none", wire.Message{Query: url.Values{"quick": {"1"}}}, "quick", false, `query parameter "quick" must be true or false`},
		{"a time that is none", wire.Message{Header: http.Header{"Last-Modified": {"2016-08-22T15:03:32Z"}}}, "Last-Modified", false,
			`header "Last-Modified" must be a time such as "Wed, 10 Dec 2014 17:20:31 GMT"`},
		{"not JSON", body(`{"items":`), "", true, "body is not one JSON value"},
		{"two values", body(`{} {}`), "", true, "body is not one JSON value"},
		{"a trailing comma", body(`{"quiet":true,}`), "", true, "body is not one JSON value"},
		{"a list for a body", body(`[]`), "", true, "body must be a JSON object, found a list"},
		{"not UTF-8", body("{\"items\":\"\xff\"}"), "", true, "body is not UTF-8"},
		{"a member twice", body(`{"quiet":true,"quiet":true}`), "quiet", true, `body member "quiet" is given twice`},
		{"an inner member twice", body(`{"items":[{"key":"a","\u006bey":"b"}]}`), "items[0].key", true, `body member "items[0].key" is given twice`},
		{"too deep", body(`{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`), "", true, "body nests deeper than 32 levels"},
		{"endlessly deep", body(strings.Repeat(`{"x":`, 1<<20)), "", true, "body nests deeper than 32 levels"},
		{"text for truth", body(`{"quiet":"true"}`), "quiet", false, `body member "quiet" must be true or false, found text`},
		{"a number for text", body(`{"owner":{"key":5}}`), "owner.key", false, `body member "owner.key" must be text, found a number`},
		{"text for a number", body(`{"owner":{"size":"5"}}`), "owner.size", false, `body member "owner.size" must be a whole number, found text`},
		{"a fraction", body(`{"owner":{"size":5.5}}`), "owner.size", false, `body member "owner.size" must be a whole number`},
		{"a number too large", body(`{"owner":{"size":9223372036854775808}}`), "owner.size", false, `body member "owner.size" is out of range`},
		{"text for a list of objects", body(`{"items":"a"}`), "items", false, `body member "items" must be a list, found text`},
		{"a number for a list of texts", body(`{"names":5}`), "names", false, `body member "names" must be a list, found a number`},
		{"a text that is no code", body(`{"owner":{"class":"low"}}`), "owner.class", false, `body member "owner.class" must be LOW or HIGH`},
		{"truth for a code", body(`{"owner":{"class":true}}`), "owner.class", false, `body member "owner.class" must be a whole number, found true or false`},
		{"a list for a map", body(`{"owner":{"sums":[]}}`), "owner.sums", false, `body member "owner.sums" must be an object, found a list`},
		{"text in a map", body(`{"owner":{"sums":{"x":"y"}}}`), "owner.sums.x", false, `body member "owner.sums.x" must be an object, found text`},
		{"an object for a list", body(`{"items":{}}`), "items", false, `body member "items" must be a list, found an object`},
		{"text for an object", body(`{"items":["a"]}`), "items[0]", false, `body member "items[0]" must be an object, found text`},
		{"null in a list", body(`{"items":[null]}`), "items[0]", false, `body member "items[0]" must not be null`},
		{"a time of another form", body(`{"owner":{"at":"Wed, 10 Dec 2014 17:20:31 GMT"}}`), "owner.at", false,
			`body member "owner.at" must be a time such as "2016-08-22T15:03:32Z"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := wire.Decode(tt.m, new(everything))
			var fe *wire.FieldError
			if !errors.As(err, &fe) {
				t.Fatalf("Decode = %v, want a FieldError", err)
			}
			if fe.Name != tt.field || err.Error() != tt.text || errors.Is(err, wire.ErrSyntax) != tt.syntax {
				t.Errorf("Decode = %q of field %q (syntax %t), want %q of %q (%t)",
					err, fe.Name, errors.Is(err, wire.ErrSyntax), tt.text, tt.field, tt.syntax)
			}
		})
	}
	if err := wire.Decode(wire.Message{}, everything{}); err == nil {
		t.Error("Decode into a value = nil, want an error")
	}
	if err := wire.Decode(body(`{"x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`}`), new(everything)); err != nil {
		t.Errorf("Decode of 32 levels = %v, want nil", err)
	}
	if err := wire.Decode(body(`null`), new(everything)); err != nil {
		t.Errorf("Decode of null = %v, want nil", err)
	}
}

// The work is bounded by the size of the body: a long name in front of a long list must not be copied for each item.
func TestDecodeLongName(t *testing.T) {
	name := strings.Repeat("n", 1<<19)
	m := wire.Message{JSON: []byte(`{"` + name + `":[` + strings.Repeat("0,", 1<<18) + `0],"` + name + `":1}`)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := wire.Decode(m, new(everything))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, wire.ErrSyntax) || len(err.Error()) > 200 {
		t.Errorf("Decode = %.300v, want a short ErrSyntax", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
		t.Errorf("Decode of %d bytes allocated %d bytes", len(m.JSON), n)
	}
}

// What is encoded is decoded to the same, with the exceptions that are documented: an empty query or header value comes back as nil.
func TestRoundTrip(t *testing.T) {
	str := rapid.StringMatching(`[ -~äöü中☃]{1,20}`)
	ascii := rapid.StringMatching(`[!-~]{1,20}`)
	seconds := rapid.Map(rapid.Int64Range(0, 1<<32), func(n int64) time.Time { return time.Unix(n, 0).UTC() })
	items := rapid.Custom(func(t *rapid.T) *item {
		return &item{
			Key:  rapid.Ptr(str, true).Draw(t, "key"),
			Size: rapid.Ptr(rapid.Int64(), true).Draw(t, "size"),
			At:   rapid.Ptr(seconds, true).Draw(t, "at"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := everything{
			Limit:         rapid.Ptr(rapid.Int(), true).Draw(t, "limit"),
			Prefix:        rapid.Ptr(str, true).Draw(t, "prefix"),
			Quick:         rapid.Ptr(rapid.Bool(), true).Draw(t, "quick"),
			ETag:          rapid.Ptr(ascii, true).Draw(t, "etag"),
			Modified:      rapid.Ptr(seconds, true).Draw(t, "modified"),
			Position:      rapid.Ptr(rapid.Int64(), true).Draw(t, "position"),
			ContentLength: rapid.Ptr(rapid.Int64Min(0), true).Draw(t, "length"),
			Quiet:         rapid.Ptr(rapid.Bool(), true).Draw(t, "quiet"),
			Owner:         rapid.OneOf(items, rapid.Just((*item)(nil))).Draw(t, "owner"),
			Items:         rapid.SliceOfN(items, 0, 4).Draw(t, "items"),
		}
		meta := rapid.MapOfN(rapid.StringMatching(`x-qs-meta-[a-z0-9_.-]{1,8}`), ascii, 0, 3).Draw(t, "meta")
		if len(meta) > 0 {
			want.Meta = &meta
		}
		m, err := wire.Encode(&want)
		if err != nil {
			t.Fatalf("Encode: %v", err)
		}
		var got everything
		if err := wire.DecodeStrict(m, &got); err != nil {
			t.Fatalf("Decode: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	})
}

// Escape gives back what it took, and leaves nothing in it that a path or header cannot hold.
func TestEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		e := wire.Escape(s)
		if got, err := url.PathUnescape(e); err != nil || got != s {
			t.Fatalf("Escape(%q) = %q, which decodes to %q, %v", s, e, got, err)
		}
		if i := strings.IndexFunc(e, func(r rune) bool {
			return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~/=%", r)
		}); i >= 0 {
			t.Fatalf("Escape(%q) = %q, which holds %q", s, e, e[i])
		}
	})
	if got, want := wire.Escape("('this is test',) 中文+=.jpg"), "%28%27this%20is%20test%27%2C%29%20%E4%B8%AD%E6%96%87%2B=.jpg"; got != want {
		t.Errorf("Escape = %q, want %q", got, want)
	}
}

func TestHasElements(t *testing.T) {
	for v, want := range map[any]bool{&everything{}: true, (*everything)(nil): true, &upload{}: false, nil: false, 7: false} {
		if got := wire.HasElements(v); got != want {
			t.Errorf("HasElements(%T) = %t, want %t", v, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("5", "Wed, 10 Dec 2014 17:20:31 GMT", []byte(`{"items":[{"key":"a","sub":{"list":[{}]}}],"quiet":true,"names":["x"]}`))
	f.Add("", "x", []byte(`{"a":{"a":1},"a":2}`))
	f.Add("", "", []byte(`{"items":[{"class":"HIGH","sums":{"x":{"class":3},"y":null}}],"names":"x"}`))
	f.Add("-0", "", []byte(`{"owner":{"at":"2016-08-22T15:03:32Z","size":1e3}}`))
	f.Fuzz(func(t *testing.T, param, header string, body []byte) {
		m := wire.Message{
			Query:  url.Values{"limit": {param}, "quick": {param}},
			Header: http.Header{"Last-Modified": {header}, "If-Modified-Since": {header}, "X-Qs-Meta-A": {header}},
			JSON:   body,
		}
		for _, decode := range []func(wire.Message, any) error{wire.Decode, wire.DecodeStrict} {
			var v everything
			err := decode(m, &v)
			var fe *wire.FieldError
			if err != nil && !errors.As(err, &fe) {
				t.Fatalf("error %v is no FieldError", err)
			}
			if err == nil && v.Items != nil {
				if _, err := wire.Encode(everything{Items: v.Items}); err != nil {
					t.Fatalf("what was decoded cannot be encoded: %v", err)
				}
			}
		}
	})
}
