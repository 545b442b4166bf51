package doctor

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ceiling is a limit of a control group, the tightest of those from this
// process's own group to the root. The zero value is that there is none.
type ceiling struct {
	setting     string
	limit, used int64 // bytes or tasks
}

// left returns what may still be taken.
func (c ceiling) left() int64 {
	if c.limit == Unlimited {
		return Unlimited
	}
	return max(c.limit-c.used, 0)
}

// hierarchy is the way from this process's group up to the root, as directories,
// in the version of control groups that has the controller.
type hierarchy struct {
	v1   bool
	dirs []string
}

// cgroups returns the ceilings of memory, memory.high and tasks.
func (s *source) cgroups() (memory, high, pids ceiling) {
	h, err := s.hierarchy("memory")
	if err != nil {
		s.failed("cgroup memory", err)
	} else if h.v1 {
		memory = s.tightest(h, "memory.limit_in_bytes", func(dir string) (int64, error) {
			return s.workingSet(dir, "memory.usage_in_bytes", "total_inactive_file")
		})
	} else {
		used := func(dir string) (int64, error) { return s.workingSet(dir, "memory.current", "inactive_file") }
		memory = s.tightest(h, "memory.max", used)
		high = s.tightest(h, "memory.high", used)
	}
	h, err = s.hierarchy("pids")
	if err != nil {
		s.failed("cgroup pids", err)
	} else {
		pids = s.tightest(h, "pids.max", func(dir string) (int64, error) { return s.number(path.Join(dir, "pids.current")) })
	}
	return memory, high, pids
}

// tightest returns the level of h at which least is left. Levels without the
// file, such as the root, have no limit.
func (s *source) tightest(h hierarchy, file string, used func(dir string) (int64, error)) (c ceiling) {
	for _, dir := range h.dirs {
		name := path.Join(dir, file)
		limit, err := s.number(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		level := ceiling{setting: file, limit: limit}
		if h.v1 && limit >= noLimitV1 {
			level.limit = Unlimited
		}
		if err == nil && level.limit != Unlimited {
			level.used, err = used(dir)
		}
		if err != nil {
			s.failed("/"+name, err)
			continue
		}
		if c.setting == "" || level.left() < c.left() {
			c = level
		}
	}
	return c
}

// noLimitV1 is the least that version 1 shows where there is no limit: the largest
// int64 in whole pages, which are of 64 KiB at most (page_counter.h,
// PAGE_COUNTER_MAX).
const noLimitV1 = Unlimited &^ (64<<10 - 1)

// workingSet returns the memory that a group uses, without the file cache that the kernel
// drops before it refuses memory: the working set as kubelet counts it.
func (s *source) workingSet(dir, usage, inactive string) (int64, error) {
	used, err := s.number(path.Join(dir, usage))
	if err != nil {
		return Unknown, err
	}
	cache, err := s.amount(path.Join(dir, "memory.stat"), inactive+" ")
	return max(used-cache, 0), err
}

func (s *source) number(name string) (int64, error) {
	values, err := s.numbers(name, 1)
	if err != nil {
		return Unknown, err
	}
	return values[0], nil
}

// hierarchy finds the groups of this process for controller (cgroups(7), proc(5)).
func (s *source) hierarchy(controller string) (h hierarchy, err error) {
	membership, err := s.text("proc/self/cgroup")
	if err != nil {
		return h, err
	}
	mounts, err := s.text("proc/self/mountinfo")
	if err != nil {
		return h, err
	}
	group := ""
	for line := range strings.Lines(membership) { // ID:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		if parts[1] == "" && !h.v1 {
			group = parts[2]
		} else if slices.Contains(strings.Split(parts[1], ","), controller) {
			h.v1, group = true, parts[2]
		}
	}
	for line := range strings.Lines(mounts) { // ID parent device root point options... - type source options
		before, after, _ := strings.Cut(line, " - ")
		mount, kind := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(kind) < 3 {
			continue
		}
		if kind[0] == "cgroup2" && !h.v1 || kind[0] == "cgroup" && h.v1 && slices.Contains(strings.Split(kind[2], ","), controller) {
			h.dirs = levels(group, mount[3], mount[4])
			return h, nil
		}
	}
	return h, nil // no control groups: no limit
}

// levels returns the directories from group up to the mount point, at which root
// is mounted. A container may see a group that lies outside of what is mounted
// for it: then the mount point is its own group.
func levels(group, root, point string) (dirs []string) {
	point = strings.TrimPrefix(path.Clean(point), "/")
	below, ok := strings.CutPrefix(path.Clean("/"+group)+"/", strings.TrimSuffix(path.Clean(root), "/")+"/")
	if !ok || strings.Contains(group, "..") {
		below = ""
	}
	for below = strings.Trim(below, "/"); below != ""; below = strings.TrimPrefix(path.Dir("/"+below), "/") {
		dirs = append(dirs, path.Join(point, below))
	}
	return append(dirs, path.Join(point, "."))
}
