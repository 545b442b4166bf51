// Package abuse attacks a real millrace, as strangers and broken neighbours would, and
// looks whether it bears it. It consists of tests only.
//
// A [victim] is the program as it is built, with flags, variables and limits. Its
// method bears runs an attack: throughout it health must answer, streams of every
// transport must get everything that is published, memory must stay within a bound that the test computes,
// and once the attackers are gone it must have as many descriptors and goroutines as
// before. Under the race detector the program has it too.
package abuse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// patience bounds every wait.
const patience = testenv.Patience

// victim is a millrace at work.
type victim struct {
	t                  *testing.T
	cmd                *exec.Cmd
	public, admin, ops string // addresses
	secure             string // that of the public port with TLS
	secret             string // the password of the admin port; empty: none
	token              string // that of the ops port; empty: none
	log                *journal
	exited             chan struct{} // closed when the process has ended

	mu   sync.Mutex
	held []io.Closer // what attackers keep open
}

// setup is what a victim is started with, beside ports that are free.
type setup struct {
	flags  []string
	env    []string // name=value
	secret string   // the password of the admin port; empty: none
	token  string   // that of the ops port; empty: none
	rsa    bool     // its certificate has a key of RSA
	files  int      // the limit on descriptors; 0: that of the test
	stdin  *os.File // nil: none
	stderr *os.File // whose other end the test has; nil: all of it is read, and kept in victim.log
}

// start starts a victim, and kills it when the test ends.
func start(t *testing.T, s setup) *victim {
	t.Helper()
	certificate := testenv.Certificate
	if s.rsa {
		certificate = testenv.CertificateRSA
	}
	cert, key := certificate(t, "localhost", "127.0.0.1")
	flags := append([]string{"serve", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key,
		"--admin", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--loops", "2"}, s.flags...)
	program := testenv.Program(t, testenv.Race)
	v := &victim{t: t, log: new(journal), exited: make(chan struct{}), cmd: exec.Command(program, flags...)}
	if s.files > 0 { // a child of ours would have our own limit
		v.cmd = exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, s.files), program}, flags...)...)
	}
	v.cmd.Env = append(os.Environ(), s.env...)
	if v.secret = s.secret; v.secret != "" {
		v.cmd.Env = append(v.cmd.Env, "MILLRACE_ADMIN_PASSWORD="+v.secret)
	}
	if v.token = s.token; v.token != "" {
		v.cmd.Env = append(v.cmd.Env, "MILLRACE_OPS_TOKEN="+v.token)
	}
	var reader *os.File
	if s.stdin != nil {
		v.cmd.Stdin = s.stdin
	}
	if v.cmd.Stderr = s.stderr; s.stderr == nil {
		var writer *os.File
		var err error
		if reader, writer, err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		v.cmd.Stderr = writer
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if reader != nil {
		go func() {
			v.log.keep(reader)
			reader.Close()
		}()
	}
	go func() {
		v.cmd.Wait()
		close(v.exited)
	}()
	t.Cleanup(func() {
		v.cmd.Process.Kill()
		<-v.exited
		v.letGo()
		if v.log.count("DATA RACE") > 0 {
			t.Error("the race detector has found something")
		}
		if t.Failed() {
			t.Logf("the log:\n%s", v.log.text())
		}
	})
	if reader != nil {
		v.find()
	}
	return v
}

// find takes the addresses of the ports from the log's line about them.
func (v *victim) find() {
	v.t.Helper()
	line := v.await(`public=(\S+) admin=(\S+) ops=(\S+) tls=(\S+)`)
	v.public, v.admin, v.ops, v.secure = line[1], line[2], line[3], line[4]
}

// await waits until the log has a line that pattern fits, and returns what it found.
func (v *victim) await(pattern string) (found []string) {
	v.t.Helper()
	re := regexp.MustCompile(pattern)
	testenv.Eventually(v.t, "the log has "+pattern, func() bool {
		found = re.FindStringSubmatch(v.log.text())
		return found != nil
	})
	return found
}

// stop sends SIGTERM, and wants the victim to end in order.
func (v *victim) stop() {
	v.t.Helper()
	v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.exited:
		if status := v.cmd.ProcessState; !status.Success() {
			v.t.Errorf("the end after SIGTERM: %v, want exit status 0", status)
		}
	case <-time.After(patience):
		v.t.Errorf("SIGTERM has not ended it within %v", patience)
	}
}

// memory returns a figure of /proc/PID/status in bytes: VmRSS, or VmHWM, the most that
// that has been.
func (v *victim) memory(figure string) int {
	v.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	if err != nil {
		v.t.Fatal(err)
	}
	kB := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(text)
	if kB == nil {
		v.t.Fatalf("no %s in %s", figure, text)
	}
	n, _ := strconv.Atoi(string(kB[1]))
	return n << 10
}

// metric returns the value of a metric without labels.
func (v *victim) metric(name string) float64 {
	v.t.Helper()
	answer, err := request(v.ops, fmt.Sprintf("GET /metrics HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", v.token), patience)
	if err != nil {
		v.t.Fatal(err)
	}
	value := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(answer)
	if value == nil {
		v.t.Fatalf("no metric %s", name)
	}
	f, err := strconv.ParseFloat(value[1], 64)
	if err != nil {
		v.t.Fatal(err)
	}
	return f
}

// descriptors returns how many descriptors the process has open.
func (v *victim) descriptors() int {
	v.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.cmd.Process.Pid))
	if err != nil {
		v.t.Fatal(err)
	}
	return len(open)
}

// hold keeps a connection of an attacker until letGo.
func (v *victim) hold(conn io.Closer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held = append(v.held, conn)
}

// letGo closes what attackers have kept open.
func (v *victim) letGo() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, conn := range v.held {
		conn.Close()
	}
	v.held = nil
}

// request sends text to an address and returns all that comes back, within a time.
func request(address, text string, within time.Duration) (answer string, err error) {
	deadline := time.Now().Add(within)
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	all, err := io.ReadAll(conn)
	return string(all), err
}

// open opens a stream in the clear.
func (v *victim) open(target string) *ssetest.Client {
	v.t.Helper()
	return v.openOver(ssetest.Plain, target)
}

// openOver opens a stream over a transport.
func (v *victim) openOver(via ssetest.Transport, target string) *ssetest.Client {
	v.t.Helper()
	c := &ssetest.Client{Via: via, Target: target}
	if err := c.Open(via.Of(v.public, v.secure), time.Now().Add(2*patience)); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(c.Close)
	return c
}

// journal keeps what a process writes.
type journal struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (j *journal) keep(r io.Reader) {
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		j.mu.Lock()
		j.all.WriteString(line)
		j.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.String()
}

// count tells how many lines have text in them.
func (j *journal) count(text string) (n int) {
	for line := range strings.Lines(j.text()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
