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
// loops as millrace has, and with TLS if there is a certificate.
func StartFloor(streams int, certificate *Certificate) (*Server, error) {
	args := ListenArgs{Certificate: certificate}
	args.Loops, args.OwnTables = LoopsFor(streams, 1.0/16)
	args.Loops = max(args.Loops, runtime.GOMAXPROCS(0))
	p, err := Start(partFloor)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: NameFloor, Target: "/", pids: []int{p.PID()}, publisher: floorPublisher{p}, close: p.Close}
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

// StartNetHTTP starts a NetHTTP, with TLS if there is a certificate.
func StartNetHTTP(certificate *Certificate) (*Server, error) {
	p, err := Start(partNetHTTP, traceVariable)
	if err != nil {
		return nil, err
	}
	var addrs NetHTTPAddrs
	if err := p.Call(startTimeout, "Listen", ListenArgs{Certificate: certificate}, &addrs); err != nil {
		p.Close()
		return nil, err
	}
	return &Server{
		Name: NameNetHTTP, Version: runtime.Version(), Addr: addrs.Streams, Target: "/",
		pids: []int{p.PID()}, pauses: &p.pauses, publisher: newPoster("http://" + addrs.Publish + "/"), close: p.Close,
	}, nil
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
	Host    string // that requests name
	Target  string // path and query
	Admin   string // address that takes PUBLISH of the Redis protocol, and
	Channel string // the channel; or
	Command string // a shell command that publishes its stdin
	PID     int    // of its first process; 0 for unknown
	// Certificate is the only one that is believed, in DER; nil for what the system believes.
	Certificate []byte
}

// Server returns the server, which Close leaves running. It is loaded over a protocol, with
// so many streams a connection.
func (e External) Server(p Protocol, perConnection int) (*Server, error) {
	s := &Server{
		Name: e.URL, Addr: e.Addr, Host: e.Host, Target: e.Target, Protocol: p, PerConnection: perConnection,
		Certificate: e.Certificate, close: func() {},
	}
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
