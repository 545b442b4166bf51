package testenv

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Postgres is a PostgreSQL server of a test's own, on a port of its own. Its
// role postgres needs no password.
type Postgres struct {
	t         testing.TB
	programs  string // the directory of initdb and postgres
	dir       string
	port      int
	unrooted  *syscall.SysProcAttr // it refuses to run as root
	cmd       *exec.Cmd            // nil while it is stopped
	complains *bytes.Buffer
}

// NewPostgres starts a server that runs until the test ends. Without PostgreSQL
// the test ends.
func NewPostgres(t testing.TB) *Postgres {
	t.Helper()
	// Debian has several versions side by side, and none in the path.
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append([]string{path}, found...)
	}
	if len(found) == 0 {
		Lack(t, "no initdb in the path or in /usr/lib/postgresql: install postgresql")
	}
	dir, err := os.MkdirTemp("", "millrace-postgres-") // what is in t.TempDir others cannot reach
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &Postgres{t: t, programs: filepath.Dir(found[len(found)-1]), dir: dir, port: freePort(t)}
	if os.Getuid() == 0 {
		p.unroot()
	}
	cmd := p.command("initdb", "-D", p.dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	p.Start()
	t.Cleanup(p.Stop)
	return p
}

// unroot has the server run as the user that Debian's package has made for it.
func (p *Postgres) unroot() {
	account, err := user.Lookup("postgres")
	if err != nil {
		Lack(p.t, err.Error()+": PostgreSQL does not run as root, install Debian's postgresql")
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(p.dir, uid, gid); err != nil {
		p.t.Fatal(err)
	}
	p.unrooted = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (p *Postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.programs, program), args...)
	cmd.Dir, cmd.SysProcAttr = p.dir, p.unrooted
	return cmd
}

// Addr is the server's address, the same after a restart.
func (p *Postgres) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// URL names the server's database postgres.
func (p *Postgres) URL() string { return "postgres://postgres@" + p.Addr() + "/postgres" }

// Start starts the server after a Stop.
func (p *Postgres) Start() {
	p.t.Helper()
	p.complains = new(bytes.Buffer)
	p.cmd = p.command("postgres", "-D", p.dir, "-p", strconv.Itoa(p.port), "-h", "127.0.0.1", "-k", "",
		"-c", "fsync=off", "-c", "max_connections=200")
	p.cmd.Stderr = p.complains
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	// The last line of its file says when it takes connections.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(p.dir, "postmaster.pid"))
		if bytes.HasPrefix(text, fmt.Appendf(nil, "%d\n", p.cmd.Process.Pid)) && bytes.HasSuffix(bytes.TrimSpace(text), []byte("\nready")) {
			return
		}
		if time.Now().After(deadline) {
			p.Stop()
			p.t.Fatalf("PostgreSQL is not ready: %s", p.complains)
		}
	}
}

// Stop ends the server at once, with all its connections, without a check point:
// as a crash does.
func (p *Postgres) Stop() {
	p.t.Helper()
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGQUIT)
	p.cmd.Wait()
	p.cmd = nil
}

// freePort returns a port that nobody listens to at the moment.
func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
