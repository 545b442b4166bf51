package h2

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/httpparse"
)

// FuzzConnection ensures that nothing that a client sends after its preface makes a server
// panic, lose count of its streams, keep more than it may or send what no client can read; and
// that it is told the same in any pieces.
func FuzzConnection(f *testing.F) {
	for _, conversation := range conversations {
		c := silentClient()
		c.WriteSettings()
		conversation.send(c)
		f.Add(c.Bytes(), uint8(9), conversation.answers)
	}
	for _, fault := range faults {
		c := silentClient()
		c.WriteSettings()
		if fault.send(c); c.Len() < 1000 {
			f.Add(c.Bytes(), uint8(1), false)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, length uint8, answers bool) {
		checkCuts(t, append([]byte(preface), in...), answers, int(length))
	})
}

// FuzzFrames ensures that frames are found where golang.org/x/net's Framer finds them.
func FuzzFrames(f *testing.F) {
	for _, conversation := range conversations {
		c := silentClient()
		conversation.send(c)
		f.Add(c.Bytes())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		framer := http2.NewFramer(nil, bytes.NewReader(in))
		rest := slices.Clone(in)
		for {
			got, n, err := take(rest, 1<<15)
			if err != nil || n == 0 {
				return
			}
			rest = rest[n:]
			want, err := framer.ReadFrame()
			if err != nil {
				return // the Framer judges what Next does, too
			}
			h := want.Header()
			if byte(got.typ) != byte(h.Type) || got.flags != uint8(h.Flags) || got.stream != h.StreamID {
				t.Fatalf("the frame is %+v, want %v", got, h)
			}
			if got.typ != typeHeaders {
				continue
			}
			block := slices.Clone(want.(*http2.HeadersFrame).HeaderBlockFragment())
			for range got.more {
				more, err := framer.ReadFrame()
				if err != nil {
					t.Fatalf("a CONTINUATION is taken of which the Framer says: %v", err)
				}
				block = append(block, more.(*http2.ContinuationFrame).HeaderBlockFragment()...)
			}
			if !bytes.Equal(got.payload, block) {
				t.Fatalf("the header block is %x, want %x", got.payload, block)
			}
		}
	})
}

// FuzzBlock ensures that no header block makes more of a request than the limits allow, and
// that what becomes of it is what golang.org/x/net's decoder has in it.
func FuzzBlock(f *testing.F) {
	encode := silentClient().encode
	for _, fields := range [][]string{getFields("/"), getFields("/a?b", "cookie: a=b", "cookie: c=d", "content-length: 0"), getFields("/", "te: gzip"), getFields("*", "X: y")} {
		f.Add(encode(fields...))
	}
	f.Add([]byte("\x20\x82\x87\x84"))
	f.Add([]byte("\x3f\xe1\x1f"))
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) > MaxPayload {
			return
		}
		r := NewReader(Limits{Head: httpparse.Limits{MaxBytes: 1000}, Streams: 1})
		var c Conn
		c.Open(0)
		r.fields.begin(false)
		if err := r.decode(&c, r.NewTable(), block); err != nil {
			return
		}
		malformed, refusal := r.fields.complete()
		if n := len(r.fields.text) + len(r.fields.cookie); n > 1000 {
			t.Fatalf("%d bytes are kept, want 1000 at most", n)
		}
		if malformed != "" || refusal != nil {
			return
		}
		want, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
		if err != nil {
			t.Fatalf("a block is taken of which the decoder says: %v", err)
		}
		for _, field := range want {
			if field.IsPseudo() || field.Name == "cookie" {
				continue
			}
			found := false
			for value := range r.fields.request.Values(field.Name) {
				found = found || string(value) == field.Value
			}
			if !found {
				t.Fatalf("the request %s lacks the field %v", describe(&r.fields.request), field)
			}
		}
	})
}
