package node

import (
	"context"
	"fmt"
	"net/url"

	"millrace/channels"
	"millrace/internal/backplane/link"
	"millrace/internal/backplane/nats"
	"millrace/internal/backplane/postgres"
	"millrace/internal/backplane/redis"
	"millrace/internal/handover"
	"millrace/internal/redact"
)

// Backplane links this node with others.
type Backplane interface {
	channels.Backplane
	// Start connects to the engine and delivers to the feed of a broker, until Close.
	Start(channels.Feed)
	// EverUp tells whether the engine has been reached since Start. Safe for
	// concurrent use.
	EverUp() bool
	// State is that of the connection with the engine. Safe for concurrent use.
	State() link.State
	Close() error

	// Of a successor: Hold comes before Start, and until TakeOver nothing of the engine is
	// handed on. Hear, Settled and TakeOver are described at link.Link.
	Hold()
	Hear(channels ...string)
	Settled(context.Context) (fence string)
	TakeOver(handover.Engine)
	// Of a predecessor: HandOver stops at the place where the successor goes on, TakeBack
	// undoes that.
	HandOver(ctx context.Context, fence string) handover.Engine
	TakeBack()
}

// OpenBackplane returns the backplane that o.Backplane names, nil for none, and sets the
// fields of o.Broker that depend on it. It has connected to nothing.
func OpenBackplane(o *Options) (Backplane, error) {
	if o.Backplane == "" {
		if o.ChannelPrefix != "" {
			return nil, fmt.Errorf("%w: --channel-prefix: %q without --backplane", ErrOptions, o.ChannelPrefix)
		}
		return nil, nil
	}
	u, err := url.Parse(o.Backplane)
	if err != nil { // which may quote a password
		return nil, fmt.Errorf("%w: --backplane: not a URL, want one such as redis://127.0.0.1:6379", ErrOptions)
	}
	history, ttl := o.Broker.History, o.Broker.HistoryTTL
	numbered := u.Query().Has("history")
	if numbered && history == 0 {
		return nil, fmt.Errorf("%w: --history: 0 with a --backplane that keeps history, want 1 or more", ErrOptions)
	}
	var b Backplane
	switch u.Scheme {
	case "redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
		b, err = redis.Open(u, redis.Options{Prefix: o.ChannelPrefix, History: history, HistoryTTL: ttl, Logger: o.Logger})
	case "nats", "tls":
		b, err = nats.Open(u, nats.Options{Prefix: o.ChannelPrefix, History: history, HistoryTTL: ttl, Logger: o.Logger})
	case "postgres", "postgresql":
		b, err = postgres.Open(u, postgres.Options{Prefix: o.ChannelPrefix, Logger: o.Logger})
	default:
		err = fmt.Errorf("the scheme %q, want redis or rediss, perhaps with +sentinel or +cluster, nats, tls or postgres", u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: --backplane: %w", ErrOptions, redact.Error(err, u))
	}
	o.Broker.Backplane, o.Broker.Numbered = b, numbered
	return b, nil
}
