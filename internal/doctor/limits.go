package doctor

import "fmt"

// The costs of one event stream. All figures are measured, on Linux 6.18 (amd64).
const (
	// A socket that the server holds, idle, in the kernel: TCP 2,368 bytes,
	// sock_inode 832, dentry 192, filp 192, epitem 128, eppoll_entry 64, security
	// 56, its place in the descriptor table 8, and 5% that slabs leave unused.
	socketBytes = 4050

	// Both ends on this host: 9.2 GB of slab at 1.0 million streams, which is more
	// than two sockets' worth, for the structures that bind and hash the client's port.
	loopbackBytes = 9200

	// The server's own memory: 97.8 MB resident with 1,001,700 streams, all
	// included.
	processBytes = 98

	// An event under way is charged to TCP as one page, to the sender until it is
	// acknowledged and then to the receiver until it is read: on loopback with
	// 9,000 streams, sockstat's mem rose from 59 to 9,019 pages at one unread event
	// each, stayed there at two, and fell to 59 when they were read.
	eventPages = 1
)

// What server plans with, see server/capacity.go; a test
// compares the two.
const (
	maxTable    = 1 << 24 // descriptors that one table has room for at most
	unevenShare = 16      // with a table per loop, 1/16 of each is left for an uneven spread
	maxLoops    = 1024
)

// spare is how many descriptors of a table are kept from streams: a share of the
// limit, within bounds.
type spare struct{ share, least, most int64 }

var (
	sharedSpare = spare{16, 128, 2048} // of the process's one table
	loopSpare   = spare{64, 64, 1024}  // of each of several
)

func (s spare) of(limit int64) int64 { return min(max(limit/s.share, s.least), s.most) }

// room returns how many streams a table holds under a descriptor limit.
func (s spare) room(limit int64) int64 {
	limit = min(limit, maxTable)
	return max(limit-s.of(limit), 1)
}

// limit returns the least limit under which a table holds streams.
func (s spare) limit(streams int64) int64 {
	limit := streams
	for limit-s.of(limit) < streams {
		limit = streams + s.of(limit)
	}
	return limit
}

// Tabled tells whether the server, left to choose, gives each loop a descriptor
// table in order to hold that many streams.
func (h *Host) Tabled(streams int) bool {
	hard := int64(h.Descriptors.Hard)
	return hard != Unknown && int64(streams) > sharedSpare.room(hard) && h.Tables == nil
}

// perTable returns how many streams the server plans for each of several tables.
func (h *Host) perTable() int64 {
	limit := int64(h.Descriptors.Hard)
	if limit == Unknown {
		return Unknown
	}
	if h.NrOpen != Unknown {
		limit = min(limit, h.NrOpen)
	}
	room := loopSpare.room(limit)
	return room - room/unevenShare
}

// limits returns the limits of the number of streams under p, the one that allows least
// first. Limits that could not be read are left out.
func (h *Host) limits(p Plan) []Limit {
	ends := int64(1) // of a stream, on this host
	bytes := int64(socketBytes + processBytes)
	if p.Loopback {
		ends, bytes = 2, loopbackBytes+processBytes
	}
	var limits []Limit
	add := func(known bool, l Limit) {
		if known {
			limits = append(limits, l)
		}
	}
	add(h.Descriptors.Hard != Unknown, h.descriptors(p))
	add(h.NrOpen != Unknown, h.nrOpen(p))
	// Every socket is an open file (file_table.c, alloc_empty_file). The kernel
	// does not hold CAP_SYS_ADMIN to this limit; a server should not have it.
	add(h.FileMax != Unknown && h.Files != Unknown, count("open files", "fs.file-max", h.FileMax, h.Files, ends))
	// Every socket is in a poller, of the same user at both ends (epoll(7)).
	add(h.Watches != Unknown, count("epoll watches", "fs.epoll.max_user_watches", h.Watches, 0, ends))
	// One entry for a connection, also on loopback: a tuple for each direction.
	add(h.Conntrack != Unknown && h.Tracked != Unknown, h.conntrack())
	add(h.MemAvailable != Unknown, h.memory(bytes))
	// The kernel charges a group for the slabs of its sockets (SLAB_ACCOUNT).
	add(h.Memory.setting != "", groupMemory("cgroup memory", "MemoryMax", "--memory", h.Memory, bytes))
	add(h.MemoryHigh.setting != "", groupMemory("cgroup high", "MemoryHigh", "", h.MemoryHigh, bytes))
	add(p.PerLoop && h.perTable() != Unknown, h.loops())
	// A table per loop takes a thread per loop. This process's own threads, which
	// are counted, stand for the server's others.
	add(h.ThreadsMax != Unknown && h.Threads != Unknown, h.threads(p, ceiling{"kernel.threads-max", h.ThreadsMax, h.Threads}, "threads",
		func(n int64) []Fix { return []Fix{sysctl("kernel.threads-max", n)} }))
	add(h.Pids.setting != "", h.threads(p, h.Pids, "cgroup tasks",
		func(n int64) []Fix {
			return []Fix{{"systemd", fmt.Sprintf("TasksMax=%d", n)}, {"container", fmt.Sprintf("--pids-limit=%d", n)}}
		}))
	return byAllowance(limits)
}

func (h *Host) descriptors(p Plan) Limit {
	hard := h.Descriptors.Hard // the server raises the soft limit to it
	l := Limit{Name: "descriptors", Setting: "ulimit -n", Value: number(int64(hard)), Allows: Unlimited}
	if p.PerLoop {
		return l // bounds each loop; threads bound the loops
	}
	l.Allows = Count(sharedSpare.room(int64(hard)))
	l.fix = func(streams int64) (fixes []Fix) {
		fixes = h.descriptorFixes(sharedSpare.limit(streams))
		if h.Tables == nil {
			fixes = append(fixes, Fix{"serve", fmt.Sprintf("--fd-tables per-loop --max-connections %d", streams)})
		}
		return fixes
	}
	return l
}

// descriptorFixes are the ways to raise the descriptor limit to need.
func (h *Host) descriptorFixes(need int64) (fixes []Fix) {
	if need > maxTable {
		return nil
	}
	fixes = append(fixes,
		Fix{"systemd", fmt.Sprintf("LimitNOFILE=%d", need)},
		Fix{"container", fmt.Sprintf("--ulimit nofile=%d:%d", need, need)})
	if h.Descriptors.MayRaise {
		fixes = append(fixes, Fix{"shell", fmt.Sprintf("ulimit -n %d", need)})
	}
	return fixes
}

// nrOpen is the most that a descriptor limit can be raised to, and a limit itself should
// it have been lowered since (fs/file.c, expand_files).
func (h *Host) nrOpen(p Plan) Limit {
	l := Limit{Name: "table size", Setting: "fs.nr_open", Value: number(h.NrOpen), Allows: Unlimited}
	if p.PerLoop {
		return l
	}
	l.Allows = Count(sharedSpare.room(h.NrOpen))
	l.fix = func(streams int64) []Fix {
		if need := sharedSpare.limit(streams); need <= maxTable {
			return []Fix{sysctl("fs.nr_open", need)}
		}
		return nil
	}
	return l
}

// count is a limit on things of which a stream needs each.
func count(name, setting string, limit, used, each int64) Limit {
	l := Limit{Name: name, Setting: setting, Value: number(limit), Allows: Unlimited}
	if limit != Unlimited {
		l.Allows = Count(max(limit-used, 0) / each)
	}
	l.fix = func(streams int64) []Fix { return []Fix{sysctl(setting, used+streams*each)} }
	return l
}

// conntrack bounds nothing where nothing is tracked: the module is loaded, but no
// rule of this network namespace needs it.
func (h *Host) conntrack() Limit {
	l := count("conntrack", conntrackMax, h.Conntrack, h.Tracked, 1)
	if h.Tracked == 0 {
		l.Allows, l.Value = Unlimited, l.Value+" (idle)"
	}
	return l
}

func (h *Host) memory(each int64) Limit {
	return Limit{
		Name: "memory", Setting: "MemAvailable", Value: binary(h.MemAvailable), Allows: Count(h.MemAvailable / each),
		fix: func(streams int64) []Fix { return []Fix{{"host", "memory: " + binary(streams*each) + " available"}} },
	}
}

// groupMemory is a control group's limit on memory, set by a key of systemd's or
// an option of container engines, if there is one.
func groupMemory(name, key, option string, c ceiling, each int64) Limit {
	l := Limit{Name: name, Setting: c.setting, Value: binary(c.limit), Allows: Unlimited}
	if c.limit != Unlimited {
		l.Allows = Count(c.left() / each)
	}
	l.fix = func(streams int64) []Fix {
		mebibytes := (c.used + streams*each + 1<<20 - 1) >> 20
		fixes := []Fix{{"systemd", fmt.Sprintf("%s=%dM", key, mebibytes)}}
		if option != "" {
			fixes = append(fixes, Fix{"container", fmt.Sprintf("%s=%dm", option, mebibytes)})
		}
		return fixes
	}
	return l
}

// loops bounds streams when each loop has a descriptor table. Larger tables raise it.
func (h *Host) loops() Limit {
	return Limit{
		Name: "loops", Setting: "--loops", Value: number(maxLoops), Allows: Count(maxLoops * h.perTable()),
		fix: func(streams int64) []Fix {
			each := (streams + maxLoops - 1) / maxLoops
			return h.descriptorFixes(loopSpare.limit((each*unevenShare + unevenShare - 2) / (unevenShare - 1)))
		},
	}
}

// threads is a limit on threads, which bounds streams by way of the loops if
// each has a descriptor table.
func (h *Host) threads(p Plan, c ceiling, name string, fix func(threads int64) []Fix) Limit {
	l := Limit{Name: name, Setting: c.setting, Value: number(c.limit), Allows: Unlimited}
	each := h.perTable()
	if !p.PerLoop || each == Unknown || c.left() >= maxLoops {
		return l
	}
	l.Allows = Count(c.left() * each)
	l.fix = func(streams int64) []Fix { return fix(c.used + (streams+each-1)/each) }
	return l
}

func sysctl(name string, value int64) Fix { return Fix{"shell", assign(name, fmt.Sprint(value))} }

// number returns n as the kernel writes it.
func number(n int64) string {
	if n == Unlimited {
		return "max"
	}
	return fmt.Sprint(n)
}

// binary returns a number of bytes with the largest unit that leaves a whole
// number before the point.
func binary(n int64) string {
	switch n {
	case Unlimited:
		return "max"
	case Unknown:
		return "-"
	}
	value, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for value >= 1024 && len(units) > 1 {
		value, units = value/1024, units[1:]
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
