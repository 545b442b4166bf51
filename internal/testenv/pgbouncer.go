package testenv

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// PgBouncer starts a pooler in front of p, in the mode "session" or "transaction", until
// the test ends, and returns its URL of the database postgres. Without PgBouncer the
// test ends.
func (p *Postgres) PgBouncer(t testing.TB, mode string) string {
	t.Helper()
	program, err := exec.LookPath("/usr/sbin/pgbouncer") // Debian's, which is in no user's path
	if err != nil {
		program = Need(t, "pgbouncer")
	}
	port := freePort(t)
	file := filepath.Join(p.dir, "pgbouncer-"+mode+".ini")
	text := fmt.Sprintf("[databases]\npostgres = host=127.0.0.1 port=%d user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
		"auth_type = any\npool_mode = %s\nunix_socket_dir =\n", p.port, port, mode)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd, said := exec.Command(program, file), new(bytes.Buffer)
	cmd.SysProcAttr, cmd.Stderr = p.unrooted, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return "postgres://postgres@" + address + "/postgres"
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer is not ready: %v: %s", err, said)
		}
	}
}
