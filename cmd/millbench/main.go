// Command millbench loads servers of event streams on this host, checks every
// byte of every stream, and reports its measurements. By default it starts the servers
// itself: millrace, as its users start it, and the servers that it is compared with.
//
// The exit status is 0 when everything was delivered and every verdict holds,
// 2 for an invalid command line, and 1 otherwise.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"millrace/bench"
)

// commands are all that there are; each is a scenario.
type commands struct {
	Hold     holdCommand     `cmd:"" help:"Open streams and leave them idle: memory and processor time."`
	Fanout   fanoutCommand   `cmd:"" help:"Publish events one at a time, the servers taking turns: latency, processor time of a delivery."`
	Flood    floodCommand    `cmd:"" help:"Publish as fast as the server accepts: deliveries per second, events per write, lag."`
	Churn    churnCommand    `cmd:"" help:"Replace streams, the oldest first: connections per second."`
	Storm    stormCommand    `cmd:"" help:"Close all streams and open them again at once."`
	Simulate simulateCommand `cmd:"" help:"Simulate nodes that go away, and their clients that come back to the others. No server runs."`
	Million  millionCommand  `cmd:"" help:"Measure a million streams in one process, from the first connection to the end of the last."`
	Upgrade  upgradeCommand  `cmd:"" help:"Hand all streams over to a new process, and check every byte: pauses, costs, and what becomes of them when a process ends in the middle."`
	Compare  compareCommand  `cmd:"" help:"Measure millrace beside a bare loop of writes, net/http and nchan: memory, fan-out, floods; and TLS and HTTP/2 beside HAProxy and nginx."`
}

func main() {
	bench.ServeParts(bench.Parts())
	os.Exit(run(os.Args[1:]))
}

// run executes the command line and returns the exit status.
func run(args []string) int {
	parser := kong.Must(new(commands),
		kong.Name("millbench"),
		kong.Description("Loads servers of event streams on this host, checks every byte, and reports what it measures."),
		kong.DefaultEnvars("MILLBENCH"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "millbench: error: %v (try --help)\n", err)
		return 2
	}
	err = command.Run()
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "millbench: error: %v\n", err)
		return 1
	}
	return 0
}
