package ops

import (
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/procfs"
)

// pageSize is the unit of tcp_mem, in bytes.
var pageSize = os.Getpagesize()

// tcpMemory returns the memory of all TCP sockets of the network namespace, and
// the most that they get, in pages. Elsewhere than on Linux it is an error.
func tcpMemory(proc procfs.FS) (pages, most int, err error) {
	sockets, err := proc.NetSockstat()
	if err != nil {
		return 0, 0, err
	}
	limits, err := proc.SysctlInts("net.ipv4.tcp_mem") // low, pressure, high
	if err != nil || len(limits) != 3 {
		return 0, 0, errors.Join(fmt.Errorf("tcp_mem: %v, want three numbers", limits), err)
	}
	for _, p := range sockets.Protocols {
		if p.Protocol == "TCP" && p.Mem != nil {
			pages = *p.Mem
		}
	}
	return pages, limits[2], nil
}

// listenFailures returns how many connections of the network namespace found an
// accept queue full, and how many a listener dropped, those included.
func listenFailures(proc procfs.FS) (overflows, drops float64, err error) {
	self, err := proc.Self()
	if err != nil {
		return 0, 0, err
	}
	protocols, err := self.Netstat()
	if err != nil {
		return 0, 0, err
	}
	tcp := protocols.TcpExt
	if tcp.ListenOverflows == nil || tcp.ListenDrops == nil {
		return 0, 0, errors.New("netstat has no ListenOverflows or no ListenDrops")
	}
	return *tcp.ListenOverflows, *tcp.ListenDrops, nil
}
