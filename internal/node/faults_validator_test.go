package node_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/internal/fill"
)

const (
	monday  = "Mon, 06 May 2024 07:08:09 GMT"
	tuesday = "Tue, 07 May 2024 07:08:09 GMT"
)

// parts is a step that answers the range that was asked for, with these header lines.
func parts(body string, header ...string) step {
	return func(c *cisterntest.Conn, r cisterntest.Request) {
		var from, last int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &last); err != nil || from > last || last >= len(body) {
			c.Respond(416, "")
			return
		}
		c.Respond(206, body[from:last+1], append(slices.Clip(header), fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, last, len(body)))...)
	}
}

func base64MD5(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func base64SHA256(body string) string {
	sum := sha256.Sum256([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func base64CRC32C(body string) string {
	sum := crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// liesAbout is a test: the source sends a body with header lines whose digest is of other bytes. A client that began to read is cut, and
// one that has nothing yet is told.
func liesAbout(header ...string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, size := range []int{5, 200_000} { // all of it waits for the verdict, or only the end
			body := text(size)
			o := cisterntest.NewOrigin(t, serveAll(whole(body, header...)))
			b := newBench(t, o.URL())
			r, report := b.miss("k")
			r.notSound(body)
			b.nothing()
			b.sees(o, 1)
			if report.Outcome != fill.Mismatched {
				t.Errorf("%q: the fill's outcome is %s (%v), want %s", header, report.Outcome, report.Err, fill.Mismatched)
			}
		}
	}
}

var (
	long     = text(200_000)
	strongV1 = []string{`ETag: "v1"`, "Last-Modified: " + monday}
)

func validatorFaults() []fault {
	return []fault{
		{"VA02 weak ETag", func(t *testing.T) {
			serves(1, long, serveAll(whole(long, `ETag: W/"x"`)), nil)(t)
			cuts(1, long, []string{`ETag: W/"x"`, "Accept-Ranges: bytes"}, hangUp, nil)(t) // not asked for the rest
		}},
		{"VA05 Last-Modified changes mid-resume", cuts(2, long, strongV1, hangUp, []step{parts(long, `ETag: "v1"`, "Last-Modified: "+tuesday)})},
		{"VA06 resume answered 200 (full, changed)", cuts(2, long, strongV1, hangUp, []step{says(whole(text(len(long)+1), `ETag: "v2"`))})},
		{"VA09 resume answered 206 without Content-Range", cuts(2, long, strongV1, (*cisterntest.Conn).Reset, []step{
			says(answer("206 Partial Content", `ETag: "v1"`, "Content-Length: 100000") + long[100_000:]),
		})},
		{"VA10 resume answered multipart/byteranges", func(t *testing.T) {
			part := "--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 100000-199999/200000\r\n\r\n" + long[100_000:] + "\r\n--b--\r\n"
			multipart := "Content-Type: multipart/byteranges; boundary=b"
			cuts(2, long, strongV1, hangUp, []step{says(answer("206 Partial Content", `ETag: "v1"`, multipart, fmt.Sprintf("Content-Length: %d", len(part))) + part)})(t)
			// Even where the numbers fit: it is no part of the object but a wrapping of one.
			cuts(2, long, strongV1, hangUp, []step{parts(long, `ETag: "v1"`, multipart)})(t)
		}},
		{"VA12 resume correct", func(t *testing.T) {
			header := []string{"ETag: " + md5Tag(long), "Content-MD5: " + base64MD5(long)}
			first := func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Head(200, append(header, fmt.Sprintf("Content-Length: %d", len(long)))...)
				c.Send(long[:100_000])
			}
			o := cisterntest.NewOrigin(t, steps(first, parts(long, header[0])))
			b := newBench(t, o.URL())
			r, _ := b.miss("k")
			r.ok(200, long)
			r.has("Etag", md5Tag(long))
			b.stored("k", long).has("Etag", md5Tag(long)) // the same tag, which is the MD5 of the whole
			b.sees(o, 2)
			if got := o.Requests()[1].Header; got.Get("Range") != "bytes=100000-199999" || got.Get("If-Range") != md5Tag(long) {
				t.Errorf("the rest was asked for with Range: %q, If-Range: %q; want bytes=100000-199999 of %s", got.Get("Range"), got.Get("If-Range"), md5Tag(long))
			}
		}},
		{"VA13 Content-MD5 wrong", func(t *testing.T) {
			liesAbout("Content-MD5: " + base64MD5("something else"))(t)
			// The client of a long object has its head and some bytes by then.
			gate := cisterntest.NewGate()
			o := cisterntest.NewOrigin(t, steps(func(c *cisterntest.Conn, _ cisterntest.Request) {
				c.Head(200, "Content-MD5: "+base64MD5("something else"), fmt.Sprintf("Content-Length: %d", len(long)))
				c.Send(long[:100_000])
				if c.Wait(gate) {
					c.Send(long[100_000:])
				}
			}))
			b := newBench(t, o.URL())
			resp := b.open("GET", "k")
			gate.Release()
			b.rest(resp).cut(long)
			b.landed()
			b.nothing()
		}},
		{"VA14 Content-MD5 right", serves(1, long, serveAll(whole(long, "Content-MD5: "+base64MD5(long))), nil)},
		{"VA17 x-goog-hash / x-amz-checksum wrong", func(t *testing.T) {
			// These are checked where they are sent.
			for _, header := range []string{
				"x-goog-hash: crc32c=" + base64CRC32C("something else"),
				"x-goog-hash: md5=" + base64MD5("something else"),
				"x-amz-checksum-sha256: " + base64SHA256("something else"),
				"x-amz-checksum-crc32c: " + base64CRC32C("something else"),
			} {
				liesAbout(header)(t)
			}
			right := []string{"x-goog-hash: crc32c=" + base64CRC32C(long) + ",md5=" + base64MD5(long), "x-amz-checksum-sha256: " + base64SHA256(long)}
			serves(1, long, serveAll(whole(long, right...)), nil)(t)
		}},
	}
}

// ranged is a test: a GET with a Range of a key that is missing is answered with status and body, and the whole object is stored.
func ranged(object, value string, status int, body, contentRange string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		o := cisterntest.NewOrigin(t, serveAll(whole(object)))
		b := newBench(t, o.URL())
		r, _ := b.miss("k", "Range: "+value)
		if status == 416 {
			r.refused(416, "invalid_range")
		} else {
			r.ok(status, body)
		}
		r.has("Content-Range", contentRange)
		b.stored("k", object)
		b.sees(o, 1)
		if v, sent := o.Requests()[0].Header["Range"]; sent {
			t.Errorf("the source was asked for the range %q, want no Range", v)
		}
	}
}

func rangeFaults() []fault {
	return []fault{
		{"RG01 client Range on missing key", ranged(text(2000), "bytes=0-9", 206, text(2000)[:10], "bytes 0-9/2000")},
		{"RG02 client suffix range on missing key", ranged("0123456789", "bytes=-5", 206, "56789", "bytes 5-9/10")},
		{"RG03 client range past the end", ranged("0123456789", "bytes=100-", 416, "", "bytes */10")},
		{"RG06 unsolicited 206 covering all", failsAll(
			answer("206 Partial Content", "Content-Range: bytes 0-99/100", "Content-Length: 100")+text(100),
			answer("206 Partial Content", "Content-Range: bytes 0-9/100", "Content-Length: 10")+text(10),
		)},
	}
}

// byMethod is a script that answers HEAD and GET with texts of their own, on connections that stay.
func byMethod(head, get string) func(*cisterntest.Conn) {
	return func(c *cisterntest.Conn) {
		for {
			r, ok := c.ReadHead()
			answer := get
			if r.Method == "HEAD" {
				answer = head
			}
			if !ok || !c.Send(answer) {
				return
			}
		}
	}
}

func methods(o *cisterntest.Origin) []string {
	var list []string
	for _, r := range o.Requests() {
		list = append(list, r.Method)
	}
	return list
}

func headFaults() []fault {
	return []fault{
		{"HD01 HEAD on missing key", func(t *testing.T) {
			o := cisterntest.NewOrigin(t, byMethod(answer("200 OK", "Content-Length: 12345", `ETag: "v1"`), whole("wrong")))
			b := newBench(t, o.URL())
			r := b.send("HEAD", "k")
			r.ok(200, "")
			r.has("Content-Length", "12345")
			r.has("Etag", `"v1"`)
			b.nothing()
			if got := methods(o); !slices.Equal(got, []string{"HEAD"}) {
				t.Errorf("the source saw %v, want one HEAD", got)
			}
		}},
		{"HD03 HEAD length differs from GET", func(t *testing.T) {
			body := text(20)
			o := cisterntest.NewOrigin(t, byMethod(answer("200 OK", "Content-Length: 10"), whole(body)))
			b := newBench(t, o.URL())
			r := b.send("HEAD", "k")
			r.ok(200, "")
			r.has("Content-Length", "10")
			r, _ = b.miss("k")
			r.ok(200, body)
			b.stored("k", body) // its HEAD says 20
			if got := methods(o); !slices.Equal(got, []string{"HEAD", "GET"}) {
				t.Errorf("the source saw %v, want one HEAD and one GET", got)
			}
		}},
	}
}
