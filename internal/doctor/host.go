package doctor

import (
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
)

// Host has the limits of a host, and their use. A number is Unknown if it could not be read,
// and Unlimited if there is no limit.
type Host struct {
	Machine     Machine
	Descriptors Descriptors
	Tables      error // nil where loops can have descriptor tables of their own

	NrOpen                   int64    // the most that the descriptor limit can be raised to
	FileMax, Files           int64    // open files of the whole host
	TCPMem                   [3]int64 // pages: enough, pressure, most
	MemAvailable             int64    // bytes
	Conntrack, Tracked       int64    // connections that netfilter tracks; Unknown without the module
	Watches                  int64    // descriptors in pollers, for each user
	ThreadsMax, Threads      int64    // of the whole host
	Memory, MemoryHigh, Pids ceiling

	Unread []Unread

	values map[string]string // of the settings that could be read, by name
}

// Descriptors is the limit on open descriptors of this process. The Go runtime
// has raised the soft one to the hard one before anybody can look, and the
// server would.
type Descriptors struct {
	Soft     Count `json:"soft"`
	Hard     Count `json:"hard"`
	MayRaise bool  `json:"may_raise"` // CAP_SYS_RESOURCE: may raise the hard limit
}

// Machine describes the examined host.
type Machine struct {
	System     string `json:"system"` // GOOS
	Kernel     string `json:"kernel,omitempty"`
	Arch       string `json:"arch"` // GOARCH
	Processors int    `json:"processors"`
	Memory     Count  `json:"memory"` // bytes
}

func (m Machine) String() string {
	text := strings.Join(strings.Fields(m.System+" "+m.Kernel), " ")
	return fmt.Sprintf("%s, %s, processors: %d, memory: %s", text, m.Arch, m.Processors, binary(int64(m.Memory)))
}

// Read reads a Linux host from files, the root of its file system. It does not
// tell whether loops can have descriptor tables of their own.
func Read(files fs.FS) Host {
	s := &source{files: files}
	h := Host{Machine: s.machine(), Descriptors: s.descriptors()}
	h.NrOpen = s.sysctl("fs.nr_open", 1)[0]
	h.FileMax = s.sysctl("fs.file-max", 1)[0]
	h.Files = s.sysctl("fs.file-nr", 3)[0] // allocated, always 0, file-max
	h.TCPMem = [3]int64(s.sysctl("net.ipv4.tcp_mem", 3))
	h.Watches = s.sysctl("fs.epoll.max_user_watches", 1)[0]
	h.ThreadsMax = s.sysctl("kernel.threads-max", 1)[0]
	h.Threads = s.threads()
	h.MemAvailable = s.meminfo("MemAvailable")
	h.Conntrack, h.Tracked = s.conntrack()
	h.Memory, h.MemoryHigh, h.Pids = s.cgroups()
	h.values = s.values()
	h.Unread = s.unread
	return h
}

func (s *source) machine() Machine {
	m := Machine{System: "linux", Arch: runtime.GOARCH, Processors: runtime.NumCPU(), Memory: Unknown}
	if kernel, err := s.text("proc/sys/kernel/osrelease"); err != nil {
		s.failed("kernel", err)
	} else {
		m.Kernel = strings.TrimSpace(kernel)
	}
	m.Memory = Count(s.meminfo("MemTotal"))
	return m
}

func (s *source) descriptors() Descriptors {
	const limits, status = "proc/self/limits", "proc/self/status"
	d := Descriptors{Soft: Unknown, Hard: Unknown}
	words, err := s.field(limits, "Max open files")
	if err == nil && len(words) < 2 {
		err = ErrFormat
	}
	var soft, hard int64
	if err == nil {
		soft, err = parse(words[0])
	}
	if err == nil {
		hard, err = parse(words[1])
	}
	if err != nil {
		s.failed("ulimit -n", err)
	} else {
		d.Soft, d.Hard = Count(soft), Count(hard)
	}
	const capSysResource = 24 // linux/capability.h
	words, err = s.field(status, "CapEff:")
	var effective uint64
	if err == nil {
		effective, err = strconv.ParseUint(words[0], 16, 64)
	}
	if err != nil {
		s.failed("CAP_SYS_RESOURCE", err)
	}
	d.MayRaise = effective>>capSysResource&1 == 1
	return d
}

// meminfo returns bytes; the file has KiB.
func (s *source) meminfo(name string) int64 {
	kib, err := s.amount("proc/meminfo", name+":")
	if err != nil {
		s.failed(name, err)
		return Unknown
	}
	return kib << 10
}

// threads returns how many the host has: the second half of the fourth word of
// loadavg (proc_loadavg(5)).
func (s *source) threads() int64 {
	text, err := s.text("proc/loadavg")
	if err == nil {
		words := strings.Fields(text)
		if len(words) < 4 {
			err = ErrFormat
		} else {
			var n int64
			_, total, _ := strings.Cut(words[3], "/")
			if n, err = parse(total); err == nil {
				return n
			}
		}
	}
	s.failed("number of threads", err)
	return Unknown
}

// conntrack returns Unknown twice if the module is not loaded.
func (s *source) conntrack() (most, tracked int64) {
	if _, err := fs.Stat(s.files, sysctlFile(conntrackMax)); err != nil {
		return Unknown, Unknown
	}
	return s.sysctl(conntrackMax, 1)[0], s.sysctl("net.netfilter.nf_conntrack_count", 1)[0]
}

const conntrackMax = "net.netfilter.nf_conntrack_max"

// Room returns how many bytes and tasks more this process's control groups allow, and the
// host's memory; Unlimited where nothing is known to bound them.
func (h *Host) Room() (bytes, tasks int64) {
	bytes, tasks = Unlimited, Unlimited
	if h.MemAvailable != Unknown {
		bytes = h.MemAvailable
	}
	if h.Memory.setting != "" {
		bytes = min(bytes, h.Memory.left())
	}
	if h.Pids.setting != "" {
		tasks = h.Pids.left()
	}
	return bytes, tasks
}
