package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"millrace/internal/node"
)

// upgradeCommand has a running server hand all that it holds to a new process.
type upgradeCommand struct {
	Control      string   `placeholder:"PATH" help:"Control socket of the running server. [control in RUNTIME_DIRECTORY, or in /run/millrace]"`
	Binary       string   `env:"-" placeholder:"FILE" help:"Program to go on with. [that by whose name the server was started]"`
	Unsupervised bool     `env:"-" help:"Upgrade a server that systemd did not start: whatever watches its process has to cope with its end. [off]"`
	JSON         bool     `name:"json" env:"-" help:"Print steps and result as JSON, one object a line. [off]"`
	Flags        []string `arg:"" optional:"" help:"Flags of millrace serve, after --, which take the place of those that the server was started with."`
}

// orderUpgrade is the command of an order.
const orderUpgrade = "upgrade"

// order is what a client of the control socket asks for.
type order struct {
	Command      string   `json:"command"`
	Binary       string   `json:"binary,omitempty"` // path; empty: as the server was started
	Flags        []string `json:"flags,omitempty"`
	Unsupervised bool     `json:"unsupervised,omitempty"`
	// Confirm has the server wait for a line of the client after each step.
	Confirm bool `json:"confirm,omitempty"`
}

// progress is a step of an upgrade that has been taken.
type progress struct {
	Step        string `json:"step"`
	Loop        int    `json:"loop"`
	Of          int    `json:"of"`                // loops
	Streams     int64  `json:"streams"`           // of the loop, or of all
	PID         int    `json:"pid"`               // of the successor
	Predecessor int    `json:"predecessor"`       // its number
	Version     string `json:"version,omitempty"` // of the successor, with "hello"
}

// Results of an upgrade. In the first three nothing has changed for any client.
const (
	resultRefused   = "refused"    // before anything was begun
	resultFailed    = "failed"     // before anything was moved
	resultTakenBack = "taken back" // what was moved is served by the old process again
	resultLost      = "lost"       // the successor ended after the switch
	resultDone      = "done"
)

// outcome is what came of an upgrade.
type outcome struct {
	Result  string  `json:"result"`
	Why     string  `json:"why,omitempty"`
	PID     int     `json:"pid,omitempty"`     // of the successor
	Took    float64 `json:"took,omitempty"`    // seconds
	Streams int64   `json:"streams,omitempty"` // that the successor has
	Ended   int64   `json:"ended,omitempty"`   // connections that could not move
	Pause   pauses  `json:"pause"`
}

// pauses are how long clients were not served, in seconds.
type pauses struct {
	Median     float64 `json:"median"` // of streams
	Longest    float64 `json:"longest"`
	Publishers float64 `json:"publishers"`
}

// Run asks for the upgrade and waits for its result.
func (c *upgradeCommand) Run(ctx context.Context, w warnings) error {
	w.print(os.Stderr)
	if !controlSupported {
		return errors.New("a running server can be upgraded on Linux only")
	}
	path := cmp.Or(controlPath(c.Control), defaultControl)
	o := order{Command: orderUpgrade, Flags: c.Flags, Unsupervised: c.Unsupervised}
	if c.Binary != "" {
		absolute, err := filepath.Abs(c.Binary) // the server has another directory, perhaps
		if err != nil {
			return err
		}
		o.Binary = absolute
	}
	result, err := command(ctx, path, o, func(line []byte) { c.show(os.Stdout, line) })
	if err != nil {
		return err
	}
	if result.Result != resultDone {
		return fmt.Errorf("%s: %s", result.Result, result.Why)
	}
	return nil
}

// defaultControl is where the unit of deploy/ has the control socket.
const defaultControl = "/run/millrace/control"

// command gives an order and returns what came of it. show gets each line.
func command(ctx context.Context, path string, o order, show func(line []byte)) (result outcome, err error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return result, fmt.Errorf("%w: is millrace running, with RuntimeDirectory= or --control? --control names another socket", err)
	case errors.Is(err, fs.ErrPermission):
		return result, fmt.Errorf("%w: want root, or the user as whom millrace runs", err)
	case err != nil:
		return result, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	line, err := json.Marshal(o)
	if err != nil {
		return result, err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return result, err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxOrder)
	for lines.Scan() {
		show(lines.Bytes())
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			return result, fmt.Errorf("the server says %.64q, want JSON", lines.Bytes())
		}
		if result.Result != "" {
			return result, nil
		}
	}
	if ctx.Err() != nil {
		return result, errors.New("interrupted: the upgrade goes on, and the log of the server tells its result")
	}
	return result, fmt.Errorf("the server ended before it told a result: %w", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

// show prints a line of the server, for people unless they want JSON.
func (c *upgradeCommand) show(w io.Writer, line []byte) {
	if c.JSON {
		fmt.Fprintf(w, "%s\n", line)
		return
	}
	var p progress
	var o outcome
	if json.Unmarshal(line, &p) != nil || json.Unmarshal(line, &o) != nil {
		return
	}
	seconds := func(s float64) time.Duration {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Microsecond)
	}
	switch {
	case o.Result == resultDone:
		fmt.Fprintf(w, "done: process %d has %d streams after %v; %d ended; pause of streams %v (median) and %v (longest), of publishers %v\n",
			o.PID, o.Streams, seconds(o.Took), o.Ended, seconds(o.Pause.Median), seconds(o.Pause.Longest), seconds(o.Pause.Publishers))
	case o.Result != "": // is an error, which Run returns
	case p.String() != "":
		fmt.Fprintln(w, p)
	}
}

// String says the step in words.
func (p progress) String() string {
	name, _, _ := strings.Cut(p.Step, ":")
	switch name {
	case node.StepStarted:
		return fmt.Sprintf("process %d has been started, to follow process %d", p.PID, p.Predecessor)
	case node.StepHello:
		return fmt.Sprintf("it is millrace %s, and can go on", p.Version)
	case node.StepLoaded:
		return "it has all channels and their history"
	case node.StepServing:
		return fmt.Sprintf("it serves loop %d of %d: %d streams", p.Loop+1, p.Of, p.Streams)
	case node.StepMoved:
		return fmt.Sprintf("it serves all %d streams", p.Streams)
	case node.StepSwitch:
		return "it takes over the publishers"
	}
	return "" // of no interest to people
}
