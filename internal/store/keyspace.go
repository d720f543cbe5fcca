package store

import "encoding/binary"

// The first byte of a record's key says what the record is. What belongs to a bucket has the bucket's ID next, 8 bytes big endian, so that
// it lies together, and the objects of a bucket have the bytes of their keys after that, so that they lie in listing order.
const (
	spaceBucket  = 'B' // name                → the bucket
	spaceIntent  = 'I' // bucket ID, key      → a running fill
	spaceState   = 'J' // bucket ID or 0, name → how far a job of the server came
	spaceJournal = 'L' // bucket ID, file     → lines that are to become an object, or how many bytes of them there are
	spaceNext    = 'N' //                     → the last bucket ID that was given out
	spaceObject  = 'O' // bucket ID, key      → the object
	spaceOutbox  = 'Q' // bucket ID, queue    → an event that somebody is still to be told, or a counter
	spacePartial = 'P' // bucket ID, key      → how far a fill came
	spaceSetting = 'S' // bucket ID, name     → a setting
	spaceUsage   = 'U' // bucket ID, one byte → a counter
)

// The counters of a bucket.
const (
	usageObjects = 'o'
	usageBytes   = 'b'
)

func bucketKey(name string) []byte { return append([]byte{spaceBucket}, name...) }

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
func usageKey(bucket uint64, counter byte) []byte {
	return within(spaceUsage, bucket, string([]byte{counter}))
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
