package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/channels"
	"millrace/server"
)

// Ensure that the real binary tells systemd what its unit waits for, in order.
func TestSystemdIsTold(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "millrace")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	socket := listenNotify(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := new(strings.Builder)
	cmd := exec.CommandContext(ctx, binary, "--listen", "127.0.0.1:0", "--admin", "off", "--loops", "3")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket.LocalAddr().String(), "WATCHDOG_USEC=2000000")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		wantState(t, socket, want)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantState(t, socket, "STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}

// Ensure that loops that do not run are found out, and that those that do pass.
func TestProbe(t *testing.T) {
	n := openProbed(t, server.Config{Loops: 2})
	if err := n.probe(t.Context(), 50*time.Millisecond); err == nil {
		t.Error("loops that have not been started passed for alive")
	}
	n.public.Start()
	if err := n.probe(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
}

// Ensure that a server is not taken for dead because it is full.
func TestProbeOfFullServer(t *testing.T) {
	n := openProbed(t, server.Config{Loops: 2, MaxConnections: 1})
	n.public.Start()
	for range 5000 { // connections that ask for nothing
		conn, err := net.Dial("tcp", n.public.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if n.public.Stats().AcceptPauses > 0 {
			break
		}
	}
	if n.public.Stats().AcceptPauses == 0 {
		t.Fatal("the server is not full")
	}
	if err := n.probe(t.Context(), time.Second); err != nil {
		t.Errorf("a full server passed for dead: %v", err)
	}
}

// openProbed returns a node whose public port is open until the test ends.
func openProbed(t *testing.T, cfg server.Config) *node {
	t.Helper()
	cfg.Listen, cfg.Logger = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := server.New(cfg, channels.NewBroker(channels.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &node{public: s}
}

func TestGetHealth(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   string
	}{{200, ""}, {503, "503"}, {404, "404"}} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				t.Errorf("GET %s, want /healthz", r.URL.Path)
			}
			w.WriteHeader(tt.status)
		}))
		err := getHealth(t.Context(), s.Listener.Addr().String())
		s.Close()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("an answer of %d: error %v, want one with %q", tt.status, err, tt.want)
		}
	}
}

// listenNotify opens what systemd would be listening on. Its path is short: an
// address of a Unix socket has some 100 bytes.
func listenNotify(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	socket.SetDeadline(time.Now().Add(time.Minute))
	return socket
}

// wantState reads what systemd is told next.
func wantState(t *testing.T, socket *net.UnixConn, want string) {
	t.Helper()
	b := make([]byte, 256)
	n, err := socket.Read(b)
	if got := string(b[:n]); got != want || err != nil {
		t.Fatalf("systemd was told %q (%v), want %q", got, err, want)
	}
}
