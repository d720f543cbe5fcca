package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/cisternhq/cistern/internal/object"
)

// A record's value is
//
//	1 byte   version of its format
//	...      fields, in the order of the functions below
//	4 bytes  CRC-32C of all before, big endian
//
// Numbers are varints, strings and documents have their length before them. A page of a listing decodes a thousand of them, so the strings of
// a record share one allocation.
const recordVersion = 1

// extendedVersion is the version of an object's record that has the extensions behind the fields of version 1. An object that needs none of them has
// a record of version 1, which the versions before know.
const extendedVersion = 2

// The extensions, as the bits of a number in front of them.
const (
	hasPieces = 1 << iota
	hasVersion
	hasEncryption
	isAppendable
	isMarker
	extensions = 1<<iota - 1
)

// place is where the bytes of an object are: in one body, or in pieces that lie one behind the other. The zero value is for an object without bytes.
type place struct {
	body   BodyID
	pieces uint64 // names the pieces; 0: none
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal ends the record that b holds.
func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendTime writes an instant: 0 for the zero time, else 1, seconds since 1970, nanoseconds.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// encodeObject returns the record of an object whose bytes are at at.
func encodeObject(m object.Meta, at place) []byte {
	var has uint64
	if at.pieces != 0 {
		has |= hasPieces
	}
	if m.VersionID != "" {
		has |= hasVersion
	}
	if m.Encryption != nil {
		has |= hasEncryption
	}
	if m.Appendable {
		has |= isAppendable
	}
	if m.DeleteMarker {
		has |= isMarker
	}
	b := make([]byte, 0, 256)
	if has == 0 {
		b = append(b, recordVersion)
	} else {
		b = append(b, extendedVersion)
	}
	b = binary.AppendVarint(b, m.Size)
	b = appendString(b, string(at.body))
	b = binary.BigEndian.AppendUint64(b, m.Digest.CRC64NVME)
	b = appendString(b, m.Digest.MD5)
	b = appendTime(b, m.LastModified)
	b = appendTime(b, m.Created)
	for _, s := range [...]string{
		m.ETag, m.ContentType, m.ContentEncoding, m.ContentLanguage, m.ContentDisposition, m.CacheControl, m.Expires, m.StorageClass,
	} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(m.User)))
	for _, name := range slices.Sorted(maps.Keys(m.User)) {
		b = appendString(b, name)
		b = appendString(b, m.User[name])
	}
	if p := m.Filled; p == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = appendString(b, p.URL)
		b = appendString(b, p.ETag)
		b = appendString(b, p.LastModified)
		b = binary.AppendUvarint(b, uint64(len(p.Verified)))
		for _, v := range p.Verified {
			b = appendString(b, v)
		}
		b = appendTime(b, p.At)
	}
	if has != 0 {
		b = appendExtensions(b, has, &m, at)
	}
	return seal(b)
}

func appendExtensions(b []byte, has uint64, m *object.Meta, at place) []byte {
	b = binary.AppendUvarint(b, has)
	if has&hasPieces != 0 {
		b = binary.BigEndian.AppendUint64(b, at.pieces)
	}
	if has&hasVersion != 0 {
		b = appendString(b, m.VersionID)
	}
	if e := m.Encryption; e != nil {
		b = appendString(b, e.Algorithm)
		b = appendString(b, e.KeyMD5)
		b = appendString(b, string(e.Salt))
		b = binary.AppendVarint(b, e.Size)
	}
	return b
}

// decodeObject reads what encodeObject wrote. It fails with object.ErrDamaged, or object.ErrStore for a newer format.
func decodeObject(v []byte) (object.Meta, place, error) {
	version := byte(recordVersion)
	if len(v) > 0 && v[0] == extendedVersion {
		version = extendedVersion
	}
	r, err := unseal("object", version, v)
	if err != nil {
		return object.Meta{}, place{}, err
	}
	var m object.Meta
	var at place
	m.Size = r.varint()
	at.body = BodyID(r.string())
	m.Digest.CRC64NVME = r.uint64()
	m.Digest.MD5 = r.string()
	m.LastModified = r.time()
	m.Created = r.time()
	for _, s := range [...]*string{
		&m.ETag, &m.ContentType, &m.ContentEncoding, &m.ContentLanguage, &m.ContentDisposition, &m.CacheControl, &m.Expires, &m.StorageClass,
	} {
		*s = r.string()
	}
	if n := r.count(2); n > 0 {
		m.User = make(map[string]string, n)
		for range n {
			name := r.string()
			m.User[name] = r.string()
		}
	}
	if r.byte() != 0 {
		p := &object.Provenance{URL: r.string(), ETag: r.string(), LastModified: r.string()}
		if n := r.count(1); n > 0 {
			p.Verified = make([]string, n)
			for i := range p.Verified {
				p.Verified[i] = r.string()
			}
		}
		p.At = r.time()
		m.Filled = p
	}
	if version == extendedVersion {
		r.extensions(&m, &at)
	}
	if err := r.end(); err != nil {
		return object.Meta{}, place{}, err
	}
	some := at.body != ""
	if m.Size < 0 || some && at.pieces != 0 || (some || at.pieces != 0) != (m.Size > 0) {
		return object.Meta{}, place{}, r.damaged("its size and its body do not fit")
	}
	return m, at, nil
}

// extensions reads what appendExtensions wrote.
func (r *reader) extensions(m *object.Meta, at *place) {
	has := r.uvarint()
	if has == 0 || has&^extensions != 0 {
		r.fail()
		return
	}
	if has&hasPieces != 0 {
		if at.pieces = r.uint64(); at.pieces == 0 {
			r.fail()
		}
	}
	if has&hasVersion != 0 {
		if m.VersionID = r.string(); m.VersionID == "" {
			r.fail()
		}
	}
	if has&hasEncryption != 0 {
		m.Encryption = &object.Encryption{Algorithm: r.string(), KeyMD5: r.string(), Salt: []byte(r.string()), Size: r.varint()}
		if m.Encryption.Size < 0 {
			r.fail()
		}
	}
	m.Appendable, m.DeleteMarker = has&isAppendable != 0, has&isMarker != 0
}

// bucketVersion is the version of a bucket's record that says which settings there may be. Those of version 1 do not.
const bucketVersion = 2

func encodeBucket(k Bucket) []byte {
	b := []byte{bucketVersion}
	b = binary.AppendUvarint(b, k.ID)
	b = appendString(b, k.Name)
	b = appendString(b, k.Owner)
	b = appendString(b, k.Zone)
	b = appendTime(b, k.Created)
	b = binary.BigEndian.AppendUint64(b, uint64(k.Settings))
	return seal(b)
}

func decodeBucket(v []byte) (Bucket, error) {
	version := byte(bucketVersion)
	if len(v) > 0 && v[0] == recordVersion {
		version = recordVersion
	}
	r, err := unseal("bucket", version, v)
	if err != nil {
		return Bucket{}, err
	}
	k := Bucket{ID: r.uvarint(), Name: r.string(), Owner: r.string(), Zone: r.string(), Created: r.time(), Settings: anySetting}
	if version == bucketVersion {
		k.Settings = SettingSet(r.uint64())
	}
	if err := r.end(); err != nil {
		return Bucket{}, err
	}
	return k, nil
}

// encodeSetting returns the record of a setting. The revision makes two records different though their documents are equal.
func encodeSetting(revision uint64, doc []byte) []byte {
	b := []byte{recordVersion}
	b = binary.BigEndian.AppendUint64(b, revision)
	b = append(binary.AppendUvarint(b, uint64(len(doc))), doc...)
	return seal(b)
}

func decodeSetting(v []byte) (revision uint64, doc []byte, err error) {
	r, err := unseal("setting", recordVersion, v)
	if err != nil {
		return 0, nil, err
	}
	revision = r.uint64()
	doc = []byte(r.string())
	if err := r.end(); err != nil {
		return 0, nil, err
	}
	return revision, doc, nil
}

// intent is the record of a running fill.
type intent struct {
	token   uint64 // random: one from before a DELETE is another one
	setting uint64 // revision of the mirror setting, 0 for a bucket without one
}

func encodeIntent(i intent) []byte {
	b := []byte{recordVersion}
	b = binary.BigEndian.AppendUint64(b, i.token)
	b = binary.BigEndian.AppendUint64(b, i.setting)
	return seal(b)
}

func decodeIntent(v []byte) (intent, error) {
	r, err := unseal("fill intent", recordVersion, v)
	if err != nil {
		return intent{}, err
	}
	i := intent{token: r.uint64(), setting: r.uint64()}
	if err := r.end(); err != nil {
		return intent{}, err
	}
	return i, nil
}

// partial is the record of how far a fill came.
type partial struct {
	setting uint64    // revision of the mirror setting that it is from
	saved   time.Time // UTC
	body    BodyID    // unfinished
	size    int64     // so many bytes of the body's file count
	state   []byte    // the filler's
}

// partialVersion is the version of the format of these records. It is their own, as one that cannot be read costs nothing but a fill from the start.
const partialVersion = 1

func encodePartial(p partial) []byte {
	b := make([]byte, 0, 64+len(p.body)+len(p.state))
	b = append(b, partialVersion)
	b = binary.BigEndian.AppendUint64(b, p.setting)
	b = appendTime(b, p.saved)
	b = appendString(b, string(p.body))
	b = binary.AppendVarint(b, p.size)
	b = append(binary.AppendUvarint(b, uint64(len(p.state))), p.state...)
	return seal(b)
}

func decodePartial(v []byte) (partial, error) {
	r, err := unseal("partial fill", partialVersion, v)
	if err != nil {
		return partial{}, err
	}
	p := partial{setting: r.uint64(), saved: r.time(), body: BodyID(r.string()), size: r.varint(), state: []byte(r.string())}
	if err := r.end(); err != nil {
		return partial{}, err
	}
	if p.body == "" || p.size < 0 {
		return partial{}, r.damaged("it names no body")
	}
	return p, nil
}

// partVersion is the version of the format of the records of parts and pieces.
const partVersion = 1

// encodePart returns the record of a part of an upload; that of a piece of an object is the same. The number is in the record's key.
func encodePart(p Part) []byte {
	b := make([]byte, 0, 192)
	b = append(b, partVersion)
	b = binary.AppendVarint(b, p.Size)
	b = appendString(b, string(p.body))
	b = binary.AppendVarint(b, p.AtRest)
	b = binary.BigEndian.AppendUint64(b, p.Digest.CRC64NVME)
	b = appendString(b, p.Digest.MD5)
	b = appendString(b, p.ETag)
	b = appendTime(b, p.Created)
	return seal(b)
}

func decodePart(v []byte) (Part, error) {
	r, err := unseal("part", partVersion, v)
	if err != nil {
		return Part{}, err
	}
	p := Part{Size: r.varint(), body: BodyID(r.string()), AtRest: r.varint()}
	p.Digest = object.Digest{CRC64NVME: r.uint64(), MD5: r.string()}
	p.ETag, p.Created = r.string(), r.time()
	if err := r.end(); err != nil {
		return Part{}, err
	}
	if p.Size < 0 || p.AtRest < 0 || (p.body != "") != (p.Size > 0) {
		return Part{}, r.damaged("its size and its body do not fit")
	}
	return p, nil
}

// encodeLabel returns what is written beside a body: all that is needed to write the record again.
func encodeLabel(key, value []byte) []byte {
	b := make([]byte, 0, binary.MaxVarintLen32+len(key)+len(value))
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	return append(b, value...)
}

// reader takes fields off a record. After the first field that is not there all others are zero, and end says so.
type reader struct {
	what string
	rest string
	bad  bool
}

// unseal checks the version and the checksum of a record.
func unseal(what string, version byte, v []byte) (*reader, error) {
	r := &reader{what: what}
	if len(v) < 5 {
		return nil, r.damaged("it is too short")
	}
	n := len(v) - 4
	if crc32.Checksum(v[:n], castagnoli) != binary.BigEndian.Uint32(v[n:]) {
		return nil, r.damaged("its checksum is wrong")
	}
	if v[0] != version {
		return nil, fmt.Errorf("%w: %s record has format %d, this version reads %d; use the version that wrote it, or a newer one",
			object.ErrStore, what, v[0], version)
	}
	r.rest = string(v[1:n])
	return r, nil
}

func (r *reader) damaged(why string) error {
	return fmt.Errorf("%w: %s record: %s", object.ErrDamaged, r.what, why)
}

func (r *reader) end() error {
	if r.bad || r.rest != "" {
		return r.damaged("its fields do not fit")
	}
	return nil
}

func (r *reader) fail() {
	r.bad = true
	r.rest = ""
}

func (r *reader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte {
	s := r.take(1)
	if s == "" {
		return 0
	}
	return s[0]
}

func (r *reader) uint64() uint64 {
	s := r.take(8)
	if s == "" {
		return 0
	}
	var x uint64
	for i := range 8 {
		x = x<<8 | uint64(s[i])
	}
	return x
}

func (r *reader) uvarint() uint64 {
	var x uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		x |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break // more than 64 bits
			}
			r.rest = r.rest[i+1:]
			return x
		}
	}
	r.fail()
	return 0
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) string() string { return r.take(r.uvarint()) }

// count reads a number of things of at least size bytes each, so that a wrong one cannot make the reader allocate.
func (r *reader) count(size uint64) int {
	n := r.uvarint()
	if n > uint64(len(r.rest))/size {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) time() time.Time {
	if r.byte() == 0 {
		return time.Time{}
	}
	sec, nsec := r.varint(), r.uvarint()
	if nsec >= uint64(time.Second) {
		r.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}
