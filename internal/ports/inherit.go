package ports

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"millrace/internal/handover"
)

// Inherit returns the listener that a descriptor means, which came from another process. It
// owns the descriptor, also if there is an error.
func Inherit(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), "listener")
	if file == nil {
		return nil, fmt.Errorf("descriptor %d of a listener, want 0 or more", fd)
	}
	defer file.Close() // ln has one of its own
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d of a listener: %w", fd, err)
	}
	return ln, nil
}

// InheritConn is Inherit for a connection.
func InheritConn(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "connection")
	if file == nil {
		return nil, fmt.Errorf("descriptor %d of a connection, want 0 or more", fd)
	}
	defer file.Close()
	nc, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d of a connection: %w", fd, err)
	}
	return nc, nil
}

// Descriptor returns that of a listener or a connection, to be sent to another process. It
// stays that of x, and has to be sent before x is closed.
func Descriptor(x any) (fd int, err error) {
	conn, ok := x.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%T has no descriptor", x)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// CheckCookie returns an error if nc is not the connection that had the cookie in another
// process.
func CheckCookie(nc net.Conn, want uint64) error {
	fd, err := Descriptor(nc)
	if err != nil {
		return err
	}
	got, err := handover.Cookie(fd)
	if err == nil && got != want {
		err = fmt.Errorf("the descriptor of a connection means another one: its cookie is %d, want %d", got, want)
	}
	return err
}
