// Package link has what the backplanes share: a connection to an engine that is made
// again whenever it is lost, the set of channels that the engine is asked for, and the
// way of a message to the broker.
//
// A [Link] runs sessions, one after the other. A session is a function of the
// engine's package that connects, asks for the channels that [follow.Set] wants, hands
// on their messages, and returns when it is cut off.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
	"millrace/internal/backplane/follow"
	"millrace/internal/redact"
	"millrace/internal/throttle"
)

const (
	// firstDelay and lastDelay bound the time between two attempts to connect, which
	// doubles from one to the next.
	firstDelay, lastDelay = 50 * time.Millisecond, 3 * time.Second
	// lasting is how long a session has to be connected for the delay to be the first
	// again.
	lasting = lastDelay
)

var errNotYet = errors.New("no connection yet")

// Link connects a broker with an engine. Its methods are safe for concurrent use,
// but for Start, which comes first, and Close, which comes last.
type Link struct {
	// Set is the channels that the broker wants.
	Set *follow.Set
	// Feed is that of the broker, given by Start.
	Feed channels.Feed
	// Log is throttled: messages are constants.
	Log *slog.Logger
	// Lossless tells that a session goes on where the one before it was cut off, so
	// that nothing has to be asked for anew. Set before Start.
	Lossless bool
	// Ordered tells that all sessions get the messages of all channels in one order, so that
	// one can go on where another one has stopped. Set before Start.
	Ordered bool
	// Ways, if set, returns ways to have the engine deliver a message of the control channel,
	// one for each of its servers: what one server has passed on comes before the message by
	// that server. Set before Start.
	Ways func(context.Context) ([]func(data []byte) error, error)
	// Lag is by how much a message that was delivered to one session may come later to another
	// one. Set before Start.
	Lag time.Duration

	engine  string // for people
	url     *url.URL
	health  atomic.Pointer[error]
	state   atomic.Pointer[State]
	up      atomic.Int64 // when the session was connected, in nanoseconds since 1970
	down    down
	refused throttle.Line
	losses  throttle.Line
	crowd   crowd
	stop    atomic.Pointer[stop]                    // of a predecessor; nil: none
	held    holding                                 // of a successor
	cut     atomic.Pointer[context.CancelCauseFunc] // of the present session
	ctx     context.Context                         // done at Close
	done    <-chan struct{}                         // of ctx
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns a link that has yet to be started. engine is the name for people: "NATS".
// u is its address, which is shown without secrets. log may be nil.
func New(engine string, u *url.URL, log *slog.Logger) *Link {
	if log == nil {
		log = slog.Default()
	}
	l := &Link{Set: follow.NewSet(follow.DefaultLinger), Log: throttle.Logger(log), engine: engine, url: u}
	l.state.Store(&State{Engine: engine, Since: time.Now()})
	l.setHealth(errNotYet)
	return l
}

// Start runs sessions until Close.
func (l *Link) Start(feed channels.Feed, session func(context.Context) error) {
	l.Feed = feed
	ctx, cancel := context.WithCancel(context.Background())
	l.ctx, l.done, l.cancel = ctx, ctx.Done(), cancel
	l.running.Go(func() { l.run(ctx, session) })
	l.running.Go(func() { l.remind(ctx) })
}

// Close ends the sessions, if Start was called.
func (l *Link) Close() {
	if l.cancel != nil {
		l.cancel()
		l.running.Wait()
	}
}

func (l *Link) run(ctx context.Context, session func(context.Context) error) {
	delay := firstDelay
	for {
		if !l.Lossless { // else the session goes on at its place, whenever it comes
			l.release()
		}
		err := redact.Error(l.attempt(ctx, session), l.url)
		if ctx.Err() != nil {
			return
		}
		health, why := l.Health(), fmt.Errorf("%s: %w", l.engine, err)
		if health == nil && time.Since(time.Unix(0, l.up.Load())) >= lasting {
			delay = firstDelay
		}
		switch health {
		case nil:
			l.change(false)
			l.Log.Error("the connection to "+l.engine+" is lost", "server", redact.URL(l.url), "error", err)
		case errNotYet:
			l.Log.Error("cannot connect to "+l.engine, "server", redact.URL(l.url), "error", err)
		}
		if health != nil { // it was not even connected
			l.down.failed.Store(&why)
		}
		l.setHealth(why)
		if !l.Lossless {
			l.Set.Reset()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay/2 + rand.N(delay)): // so that many nodes do not come back at once
		}
		delay = min(2*delay, lastDelay)
	}
}

// attempt runs a session. If bytes of an engine make its client library panic, that is an
// error like any other.
func (l *Link) attempt(ctx context.Context, session func(context.Context) error) (err error) {
	ctx, cut := context.WithCancelCause(ctx)
	l.cut.Store(&cut)
	l.held.finish = nil
	defer cut(nil)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return session(ctx)
}

// endSession ends the present session, as if the connection were lost.
func (l *Link) endSession(why error) {
	if cut := l.cut.Load(); cut != nil {
		(*cut)(why)
	}
}

// Up notes that a session is connected.
func (l *Link) Up() {
	if l.Health() != nil {
		l.up.Store(time.Now().UnixNano())
		l.down.failed.Store(nil)
		l.setHealth(nil)
		l.change(true)
		l.Log.Info("connected to "+l.engine, "server", redact.URL(l.url), "channels", l.Set.Len())
	}
}

// EverUp tells whether a session has been connected since Start.
func (l *Link) EverUp() bool { return l.up.Load() != 0 }

// Follow implements channels.Backplane.
func (l *Link) Follow(channel string) (from uint64, followed bool) {
	from, followed = l.Set.Follow(channel)
	return from, followed && !l.held.on.Load()
}

// Unfollow implements channels.Backplane. A successor keeps all channels until it hands on.
func (l *Link) Unfollow(channel string) {
	if !l.held.on.Load() {
		l.Set.Unfollow(channel)
	}
}

// Health implements channels.Backplane.
func (l *Link) Health() error { return *l.health.Load() }

func (l *Link) setHealth(err error) { l.health.Store(&err) }

// Confirm tells that everything published on channels that were asked for is
// handed on from here on. Messages in the crowd are of a subscription that has ended:
// its subscribers are told of a gap, since they were confirmed before.
func (l *Link) Confirm(names ...string) {
	l.halt("")
	if l.holds("") {
		for _, name := range names {
			l.Set.Confirm(name, 0)
		}
		return
	}
	for _, name := range names {
		l.crowd.forget(name)
	}
	from := l.Feed.Head()
	l.Feed.Followed(from, func(name string) bool { return l.Set.Confirm(name, from) }, names...)
}

// DeliverPayload hands on an event in the form of package envelope, as Deliver does.
func (l *Link) DeliverPayload(channel string, payload []byte) {
	ev, err := envelope.Parse(payload)
	if err != nil {
		l.Lose(channel, err)
		return
	}
	l.Deliver(channel, ev)
}

// Deliver hands on an event, and keeps it until the channel has room. If an event cannot
// be handed on, the subscribers are told of a gap. Confirm, Deliver and Lose are for the
// session's goroutine, which does not wait in them. Their effects on one channel come in
// their order, and do not depend on other channels.
func (l *Link) Deliver(channel string, ev channels.Event) {
	fence := fenceOf(channel, ev.Data)
	l.halt(fence)
	if l.holds(fence) || fence != "" {
		return
	}
	arrival, err := l.Feed.Prepare(channel, ev, 0)
	l.hand(channel, item{arrival, err})
}

// Lose tells that a message is missing on a channel.
func (l *Link) Lose(channel string, why error) {
	l.halt("")
	if !l.holds("") {
		l.hand(channel, item{lost: why})
	}
}

// interrupt is Lose at this place in the order.
func (l *Link) interrupt(channel string, why error) {
	l.losses.Log(l.Log, slog.LevelError, "a message from "+l.engine+" cannot be delivered: its subscribers are told of a gap", "channel", channel, "error", why)
	l.Feed.Interrupted(channel)
}
