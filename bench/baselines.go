package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// StartFloor starts a Floor that has room for so many streams, with as many
// loops as millrace has.
func StartFloor(streams int) (*Server, error) {
	var args ListenArgs
	args.Loops, args.OwnTables = LoopsFor(streams, 1.0/16)
	args.Loops = max(args.Loops, runtime.GOMAXPROCS(0))
	p, err := Start(partFloor)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: "floor", Target: "/", pids: []int{p.PID()}, publisher: floorPublisher{p}, close: p.Close}
	if err := p.Call(startTimeout, "Listen", args, &s.Addr); err != nil {
		p.Close()
		return nil, err
	}
	return s, nil
}

// floorPublisher has a Floor broadcast each event with a write of its own.
type floorPublisher struct{ p *Process }

func (f floorPublisher) Publish(events [][]byte) error {
	for _, e := range events {
		if err := f.p.Call(publishTimeout, "Broadcast", fmt.Appendf(nil, "data: %s\n\n", e), &None{}); err != nil {
			return err
		}
	}
	return nil
}

func (f floorPublisher) Close() error { return nil }

// StartNetHTTP starts a NetHTTP.
func StartNetHTTP() (*Server, error) {
	p, err := Start(partNetHTTP, traceVariable)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: "net/http", Version: runtime.Version(), Target: "/", pids: []int{p.PID()}, pauses: &p.pauses, close: p.Close}
	if err := p.Call(startTimeout, "Listen", None{}, &s.Addr); err != nil {
		p.Close()
		return nil, err
	}
	s.publisher = newPoster("http://" + s.Addr + "/")
	return s, nil
}

// poster publishes by one POST an event, one after the other.
type poster struct {
	url    string
	client http.Client
}

func newPoster(url string) *poster {
	return &poster{url, http.Client{Timeout: publishTimeout, Transport: &http.Transport{}}}
}

// Publish sends one request after the other: so they stay in order.
func (p *poster) Publish(events [][]byte) error {
	for _, e := range events {
		answer, err := p.client.Post(p.url, "text/plain", bytes.NewReader(e))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
		answer.Body.Close()
		if err != nil {
			return err
		}
		if answer.StatusCode/100 != 2 {
			return fmt.Errorf("POST %s: %s: %q", p.url, answer.Status, text)
		}
	}
	return nil
}

func (p *poster) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// External is a server that somebody else has started.
type External struct {
	URL     string // of a stream
	Addr    string // host and port
	Target  string // path and query
	Admin   string // address that takes PUBLISH of the Redis protocol, and
	Channel string // the channel; or
	Command string // a shell command that publishes its stdin
	PID     int    // of its first process; 0 for unknown
}

// Server returns the server, which Close leaves running.
func (e External) Server() (*Server, error) {
	s := &Server{Name: e.URL, Addr: e.Addr, Target: e.Target, close: func() {}}
	if e.PID != 0 {
		s.pids = family(e.PID)
	}
	s.publisher = command(e.Command)
	if e.Admin != "" {
		var err error
		if s.publisher, err = DialRESP(e.Admin, e.Channel); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// command publishes by running a shell command for each event.
type command string

func (c command) Publish(events [][]byte) error {
	for _, e := range events {
		cmd := exec.Command("sh", "-c", string(c))
		cmd.Stdin, cmd.Stderr = bytes.NewReader(e), os.Stderr
		cmd.WaitDelay = time.Second
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", string(c), err)
		}
	}
	return nil
}

func (c command) Close() error { return nil }
