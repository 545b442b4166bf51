package main

import (
	"fmt"
	"log/slog"
	"net/url"

	"millrace/channels"
	"millrace/internal/backplane/link"
	"millrace/internal/backplane/nats"
	"millrace/internal/backplane/postgres"
	"millrace/internal/backplane/redis"
	"millrace/internal/redact"
)

// backplane is what links this node with others.
type backplane interface {
	channels.Backplane
	// Start connects to the engine and delivers to a broker, until Close.
	Start(*channels.Broker)
	// EverUp tells whether the engine has been reached since Start. Safe for
	// concurrent use.
	EverUp() bool
	// State is that of the connection with the engine. Safe for concurrent use.
	State() link.State
	Close() error
}

// engineHistory tells whether the engine keeps the history.
func (c *serveCommand) engineHistory() bool {
	u, err := url.Parse(string(c.Backplane))
	return err == nil && u.Query().Has("history")
}

// openBackplane returns the backplane that --backplane names, nil for none. It
// has connected to nothing.
func (c *serveCommand) openBackplane(log *slog.Logger) (backplane, error) {
	if c.Backplane == "" {
		if c.ChannelPrefix != "" {
			return nil, fmt.Errorf("%w: --channel-prefix: %q without --backplane", errUsage, c.ChannelPrefix)
		}
		return nil, nil
	}
	u, err := url.Parse(string(c.Backplane))
	if err != nil { // which may quote a password
		return nil, fmt.Errorf("%w: --backplane: not a URL, want one such as redis://127.0.0.1:6379", errUsage)
	}
	if c.engineHistory() && c.History == 0 {
		return nil, fmt.Errorf("%w: --history: 0 with a --backplane that keeps history, want 1 or more", errUsage)
	}
	var b backplane
	switch u.Scheme {
	case "redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
		b, err = redis.Open(u, redis.Options{Prefix: c.ChannelPrefix, History: c.History, HistoryTTL: c.HistoryTTL, Logger: log})
	case "nats", "tls":
		b, err = nats.Open(u, nats.Options{Prefix: c.ChannelPrefix, History: c.History, HistoryTTL: c.HistoryTTL, Logger: log})
	case "postgres", "postgresql":
		b, err = postgres.Open(u, postgres.Options{Prefix: c.ChannelPrefix, Logger: log})
	default:
		err = fmt.Errorf("the scheme %q, want redis or rediss, perhaps with +sentinel or +cluster, nats, tls or postgres", u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: --backplane: %w", errUsage, redact.Error(err, u))
	}
	return b, nil
}
