package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// fed is a connection at which a text comes, in pieces as its reader gives them.
type fed struct {
	net.Conn
	io.Reader
}

func (f fed) Read(p []byte) (int, error)  { return f.Reader.Read(p) }
func (f fed) Write(p []byte) (int, error) { return len(p), nil }

// Ensure that every reply of a real server comes through as it is, in pieces of any size.
func TestFramesHandOn(t *testing.T) {
	text := "+OK\r\n-ERR no\r\n:-5\r\n$-1\r\n*-1\r\n_\r\n#t\r\n,1.5\r\n(12345678901234567890\r\n$0\r\n\r\n$5\r\na\r\nb*\r\n=5\r\ntxt:x\r\n!3\r\nERR\r\n" +
		"*0\r\n%0\r\n*2\r\n*2\r\n:1\r\n$1\r\nx\r\n%1\r\n+a\r\n*0\r\n" +
		">3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$9\r\nm a 1 b 2\r\n>3\r\n$9\r\nsubscribe\r\n$2\r\n/a\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"
	text += fmt.Sprintf("$%d\r\n%s\r\n+end\r\n", 3*maxLine, bytes.Repeat([]byte("x"), 3*maxLine))
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader,
	} {
		for _, out := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			f := newFrames(fed{Reader: wrap(bytes.NewReader([]byte(text)))})
			got, err := io.ReadAll(out(f))
			if err != nil || string(got) != text {
				t.Errorf("%s: got %d bytes of %d: %.80q, %v", name, len(got), len(text), got, err)
			}
		}
	}
}

// Ensure that a text which is longer than any is cut, and the next one is not.
func TestFramesCut(t *testing.T) {
	const over = 100 << 20
	many := io.LimitReader(endless{}, over)
	f := newFrames(fed{Reader: io.MultiReader(bytes.NewReader(fmt.Appendf(nil, "*2\r\n$%d\r\n", over)), many, bytes.NewReader([]byte("\r\n:1\r\n+next\r\n")))})
	r := bufio.NewReader(f)
	for _, want := range []string{"*2\r\n", fmt.Sprintf("$%d\r\n", maxText)} {
		if got, err := r.ReadString('\n'); got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	if n, err := io.CopyN(io.Discard, r, maxText); err != nil {
		t.Fatalf("of a text of %d bytes, %d came: %v", maxText, n, err)
	}
	if rest, err := io.ReadAll(r); string(rest) != "\r\n:1\r\n+next\r\n" || err != nil {
		t.Errorf("behind it came %.80q, %v", rest, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// BenchmarkFrames measures what a connection costs more: the same messages read with and
// without.
func BenchmarkFrames(b *testing.B) {
	message := fmt.Appendf(nil, ">3\r\n$7\r\nmessage\r\n$5\r\n/room\r\n$100\r\n%0100d\r\n", 1)
	many := bytes.Repeat(message, 1000)
	for _, framed := range []bool{false, true} {
		b.Run(fmt.Sprintf("framed=%v", framed), func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			var conn net.Conn
			text := bytes.NewReader(nil)
			if conn = (fed{Reader: text}); framed {
				conn = newFrames(conn)
			}
			r := bufio.NewReaderSize(conn, 32<<10)
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					text.Reset(many)
				}
				if n, err := r.Discard(len(message)); err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
