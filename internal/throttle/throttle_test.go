package throttle

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func textLog(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// Ensure that a line is logged once an interval, with what was left out.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var l Line
		log := textLog(&text)
		for range 5 {
			l.Log(log, slog.LevelWarn, "knock", "from", "a")
		}
		time.Sleep(Interval)
		for range 2 {
			l.Log(log, slog.LevelWarn, "knock", "from", "b")
		}
		want := "level=WARN msg=knock from=a\nlevel=WARN msg=knock from=b left_out=4\n"
		if text.String() != want {
			t.Errorf("logged %q, want %q", text.String(), want)
		}
	})
}

// Ensure that answers wait, no more than so many of them, and that all are counted.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var g Guesses
		var answered, refused atomic.Int64
		var guessing sync.WaitGroup
		log, began := textLog(&text), time.Now()
		for range 100 {
			guessing.Go(func() {
				if g.Wrong(nil, log, "wrong") {
					answered.Add(1)
				} else {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if answered.Load() != 0 || refused.Load() != 100-MaxWaiting {
			t.Errorf("at once: %d answered, %d refused, want 0 and %d", answered.Load(), refused.Load(), 100-MaxWaiting)
		}
		guessing.Wait()
		if took := time.Since(began); answered.Load() != MaxWaiting || took != Delay || g.Count() != 100 {
			t.Errorf("%d answered after %v, %d counted, want %d, %v, 100", answered.Load(), took, g.Count(), MaxWaiting, Delay)
		}
		if n := strings.Count(text.String(), "\n"); n != 1 {
			t.Errorf("logged %d lines: %s", n, &text)
		}
		done := make(chan struct{})
		close(done)
		if g.Wrong(done, log, "wrong") || time.Since(began) != Delay {
			t.Error("waited though it was done")
		}
	})
}
