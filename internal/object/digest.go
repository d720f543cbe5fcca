package object

import "math/bits"

// Then returns the digest of what d describes with the size bytes behind it that next describes. The MD5 of the whole cannot be told from those of
// its parts.
func (d Digest) Then(next Digest, size int64) Digest {
	return Digest{CRC64NVME: shiftCRC64(d.CRC64NVME, size) ^ next.CRC64NVME}
}

// crc64NVME is the polynomial of CRC-64/NVME without its highest term, the lowest bit first (NVM Express NVM Command Set Specification, "64b
// CRC Polynomial").
const crc64NVME = 0x9a6c9329ac4bc9b5

// shiftCRC64 returns what the CRC of some bytes contributes to that of the same bytes with n others behind them: a CRC is the remainder of a
// polynomial over GF(2), and n bytes behind it multiply it by x^8n. So the CRC of two strings is that contribution, plus the second one's CRC.
func shiftCRC64(crc uint64, n int64) uint64 {
	// x^8n by squaring: the power is x^(8·2^k) in the round for bit k of n.
	power := uint64(1) << (63 - 8) // x^8
	for n := uint64(n); n != 0; n >>= 1 {
		if n&1 != 0 {
			crc = multiplyCRC64(crc, power)
		}
		power = multiplyCRC64(power, power)
	}
	return crc
}

// multiplyCRC64 returns a·b modulo the polynomial. Bit 63 is the coefficient of x^0.
func multiplyCRC64(a, b uint64) uint64 {
	var product uint64
	for a != 0 {
		if i := bits.LeadingZeros64(a); i > 0 {
			for range i { // b·x^i
				b = b>>1 ^ -(b&1)&crc64NVME
			}
			a <<= i
		}
		product ^= b
		a <<= 1
		b = b>>1 ^ -(b&1)&crc64NVME
	}
	return product
}
