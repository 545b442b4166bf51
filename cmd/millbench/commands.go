package main

import (
	"time"

	"millrace/bench"
	"millrace/bench/report"
)

type holdCommand struct {
	common
	Streams int           `default:"15000" placeholder:"N" help:"Open streams. [${default}]"`
	For     time.Duration `default:"30s" placeholder:"TIME" help:"Time for which the streams are idle. [${default}]"`
}

// Run runs the scenario.
func (c *holdCommand) Run() error {
	return c.run("Open streams, idle", c.Streams, func(l *bench.Lab) error { return l.Hold(c.servers("millrace"), c.Streams, c.For) })
}

type fanoutCommand struct {
	common
	Streams int `default:"15000" placeholder:"N" help:"Open streams. [${default}]"`
	Events  int `default:"20" placeholder:"N" help:"Events, one after the other. [${default}]"`
}

// Run runs the scenario.
func (c *fanoutCommand) Run() error {
	return c.run("One event to all streams", c.Streams, func(l *bench.Lab) error { return l.FanOut(c.servers("millrace", "floor"), c.Streams, c.Events) })
}

type floodCommand struct {
	common
	Streams int           `default:"1000" placeholder:"N" help:"Open streams. [${default}]"`
	For     time.Duration `default:"5s" placeholder:"TIME" help:"Time for which events are published. [${default}]"`
}

// Run runs the scenario.
func (c *floodCommand) Run() error {
	return c.run("A flood of events", c.Streams, func(l *bench.Lab) error { return l.Flood(c.servers("millrace"), c.Streams, c.For) })
}

type churnCommand struct {
	common
	Streams int           `default:"5000" placeholder:"N" help:"Open streams. [${default}]"`
	For     time.Duration `default:"10s" placeholder:"TIME" help:"Time for which streams are replaced. [${default}]"`
}

// Run runs the scenario.
func (c *churnCommand) Run() error {
	return c.run("Streams that come and go", c.Streams, func(l *bench.Lab) error { return l.Churn(c.servers("millrace"), c.Streams, c.For) })
}

type stormCommand struct {
	common
	Streams int `default:"15000" placeholder:"N" help:"Open streams. [${default}]"`
}

// Run runs the scenario.
func (c *stormCommand) Run() error {
	return c.run("Everybody reconnects at once", c.Streams, func(l *bench.Lab) error { return l.Storm(c.servers("millrace"), c.Streams) })
}

type millionCommand struct {
	common
	Streams int           `default:"1000000" placeholder:"N" help:"Open streams. [${default}]"`
	Events  int           `default:"5" placeholder:"N" help:"Events, one after the other. [${default}]"`
	Idle    time.Duration `default:"130s" placeholder:"TIME" help:"Time for which the streams are idle afterwards, to measure pings; 0 for none. [${default}]"`
	Floors  bench.Floors  `default:"both" enum:"both,before,none" placeholder:"WHEN" help:"When the bare loop of writes is measured: both before and after millrace, before only, or not at all. [${default}]"`
}

// Run runs the scenario.
func (c *millionCommand) Run() error {
	return c.run(report.Count(c.Streams)+" streams in one process", c.Streams, func(l *bench.Lab) error { return l.Million(c.Streams, c.Events, c.Idle, c.Floors) })
}

type compareCommand struct {
	common
	Events int           `default:"30" placeholder:"N" help:"Events, one after the other. [${default}]"`
	For    time.Duration `default:"5s" placeholder:"TIME" help:"Time of a flood. [${default}]"`
}

// Run runs the scenario.
func (c *compareCommand) Run() error {
	return c.run("millrace beside others", 4*15_000, func(l *bench.Lab) error {
		if err := l.Compare(c.servers("millrace", "floor", "net/http", "nchan"), c.Events, c.For); err != nil || len(c.Servers) > 0 || c.URL != "" {
			return err
		}
		return l.Protocols([]string{"millrace", "millrace+tls", "millrace+h2", "millrace+h2x6", "haproxy+tls", "nginx+tls", "millrace+gzip", "nginx+gzip"}, c.Events, 100, 1000)
	})
}

type upgradeCommand struct {
	common
	Streams int      `default:"1000000" placeholder:"N" help:"Open streams. [${default}]"`
	Times   int      `default:"2" placeholder:"K" help:"Handovers, one after the other. [${default}]"`
	Fanout  bool     `help:"Publish an event to all streams in the middle of each handover. [off]"`
	Kill    []string `placeholder:"POINT,..." help:"End or stop a process in the middle: old, new, stop-old or stop-new at each step, or at one, as in new:prepared:3; or all. [none]"`
	Rate    int      `default:"200" placeholder:"N" help:"Events a second to clients with odd habits. [${default}]"`
	History int      `placeholder:"MIB" help:"Messages that channels keep when the first handover begins. [0]"`
	Program []string `placeholder:"PATH,..." help:"Programs of the successors, one after the other. [that of the first process]"`
}

// Run runs the scenario.
func (c *upgradeCommand) Run() error {
	u := bench.Upgrades{Streams: c.Streams, Times: c.Times, FanOut: c.Fanout, Kills: c.Kill, Rate: c.Rate, History: c.History, Programs: c.Program}
	return c.run(report.Count(c.Streams)+" streams handed over to a new process", c.Streams, func(l *bench.Lab) error { return l.Upgrade(u) })
}
