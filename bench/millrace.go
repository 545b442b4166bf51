package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// startTimeout bounds the time from the start of a server to its being ready.
const startTimeout = time.Minute

// MillraceOptions say which millrace is started, and how.
type MillraceOptions struct {
	Program   string // path of the binary
	Streams   int    // that will be open
	Keepalive time.Duration
	Target    string   // of the streams
	Flags     []string // more of them, at the end of the command line
}

// BuildMillrace builds the server of this module into dir and returns the path
// of the program. Beside an installed millbench it is enough to have millrace.
func BuildMillrace(dir string) (string, error) {
	if executable, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(executable), "millrace")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	program := filepath.Join(dir, "millrace")
	cmd := exec.Command("go", "build", "-o", program, "millrace/cmd/millrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is deployed
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building millrace: %w: %s: run millbench in the source tree, or name the program with --millrace", err, out)
	}
	return program, nil
}

// StartMillrace starts a millrace as its users do, on free ports of loopback: in the clear,
// or with TLS if there is a certificate.
func StartMillrace(o MillraceOptions, certificate *Certificate) (*Server, error) {
	args := []string{"serve", "--admin", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--log-format", "json",
		"--keepalive", o.Keepalive.String(), "--max-connections", strconv.Itoa(o.Streams)}
	if certificate == nil {
		args = append(args, "--listen", "127.0.0.1:0")
	} else {
		args = append(args, "--tls-listen", "127.0.0.1:0", "--tls-cert", certificate.File, "--tls-key", certificate.Key)
	}
	cmd := exec.Command(o.Program, append(args, o.Flags...)...)
	cmd.Env = append(os.Environ(), traceVariable)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	s := &Server{Name: NameMillrace, Target: o.Target, pings: true, pauses: new(pauses)}
	ready := make(chan readyLine, 1)
	ended, err := startOwned(cmd, func() {
		s.pauses.follow(stderr, func(text string) {
			var line readyLine
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == "millrace is ready" {
				select {
				case ready <- line:
				default: // of a process that has taken over
				}
			} else if !strings.Contains(text, `"level":"INFO"`) {
				fmt.Fprintln(os.Stderr, text)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	s.pids = []int{cmd.Process.Pid}
	s.close = func() {
		cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-ended:
		case <-time.After(2 * time.Minute):
			cmd.Process.Kill()
			<-ended
		}
	}
	select {
	case line := <-ready:
		s.Addr, s.Version = line.Public, line.Version
		if certificate != nil {
			s.Addr = line.TLS
		}
		s.publisher, err = DialRESP(line.Admin, o.Target)
	case <-ended:
		err = fmt.Errorf("%s %s has ended before it was ready", o.Program, strings.Join(cmd.Args[1:], " "))
	case <-time.After(startTimeout):
		err = fmt.Errorf("%s is not ready: %w after %v", o.Program, ErrTimeout, startTimeout)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// readyLine is the line that millrace logs when it can be reached.
type readyLine struct {
	Msg, Public, TLS, Admin, Version string
	Loops                            int
	FDTables                         string `json:"fd_tables"`
}
