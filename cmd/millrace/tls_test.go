package main

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"

	"millrace/internal/testenv"
)

// Ensure that publish and subscribe work over TLS at both ports, as people would use them, and
// that what is missing is said.
func TestCommandsOverTLS(t *testing.T) {
	binary := testenv.Program(t, false)
	cert, key := testenv.Certificate(t, "localhost")
	p := launch(t, binary, "--tls-listen", "127.0.0.1:0", "--admin-tls", "--tls-cert", cert, "--tls-key", key)
	_, port, _ := strings.Cut(p.secure, ":")

	cmd := exec.Command(binary, "subscribe", "-n", "2", "--tls-ca", cert, "https://localhost:"+port+"/a")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(stderr).ReadString('\n'); !strings.Contains(line, "connected") {
		t.Fatalf("subscribe says %q, %v", line, err)
	}

	with := []string{"publish", "--admin", p.admin, "--admin-tls"}
	trusting := append(with, "--admin-tls-ca", cert, "--admin-tls-name", "localhost")
	for _, tt := range []struct {
		env    []string
		args   []string
		status int
		want   string // in what is printed
	}{
		{nil, append(trusting, "/a", "one"), 0, "1\n"},
		{[]string{"MILLRACE_ADMIN_TLS=true", "MILLRACE_ADMIN_TLS_CA=" + cert, "MILLRACE_ADMIN_TLS_NAME=localhost"},
			[]string{"publish", "--admin", p.admin, "/a", "two"}, 0, "1\n"},
		{nil, append(with, "/a", "x"), 1, "--admin-tls-ca names the authorities"},
		{nil, append(with, "--admin-tls-ca", cert, "/a", "x"), 1, "--admin-tls-name the host name"}, // of 127.0.0.1 it is not
		{nil, append(with, "--admin-tls-ca", key, "/a", "x"), 2, "there is no certificate in it"},
		{nil, append(with, "--admin-tls-ca", cert+"?", "/a", "x"), 2, "no such file"},
		{nil, []string{"publish", "--admin", p.admin, "/a", "x"}, 1, "this port takes TLS only"},
		{nil, []string{"publish", "--admin", p.public, "--admin-tls", "/a", "x"}, 1, "it speaks no TLS: leave --admin-tls out"},
		{nil, []string{"publish", "--admin", p.admin, "--admin-tls-ca", cert, "/a", "x"}, 2, "want --admin-tls"},
		{nil, []string{"subscribe", "https://localhost:" + port + "/a"}, 1, "certificate"},
		{nil, []string{"subscribe", "--tls-ca", key, "https://localhost:" + port + "/a"}, 2, "--tls-ca"},
	} {
		got := execute(t, binary, tt.env, tt.args...)
		if got.status != tt.status || !strings.Contains(got.stdout+got.stderr, tt.want) {
			t.Errorf("%q %q: %+v, want status %d and %q", tt.env, tt.args, got, tt.status, tt.want)
		}
	}
	for _, want := range []string{"one\n", "two\n"} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(stdout, got); err != nil || string(got) != want {
			t.Errorf("subscribe prints %q, %v, want %q", got, err, want)
		}
	}
}
