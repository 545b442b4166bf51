package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/fdtable"
	"millrace/server"
)

func TestTableLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom([]spare{sharedSpare, loopSpare}).Draw(t, "spare")
		streams := rapid.Int64Range(1, maxTable-s.most).Draw(t, "streams")
		limit := s.limit(streams)
		if room := s.room(limit); room < streams {
			t.Fatalf("%+v.limit(%d) = %d, which has room for %d", s, streams, limit, room)
		}
		if room := s.room(limit - 1); streams > 1 && room >= streams {
			t.Fatalf("%+v.limit(%d) = %d, but one less has room for %d", s, streams, limit, room)
		}
	})
}

// Ensure that each limit, raised as its fix says, is enough for the plan.
func TestFixesSuffice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := tree(rapid.SampledFrom(trees).Draw(t, "host"))
		plan := Plan{
			Target:   rapid.IntRange(1, 2e7).Draw(t, "target"),
			PerLoop:  rapid.Bool().Draw(t, "per loop"),
			Loopback: rapid.Bool().Draw(t, "loopback"),
		}
		for _, l := range Examine(h, plan).Limits {
			for _, f := range l.Fixes {
				fixed := h
				if !apply(&fixed, f) {
					continue
				}
				for _, after := range Examine(fixed, plan).Limits {
					if after.Name == l.Name && after.Verdict != Enough {
						t.Errorf("%s allows %s of %d, and %s after %q", l.Name, l.Allows, plan.Target, after.Allows, f.Line)
					}
				}
			}
		}
	})
}

var fixForm = regexp.MustCompile(`^(?:sysctl -w )?(--ulimit nofile|ulimit -n|[-\w.]+)[= ](\d+)[M:\dm]*$`)

// apply sets what f says in h, and tells whether it knows how.
func apply(h *Host, f Fix) bool {
	match := fixForm.FindStringSubmatch(f.Line)
	if match == nil {
		return false
	}
	n, _ := strconv.ParseInt(match[2], 10, 64)
	switch match[1] {
	case "LimitNOFILE", "ulimit -n", "--ulimit nofile":
		h.Descriptors.Hard = Count(n)
	case "fs.nr_open":
		h.NrOpen = n
	case "fs.file-max":
		h.FileMax = n
	case "fs.epoll.max_user_watches":
		h.Watches = n
	case conntrackMax:
		h.Conntrack = n
	case "MemoryMax", "--memory":
		h.Memory.limit = n << 20
	case "MemoryHigh":
		h.MemoryHigh.limit = n << 20
	case "kernel.threads-max":
		h.ThreadsMax = n
	case "TasksMax", "--pids-limit":
		h.Pids.limit = n
	default:
		return false
	}
	return true
}

// Ensure that all lines that can be applied are, or the test above says nothing.
func TestApplyKnowsFixes(t *testing.T) {
	h := tree("container")
	h.Tables = nil
	h.Conntrack, h.Tracked = 10, 1
	h.FileMax, h.Files = 10, 1
	h.Descriptors.MayRaise = true
	h.MemoryHigh = h.Memory
	h.NrOpen, h.Descriptors.Hard = 2000, 2000
	for _, plan := range []Plan{{Target: 1.6e7}, {Target: 1.6e7, PerLoop: true}} {
		for _, l := range Examine(h, plan).Limits {
			for _, f := range l.Fixes {
				if fixed := h; f.Where != "host" && f.Where != "serve" && !apply(&fixed, f) {
					t.Errorf("%s: cannot apply %q", l.Name, f.Line)
				}
			}
		}
	}
}

func TestBinary(t *testing.T) {
	for n, want := range map[int64]string{
		Unknown: "-", 0: "0.0 B", 1023: "1023.0 B", 1024: "1.0 KiB", 512 << 20: "512.0 MiB", 24684084 << 10: "23.5 GiB", 3 << 50: "3072.0 TiB", Unlimited: "max",
	} {
		if got := binary(n); got != want {
			t.Errorf("binary(%d) = %q, want %q", n, got, want)
		}
	}
}

// Ensure that streams are counted as the server counts them, under several hard
// limits: each in a process of its own, since what is lowered stays so.
func TestRoomIsTheServers(t *testing.T) {
	if os.Getenv("DOCTOR_TEST_ROOM") != "" {
		printRoom(t)
		return
	}
	for _, limit := range []int64{300, 4095, 10000, 19999} {
		cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" -test.run '^TestRoomIsTheServers$' -test.v`, limit), os.Args[0])
		cmd.Env = append(os.Environ(), "DOCTOR_TEST_ROOM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("under a limit of %d: %v\n%s", limit, err, out)
		}
		table := loopSpare.room(limit)
		want := fmt.Sprintf("room %d, loops for %d: %d\n", sharedSpare.room(limit), 10*(table-table/unevenShare), 10)
		if !strings.Contains(string(out), want) {
			t.Errorf("under a limit of %d the server says:\n%s\nwant %s", limit, out, want)
		}
	}
}

// printRoom prints what the server makes of the descriptor limit.
func printRoom(t *testing.T) {
	runtime.GOMAXPROCS(1) // the server has a loop for each at least
	open := func(tables server.FDTables, most int) *server.Server {
		s, err := server.New(server.Config{Listen: "127.0.0.1:0", FDTables: tables, MaxConnections: most}, channels.NewBroker(channels.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := open(server.FDTablesShared, 0)
	defer one.Close()
	if fdtable.Supported() != nil {
		t.Skip("no descriptor table per loop here")
	}
	table := loopSpare.room(int64(one.DescriptorLimit()))
	most := 10 * (table - table/unevenShare)
	many := open(server.FDTablesPerLoop, int(most))
	defer many.Close()
	fmt.Printf("room %d, loops for %d: %d\n", one.Room(), most, many.Loops())
}
