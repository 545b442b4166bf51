package testenv

import (
	"testing"
	"time"
)

// Patience bounds every wait of a test; none lasts that long unless something is broken,
// however busy the machine is.
const Patience = time.Minute

// Eventually waits until ok holds, looking at it again and again.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(Patience); !ok(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}
