package gzipwire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// form is the way in which a test sends a text.
type form int

const (
	stored form = iota
	tail        // stored by StoreTail
	compressed
	alone // but for its end, which is stored
	ping  // no text
	forms
)

// sender makes a stream as a loop does, and knows its text.
type sender struct {
	compressor Compressor
	text       []byte // that was sent
	begin      int    // where the dictionary begins in it
}

// append appends a form of text.
func (s *sender) append(dst []byte, f form, text []byte) []byte {
	dictionary := s.text[s.begin:]
	if f != ping {
		s.text = append(s.text, text...)
	}
	ok := false
	switch f {
	case ping:
		return append(dst, Empty...)
	case tail:
		return StoreTail(append(dst, text...), len(dst))
	case compressed:
		dst, ok = s.compressor.Append(dst, text, dictionary)
	case alone:
		end := min(len(text), 40)
		if dst, ok = s.compressor.Append(dst, text[:len(text)-end], nil); ok {
			dst = AppendStored(dst, text[len(text)-end:], 0)
		}
	}
	if !ok {
		dst = AppendStored(dst, text, 0)
	}
	return dst
}

// live inflates wires, the forms of texts: each text has to be there before the next is
// sent. The wires come in pieces of a size.
type live struct {
	t             rapid.TB
	wires         [][]byte
	ends          []int // of the texts, all together
	size          int
	rest          []byte
	sent, arrived int
}

// Read is the inflater's side. It wants more only when all of what came is delivered.
func (l *live) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.sent > 0 && l.arrived != l.ends[l.sent-1] {
			l.t.Fatalf("after %d forms a reader has %d bytes of text, want %d", l.sent, l.arrived, l.ends[l.sent-1])
		}
		if l.sent == len(l.wires) {
			return 0, io.EOF
		}
		l.rest = l.wires[l.sent]
		l.sent++
	}
	n := copy(p, l.rest[:min(l.size, len(l.rest))])
	l.rest = l.rest[n:]
	return n, nil
}

// inflate checks that a reader has the text of each wire before the next one comes.
func inflate(t rapid.TB, wires [][]byte, ends []int, size int, want []byte) {
	t.Helper()
	l := &live{t: t, wires: append([][]byte{[]byte(Header)}, wires...), ends: append([]int{0}, ends...), size: size}
	r, err := gzip.NewReader(l)
	if err != nil {
		t.Fatal(err)
	}
	got, buf := []byte(nil), make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		l.arrived += n
		got = append(got, buf[:n]...)
		if err == io.ErrUnexpectedEOF { // there is no trailer
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("inflated %d bytes, %.200q, want %d, %.200q", len(got), got, len(want), want)
	}
}

// words makes text that deflate finds repetitions in.
func words(r *rand.Rand, n int) []byte {
	var b []byte
	for len(b) < n {
		b = append(b, "the id of an event is <turbo-stream data: {\"price\":\n\n"[r.IntN(40):][:r.IntN(12)]...)
		b = append(b, byte(r.Uint32()))
	}
	return b[:n]
}

// Ensure that any mixture of forms is the text, and each of them arrives by itself.
func TestFormsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var s sender
		var wires [][]byte
		var ends []int
		for range rapid.IntRange(0, 20).Draw(t, "texts") {
			text := words(random, rapid.SampledFrom([]int{0, 1, 2, 16, 17, 18, 100, 619, 4095, 4096, 8191, 8192, 8193, 32767, 32768, 65535, 65536, 70000}).Draw(t, "size"))
			if rapid.IntRange(0, 5).Draw(t, "fresh") == 0 {
				s.begin = len(s.text)
			}
			wires = append(wires, s.append(nil, form(rapid.IntRange(0, int(forms)-1).Draw(t, "form")), text))
			ends = append(ends, len(s.text))
		}
		inflate(t, wires, ends, rapid.SampledFrom([]int{1, 7, 1 << 20}).Draw(t, "piece"), s.text)
	})
}

// Ensure that texts of all sizes around the bounds of blocks, windows and dictionaries keep
// their bytes, after dictionaries of such sizes.
func TestSizes(t *testing.T) {
	bounds := []int{0, 12, 17, 4 << 10, 8 << 10, 24 << 10, 32 << 10, 65535}
	random := rand.New(rand.NewPCG(1, 2))
	const around = 3
	whole := words(random, 65535+around)
	for _, bound := range bounds {
		for n := max(bound-around, 0); n <= bound+around; n++ {
			for _, before := range []int{0, 1, 3, 4, 100, 8<<10 - 1, 8 << 10, 8<<10 + 1, 40000} {
				for f := range forms {
					s := sender{text: append([]byte(nil), whole[:before]...)}
					first := AppendStored(nil, s.text, 0)
					wires := [][]byte{first, s.append(nil, f, whole[len(whole)-n:]), s.append(nil, stored, []byte("."))}
					inflate(t, wires, []int{before, len(s.text) - 1, len(s.text)}, 1<<20, s.text)
				}
			}
		}
	}
}

// Ensure that the rest of a stored form is what is left of the whole, wherever it was cut.
func TestStoredRests(t *testing.T) {
	whole := words(rand.New(rand.NewPCG(1, 2)), 2*MaxBlock+10)
	for _, n := range []int{0, 1, 4, 5, 6, 100, MaxBlock - 1, MaxBlock, MaxBlock + 1, 2 * MaxBlock, len(whole)} {
		text := whole[:n]
		wire := AppendStored(nil, text, 0)
		if len(wire) != StoredSize(n) {
			t.Errorf("StoredSize(%d) = %d, want %d", n, StoredSize(n), len(wire))
		}
		if tail := StoreTail(append([]byte("x"), text...), 1); !bytes.Equal(tail[1:], wire) {
			t.Errorf("StoreTail of %d bytes: %.40q, want %.40q", n, tail[1:], wire)
		}
		step := 1 + n/200
		for skip := 0; skip <= len(wire); skip += step {
			if got := AppendStored([]byte("x"), text, skip); !bytes.Equal(got[1:], wire[skip:]) {
				t.Fatalf("AppendStored of %d bytes from %d on: %.40q, want %.40q", n, skip, got[1:], wire[skip:])
			}
		}
	}
}

// Ensure that a form which would be no shorter than the text is not made.
func TestNoGain(t *testing.T) {
	noise := make([]byte, 2000)
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(noise); i++ {
		noise[i] = byte(r.Uint32())
	}
	var c Compressor
	for n := range noise {
		if got, ok := c.Append([]byte("x"), noise[:n], nil); ok || string(got) != "x" {
			t.Fatalf("noise of %d bytes: %d bytes, %v, want none", n, len(got)-1, ok)
		}
		if got, ok := c.Append(nil, noise[:n], noise[:n]); ok && len(got) >= n {
			t.Fatalf("%d bytes after themselves: %d bytes", n, len(got))
		}
	}
}

// FuzzForms splits text into messages and sends them in the forms that are asked for.
func FuzzForms(f *testing.F) {
	f.Add([]byte(strings.Repeat("data: {\"price\": 12.5}\n\n", 20)), []byte{10, 2, 30, 2, 0, 4, 200, 3, 99, 1, 50, 130})
	f.Add(bytes.Repeat([]byte{0}, 9000), []byte{255, 2, 255, 2, 255, 130, 255, 2})
	f.Fuzz(func(t *testing.T, text, plan []byte) {
		var s sender
		var wires [][]byte
		var ends []int
		for ; len(plan) >= 2; plan = plan[2:] {
			n := min(int(plan[0])*(1+int(plan[0])), len(text))
			if plan[1] >= 128 {
				s.begin = len(s.text)
			}
			wires = append(wires, s.append(nil, form(plan[1])%forms, text[:n]))
			ends = append(ends, len(s.text))
			text = text[n:]
		}
		inflate(t, wires, ends, 1<<20, s.text)
	})
}

// BenchmarkCompress makes the compressed form of a message once, for all of its streams.
func BenchmarkCompress(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	row := func(n int) []byte {
		var m []byte
		for len(m) < n {
			m = fmt.Appendf(m, `<turbo-stream action="append" target="messages"><template><div id="message_%d" class="message">%d</div></template></turbo-stream>`, random.IntN(1e6), random.IntN(1e6))
		}
		return m[:n]
	}
	dictionary := row(MaxDictionary)
	for _, n := range []int{100, 600, 1024, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			text := row(n)
			var c Compressor
			var out []byte
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				out, _ = c.Append(out[:0], text, dictionary)
			}
			b.ReportMetric(float64(len(out)), "wire-B")
		})
	}
}
