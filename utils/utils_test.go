package utils

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	qserrors "github.com/cisternhq/cistern/request/errors"
)

func TestEscape(t *testing.T) {
	for plain, escaped := range map[string]string{
		"('this is test',) 中文+=.jpg": "%28%27this%20is%20test%27%2C%29%20%E4%B8%AD%E6%96%87%2B=.jpg", "a/b": "a/b", "100%": "100%25", "": "",
	} {
		if got := URLQueryEscape(plain); got != escaped {
			t.Errorf("URLQueryEscape(%q) = %q, want %q", plain, got, escaped)
		}
		if got, err := URLQueryUnescape(escaped); got != plain || err != nil {
			t.Errorf("URLQueryUnescape(%q) = %q, %v; want %q", escaped, got, err, plain)
		}
	}
	if got, err := URLQueryUnescape("a+b"); got != "a+b" || err != nil {
		t.Errorf("URLQueryUnescape of a plus = %q, %v; want it unchanged", got, err)
	}
	if _, err := URLQueryUnescape("%zz"); err == nil {
		t.Error("URLQueryUnescape of a broken escape = nil, want an error")
	}
}

func TestIsMetaDataValid(t *testing.T) {
	tests := []struct {
		name, key, value string
		valid            bool
	}{
		{"usual", "x-qs-meta-a_b.c-D9", "some value", true},
		{"prefix in capitals", "X-QS-Meta-a", "", true},
		{"no prefix", "colour", "blue", false},
		{"prefix alone", "x-qs-meta-", "blue", false},
		{"blank in the name", "x-qs-meta-a b", "blue", false},
		{"not ASCII in the name", "x-qs-meta-ä", "blue", false},
		{"not ASCII in the value", "x-qs-meta-a", "blü", false},
		{"line break in the value", "x-qs-meta-a", "b\r\nc", false},
		{"name of 512 bytes", "x-qs-meta-" + strings.Repeat("a", 512), "b", true},
		{"name of 513 bytes", "x-qs-meta-" + strings.Repeat("a", 513), "b", false},
		{"2048 bytes", "x-qs-meta-a", strings.Repeat("b", 2047), true},
		{"2049 bytes", "x-qs-meta-a", strings.Repeat("b", 2048), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := IsMetaDataValid(&map[string]string{tt.key: tt.value})
			var wrong qserrors.ParameterValueNotAllowedError
			if (err == nil) != tt.valid || err != nil && !errors.As(err, &wrong) {
				t.Errorf("IsMetaDataValid = %v, want valid %t", err, tt.valid)
			}
		})
	}
	if err := errors.Join(IsMetaDataValid(nil), IsMetaDataValid(new(map[string]string))); err != nil {
		t.Errorf("IsMetaDataValid of nothing = %v, want nil", err)
	}
}

func TestDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := NewDialer(10*time.Second, time.Nanosecond, 0)
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); !IsTimeoutError(err) {
		t.Errorf("Read of nothing = %v, want a timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.DialContext(ctx, "tcp", l.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("DialContext in a context that is done = %v, want context.Canceled", err)
	}
}
