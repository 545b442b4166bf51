package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// peer is another process. It is known by a pidfd, since a number may be given to
// another one as soon as a process has ended. Its methods are safe for concurrent use.
type peer struct {
	pid  int // for people
	gone chan struct{}

	mu sync.Mutex
	fd int // -1 when the process has ended
}

// watch returns the process of a pidfd, which it owns from then on.
func watch(pid, fd int) *peer {
	p := &peer{pid: pid, fd: fd, gone: make(chan struct{})}
	go func() {
		for n := 0; n != 1; { // a signal may interrupt it
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		unix.Close(fd)
		p.fd = -1
		close(p.gone)
	}()
	return p
}

// Gone is closed when the process has ended.
func (p *peer) Gone() <-chan struct{} { return p.gone }

// Kill ends the process, which may take a moment: see Gone.
func (p *peer) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd >= 0 {
		unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
	}
}

// PID returns its number.
func (p *peer) PID() int { return p.pid }

// ownPidfd returns a pidfd of this process.
func ownPidfd() (int, error) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return -1, fmt.Errorf("pidfd_open (Linux 5.3 or newer): %w", err)
	}
	return fd, nil
}

// startSibling starts program as a child of this process's parent: a supervisor then has it
// as a child of its own, as systemd wants of a main process. files are its descriptors from 3
// on, beside the standard ones.
func startSibling(program string, args, env []string, files ...int) (*peer, error) {
	descriptors := []uintptr{0, 1, 2}
	for _, fd := range files {
		descriptors = append(descriptors, uintptr(fd))
	}
	pidfd := -1
	pid, err := syscall.ForkExec(program, append([]string{program}, args...), &syscall.ProcAttr{
		Env: env, Files: descriptors,
		Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT, PidFD: &pidfd},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	if pidfd < 0 { // and nobody waits for the process but its parent
		unix.Kill(pid, unix.SIGKILL)
		return nil, fmt.Errorf("%s: the kernel gives no pidfd with a new process, want Linux 5.3 or newer", program)
	}
	return watch(pid, pidfd), nil
}

// peerOf returns the user and the number of the process at the other end of a Unix socket: of a
// listener, of the one that has opened it.
func peerOf(conn *net.UnixConn) (uid, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, 0, err
	}
	var peer *unix.Ucred
	if e := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		err = e
	}
	if err != nil {
		return -1, 0, os.NewSyscallError("getsockopt", err)
	}
	return int(peer.Uid), int(peer.Pid), nil
}

// pidOf returns the number of the process of a pidfd, 0 if that cannot be read or there is none.
func pidOf(pidfd int) (pid int) {
	info, _ := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	for line := range strings.Lines(string(info)) {
		if text, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, _ = strconv.Atoi(strings.TrimSpace(text))
		}
	}
	return max(0, pid)
}

// controlSupported is whether a running process can be upgraded on this system.
const controlSupported = true

// isInherited tells whether a descriptor was open when the process began, which is the parent's
// doing: others are closed on exec. This one is from now on, too.
func isInherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return false
	}
	unix.CloseOnExec(fd)
	return true
}
