package abuse

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testenv"
)

// Ensure that SIGHUP without a terminal ends nothing, takes secrets over that have
// changed in their files, and keeps the old ones where a file is no good.
func TestHangup(t *testing.T) {
	password, token := filepath.Join(t.TempDir(), "password"), filepath.Join(t.TempDir(), "token")
	write := func(file, secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(password, "one\n")
	write(token, "one\n")
	v := start(t, setup{env: []string{"MILLRACE_ADMIN_PASSWORD_FILE=" + password}, flags: []string{"--ops-token-file", token}})
	lines := 0
	hangup := func(want string) {
		t.Helper()
		v.cmd.Process.Signal(syscall.SIGHUP)
		lines++
		testenv.Eventually(v.t, fmt.Sprintf("%d lines about SIGHUP", lines), func() bool { return v.log.count("SIGHUP") == lines })
		if !strings.Contains(v.log.text(), want) {
			t.Errorf("after SIGHUP the log has no %q", want)
		}
	}
	wantSecret := func(secret string) {
		t.Helper()
		if got, err := request(v.admin, "AUTH "+secret+"\r\nQUIT\r\n", patience); got != "+OK\r\n+OK\r\n" {
			t.Errorf("the admin port with the password %q: %q, %v", secret, got, err)
		}
		if got, err := request(v.ops, "GET /channels HTTP/1.0\r\nAuthorization: Bearer "+secret+"\r\n\r\n", patience); !strings.HasPrefix(got, "HTTP/1.0 200 ") {
			t.Errorf("the ops port with the token %q: %.80q, %v", secret, got, err)
		}
	}
	v.secret, v.token = "one", "one"
	v.bears(logRoom, func() {
		wantSecret("one")
		hangup("nothing to take over")
		write(password, "two\n")
		write(token, "two\n")
		hangup("changed=\"admin-password ops-token\"")
		v.token = "two"
		wantSecret("two")
		if got, _ := request(v.admin, "AUTH one\r\nQUIT\r\n", patience); !strings.HasPrefix(got, "-WRONGPASS") {
			t.Errorf("the old password: %q, want -WRONGPASS", got)
		}
		write(token, "\n")
		write(password, "three\n")
		hangup("all stay as they are")
		wantSecret("two")
		if err := os.Remove(password); err != nil {
			t.Fatal(err)
		}
		hangup("no such file")
		wantSecret("two")
	})
	for _, secret := range []string{"one", "two", "three"} {
		if strings.Contains(v.log.text(), secret+"\n") || strings.Contains(v.log.text(), secret+"\"") {
			t.Errorf("the log shows the secret %q", secret)
		}
	}
	v.stop()
}

// Ensure that until the engine has been reached no new clients are wanted, that an
// engine which goes away later changes only the answer about the engine, and that a
// drain begins after its delay, during which all ports go on.
func TestReadiness(t *testing.T) {
	engine := newEngine(t)
	v := start(t, setup{flags: []string{"--backplane", "redis://u:hunter2@" + engine.address, "--drain-delay", "1s", "--drain", "0s"}})
	want := func(path, prefix string) {
		t.Helper()
		testenv.Eventually(v.t, path+" answers "+prefix, func() bool {
			answer, err := request(v.ops, "GET "+path+" HTTP/1.0\r\nHost: localhost\r\n\r\n", patience)
			if err != nil {
				t.Fatal(err)
			}
			return strings.HasPrefix(answer, "HTTP/1.0 "+prefix)
		})
	}
	want("/readyz", "503")
	want("/healthz", "200")
	engine.start()
	want("/readyz", "200")
	want("/readyz?engine=1", "200")
	engine.stop()
	want("/readyz?engine=1", "503")
	want("/readyz", "200")
	if up := v.metric("millrace_engine_up"); up != 0 {
		t.Errorf("millrace_engine_up %v, want 0", up)
	}
	if strings.Contains(v.log.text(), "hunter2") {
		t.Error("the log shows the password of the engine")
	}
	v.cmd.Process.Signal(syscall.SIGTERM)
	want("/readyz", "503")
	if answer, err := request(v.public, "GET /healthz HTTP/1.0\r\n\r\n", patience); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("the public port during the delay: %q, %v, want 200", answer, err)
	}
	<-v.exited
	if !v.cmd.ProcessState.Success() {
		t.Errorf("the end: %v, want exit status 0", v.cmd.ProcessState)
	}
}
