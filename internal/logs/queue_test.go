package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// text is the form of the tests: without a time.
func text(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

// reader is the other end of a log: it takes nothing while it is stuck.
type reader struct {
	mu   sync.Mutex // held while stuck
	got  bytes.Buffer
	fail error
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return 0, r.fail
	}
	return r.got.Write(p)
}

// Ensure that all lines come, in order, and Close waits for the last.
func TestLinesInOrder(t *testing.T) {
	r := new(reader)
	q := Open(r, text)
	var want strings.Builder
	for i := range 1000 {
		q.Logger().Info("line", "n", i)
		fmt.Fprintf(&want, "level=INFO msg=line n=%d\n", i)
	}
	q.Close(time.Minute)
	if got := r.got.String(); got != want.String() || q.Dropped() != 0 {
		t.Errorf("%d bytes, %d lines dropped, want the %d bytes of 1000 lines:\n%.300s", len(got), q.Dropped(), want.Len(), got)
	}
	q.Logger().Info("too late")
	if q.Dropped() != 1 {
		t.Errorf("a line after Close: %d dropped, want 1", q.Dropped())
	}
}

// Ensure that a reader that is stuck costs no more than the queue, blocks neither a
// logger nor Close, and is told of every line that it has not got.
func TestReaderIsStuck(t *testing.T) {
	r := new(reader)
	q := Open(r, text)
	r.mu.Lock()
	const lines = 10_000
	padding := strings.Repeat("x", 1000)
	for range lines {
		q.Logger().Info(padding)
	}
	if room := int64(2 * maxWaiting / len(padding)); q.Dropped() < lines-room {
		t.Errorf("%d of %d lines dropped, want all but %d", q.Dropped(), lines, room)
	}
	q.mu.Lock()
	if len(q.waiting) > maxWaiting {
		t.Errorf("%d bytes wait, want at most %d", len(q.waiting), maxWaiting)
	}
	q.mu.Unlock()
	r.mu.Unlock()
	q.Close(time.Minute)
	var told int64
	for _, line := range regexp.MustCompile(`lines were dropped" lines=(\d+)\n`).FindAllStringSubmatch(r.got.String(), -1) {
		n, _ := strconv.ParseInt(line[1], 10, 64)
		told += n
	}
	if told != q.Dropped() {
		t.Errorf("the log tells of %d dropped lines, want %d", told, q.Dropped())
	}

	stuck := Open(r, text)
	r.mu.Lock()
	defer r.mu.Unlock()
	stuck.Logger().Info("never read")
	stuck.Close(time.Millisecond)
}

// Ensure that lines which cannot be written are counted, and told of when it works again.
func TestWritesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{fail: errors.New("broken pipe")}
		q := Open(r, text)
		for range 3 {
			q.Logger().Info("lost")
			synctest.Wait()
		}
		r.fail = nil
		q.Logger().Info("back")
		synctest.Wait()
		want := "level=INFO msg=back\nlevel=WARN msg=\"the log could not keep up: lines were dropped\" lines=3\n"
		if got := r.got.String(); got != want || q.Dropped() != 3 {
			t.Errorf("%d dropped, want 3; got\n%swant\n%s", q.Dropped(), got, want)
		}
		q.Close(time.Second)
	})
}

// BenchmarkLine is what a line costs its logger.
func BenchmarkLine(b *testing.B) {
	q := Open(io.Discard, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) })
	defer q.Close(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		q.Logger().Info("client connected", "peer", "192.0.2.1:12345", "channels", "/rooms/42", "loop", 3)
	}
}
