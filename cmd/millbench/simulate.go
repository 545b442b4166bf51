package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"millrace/bench"
	"millrace/bench/report"
	"millrace/bench/storm"
	"millrace/server"
)

type simulateCommand struct {
	Nodes      int             `default:"10" group:"Service" placeholder:"N" help:"Nodes of the service. [${default}]"`
	Streams    int             `default:"1000000" group:"Service" placeholder:"N" help:"Open streams at each node. [${default}]"`
	Lost       int             `default:"1" group:"Service" placeholder:"N" help:"Nodes that go away. [${default}]"`
	Drain      []time.Duration `default:"30s,2m" group:"Service" placeholder:"TIME" help:"--drain of these nodes: a scenario each, beside one in which they are killed. [${default}]"`
	AcceptRate []string        `default:"2000/s" group:"Service" placeholder:"RATE" help:"--accept-rate of the other nodes: a scenario each, beside those without. [only ${default}]"`
	Capacity   int             `default:"20000" group:"Service" placeholder:"N" help:"Connections that a node answers in a second; 0 for any number. [${default}]"`
	Backlog    int             `default:"65535" group:"Service" placeholder:"N" help:"net.core.somaxconn of a node. [${default}]"`
	Retry      time.Duration   `default:"3s" group:"Clients" placeholder:"TIME" help:"Delay of a client that is told none: --retry, or that of browsers. [${default}]"`
	Jitter     time.Duration   `default:"2s" group:"Clients" placeholder:"TIME" help:"The most that a client comes later than told. [${default}]"`
	Notice     time.Duration   `default:"2s" group:"Balancer" placeholder:"TIME" help:"Time until it sends no more clients to a lost node. [${default}]"`
	Seed       uint64          `default:"1" placeholder:"N" help:"Seed of the random numbers. [${default}]"`
	SVG        string          `name:"svg" group:"Report" placeholder:"FILE" help:"File for the plots. [none]"`
	output
}

// Validate reports an invalid plan. The parser calls it.
func (c *simulateCommand) Validate() error {
	scenarios, err := c.scenarios()
	if err != nil {
		return err
	}
	for _, s := range scenarios {
		if err := s.plan.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Run runs the simulations.
func (c *simulateCommand) Run() error {
	d, err := c.simulate(os.Args)
	if err != nil {
		return err
	}
	d.WriteText(os.Stdout)
	if err := writeFile(c.SVG, d.WriteReturnSVG); err != nil {
		return err
	}
	return c.write(d)
}

// simulate returns the report of all scenarios.
func (c *simulateCommand) simulate(args []string) (*report.Document, error) {
	d := bench.NewDocument("A simulated reconnect storm", args)
	d.Notes = []string{fmt.Sprintf("%s of %s nodes with %s streams each go away; see docs/scaling.md", report.Count(c.Lost), report.Count(c.Nodes), report.Count(c.Streams))}
	scenarios, err := c.scenarios()
	if err != nil {
		return nil, err
	}
	for _, s := range scenarios {
		course, err := storm.Run(s.plan)
		if err != nil {
			return nil, err
		}
		d.Results = append(d.Results, result(s.name, course))
	}
	for _, by := range []storm.Balance{storm.AtRandom, storm.LeastConnections} {
		rolled := storm.RollingRestart(c.Nodes, c.Lost, by)
		d.Results = append(d.Results, &report.Result{Server: by.String(), Streams: c.Nodes * c.Streams, Rolling: (*report.Rolling)(&rolled)})
	}
	d.Seconds = time.Since(d.Started).Seconds()
	return d, nil
}

// scenario is a plan with a name for tables and plots.
type scenario struct {
	name string
	plan storm.Plan
}

// scenarios are those that the command line is about: killed and drained nodes
// without limits, then killed ones with each accept rate.
func (c *simulateCommand) scenarios() ([]scenario, error) {
	killed := storm.Plan{
		Nodes: c.Nodes, Streams: c.Streams, Lost: c.Lost, Retry: c.Retry, Jitter: c.Jitter,
		Notice: c.Notice, Capacity: c.Capacity, Backlog: c.Backlog, Seed: c.Seed,
	}
	all := []scenario{{"killed", killed}}
	for _, text := range c.AcceptRate {
		rate, err := server.ParseRate(text)
		if err != nil {
			return nil, fmt.Errorf("--accept-rate: %w", err)
		}
		if limited := killed; rate.Events > 0 {
			limited.AcceptRate = storm.Rate(rate)
			all = append(all, scenario{"killed, " + rate.String(), limited})
		}
	}
	for _, drain := range c.Drain {
		if drained := killed; drain > 0 {
			drained.Drain = drain
			all = append(all, scenario{"drain " + short(drain), drained})
		}
	}
	return all, nil
}

// short is a duration without the zeros at its end: 5m instead of 5m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// result is a course in a report.
func result(name string, c *storm.Course) *report.Result {
	r := &report.Return{
		Clients:  c.Clients,
		HalfBack: c.BackAfter(50).Seconds(), MostBack: c.BackAfter(99).Seconds(), AllBack: c.BackAfter(100).Seconds(),
		Without:      c.Peak.Without,
		Outage:       report.Summary{P50: c.Outage(50).Seconds(), P99: c.Outage(99).Seconds(), Max: c.Outage(100).Seconds()},
		PeakArrivals: c.Peak.Arrivals, PeakTurnedAway: c.Peak.TurnedAway,
		QueueSeconds: c.LongestQueue.Seconds(),
		Attempts:     float64(c.Attempts) / float64(c.Clients), MostAttempts: c.MostAttempts,
		Nodes: c.Plan.Nodes - c.Plan.Lost,
	}
	for i, m := range c.Moments {
		r.TurnedAway += m.TurnedAway
		r.Dropped += m.Dropped
		r.Course = append(r.Course, report.Moment{
			Second: float64(i + 1), Arrivals: m.Arrivals, Accepted: m.Accepted,
			TurnedAway: m.TurnedAway, Dropped: m.Dropped, Without: m.Without,
		})
	}
	return &report.Result{Server: name, Streams: c.Plan.Nodes * c.Plan.Streams, Return: r}
}
