package doctor

import (
	"slices"
	"testing"
)

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		group, root, point string
		want               []string
	}{
		{"/", "/", "/sys/fs/cgroup", []string{"sys/fs/cgroup"}},
		{"/a/b", "/", "/sys/fs/cgroup", []string{"sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup"}},
		{"/docker/x", "/docker/x", "/sys/fs/cgroup", []string{"sys/fs/cgroup"}},
		{"/docker/x/y", "/docker/x", "/sys/fs/cgroup", []string{"sys/fs/cgroup/y", "sys/fs/cgroup"}},
		{"/docker/xy", "/docker/x", "/sys/fs/cgroup", []string{"sys/fs/cgroup"}},
		{"/../other", "/", "/sys/fs/cgroup", []string{"sys/fs/cgroup"}},
		{"/", "/docker/x", "/sys/fs/cgroup", []string{"sys/fs/cgroup"}},
		{"/a", "/", "/", []string{"a", "."}},
	} {
		if got := levels(c.group, c.root, c.point); !slices.Equal(got, c.want) {
			t.Errorf("levels(%q, %q, %q) = %q, want %q", c.group, c.root, c.point, got, c.want)
		}
	}
}

const mountV2 = "30 23 0:26 / /cg rw shared:9 - cgroup2 cgroup2 rw\n"

func TestCeilings(t *testing.T) {
	const mountV1 = "35 31 0:32 / /cg1 rw - cgroup cgroup rw,memory\n36 31 0:33 / /cgp rw - cgroup cgroup rw,cpu,pids\n"
	for _, c := range []struct {
		name               string
		files              map[string]string
		memory, high, pids ceiling
		unread             int
	}{
		{name: "no control groups", files: map[string]string{"proc/self/cgroup": "", "proc/self/mountinfo": ""}},
		{name: "nothing to read", files: nil, unread: 2},
		{name: "no limit", files: map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": mountV2,
			"cg/a/memory.max": "max\n", "cg/a/memory.high": "max\n", "cg/a/pids.max": "max\n",
		}, memory: ceiling{"memory.max", Unlimited, 0}, high: ceiling{"memory.high", Unlimited, 0}, pids: ceiling{"pids.max", Unlimited, 0}},
		{name: "the parent is tighter", files: map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": mountV2,
			"cg/a/b/memory.max": "1000\n", "cg/a/b/memory.current": "100\n", "cg/a/b/memory.stat": "anon 7\ninactive_file 60\n",
			"cg/a/memory.max": "1500\n", "cg/a/memory.current": "900\n", "cg/a/memory.stat": "inactive_file_x 5\ninactive_file 20\n",
			"cg/a/b/pids.max": "max\n", "cg/a/pids.max": "40\n", "cg/a/pids.current": "50\n",
		}, memory: ceiling{"memory.max", 1500, 880}, pids: ceiling{"pids.max", 40, 50}},
		{name: "version 1", files: map[string]string{
			"proc/self/cgroup": "8:cpu,pids:/p\n4:memory:/m\n0::/x\n", "proc/self/mountinfo": mountV1 + mountV2,
			"cg1/m/memory.limit_in_bytes": "1000\n", "cg1/m/memory.usage_in_bytes": "400\n", "cg1/m/memory.stat": "inactive_file 300\ntotal_inactive_file 100\n",
			"cg1/memory.limit_in_bytes": "9223372036854771712\n", "cgp/p/pids.max": "7\n", "cgp/p/pids.current": "3\n",
			"cg/x/memory.max": "1\n", "cg/x/pids.max": "1\n",
		}, memory: ceiling{"memory.limit_in_bytes", 1000, 300}, pids: ceiling{"pids.max", 7, 3}},
		{name: "version 1 without limit, 64 KiB pages", files: map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "proc/self/mountinfo": mountV1, "cg1/memory.limit_in_bytes": "9223372036854710272\n",
		}, memory: ceiling{"memory.limit_in_bytes", Unlimited, 0}},
		{name: "a limit beside an unknown use", files: map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "cg/pids.max": "7\n", "cg/memory.max": "lots\n",
		}, unread: 2},
	} {
		s := &source{files: files(c.files)}
		memory, high, pids := s.cgroups()
		if memory != c.memory || high != c.high || pids != c.pids || len(s.unread) != c.unread {
			t.Errorf("%s: memory %+v, high %+v, pids %+v, unread %v,\nwant %+v, %+v, %+v, %d unread", c.name, memory, high, pids, s.unread, c.memory, c.high, c.pids, c.unread)
		}
	}
}
