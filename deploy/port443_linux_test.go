package deploy

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testenv"
)

// dropIn has the unit listen on port 443.
const dropIn = "millrace-443.conf"

// Ensure that the drop-in is valid, and leaves the unit with no more rights than it names.
func TestPort443IsValid(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	unit := filepath.Join(dir, "millrace.service")
	if err := os.Mkdir(unit+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{unit: edited(t, "millrace.service", []string{installedAt, self}), filepath.Join(unit+".d", "443.conf"): edited(t, dropIn, nil)} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, testenv.Need(t, "systemd-analyze"), "verify", unit).CombinedOutput(); len(out) > 0 || err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	var set []string
	for line := range strings.Lines(edited(t, dropIn, nil)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			set = append(set, line)
		}
	}
	want := []string{"[Service]", "Environment=MILLRACE_TLS_LISTEN=:443", "PrivateUsers=no", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
		"AmbientCapabilities=CAP_NET_BIND_SERVICE", "StateDirectory=millrace", "StateDirectoryMode=0700"}
	if !slices.Equal(set, want) {
		t.Errorf("%s sets %q, want %q", dropIn, set, want)
	}
}

// Ensure that port 443 takes what the drop-in gives a user who is not root, and nothing else,
// and that certificates go to systemd's directory for state.
func TestPort443(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Lack(t, "to become another user takes root")
	}
	unshare, setpriv := testenv.Need(t, "unshare"), testenv.Need(t, "setpriv")
	program := buildAsContainer(t)
	state := t.TempDir()
	for dir := state; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) { // the user has to get there
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const user = 65534
	if err := os.Chown(state, user, user); err != nil {
		t.Fatal(err)
	}
	run := func(capabilities string) (ready bool, log string) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		// A network of its own: there, port 443 is free, and nobody is reached.
		cmd := exec.CommandContext(ctx, unshare, "--net", setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs",
			"--bounding-set", "-all"+capabilities, "--inh-caps", "-all"+capabilities, "--ambient-caps", "-all"+capabilities,
			program, "serve", "--tls-listen", ":443", "--admin", "off", "--ops", "off", "--acme-domain", "events.example.com", "--drain", "0")
		cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+state)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log += lines.Text() + "\n"
			if !ready && strings.Contains(lines.Text(), `msg="millrace is ready"`) {
				ready = true
				cmd.Process.Signal(syscall.SIGTERM)
			}
		}
		cmd.Wait()
		return ready, log
	}
	if ready, log := run(",+net_bind_service"); !ready || !strings.Contains(log, "tls=[::]:443") {
		t.Errorf("with the capability there is no port 443:\n%s", log)
	}
	if ready, log := run(""); ready || !strings.Contains(log, "listen on :443: bind: permission denied: a port below 1024 takes the capability") {
		t.Errorf("without the capability, ready is %t:\n%s", ready, log)
	}
	if info, err := os.Stat(filepath.Join(state, "acme")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the storage in the directory for state: %v, %v; want one of mode 700", info, err)
	}
}
