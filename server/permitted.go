package server

import (
	"errors"
	"fmt"

	"millrace/internal/pattern"
)

const (
	// DefaultMaxChannelsPerStream is how many channels one stream may have, unless
	// Config says otherwise, and mostChannelsPerStream the most that it may say.
	DefaultMaxChannelsPerStream = 64
	mostChannelsPerStream       = 1024
)

// errForbidden is wrapped by the refusal of a channel that no client may have here.
var errForbidden = errors.New("forbidden")

// permit reports why no client may have one of these channels, which have valid names.
func (l *loop) permit(names []string) error {
	for _, name := range names {
		if err := l.cfg.checkChannel(name); err != nil {
			return err
		}
		if err := l.inbox.CheckStream(name); err != nil {
			return fmt.Errorf("%w: %w", errForbidden, err)
		}
	}
	return nil
}

// reserved are the channels that no client may have, in any configuration:
// engines tell of their keys and servers there, and Action Cable of connections to
// be closed.
var reserved = mustParse("__*", "_action_cable_internal", "action_cable/*")

func mustParse(texts ...string) pattern.List {
	list, err := pattern.ParseList(texts)
	if err != nil {
		panic(err)
	}
	return list
}

// checkChannel reports why clients may not have a channel.
func (cfg *Config) checkChannel(name string) error {
	switch {
	case reserved.Match(name):
		return fmt.Errorf("%w: the channel %.64q is kept for engines and frameworks", errForbidden, name)
	case len(cfg.Channels) > 0 && !cfg.Channels.Match(name):
		return fmt.Errorf("%w: clients may not open the channel %.64q here", errForbidden, name)
	}
	return nil
}
