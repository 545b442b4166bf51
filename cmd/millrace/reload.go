package main

import (
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"millrace/internal/node"
)

// onHangup calls reload on each SIGHUP, until the returned function is called. With a
// terminal as stdin SIGHUP means that the terminal has gone, and ends the process in
// order (see run).
func onHangup(reload func()) (stop func()) {
	if isTerminal(os.Stdin) {
		return func() {}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range hangups {
			reload()
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-over
	}
}

// reload reads the secrets from their files again and has n go on with those that have
// changed against current. It returns the flags that are current from then on. If one
// cannot be read, all stay as they are.
func (c *serveCommand) reload(n *node.Node, current *serverFlags, log *slog.Logger) *serverFlags {
	next, err := c.resolved()
	if err == nil {
		err = next.renew(n)
	}
	if err != nil {
		log.Error("SIGHUP: secrets cannot be read again, all stay as they are", "error", err)
		return current
	}
	var taken, later []string
	was := current.secretSources()
	for i, s := range next.secretSources() {
		switch {
		case *s.value == *was[i].value:
		case s.fixed:
			later = append(later, s.flag)
		default:
			taken = append(taken, s.flag)
		}
	}
	switch {
	case len(later) > 0:
		log.Warn("SIGHUP: secrets have been read again", "changed", strings.Join(taken, " "), "at_the_next_start", strings.Join(later, " "))
	case len(taken) > 0:
		log.Info("SIGHUP: secrets have been read again", "changed", strings.Join(taken, " "))
	default:
		log.Info("SIGHUP: nothing to take over: no secret has changed in its file")
	}
	return next
}

// renew has n go on with the secrets of f.
func (f *serverFlags) renew(n *node.Node) error {
	options, err := f.options()
	if err != nil {
		return err
	}
	return n.Renew(options)
}
