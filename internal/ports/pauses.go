package ports

import (
	"errors"
	"syscall"
	"time"
)

const (
	// firstPause and lastPause bound the pause of a listener, which doubles from one
	// failure to the next.
	firstPause, lastPause = 50 * time.Millisecond, time.Second
	// patience is how many failures in a row may each be the end of the connection
	// that was to be accepted (ECONNABORTED, EPROTO; see accept(2)) before the listener
	// pauses.
	patience = 16
)

// Pauses say how long a listener waits before it accepts again. The zero value is of one
// that has not failed. Not safe for concurrent use.
type Pauses struct {
	failures int // in a row, that may have been the connections' own
	next     time.Duration
}

// Accepted notes that accepting has worked.
func (p *Pauses) Accepted() { *p = Pauses{} }

// After returns how long to wait after err of accept(2): not at all when it is likely
// the connection's own.
func (p *Pauses) After(err error) time.Duration {
	if p.failures++; !IsExhaustion(err) && p.failures < patience {
		return 0
	}
	p.next = min(max(2*p.next, firstPause), lastPause)
	return p.next
}

// IsExhaustion tells the errors that say nothing about a connection, but that the host
// or the process has no room for one.
func IsExhaustion(err error) bool {
	for _, e := range [...]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
