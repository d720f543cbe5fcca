package object

import (
	"hash/crc64"
	"testing"

	"pgregory.net/rapid"
)

func TestDigestThen(t *testing.T) {
	table := crc64.MakeTable(crc64NVME)
	sum := func(b []byte) Digest { return Digest{CRC64NVME: crc64.Checksum(b, table)} }
	if got := sum([]byte("123456789")).CRC64NVME; got != 0xae8b14860a799888 {
		t.Fatalf("CRC-64/NVME of 123456789 = %x, want the check value of its catalogue entry", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		if got, want := sum(a).Then(sum(b), int64(len(b))), sum(append(append([]byte(nil), a...), b...)); got != want {
			t.Fatalf("%x then %x = %x, want %x", a, b, got.CRC64NVME, want.CRC64NVME)
		}
	})
	a, b := sum([]byte("front")), sum([]byte("back"))
	a.MD5, b.MD5 = "x", "y"
	if got := a.Then(b, 4); got.MD5 != "" {
		t.Errorf("the digest of two parts claims the MD5 %q", got.MD5)
	}
	// Lengths that no test can have the bytes of: a then b then c is the same from either side.
	c := Digest{CRC64NVME: 0x0123456789abcdef}
	for _, n := range []int64{1 << 20, 5 << 30, 50 << 40, 1<<62 + 3} {
		left := a.Then(b, n).Then(c, n/3)
		right := a.Then(b.Then(c, n/3), n+n/3)
		if left != right {
			t.Errorf("with %d bytes: %x, and %x from the other side", n, left.CRC64NVME, right.CRC64NVME)
		}
	}
}

func BenchmarkDigestThen(b *testing.B) {
	d := Digest{CRC64NVME: 0x0123456789abcdef}
	for b.Loop() {
		d = d.Then(d, 8<<20)
	}
}
