package fdtable

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Supported returns nil when Go works here: it tries, on a thread that ends
// afterwards. Safe for concurrent use.
var Supported = sync.OnceValue(func() error {
	tried := make(chan error, 1)
	if err := Go(func(err error) { tried <- err }); err != nil {
		return err
	}
	return <-tried
})

// Go starts f on a thread with a descriptor table of its own. The thread ends
// when f returns, and with it everything left open in its table. f is told when the
// table could not be made; then it runs with that of the process. Go itself fails
// when it cannot tell which descriptors have to be kept.
func Go(f func(err error)) error {
	kept, err := pollers()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	kept = append(append(kept, 0, 1, 2), sockets()...)
	slices.Sort(kept)
	go lockedTo(kept, f)
	return nil
}

// lockedTo runs f on the thread it finds itself on, unless that is the first of
// the process: the first outlives its goroutine, and its table is the one that
// /proc/<pid>/fd shows.
func lockedTo(kept []int, f func(error)) {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	if unix.Gettid() == unix.Getpid() {
		elsewhere := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(elsewhere)
			lockedTo(kept, f)
		}()
		<-elsewhere // holding the first thread until the other has one
		runtime.UnlockOSThread()
		return
	}
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		f(fmt.Errorf("%w: %w", ErrUnsupported, os.NewSyscallError("unshare", err)))
		return
	}
	f(closeAllBut(kept))
}

// closeAllBut closes all open descriptors but kept, which is sorted.
func closeAllBut(kept []int) error {
	first := 0
	for _, fd := range append(kept, -1) {
		last := fd - 1
		if fd < 0 {
			last = int(^uint32(0) >> 1)
		}
		if first <= last {
			if err := unix.CloseRange(uint(first), uint(last), 0); err != nil {
				return fmt.Errorf("%w: %w", ErrUnsupported, os.NewSyscallError("close_range", err))
			}
		}
		first = max(first, fd+1)
	}
	return nil
}

// pollers returns the descriptors of the process that are epoll instances or
// eventfds, those of the runtime among them.
func pollers() ([]int, error) {
	r, w, err := os.Pipe() // the runtime's poller comes with the first file that needs it
	if err != nil {
		return nil, err
	}
	defer r.Close()
	defer w.Close()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return nil, err
		}
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && (strings.HasSuffix(target, "[eventpoll]") || strings.HasSuffix(target, "[eventfd]")) {
			found = append(found, fd)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no poller among %d descriptors in /proc/self/fd", len(entries))
	}
	return found, nil
}
