package server

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptorLimit raises the soft limit on open descriptors to the hard one and
// returns it. What cannot be raised stays as it is.
func descriptorLimit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 256 // POSIX promises less, every platform here gives more
	}
	if limit.Cur < limit.Max {
		raised := unix.Rlimit{Cur: limit.Max, Max: limit.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// maxTable is the number of descriptors that a table has room for at most,
// whatever the limit says: 16 million.
const maxTable = 1 << 24

// maxLoops is the number of event loops at most. With a descriptor table each,
// every one is a thread.
const maxLoops = 1024

// reserve returns how many descriptors under limit are kept from streams: one
// half for requests that are no streams and for those that are turned away, the
// other for the rest of the process.
func reserve(limit int) int {
	return min(max(limit/64, 64), 1024)
}
