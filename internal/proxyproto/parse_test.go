package proxyproto

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// v2 returns a header of version 2 with a right signature and length.
func v2(versionCommand, family byte, rest string) string {
	return v2Signature + string([]byte{versionCommand, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	block4  = "\xc0\x00\x02\x01" + "\xc6\x33\x64\x01" + "\xdc\x04" + "\x01\xbb"
	source6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	block6  = source6 + source6 + "\xdc\x04" + "\x01\xbb"
	// tlvs are what HAProxy and cloud load balancers add: ALPN, a host name, a
	// type of an operator's own.
	tlvs = "\x01\x00\x02h2" + "\x02\x00\x0bexample.org" + "\xea\x00\x03\x01ab"
)

// verdict is what Parse says. client is "" for none.
type verdict struct {
	client string
	n      int
	err    error
}

func verdictOf(in string) verdict {
	client, n, err := Parse([]byte(in))
	v := verdict{n: n, err: err}
	if client.IsValid() {
		v.client = client.String()
	}
	return v
}

// headers are good ones and whose connection they say it is.
var headers = []struct{ in, client string }{
	{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1:56324"},
	{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"},
	{"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0"},
	{"PROXY TCP6 2001:db8::1 2001:DB8:0:0:0:0:0:1 56324 443\r\n", "[2001:db8::1]:56324"},
	{"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"PROXY TCP6 ::ffff:192.0.2.1 :: 1 2\r\n", "[::ffff:192.0.2.1]:1"},
	{"PROXY UNKNOWN\r\n", ""},
	{"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ""},
	{"PROXY UNKNOWN what \x00 ever\r\n", ""},
	{v2(0x21, 0x11, block4), "192.0.2.1:56324"},
	{v2(0x21, 0x11, block4+tlvs), "192.0.2.1:56324"},
	{v2(0x21, 0x21, block6), "[2001:db8::1]:56324"},
	{v2(0x21, 0x21, block6+tlvs), "[2001:db8::1]:56324"},
	{v2(0x21, 0x11, block4+strings.Repeat("\x04", MaxBytes-v2Fixed-len(block4))), "192.0.2.1:56324"},
	{v2(0x20, 0x00, ""), ""},
	{v2(0x20, 0x11, block4), ""},
	{v2(0x20, 0xff, ""), ""},
	{v2(0x20, 0x21, "short"), ""},
	{v2(0x21, 0x00, ""), ""},
	{v2(0x21, 0x00, tlvs), ""},
	{v2(0x21, 0x10, block4), ""},
	{v2(0x21, 0x12, block4), ""},
	{v2(0x21, 0x22, block6), ""},
	{v2(0x21, 0x31, strings.Repeat("/", endsUnix)), ""},
	{v2(0x21, 0x32, strings.Repeat("/", endsUnix)+tlvs), ""},
}

// Ensure that a header is found whatever follows it, and that none of its
// beginnings passes for one or is refused.
func TestHeaders(t *testing.T) {
	for _, tt := range headers {
		want := verdict{tt.client, len(tt.in), nil}
		for _, after := range []string{"", "GET / HTTP/1.1\r\n", tt.in, "\r\n\x00", strings.Repeat("x", 200)} {
			if got := verdictOf(tt.in + after); got != want {
				t.Errorf("%.200q and %.20q: %v, want %v", tt.in, after, got, want)
			}
		}
		for n := range len(tt.in) {
			if got := verdictOf(tt.in[:n]); got != (verdict{err: ErrNeedMore}) {
				t.Errorf("%.200q cut off at %d: %v, want %v", tt.in, n, got, ErrNeedMore)
			}
		}
	}
}

// refusals are no headers, and why. The last byte of each is what decides.
var refusals = []struct {
	in  string
	err error
}{
	{"G", ErrNoHeader},
	{"\x00", ErrNoHeader},
	{"\n", ErrNoHeader},
	{"PRI", ErrNoHeader},
	{"PROXYT", ErrNoHeader},
	{"PROXY\t", ErrNoHeader},
	{"p", ErrNoHeader},
	{"\r\n\r\n\x00\r\nQUIT\r", ErrNoHeader},
	{"\r\n\r\nG", ErrNoHeader},

	{"PROXY \r\n", ErrLine},
	{"PROXY TCP4\r\n", ErrLine},
	{"PROXY  TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", ErrLine},
	{"PROXY tcp4 192.0.2.1 198.51.100.1 56324 443\r\n", ErrLine},
	{"PROXY TCP5 192.0.2.1 198.51.100.1 56324 443\r\n", ErrLine},
	{"PROXY UNKNOWN2\r\n", ErrLine},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", ErrLine},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n", ErrLine},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n", ErrLine},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n", ErrLine},
	{"PROXY TCP4 192.0.2.1 198.51.100.1\r 56324 443\r\n", ErrLine},
	{"PROXY UNKNOWN \r\r\n", ErrLine},
	{"PROXY UNKNOWN\n", ErrLine},
	{"PROXY " + strings.Repeat("x", 101), ErrLineLong},
	{"PROXY UNKNOWN " + strings.Repeat("x", 93), ErrLineLong},

	{"PROXY TCP4  198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP4 192.0.2 198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP4 192.0.2.256 198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP4 192.0.2.1 198.51.100.1.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP4 0xc0.0.2.1 198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP4 2001:db8::1 198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP4 192.0.2.1 2001:db8::1 56324 443\r\n", ErrAddress},
	{"PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP6 2001:db8::1 198.51.100.1 56324 443\r\n", ErrAddress},
	{"PROXY TCP6 fe80::1%eth0 2001:db8::1 56324 443\r\n", ErrAddress},
	{"PROXY TCP6 2001::db8::1 2001:db8::1 56324 443\r\n", ErrAddress},
	{"PROXY TCP6 1:2:3:4:5:6:7 2001:db8::1 56324 443\r\n", ErrAddress},
	{"PROXY TCP6 [2001:db8::1] 2001:db8::1 56324 443\r\n", ErrAddress},

	{"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 99999\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 00 443\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 1e3 443\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1  443\r\n", ErrPort},
	{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 \r\n", ErrPort},

	{v2Signature + "\x11", ErrVersion},
	{v2Signature + "\x31", ErrVersion},
	{v2Signature + "\x22", ErrCommand},
	{v2Signature + "\x2f", ErrCommand},
	{v2Signature + "\x21\x13", ErrFamily},
	{v2Signature + "\x21\x41", ErrFamily},
	{v2Signature + "\x21\xff", ErrFamily},
	{v2Signature + "\x21\x11\x00\x0b", ErrShort},
	{v2Signature + "\x21\x12\x00\x00", ErrShort},
	{v2Signature + "\x21\x21\x00\x23", ErrShort},
	{v2Signature + "\x21\x31\x00\xd7", ErrShort},
	{v2Signature + "\x21\x11\x0f\xf1", ErrLong},
	{v2Signature + "\x20\x00\xff\xff", ErrLong},
}

// Ensure that each is refused at the byte that decides it, not before, and for
// the same reason whatever follows.
func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
		want := verdict{err: tt.err}
		for _, after := range []string{"", "\r\n", strings.Repeat("x", MaxBytes)} {
			if got := verdictOf(tt.in + after); got != want {
				t.Errorf("%q and %.20q: %v, want %v", tt.in, after, got.err, tt.err)
			}
		}
		for n := range len(tt.in) {
			if got := verdictOf(tt.in[:n]); got != (verdict{err: ErrNeedMore}) {
				t.Errorf("%q cut off at %d: %v, want %v", tt.in, n, got, ErrNeedMore)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, in := range []string{headers[0].in, headers[4].in, headers[10].in, headers[11].in, refusals[0].in} {
		buf := []byte(in)
		if n := testing.AllocsPerRun(100, func() { Parse(buf) }); n != 0 {
			t.Errorf("%q: %v allocations, want none", in, n)
		}
	}
}

// FuzzParse ensures that the answer depends neither on how the bytes are cut nor
// on bytes beyond the header, that no length is beyond its bound, and that an
// address of a line is what netip reads there.
func FuzzParse(f *testing.F) {
	for _, tt := range headers {
		f.Add(tt.in, len(tt.in)/2)
	}
	for _, tt := range refusals {
		f.Add(tt.in, len(tt.in)-1)
	}
	f.Fuzz(func(t *testing.T, in string, cut int) {
		whole := verdictOf(in)
		if uint(cut) <= uint(len(in)) {
			if got := verdictOf(in[:cut]); got.err != ErrNeedMore && got != whole {
				t.Fatalf("%q cut off at %d: %v, and then %v", in, cut, got, whole)
			}
		}
		if whole.err == ErrNeedMore {
			if len(in) >= MaxBytes {
				t.Fatalf("%d bytes, and more are wanted", len(in))
			}
			return
		}
		if got := verdictOf(in + "\r\n\x00more"); got != whole {
			t.Fatalf("%q and more: %v; alone %v", in, got, whole)
		}
		if whole.err != nil {
			if whole != (verdict{err: whole.err}) {
				t.Fatalf("%q: %v: something beside the error", in, whole)
			}
			return
		}
		if whole.n > MaxBytes || whole.n > len(in) {
			t.Fatalf("%d bytes, a header of %d", len(in), whole.n)
		}
		if in[0] == 'P' && whole.client != "" {
			fields := strings.Fields(in[:whole.n])
			addr, err := netip.ParseAddr(fields[2])
			want := fmt.Sprintf("%v:%s", addr, fields[4])
			if addr.Is6() {
				want = fmt.Sprintf("[%v]:%s", addr, fields[4])
			}
			if err != nil || addr.Zone() != "" || whole.client != want {
				t.Fatalf("%q: client %s; netip has %s, %v", in, whole.client, want, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct{ name, in string }{{"v1", headers[0].in}, {"v1-ipv6", headers[3].in}, {"v2", headers[9].in}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := []byte(bb.in)
			for b.Loop() {
				if _, _, err := Parse(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
