package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testenv"
)

// ran is what a command line came to.
type ran struct {
	status         int
	stdout, stderr string
}

// execute runs binary until it ends. env is name=value.
func execute(t *testing.T, binary string, env []string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%q %q does not end", env, args)
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// Ensure that an invalid setting ends with status 2, a trouble that may pass with 1, and
// that the one line about it says what would be right.
func TestCommandLines(t *testing.T) {
	binary, dir := testenv.Program(t, false), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, lines, good := file("empty", "\n"), file("lines", "a\nb\n"), file("good", "hunter2\n")
	const nowhere = "host-that-is-not-there.invalid:80"
	args := func(args ...string) []string { return args }
	for _, tt := range []struct {
		env    []string
		args   []string
		status int
		stderr string
	}{
		// set and empty is not unset
		{args("MILLRACE_TURBO_SECRET_KEY_BASE="), nil, 2, "--turbo-secret-key-base: \"\", want a secret"},
		{args("MILLRACE_TURBO_KEY="), nil, 2, "--turbo-key"},
		{args("MILLRACE_ADMIN_PASSWORD="), nil, 2, "--admin-password"},
		{args("MILLRACE_OPS_TOKEN="), nil, 2, "--ops-token"},
		{args("MILLRACE_BACKPLANE="), nil, 2, "--backplane"},
		{args("MILLRACE_ADMIN_PASSWORD_FILE="), nil, 2, "--admin-password-file"},
		{nil, args("--admin-password="), 2, "--admin-password"},
		{nil, args("publish", "--admin-password=", "/a", "b"), 2, "--admin-password"},
		// secrets in files
		{nil, args("--admin-password-file", empty), 2, empty + " is empty"},
		{nil, args("--admin-password-file", lines), 2, lines + " has more than one line"},
		{nil, args("--admin-password-file", dir+"/none"), 1, "no such file"},
		{args("MILLRACE_OPS_TOKEN_FILE=" + good), args("--ops-token", "x"), 2, "--ops-token and --ops-token-file are both set"},
		{nil, args("publish", "--admin-password", "x", "--admin-password-file", good, "/a", "b"), 2, "both set"},
		{nil, args("--turbo-key-file", good, "--turbo-secret-key-base-file", good), 2, "--turbo-key and --turbo-secret-key-base are both set"},
		{nil, args("--backplane-file", good), 2, "--backplane: the scheme"},
		// nobody gets in by mistake
		{args("MILLRACE_JWT_KEY="), nil, 2, "--jwt-key: \"\", want a secret"},
		{args("MILLRACE_JWT_KEY_FILE="), nil, 2, "--jwt-key-file: \"\""},
		{args("MILLRACE_JWT_KEY_FILE=" + good + ",,"), nil, 2, "--jwt-key-file: \"\""},
		{args("MILLRACE_JWT_JWKS="), nil, 2, "--jwt-jwks: \"\""},
		{args("MILLRACE_JWT_AUDIENCE="), nil, 2, "--jwt-audience: \"\""},
		{args("MILLRACE_JWT_ISSUER="), nil, 2, "--jwt-issuer: \"\""},
		{args("MILLRACE_SIGN_KEY="), nil, 2, "--sign-key: \"\""},
		{args("MILLRACE_TICKET_KEY="), nil, 2, "--ticket-key: \"\""},
		{args("MILLRACE_AUTH_URL="), nil, 2, "--auth-url: \"\", want a text that is not empty"},
		{nil, args("--jwt-key", "hunter2"), 2, "a secret of 7 bytes, want at least 32"},
		{nil, args("--jwt-key-file", good), 2, "a secret of 7 bytes, want at least 32"},
		{nil, args("--jwt-key-file", empty), 2, "a secret of 0 bytes"},
		{nil, args("--jwt-key-file", dir+"/none"), 1, "no such file"},
		{nil, args("--jwt-jwks", "https://u:hunter2@h/"), 2, "--jwt-audience"},
		{nil, args("--jwt-jwks", "https://u:hunter2@h/", "--jwt-audience", "any"), 2, "with a user"},
		{nil, args("--sign-key-file", lines), 2, "--sign-key-file: " + lines + " has more than one line"},
		{nil, args("--auth-url", "http://u:hunter2@h/"), 2, "--auth-url"},
		{nil, args("--public", "/a/*/b", "--sign-key", strings.Repeat("x", 32)), 2, "--public: bad pattern"},
		{nil, args("sign", "--sign-key", "hunter2", "/a"), 2, "a key of 7 bytes, want at least 32"},
		{nil, args("sign", "/a"), 2, "no key, want --sign-key or --sign-key-file"},
		{nil, args("doctor", "--public", "/a"), 2, "--public names what is open"},
		// addresses
		{args("MILLRACE_LISTEN="), nil, 2, "--listen: \"\", want HOST:PORT"},
		{nil, args("--listen", ":"), 2, "--listen: \":\", want HOST:PORT"},
		{nil, args("--admin", "127.0.0.1:"), 2, "--admin: \"127.0.0.1:\", want HOST:PORT, :PORT, or off"},
		{nil, args("--ops", "127.0.0.1"), 2, "--ops: \"127.0.0.1\""},
		{nil, args("--listen", ":65536"), 2, "--listen"},
		{nil, args("publish", "--admin", "127.0.0.1", "/a", "b"), 2, "--admin"},
		{nil, args("--listen", nowhere), 1, nowhere},
		{nil, args("--listen", "127.0.0.1:0", "--admin", nowhere), 1, "host-that-is-not-there.invalid"},
		{nil, args("--listen", "127.0.0.1:0", "--admin", "off", "--ops", nowhere), 1, "host-that-is-not-there.invalid"},
		{nil, args("--listen", "127.0.0.1:0", "--admin", ":0"), 2, "without a password"},
		// certificates by ACME
		{nil, args("--acme-domain", "a.example.org"), 2, "--acme-domain: \"a.example.org\" without --tls-listen"},
		{nil, args("--acme-email", "ops@example.org"), 2, "--acme-email: \"ops@example.org\" without --acme-domain"},
		{nil, args("--acme-storage", dir), 2, "without --acme-domain"},
		{nil, args("--tls-listen", ":0", "--ops-tls"), 2, "want --tls-cert and --tls-key, or --acme-domain"},
		{nil, args("--tls-listen", ":0", "--acme-domain", "*.example.org", "--acme-storage", dir), 2, "--acme-domain: \"*.example.org\", want a name"},
		{nil, args("--tls-listen", ":0", "--acme-domain", "a.example.org", "--acme-storage", dir, "--acme-directory", "https://u:hunter2@h/"), 2, "--acme-directory: \"https://u:xxxxx@h/\""},
		{nil, args("--tls-listen", ":0", "--admin", "off", "--ops", "off", "--acme-domain", "a.example.org", "--acme-storage", good), 2, "--acme-storage: mkdir " + good},
		{args("HOME=", "XDG_STATE_HOME=", "STATE_DIRECTORY="), args("--tls-listen", ":0", "--acme-domain", "a.example.org"), 2, "--acme-storage: neither STATE_DIRECTORY"},
		// numbers below 0
		{nil, args("--history", "-1"), 2, "--history: \"-1\", want a whole number, at least 0"},
		{nil, args("--history=-1"), 2, "--history: \"-1\", want a whole number, at least 0"},
		{nil, args("--keepalive", "-5s"), 2, "-5s"},
		{nil, args("--drain-delay", "-5s"), 2, "--drain-delay: \"-5s\""},
		{nil, args("--admin-password", "--ops", "off"), 2, "the value is missing before \"--ops\""},
		// passwords in URLs
		{nil, args("--backplane", "postgres://u@h/db?password=hunter2&bogus=1"), 2, "password=xxxxx"},
		{nil, args("--backplane", "postgres://u@h:x/db?password=hunter2"), 2, "--backplane"},
		{nil, args("--backplane", "redis+sentinel://u:hunter2@h?sentinel_password=hunter2"), 2, "sentinel_password=xxxxx"},
		{nil, args("--backplane", "nats://h?token=hunter2"), 2, "the option \"token\""},
		{nil, args("subscribe", "http://u:hunter2@127.0.0.1:1/a?token=hunter2"), 1, "xxxxx"},
		{nil, args("bogus"), 2, "want a command"},
	} {
		got := execute(t, binary, tt.env, tt.args...)
		if got.status != tt.status || !strings.Contains(got.stderr, tt.stderr) || strings.Count(got.stderr, "\n") != 1 || got.stdout != "" {
			t.Errorf("%q %q: %+v, want status %d and one line with %q", tt.env, tt.args, got, tt.status, tt.stderr)
		}
		if strings.Contains(got.stderr, "hunter2") {
			t.Errorf("%q %q shows a secret: %s", tt.env, tt.args, got.stderr)
		}
	}
}

// Ensure that help and version appear in each of the ways that people try.
func TestHelpAndVersion(t *testing.T) {
	binary := testenv.Program(t, false)
	version := execute(t, binary, nil, "version")
	help := execute(t, binary, nil, "serve", "--help")
	for _, tt := range []struct {
		args []string
		want ran
	}{
		{[]string{"--version"}, version},
		{[]string{"serve", "--version"}, version},
		{[]string{"help"}, execute(t, binary, nil, "--help")},
		{[]string{"help", "serve"}, help},
	} {
		if got := execute(t, binary, nil, tt.args...); got != tt.want || got.status != 0 || got.stdout == "" {
			t.Errorf("%q: %+v, want %+v", tt.args, got, tt.want)
		}
	}
	if got := execute(t, binary, nil, "help", "bogus"); got.status != 2 {
		t.Errorf("help bogus: %+v, want status 2", got)
	}
	for command, listen := range map[string]string{"serve": "[:8080", "demo": "[127.0.0.1:8080"} {
		if got := execute(t, binary, nil, command, "--help"); !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), "picks a free one. "+listen) {
			t.Errorf("%s --help does not have %s for --listen", command, listen)
		}
	}
}

// Ensure that a variable which sets nothing is warned of, and what others set for
// reasons of their own is not.
func TestStrangers(t *testing.T) {
	parser := newParser(new(commands))
	for _, tt := range []struct{ variable, nearest string }{
		{"MILLRACE_ADMIN_PASWORD=x", "MILLRACE_ADMIN_PASSWORD"},
		{"MILLRACE_ADMINPASSWORD=x", "MILLRACE_ADMIN_PASSWORD"},
		{"MILLRACE_HISTROY=1", "MILLRACE_HISTORY"},
		{"MILLRACE_TURBO_SECRET=x", "MILLRACE_TURBO_KEY"},
		{"millrace_listen=:1", "MILLRACE_LISTEN"},
		{"MILLRACE_LISTEN_PORT=80", "MILLRACE_LISTEN"},
		{"MILLRACE_ADMIN_PASSWORD=x", ""},
		{"MILLRACE_OPS_TOKEN_FILE=x", ""},
		{"MILLRACE_SERVICE_HOST=10.0.0.1", ""},
		{"MILLRACE_PORT=tcp://10.0.0.1:80", ""},
		{"MILLRACE_PORT_80_TCP_ADDR=10.0.0.1", ""},
		{"MILLRACE_ADMIN_SERVICE_PORT_RESP=7379", ""},
		{"MILLRACE_ADMIN_PORT=tcp://10.0.0.1:7379", ""},
		{"MILLRACE_ADMIN_PORT_7379_TCP=tcp://10.0.0.1:7379", ""},
		{"MILLRACE_TEST_TOOLS=required", ""},
		{"OTHER_MILLRACE=x", ""},
	} {
		got := strings.Join(strangers(parser, []string{tt.variable}), "\n")
		if tt.nearest == "" && got != "" || !strings.HasSuffix(got, "did you mean "+tt.nearest+"?") && tt.nearest != "" {
			t.Errorf("%s: %q, want a warning that names %q", tt.variable, got, tt.nearest)
		}
		if strings.Contains(got, "=") {
			t.Errorf("%s: the warning shows the value: %s", tt.variable, got)
		}
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n": "plain\ttext\n",
		"Grüße 漢字":      "Grüße 漢字",
		"\x1b]0;x\x07":  `\u001b]0;x\u0007`,
		"\u009b31m\x7f": `\u009b31m\u007f`,
		"a\rb\xff":      `a\u000db\xff`,
	} {
		if got := string(appendVisible(nil, []byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Ensure that commands which are sent to the wrong port say what they have found, and
// that a channel without its slash is noticed.
func TestWrongPorts(t *testing.T) {
	binary := testenv.Program(t, false)
	p := launch(t, binary)
	for _, tt := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"publish", "--admin", p.public, "/a", "b"}, 1, p.public + " speaks HTTP"},
		{[]string{"subscribe", p.admin + "/a"}, 1, p.admin + "/a speaks the Redis protocol"},
		{[]string{"publish", "--admin", p.admin, "rooms/42", "b"}, 0, `did you mean "/rooms/42"?`},
		{[]string{"publish", "--admin", p.admin, "/rooms/42", "b"}, 0, ""},
	} {
		got := execute(t, binary, nil, tt.args...)
		if got.status != tt.status || !strings.Contains(got.stderr, tt.stderr) || tt.stderr == "" && got.stderr != "" {
			t.Errorf("%q: %+v, want status %d and %q on stderr", tt.args, got, tt.status, tt.stderr)
		}
	}
	if got := execute(t, binary, []string{"MILLRACE_ADMIN_PASWORD=x"}, "publish", "--admin", p.admin, "/a", "b"); got.stdout != "0\n" || !strings.Contains(got.stderr, "did you mean MILLRACE_ADMIN_PASSWORD?") {
		t.Errorf("a mistyped variable: %+v, want a warning and the event published", got)
	}
}

// Ensure that `subscribe` has nothing but data on stdout, the rest on stderr.
func TestSubscribeOutput(t *testing.T) {
	binary := testenv.Program(t, false)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const events = "id: 1-1\n\nevent: millrace.start\ndata: {}\n\nevent: millrace.gap\ndata: {\"reason\":\"restart\"}\n\nid: 1-2\nevent: x\ndata: a\ndata: b\n\n"
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + events))
			conn.Close()
		}
	}()
	for _, tt := range []struct{ form, stdout string }{
		{"", "a\nb\n"},
		{"--json", `{"id":"1-2","event":"x","data":"a\nb"}` + "\n"},
		{"--raw", events},
	} {
		args := []string{"subscribe", "-n", "1", ln.Addr().String() + "/x"}
		if tt.form != "" {
			args = append(args, tt.form)
		}
		got := execute(t, binary, nil, args...)
		want := "millrace: connected to http://" + ln.Addr().String() + "/x\nmillrace: gap: {\"reason\":\"restart\"}\n"
		if got.stdout != tt.stdout || got.stderr != want || got.status != 0 {
			t.Errorf("%q: %+v, want stdout %q and stderr %q", args, got, tt.stdout, want)
		}
	}
}
