package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/cisternhq/cistern/internal/object"
)

// mirror is the name of the setting that fills depend on.
const mirror = "mirror"

// Setting returns the document of that name, as it was set, or object.ErrNoSetting.
func (s *Store) Setting(ctx context.Context, b Bucket, name string) ([]byte, error) {
	v, err := s.get(ctx, settingKey(b.ID, name))
	if err == nil && v == nil {
		err = object.ErrNoSetting
	}
	var doc []byte
	if err == nil {
		_, doc, err = decodeSetting(v)
	}
	return doc, on("look up setting "+name, b.Name, "", err)
}

// SetSetting makes doc the bucket's document of that name, which is opaque to the store. It fails with object.ErrNoSuchBucket.
// A new "mirror" ends the bucket's running fills without commit; setting the same document again changes nothing.
func (s *Store) SetSetting(ctx context.Context, b Bucket, name string, doc []byte) error {
	key := settingKey(b.ID, name)
	err := retry(ctx, func() error {
		bucket, bv, err := s.bucketRecord(ctx, b)
		if err != nil {
			return err
		}
		old, err := s.get(ctx, key)
		if err != nil {
			return err
		}
		batch := &Batch{Require: []Condition{unchanged(bucket, bv), unchanged(key, old)}}
		// A damaged setting is replaced: that is the only way to get rid of it.
		if _, now, err := decodeSetting(old); old == nil || err != nil || !bytes.Equal(now, doc) {
			batch.Set = []Record{{key, encodeSetting(random(), doc)}}
			now, err := decodeBucket(bv)
			if err != nil {
				return err
			}
			if !now.Settings.May(name) {
				now.Settings |= settingBit(name)
				batch.Set = append(batch.Set, Record{bucket, encodeBucket(now)})
			}
		}
		// A batch without changes still waits until what it saw is durable.
		return storeErr(s.e.Apply(ctx, batch))
	})
	return on("change setting "+name, b.Name, "", err)
}

// DeleteSetting removes the document of that name, if there is one.
func (s *Store) DeleteSetting(ctx context.Context, b Bucket, name string) error {
	key := settingKey(b.ID, name)
	err := retry(ctx, func() error {
		old, err := s.get(ctx, key)
		if err != nil {
			return err
		}
		batch := &Batch{Require: []Condition{unchanged(key, old)}}
		if old != nil {
			batch.Delete = [][]byte{key}
		}
		return storeErr(s.e.Apply(ctx, batch))
	})
	return on("delete setting "+name, b.Name, "", err)
}

// random returns a number that was not there before; never 0.
func random() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// mirrorRecord returns the record of b's mirror setting, nil if there is none, with its revision, then 0, and its document.
func (s *Store) mirrorRecord(ctx context.Context, b Bucket) (key, value []byte, revision uint64, doc []byte, err error) {
	key = settingKey(b.ID, mirror)
	value, err = s.get(ctx, key)
	if err == nil && value != nil {
		revision, doc, err = decodeSetting(value)
	}
	return key, value, revision, doc, err
}
