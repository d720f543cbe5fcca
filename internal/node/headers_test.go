package node_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
)

// Here it is shown that the first answer, which is streamed, says the same of an object as all later ones: field by field, whatever
// validators the source sends, for HEAD and for ranges, while the fill runs, after it, and after a restart. What a client began with
// the one it may go on with from the other.

// fields are header fields by name.
type fields map[string]string

// described returns all fields of an answer that speak of the object. Which do not is listed here, so that a new one is compared.
func described(h http.Header) fields {
	got := fields{}
	for name, values := range h {
		got[name] = strings.Join(values, " | ")
	}
	for _, name := range []string{
		"Date", "Server", "X-Qs-Request-Id", "Cache-Status", "Server-Timing", // of this answer
		"Content-Range", // of this range
	} {
		delete(got, name)
	}
	return got
}

// with returns f with other values for some fields; "" takes a field away.
func (f fields) with(other fields) fields {
	f = maps.Clone(f)
	for name, value := range other {
		if f[name] = value; value == "" {
			delete(f, name)
		}
	}
	return f
}

// source is what a source sends beside the body, and what is said of the object because of it.
type source struct {
	name   string
	header []string
	// arriving is said while the body arrives, kept once it is stored. A Last-Modified of "now" stands for the time of the fill.
	arriving, kept fields
}

// sources are all combinations of validators, with other header fields and without. body is what they send.
func sources(body string) []source {
	var list []source
	for _, tag := range []source{
		{"no ETag", nil, nil, fields{"Etag": md5Tag(body)}}, // the MD5 is known at the end
		{"strong ETag", []string{`ETag: "v1"`}, fields{"Etag": `"v1"`}, fields{"Etag": `"v1"`}},
		{"weak ETag", []string{`ETag: W/"v1"`}, nil, fields{"Etag": md5Tag(body)}}, // it says nothing of the bytes
		{"ETag with the MD5", []string{"ETag: " + md5Tag(body)}, fields{"Etag": md5Tag(body)}, fields{"Etag": md5Tag(body)}},
		// The one field that changes: nobody may take the tag for the MD5, and that it is not is known at the end. A client that
		// has the first one gets the whole object, when it resumes.
		{
			"ETag like an MD5", []string{"ETag: " + md5Tag("another")},
			fields{"Etag": md5Tag("another")}, fields{"Etag": strings.TrimSuffix(md5Tag("another"), `"`) + `-m"`},
		},
	} {
		for _, date := range []source{
			{"no date", nil, fields{"Last-Modified": "now"}, fields{"Last-Modified": "now"}},
			{"old date", []string{"Last-Modified: " + monday, "Date: " + tuesday}, fields{"Last-Modified": monday}, fields{"Last-Modified": monday}},
			{"date of the answer", []string{"Last-Modified: " + monday, "Date: " + monday}, fields{"Last-Modified": monday}, fields{"Last-Modified": monday}},
		} {
			for _, more := range []source{
				{"other fields", []string{
					"Content-Type: text/x-notes; charset=utf-8", "Content-Encoding: br", "Content-Language: de, fr", `Content-Disposition: attachment; filename="a b.txt"`,
					"Cache-Control: max-age=60", "Expires: " + tuesday,
					"Set-Cookie: a=b", "Vary: Cookie", "X-Other: yes", "Age: 7", "Via: 1.1 other", "Accept-Ranges: none",
				}, fields{
					"Content-Type": "text/x-notes; charset=utf-8", "Content-Encoding": "br", "Content-Language": "de, fr", "Content-Disposition": `attachment; filename="a b.txt"`,
					"Cache-Control": "max-age=60", "Expires": tuesday,
				}, nil},
				{
					"metadata of a store", []string{"Content-Type: text/plain", "x-qs-meta-a: 1", "x-amz-meta-b-c: 2 3"},
					fields{"Content-Type": "text/plain", "X-Qs-Meta-A": "1", "X-Qs-Meta-B-C": "2 3"}, nil,
				},
				{"nothing else", nil, fields{"Content-Type": "application/octet-stream"}, nil},
			} {
				if tag.name == "ETag like an MD5" && more.name == "metadata of a store" {
					continue // from a store the tag would claim to be the MD5, and nothing would be kept
				}
				always := more.arriving.with(fields{"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", "X-Qs-Storage-Class": "STANDARD"})
				list = append(list, source{
					tag.name + ", " + date.name + ", " + more.name,
					append(append(append([]string(nil), tag.header...), date.header...), more.header...),
					always.with(tag.arriving).with(date.arriving), always.with(tag.kept).with(date.kept),
				})
			}
		}
	}
	return list
}

// halves is a script on connections that stay: HEAD gets the head, GET the head and the first half of body, and the rest once gate is open.
func halves(body string, chunked bool, gate *cisterntest.Gate, header []string) func(*cisterntest.Conn) {
	length := fmt.Sprintf("Content-Length: %d", len(body))
	first, rest := body[:len(body)/2], body[len(body)/2:]
	if chunked {
		length = "Transfer-Encoding: chunked"
		first = fmt.Sprintf("%x\r\n%s\r\n", len(first), first)
		rest = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(rest), rest)
	}
	head := answer("200 OK", append(append([]string(nil), header...), length)...)
	return func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			switch {
			case !ok:
				return
			case r.Method == "HEAD":
				ok = c.Send(head)
			default:
				ok = c.Send(head+first) && c.Wait(gate) && c.Send(rest)
			}
			if !ok {
				return
			}
		}
	}
}

func TestFirstAnswerIsLikeLaterOnes(t *testing.T) {
	body := text(200_000) // the first half of it goes out even where the end waits for a verdict
	for _, src := range sources(body) {
		for _, chunked := range []bool{false, true} {
			name := src.name + ", length"
			if chunked {
				name = src.name + ", chunked"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				likeLaterOnes(t, body, src, chunked)
			})
		}
	}
}

func likeLaterOnes(t *testing.T, body string, src source, chunked bool) {
	gate := cisterntest.NewGate()
	o := cisterntest.NewOrigin(t, halves(body, chunked, gate, src.header))
	disk := []cisterntest.Option{cisterntest.OnDisk(t.TempDir())}
	b := startBench(t, o.URL(), disk)

	length := fields{"Content-Length": fmt.Sprint(len(body))}
	arriving, kept := src.arriving.with(length), src.kept.with(length)
	if chunked {
		arriving = arriving.with(fields{"Content-Length": ""}) // nobody knows it yet
	}
	// compare checks an answer of the whole object, or of its head.
	compare := func(what string, h http.Header, want fields) {
		t.Helper()
		if diff := cmp.Diff(want, described(h)); diff != "" {
			t.Errorf("%s: the header fields (-want +got):\n%s", what, diff)
		}
	}

	// Before: what the source says, with no time of a fill.
	before := arriving
	if before["Last-Modified"] == "now" {
		before = before.with(fields{"Last-Modified": ""})
	}
	compare("HEAD before", b.send("HEAD", "k").header, before)
	b.nothing()

	// During: the one that began it, one that joined, HEAD, and a range of what is there.
	since := time.Now().Truncate(time.Second)
	first := b.open("GET", "k")
	if arriving["Last-Modified"] == "now" {
		at, err := http.ParseTime(first.Header.Get("Last-Modified"))
		if err != nil || at.Before(since) || at.After(time.Now()) {
			t.Errorf("the first GET has Last-Modified: %q, want the time of the fill", first.Header.Get("Last-Modified"))
		}
		now := fields{"Last-Modified": first.Header.Get("Last-Modified")}
		arriving, kept = arriving.with(now), kept.with(now)
	}
	compare("first GET", first.Header, arriving)
	joined := b.open("GET", "k")
	compare("GET that joins", joined.Header, arriving)
	compare("HEAD during", b.send("HEAD", "k").header, arriving)
	ranged := func(b *bench, when string, want fields) {
		t.Helper()
		r := b.send("GET", "k", "Range: bytes=100-199")
		r.ok(206, body[100:200])
		r.has("Content-Range", fmt.Sprintf("bytes 100-199/%d", len(body)))
		compare("range "+when, r.header, want.with(fields{"Content-Length": "100"}))
	}
	if !chunked { // without the length a range has to wait for the end
		ranged(b, "during", arriving)
	}
	gate.Release()
	b.rest(first).ok(200, body)
	b.rest(joined).ok(200, body)
	if r := b.landed(); r.Outcome != fill.Stored {
		t.Fatalf("the fill's outcome is %s (%v), want %s", r.Outcome, r.Err, fill.Stored)
	}

	// After, and after a restart.
	later := func(b *bench, when string) {
		t.Helper()
		r := b.send("GET", "k")
		r.ok(200, body)
		r.has("Cache-Status", "cistern; hit")
		compare("GET "+when, r.header, kept)
		compare("HEAD "+when, b.send("HEAD", "k").header, kept)
		ranged(b, when, kept)
	}
	later(b, "after")
	b.s.Stop(patience)
	later(startBench(t, o.URL(), disk), "after a restart")
	b.sees(o, 2) // the first HEAD and the first GET
}

// resumer is a client that reads an object in pieces: each time it goes on where it was, if that is still the same object, or begins again.
type resumer struct {
	*bench
	got   []byte
	resp  *http.Response
	first fields // of the answer that it began with
	again int    // how often it had to begin again
}

// ask asks for what is missing, on condition that validator, an ETag or a date, still stands.
func (c *resumer) ask(validator string) {
	c.Helper()
	if c.resp != nil {
		_ = c.resp.Body.Close() // it left
	}
	if len(c.got) == 0 {
		c.resp = c.open("GET", "k")
	} else {
		c.resp = c.open("GET", "k", fmt.Sprintf("Range: bytes=%d-", len(c.got)), "If-Range: "+validator)
	}
	switch c.resp.StatusCode {
	case 200:
		if len(c.got) > 0 {
			c.again++
		}
		c.got, c.first = nil, described(c.resp.Header)
	case 206:
		if at := c.resp.Header.Get("Content-Range"); !strings.HasPrefix(at, fmt.Sprintf("bytes %d-", len(c.got))) {
			c.Errorf("the answer's Content-Range is %q, want it to begin at %d", at, len(c.got))
		}
		other := fields{"Content-Length": ""} // the answer's, not the object's
		if c.first["Etag"] == "" {
			other["Etag"] = "" // the MD5 comes with the end
		}
		if diff := cmp.Diff(c.first.with(other), described(c.resp.Header).with(other)); diff != "" {
			c.Errorf("the client goes on with an object whose header fields are others (-first +now):\n%s", diff)
		}
	default:
		c.Fatalf("the client got %d, want 200 or 206", c.resp.StatusCode)
	}
}

// read reads n bytes, -1 for all.
func (c *resumer) read(n int) {
	c.Helper()
	p, err := []byte(nil), error(nil)
	if n < 0 {
		p, err = io.ReadAll(c.resp.Body)
	} else {
		p = make([]byte, n)
		_, err = io.ReadFull(c.resp.Body, p)
	}
	if err != nil {
		c.Fatalf("the client has %d bytes, then %v", len(c.got)+len(p), err)
	}
	c.got = append(c.got, p...)
}

// A client that resumes with Range and If-Range, by the ETag or the date that its first answer had, gets one object whole: during the fill,
// across the end of it, after it, and after a restart.
func TestResumeAcrossTheEndOfAFill(t *testing.T) {
	body := text(200_000)
	for _, tt := range []struct {
		name   string
		header []string
		field  string // that the client resumes by
		again  bool   // once the object is stored, it has to begin again
	}{
		{"ETag", []string{`ETag: "v1"`}, "Etag", false},
		{"ETag beside a date", []string{`ETag: "v1"`, "Last-Modified: " + monday}, "Etag", false},
		{"date beside an ETag", []string{`ETag: "v1"`, "Last-Modified: " + monday}, "Last-Modified", false},
		{"date", []string{"Last-Modified: " + monday}, "Last-Modified", false},
		{"date beside a weak ETag", []string{`ETag: W/"v1"`, "Last-Modified: " + monday}, "Last-Modified", false},
		{"date of the fill", nil, "Last-Modified", false},
		{"MD5", []string{"ETag: " + md5Tag(body)}, "Etag", false},
		{"ETag like an MD5", []string{"ETag: " + md5Tag("another")}, "Etag", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gate := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, halves(body, false, gate, tt.header))
			disk := []cisterntest.Option{cisterntest.OnDisk(t.TempDir())}
			b := startBench(t, o.URL(), disk)
			across := &resumer{bench: b}
			across.ask("")
			validator := across.resp.Header.Get(tt.field)
			across.read(30_000)

			after, later := *across, *across // they have left as well, and come back later
			after.got, later.got = append([]byte(nil), across.got...), append([]byte(nil), across.got...)
			after.resp, later.resp = nil, nil

			across.ask(validator) // and leaves again
			across.read(30_000)
			across.ask(validator)
			across.read(20_000)
			gate.Release() // it is in the middle of an answer while the fill ends
			across.read(-1)
			if string(across.got) != body || across.again > 0 {
				t.Errorf("across the end of the fill the client got %d bytes and began %d times again, want all bytes and never", len(across.got), across.again)
			}
			if r := b.landed(); r.Outcome != fill.Stored {
				t.Fatalf("the fill's outcome is %s (%v), want %s", r.Outcome, r.Err, fill.Stored)
			}

			want := 0
			if tt.again {
				want = 1
			}
			after.ask(validator)
			after.read(-1)
			if string(after.got) != body || after.again != want {
				t.Errorf("after the fill the client got %d bytes and began %d times again, want all bytes and %d", len(after.got), after.again, want)
			}
			b.s.Stop(patience)
			later.bench = startBench(t, o.URL(), disk)
			later.ask(validator)
			later.read(-1)
			if string(later.got) != body || later.again != want {
				t.Errorf("after a restart the client got %d bytes and began %d times again, want all bytes and %d", len(later.got), later.again, want)
			}
			b.sees(o, 1)
		})
	}
}

// A client that has a part of an older object never gets the rest of a newer one behind it, whether that is stored or still arrives.
func TestResumeOfAnotherVersion(t *testing.T) {
	older, newer := text(200_000), strings.ToUpper(strings.Repeat("the newer one ", 15_000))
	for _, tt := range []struct {
		name           string
		before, behind []string // what the source says of the older and of the newer one
		field          string
	}{
		{"ETag", []string{`ETag: "v1"`}, []string{`ETag: "v2"`}, "Etag"},
		{"date", []string{"Last-Modified: " + monday}, []string{"Last-Modified: " + tuesday}, "Last-Modified"},
		{"ETag, the same date", append([]string{"Last-Modified: " + monday}, `ETag: "v1"`), append([]string{"Last-Modified: " + monday}, `ETag: "v2"`), "Etag"},
		{"ETag that went away", []string{`ETag: "v1"`}, nil, "Etag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, stored := range []bool{false, true} {
				gate, half := cisterntest.NewGate(), cisterntest.NewGate()
				first, second := halves(older, false, half, tt.before), halves(newer, false, gate, tt.behind)
				o := cisterntest.NewOrigin(t, func(c *cisterntest.Conn) {
					if c.N == 1 {
						first(c)
					} else {
						second(c)
					}
				})
				b := memoryBench(t, o.URL())
				c := &resumer{bench: b}
				c.ask("")
				validator := c.resp.Header.Get(tt.field)
				c.read(30_000)
				// The operator throws the older one away, and the next reader brings the newer one.
				if _, err := b.s.Bucket("demo").DeleteObject("k"); err != nil {
					t.Fatal(err)
				}
				_ = c.resp.Body.Close()
				c.resp = nil
				b.landed()
				if stored {
					gate.Release()
					r, _ := b.miss("k")
					r.ok(200, newer)
				}
				c.ask(validator)
				gate.Release()
				c.read(-1)
				if string(c.got) != newer || c.again != 1 {
					t.Errorf("stored %t: the client got %s and began %d times again, want the newer object whole", stored, shorten(c.got), c.again)
				}
				if !stored {
					b.landed()
				}
				b.stored("k", newer)
			}
		})
	}
}
