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
	t      testing.TB
	Broker *channels.Broker
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
	back, err := open(u, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o.Backplane, o.Numbered = back, u.Query().Has("history")
	l := &Local{t: t, Broker: channels.NewBroker(o)}
	back.Start(l.Broker.Feed())
	t.Cleanup(func() { back.Close() })
	return l
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
	broker *channels.Broker
	inbox  *channels.Inbox
	woken  chan struct{}
	start  channels.Start
	cursor uint64
	events []string // that have come and are not yet wanted
	last   string   // of all events
	LastID string   // of the newest event
}

// Open has a client listen to channels, with a last event id unless that is "", and
// waits until it begins. Its first event is like any other.
func (l *Local) Open(lastID string, names ...string) *Client {
	l.t.Helper()
	c := &Client{t: l.t, broker: l.Broker, woken: make(chan struct{}, 1)}
	c.inbox = l.Broker.NewInbox(func() {
		select {
		case c.woken <- struct{}{}:
		default:
		}
	})
	var raw [][]byte
	for _, name := range names {
		raw = append(raw, []byte(name))
	}
	const enough = 1 << 20
	begun := c.inbox.Join(&c.start, []byte(lastID), enough, raw...)
	for deadline := time.After(patience); !begun; begun = c.inbox.Begin(&c.start, []byte(lastID), enough) {
		select {
		case <-c.woken:
		case <-deadline:
			l.t.Fatalf("%q: not followed within %v: %v", names, patience, l.Broker.Health())
		}
	}
	c.take(c.inbox.AppendStart(nil, &c.start))
	c.cursor = c.start.Cursor
	c.serve(c.start.Missed)
	return c
}

// Close ends the client.
func (c *Client) Close() { c.inbox.Detach(c.start.Channels...) }

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
		messages := c.inbox.Take(nil)
		gaps, _ := c.inbox.Gaps(nil, 0, math.MaxInt)
		all := slices.Concat(messages, gaps)
		slices.SortFunc(all, func(a, b *channels.Message) int { return cmp.Compare(a.Seq, b.Seq) })
		c.serve(all)
		c.inbox.Served(messages)
	}
	got, c.events = c.events[:count], c.events[count:]
	return got
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
