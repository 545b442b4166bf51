// Package nats links nodes by a NATS server, or several.
//
// A [Backplane] publishes the events of a channel on the channel's subject, and
// subscribes to the subjects of the channels that its node has subscribers for.
// One goroutine delivers the messages in the order in which they arrive.
//
// With history=jetstream a stream of JetStream keeps the newest messages of each
// channel (see history.go), and a client that comes back to any node gets everything
// that is still there.
//
// Caveats. In the plain form NATS keeps nothing: a node that is cut off misses the
// messages of that time, and its streams are told. NATS keeps the order of each
// publisher. If two of them send to one channel within the same instant, two nodes may
// get the messages in different orders, even through one server, which serves each
// connection by a goroutine of its own. With history there is one order.
package nats

import (
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"millrace/channels"
	"millrace/internal/backplane/link"
)

const (
	// timeout bounds how long a request may take, Publish above all.
	timeout = 3 * time.Second
	// waiting bounds the messages of a node that wait to be delivered.
	waiting = 4096
)

// lag is by how much one client of the servers may get a message later than another one: they
// have no order that holds for both.
const lag = 250 * time.Millisecond

// Options of a Backplane.
type Options struct {
	// Prefix is the first token of every subject; empty is DefaultPrefix.
	Prefix string
	// History and HistoryTTL bound the kept messages of a channel, if any are kept: their
	// number and their age, 0 for any.
	History    int
	HistoryTTL time.Duration
	// Logger is the backplane's; nil is slog.Default().
	Logger *slog.Logger
}

// DefaultPrefix is the first token of subjects.
const DefaultPrefix = "millrace"

// Backplane is a channels.Backplane over NATS.
type Backplane struct {
	*link.Link
	options nats.Options
	prefix  string   // of the subjects of channels that are published on, with the dot
	history *history // nil in the plain form
	session atomic.Pointer[session]
}

// Open checks u and returns a backplane that has yet to be started. It connects
// to nothing.
func Open(u *url.URL, o Options) (*Backplane, error) {
	f, err := parseURL(u)
	if err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	token := string(appendToken(nil, o.Prefix))
	b := &Backplane{Link: link.New("NATS", u, o.Logger), options: f.options, prefix: token + "."}
	if f.history {
		b.history, b.Ordered = newHistory(token, o, f.replicas), true
	} else {
		b.Lag = lag
	}
	return b, nil
}

// Start connects to the server and delivers to the feed of a broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(feed channels.Feed) { b.Link.Start(feed, b.run) }

// Close ends the session and closes the connection.
func (b *Backplane) Close() error {
	b.Link.Close()
	return nil
}
