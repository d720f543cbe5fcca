package store

import (
	"encoding/binary"
	"strings"
)

// The first byte of a record's key says what the record is. What belongs to a bucket has the bucket's ID next, 8 bytes big endian, so that
// it lies together, and the objects of a bucket have the bytes of their keys after that, so that they lie in listing order.
const (
	spaceUpload  = 'A' // bucket ID, key in order, upload ID → an unfinished multipart upload
	spaceBucket  = 'B' // name                → the bucket
	spaceDomain  = 'D' // domain              → the bucket that it is of
	spaceGarbage = 'G' // one byte, IDs       → what is being removed bit by bit
	spaceIntent  = 'I' // bucket ID, key      → a running fill
	spaceState   = 'J' // bucket ID or 0, name → how far a job of the server came
	spaceJournal = 'L' // bucket ID, file     → lines that are to become an object, or how many bytes of them there are
	spacePiece   = 'M' // pieces ID, the offset behind the piece → a piece of an object
	spaceNext    = 'N' //                     → the last bucket ID that was given out
	spaceObject  = 'O' // bucket ID, key      → the object
	spaceOutbox  = 'Q' // bucket ID, queue    → an event that somebody is still to be told, or a counter
	spacePartial = 'P' // bucket ID, key      → how far a fill came
	spaceSetting = 'S' // bucket ID, name     → a setting
	spacePart    = 'T' // bucket ID, upload ID → a counter of the changes of its parts; with a part number behind it → the part
	spaceUsage   = 'U' // bucket ID, one byte → a counter; with a storage class behind it: of the objects of that class
	spaceVersion = 'V' // bucket ID, key in order, how new → a version of the object that is not the current one
	spaceDomains = 'W' // bucket ID, domain   → nothing: the bucket has the domain, if the domain says so
	spaceNull    = 'X' // bucket ID, key      → how new the null version is, if it is not the current one
)

// The counters of a bucket. Those of a class are not kept for the standard class: it is what the others leave.
const (
	usageObjects      = 'o'
	usageBytes        = 'b'
	usageClassObjects = 'c' // and the class
	usageClassBytes   = 'd' // and the class
	usageVersionBytes = 'v' // and the class, also the standard one: of the versions that are not current
	// usageClasses is there where the objects of each class are counted. Versions before this one did not.
	usageClasses = 'm'
)

func bucketKey(name string) []byte { return append([]byte{spaceBucket}, name...) }

func domainKey(name string) []byte { return append([]byte{spaceDomain}, name...) }

func within(space byte, bucket uint64, rest string) []byte {
	k := make([]byte, 0, 1+8+len(rest))
	k = append(k, space)
	k = binary.BigEndian.AppendUint64(k, bucket)
	return append(k, rest...)
}

func objectKey(bucket uint64, key string) []byte   { return within(spaceObject, bucket, key) }
func intentKey(bucket uint64, key string) []byte   { return within(spaceIntent, bucket, key) }
func partialKey(bucket uint64, key string) []byte  { return within(spacePartial, bucket, key) }
func settingKey(bucket uint64, name string) []byte { return within(spaceSetting, bucket, name) }
func domainsKey(bucket uint64, name string) []byte { return within(spaceDomains, bucket, name) }
func usageKey(bucket uint64, counter byte) []byte {
	return within(spaceUsage, bucket, string([]byte{counter}))
}
func classKey(bucket uint64, counter byte, class string) []byte {
	return append(usageKey(bucket, counter), class...)
}

// uploadKey is the key of an upload's record. Uploads lie in the order of their keys, then of their IDs.
func uploadKey(bucket uint64, key, id string) []byte {
	return append(append(within(spaceUpload, bucket, inOrder(key)), orderEnd...), id...)
}

// A key that something follows needs an end that sorts before all that could be there in its place. So 0x00 in it becomes 0x00 0xff.
const orderEnd = "\x00\x01"

func inOrder(key string) string { return strings.ReplaceAll(key, "\x00", "\x00\xff") }

// splitUpload returns the key and the ID of an upload from the key of its record.
func splitUpload(k []byte) (key, id string, ok bool) {
	_, rest := split(k)
	if len(rest) < len(orderEnd)+uploadIDLen {
		return "", "", false
	}
	rest, id = rest[:len(rest)-uploadIDLen], rest[len(rest)-uploadIDLen:]
	key, ok = strings.CutSuffix(rest, orderEnd)
	return strings.ReplaceAll(key, "\x00\xff", "\x00"), id, ok
}

// changesKey is the key of the counter of the changes of an upload's parts. The parts lie behind it, by number.
func changesKey(bucket uint64, upload string) []byte { return within(spacePart, bucket, upload) }

func partKey(bucket uint64, upload string, number int) []byte {
	return binary.BigEndian.AppendUint16(changesKey(bucket, upload), uint16(number))
}

// pieceKey is the key of the piece that ends before offset end. So the first one at or behind offset+1 is the one that holds offset.
func pieceKey(pieces uint64, end int64) []byte {
	return binary.BigEndian.AppendUint64(within(spacePiece, pieces, ""), uint64(end))
}

// split returns the bucket and the rest of a record's key that within made.
func split(k []byte) (bucket uint64, rest string) {
	if len(k) < 9 {
		return 0, "" // no bucket has this ID
	}
	return binary.BigEndian.Uint64(k[1:]), string(k[9:])
}

// span returns the bounds of all records of a bucket in space.
func span(space byte, bucket uint64) (lower, upper []byte) {
	return within(space, bucket, ""), after(within(space, bucket, ""))
}

// after returns the first key behind all keys that begin with prefix. A prefix never is all 0xff: its first byte is a space.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// pieceEnd returns the offset behind a piece from the key of its record.
func pieceEnd(k []byte) int64 {
	_, rest := split(k)
	if len(rest) != 8 {
		return 0 // no piece ends there
	}
	return int64(binary.BigEndian.Uint64([]byte(rest)))
}

// partNumber returns the number of a part from the key of its record; ok is false for the counter of changes.
func partNumber(k []byte) (number int, ok bool) {
	_, rest := split(k)
	if len(rest) != uploadIDLen+2 {
		return 0, false
	}
	return int(binary.BigEndian.Uint16([]byte(rest[uploadIDLen:]))), true
}

// versionKey is the key of a version of that order; the newest lies first. Without an order it is what the keys of all versions begin with.
func versionKey(bucket uint64, key string, order *uint64) []byte {
	k := append(within(spaceVersion, bucket, inOrder(key)), orderEnd...)
	if order == nil {
		return k
	}
	return binary.BigEndian.AppendUint64(k, ^*order)
}

// splitVersion returns the key and the order of a version from the key of its record.
func splitVersion(k []byte) (key string, order uint64, ok bool) {
	_, rest := split(k)
	if len(rest) < len(orderEnd)+8 {
		return "", 0, false
	}
	order = ^binary.BigEndian.Uint64([]byte(rest[len(rest)-8:]))
	key, ok = strings.CutSuffix(rest[:len(rest)-8], orderEnd)
	return strings.ReplaceAll(key, "\x00\xff", "\x00"), order, ok
}

func nullKey(bucket uint64, key string) []byte { return within(spaceNull, bucket, key) }
