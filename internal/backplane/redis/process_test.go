package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// process is a redis-server at a port, in a folder of the test's.
type process struct {
	t    testing.TB
	port int
	dir  string
	args []string
	cmd  *exec.Cmd
	*redis.Client
}

// startProcess runs redis-server with further lines of its configuration until the
// test ends.
func startProcess(t testing.TB, lines ...string) *process {
	t.Helper()
	return newProcess(t, nil, append(lines, `save ""`, "repl-diskless-sync-delay 0"))
}

// startSentinel runs a sentinel.
func startSentinel(t testing.TB, lines ...string) *process {
	t.Helper()
	return newProcess(t, []string{"--sentinel"}, lines)
}

func newProcess(t testing.TB, args, lines []string) *process {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	p := &process{t: t, port: ln.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	config := filepath.Join(p.dir, "redis.conf")
	lines = append(lines, "dir "+p.dir, "bind 127.0.0.1", fmt.Sprint("port ", p.port))
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = append([]string{config}, args...)
	p.Client = redis.NewClient(&redis.Options{Addr: p.address(), MaxRetries: -1})
	t.Cleanup(func() {
		p.Close()
		p.kill()
	})
	p.start()
	return p
}

func (p *process) address() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(testenv.Need(p.t, "redis-server"), p.args...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.await("it answers", func(ctx context.Context) bool { return p.Ping(ctx).Err() == nil })
}

// kill ends it without giving it a chance to do anything.
func (p *process) kill() {
	if p.cmd != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.cmd = nil
	}
}

// do sends a command.
func (p *process) do(args ...any) {
	p.t.Helper()
	if err := p.Do(p.t.Context(), args...).Err(); err != nil {
		p.t.Fatalf("%v: %v", args, err)
	}
}

// await waits until is returns true.
func (p *process) await(what string, is func(context.Context) bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !is(p.t.Context()); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("the server on port %d: not within %v: %s", p.port, patience, what)
		}
	}
}

// startNode runs a node that keeps a hundred messages for an hour until the test ends.
func startNode(t testing.TB, address string) *enginetest.Local {
	t.Helper()
	return openNode(t, address, Options{History: 100, HistoryTTL: time.Hour})
}

// openNode runs a node until the test ends.
func openNode(t testing.TB, address string, o Options) *enginetest.Local {
	t.Helper()
	n := startLocal(t, address, o)
	n.AwaitHealth(true)
	return n
}

// startLocal is openNode for a node that need not get a connection.
func startLocal(t testing.TB, address string, o Options) *enginetest.Local {
	t.Helper()
	return enginetest.StartLocal(t, address, channels.Options{History: o.History, HistoryTTL: o.HistoryTTL},
		func(u *url.URL, log *slog.Logger) (enginetest.Backplane, error) {
			o.Logger = log
			return Open(u, o)
		})
}
