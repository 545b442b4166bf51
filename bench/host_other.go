//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

func processCPU(pid int) (time.Duration, error) {
	return 0, fmt.Errorf("processor time of a process on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func processMemory(pid int) (rss, anon int, err error) {
	return 0, 0, fmt.Errorf("memory of a process on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func kernelMemory() (int, error) {
	return 0, fmt.Errorf("memory of the kernel on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func tcpSockets() (inUse, pages int, err error) {
	return 0, 0, fmt.Errorf("sockets of the host on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// ownedByParent has no portable equal here.
func ownedByParent() *syscall.SysProcAttr { return nil }

// children is not known here.
func children(pid int) []int { return nil }

// hostClock is the wall clock: good enough while nobody sets it.
func hostClock() time.Duration { return time.Duration(time.Now().UnixNano()) }

// hasEnded is not known here.
func hasEnded(pid int) bool { return false }
