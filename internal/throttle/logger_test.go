package throttle

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// Ensure that one line of each message is passed on in a second, with the number of
// those that were not.
func TestLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := new(bytes.Buffer)
		to := Logger(textLog(got))
		to.With("peer", 1).Warn("a")
		to.With("peer", 2).Warn("a")
		to.Warn("b")
		time.Sleep(Interval - time.Nanosecond)
		to.Warn("a")
		time.Sleep(time.Nanosecond)
		to.Warn("a")
		to.Warn("b")
		time.Sleep(Interval)
		to.WithGroup("g").Warn("a", "x", 1)
		want := "level=WARN msg=a peer=1\nlevel=WARN msg=b\nlevel=WARN msg=a left_out=2\nlevel=WARN msg=b\nlevel=WARN msg=a g.x=1\n"
		if got.String() != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

// Ensure that all lines of net/http count as one message.
func TestErrorLog(t *testing.T) {
	got := new(bytes.Buffer)
	log := ErrorLog(textLog(got), "a bad connection")
	for i := range 1000 {
		log.Printf("http: of client %d", i)
	}
	if want := "level=WARN msg=\"a bad connection\" error=\"http: of client 0\"\n"; got.String() != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
