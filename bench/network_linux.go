package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The values of networkVariable.
const (
	networkOuter = "outer" // in a namespace that only lends its settings
	networkOwn   = "own"
)

// ehashMost is the largest hash table of connections that a namespace may have.
const ehashMost = 1 << 24

// EnterNetwork runs this program again, with the same arguments, in a network
// namespace of its own, and returns its exit status; inside returns true there.
//
// Such a namespace has a hash table of TCP connections of its own, with room
// for so many sockets. The host's is sized at boot by its memory; when it is too
// small, every segment that arrives walks a chain of strangers. It takes no
// privilege where users may have namespaces.
func EnterNetwork(sockets int) (inside bool, status int, err error) {
	switch os.Getenv(networkVariable) {
	case networkOwn:
		return true, 0, nil
	case networkOuter:
		return false, 0, enterInner(sockets)
	}
	runtime.LockOSThread() // the new process ends with the thread that it comes from
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), networkVariable+"="+networkOuter)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = outerNamespace()
	if err := cmd.Start(); err != nil {
		return false, 0, fmt.Errorf("a network namespace: %w", err)
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return false, exit.ExitCode(), nil
	}
	return false, 0, err
}

// outerNamespace is a new network, and without privileges a new user namespace that
// grants them there.
func outerNamespace() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// enterInner goes on from the outer namespace to the inner one, whose table has
// the size that the outer one says, by executing this program once more.
func enterInner(sockets int) error {
	runtime.LockOSThread() // the new program begins where this thread is
	size := 1 << 16
	for size < 2*sockets && size < ehashMost {
		size *= 2
	}
	const setting = "/proc/sys/net/ipv4/tcp_child_ehash_entries" // Linux 6.1
	if err := os.WriteFile(setting, strconv.AppendInt(nil, int64(size), 10), 0); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := os.Setenv(networkVariable, networkOwn); err != nil {
		return err
	}
	return os.NewSyscallError("execve", unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// loopbackUp brings the loopback interface of a new namespace up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}
