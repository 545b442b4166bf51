package httpparse

import (
	"bytes"
	"math/rand"
	"strings"
	"testing"
)

// Ensure that the classes are those of the RFCs, written down another way.
func TestClasses(t *testing.T) {
	for c := range 256 {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80
		alphanum := letter || '0' <= c && c <= '9'
		visible := 0x21 <= c && c <= 0x7e
		in := func(s string) bool { return strings.IndexByte(s, byte(c)) >= 0 }
		for _, class := range []struct {
			name string
			bit  uint8
			want bool
		}{
			{"token", isToken, visible && !in("\"(),/:;<=>?@[\\]{}")},
			{"target", isTarget, visible && !in("\"#<>\\")},
			{"host", isHost, alphanum || in("-._~!$&'()*+,;=")},
			{"value", isValue, c == '\t' || c >= ' ' && c != 0x7f},
		} {
			if got := span([]byte{byte(c)}, class.bit) == 1; got != class.want {
				t.Errorf("byte %#02x is of the class %s: %v; want %v", c, class.name, got, class.want)
			}
		}
	}
}

// Ensure that reading words finds what reading bytes finds: every byte value at
// every place in every length about the word size, then random mixtures.
func TestValidValueAgreesWithBytes(t *testing.T) {
	check := func(b []byte) {
		t.Helper()
		want := span(b, isValue) == len(b)
		if got := validValue(b); got != want {
			t.Fatalf("validValue(%q) = %v; want %v", b, got, want)
		}
	}
	for length := range 26 {
		for at := range length {
			for c := range 256 {
				for _, around := range []byte("a\t\x80 \xff") {
					b := bytes.Repeat([]byte{around}, length)
					b[at] = byte(c)
					check(b)
				}
			}
		}
	}
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	for range 20000 {
		b := make([]byte, random.Intn(40))
		random.Read(b)
		for i, c := range b {
			if random.Intn(20) > 0 {
				b[i] = c | 0x20 // no longer a control, but for 0x7f
			}
		}
		check(b)
	}
}
