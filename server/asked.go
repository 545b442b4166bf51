package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/pattern"
)

const (
	// DefaultMaxChannelsPerStream is how many channels one stream may have, unless
	// Config says otherwise, and mostChannelsPerStream the most that it may say.
	DefaultMaxChannelsPerStream = 64
	mostChannelsPerStream       = 1024
)

// With Config.Signed, the path of a stream on channels that are named by signed
// names, and the parameter that has one. Those of Turbo's <turbo-stream-source>.
const (
	signedPath  = "/turbo"
	signedParam = "signed_stream_name"
)

// errForbidden is wrapped by the refusal of a channel that others may have.
var errForbidden = errors.New("forbidden")

// channelsAsked sets l.names to the channels of a request, each once: what the
// path names or is an alias for, then those of the query. Where the path is that
// of signed names, it is no channel.
func (l *loop) channelsAsked(path, query []byte) error {
	l.names = l.names[:0]
	bySignature := l.cfg.Signed != nil && string(path) == signedPath
	if !bySignature {
		first := path
		if channel, ok := l.cfg.Aliases[string(path)]; ok {
			first = []byte(channel)
		}
		if err := l.addChannel(first); err != nil {
			return err
		}
	}
	for key, value := range httpparse.Params(query) {
		signed := bySignature && string(key) == signedParam
		if !signed && string(key) != "channel" {
			continue
		}
		name, err := httpparse.AppendQueryDecoded(nil, value)
		if err != nil {
			return err
		}
		switch {
		case signed:
			channel, err := l.cfg.Signed(name)
			if err != nil {
				return fmt.Errorf("%w: %s: %w", errForbidden, signedParam, err)
			}
			name = []byte(channel)
		case l.cfg.Signed != nil && !bytes.HasPrefix(name, slash):
			return fmt.Errorf("%w: the channel %.64q does not begin with /, so it takes a signed name: %s?%s=",
				errForbidden, name, signedPath, signedParam)
		}
		if err := l.addChannel(name); err != nil {
			return err
		}
	}
	if len(l.names) == 0 {
		return fmt.Errorf("%s without the parameter %s", signedPath, signedParam)
	}
	return nil
}

var slash = []byte("/")

// addChannel appends name to l.names unless it is there.
func (l *loop) addChannel(name []byte) error {
	if err := channels.CheckName(name); err != nil {
		return err
	}
	if err := l.cfg.checkChannel(string(name)); err != nil {
		return err
	}
	if err := l.server.broker.CheckStream(name); err != nil {
		return fmt.Errorf("%w: %w", errForbidden, err)
	}
	if slices.ContainsFunc(l.names, func(n []byte) bool { return bytes.Equal(n, name) }) {
		return nil
	}
	if most := l.cfg.MaxChannelsPerStream; len(l.names) == most {
		return fmt.Errorf("more than %d channels in one stream, ask for fewer or raise --max-channels-per-stream", most)
	}
	l.names = append(l.names, name)
	return nil
}

// reserved are the channels that no client may have, whatever the configuration:
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
		return fmt.Errorf("%w: the channel %.64q is none of those that clients may have here", errForbidden, name)
	}
	return nil
}

// noticeForbidden logs a refusal, one a second at most.
func (l *loop) noticeForbidden(c *conn, err error) {
	const msg = "a stream was refused"
	if l.mayNotice(msg) {
		l.server.log(slog.LevelWarn, msg, "peer", l.peerOf(c).String(), "reason", err.Error())
	}
}
