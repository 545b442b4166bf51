package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"millrace/bench"
	"millrace/bench/report"
)

// common are the flags of every scenario.
type common struct {
	Servers []string `group:"Servers to start" placeholder:"NAME,..." help:"Servers to start: millrace, floor, net/http, nchan, and millrace with haproxy or nginx before it. After a name +tls, +gzip, +h2 or +h2x6 (six streams a connection) is the protocol. [those of the scenario]"`

	Millrace  string        `group:"Servers to start" placeholder:"PATH" help:"Program of millrace. [the one beside millbench, else one built from the source]"`
	Flag      []string      `group:"Servers to start" sep:"none" placeholder:"FLAG" help:"Flag for millrace, such as --flag=--loops=4; repeatable. [none]"`
	Keepalive time.Duration `default:"60s" group:"Servers to start" placeholder:"TIME" help:"Time between two pings of millrace. [${default}]"`

	TLS                  bool `name:"tls" group:"Protocol" help:"TLS, for servers whose name has no protocol. [off]"`
	Gzip                 bool `name:"gzip" group:"Protocol" help:"The content coding gzip, for servers whose name has no protocol: in the clear, every inflated byte is checked. [off]"`
	H2                   bool `name:"h2" env:"MILLBENCH_H2" group:"Protocol" help:"HTTP/2, which implies --tls. [off]"`
	StreamsPerConnection int  `default:"1" group:"Protocol" placeholder:"N" help:"Streams of one connection with --h2; a page may have six. [${default}]"`

	URL      string `name:"url" group:"A server that is there" placeholder:"URL" help:"Address of a stream. [none: servers are started]"`
	Admin    string `group:"A server that is there" placeholder:"HOST:PORT" help:"Port for PUBLISH in the Redis protocol. [none]"`
	Channel  string `group:"A server that is there" placeholder:"NAME" help:"Channel to publish on. [the path of the URL]"`
	Publish  string `group:"A server that is there" placeholder:"COMMAND" help:"Shell command that publishes its input. [none]"`
	PID      int    `name:"pid" group:"A server that is there" placeholder:"N" help:"First process of the server, to measure its use of processor and memory. [unknown]"`
	TLSCert  string `name:"tls-cert" placeholder:"FILE" group:"A server that is there" help:"Its certificate as PEM, which is believed then, and no other. [those that the system believes]"`
	Anywhere bool   `group:"A server that is there" help:"Load a server on another host. [off]"`

	Network string        `default:"auto" enum:"auto,own,host" group:"Load" placeholder:"KIND" help:"Network namespace of the servers: own, with a table of connections that has room for all; host, that of the host; or auto, for own if the host allows one. [${default}]"`
	Payload int           `default:"16" group:"Load" placeholder:"BYTES" help:"Size of the data of an event. [${default}]"`
	Gather  time.Duration `default:"0s" group:"Load" placeholder:"TIME" help:"Time for which a client's loop lets arrivals gather. [20ms if there are many loops]"`
	Timeout time.Duration `default:"5m" group:"Load" placeholder:"TIME" help:"Longest time of a step. [${default}]"`

	output
}

// output are the flags of the files that a report is written to.
type output struct {
	JSON string `name:"json" group:"Report" placeholder:"FILE" help:"File for the figures as JSON. [none]"`
	HTML string `name:"html" group:"Report" placeholder:"FILE" help:"File for a page with plots. [none]"`
}

// errVerdict says that a verdict does not hold; the report tells which.
var errVerdict = errors.New("a verdict does not hold")

// exitStatus is that of the process that has done the work, and told of it.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// servers are those to load: those of the command line, or else usual.
func (c *common) servers(usual ...string) []string {
	switch {
	case c.URL != "":
		return usual[:1]
	case len(c.Servers) > 0:
		return c.Servers
	}
	return usual
}

// protocol is that of servers whose name has none.
func (c *common) protocol() bench.Protocol {
	switch {
	case c.Gzip:
		return bench.Gzip
	case c.H2:
		return bench.H2
	case c.TLS:
		return bench.TLS
	}
	return bench.Plain
}

// Validate reports flags that do not go together. The parser calls it.
func (c *common) Validate() error {
	if c.Gzip && (c.TLS || c.H2) {
		return errors.New("--gzip is in the clear: want it without --tls and --h2")
	}
	if c.StreamsPerConnection != 1 && !c.H2 {
		return fmt.Errorf("--streams-per-connection %d: want --h2 with it", c.StreamsPerConnection)
	}
	return nil
}

// run runs a scenario that opens so many streams, and writes its report.
func (c *common) run(title string, streams int, scenario func(*bench.Lab) error) error {
	if c.Network != "host" && c.URL == "" {
		inside, status, err := bench.EnterNetwork(2 * streams) // both ends
		switch {
		case err != nil && c.Network == "own":
			return fmt.Errorf("--network own: %w", err)
		case err == nil && !inside:
			return exitStatus(status)
		}
	}
	progress := newProgress()
	lab := &bench.Lab{
		Protocol:      c.protocol(),
		PerConnection: c.StreamsPerConnection,

		Millrace: bench.MillraceOptions{Program: c.Millrace, Keepalive: c.Keepalive, Target: "/bench", Flags: c.Flag},
		Load:     bench.Load{PayloadSize: c.Payload, Gather: c.Gather, Timeout: c.Timeout, Anywhere: c.Anywhere, Note: progress.note},
		Document: bench.NewDocument(title, os.Args),
	}
	defer lab.Close()
	if err := c.external(lab); err != nil {
		return err
	}
	if lab.External == nil && c.Millrace == "" {
		dir, err := os.MkdirTemp("", "millbench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		progress.note("building millrace")
		if lab.Millrace.Program, err = bench.BuildMillrace(dir); err != nil {
			return err
		}
	}
	err := scenario(lab)
	progress.end()
	lab.Document.Seconds = time.Since(lab.Document.Started).Seconds()
	if err != nil {
		lab.Document.Verdicts = append(lab.Document.Verdicts, report.Verdict{What: "the run", Want: "no error", Got: err.Error()})
	}
	lab.Document.WriteText(os.Stdout)
	return errors.Join(err, c.write(lab.Document))
}

// external sets the lab's server, if the command line names one.
func (c *common) external(lab *bench.Lab) error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--url: %q, want http://HOST:PORT/PATH, or https", c.URL)
	}
	e := &bench.External{URL: c.URL, Addr: u.Host, Host: u.Host, Target: u.RequestURI(), Admin: c.Admin, Channel: c.Channel, Command: c.Publish, PID: c.PID}
	if u.Scheme == "https" && lab.Protocol == bench.Plain {
		lab.Protocol = bench.TLS
	}
	if u.Scheme == "http" && lab.Protocol != bench.Plain {
		return fmt.Errorf("--url: %q with --tls or --h2, want https", c.URL)
	}
	if u.Port() == "" {
		e.Addr = net.JoinHostPort(u.Hostname(), u.Scheme)
	}
	if c.TLSCert != "" {
		if e.Certificate, err = bench.ReadCertificate(c.TLSCert); err != nil {
			return fmt.Errorf("--tls-cert: %w", err)
		}
	}
	if e.Channel == "" {
		e.Channel = u.Path
	}
	lab.External = e
	return nil
}

// write writes the files that are asked for.
func (o *output) write(d *report.Document) error {
	if err := errors.Join(writeFile(o.JSON, d.WriteJSON), writeFile(o.HTML, d.WriteHTML)); err != nil {
		return err
	}
	if !d.Passed() {
		return errVerdict
	}
	return nil
}

// writeFile has a file written that is asked for by its name.
func writeFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
