//go:build !linux

package fdtable

import (
	"fmt"
	"runtime"
)

// Supported returns why Go does not work here.
func Supported() error {
	return fmt.Errorf("%w: %s has no unshare(CLONE_FILES)", ErrUnsupported, runtime.GOOS)
}

// Go returns the error of Supported.
func Go(f func(err error)) error { return Supported() }
