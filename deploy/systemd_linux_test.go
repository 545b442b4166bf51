package deploy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testenv"
)

// namespaces starts systemd as the first process of namespaces of its own, in the control
// group $1: it knows no unit but those in $2, and has $3 installed.
const namespaces = `
set -e
echo $$ >"$1/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup --propagation private sh -ec '
	mount -t proc proc /proc
	mount -t cgroup2 none /sys/fs/cgroup
	mount -t tmpfs tmpfs /run
	mount -t tmpfs tmpfs /usr/local/bin
	install -m 0755 "$3" /usr/local/bin/millrace
	exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH="$2" \
		/lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=no
' sh "$@"
`

// unitLog is what the unit says, where systemd is.
const unitLog = "/run/millrace.log"

// manager is a systemd of the test's own.
type manager struct {
	t   *testing.T
	pid string
}

// startSystemd starts one that knows units by the names of their files, and has
// program at installedAt.
func startSystemd(t *testing.T, program string, units map[string]string) *manager {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.Lack(t, "to be systemd takes root")
	}
	testenv.NeedFile(t, "/lib/systemd/systemd", "install systemd")
	for _, tool := range []string{"unshare", "nsenter", "systemctl"} {
		testenv.Need(t, tool)
	}
	group := controlGroup(t)
	dir := t.TempDir()
	units["test.target"] = "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n"
	for name, text := range units {
		file := filepath.Join(dir, "units", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := &manager{t: t}
	cmd := exec.Command("sh", "-c", namespaces, "sh", group, filepath.Join(dir, "units"), program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			status, _ := m.try("systemctl", "status", "--full", "--no-pager", "millrace.service")
			said, _ := m.try("cat", unitLog)
			t.Logf("%s\n%s", status, said)
		}
		cmd.Process.Kill() // and with it, the first process of the namespaces, and all that are there
		cmd.Wait()
		testenv.Eventually(t, "the control group is empty", func() bool { return removeGroups(group) == nil })
	})
	testenv.Eventually(t, "systemd is there", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		m.pid = strings.TrimSpace(string(children))
		if m.pid == "" {
			return false
		}
		_, err := m.try("systemctl", "is-active", "test.target")
		return err == nil
	})
	return m
}

// controlGroup makes one for systemd.
func controlGroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if words := strings.Fields(line); words[2] == "cgroup2" {
			group := filepath.Join(words[1], fmt.Sprintf("millrace-test-%d", os.Getpid()))
			if err := os.Mkdir(group, 0o755); err != nil {
				testenv.Lack(t, "a control group for systemd: "+err.Error())
			}
			return group
		}
	}
	testenv.Lack(t, "control groups of version 2 for systemd")
	return ""
}

// removeGroups removes a control group and those in it.
func removeGroups(group string) error {
	inner, _ := filepath.Glob(filepath.Join(group, "*/"))
	for _, dir := range inner {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			if err := removeGroups(dir); err != nil {
				return err
			}
		}
	}
	return os.Remove(group)
}

// try runs a command beside systemd.
func (m *manager) try(name string, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nsenter", append([]string{"--target", m.pid, "--mount", "--pid", "--", name}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run is try of a command that succeeds.
func (m *manager) run(name string, args ...string) string {
	m.t.Helper()
	out, err := m.try(name, args...)
	if err != nil {
		m.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// property is one of the unit.
func (m *manager) property(name string) string {
	m.t.Helper()
	return m.run("systemctl", "show", "--value", "--property", name, "millrace.service")
}

// want waits until a property of the unit has a value.
func (m *manager) want(name, value string) {
	m.t.Helper()
	testenv.Eventually(m.t, fmt.Sprintf("%s of the unit is %s", name, value), func() bool { return m.property(name) == value })
}

// startUnit starts the shipped unit on ports of loopback.
func startUnit(t *testing.T) (m *manager, public, admin string) {
	t.Helper()
	program := buildAsContainer(t)
	public, admin = freeAddress(t), freeAddress(t)
	m = startSystemd(t, program, map[string]string{
		"millrace.service": edited(t, "millrace.service", nil),
		"millrace.service.d/test.conf": "[Unit]\nDefaultDependencies=no\nAfter=\nWants=\n[Service]\nWatchdogSec=2s\nLimitNOFILE=20000\n" +
			"StandardError=file:" + unitLog + "\n" +
			"Environment=MILLRACE_LISTEN=" + public + " MILLRACE_ADMIN=" + admin + " MILLRACE_OPS=off MILLRACE_DRAIN=0 MILLRACE_LOOPS=3\n",
	})
	m.run("systemctl", "start", "millrace.service")
	return m, public, admin
}

// Ensure that the unit goes on over upgrades: with its stream, with the new process as its main
// one, whose watchdog, reload, crash and end are the unit's.
func TestUpgradeUnderSystemd(t *testing.T) {
	m, public, admin := startUnit(t)
	response, err := http.Get("http://" + public + "/news")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	publisher, err := net.Dial("tcp", admin)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	upgrade := func() {
		t.Helper()
		before := m.property("MainPID")
		m.run(installedAt, "upgrade")
		testenv.Eventually(t, "the unit has another main process than "+before, func() bool { return m.property("MainPID") != before })
		m.want("ActiveState", "active")
	}
	for i := range 2 {
		upgrade()
		fmt.Fprintf(publisher, "PUBLISH /news event-%d\r\n", i)
		for want := fmt.Sprintf("data: event-%d", i); lines.Text() != want; {
			if !lines.Scan() {
				t.Fatalf("the stream has ended before %s: %v", want, lines.Err())
			}
		}
	}
	fed := m.property("WatchdogTimestampMonotonic")
	testenv.Eventually(t, "the new process feeds the watchdog", func() bool { return m.property("WatchdogTimestampMonotonic") != fed })
	main := m.property("MainPID")
	m.run("systemctl", "reload", "millrace.service")
	if got := m.property("MainPID"); got != main {
		t.Errorf("a reload has changed the main process from %s to %s", main, got)
	}
	if got := m.property("NRestarts"); got != "0" {
		t.Errorf("restarted %s times", got)
	}
	m.run("kill", "-KILL", main)
	m.want("NRestarts", "1")
	m.want("ActiveState", "active")
	upgrade()
	m.run("systemctl", "stop", "millrace.service")
	m.want("ActiveState", "inactive")
	if got := m.property("Result"); got != "success" {
		t.Errorf("the result of the unit is %s", got)
	}
	if processes, err := m.try("pgrep", "-x", "millrace"); err == nil {
		t.Errorf("after the unit has stopped, there are processes %s", strings.Join(strings.Fields(processes), " "))
	}
}
