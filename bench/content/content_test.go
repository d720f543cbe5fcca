package content

import (
	"bytes"
	"testing"
)

func TestSlicesAgreeWithTheWhole(t *testing.T) {
	o := Named("a", 3*period+17)
	whole := o.Bytes()
	if int64(len(whole)) != o.Size {
		t.Fatalf("Bytes() has %d bytes, want %d", len(whole), o.Size)
	}
	for _, off := range []int64{0, 1, period - 1, period, 2*period + 5, o.Size - 1, o.Size} {
		got := o.Slice(off, MaxSlice)
		if !bytes.Equal(got, whole[off:off+int64(len(got))]) {
			t.Errorf("Slice(%d) differs from the whole", off)
		}
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	o := Named("a", 20<<20)
	whole := o.Bytes()
	if err := o.Check(whole, 0); err != nil {
		t.Fatalf("Check of the body itself = %v", err)
	}
	for _, tt := range []struct {
		name string
		p    []byte
		off  int64
	}{
		{"a byte", append(bytes.Clone(whole[:99]), whole[99]^1), 0},
		{"the next segment", whole[8<<20 : 8<<20+4096], 0},
		{"the next page", whole[4096:8192], 0},
		{"a byte more", []byte{1}, o.Size},
		{"another key", Named("b", o.Size).Slice(0, 64), 0},
	} {
		if err := o.Check(tt.p, tt.off); err == nil {
			t.Errorf("%s: Check = nil, want an error", tt.name)
		}
	}
}

func TestParse(t *testing.T) {
	o := Named("dir/x", 77)
	got, err := Parse(o.Key)
	if err != nil || got != o {
		t.Errorf("Parse(%q) = %v, %v; want %v", o.Key, got, err, o)
	}
	for _, key := range []string{"", "77", "x/77", "-1/a"} {
		if _, err := Parse(key); err == nil {
			t.Errorf("Parse(%q) = nil error", key)
		}
	}
}
