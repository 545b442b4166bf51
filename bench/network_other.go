//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"runtime"
)

// EnterNetwork is for Linux.
func EnterNetwork(sockets int) (inside bool, status int, err error) {
	return false, 0, fmt.Errorf("a network namespace on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
