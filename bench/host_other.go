//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// bindLoopback leaves the address to the system: only 127.0.0.1 is there
// without setting up others.
func bindLoopback(fd, source int) error { return nil }

func processCPU(pid int) (time.Duration, error) {
	return 0, fmt.Errorf("processor time of a process on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func processMemory(pid int) (int, error) {
	return 0, fmt.Errorf("memory of a process on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// hostClock is the wall clock: good enough while nobody sets it.
func hostClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
