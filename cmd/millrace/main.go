// Command millrace holds event streams (Server-Sent Events) and broadcasts to them
// the events that are published at its admin port. `millrace serve`, or millrace
// without a command, is the server; the other commands talk to one.
//
// The exit status is 0 for success, 2 for an invalid command line or environment,
// and 1 for every other failure. Errors are one line on stderr.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"millrace/internal/node"
)

// errUsage is wrapped by errors that a different command line would avoid.
var errUsage = node.ErrOptions

// errReported is returned by a command that has told of its failure itself.
var errReported = errors.New("reported")

// commands are all that there are; each has its fields, which are its flags and
// arguments, and its Run in the file of its name.
type commands struct {
	Serve     serveCommand     `cmd:"" default:"withargs" set:"listen=:8080" help:"Hold event streams and broadcast to them. This is the default command."`
	Demo      demoCommand      `cmd:"" set:"listen=127.0.0.1:8080" help:"Serve, with an example on the public port: open it in a browser."`
	Publish   publishCommand   `cmd:"" help:"Publish events through the admin port, and print the number of receivers."`
	Subscribe subscribeCommand `cmd:"" help:"Print the events of a stream, one a line."`
	Sign      signCommand      `cmd:"" help:"Print an address that grants channels for some time, signed as an application would."`
	Doctor    doctorCommand    `cmd:"" help:"Tell how many event streams this host can hold, which limit binds first, and which line raises it."`
	Upgrade   upgradeCommand   `cmd:"" help:"Have a running server hand all that it holds to a new process of this host."`
	Version   versionCommand   `cmd:"" help:"Print the version of millrace, of Go and of the platform."`
	Help      helpCommand      `cmd:"" help:"Print the help of a command."`

	ShowVersion versionFlag `name:"version" env:"-" help:"Print the version, as the command version does."`
}

func main() { os.Exit(run(os.Args[1:])) }

// run executes the command line and returns the exit status.
func run(args []string) int {
	// The first signal asks a command to end in order. From then on signals do
	// as if the program did not handle them: a second one ends the process at once.
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if isTerminal(os.Stdin) && !signal.Ignored(syscall.SIGHUP) { // the terminal has gone; for servers without one, see onHangup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, release := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, release)
	defer release()

	parser := newParser(new(commands), kong.BindTo(ctx, (*context.Context)(nil)))
	command, err := parser.Parse(args)
	if err != nil {
		err = explain(err)
	} else {
		err = command.Run(strangers(parser, os.Environ()))
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return 1
	}
	// Values are quoted from where they came; none may break the line.
	text := strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(err.Error())
	if errors.Is(err, errUsage) {
		text = strings.ReplaceAll(text, errUsage.Error()+": ", "")
		fmt.Fprintf(os.Stderr, "millrace: error: %s (try --help)\n", text)
		return 2
	}
	fmt.Fprintf(os.Stderr, "millrace: error: %s\n", text)
	return 1
}

// explain makes a usage error of one of the parser's, and says what would be right if the
// parser does not.
func explain(err error) error {
	if argument, ok := strings.CutPrefix(err.Error(), "unexpected argument "); ok {
		return fmt.Errorf("%w: unexpected argument %q, want a command (serve, demo, publish, subscribe, sign, doctor, upgrade, version or help) or flags of it", errUsage, argument)
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}
