package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// maxData bounds the data of one event from stdin, in bytes: the largest
	// --max-event-bytes.
	maxData = 16 << 20
	// maxOutstanding is how many events may wait for their replies.
	maxOutstanding = 1024
)

// publishCommand publishes through the admin port.
type publishCommand struct {
	Channel string  `arg:"" help:"Channel to publish on."`
	Data    *string `arg:"" optional:"" help:"Data of the event; - or none for stdin, without the line break at its end."`

	Event string        `env:"-" placeholder:"TYPE" help:"Type of the event. [none]"`
	Retry time.Duration `env:"-" min:"0s" placeholder:"TIME" help:"Reconnection delay that the event tells clients, in whole milliseconds. [none]"`
	Lines bool          `env:"-" help:"Publish every line of stdin as an event of its own, in order. [off]"`

	adminFlags
}

// Run publishes one event and prints the number of its receivers, or with
// --lines many, and prints the sums.
func (c *publishCommand) Run(ctx context.Context, w warnings) error {
	w.print(os.Stderr)
	if err := c.check(); err != nil {
		return err
	}
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.close()
	if c.Lines {
		return c.publishLines(ctx, client, os.Stdin, os.Stdout)
	}
	data := c.Data
	if data == nil || *data == "-" {
		text, err := readData(os.Stdin)
		if err != nil {
			return err
		}
		data = &text
	}
	receivers, err := receivers(client.ask(c.command(*data)...))
	if err != nil {
		return err
	}
	c.hint(os.Stderr, receivers)
	_, err = fmt.Println(receivers)
	return err
}

// hint names a likely mistake if an event had no receivers.
func (c *publishCommand) hint(w io.Writer, receivers int) {
	if receivers == 0 && !strings.HasPrefix(c.Channel, "/") {
		fmt.Fprintf(w, "millrace: no stream or subscriber has received it; the path of a stream is its channel, with the slash: did you mean %q?\n", "/"+c.Channel)
	}
}

// check reports arguments that do not go together.
func (c *publishCommand) check() error {
	fromStdin := c.Data == nil || *c.Data == "-"
	if c.Lines && !fromStdin {
		return fmt.Errorf("%w: --lines publishes stdin, and DATA is %q: want one of them", errUsage, *c.Data)
	}
	if c.Retry%time.Millisecond != 0 {
		return fmt.Errorf("%w: --retry: %v, want whole milliseconds", errUsage, c.Retry)
	}
	if info, err := os.Stdin.Stat(); c.Data == nil && err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return fmt.Errorf("%w: there is no DATA and stdin is not a pipe: want DATA, or - to type it", errUsage)
	}
	return nil
}

// command is the request that publishes data.
func (c *publishCommand) command(data string) []string {
	if c.Event == "" && c.Retry == 0 {
		return []string{"PUBLISH", c.Channel, data}
	}
	command := []string{"SSE.PUBLISH", c.Channel, data}
	if c.Event != "" {
		command = append(command, "EVENT", c.Event)
	}
	if c.Retry != 0 {
		command = append(command, "RETRY", strconv.FormatInt(c.Retry.Milliseconds(), 10))
	}
	return command
}

// readData reads all of r, the data of one event.
func readData(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxData+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxData {
		return "", fmt.Errorf("stdin has more than %v, which no event may have", size(maxData))
	}
	data, _ = bytes.CutSuffix(data, []byte("\n"))
	data, _ = bytes.CutSuffix(data, []byte("\r"))
	return string(data), nil
}

// publishLines publishes every line of in and prints the sums. Lines are sent
// while earlier ones wait for their replies.
func (c *publishCommand) publishLines(ctx context.Context, client *client, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outstanding := make(chan struct{}, maxOutstanding)
	var sent error
	go func() {
		defer close(outstanding)
		sent = c.sendLines(ctx, client, in, outstanding)
	}()

	events, deliveries := 0, 0
	for range outstanding {
		n, err := receivers(client.receive())
		if err != nil {
			return fmt.Errorf("line %d: %w; the lines before it are published", events+1, err)
		}
		events++
		deliveries += n
	}
	if sent != nil {
		return fmt.Errorf("after %d lines that are published: %w", events, sent)
	}
	if events > 0 {
		c.hint(os.Stderr, deliveries)
	}
	_, err := fmt.Fprintf(out, "%d events, %d deliveries\n", events, deliveries)
	return err
}

// sendLines sends a command for every line of in, and a value on outstanding
// for every command, until in has ended or ctx is done.
func (c *publishCommand) sendLines(ctx context.Context, client *client, in io.Reader, outstanding chan<- struct{}) error {
	lines := bufio.NewScanner(beforeRead{in, client.flush})
	lines.Buffer(nil, maxData)
	for lines.Scan() {
		if err := client.send(c.command(lines.Text())...); err != nil {
			return err
		}
		if len(outstanding) == cap(outstanding) { // replies are awaited: their commands must have left
			if err := client.flush(); err != nil {
				return err
			}
		}
		select {
		case outstanding <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("the next line of stdin has more than %v, which no event may have", size(maxData))
	}
	if lines.Err() != nil {
		return fmt.Errorf("stdin: %w", lines.Err())
	}
	return client.flush()
}

// receivers is the number that a server answers a publish with.
func receivers(reply any, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, ok := reply.(int64)
	if !ok {
		return 0, fmt.Errorf("the server answered %v, want the number of receivers: is it millrace?", reply)
	}
	return int(n), nil
}

// beforeRead calls a function each time before it reads, so that complete events go out
// before the wait for more.
type beforeRead struct {
	io.Reader
	call func() error
}

func (r beforeRead) Read(p []byte) (int, error) {
	if err := r.call(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
