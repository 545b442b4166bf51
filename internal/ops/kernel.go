package ops

import (
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/procfs"
)

// kernel are figures that Linux has for a network namespace.
type kernel struct {
	TCPPages        int     // memory of all TCP sockets, in pages
	MaxTCPPages     int     // above which sockets get no more
	ListenOverflows float64 // connections that found an accept queue full
	ListenDrops     float64 // connections that a listener dropped, those included
}

// readKernel reads the present figures. Elsewhere than on Linux there are none,
// which is an error.
func readKernel() (k kernel, err error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return k, err
	}
	self, err := proc.Self()
	if err != nil {
		return k, err
	}
	sockets, err1 := proc.NetSockstat()
	limits, err2 := proc.SysctlInts("net.ipv4.tcp_mem") // low, pressure, high
	protocols, err3 := self.Netstat()
	if err := errors.Join(err1, err2, err3); err != nil {
		return k, err
	}
	for _, p := range sockets.Protocols {
		if p.Protocol == "TCP" && p.Mem != nil {
			k.TCPPages = *p.Mem
		}
	}
	tcp := protocols.TcpExt
	if len(limits) != 3 || tcp.ListenOverflows == nil || tcp.ListenDrops == nil {
		return k, fmt.Errorf("tcp_mem %v and netstat do not have what Linux has there", limits)
	}
	k.MaxTCPPages, k.ListenOverflows, k.ListenDrops = limits[2], *tcp.ListenOverflows, *tcp.ListenDrops
	return k, nil
}

// pageSize is the unit of tcp_mem, in bytes.
var pageSize = os.Getpagesize()
