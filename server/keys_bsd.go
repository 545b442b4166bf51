//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapKeys returns memory of n bytes for keys. Nothing portable keeps it out of core dumps.
func mapKeys(n int) ([]byte, error) {
	memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	return memory, os.NewSyscallError("mmap", err)
}
