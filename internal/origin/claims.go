package origin

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// digestNames maps the names of the Digest and Repr-Digest registries to ours, with the length of the sum in bytes.
var digestNames = map[string]struct {
	name string
	size int
}{
	"md5": {"md5", 16}, "sha": {"sha-1", 20}, "sha-1": {"sha-1", 20}, "sha-256": {"sha-256", 32}, "sha-512": {"sha-512", 64},
	"crc32c": {"crc32c", 4},
}

// storeMarks are the header prefixes of object stores whose 32-hex ETag is the MD5 of the body, as long as nothing else is said.
var storeMarks = []string{"X-Amz-", "X-Oss-", "X-Cos-", "X-Qs-"}

// proxyMarks look like storeMarks but are those of a proxy, which may stand before anything.
var proxyMarks = []string{"X-Amz-Cf-", "X-Amz-Apigw-"}

// claims collects the digests that a source sent of the body. A malformed one is no claim.
func claims(h http.Header) []Claim {
	var list []Claim
	add := func(header, algorithm string, sum []byte, size int) {
		if len(sum) == size {
			list = append(list, Claim{Header: header, Algorithm: algorithm, Sum: sum})
		}
	}
	unbase64 := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err != nil {
			return nil
		}
		return b
	}

	for _, v := range h["Content-Md5"] { // of two that differ one does not hold
		add("content-md5", "md5", unbase64(v), 16)
	}

	// RFC 3230: Digest: sha-256=BASE64, md5=BASE64
	for item := range listItems(h["Digest"]) {
		name, value, _ := strings.Cut(item, "=")
		if d, ok := digestNames[strings.ToLower(strings.TrimSpace(name))]; ok {
			add("digest", d.name, unbase64(value), d.size)
		}
	}
	// RFC 9530: Repr-Digest: sha-256=:BASE64:, a structured field
	for _, field := range []string{"Repr-Digest", "Content-Digest"} {
		for item := range listItems(h[field]) {
			name, value, _ := strings.Cut(item, "=")
			value, _, _ = strings.Cut(value, ";")
			value = strings.TrimSpace(value)
			d, ok := digestNames[strings.ToLower(strings.TrimSpace(name))]
			if !ok || len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
				continue
			}
			add(strings.ToLower(field), d.name, unbase64(value[1:len(value)-1]), d.size)
		}
	}

	// A checksum of checksums ("…-3") describes parts; its text is no plain base64 and so no claim.
	add("x-amz-checksum-sha256", "sha-256", unbase64(h.Get("X-Amz-Checksum-Sha256")), 32)
	add("x-amz-checksum-sha1", "sha-1", unbase64(h.Get("X-Amz-Checksum-Sha1")), 20)
	if h.Get("X-Amz-Checksum-Type") != "COMPOSITE" {
		add("x-amz-checksum-crc32", "crc32", unbase64(h.Get("X-Amz-Checksum-Crc32")), 4)
		add("x-amz-checksum-crc32c", "crc32c", unbase64(h.Get("X-Amz-Checksum-Crc32c")), 4)
		add("x-amz-checksum-crc64nvme", "crc64nvme", unbase64(h.Get("X-Amz-Checksum-Crc64nvme")), 8)
	}

	// Google's store inflates a gzip object for those who do not accept gzip, and still sends the hash of what it stores.
	if h.Get("X-Goog-Stored-Content-Encoding") != "gzip" || h.Get("Content-Encoding") == "gzip" {
		for item := range listItems(h["X-Goog-Hash"]) {
			name, value, _ := strings.Cut(item, "=")
			if d, ok := digestNames[strings.TrimSpace(name)]; ok {
				add("x-goog-hash", d.name, unbase64(value), d.size)
			}
		}
	}
	for _, field := range []string{"X-Oss-Hash-Crc64ecma", "X-Cos-Hash-Crc64ecma"} {
		if n, err := strconv.ParseUint(h.Get(field), 10, 64); err == nil {
			add(strings.ToLower(field), "crc64ecma", binary.BigEndian.AppendUint64(nil, n), 8)
		}
	}

	if tag := strings.Trim(h.Get("Etag"), `"`); len(tag) == 32 && claimsMD5(h) {
		if sum, err := hex.DecodeString(tag); err == nil {
			add("etag", "md5", sum, 16)
		}
	}
	return list
}

// claimsMD5 reports whether the ETag beside h's other fields is an MD5 by the rules of the store that sent it.
func claimsMD5(h http.Header) bool {
	marked := false
	for name := range h {
		if slices.ContainsFunc(proxyMarks, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		for _, prefix := range storeMarks {
			// Users choose their metadata, and whoever is no store can pass it on.
			if !strings.HasPrefix(name, prefix) || strings.HasPrefix(name, prefix+"Meta-") {
				continue
			}
			marked = true
			// Encrypted by key, the ETag is no MD5 of what is sent.
			if strings.Contains(name, "Encryption") && h.Get(name) != "AES256" || strings.Contains(name, "Customer-Algorithm") {
				return false
			}
			// What was appended to, or only points elsewhere, has an ETag of another kind.
			if strings.HasSuffix(name, "-Object-Type") && !strings.EqualFold(h.Get(name), "Normal") {
				return false
			}
		}
	}
	return marked
}

// listItems yields the members of comma separated fields.
func listItems(fields []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, f := range fields {
			for item := range strings.SplitSeq(f, ",") {
				if item = strings.TrimSpace(item); item != "" && !yield(item) {
					return
				}
			}
		}
	}
}
