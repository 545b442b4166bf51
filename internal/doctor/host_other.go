//go:build !linux

package doctor

import (
	"math"
	"runtime"
	"syscall"

	"millrace/internal/fdtable"
)

// Local reads this host: of systems without /proc, the descriptor limit only.
// The runtime has raised the soft limit as far as the system lets it, which may
// be less than the hard one says.
func Local() Host {
	h := Host{
		Machine:     Machine{System: runtime.GOOS, Arch: runtime.GOARCH, Processors: runtime.NumCPU(), Memory: Unknown},
		Descriptors: Descriptors{Soft: Unknown, Hard: Unknown}, Tables: fdtable.Supported(),
		NrOpen: Unknown, FileMax: Unknown, TCPMem: [3]int64{Unknown, Unknown, Unknown}, MemAvailable: Unknown,
		Conntrack: Unknown, Watches: Unknown, ThreadsMax: Unknown,
		Unread: []Unread{{Name: "everything but descriptors", Reason: runtime.GOOS + " has no /proc/sys"}},
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		h.Unread = append(h.Unread, Unread{Name: "ulimit -n", Reason: err.Error()})
		return h
	}
	soft := Count(min(uint64(limit.Cur), math.MaxInt64)) // signed on FreeBSD
	h.Descriptors = Descriptors{Soft: soft, Hard: soft}
	return h
}
