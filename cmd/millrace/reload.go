package main

import (
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
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

// reload reads the secrets from their files again, those that changed of given against
// current, and returns what is current from then on. Where one cannot be read, all stay
// as they are.
func (n *node) reload(given, current *serveCommand, log *slog.Logger) *serveCommand {
	next, err := given.resolved()
	if err != nil {
		log.Error("SIGHUP: secrets cannot be read again, all stay as they are", "error", err)
		return current
	}
	var taken, later []string
	was := current.secretSources()
	for i, s := range next.secretSources() {
		switch {
		case *s.value == *was[i].value:
		case n.take(s.flag, next):
			taken = append(taken, s.flag)
		default:
			later = append(later, s.flag)
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

// take has the node go on with the secret of a flag. It returns false where that takes
// a start.
func (n *node) take(flag string, next *serveCommand) bool {
	switch flag {
	case "admin-password":
		n.admin.SetPassword(string(next.AdminPassword))
	case "ops-token":
		n.ops.SetToken(string(next.OpsToken))
	case "turbo-key", "turbo-secret-key-base":
		verifier, err := next.verifier()
		if err != nil {
			return false
		}
		n.verifier.Store(verifier)
	default:
		return false
	}
	return true
}
