package enginetest

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/eventstream"
)

// Backplane is the type that every engine's package has.
type Backplane interface {
	channels.Backplane
	Start(channels.Feed)
	Close() error
}

// Local is a node without its ports, in the test's process: a broker and its backplane.
type Local struct {
	t         testing.TB
	Broker    *channels.Broker
	back      Heir
	options   channels.Options
	open      func() Backplane
	clients   []*Client // their slice is guarded by opening: tests open many at once
	opening   *sync.Mutex
	observers map[channels.Observer][]string // the channels that each hears
}

// StartLocal runs a node until the test ends, over the engine at address, which open
// is given with a log that is thrown away. The options need no backplane, and the engine
// keeps the history if the address says so.
func StartLocal(t testing.TB, address string, o channels.Options, open func(*url.URL, *slog.Logger) (Backplane, error)) *Local {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	o.Numbered = u.Query().Has("history")
	l := &Local{t: t, options: o, open: func() Backplane {
		back, err := open(u, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return back
	}}
	l = l.opened(o)
	l.back.Start(l.Broker.Feed())
	return l
}

// opened returns another node like l, whose backplane has yet to be started.
func (l *Local) opened(o channels.Options) *Local {
	l.t.Helper()
	back := l.open()
	l.t.Cleanup(func() { back.Close() })
	o.Backplane = back
	next := &Local{t: l.t, Broker: channels.NewBroker(o), options: l.options, open: l.open, opening: new(sync.Mutex)}
	next.back, _ = back.(Heir)
	return next
}

// Publish publishes until the engine takes it, and returns the event id.
func (l *Local) Publish(channel, data string) (id string) {
	l.t.Helper()
	return l.PublishEvent(channel, channels.Event{Data: []byte(data)})
}

// PublishEvent is Publish for an event that is more than its data.
func (l *Local) PublishEvent(channel string, ev channels.Event) (id string) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		receipt, err := l.Broker.Publish(channel, ev)
		if err == nil {
			return l.Broker.ID(receipt)
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("publishing %q on %s: %v", ev.Data, channel, err)
		}
	}
}

// AwaitHealth waits until the node says that it is connected, or that it is not.
func (l *Local) AwaitHealth(connected bool) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		err := l.Broker.Health()
		if (err == nil) == connected {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("after %v the health of a node is: %v", patience, err)
		}
	}
}

// AwaitRefusal waits until the node says why it is not connected, in words that contain
// word.
func (l *Local) AwaitRefusal(word string) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		err := l.Broker.Health()
		if err != nil && strings.Contains(err.Error(), word) {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("after %v the health of a node is: %v, want an error about %q", patience, err, word)
		}
	}
}

// Client is a subscriber of a Local, with a loop of its own.
type Client struct {
	t      testing.TB
	local  *Local
	inbox  *channels.Inbox
	woken  chan struct{}
	start  channels.Start
	cursor uint64
	begun  bool
	events []string // that have come and are not yet wanted
	last   string   // of all events
	asked  string   // last event id that it came with
	LastID string   // of the newest event
}

// Open has a client listen to channels, with a last event id unless that is "", and
// waits until it begins. Its first event is like any other.
func (l *Local) Open(lastID string, names ...string) *Client {
	l.t.Helper()
	c := l.join(lastID, names...)
	c.begin()
	return c
}

// openLater is Open without waiting, for Client.begin.
func (l *Local) openLater(names ...string) *Client { return l.join("", names...) }

// enough is how much a client may miss, in bytes.
const enough = 1 << 20

// join attaches a client.
func (l *Local) join(lastID string, names ...string) *Client {
	c := &Client{t: l.t, local: l, woken: make(chan struct{}, 1), asked: lastID}
	l.opening.Lock()
	l.clients = append(l.clients, c)
	l.opening.Unlock()
	c.inbox = l.Broker.NewInbox(c.wake)
	var raw [][]byte
	for _, name := range names {
		raw = append(raw, []byte(name))
	}
	c.begun = c.inbox.Join(&c.start, []byte(lastID), enough, raw...)
	return c
}

// wake has the client look into its inbox.
func (c *Client) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// begin waits until the client has begun.
func (c *Client) begin() {
	c.t.Helper()
	for deadline := time.After(patience); !c.begun; c.begun = c.inbox.Begin(&c.start, []byte(c.asked), enough) {
		select {
		case <-c.woken:
		case <-deadline:
			c.t.Fatalf("a client: not followed within %v: %v", patience, c.local.Broker.Health())
		}
	}
	c.take(c.inbox.AppendStart(nil, &c.start))
	c.cursor = c.start.Cursor
	c.serve(c.start.Missed)
}

// Close ends the client.
func (c *Client) Close() {
	c.inbox.Detach(c.start.Channels...)
	c.local.opening.Lock()
	defer c.local.opening.Unlock()
	c.local.clients = slices.DeleteFunc(c.local.clients, func(o *Client) bool { return o == c })
}

// Want waits for the next events and compares. An event is its data, with its type in
// front if it has one, and its delay (retry 5); a gap is "gap" and its reason, and the
// same one again says nothing more.
func (c *Client) Want(want ...string) {
	c.t.Helper()
	if got := c.Next(len(want)); !slices.Equal(got, want) {
		c.t.Fatalf("a client got %q, want %q", got, want)
	}
}

// WantNothing reports the events that have come; for a client that was just opened, those
// include its greeting.
func (c *Client) WantNothing() {
	c.t.Helper()
	if len(c.events) > 0 {
		c.t.Errorf("a client got %q, want nothing", c.events)
	}
}

// Next waits for the next events and returns them.
func (c *Client) Next(count int) (got []string) {
	c.t.Helper()
	for deadline := time.After(patience); len(c.events) < count; {
		select {
		case <-c.woken:
		case <-deadline:
			c.t.Fatalf("a client got %q, want %d events", c.events, count)
		}
		c.turn()
	}
	got, c.events = c.events[:count], c.events[count:]
	return got
}

// turn takes what has come.
func (c *Client) turn() {
	messages := c.inbox.Take(nil)
	gaps, _ := c.inbox.Gaps(nil, 0, math.MaxInt)
	all := slices.Concat(messages, gaps)
	slices.SortFunc(all, func(a, b *channels.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	c.serve(all)
	c.inbox.Served(messages)
}

func (c *Client) serve(messages []*channels.Message) {
	for _, m := range messages {
		if m.Seq > c.cursor { // else it has been replayed
			c.cursor = m.Seq
			c.take(m.Wire)
		}
	}
}

// take notes the events of wire.
func (c *Client) take(wire []byte) {
	r := eventstream.Reader{LastID: c.LastID, Strict: true}
	r.Reset(bufio.NewReader(bytes.NewReader(wire)))
	for {
		ev, err := r.Next()
		if err == io.EOF {
			c.LastID = r.LastID
			return
		}
		if err != nil {
			c.t.Fatalf("%.100q: %v", wire, err)
		}
		if !ev.Empty && ev.Type != channels.StartType {
			c.note(ev)
		}
	}
}

// note keeps an event as Want has it.
func (c *Client) note(ev eventstream.Event) {
	text := ev.Data
	if ev.Retry > 0 {
		text = fmt.Sprintf("retry %d %s", ev.Retry.Milliseconds(), text)
	}
	if ev.Type != "" {
		text = ev.Type + " " + text
	}
	if rest, ok := strings.CutPrefix(text, channels.GapType+` {"reason":"`); ok {
		reason, _, _ := strings.Cut(rest, `"`)
		text = "gap " + reason
	}
	if strings.HasPrefix(text, "gap ") && text == c.last {
		return
	}
	c.events, c.last = append(c.events, text), text
}
