package bench

import (
	"errors"
	"fmt"
	"testing"

	"millrace/internal/gzipwire"
)

// Ensure that streams are inflated as each by itself would be, in pieces of any size, and that
// one which gets bytes that refer to text it lacks is an error.
func TestInflater(t *testing.T) {
	greeting := ":\nevent: millrace.start\ndata: {}\n\n"
	event := func(n int) string { return fmt.Sprintf("data: %d the same for all events\n\n", n) }
	var compressor gzipwire.Compressor
	compressed := func(n int) []byte {
		form, ok := compressor.Append(nil, []byte(event(n)), []byte(event(n-1)))
		if !ok {
			t.Fatal("not compressed")
		}
		return form
	}
	stored := func(text string) []byte { return gzipwire.AppendStored(nil, []byte(text), 0) }
	for _, size := range []int{1, 3, 1000} {
		f := newInflater(false)
		send := func(fd int32, p []byte) (text string, err error) {
			for len(p) > 0 && err == nil {
				var part []byte
				n := min(size, len(p))
				part, err = f.take(fd, p[:n])
				text, p = text+string(part), p[n:]
			}
			return text, err
		}
		want := func(fd int32, p []byte, want string) {
			t.Helper()
			if got, err := send(fd, p); got != want || err != nil {
				t.Fatalf("pieces of %d bytes, stream %d: %q, %v, want %q", size, fd, got, err, want)
			}
		}
		for fd := range int32(3) {
			f.begin(fd)
			want(fd, append([]byte(gzipwire.Header), stored(greeting)...), greeting)
		}
		want(0, stored(event(1)), event(1))
		want(1, stored(event(1)), event(1))
		for fd := range int32(2) {
			want(fd, compressed(2), event(2))
			want(fd, []byte(gzipwire.Empty), "")
		}
		f.begin(3) // which comes, and then gets more at once than another has
		want(3, append([]byte(gzipwire.Header), stored(greeting)...), greeting)
		want(3, append(stored(event(2)), compressed(3)...), event(2)+event(3))
		want(1, stored(":ping\n\n"), ":ping\n\n")
		want(0, compressed(3), event(3))
		for _, fd := range []int32{1, 2} { // which have had something else before
			if got, err := send(fd, compressed(3)); !errors.Is(err, ErrGarbled) {
				t.Errorf("pieces of %d bytes, stream %d: %q, %v of text that refers to what it lacks, want %v", size, fd, got, err, ErrGarbled)
			}
		}
	}
}
