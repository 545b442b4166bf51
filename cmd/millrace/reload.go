package main

import (
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"millrace/internal/node"
)

// reloader has secrets read again on each SIGHUP. With a terminal as stdin SIGHUP means that
// the terminal has gone, and ends the process in order (see run).
type reloader struct {
	hangups chan os.Signal
	asked   atomic.Bool // since this was set to false
	running sync.WaitGroup
}

// onHangup notes SIGHUPs, for begin.
func onHangup() *reloader {
	r := &reloader{hangups: make(chan os.Signal, 1)}
	if !isTerminal(os.Stdin) {
		signal.Notify(r.hangups, syscall.SIGHUP)
	}
	return r
}

// begin calls reload for each SIGHUP, until stop.
func (r *reloader) begin(reload func()) {
	r.running.Go(func() {
		for range r.hangups {
			r.asked.Store(true)
			reload()
		}
	})
}

// again is as if a SIGHUP had come.
func (r *reloader) again() {
	select {
	case r.hangups <- syscall.SIGHUP:
	default: // one waits already
	}
}

// stop returns when nothing is read any more.
func (r *reloader) stop() {
	signal.Stop(r.hangups)
	close(r.hangups)
	r.running.Wait()
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
