package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

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

// processMemory returns how much memory of a process is resident, and how much
// of that is anonymous, in bytes.
func processMemory(pid int) (rss, anon int, err error) {
	file := fmt.Sprintf("/proc/%d/status", pid)
	figures, err := kilobytes(file)
	if err != nil {
		return 0, 0, err
	}
	rss, ok := figures["VmRSS"]
	if !ok {
		return 0, 0, fmt.Errorf("%s: no VmRSS: the process has ended", file)
	}
	return rss, figures["RssAnon"], nil
}

// ownedByParent has a process ended when the one that starts it has.
func ownedByParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }

// children returns the processes that a process has started.
func children(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file) // it may have ended
		for _, word := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(word); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// kernelMemory returns the memory that the kernel holds for itself on the whole host, in
// bytes: slabs, stacks, page tables and the buffers of TCP sockets.
func kernelMemory() (int, error) {
	m, err := kilobytes("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, pages, err := tcpSockets()
	return m["Slab"] + m["KernelStack"] + m["PageTables"] + pages*os.Getpagesize(), err
}

// tcpSockets returns how many TCP sockets are in use on the host, and how many
// pages their buffers have.
func tcpSockets() (inUse, pages int, err error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 11 || words[0] != "TCP:" {
			continue
		}
		inUse, err = strconv.Atoi(words[2])
		pages, err2 := strconv.Atoi(words[10])
		return inUse, pages, errors.Join(err, err2)
	}
	return 0, 0, fmt.Errorf("/proc/net/sockstat: no line of TCP in %q", text)
}

// hostClock reads CLOCK_MONOTONIC.
func hostClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every Linux has it
	}
	return time.Duration(ts.Nano())
}

// hasEnded tells whether a process has ended, waited for or not.
func hasEnded(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}
