package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// Ensure that handovers, one after the other, take every stream and every odd client along: with
// one descriptor table and with one a loop, without privilege, and with low limits.
func TestUpgrades(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts servers: not with -short")
	}
	times := 3
	if testenv.Full() {
		times = 25
	}
	dir := programs(t)
	for _, tt := range []struct {
		name    string
		nobody  bool
		limit   int // of descriptors
		streams int
		args    []string
	}{
		{"a shared table", false, 20_000, 400, []string{"--flag=--loops=3", "--flag=--fd-tables=shared"}},
		{"a table a loop", false, 20_000, 400, []string{"--flag=--loops=3", "--flag=--fd-tables=per-loop"}},
		{"nobody", true, 20_000, 400, []string{"--flag=--loops=3", "--flag=--fd-tables=per-loop"}},
		{"nobody with few descriptors", true, 1024, 2500, nil},
		{"over TLS", false, 20_000, 400, []string{"--flag=--loops=3", "--tls"}},
		{"over HTTP/2", false, 20_000, 400, []string{"--flag=--loops=3", "--h2", "--streams-per-connection=4"}},
		{"with gzip", false, 20_000, 400, []string{"--flag=--loops=3", "--gzip"}},
		{"in a fan-out", false, 20_000, 400, []string{"--flag=--loops=3", "--fanout"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"upgrade", "--network=host", "--streams", strconv.Itoa(tt.streams), "--times", strconv.Itoa(times)}, tt.args...)
			measure(t, dir, tt.nobody, tt.limit, args...)
		})
	}
}

// programs builds millbench and millrace into a directory that every user may read.
func programs(t *testing.T, flags ...string) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "millbench-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", dir, "millrace/cmd/millbench", "millrace/cmd/millrace")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// measure runs millbench, of which every verdict must hold, as a user without any rights if nobody
// is set, with a limit of descriptors.
func measure(t *testing.T, dir string, nobody bool, limit int, args ...string) {
	t.Helper()
	command := append([]string{testenv.Need(t, "prlimit"), fmt.Sprintf("--nofile=%d:%[1]d", limit), filepath.Join(dir, "millbench")}, args...)
	if nobody {
		if os.Geteuid() != 0 {
			testenv.Lack(t, "to become another user takes root")
		}
		command = append([]string{testenv.Need(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"}, command...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Ensure that a process which is ended or stopped in the middle of an upgrade takes no stream
// along that it need not, and that both processes together seal no two records with the same key
// and number.
func TestUpgradesInVain(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts servers: not with -short")
	}
	points := "new:hello,new:sent:1,new:prepared:2,new:committed:1,new:moved,old:hello,old:prepared:2,old:switch,stop-new:committed:2"
	if testenv.Full() {
		points = "all"
	}
	dir := programs(t, "-tags=sealtrace")
	trace := filepath.Join(dir, "sealed")
	t.Setenv(testenv.SealTrace, trace)
	measure(t, dir, false, 20_000, "upgrade", "--network=host", "--streams=600", "--flag=--loops=3", "--kill", points)
	testenv.CheckSealed(t, trace)
}
