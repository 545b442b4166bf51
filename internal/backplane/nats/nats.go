// Package nats links nodes by a NATS server, or several.
//
// A [Backplane] publishes the events of a channel on the channel's subject, and
// subscribes to the subjects of the channels that its node has subscribers for.
// What comes is delivered in the order in which it came, by one goroutine.
//
// With history=jetstream a stream of JetStream keeps the newest messages of each
// channel (see history.go), and nobody misses anything that is still there,
// whichever node it comes back to.
//
// Caveats. In the plain form NATS keeps nothing: what is published while a node is
// cut off, it misses, and its streams are told. NATS keeps the order of each publisher:
// what two of them send to one channel within the same instant may come to two nodes
// in different orders, through one server too, whose connections are served by
// goroutines of their own. With history there is one order.
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

// Options of a Backplane.
type Options struct {
	// Prefix is the first token of every subject; empty is DefaultPrefix.
	Prefix string
	// History and HistoryTTL bound what is kept of a channel, where something is: the
	// number of its messages and their age, 0 for any.
	History    int
	HistoryTTL time.Duration
	// Logger takes what the backplane has to say; nil is slog.Default().
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
		b.history = newHistory(token, o, f.replicas)
	}
	return b, nil
}

// Start connects to the server and delivers to broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(broker *channels.Broker) { b.Link.Start(broker, b.run) }

// Close ends what Start has begun.
func (b *Backplane) Close() error {
	b.Link.Close()
	return nil
}
