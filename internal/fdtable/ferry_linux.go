package fdtable

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ferries are the open ones. Go keeps their sockets in the tables that it makes.
var ferries = struct {
	sync.Mutex
	open map[*Ferry]bool
}{open: make(map[*Ferry]bool)}

// Ferry carries descriptors into the tables of threads that Go started while it was open: its
// two sockets have the same numbers in all of them. One passage is under way at a time. Safe
// for concurrent use.
type Ferry struct {
	passage sync.Mutex
	in, out int
}

// OpenFerry opens a ferry.
func OpenFerry() (*Ferry, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	f := &Ferry{in: pair[0], out: pair[1]}
	ferries.Lock()
	defer ferries.Unlock()
	ferries.open[f] = true
	return f, nil
}

// Close closes the ferry in the caller's table, once no call of Go is under way. In the tables
// of threads that Go started it stays open until they end.
func (f *Ferry) Close() error {
	ferries.Lock()
	delete(ferries.open, f)
	ferries.Unlock()
	f.passage.Lock()
	defer f.passage.Unlock()
	return errors.Join(unix.Close(f.in), unix.Close(f.out))
}

// sockets returns those of all open ferries.
func sockets() (fds []int) {
	ferries.Lock()
	defer ferries.Unlock()
	for f := range ferries.open {
		fds = append(fds, f.in, f.out)
	}
	return fds
}

// Carry brings fd, which stays the caller's, into the table of another thread. land has the
// goroutine of that thread call take, once, and returns when it has, or gives up; what it
// returns is what Carry returns. take returns the descriptor's number there. Called after land
// has returned, it fails.
func (f *Ferry) Carry(fd int, land func(take func() (int, error)) error) error {
	f.passage.Lock()
	defer f.passage.Unlock()
	if err := unix.Sendmsg(f.in, []byte{0}, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	var mu sync.Mutex
	over := false
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		if left, err := f.receive(); err == nil { // nobody has taken it
			unix.Close(left)
		}
	}()
	return land(func() (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return -1, fmt.Errorf("descriptor %d was taken too late", fd)
		}
		return f.receive()
	})
}

// receive takes what was sent into the table of the thread that calls it.
func (f *Ferry) receive() (int, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	n, length, flags, _, err := unix.Recvmsg(f.out, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	switch {
	case err != nil:
		return -1, os.NewSyscallError("recvmsg", err)
	case flags&unix.MSG_CTRUNC != 0 || length == 0:
		return -1, fmt.Errorf("recvmsg: %d bytes without a descriptor: the table has no room", n)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:length])
	if err != nil {
		return -1, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}
