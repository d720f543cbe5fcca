package origin

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/internal/object"
)

// header makes fields of "Name: value" lines, as net/http would have read them.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

func TestKeep(t *testing.T) {
	long := strings.Repeat("x", 1025)
	at := time.Date(2024, time.May, 6, 7, 8, 9, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		lines []string
		want  object.Meta
	}{
		{"nothing", nil, object.Meta{}},
		{
			"what is kept",
			[]string{
				"Content-Type: text/plain", "Content-Encoding: gzip", "Content-Language: de, en", "Content-Disposition: attachment", "Cache-Control: max-age=60",
				"Expires: Mon, 06 May 2024 07:08:09 GMT", "Last-Modified: Mon, 06 May 2024 07:08:09 GMT", `ETag: "v1"`,
			},
			object.Meta{
				ContentType: "text/plain", ContentEncoding: "gzip", ContentLanguage: "de, en", ContentDisposition: "attachment", CacheControl: "max-age=60",
				Expires: "Mon, 06 May 2024 07:08:09 GMT", LastModified: at, ETag: `"v1"`,
			},
		},
		{
			"what is not",
			[]string{
				"Set-Cookie: a=b", "Set-Cookie2: a=b", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 1", "Proxy-Authenticate: Basic", "Transfer-Encoding: chunked", "Trailer: X", "Upgrade: h3",
				"Server: x", "X-Powered-By: x", "Strict-Transport-Security: max-age=1", "Location: /x", "Vary: *", "Age: 5", "Content-Length: 7", "Access-Control-Allow-Origin: *", "X-Qs-Storage-Class: STANDARD_IA",
			},
			object.Meta{},
		},
		{"lists in several fields", []string{"Cache-Control: private", "Cache-Control: no-store", "Content-Encoding: gzip", "Content-Encoding: br"}, object.Meta{CacheControl: "private, no-store", ContentEncoding: "gzip, br"}},
		{"too long", []string{"Content-Type: text/" + long[:251], "Cache-Control: " + long, "Content-Disposition: " + long, "Expires: " + long, "Content-Language: " + long, "Content-Encoding: " + long}, object.Meta{}},
		{"too long together", []string{"Content-Encoding: " + long[:600], "Content-Encoding: " + long[:600]}, object.Meta{}},
		{"just right", []string{"Content-Type: " + long[:255], "Cache-Control: " + long[:1024]}, object.Meta{ContentType: long[:255], CacheControl: long[:1024]}},
		{"could not be sent on", []string{"Content-Type: a\x01b", "Content-Disposition: a\x7fb", "Content-Encoding: gzip", "Content-Encoding: \x00"}, object.Meta{}},
		{"bytes beyond ASCII", []string{"Content-Disposition: attachment; filename=é"}, object.Meta{ContentDisposition: "attachment; filename=é"}},
		{"weak tag", []string{`ETag: W/"v1"`}, object.Meta{}},
		{"old forms of dates", []string{"Last-Modified: Monday, 06-May-24 07:08:09 GMT"}, object.Meta{LastModified: at}},
		{"no date", []string{"Last-Modified: yesterday"}, object.Meta{}},
		{
			"user metadata of all stores",
			[]string{"X-Qs-Meta-A: 1", "X-Amz-Meta-B: 2", "X-Oss-Meta-C: 3", "X-Cos-Meta-Long-Name: 4", "X-Meta-E: 5", "X-Goog-Meta-F: 6", "X-Amz-Metadata-Directive: COPY", "X-Qs-Meta-: 7"},
			object.Meta{User: map[string]string{"a": "1", "b": "2", "c": "3", "long-name": "4"}},
		},
		{"user metadata that could not be sent on", []string{"X-Qs-Meta-A: \xc3\xa9", "X-Qs-Meta-B: a\tb", "X-Qs-Meta-C: ok"}, object.Meta{User: map[string]string{"c": "ok"}}},
		{"user metadata, full", []string{"X-Qs-Meta-A: " + strings.Repeat("x", 2046), "X-Qs-Meta-B: ", "X-Qs-Meta-Cc: "}, object.Meta{User: map[string]string{"a": strings.Repeat("x", 2046), "b": ""}}},
		{"user metadata, too much", []string{"X-Qs-Meta-A: " + strings.Repeat("x", 2048), "X-Qs-Meta-B: fits"}, object.Meta{User: map[string]string{"b": "fits"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Size = -1
			if d := cmp.Diff(tt.want, keep(header(tt.lines...))); d != "" {
				t.Errorf("kept something else (-want +got):\n%s", d)
			}
		})
	}
}

func TestValidator(t *testing.T) {
	const modified = "Last-Modified: Mon, 06 May 2024 07:08:09 GMT"
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"none", nil, ""},
		{"strong tag", []string{`ETag: "v1"`, modified}, `"v1"`},
		{"empty tag", []string{`ETag: ""`}, `""`},
		{"weak tag, whatever the date", []string{`ETag: W/"v1"`, modified, "Date: Tue, 07 May 2024 07:08:09 GMT"}, ""},
		{"tag without quotes", []string{`ETag: v1`}, ""},
		{"tag with one quote", []string{`ETag: "v1`}, ""},
		{"quote alone", []string{`ETag: "`}, ""},
		{"quote within", []string{`ETag: "a"b"`}, ""},
		{"blank within", []string{`ETag: "a b"`}, ""},
		{"two tags in one", []string{`ETag: "a", "b"`}, ""},
		{"weak in small letters", []string{`ETag: w/"v1"`}, ""},
		{"bytes beyond ASCII", []string{"ETag: \"\xff\""}, "\"\xff\""},
		{"too long", []string{`ETag: "` + strings.Repeat("x", 1024) + `"`}, ""},
		{"date long ago", []string{modified, "Date: Tue, 07 May 2024 07:08:09 GMT"}, modified[15:]},
		{"date a second ago", []string{modified, "Date: Mon, 06 May 2024 07:08:10 GMT"}, modified[15:]},
		{"date now", []string{modified, "Date: Mon, 06 May 2024 07:08:09 GMT"}, ""},
		{"date to come", []string{modified, "Date: Mon, 06 May 2024 07:08:08 GMT"}, ""},
		{"no clock", []string{modified}, ""},
		{"broken clock", []string{modified, "Date: now"}, ""},
		{"date in an old form", []string{"Last-Modified: Monday, 06-May-24 07:08:09 GMT", "Date: Tue, 07 May 2024 07:08:09 GMT"}, ""},
	} {
		if got := validator(header(tt.lines...)); got != tt.want {
			t.Errorf("%s: validator = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// What is sent back as If-Range is a field value that the source sent itself, and never a weak tag.
func FuzzValidator(f *testing.F) {
	for _, s := range []string{`"v1"`, `W/"v1"`, `""`, `"`, `"a"b"`, "\"\r\n\"", `"a b"`, "x"} {
		f.Add(s, "Mon, 06 May 2024 07:08:09 GMT", "Mon, 06 May 2024 07:08:10 GMT")
	}
	f.Add("", "Mon, 06 May 2024 07:08:09 GMT", "Mon, 06 May 2024 07:08:09 GMT")
	f.Fuzz(func(t *testing.T, tag, modified, date string) {
		h := http.Header{"Etag": {tag}, "Last-Modified": {modified}, "Date": {date}}
		v := validator(h)
		switch {
		case v == "":
		case tag != "":
			if v != tag || v[0] != '"' || v[len(v)-1] != '"' || strings.Count(v, `"`) != 2 || strings.ContainsAny(v, " \t\r\n\x00\x7f") {
				t.Fatalf("validator of the tag %q = %q", tag, v)
			}
		default:
			at, err := http.ParseTime(v)
			sent, bad := http.ParseTime(date)
			if v != modified || err != nil || bad != nil || !at.Before(sent) || strings.ContainsAny(v, "\r\n") {
				t.Fatalf("validator of the date %q at %q = %q", modified, date, v)
			}
		}
		if m := keep(h); m.ETag != "" && m.ETag != v {
			t.Fatalf("keep(%q) has the tag %q, but the validator is %q", tag, m.ETag, v)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, time.May, 6, 7, 8, 9, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"1":                              time.Second,
		"120":                            2 * time.Minute,
		"3600":                           time.Hour,
		"3601":                           time.Hour,
		"315360000":                      time.Hour, // ten years
		"9223372036854775807":            time.Hour,
		"9223372036854775808":            0, // no number that anybody means
		"-1":                             0,
		"+1":                             0,
		"1.5":                            0,
		"soon":                           0,
		"0x10":                           0,
		"Mon, 06 May 2024 07:08:39 GMT":  30 * time.Second,
		"Monday, 06-May-24 07:08:39 GMT": 30 * time.Second,
		"Mon, 06 May 2024 07:08:09 GMT":  0,
		"Mon, 06 May 2024 07:00:00 GMT":  0, // past
		"Sat, 06 May 2034 07:08:09 GMT":  time.Hour,
		"Mon, 06 May 2024":               0,
	} {
		if got := retryAfter(header("Retry-After: "+value), now); got != want {
			t.Errorf("Retry-After %q waits %v, want %v", value, got, want)
		}
	}
	if got := retryAfter(header(), now); got != 0 {
		t.Errorf("without Retry-After the wait is %v", got)
	}
}

func TestContentRange(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  object.Range
		size  int64
	}{
		{"bytes 0-0/1", object.Range{Offset: 0, Length: 1}, 1},
		{"bytes 2-4/9", object.Range{Offset: 2, Length: 3}, 9},
		{"BYTES 2-4/9", object.Range{Offset: 2, Length: 3}, 9},
		{"bytes 0-9223372036854775806/9223372036854775807", object.Range{Offset: 0, Length: 1<<63 - 1}, 1<<63 - 1},
	} {
		if r, size, err := parseContentRange(tt.value); r != tt.want || size != tt.size || err != nil {
			t.Errorf("%q = %v of %d, %v", tt.value, r, size, err)
		}
	}
	for _, bad := range []string{
		"", "bytes", "bytes ", "bytes */9", "bytes 2-4/*", "bytes 2-4", "bytes 4-2/9", "bytes 2-9/9", "bytes -4/9", "bytes 2-/9", "bytes 2-4/", "items 2-4/9", "bytes=2-4/9", "bytes  2-4/9",
		"bytes +2-4/9", "bytes 2-4/9 ", "bytes 2--4/9", "bytes 2-4/-9", "bytes 0x2-4/9", "bytes 0-9223372036854775807/9223372036854775808", "bytes 2-4/9, 5-6/9", "bytes 2-4/9/9",
	} {
		if r, size, err := parseContentRange(bad); err == nil {
			t.Errorf("%q = %v of %d, want an error", bad, r, size)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 2-4/9", "bytes */9", "bytes 2-4/*", "bytes 4-2/9", "bytes 0-9223372036854775806/9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, size, err := parseContentRange(value)
		if err != nil {
			return
		}
		if r.Offset < 0 || r.Length <= 0 || r.End() > size || r.End() <= r.Offset {
			t.Fatalf("%q = %v of %d", value, r, size)
		}
		same := "bytes " + strconv.FormatInt(r.Offset, 10) + "-" + strconv.FormatInt(r.End()-1, 10) + "/" + strconv.FormatInt(size, 10)
		if r2, size2, err := parseContentRange(same); r2 != r || size2 != size || err != nil {
			t.Fatalf("%q = %v of %d, but %q = %v of %d, %v", value, r, size, same, r2, size2, err)
		}
	})
}

// sums of "abc"
const (
	md5Hex    = "900150983cd24fb0d6963f7d28e17f72"
	sha1Hex   = "a9993e364706816aba3e25717850c26c9cd0d89d"
	sha256Hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	sha512Hex = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
	crc32cHex = "364b3fb7"
)

func b64(t testing.TB, sum string) string {
	t.Helper()
	b, err := hex.DecodeString(sum)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestClaims(t *testing.T) {
	md5, sha1, sha256, sha512, crc32c := b64(t, md5Hex), b64(t, sha1Hex), b64(t, sha256Hex), b64(t, sha512Hex), b64(t, crc32cHex)
	const crc64, crc64Hex = "18364758544493064720", "fedcba9876543210"
	tag := `ETag: "` + md5Hex + `"`
	for _, tt := range []struct {
		name  string
		lines []string
		want  []string // header algorithm sum
	}{
		{"none", nil, nil},
		{"Content-MD5", []string{"Content-MD5: " + md5}, []string{"content-md5 md5 " + md5Hex}},
		{"Content-MD5 in hex", []string{"Content-MD5: " + md5Hex}, nil},
		{"Content-MD5 cut", []string{"Content-MD5: " + md5[:20]}, nil},
		{"Content-MD5 of another length", []string{"Content-MD5: " + sha1}, nil},
		{"Digest", []string{"Digest: SHA-256=" + sha256 + ", md5=" + md5, "Digest: sha=" + sha1}, []string{"digest sha-256 " + sha256Hex, "digest md5 " + md5Hex, "digest sha-1 " + sha1Hex}},
		{"Digest, names that nobody knows", []string{"Digest: unixsum=30637, id-sha-256=" + sha256 + ", sha-512=" + sha512}, []string{"digest sha-512 " + sha512Hex}},
		{"Digest, another's sum", []string{"Digest: sha-256=" + md5}, nil},
		{"Digest as a structured field", []string{"Digest: sha-256=:" + sha256 + ":"}, nil},
		{"Repr-Digest", []string{"Repr-Digest: sha-256=:" + sha256 + ":, sha-512=:" + sha512 + ":;x=1"}, []string{"repr-digest sha-256 " + sha256Hex, "repr-digest sha-512 " + sha512Hex}},
		{"Content-Digest", []string{"Content-Digest: sha-256=:" + sha256 + ":"}, []string{"content-digest sha-256 " + sha256Hex}},
		{"Repr-Digest without its colons", []string{"Repr-Digest: sha-256=" + sha256}, nil},
		{"Repr-Digest of a colon", []string{"Repr-Digest: sha-256=:"}, nil},
		{"Repr-Digest, empty", []string{"Repr-Digest: sha-256=::"}, nil},
		{"Want-Repr-Digest is no claim", []string{"Want-Repr-Digest: sha-256=10"}, nil},
		{
			"S3 checksums",
			[]string{"x-amz-checksum-sha256: " + sha256, "x-amz-checksum-sha1: " + sha1, "x-amz-checksum-crc32c: " + crc32c, "x-amz-checksum-crc32: " + crc32c, "x-amz-checksum-crc64nvme: " + "AAAAAAAAAAE="},
			[]string{
				"x-amz-checksum-sha256 sha-256 " + sha256Hex, "x-amz-checksum-sha1 sha-1 " + sha1Hex, "x-amz-checksum-crc32 crc32 " + crc32cHex, "x-amz-checksum-crc32c crc32c " + crc32cHex,
				"x-amz-checksum-crc64nvme crc64nvme 0000000000000001",
			},
		},
		{"S3 checksums of the whole", []string{"x-amz-checksum-crc32c: " + crc32c, "x-amz-checksum-type: FULL_OBJECT"}, []string{"x-amz-checksum-crc32c crc32c " + crc32cHex}},
		{"S3 checksums of parts", []string{"x-amz-checksum-crc32c: " + crc32c, "x-amz-checksum-type: COMPOSITE", "x-amz-checksum-sha256: " + sha256 + "-3"}, nil},
		{"Google", []string{"x-goog-hash: crc32c=" + crc32c + ",md5=" + md5, "x-goog-stored-content-encoding: identity"}, []string{"x-goog-hash crc32c " + crc32cHex, "x-goog-hash md5 " + md5Hex}},
		{"Google, two fields", []string{"x-goog-hash: crc32c=" + crc32c, "x-goog-hash: md5=" + md5}, []string{"x-goog-hash crc32c " + crc32cHex, "x-goog-hash md5 " + md5Hex}},
		{"Google inflated what it stores", []string{"x-goog-hash: md5=" + md5, "x-goog-stored-content-encoding: gzip"}, nil},
		{"Google sends what it stores", []string{"x-goog-hash: md5=" + md5, "x-goog-stored-content-encoding: gzip", "content-encoding: gzip"}, []string{"x-goog-hash md5 " + md5Hex}},
		{"OSS and COS", []string{"x-oss-hash-crc64ecma: " + crc64, "x-cos-hash-crc64ecma: 1"}, []string{"x-oss-hash-crc64ecma crc64ecma " + crc64Hex, "x-cos-hash-crc64ecma crc64ecma 0000000000000001"}},
		{"OSS, no number", []string{"x-oss-hash-crc64ecma: -1"}, nil},
		{"OSS, too large", []string{"x-oss-hash-crc64ecma: 18446744073709551616"}, nil},

		{"tag of a web server", []string{tag, "Server: nginx"}, nil},
		{"tag of S3", []string{tag, "x-amz-request-id: 1"}, []string{"etag md5 " + md5Hex}},
		{"tag of OSS", []string{strings.ToUpper(tag), "x-oss-request-id: 1", "x-oss-object-type: Normal"}, []string{"etag md5 " + md5Hex}},
		{"tag of COS", []string{tag, "x-cos-request-id: 1"}, []string{"etag md5 " + md5Hex}},
		{"tag of QingStor", []string{tag, "x-qs-request-id: 1"}, []string{"etag md5 " + md5Hex}},
		{"tag of parts", []string{`ETag: "` + md5Hex + `-3"`, "x-amz-request-id: 1"}, nil},
		{"weak tag", []string{`ETag: W/"` + md5Hex + `"`, "x-amz-request-id: 1"}, nil},
		{"tag that is no hex", []string{`ETag: "` + strings.Repeat("z", 32) + `"`, "x-amz-request-id: 1"}, nil},
		{"tag of 31 digits", []string{`ETag: "` + md5Hex[1:] + `"`, "x-amz-request-id: 1"}, nil},
		{"S3 with its own key", []string{tag, "x-amz-request-id: 1", "x-amz-server-side-encryption: AES256"}, []string{"etag md5 " + md5Hex}},
		{"S3 with a key of KMS", []string{tag, "x-amz-request-id: 1", "x-amz-server-side-encryption: aws:kms", "x-amz-server-side-encryption-aws-kms-key-id: arn"}, nil},
		{"S3 with two layers", []string{tag, "x-amz-request-id: 1", "x-amz-server-side-encryption: aws:kms:dsse"}, nil},
		{"S3 with the customer's key", []string{tag, "x-amz-request-id: 1", "x-amz-server-side-encryption-customer-algorithm: AES256"}, nil},
		{"OSS with KMS", []string{tag, "x-oss-server-side-encryption: KMS"}, nil},
		{"QingStor with the customer's key", []string{tag, "x-qs-encryption-customer-algorithm: AES256"}, nil},
		{"OSS, appended to", []string{tag, "x-oss-request-id: 1", "x-oss-object-type: Appendable"}, nil},
		{"COS, appended to", []string{tag, "x-cos-request-id: 1", "x-cos-object-type: appendable"}, nil},
		{"a web server behind CloudFront", []string{tag, "x-amz-cf-id: 1", "x-amz-cf-pop: FRA1"}, nil},
		{"S3 behind CloudFront", []string{tag, "x-amz-cf-id: 1", "x-amz-version-id: 1"}, []string{"etag md5 " + md5Hex}},
		{"an API gateway", []string{tag, "x-amz-apigw-id: 1", "x-amzn-requestid: 1"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range claims(header(tt.lines...)) {
				got = append(got, c.Header+" "+c.Algorithm+" "+hex.EncodeToString(c.Sum))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("other claims (-want +got):\n%s", d)
			}
		})
	}
}

// Whatever a source sends, a claim has a known algorithm and a sum of its length, and was really said.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{b64(f, md5Hex), "sha-256=" + b64(f, sha256Hex), "sha-256=:" + b64(f, sha256Hex) + ":", "md5=,sha==", "=", ",", "sha-256=:", "12", `"` + md5Hex + `"`} {
		f.Add(s)
	}
	names := []string{
		"Content-Md5", "Digest", "Repr-Digest", "Content-Digest", "X-Amz-Checksum-Sha256", "X-Amz-Checksum-Sha1", "X-Amz-Checksum-Crc32", "X-Amz-Checksum-Crc32c", "X-Amz-Checksum-Crc64nvme",
		"X-Goog-Hash", "X-Oss-Hash-Crc64ecma", "X-Cos-Hash-Crc64ecma", "Etag",
	}
	sizes := map[string]int{"md5": 16, "sha-1": 20, "sha-256": 32, "sha-512": 64, "crc32": 4, "crc32c": 4, "crc64nvme": 8, "crc64ecma": 8}
	f.Fuzz(func(t *testing.T, value string) {
		h := http.Header{"X-Amz-Request-Id": {"1"}}
		for _, name := range names {
			h[name] = []string{value}
		}
		for _, c := range claims(h) {
			if sizes[c.Algorithm] != len(c.Sum) || h[http.CanonicalHeaderKey(c.Header)] == nil {
				t.Fatalf("claims(%q) has %+v", value, c)
			}
			said := strings.Contains(value, base64.StdEncoding.EncodeToString(c.Sum)) || strings.Contains(strings.ToLower(value), hex.EncodeToString(c.Sum))
			if c.Algorithm != "crc64ecma" && !said && strings.TrimSpace(value) == value && !strings.ContainsAny(value, "\r\n") {
				// The last character of base64 has bits to spare, so another may stand for the same sum.
				if again, err := base64.StdEncoding.DecodeString(trimToBase64(value)); err != nil || len(again) == 0 {
					t.Fatalf("claims(%q) has %+v, which nobody said", value, c)
				}
			}
		}
	})
}

// trimToBase64 cuts the name and the marks off the first item of a digest field.
func trimToBase64(v string) string {
	v, _, _ = strings.Cut(v, ",")
	if name, rest, ok := strings.Cut(v, "="); ok && len(name) < 12 && rest != "" && rest != "=" {
		v = rest
	}
	v, _, _ = strings.Cut(v, ";")
	return strings.Trim(strings.TrimSpace(v), ":")
}
