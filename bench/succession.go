package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// succession is a millrace that is handed over from process to process. Its methods are for one
// goroutine.
type succession struct {
	*Server
	clear, secure string // addresses of streams
	admin         string
	control       string        // socket of `millrace upgrade`
	certificate   *Certificate  // nil for none
	first         int           // id of the process that this one has started itself
	used          time.Duration // processor time of the processes that have ended
}

// endTimeout bounds the time until a process has ended that was asked to.
const endTimeout = 2 * time.Minute

// startSuccession starts one that serves in the clear, and over TLS if there is a certificate.
// Its ports are told beforehand: a process that comes later has the same ones.
func startSuccession(o MillraceOptions, certificate *Certificate, dir string) (*succession, error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	s := &succession{clear: ports[0], admin: ports[2], control: filepath.Join(dir, "control"), certificate: certificate}
	flags := []string{"--listen", ports[0], "--admin", ports[2], "--ops", ports[3], "--control", s.control, "--gzip", "/*", "--header-timeout", "1m"}
	if certificate != nil {
		s.secure = ports[1]
		flags = append(flags, "--tls-listen", ports[1], "--tls-cert", certificate.File, "--tls-key", certificate.Key)
	}
	o.Flags = append(flags, o.Flags...)
	if s.Server, err = StartMillrace(o, nil); err != nil {
		return nil, err
	}
	s.first = s.pids[0]
	closeFirst := s.close
	s.close = func() { s.end(closeFirst) }
	return s, nil
}

// freePorts returns addresses that nobody has at the moment.
func freePorts(n int) (addrs []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

// pid is that of the process that serves.
func (s *succession) pid() int { return s.pids[0] }

// end ends the process that serves.
func (s *succession) end(closeFirst func()) {
	if s.pid() != s.first {
		endProcess(s.pid())
	}
	closeFirst()
}

// endProcess ends a child, by force if it does not end by itself.
func endProcess(pid int) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	p.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(endTimeout, func() { p.Kill() })
	defer kill.Stop()
	p.Wait()
}

// upgradeStep is a line that the control socket tells: a step, or at last the result.
type upgradeStep struct {
	Step        string
	Loop, Of    int
	Streams     int
	PID         int // of the successor
	Predecessor int

	Result string // "done", "refused", "failed", "taken back", "lost"
	Why    string
	Took   float64 // seconds
	Ended  int
	Pause  struct{ Median, Longest, Publishers float64 } // seconds
}

// The results of an upgrade.
const (
	resultDone      = "done"
	resultTakenBack = "taken back"
	resultFailed    = "failed"
	resultNone      = "no answer" // the predecessor is gone
)

// upgrade asks for an upgrade as `millrace upgrade` does, and calls at at each step; if confirm
// is set, the predecessor waits meanwhile. A predecessor that ends without an answer is the
// result resultNone.
func (s *succession) upgrade(binary string, timeout time.Duration, confirm bool, at func(upgradeStep)) (result upgradeStep, err error) {
	conn, err := net.DialTimeout("unix", s.control, 10*time.Second)
	if err != nil {
		return result, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(timeout))
	request := struct {
		Command      string `json:"command"`
		Binary       string `json:"binary,omitempty"`
		Unsupervised bool   `json:"unsupervised"`
		Confirm      bool   `json:"confirm"`
	}{"upgrade", binary, true, confirm}
	line, err := json.Marshal(request)
	if err != nil {
		return result, err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return result, err
	}
	successor := 0
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		var step upgradeStep
		if err := json.Unmarshal(lines.Bytes(), &step); err != nil {
			return result, fmt.Errorf("%s: %q: %w", s.control, lines.Text(), err)
		}
		if step.PID > 0 {
			successor = step.PID
		}
		if step.Result != "" {
			step.PID = successor
			return step, nil
		}
		at(step)
		if !confirm {
			continue
		}
		if _, err := conn.Write([]byte("go\n")); err != nil && !errors.Is(err, syscall.EPIPE) {
			return result, err
		}
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return result, fmt.Errorf("%s: %w", s.control, err)
	}
	return upgradeStep{Result: resultNone, PID: successor}, nil
}

// succeed notes that another process serves, when the one before it has ended.
func (s *succession) succeed(pid int) error {
	before := s.pid()
	if err := awaitEnd(before); err != nil {
		return err
	}
	cpu, err := processCPU(before)
	if err != nil {
		return err
	}
	s.used += cpu
	s.mu.Lock()
	s.pids = []int{pid}
	s.mu.Unlock()
	if before != s.first { // that one is waited for where it was started
		reap(before)
	}
	return nil
}

// reap waits for a child that has ended, or is about to.
func reap(pid int) {
	if p, err := os.FindProcess(pid); err == nil && pid > 0 {
		p.Wait()
	}
}

// CPU is the processor time of all processes so far.
func (s *succession) CPU() (time.Duration, error) {
	now, err := processCPU(s.pid())
	return s.used + now, err
}

// redial has events published on a new connection.
func (s *succession) redial() (err error) {
	s.publisher.Close()
	s.publisher, err = DialRESP(s.admin, s.Target)
	return err
}

// awaitEnd returns when a child has ended, whether it was waited for or not.
func awaitEnd(pid int) error {
	for deadline := time.Now().Add(endTimeout); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if hasEnded(pid) {
			return nil
		}
	}
	return fmt.Errorf("process %d goes on: %w after %v", pid, ErrTimeout, endTimeout)
}
