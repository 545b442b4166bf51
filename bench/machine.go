package bench

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"millrace/bench/report"
)

// sysctls are the settings of the kernel that a load like ours depends on.
var sysctls = []string{
	"fs.file-max", "fs.nr_open", "net.core.somaxconn", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_max_orphans",
	"net.ipv4.tcp_congestion_control", "net.ipv4.tcp_ehash_entries", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}

// NewDocument returns a document that says where and how it came about.
func NewDocument(title string, args []string) *report.Document {
	d := &report.Document{
		Title:   title,
		Command: "millbench " + strings.Join(args[1:], " "),
		Commit:  commit(),
		Started: time.Now().Round(time.Second),
		Machine: report.Machine{
			CPU:     cpuModel(),
			Cores:   runtime.NumCPU(),
			Kernel:  kernelRelease(),
			Go:      runtime.Version(),
			Sysctls: make(map[string]string),
		},
	}
	if m, err := kilobytes("/proc/meminfo"); err == nil {
		d.Machine.MemoryMB = m["MemTotal"] >> 20
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		d.Machine.DescriptorLimit = int(min(limit.Cur, 1<<31))
	}
	for _, name := range sysctls {
		if text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err == nil {
			d.Machine.Sysctls[name] = strings.Join(strings.Fields(string(text)), " ")
		}
	}
	return d
}

// commit is the one that millbench was built from, or else that of its directory.
func commit() string {
	revision, dirty := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = ", changed"
			}
		}
	}
	if revision == "" { // go run does not stamp
		out, err := exec.Command("git", "rev-parse", "HEAD").Output()
		if err != nil {
			return "unknown"
		}
		revision = strings.TrimSpace(string(out))
		if exec.Command("git", "diff", "--quiet", "HEAD").Run() != nil {
			dirty = ", changed"
		}
	}
	return revision + dirty
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return runtime.GOOS
	}
	return unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
}

// kilobytes returns the lines "name: number kB" of a file, in bytes.
func kilobytes(file string) (map[string]int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	figures := make(map[string]int)
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		value, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if n, err := strconv.Atoi(value); ok && err == nil {
			figures[name] = n << 10
		}
	}
	return figures, nil
}
