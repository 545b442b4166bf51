package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// bindLoopback binds fd to 127.0.0.1 plus source. The port is chosen when the
// socket connects: then two sockets may have the same one, if their peers
// differ.
func bindLoopback(fd, source int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	host := source + 1
	addr := unix.SockaddrInet4{Addr: [4]byte{127, byte(host >> 16), byte(host >> 8), byte(host)}}
	return os.NewSyscallError("bind", unix.Bind(fd, &addr))
}

// processCPU returns the processor time that a process has used, in user and
// system mode, exact to the nanosecond: the clock that clock_getcpuclockid(3)
// would name.
func processCPU(pid int) (time.Duration, error) {
	const cpuclockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// processMemory returns how much anonymous memory of a process is resident, in
// bytes.
func processMemory(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nRssAnon:"))
	value, _, _ := bytes.Cut(rest, []byte(" kB"))
	kilobytes, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return kilobytes << 10, nil
}

// hostClock reads CLOCK_MONOTONIC.
func hostClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every Linux has it
	}
	return time.Duration(ts.Nano())
}
