package httpparse

import (
	"fmt"
	"math/rand"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestAppendDecoded(t *testing.T) {
	for _, c := range []struct {
		raw, path, query string
		bad              bool
	}{
		{raw: ""},
		{raw: "/rooms/42", path: "/rooms/42", query: "/rooms/42"},
		{raw: "a+b", path: "a+b", query: "a b"},
		{raw: "a%2Bb", path: "a+b", query: "a+b"},
		{raw: "%20%c3%A9%00%fF", path: " \u00e9\x00\xff", query: " \u00e9\x00\xff"},
		{raw: "%2541", path: "%41", query: "%41"},
		{raw: "%", bad: true},
		{raw: "%4", bad: true},
		{raw: "a%4", bad: true},
		{raw: "%zz", bad: true},
		{raw: "%4z", bad: true},
		{raw: "%z4", bad: true},
		{raw: "%%41", bad: true},
		{raw: "%+1", bad: true},
		{raw: "%41%", bad: true},
	} {
		checkDecoded(t, "AppendPathDecoded", AppendPathDecoded, c.raw, c.path, c.bad)
		checkDecoded(t, "AppendQueryDecoded", AppendQueryDecoded, c.raw, c.query, c.bad)
		if got := validEscapes([]byte(c.raw)); got == c.bad {
			t.Errorf("validEscapes(%q) = %v", c.raw, got)
		}
	}
}

func checkDecoded(t *testing.T, name string, decode func(dst, raw []byte) ([]byte, error), raw, want string, bad bool) {
	t.Helper()
	got, err := decode([]byte("dst:"), []byte(raw))
	var wantErr error
	if bad {
		want, wantErr = "", ErrEscape
	}
	if string(got) != "dst:"+want || err != wantErr {
		t.Errorf("%s(%q) = %q, %v; want %q, %v", name, raw, got, err, "dst:"+want, wantErr)
	}
}

// Ensure that decoding agrees with net/url on strings rich in escapes.
func TestDecodedAgreesWithURL(t *testing.T) {
	seed := rand.Int63()
	random := rand.New(rand.NewSource(seed))
	const alphabet = "%%%0123456789abcdefABCDEF+/g z"
	for range 20000 {
		raw := make([]byte, random.Intn(12))
		for i := range raw {
			raw[i] = alphabet[random.Intn(len(alphabet))]
		}
		want, wantErr := url.PathUnescape(string(raw))
		got, err := AppendPathDecoded(nil, raw)
		if string(got) != want || (err == nil) != (wantErr == nil) || validEscapes(raw) != (err == nil) {
			t.Fatalf("seed %d: AppendPathDecoded(%q) = %q, %v; net/url says %q, %v", seed, raw, got, err, want, wantErr)
		}
		want, wantErr = url.QueryUnescape(string(raw))
		got, err = AppendQueryDecoded(nil, raw)
		if string(got) != want || (err == nil) != (wantErr == nil) {
			t.Fatalf("seed %d: AppendQueryDecoded(%q) = %q, %v; net/url says %q, %v", seed, raw, got, err, want, wantErr)
		}
	}
}

func TestParams(t *testing.T) {
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"", nil},
		{"&&", nil},
		{"a=1", []string{"a:1"}},
		{"a=1&b=2&a=3", []string{"a:1", "b:2", "a:3"}},
		{"a", []string{"a:"}},
		{"a=", []string{"a:"}},
		{"=1", []string{":1"}},
		{"=", []string{":"}},
		{"&a=1&&b&", []string{"a:1", "b:"}},
		{"a=b=c", []string{"a:b=c"}},
		{"a=1;b=2", []string{"a:1;b=2"}},
		{"a%3D=%26+", []string{"a%3D:%26+"}},
	} {
		params := Params([]byte(c.query))
		for pass := range 2 {
			var got []string
			for name, value := range params {
				got = append(got, fmt.Sprintf("%s:%s", name, value))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("pass %d over Params(%q) = %q; want %q", pass, c.query, got, c.want)
			}
		}
	}
	for name := range Params([]byte("a&b")) {
		if string(name) != "a" {
			t.Errorf("Params went on to %q after a break", name)
		}
		break
	}
}

func TestDecodingDoesNotAllocate(t *testing.T) {
	query := []byte("channel=%2Frooms%2F42&channel=a+b&bad=%zz&x")
	scratch := make([]byte, 0, 64)
	values := 0
	if n := testing.AllocsPerRun(100, func() {
		for name, value := range Params(query) {
			if string(name) == "channel" {
				if _, err := AppendQueryDecoded(scratch, value); err == nil {
					values++
				}
			}
			AppendPathDecoded(scratch, value)
		}
	}); n != 0 || values == 0 {
		t.Errorf("going through %q allocates %v times", query, n)
	}
}

func BenchmarkAppendPathDecoded(b *testing.B) {
	raw := []byte(strings.Repeat("/rooms%2F42", 4))
	dst := make([]byte, 0, len(raw))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendPathDecoded(dst, raw); err != nil {
			b.Fatal(err)
		}
	}
}
