package bench

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// The environment variables by which a process of the bench tells the next one
// its role. None begins with MILLBENCH_, which is a flag's, nor with MILLRACE_,
// of which a server warns that knows no such flag.
const (
	partVariable    = "BENCH_PART"          // the part of its parent's bench that it is
	networkVariable = "BENCH_NETWORK_STAGE" // how far it is on its way into a network of its own
)

// ServeParts does nothing in an ordinary process. In one that Start has
// started, it serves the part that the parent asked for, by name, until the
// parent closes its end or dies, and never returns. main, or TestMain, calls
// it first of all. The methods of a part are called as package net/rpc says.
func ServeParts(parts map[string]any) {
	name := os.Getenv(partVariable)
	if name == "" {
		return
	}
	part, ok := parts[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s=%q: there is no such part\n", partVariable, name)
		os.Exit(2)
	}
	server := rpc.NewServer()
	if err := server.RegisterName(partService, part); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	server.ServeConn(pipes{lifeline{os.Stdin}, os.Stdout})
}

// partService is the name of a part among the services of its process: there
// is no other.
const partService = "Part"

// lifeline is the process's standard input. With it the process ends, whatever
// it is doing.
type lifeline struct{ *os.File }

func (l lifeline) Read(p []byte) (int, error) {
	n, err := l.File.Read(p)
	if err != nil {
		os.Exit(0)
	}
	return n, nil
}

// pipes are the two ends of a conversation.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error { return errors.Join(p.ReadCloser.Close(), p.WriteCloser.Close()) }

// startOwned starts a program that ends when this one does. It is waited for when
// follow has returned; ended is closed when it has ended.
//
// The system takes the thread that starts a program for its owner, so that thread has
// to live as long: another one may end with a goroutine that was locked to it.
func startOwned(cmd *exec.Cmd, follow func()) (ended <-chan struct{}, err error) {
	cmd.SysProcAttr = ownedByParent()
	started, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			follow()
			cmd.Wait()
		}
	}()
	return done, <-started
}

// Process is a part of a bench in a process of its own. The methods are safe
// for concurrent use.
type Process struct {
	cmd    *exec.Cmd
	client *rpc.Client
	pauses pauses
	ended  chan struct{} // closed when the process has ended
}

// Start runs this program again as one of the parts that it gives to
// ServeParts.
func Start(part string, environment ...string) (*Process, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable)
	cmd.Env = append(append(os.Environ(), environment...), partVariable+"="+part)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench part %q: %w", part, err)
	}
	p := &Process{cmd: cmd, client: rpc.NewClient(pipes{out, in}), ended: make(chan struct{})}
	go func() {
		p.pauses.follow(stderr, func(text string) { fmt.Fprintln(os.Stderr, text) })
		cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Call calls a method of the part, which has so much time to answer.
func (p *Process) Call(timeout time.Duration, method string, args, reply any) error {
	call := p.client.Go(partService+"."+method, args, reply, make(chan *rpc.Call, 1))
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-call.Done:
		if call.Error != nil {
			return fmt.Errorf("%s: %w", method, call.Error)
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("%s: %w after %v", method, ErrTimeout, timeout)
	}
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU returns the processor time that the process has used so far, in user and
// system mode.
func (p *Process) CPU() (time.Duration, error) { return processCPU(p.PID()) }

// Memory returns how much anonymous memory of the process is resident, in
// bytes.
func (p *Process) Memory() (int, error) {
	_, anon, err := processMemory(p.PID())
	return anon, err
}

// Close ends the process, by force if it does not end by itself.
func (p *Process) Close() {
	p.client.Close()
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}
