package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/auth/application"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/server"
)

// example returns the first block of code of a language in a section of
// docs/authorization.md.
func example(t *testing.T, section, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/authorization.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	_, code, hasCode := strings.Cut(rest, "\n```"+language+"\n")
	code, _, closed := strings.Cut(code, "\n```\n")
	if !found || !hasCode || !closed {
		t.Fatalf("docs/authorization.md has no code in %s in its section %q", language, section)
	}
	return code + "\n"
}

// startAccess runs a node on which not everybody may listen, until the test ends.
func startAccess(t *testing.T, access node.Access, origins ...string) *node.Node {
	t.Helper()
	n, err := node.Start(node.Options{
		Public: server.Config{Listen: "127.0.0.1:0", AllowOrigins: origins}, Broker: channels.Options{History: 10},
		Access: access, Admin: node.AdminPort{Listen: "127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// ask asks for a stream, with headers as "Name: value", and returns the answer, whose body
// is closed with the test.
func ask(t *testing.T, target string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// wantStatus asks for a stream and compares the status, and of a refusal a part of the
// body.
func wantStatus(t *testing.T, target string, status int, text string, headers ...string) {
	t.Helper()
	response := ask(t, target, headers...)
	body := ""
	if response.StatusCode >= 400 {
		all, _ := io.ReadAll(response.Body)
		body = string(all)
	}
	if response.StatusCode != status || !strings.Contains(body, text) {
		t.Errorf("%s with %.60q: %d %q, want %d with %q", target, headers, response.StatusCode, body, status, text)
	}
}

// background runs a program until the test ends, and returns the submatch of the first
// line that it prints which pattern fits.
func background(t *testing.T, cmd *exec.Cmd, pattern string) string {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Cancel(); cmd.Wait() })
	var printed strings.Builder
	fits := regexp.MustCompile(pattern)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if found := fits.FindStringSubmatch(lines.Text()); found != nil {
			go io.Copy(io.Discard, stdout)
			return found[1]
		}
		fmt.Fprintln(&printed, lines.Text())
	}
	t.Fatalf("%q ended, and printed\n%s", cmd.Args, printed.String())
	return ""
}

// rails runs the application of the docs until the test ends, and returns where.
func rails(t *testing.T, environment ...string) (url string) {
	t.Helper()
	testenv.Need(t, "puma")
	if out, err := command(t, "ruby", "-e", `gem "railties"`).CombinedOutput(); err != nil {
		testenv.Lack(t, fmt.Sprintf("the gem railties is missing (Debian: ruby-railties): %s", out))
	}
	cmd := command(t, "puma", "-e", "production", "-b", "tcp://127.0.0.1:0")
	cmd.Dir = t.TempDir()
	cmd.Env = append(append(os.Environ(), "SECRET_KEY_BASE="+strings.Repeat("0123456789abcdef", 8)), environment...)
	write(t, filepath.Join(cmd.Dir, "config.ru"), example(t, "I have a session cookie", "ruby"))
	return background(t, cmd, `Listening on (http://\S+)`)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// logIn returns the session of a user of the application in Rails.
func logIn(t *testing.T, app, user string) (cookie string) {
	t.Helper()
	response, err := http.PostForm(app+"/login", url.Values{"user": {user}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for _, c := range response.Cookies() {
		if c.Name == "_app_session" {
			return "Cookie: _app_session=" + c.Value
		}
	}
	t.Fatalf("logging in: %s, and no session", response.Status)
	return ""
}

// Ensure that the application in Rails of the docs decides, by the session that Rails has
// encrypted, and that its user can be kicked.
func TestRailsDecides(t *testing.T) {
	app := rails(t)
	n := startAccess(t, node.Access{Application: application.Config{URL: app + "/may-listen"}})
	streams := "http://" + n.PublicAddr()
	alice, bob := logIn(t, app, "alice"), logIn(t, app, "bob")
	for _, tt := range []struct {
		path   string
		status int
		text   string
		header string
	}{
		{"/rooms/1", 200, "", alice}, {"/rooms/1", 403, "403", bob}, {"/rooms/2", 200, "", bob},
		{"/rooms/2?channel=/rooms/1", 200, "", alice}, {"/rooms/2?channel=/rooms/1", 403, "403", bob},
		{"/rooms/1", 401, "401", "X-Millrace-User: alice"}, {"/rooms/1", 401, "401", alice + "x"},
		{"/rooms/1", 401, "401", strings.Replace(alice, "session=", "session=x", 1)},
		{"/rooms/3", 403, "403", alice}, {"/may-listen", 403, "403", alice},
	} {
		wantStatus(t, streams+tt.path, tt.status, tt.text, tt.header)
	}
	client := redis.NewClient(&redis.Options{Addr: n.AdminAddr()})
	defer client.Close()
	f := &fixture{t, n.Streams(), n.Broker(), n.PublicAddr(), n.AdminAddr()}
	f.awaitSubscribersOf("/rooms/1", 2) // the stream of two channels, and that of one
	for _, kick := range []struct {
		args   []any
		ended  int
		status int
	}{{[]any{"SSE.KICK", "USER", "alice"}, 2, 200}, {[]any{"SSE.KICK", "USER", "alice", "FINAL"}, 1, 403}, {[]any{"SSE.KICK", "USER", "alice", "FOR", 0}, 0, 200}} {
		if ended, err := client.Do(t.Context(), kick.args...).Int(); ended != kick.ended || err != nil {
			t.Errorf("%v: %d, %v, want %d", kick.args, ended, err, kick.ended)
		}
		wantStatus(t, streams+"/rooms/1", kick.status, "", alice)
	}
	wantStatus(t, streams+"/rooms/2", 200, "", bob)
}

// Ensure that endpoints which are written for nginx's auth_request and Caddy's
// forward_auth decide as they are.
func TestForwardAuthEndpoints(t *testing.T) {
	dir := t.TempDir()
	for tool, tt := range map[string]struct {
		config string
		args   []string
	}{
		"nginx": {`daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server {
		listen 127.0.0.1:%[2]s;
		location = /auth {
			if ($cookie_session != "alice") { return 401; }
			if ($http_x_original_uri !~ "^/rooms/1(\?|$)") { return 403; }
			add_header X-Millrace-User $cookie_session;
			return 204;
		}
	}
}`, []string{"-e", "stderr", "-c"}},
		"caddy": {`{
	admin off
	auto_https off
	storage file_system %[1]s
}
http://127.0.0.1:%[2]s {
	@nobody not header Cookie *session=alice*
	respond @nobody 401
	@elsewhere not header X-Forwarded-Uri /rooms/1
	respond @elsewhere 403
	header X-Millrace-User alice
	respond 204
}`, []string{"run", "--adapter", "caddyfile", "--config"}},
	} {
		t.Run(tool, func(t *testing.T) {
			testenv.Need(t, tool)
			port := freePort(t)
			file := filepath.Join(dir, tool+".conf")
			write(t, file, fmt.Sprintf(tt.config, dir, port))
			cmd := command(t, tool, append(tt.args, file)...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); cmd.Wait() }()
			t.Cleanup(func() {
				cmd.Process.Signal(os.Interrupt)
				if <-ended; t.Failed() {
					t.Logf("%s: %s", tool, stderr.String())
				}
			})
			awaitListener(t, port)
			n := startAccess(t, node.Access{Application: application.Config{URL: "http://127.0.0.1:" + port + "/auth"}})
			streams := "http://" + n.PublicAddr()
			wantStatus(t, streams+"/rooms/1", 401, "401")
			wantStatus(t, streams+"/rooms/1", 200, "", "Cookie: a=b; session=alice")
			wantStatus(t, streams+"/rooms/1", 401, "401", "Cookie: session=bob")
			wantStatus(t, streams+"/rooms/2", 403, "403", "Cookie: session=alice")
			wantStatus(t, streams+"/rooms/2?channel=/rooms/1", 403, "403", "Cookie: session=alice", "X-Original-URI: /rooms/1", "X-Forwarded-Uri: /rooms/1")
		})
	}
}

// freePort returns a port that nobody listens on. It is none of those that the system gives
// to clients: one that connects to itself would take it.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.N(10000))
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// awaitListener waits until somebody listens on a port.
func awaitListener(t *testing.T, port string) {
	t.Helper()
	testenv.Eventually(t, "somebody listens on port "+port, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// Ensure that of what a client says about itself only four headers reach the application.
func TestSpoofedHeaders(t *testing.T) {
	asked := make(chan http.Header, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked <- r.Header }))
	defer app.Close()
	n := startAccess(t, node.Access{Application: application.Config{URL: app.URL}})
	wantStatus(t, "http://"+n.PublicAddr()+"/a?X-Millrace-User=root", 200, "",
		"Cookie: a=b", "Authorization: Bearer x", "Origin: http://app.example.org", "User-Agent: U",
		"X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: admin.example.org", "X-Forwarded-Uri: /free", "X-Forwarded-Method: POST",
		"Forwarded: for=10.0.0.1", "X-Real-Ip: 10.0.0.1", "X-Original-Uri: /free", "X-Channel-Id: /free", "X-Millrace-User: root", "X-Forwarded-User: root",
		"Proxy-Authorization: Basic x", "Remote-User: root")
	want := http.Header{
		"Cookie": {"a=b"}, "Authorization": {"Bearer x"}, "Origin": {"http://app.example.org"}, "User-Agent": {"U"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {n.PublicAddr()}, "X-Forwarded-Method": {"GET"},
		"X-Forwarded-Uri": {"/a?X-Millrace-User=root"}, "X-Original-Uri": {"/a?X-Millrace-User=root"}, "X-Channel-Id": {"/a"},
	}
	if got := <-asked; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the application got\n%q, want\n%q", got, want)
	}
}

// Ensure that a storm of real clients is let in by one question a session.
func TestStormOfSessions(t *testing.T) {
	clients, sessions := 600, 30
	if os.Getenv("MILLRACE_TEST_FULL") != "" {
		clients, sessions = 8000, 400
	}
	var asked atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=60")
	}))
	defer app.Close()
	n := startAccess(t, node.Access{Application: application.Config{URL: app.URL}})
	for i := range clients {
		conn, err := net.Dial("tcp", n.PublicAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /all HTTP/1.1\r\nHost: h\r\nCookie: session=%d\r\n\r\n", i%sessions)
	}
	f := &fixture{t, n.Streams(), n.Broker(), n.PublicAddr(), n.AdminAddr()}
	f.awaitSubscribersOf("/all", clients)
	if asked.Load() > int64(sessions) {
		t.Errorf("%d questions for %d sessions", asked.Load(), sessions)
	}
}
