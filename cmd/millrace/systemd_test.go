package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
	"millrace/server"
)

// Ensure that the real binary tells systemd what its unit waits for, in order.
func TestSystemdIsTold(t *testing.T) {
	binary := testenv.Program(t, false)
	socket := listenNotify(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := new(strings.Builder)
	cmd := exec.CommandContext(ctx, binary, "--listen", "127.0.0.1:0", "--admin", "off", "--ops", "off", "--loops", "3")
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
	wantState(t, socket, "STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}

// Ensure that the watchdog is fed while the loops turn, and only then.
func TestWatchdogIsFed(t *testing.T) {
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Loops: 2}, channels.NewBroker(channels.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log lockedBuilder
	pings := make(chan struct{}, 100)
	var feeding sync.WaitGroup
	feeding.Go(func() {
		feedWatchdog(ctx, 100*time.Millisecond, s.Probe, slog.New(slog.NewTextHandler(&log, nil)), func() { pings <- struct{}{} })
	})
	for !strings.Contains(log.String(), "event loops [0 1] do not turn") {
		select {
		case <-pings:
			t.Fatal("loops that have not been started passed for alive")
		case <-ctx.Done():
			t.Fatalf("not told of loops that do not turn: %s", log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.Start()
	for range 2 {
		select {
		case <-pings:
		case <-ctx.Done():
			t.Fatal("no ping while the loops turn")
		}
	}
	cancel()
	feeding.Wait()
}

// lockedBuilder is a strings.Builder that is safe for concurrent use.
type lockedBuilder struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.String()
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
