package deploy

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testenv"
)

// exposure is the most that `systemd-analyze security` may find, in tenths. What
// is left is the network, loopback sockets, and reading /proc/sys.
const exposure = "12"

// installedAt is where the unit expects millrace.
const installedAt = "/usr/local/bin/millrace"

// unitValues returns what the unit sets key to, line by line.
func unitValues(t *testing.T, key string) (values []string) {
	t.Helper()
	for line := range strings.Lines(edited(t, "millrace.service", nil)) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// unitValue returns the value of a key that is there once.
func unitValue(t *testing.T, key string) string {
	t.Helper()
	values := unitValues(t, key)
	if len(values) != 1 {
		t.Fatalf("millrace.service: %s=%q, want one", key, values)
	}
	return values[0]
}

// analyze runs systemd-analyze on the unit, whose program is one that exists.
func analyze(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "millrace.service")
	if err := os.WriteFile(unit, []byte(edited(t, "millrace.service", []string{installedAt, self})), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, testenv.Need(t, "systemd-analyze"), append(args, unit)...).CombinedOutput()
	return string(out), err
}

func TestUnitIsValid(t *testing.T) {
	if out, err := analyze(t, "verify"); out != "" || err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestUnitExposesLittle(t *testing.T) {
	if out, err := analyze(t, "security", "--offline=true", "--threshold="+exposure); err != nil {
		t.Errorf("systemd-analyze security: above %s tenths: %v\n%s", exposure, err, out)
	}
}

// Ensure that a millrace at work, with a descriptor table a loop, does nothing
// that the unit forbids. It is watched by strace instead of confined, which
// needs no systemd and names what would be missing.
func TestUnitLetsMillraceWork(t *testing.T) {
	allowed := allowedCalls(t)
	families := strings.Fields(unitValue(t, "RestrictAddressFamilies"))
	called := regexp.MustCompile(`^\d+ +(\w+)\((.*)`)
	traced := make(map[string]bool)
	for line := range strings.Lines(traceMillrace(t)) {
		call := called.FindStringSubmatch(line)
		if call == nil {
			continue // a signal, an exit, or the end of a call that began before
		}
		name, args := call[1], call[2]
		if !traced[name] && !allowed[name] {
			t.Errorf("SystemCallFilter does not allow %s", name)
		}
		traced[name] = true
		family, _, _ := strings.Cut(args, ",")
		switch {
		case name == "socket" && !slices.Contains(families, family):
			t.Errorf("RestrictAddressFamilies does not allow %s", family)
		case name == "mmap" && strings.Contains(args, "PROT_WRITE|PROT_EXEC"), name == "mprotect" && strings.Contains(args, "PROT_EXEC"):
			t.Errorf("MemoryDenyWriteExecute does not allow %s(%s", name, args)
		case name == "openat" && regexp.MustCompile(`O_WRONLY|O_RDWR|O_CREAT`).MatchString(args):
			t.Errorf("ProtectSystem does not allow openat(%s", args)
		case name == "unshare" && !regexp.MustCompile(`^CLONE_FILES[ )]`).MatchString(args): // or " <unfinished"
			t.Errorf("RestrictNamespaces does not allow unshare(%s", args)
		}
	}
	for _, name := range []string{"execve", "accept4", "epoll_pwait", "write", "unshare", "prlimit64"} {
		if !traced[name] {
			t.Errorf("the trace has no %s: it does not show a millrace at work", name)
		}
	}
}

// allowedCalls returns the system calls that the unit's filter leaves.
func allowedCalls(t *testing.T) map[string]bool {
	t.Helper()
	allowed := make(map[string]bool)
	for _, filter := range unitValues(t, "SystemCallFilter") {
		names, denied := strings.CutPrefix(filter, "~")
		for _, name := range strings.Fields(names) {
			for _, call := range expand(t, name) {
				allowed[call] = !denied
			}
		}
	}
	return allowed
}

// expand returns the system calls of a group such as @system-service, or the
// one of another name.
func expand(t *testing.T, name string) (calls []string) {
	t.Helper()
	if name[0] != '@' {
		return []string{name}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, testenv.Need(t, "systemd-analyze"), "syscall-filter", name).Output()
	if err != nil {
		t.Fatalf("systemd-analyze syscall-filter %s: %v", name, err)
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" && line != name && line[0] != '#' {
			calls = append(calls, expand(t, line)...)
		}
	}
	return calls
}

// traceMillrace runs millrace under strace with the shipped settings, has it
// carry an event, a keepalive and an answer, and returns the trace when it has
// ended.
func traceMillrace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	program := buildAsContainer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	// -D: the process that is started is millrace, and gets the signal.
	cmd := exec.CommandContext(ctx, testenv.Need(t, "strace"), "-D", "-f", "-q", "-o", trace, program, "serve")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "nobody"), "WATCHDOG_USEC=60000000")
	cmd.Env = append(cmd.Env, shippedSettings(t)...)
	// The application decides on streams without a token.
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer application.Close()
	cmd.Env = append(cmd.Env, "MILLRACE_JWT_KEY_FILE="+publicKey(t), "MILLRACE_AUTH_URL="+application.URL,
		"MILLRACE_LISTEN=127.0.0.1:0", "MILLRACE_ADMIN=127.0.0.1:0", "MILLRACE_OPS=127.0.0.1:0",
		"MILLRACE_KEEPALIVE=100ms", "MILLRACE_HISTORY=0", "MILLRACE_FD_TABLES=per-loop", "MILLRACE_LOOPS=2")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	ready := regexp.MustCompile(`msg="millrace is ready" public=(\S+) admin=(\S+)`)
	var addresses, written []string
	for addresses == nil && log.Scan() {
		written = append(written, log.Text())
		addresses = ready.FindStringSubmatch(log.Text())
	}
	if addresses == nil {
		t.Fatalf("millrace is not ready: %v\n%s", cmd.Wait(), strings.Join(written, "\n"))
	}
	carryEvent(t, addresses[1], addresses[2])
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for log.Scan() {
		written = append(written, log.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, strings.Join(written, "\n"))
	}
	var text []byte
	// strace pads numbers of less than five digits.
	ended := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited with 0 \+\+\+$`, cmd.Process.Pid))
	testenv.Eventually(t, "strace has written "+ended.String(), func() bool {
		text, err = os.ReadFile(trace)
		return err == nil && ended.Match(text)
	})
	return string(text)
}

// publicKey returns a file with a public key, as tokens may be signed by.
func publicKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwt.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// carryEvent publishes to a stream, which shows everything that a millrace does. Host
// and channel are those that the shipped settings allow.
func carryEvent(t *testing.T, public, admin string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+public+"/news", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "events.example.com"
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stream := &stream{t, bufio.NewReader(response.Body), cancel}
	stream.want(":\n\n:keepalive\n\n")
	publisher, err := net.Dial("tcp", admin)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	fmt.Fprint(publisher, "PUBLISH /news event\r\n")
	for line := ""; line != "data: event\n"; {
		if line, err = stream.r.ReadString('\n'); err != nil {
			t.Fatalf("no event came: %v", err)
		}
	}
}

// shippedSettings returns the variables of millrace.env, those after a mark as
// well.
func shippedSettings(t *testing.T) (settings []string) {
	t.Helper()
	for line := range strings.Lines(edited(t, "millrace.env", nil)) {
		if setting := strings.TrimPrefix(strings.TrimSpace(line), "#"); strings.HasPrefix(setting, "MILLRACE_") {
			settings = append(settings, setting)
		}
	}
	return settings
}

// withoutDefault are beginnings of what the help says of a flag that has no value unless
// it is given: its line in the settings file, after a mark, shows an example.
var withoutDefault = regexp.MustCompile(`^(none|any name|all)\b`)

// Ensure that every variable of the settings file is one of a flag, and that
// those after a mark show the default, or an example where there is none.
func TestSettings(t *testing.T) {
	program := buildAsContainer(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	help, err := exec.CommandContext(ctx, program, "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(help)), " ")
	for _, setting := range shippedSettings(t) {
		name, value, _ := strings.Cut(setting, "=")
		before, _, ok := strings.Cut(text, "($"+name+")")
		if !ok {
			t.Errorf("millrace.env: %s is no variable of millrace serve --help", name)
			continue
		}
		_, shown, _ := strings.Cut(before[strings.LastIndex(before, "["):], "[")
		marked := strings.Contains(edited(t, "millrace.env", nil), "#"+setting+"\n")
		if marked && !withoutDefault.MatchString(shown) && !strings.HasPrefix(shown, value+"]") {
			t.Errorf("millrace.env: #%s, want the default: [%s", setting, shown)
		}
	}
}
