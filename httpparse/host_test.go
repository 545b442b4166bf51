package httpparse

import (
	"math/rand"
	"net/netip"
	"testing"
)

// Ensure that an address is valid here if and only if it is for net/netip, on
// strings of address-like pieces.
func TestValidIPv6AgreesWithNetip(t *testing.T) {
	check := func(s string) {
		t.Helper()
		addr, err := netip.ParseAddr(s)
		want := err == nil && addr.Is6() && addr.Zone() == ""
		if got := validIPv6([]byte(s)); got != want {
			t.Fatalf("validIPv6(%q) = %v; want %v", s, got, want)
		}
	}
	for _, s := range []string{
		"", ":", "::", ":::", "::::", "1", "1:", ":1", "::1", "1::", "1::2", "1::2::3", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4::5:6:7:8",
		"12345::", "g::", "FFFF::ffff", "::1.2.3.4", "1.2.3.4", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4", "::1.2.3.4:5",
		"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.4", "1.2.3.4::", "fe80::1%eth0", "::1.2.3.", "::.1.2.3", "::1a.2.3.4",
	} {
		check(s)
	}
	pieces := []string{":", ":", "::", "1", "0", "12", "abCD", "01.", "1.", "1.2.3.4", "255.", "256", "g", "1:", "2:", "a:b:", "0:0:0:"}
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	for range 200000 {
		s := ""
		for range random.Intn(10) {
			s += pieces[random.Intn(len(pieces))]
		}
		check(s)
	}
}

func TestValidHost(t *testing.T) {
	for _, c := range []struct {
		in                 string
		optional, required bool
	}{
		{"", false, false},
		{"a", true, false},
		{"a:", true, false},
		{"a:0", true, true},
		{"a:65535", true, true},
		{"a:00080", true, true},
		{"a:65536", false, false},
		{"a:99999999999999999999", false, false},
		{"a:-1", false, false},
		{"a:8x", false, false},
		{"a:b:1", false, false},
		{":1", false, false},
		{"127.0.0.1:80", true, true},
		{"a b", false, false},
		{"a%20b", false, false},
		{"a/b", false, false},
		{"u@a", false, false},
		{"[::1]", true, false},
		{"[::1]:", true, false},
		{"[::1]:80", true, true},
		{"[::1]x:80", false, false},
		{"[]", false, false},
		{"[a]", false, false},
		{"[v1.a]", false, false},
		{"[::1", false, false},
		{"::1]", false, false},
		{"x[::1]", false, false},
	} {
		if got := validHost([]byte(c.in), portOptional); got != c.optional {
			t.Errorf("validHost(%q, portOptional) = %v", c.in, got)
		}
		if got := validHost([]byte(c.in), portRequired); got != c.required {
			t.Errorf("validHost(%q, portRequired) = %v", c.in, got)
		}
	}
}
