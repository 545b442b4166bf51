package doctor

import (
	"fmt"
	"strings"
)

// Setting is something that bounds events under way, bursts or mass closes, but
// not the number of idle streams.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Note  string `json:"note"`
	Fix   string `json:"fix,omitempty"` // the line for a shell, where another value is better
}

// better is the number to which a setting's last number is compared.
type better int

const (
	shown   better = iota // for information
	atLeast               // at least the last number of best
	atMost                // at most
)

// settings are those that are read and shown. The best values are those of
// deploy/sysctl.conf, which a test there compares; bursts and closes have no
// better number than "more than there are".
var settings = []struct {
	name   string
	note   string
	better better
	best   string
}{
	{"net.core.somaxconn", "arrivals that wait for accept", atLeast, "65535"},
	{"net.ipv4.tcp_max_syn_backlog", "arrivals in their handshake", atLeast, "65535"},
	{"net.ipv4.tcp_rmem", "receive buffer: least, first, most", atMost, "4096 16384 262144"},
	{"net.ipv4.tcp_wmem", "send buffer: how far a reader may lag", atMost, "4096 16384 262144"},
	{"net.core.rmem_max", "most that SO_RCVBUF may ask for", shown, ""},
	{"net.core.wmem_max", "most that SO_SNDBUF may ask for", shown, ""},
	{"net.ipv4.tcp_notsent_lowat", "unsent bytes that the kernel takes", atMost, "16384"},
	{"net.ipv4.ip_local_port_range", "streams of a proxy to one address", atLeast, "1024 65535"},
	{"net.ipv4.tcp_max_tw_buckets", "closed streams in TIME_WAIT", atLeast, "2000000"},
	{"net.ipv4.tcp_max_orphans", "closed streams with unsent bytes", atLeast, "2000000"},
	{"net.ipv4.tcp_retries2", "tries of a vanished peer, 15: 925 s", atMost, "8"},
	{"net.ipv4.tcp_slow_start_after_idle", "1: a pause forgets the window", atMost, "0"},
	{"net.ipv4.tcp_migrate_req", "1: arrivals outlive a loop's listener", atLeast, "1"},
}

// Advice returns the sysctls that a server of many streams is better with, and
// their values.
func Advice() map[string]string {
	advice := make(map[string]string)
	for _, s := range settings {
		if s.better != shown {
			advice[s.name] = s.best
		}
	}
	return advice
}

const (
	tcpMem    = "net.ipv4.tcp_mem"
	hugePages = "sys/kernel/mm/transparent_hugepage/enabled"
)

// settings returns the settings that were read, with lines that better them.
func (h *Host) settings(p Plan) []Setting {
	found := make([]Setting, 0, len(h.values)+1)
	if h.TCPMem[1] != Unknown {
		found = append(found, h.tcpMem(p))
	}
	for _, s := range settings {
		value, ok := h.values[s.name]
		if !ok {
			continue
		}
		setting := Setting{Name: s.name, Value: value, Note: s.note}
		now, best := last(value), last(s.best)
		if s.better == atLeast && now < best || s.better == atMost && now > best {
			setting.Fix = assign(s.name, s.best)
		}
		found = append(found, setting)
	}
	if value, ok := h.values[hugePages]; ok {
		found = append(found, Setting{Name: "transparent_hugepage", Value: value, Note: "of this host"})
	}
	return found
}

// tcpMem is enough when there is no memory pressure with one event under way on
// each stream. The fix keeps the kernel's own proportions, 3:4:6 (tcp.c,
// tcp_init_mem).
func (h *Host) tcpMem(p Plan) Setting {
	s := Setting{Name: tcpMem, Value: fmt.Sprintf("%d %d %d", h.TCPMem[0], h.TCPMem[1], h.TCPMem[2]), Note: "pages; an unread event takes one"}
	if pages := p.wanted() * eventPages; h.TCPMem[1] < pages {
		s.Fix = assign(tcpMem, fmt.Sprintf("%d %d %d", pages/4*3, pages, pages/2*3))
	}
	return s
}

// last returns the last number of value, 0 if there is none.
func last(value string) int64 {
	n, _ := parse(value[strings.LastIndexByte(value, ' ')+1:])
	return n
}

// assign returns the line that sets a kernel parameter until the next boot.
func assign(name, value string) string {
	if strings.Contains(value, " ") {
		value = `"` + value + `"`
	}
	return "sysctl -w " + name + "=" + value
}

// values reads the settings.
func (s *source) values() map[string]string {
	values := make(map[string]string)
	read := func(name, file string) {
		text, err := s.text(file)
		if err != nil {
			s.failed(name, err)
			return
		}
		values[name] = strings.Join(strings.Fields(text), " ")
	}
	for _, setting := range settings {
		read(setting.name, sysctlFile(setting.name))
	}
	read(hugePages, hugePages)
	return values
}
