package enginetest

import (
	"strings"
	"testing"
	"time"
)

// hearsControl holds an engine to what nodes tell each other beside events.
func hearsControl(t *testing.T, one, two *Local) {
	t.Helper()
	heard := make(ear, 100)
	stop := two.Broker.HearControl(func(data []byte) { heard.Hear("", "", data) })
	defer stop()
	all := make(ear, 100)
	two.Broker.Ports().ObserveGlob(all, "*")
	defer two.Broker.Ports().UnobserveGlob(all, "*")
	text := `{"from":"one"}` + strings.Repeat(" ", 4<<10-14)
	for deadline := time.After(patience); ; { // until the engine has the channel
		if err := one.Broker.Tell([]byte(text)); err != nil {
			t.Fatalf("Tell: %v", err)
		}
		select {
		case got := <-heard:
			if got != text {
				t.Errorf("a node has heard %.100q, want %.100q", got, text)
			}
			if len(all) > 0 {
				t.Error("a pattern hears what nodes tell each other")
			}
			return
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			t.Fatalf("a node has heard nothing within %v", patience)
		}
	}
}
