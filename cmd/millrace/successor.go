package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"millrace/internal/handover"
	"millrace/internal/node"
)

// confirmTime is how long a client that asked to confirm each step may take.
const confirmTime = 10 * time.Second

// started is how this process was started: a successor is started the same way.
var started = struct {
	program string
	args    []string
}{lookUp(os.Args[0]), withoutTakeover(os.Args[1:])}

// lookUp returns the path of a program that was started as name. /proc/self/exe would not
// do: once a package has replaced the file, it names the old one, which is gone.
func lookUp(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		path = name
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return path
}

// withoutTakeover returns args as a person would have given them.
func withoutTakeover(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == takeoverFlag })
}

// upgrader hands the node of this process over to a successor, as it is ordered to. It
// performs one order at a time. Its methods are safe for concurrent use.
type upgrader struct {
	log     *slog.Logger
	systemd *systemd
	hangups *reloader
	n       *node.Node     // set by listen
	socket  *controlSocket // nil: none

	opened chan struct{} // closed by open
	turn   chan struct{} // has one element while an order is under way, and after close
	closed atomic.Bool
	ended  chan struct{} // closed when nothing is left for this process but to end
	lost   bool          // the successor had everything, and has failed; valid once ended is closed
}

// newUpgrader returns one whose orders wait until open is called.
func newUpgrader(log *slog.Logger, hangups *reloader) *upgrader {
	return &upgrader{
		log: log, systemd: &systemd{log: log}, hangups: hangups,
		opened: make(chan struct{}), turn: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// listen has orders about n come from the control socket at path, until ctx is done; an empty
// path is for none.
func (u *upgrader) listen(ctx context.Context, n *node.Node, path string) (err error) {
	u.n = n
	if path != "" {
		u.socket, err = openControl(ctx, path, u.log, u.perform)
	}
	return err
}

// open has orders performed from here on.
func (u *upgrader) open() { close(u.opened) }

// close has orders refused from here on, and returns when none is under way: true if
// another process has everything, so that nothing is to be done in order.
func (u *upgrader) close() (succeeded bool) {
	u.closed.Store(true)
	select {
	case u.turn <- struct{}{}: // for ever
	case <-u.ended:
	}
	select {
	case <-u.ended:
		return true
	default:
		return false
	}
}

// closeSocket closes the control socket.
func (u *upgrader) closeSocket() {
	if u.socket != nil {
		u.socket.close()
	}
}

// perform performs an order.
func (u *upgrader) perform(ctx context.Context, o order, c *orderConn) outcome {
	select {
	case <-u.opened:
	case <-ctx.Done():
	}
	select {
	case u.turn <- struct{}{}:
	default:
		why := "another upgrade is under way"
		if u.closed.Load() {
			why = "millrace is stopping"
		}
		return outcome{Result: resultRefused, Why: why}
	}
	began := time.Now()
	result := outcome{Result: resultDone}
	figures, err := u.upgrade(ctx, o, c, &result.PID)
	took := time.Since(began)
	result.Took, result.Streams, result.Ended = took.Seconds(), int64(figures.Streams), int64(figures.Ended)
	result.Pause = pauses{figures.Median.Seconds(), figures.Longest.Seconds(), figures.Publishers.Seconds()}
	if err != nil {
		result.Result = resultOf(err)
		result.Why = strings.TrimPrefix(err.Error(), result.Result+": ")
		u.log.Error("upgrade", "result", result.Result, "why", result.Why, "successor", result.PID, "took", took.Round(time.Millisecond).String())
	} else {
		u.log.Info("upgrade", "result", result.Result, "successor", result.PID, "took", took.Round(time.Millisecond).String(),
			"streams", figures.Streams, "ended", figures.Ended, "pause_median", figures.Median.String(), "pause_longest", figures.Longest.String(),
			"pause_publishers", figures.Publishers.String())
	}
	if result.Result == resultDone || result.Result == resultLost { // there is no other order for this process
		u.lost = err != nil
		close(u.ended)
	} else {
		<-u.turn
	}
	return result
}

// upgrade is perform of the one order. pid is set to that of the successor.
func (u *upgrader) upgrade(ctx context.Context, o order, c *orderConn, pid *int) (handover.Upgrade, error) {
	return u.n.HandOver(ctx, node.HandOver{
		Start: func() (*handover.Conn, node.Process, error) {
			program, args, err := plan(o)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %w", node.ErrRefused, err)
			}
			conn, next, err := startSuccessor(program, args)
			if err != nil {
				return nil, nil, fmt.Errorf("the successor cannot be started: %w", err)
			}
			*pid = next.PID()
			u.hangups.asked.Store(false)
			u.log.Info("upgrade begins", "program", program, "successor", *pid)
			return conn, next, nil
		},
		Step: func(s node.Step) error {
			p := progress{Step: s.String(), Loop: s.Loop, Of: s.Loops, Streams: s.Streams, Version: s.Version, PID: *pid, Predecessor: os.Getpid()}
			if o.Confirm {
				return c.confirmed(p, confirmTime)
			}
			c.tell(p)
			return nil
		},
		Part: func() handover.Bye {
			u.systemd.succeeded(*pid)
			return handover.Bye{Stop: ctx.Err() != nil, Reload: u.hangups.asked.Load()}
		},
	})
}

// resultOf returns the result of an upgrade that ended with err.
func resultOf(err error) string {
	switch {
	case err == nil:
		return resultDone
	case errors.Is(err, node.ErrRefused):
		return resultRefused
	case errors.Is(err, node.ErrTakenBack):
		return resultTakenBack
	case errors.Is(err, node.ErrLost):
		return resultLost
	}
	return resultFailed
}

// plan returns how the successor is started, or why it is not.
func plan(o order) (program string, args []string, err error) {
	switch {
	case os.Getpid() == 1:
		return "", nil, errors.New("millrace is process 1, whose end is that of the container: run it under an init that starts the process anew, or replace the container")
	case os.Getenv("NOTIFY_SOCKET") == "" && !o.Unsupervised:
		return "", nil, errors.New("systemd has not started this server (NOTIFY_SOCKET is not set): other supervisors, and tini, take the end of the old process for that of the service, and end or double it; --unsupervised upgrades all the same")
	}
	program = cmp.Or(o.Binary, started.program)
	if !filepath.IsAbs(program) {
		return "", nil, fmt.Errorf("the program to go on with: %q is relative to the directory of the server, want an absolute path", program)
	}
	if info, err := os.Stat(program); err != nil {
		return "", nil, fmt.Errorf("the program to go on with: %w; --binary names another", err)
	} else if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", nil, fmt.Errorf("the program to go on with: %s is no program; --binary names another", program)
	}
	for _, flag := range o.Flags {
		if strings.Contains(flag, "\x00") {
			return "", nil, fmt.Errorf("flag %q: has a byte 0", flag)
		}
	}
	return program, append(merge(newParser(new(commands)), started.args, o.Flags), takeoverFlag), nil
}

// merge returns the command line args with flags given, which take the place of those of
// the same name.
func merge(parser *kong.Kong, args, given []string) []string {
	known := make(map[string]*kong.Flag)
	for _, command := range parser.Model.Leaves(false) {
		if command.Name == "serve" {
			for _, f := range command.Flags {
				known["--"+f.Name] = f
			}
		}
	}
	name := func(arg string) string {
		name, _, _ := strings.Cut(arg, "=")
		return name
	}
	replaced := make(map[string]bool)
	for _, arg := range given {
		replaced[name(arg)] = true
	}
	var merged []string
	for i := 0; i < len(args); i++ {
		f, arg := known[name(args[i])], []string{args[i]}
		if f != nil && !f.IsBool() && !strings.Contains(args[i], "=") && i+1 < len(args) {
			i++
			arg = append(arg, args[i]) // its value
		}
		if f == nil || !replaced["--"+f.Name] {
			merged = append(merged, arg...)
		}
	}
	return append(merged, given...)
}

// startSuccessor starts the successor, with a connection and a pidfd of this process.
func startSuccessor(program string, args []string) (*handover.Conn, *peer, error) {
	here, there, err := handover.Pair()
	if err != nil {
		return nil, nil, err
	}
	defer syscall.Close(there)
	conn := handover.NewConn(here)
	self, err := ownPidfd()
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	defer syscall.Close(self)
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "WATCHDOG_PID=") // which is this process
	})
	next, err := startSibling(program, args, env, there, self)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, next, nil
}
