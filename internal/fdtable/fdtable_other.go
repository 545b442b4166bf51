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

// Ferry carries descriptors between tables, where there are several.
type Ferry struct{}

// OpenFerry returns the error of Supported.
func OpenFerry() (*Ferry, error) { return nil, Supported() }

// Close does nothing.
func (f *Ferry) Close() error { return nil }

// Carry returns the error of Supported.
func (f *Ferry) Carry(fd int, land func(take func() (int, error)) error) error { return Supported() }
