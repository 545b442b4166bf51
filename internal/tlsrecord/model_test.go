package tlsrecord

import (
	"bytes"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// wire is what is under way from one end to another, and both.
type wire struct {
	from, to *State
	sealed   []byte // not read yet
	sent     []byte // plain
	got      []byte
}

// Ensure that whatever both ends send, in whatever pieces it arrives, with KeyUpdates
// anywhere, the plain text is the same, and no record is left out or comes twice.
func TestBothWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := pair(t, rapid.SampledFrom(suites).Draw(t, "suite"))
		ways := []*wire{{from: a, to: b}, {from: b, to: a}}
		way := func(t *rapid.T) *wire { return ways[rapid.IntRange(0, 1).Draw(t, "way")] }
		// read takes in a piece of what is under way: what stays is the beginning of a record.
		read := func(t *rapid.T, w *wire, n int) {
			piece := bytes.Clone(w.sealed[:n])
			plain, used, err := w.to.Take(piece)
			if err != nil {
				t.Fatalf("%d of %d bytes: %v", n, len(w.sealed), err)
			}
			w.got = append(w.got, plain...)
			w.sealed = w.sealed[used:]
			if !bytes.HasPrefix(w.sent, w.got) {
				t.Fatalf("%d bytes were read, which are not those that were sent", len(w.got))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				w := way(t)
				content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "content")
				if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
					content = bytes.Repeat([]byte{7}, MaxContent)
				}
				if len(content) == 0 {
					return // which the peer bears so often only
				}
				w.sealed = w.from.AppendData(w.sealed, content)
				w.sent = append(w.sent, content...)
			},
			"read": func(t *rapid.T) {
				w := way(t)
				read(t, w, rapid.IntRange(0, len(w.sealed)).Draw(t, "bytes"))
			},
			"update": func(t *rapid.T) {
				w := way(t)
				w.sealed = w.from.AppendKeyUpdate(w.sealed, rapid.Bool().Draw(t, "ask"))
				w.sealed = w.from.AppendData(w.sealed, []byte("x"))
				w.sent = append(w.sent, 'x')
			},
			"many records": func(t *rapid.T) {
				w := way(t)
				if w.from.writeSeq >= 1<<20 { // of both ends, when all has been read
					return
				}
				read(t, w, len(w.sealed))
				w.from.writeSeq += rekeyAfter - 2
				w.to.readSeq += rekeyAfter - 2
			},
		})
		for _, w := range ways {
			w.sealed = w.from.AppendAlert(w.from.AppendOwed(w.sealed), CloseNotify)
			plain, used, err := w.to.Take(bytes.Clone(w.sealed))
			w.got = append(w.got, plain...)
			if err != io.EOF || used != len(w.sealed) || !bytes.Equal(w.got, w.sent) {
				t.Fatalf("in the end %d bytes of %d were read, and %d of %d sealed ones are left: %v",
					len(w.got), len(w.sent), len(w.sealed)-used, len(w.sealed), err)
			}
		}
	})
}

// FuzzTake: whatever comes, reading ends in an error or waits for more; it does not grow,
// panic, or find data where none was sealed. The first byte chooses the suite; each record
// that is found in the rest is sealed, so that what is behind the cipher is reached, unless
// its length is odd.
func FuzzTake(f *testing.F) {
	f.Add([]byte("\x00\x17\x03\x03\x00\x02ab"))
	f.Add([]byte("\x01\x16\x03\x03\x00\x05\x18\x00\x00\x01\x01\x17\x03\x03\x00\x01a"))
	f.Add([]byte("\x02\x15\x03\x03\x00\x02\x01\x00"))
	f.Add([]byte("\x02\x16\x03\x03\x00\x03\x18\x00\x00\x16\x03\x03\x00\x02\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 1<<16 {
			return
		}
		a, b := pair(t, suites[int(data[0])%len(suites)])
		var sealed, plain []byte
		for rest := data[1:]; len(rest) > 0; {
			if len(rest) < headerLen || rest[1] != 3 { // as it is
				sealed = append(sealed, rest...)
				break
			}
			n := min(int(rest[3])<<8|int(rest[4]), len(rest)-headerLen)
			typ, content := contentType(rest[0]), rest[headerLen:headerLen+n]
			if typ == 0 { // which would be padding
				typ = typeData
			}
			sealed = append(sealed, seal(a, typ, string(content))...)
			if typ == typeData {
				plain = append(plain, content...)
			}
			rest = rest[headerLen+n:]
		}
		got, used, err := b.Take(bytes.Clone(sealed))
		if !bytes.HasPrefix(plain, got) {
			t.Fatalf("%q was read, %q sealed", got, plain)
		}
		if used > len(sealed) || err == nil && len(sealed)-used > MaxRecord {
			t.Fatalf("%d of %d bytes used: %v", used, len(sealed), err)
		}
	})
}
