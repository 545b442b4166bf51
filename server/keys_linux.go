package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapKeys returns memory of n bytes for keys: in no core dump, and in no child.
func mapKeys(n int) ([]byte, error) {
	memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	for _, advice := range []int{unix.MADV_DONTDUMP, unix.MADV_WIPEONFORK} {
		if err := unix.Madvise(memory, advice); err != nil {
			unix.Munmap(memory)
			return nil, os.NewSyscallError("madvise", err)
		}
	}
	return memory, nil
}
