package bench

import "time"

// started is one moment on two clocks: the process's own, which is cheap to
// read, and the host's.
var (
	startedHere = time.Now()
	startedHost = hostClock()
)

// Now returns the time of the host's monotonic clock, which all of its
// processes share.
func Now() time.Duration { return startedHost + time.Since(startedHere) }
