package throttle

import (
	"bytes"
	"log/slog"
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
