package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/cisternhq/cistern/internal/object"
)

func times() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		at := time.Unix(rapid.Int64Range(-1<<36, 1<<36).Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "nsec")).UTC()
		return at
	})
}

func metas() *rapid.Generator[object.Meta] {
	return rapid.Custom(func(t *rapid.T) object.Meta {
		s := func(name string) string { return rapid.String().Draw(t, name) }
		m := object.Meta{
			Size: rapid.Int64Min(1).Draw(t, "size"), ETag: s("etag"), LastModified: times().Draw(t, "modified"), Created: times().Draw(t, "created"),
			ContentType: s("type"), ContentEncoding: s("encoding"), ContentLanguage: s("language"), ContentDisposition: s("disposition"),
			CacheControl: s("cache"), Expires: s("expires"), StorageClass: s("class"),
			Digest: object.Digest{CRC64NVME: rapid.Uint64().Draw(t, "crc"), MD5: s("md5")},
		}
		if user := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "user"); len(user) > 0 {
			m.User = user
		}
		if rapid.Bool().Draw(t, "filled") {
			p := &object.Provenance{URL: s("url"), ETag: s("source etag"), LastModified: s("source modified"), At: times().Draw(t, "at")}
			if v := rapid.SliceOf(rapid.String()).Draw(t, "verified"); len(v) > 0 {
				p.Verified = v
			}
			m.Filled = p
		}
		m.VersionID, m.Appendable, m.DeleteMarker = s("version"), rapid.Bool().Draw(t, "appendable"), rapid.Bool().Draw(t, "marker")
		if rapid.Bool().Draw(t, "encrypted") {
			m.Encryption = &object.Encryption{Algorithm: s("algorithm"), KeyMD5: s("key MD5"),
				Salt: rapid.SliceOf(rapid.Byte()).Draw(t, "salt"), Size: rapid.Int64Min(0).Draw(t, "size at rest")}
		}
		return m
	})
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, at := metas().Draw(t, "meta"), place{body: BodyID(rapid.StringN(1, 40, -1).Draw(t, "body"))}
		if rapid.Bool().Draw(t, "in pieces") {
			at = place{pieces: rapid.Uint64Min(1).Draw(t, "pieces")}
		}
		v := encodeObject(m, at)
		got, gotAt, err := decodeObject(v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" || gotAt != at {
			t.Fatalf("place %v, want %v; meta (-want +got):\n%s", gotAt, at, diff)
		}
		if plain := at.pieces == 0 && m.VersionID == "" && m.Encryption == nil && !m.Appendable && !m.DeleteMarker; plain != (v[0] == recordVersion) {
			t.Fatalf("the record has version %d; plain objects, and only they, have %d", v[0], recordVersion)
		}
		if !bytes.Equal(encodeObject(got, gotAt), v) {
			t.Fatal("the same object has two records")
		}

		b := Bucket{ID: rapid.Uint64().Draw(t, "id"), Name: rapid.String().Draw(t, "name"), Owner: rapid.String().Draw(t, "owner"),
			Zone: rapid.String().Draw(t, "zone"), Created: times().Draw(t, "made"),
			Settings: SettingSet(rapid.Uint64().Draw(t, "settings"))}
		gotBucket, err := decodeBucket(encodeBucket(b))
		if diff := cmp.Diff(b, gotBucket); err != nil || diff != "" {
			t.Fatalf("bucket: %v (-want +got):\n%s", err, diff)
		}
		revision, doc := rapid.Uint64().Draw(t, "revision"), rapid.SliceOf(rapid.Byte()).Draw(t, "doc")
		gotRevision, gotDoc, err := decodeSetting(encodeSetting(revision, doc))
		if err != nil || gotRevision != revision || !bytes.Equal(gotDoc, doc) {
			t.Fatalf("setting: %d %q, %v", gotRevision, gotDoc, err)
		}
		i := intent{rapid.Uint64().Draw(t, "token"), revision}
		if got, err := decodeIntent(encodeIntent(i)); err != nil || got != i {
			t.Fatalf("intent: %+v, %v", got, err)
		}
		p := partial{setting: revision, saved: times().Draw(t, "saved"), body: BodyID(rapid.StringN(1, 40, -1).Draw(t, "unfinished")), size: rapid.Int64Min(0).Draw(t, "length"), state: doc}
		gotPartial, err := decodePartial(encodePartial(p))
		if diff := cmp.Diff(p, gotPartial, cmp.AllowUnexported(partial{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("partial fill: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestPartRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Part{Size: rapid.Int64Min(0).Draw(t, "size"), AtRest: rapid.Int64Min(0).Draw(t, "at rest"), ETag: rapid.String().Draw(t, "etag"),
			Digest:  object.Digest{CRC64NVME: rapid.Uint64().Draw(t, "crc"), MD5: rapid.String().Draw(t, "md5")},
			Created: times().Draw(t, "created")}
		if p.Size > 0 {
			p.body = BodyID(rapid.StringN(1, 40, -1).Draw(t, "body"))
		}
		got, err := decodePart(encodePart(p))
		if diff := cmp.Diff(p, got, cmp.AllowUnexported(Part{})); err != nil || diff != "" {
			t.Fatalf("part: %v (-want +got):\n%s", err, diff)
		}
	})
	for _, p := range []Part{{Size: 1}, {body: "x"}, {Size: -1, body: "x"}, {Size: 1, body: "x", AtRest: -1}} {
		if _, err := decodePart(encodePart(p)); !errors.Is(err, object.ErrDamaged) {
			t.Errorf("part %+v: %v, want %v", p, err, object.ErrDamaged)
		}
	}
}

// The keys of uploads sort as their keys and IDs do, and can be taken apart again.
func TestUploadKeys(t *testing.T) {
	keys := rapid.StringOf(rapid.SampledFrom([]rune{0, 1, 2, 'a', '/', 'é', '\U0010ffff'}))
	ids := rapid.StringOfN(rapid.SampledFrom([]rune("0f")), uploadIDLen, uploadIDLen, -1)
	rapid.Check(t, func(t *rapid.T) {
		k1, k2, id1, id2 := keys.Draw(t, "key 1"), keys.Draw(t, "key 2"), ids.Draw(t, "id 1"), ids.Draw(t, "id 2")
		want := strings.Compare(k1, k2)
		if want == 0 {
			want = strings.Compare(id1, id2)
		}
		a := uploadKey(7, k1, id1)
		if got := bytes.Compare(a, uploadKey(7, k2, id2)); got != want {
			t.Fatalf("%q %q and %q %q compare as %d, want %d", k1, id1, k2, id2, got, want)
		}
		if key, id, ok := splitUpload(a); key != k1 || id != id1 || !ok {
			t.Fatalf("splitUpload = %q, %q, %v, want %q, %q", key, id, ok, k1, id1)
		}
		number := rapid.IntRange(0, MaxPart).Draw(t, "number")
		if got, ok := partNumber(partKey(7, id1, number)); got != number || !ok {
			t.Fatalf("partNumber = %d, %v, want %d", got, ok, number)
		}
		if _, ok := partNumber(changesKey(7, id1)); ok {
			t.Fatal("the counter is taken for a part")
		}
		end := rapid.Int64Min(0).Draw(t, "end")
		if got := pieceEnd(pieceKey(7, end)); got != end {
			t.Fatalf("pieceEnd = %d, want %d", got, end)
		}
	})
}

// Later uploads have later IDs, and none is guessed.
func TestUploadIDs(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	a, b, c := newUploadID(at), newUploadID(at), newUploadID(at.Add(time.Millisecond))
	if !validUploadID(a) || a == b || a[:12] != b[:12] || max(a, b) >= c || piecesOf(a) == 0 {
		t.Errorf("IDs %s, %s and, a millisecond later, %s", a, b, c)
	}
}

// Every single flipped bit and every cut of a record is found.
func TestRecordDamage(t *testing.T) {
	m := object.Meta{Size: 5, ETag: `"x"`, User: map[string]string{"a": "b"}, Filled: &object.Provenance{URL: "u", Verified: []string{"v"}}}
	checkDamage(t, encodeObject(m, place{body: "body"}))
	m.VersionID, m.Encryption = "v1", &object.Encryption{Algorithm: "AES256", KeyMD5: "md5", Salt: []byte("salt"), Size: 37}
	checkDamage(t, encodeObject(m, place{pieces: 7}))
}

func checkDamage(t *testing.T, v []byte) {
	t.Helper()
	for i := range v {
		for bit := range 8 {
			bad := bytes.Clone(v)
			bad[i] ^= 1 << bit
			if _, _, err := decodeObject(bad); !errors.Is(err, object.ErrDamaged) {
				t.Fatalf("bit %d of byte %d flipped: %v, want %v", bit, i, err, object.ErrDamaged)
			}
		}
		if _, _, err := decodeObject(v[:i]); !errors.Is(err, object.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v, want %v", i, err, object.ErrDamaged)
		}
	}
	if _, _, err := decodeObject(append(bytes.Clone(v), 0)); !errors.Is(err, object.ErrDamaged) {
		t.Fatalf("with a byte more: %v, want %v", err, object.ErrDamaged)
	}
}

func TestNewerRecordIsNoDamage(t *testing.T) {
	v := encodeObject(object.Meta{Size: 5}, place{body: "body"})
	v[0] = extendedVersion + 1
	v = reseal(v)
	_, _, err := decodeObject(v)
	if !errors.Is(err, object.ErrStore) || errors.Is(err, object.ErrDamaged) {
		t.Fatalf("record of a newer format: %v, want %v", err, object.ErrStore)
	}
}

// reseal gives a changed record its right checksum again.
func reseal(v []byte) []byte {
	if len(v) < 4 {
		return v
	}
	n := len(v) - 4
	return binary.BigEndian.AppendUint32(bytes.Clone(v[:n]), crc32.Checksum(v[:n], castagnoli))
}

// FuzzRecord feeds the decoders with records whose checksum is right, so that they get past it.
func FuzzRecord(f *testing.F) {
	f.Add(encodeObject(object.Meta{Size: 5, User: map[string]string{"a": "b"}, Filled: &object.Provenance{Verified: []string{"x"}}}, place{body: "body"}))
	f.Add(encodeObject(object.Meta{Size: 5, VersionID: "v", Appendable: true, Encryption: &object.Encryption{Size: 37}}, place{pieces: 7}))
	f.Add(encodeObject(object.Meta{}, place{}))
	f.Add(encodeBucket(Bucket{ID: 1, Name: "bucket", Created: time.Unix(1, 0)}))
	f.Add(encodeSetting(7, []byte("doc")))
	f.Add(encodeIntent(intent{1, 2}))
	f.Add(encodePartial(partial{setting: 1, saved: time.Unix(1, 0), body: "body", size: 5, state: []byte("state")}))
	f.Add(encodeEvent(Event{Kind: Created, Bucket: "bucket", Key: "key", At: time.Unix(1, 0), Cause: Cause{Principal: "user", Replica: true}}))
	f.Add(encodePart(Part{Size: 5, body: "body", AtRest: 21, ETag: `"x"`, Created: time.Unix(1, 0)}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, v []byte) {
		for _, v := range [][]byte{v, reseal(v)} {
			check := func(what string, err error) {
				if err != nil && !errors.Is(err, object.ErrDamaged) && !errors.Is(err, object.ErrStore) {
					t.Errorf("%s: error without a name: %v", what, err)
				}
			}
			m, at, err := decodeObject(v)
			check("object", err)
			if err == nil {
				again, there, err := decodeObject(encodeObject(m, at))
				if diff := cmp.Diff(m, again); err != nil || there != at || diff != "" {
					t.Errorf("the record of what was decoded gives another object: %v\n%s", err, diff)
				}
			}
			_, err = decodeBucket(v)
			check("bucket", err)
			_, _, err = decodeSetting(v)
			check("setting", err)
			_, err = decodeIntent(v)
			check("intent", err)
			_, err = decodeEvent(v)
			check("event", err)
			part, err := decodePart(v)
			check("part", err)
			if again, err2 := decodePart(encodePart(part)); err == nil && (err2 != nil || !cmp.Equal(part, again, cmp.AllowUnexported(Part{}))) {
				t.Errorf("the record of what was decoded gives another part: %+v, %v", again, err2)
			}
			p, err := decodePartial(v)
			check("partial fill", err)
			if again, err2 := decodePartial(encodePartial(p)); err == nil && (err2 != nil || !cmp.Equal(p, again, cmp.AllowUnexported(partial{}))) {
				t.Errorf("the record of what was decoded gives another partial fill: %+v, %v", again, err2)
			}
		}
	})
}

func BenchmarkDecodeObject(b *testing.B) {
	v := encodeObject(object.Meta{
		Size: 12345, ETag: `"d41d8cd98f00b204e9800998ecf8427e"`, LastModified: time.Unix(1, 0), Created: time.Unix(2, 0), ContentType: "application/octet-stream",
		Digest: object.Digest{CRC64NVME: 1, MD5: "d41d8cd98f00b204e9800998ecf8427e"},
	}, place{body: "0123456789abcdef0123456789abcdef"})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := decodeObject(v); err != nil {
			b.Fatal(err)
		}
	}
}

// A bucket of the version before is read. What settings it has is not known, so it may have any.
func TestBucketOfVersion1(t *testing.T) {
	b := []byte{recordVersion}
	b = binary.AppendUvarint(b, 7)
	for _, s := range []string{"one", "me", "pek3a"} {
		b = appendString(b, s)
	}
	b = seal(appendTime(b, time.Unix(1, 0).UTC()))
	got, err := decodeBucket(b)
	want := Bucket{ID: 7, Name: "one", Owner: "me", Zone: "pek3a", Created: time.Unix(1, 0).UTC(), Settings: anySetting}
	if err != nil || got != want {
		t.Errorf("decodeBucket = %+v, %v; want %+v", got, err, want)
	}
	for _, name := range []string{"acl", "policy", "anything"} {
		if !got.Settings.May(name) {
			t.Errorf("May(%q) = false for a bucket of which nothing is known", name)
		}
	}
}
