package bench

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotInstalled says that there is no such server on this host.
var ErrNotInstalled = errors.New("not installed")

// startConfigured starts a server that is told by a configuration in a directory of its own to
// take streams at an address, and returns when it does.
func startConfigured(configure func(dir, addr string) (*exec.Cmd, error)) (*Server, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s, err := startIn(dir, configure)
	if err != nil {
		os.RemoveAll(dir)
	}
	return s, err
}

func startIn(dir string, configure func(dir, addr string) (*exec.Cmd, error)) (*Server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd, err := configure(dir, addr)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	ended, err := startOwned(cmd, func() {})
	if err != nil {
		return nil, err
	}
	end := func() {
		cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		os.RemoveAll(dir)
	}
	if err := awaitListener(addr, ended); err != nil {
		end()
		return nil, err
	}
	return &Server{Addr: addr, pids: family(cmd.Process.Pid), close: end}, nil
}

// freeAddr returns a loopback address with a port that was free a moment ago.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// awaitListener returns when somebody listens at addr.
func awaitListener(addr string, ended <-chan struct{}) error {
	deadline := time.Now().Add(startTimeout)
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("the server at %s has ended: %w", addr, err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %w after %v: %w", addr, ErrTimeout, startTimeout, err)
		}
	}
}
