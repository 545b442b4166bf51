// Package nats links nodes by a NATS server, or several.
//
// A [Backplane] publishes the events of a channel on the channel's subject, and
// subscribes to the subjects of the channels that its node has subscribers for.
// What comes is delivered in the order in which it came, by one goroutine, so the
// nodes at one server agree on the order of each channel.
//
// Caveats. NATS keeps nothing in this form: what is published while a node is cut
// off, it misses, and its streams are told. In a cluster of NATS servers, what two
// publishers send to one channel may come to two nodes in different orders.
package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"millrace/channels"
	"millrace/internal/backplane/link"
)

const (
	// publishTimeout bounds how long Publish waits for the server.
	publishTimeout = 3 * time.Second
	// waiting bounds the messages of a node that wait to be delivered.
	waiting = 4096
)

// Headers of a message whose event is more than its data.
const (
	eventHeader = "Millrace-Event" // its type
	retryHeader = "Millrace-Retry" // its reconnection delay, in milliseconds
)

var errDown = errors.New("the event was not published: not connected to NATS, publish again later")

// Options of a Backplane.
type Options struct {
	// Prefix is the first token of every subject; empty is DefaultPrefix.
	Prefix string
	// Logger takes what the backplane has to say; nil is slog.Default().
	Logger *slog.Logger
}

// DefaultPrefix is the first token of subjects.
const DefaultPrefix = "millrace"

// Backplane is a channels.Backplane over NATS.
type Backplane struct {
	*link.Link
	options nats.Options
	prefix  string // of subjects, with the dot
	conn    atomic.Pointer[nats.Conn]
}

// Open checks u and returns a backplane that has yet to be started. It connects
// to nothing.
func Open(u *url.URL, o Options) (*Backplane, error) {
	options, err := connectOptions(u)
	if err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	prefix := string(appendToken(nil, o.Prefix)) + "."
	return &Backplane{Link: link.New("NATS", u.Redacted(), o.Logger), options: options, prefix: prefix}, nil
}

// Start connects to the server and delivers to broker, which has b as its
// backplane, until Close.
func (b *Backplane) Start(broker *channels.Broker) { b.Link.Start(broker, b.session) }

// Close ends what Start has begun.
func (b *Backplane) Close() error {
	b.Link.Close()
	return nil
}

// Publish implements channels.Backplane. It waits until the server has the event.
func (b *Backplane) Publish(channel string, ev channels.Event) (channels.Receipt, error) {
	conn := b.conn.Load()
	if conn == nil {
		return channels.Receipt{}, errDown
	}
	if err := conn.PublishMsg(b.message(channel, ev)); err != nil {
		return channels.Receipt{}, fmt.Errorf("the event was not published: %w", err)
	}
	if err := conn.FlushTimeout(publishTimeout); err != nil {
		return channels.Receipt{}, fmt.Errorf("the event may not have been published: %w", err)
	}
	return channels.Receipt{Receivers: b.Broker.Subscribers(channel)}, nil
}

// message is ev as it travels.
func (b *Backplane) message(channel string, ev channels.Event) *nats.Msg {
	m := &nats.Msg{Subject: b.subject(channel), Data: ev.Data}
	if ev.Type != "" || ev.Retry != 0 {
		m.Header = make(nats.Header)
	}
	if ev.Type != "" {
		m.Header.Set(eventHeader, ev.Type)
	}
	if ev.Retry != 0 {
		m.Header.Set(retryHeader, strconv.FormatInt(ev.Retry.Milliseconds(), 10))
	}
	return m
}

// event is the inverse of message.
func event(m *nats.Msg) (channels.Event, error) {
	ev := channels.Event{Data: m.Data, Type: m.Header.Get(eventHeader)}
	if retry := m.Header.Get(retryHeader); retry != "" {
		ms, err := strconv.ParseUint(retry, 10, 31)
		if err != nil {
			return ev, fmt.Errorf("the header %s is %q, want milliseconds", retryHeader, retry)
		}
		ev.Retry = time.Duration(ms) * time.Millisecond
	}
	return ev, nil
}

func (b *Backplane) subject(channel string) string {
	return string(appendSubject([]byte(b.prefix), channel))
}

// session connects and delivers until the connection is lost or ctx is done.
func (b *Backplane) session(ctx context.Context) error {
	s := &session{
		Backplane: b,
		followed:  make(map[string]*nats.Subscription),
		messages:  make(chan *nats.Msg, waiting),
		asked:     make(chan []string),
		flushed:   make(chan []string),
		expected:  make(map[string]bool),
		lost:      make(chan string, waiting),
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	options := b.options
	options.ClosedCB = func(conn *nats.Conn) { end(cmp.Or(conn.LastError(), nats.ErrConnectionClosed)) }
	options.AsyncErrorCB = s.failed
	conn, err := options.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	s.conn = conn
	b.conn.Store(conn)
	defer b.conn.Store(nil)
	b.Up()
	return s.run(ctx, end)
}

// connectOptions are those of the client for u:
//
//	nats://user:password@host:port,host:port?credentials=FILE
//
// and the same with tls. A connection that is lost is not mended by the client:
// what was published meanwhile would be missed without a word.
func connectOptions(u *url.URL) (nats.Options, error) {
	o := nats.GetDefaultOptions()
	if u.Scheme != "nats" && u.Scheme != "tls" {
		return o, fmt.Errorf("%w: the scheme %q, want nats or tls", ErrURL, u.Scheme)
	}
	if u.Host == "" {
		return o, fmt.Errorf("%w: %q has no host, want %s://HOST:PORT", ErrURL, u.Redacted(), u.Scheme)
	}
	if strings.Trim(u.Path, "/") != "" {
		return o, fmt.Errorf("%w: %q has the path %q, want none", ErrURL, u.Redacted(), u.Path)
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		server := url.URL{Scheme: u.Scheme, User: u.User, Host: host}
		o.Servers = append(o.Servers, server.String())
	}
	for key, values := range u.Query() {
		switch key {
		case "credentials":
			if err := nats.UserCredentials(values[0])(&o); err != nil {
				return o, fmt.Errorf("%w: credentials=%s: %w", ErrURL, values[0], err)
			}
		default:
			return o, fmt.Errorf("%w: %q has the option %q, want credentials", ErrURL, u.Redacted(), key)
		}
	}
	o.Name = "millrace"
	o.AllowReconnect = false
	o.PingInterval, o.MaxPingsOut = 2*time.Second, 3
	o.Timeout = publishTimeout
	return o, nil
}

// ErrURL is wrapped by every refusal of a URL.
var ErrURL = errors.New("bad NATS URL")
