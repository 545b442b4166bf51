// Package control ends streams and issues tickets, on all nodes of a backplane: for the
// admin and the ops port, and by messages between nodes.
//
// A kick takes effect in an order in which no stream slips through: first it is known
// (auth.Kicks), so that no verdict counts any more that was given before, then the streams
// end, then the other nodes are told. The messages to them are idempotent. Only a program
// that can write to the engine can send them (channels.ControlChannel).
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/auth/ticket"
	"millrace/internal/throttle"
)

const (
	// endTimeout is how long event loops may take to begin to end streams.
	endTimeout = 5 * time.Second
	// maxPending is how many orders of other nodes to end streams wait, and how many
	// tickets that were opened wait to be told of.
	maxPending = 4096
	// skew is how far ahead the clock of another node may be: a later time counts as that.
	skew = time.Minute
	// maxOpened is how many of those are told together: engines take 4 KiB.
	maxOpened = 32
	// frozenPause is the time between two attempts to tell other nodes of tickets while
	// publishers go over to another process.
	frozenPause = 10 * time.Millisecond
)

// ErrNoTickets is returned where anybody may listen without one.
var ErrNoTickets = errors.New("no ticket is needed here: anybody may listen to every channel, until --ticket-key, --sign-key, --jwt-key, --jwt-jwks or --auth-url says otherwise")

// ErrOtherNodes is wrapped where streams were ended on this node, and other nodes may not
// have been told.
var ErrOtherNodes = errors.New("other nodes may not know")

// Broker carries the messages between nodes. *channels.Broker is one.
type Broker interface {
	Linked() bool
	Tell(data []byte) error
	HearControl(hear func(data []byte)) (stop func())
}

// Streams are those of this node. *server.Server is one.
type Streams interface {
	// EndStreams ends those of a user on a channel, of which an empty one is any, in
	// an order that clients are told to come back in. It returns how many.
	EndStreams(ctx context.Context, channel, user string) (ended int, err error)
}

// Config of a Control. Broker, Streams and Kicks are required.
type Config struct {
	Broker  Broker
	Streams Streams
	Kicks   *auth.Kicks
	Tickets *ticket.Tickets // nil: none are issued
	Logger  *slog.Logger    // nil: nothing is logged
	// Successor tells that the process takes over from another one: until Switched, kicks
	// count and end no streams.
	Successor bool
}

// Control is safe for concurrent use.
type Control struct {
	cfg       Config
	log       *slog.Logger
	node      string // this one, to know its own messages when they come back
	ends      chan end
	opened    chan ticket.Opened
	stop      func()
	done      chan struct{}
	begun     sync.Once
	running   sync.WaitGroup
	companion companion

	kicks, ended, dropped atomic.Int64
}

// Start returns a Control, which is to be closed.
func Start(cfg Config) *Control {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Control{cfg: cfg, log: throttle.Logger(cfg.Logger), node: strconv.FormatUint(rand.Uint64(), 36), stop: func() {}, done: make(chan struct{})}
	if cfg.Successor {
		c.companion.holding.Store(true)
		c.companion.keep()
	}
	c.ends, c.opened, c.companion.waiting = make(chan end, maxPending), make(chan ticket.Opened, maxPending), make(chan []byte, maxPending)
	if cfg.Broker.Linked() {
		c.begin()
		c.stop = cfg.Broker.HearControl(c.hear)
	}
	return c
}

// begin sets to work what tells others of tickets, and what ends streams for them.
func (c *Control) begin() {
	c.begun.Do(func() {
		if c.cfg.Tickets != nil {
			c.cfg.Tickets.Announce(c.noteOpened)
			c.running.Go(c.tellOpened)
		}
		c.running.Go(c.endForOthers)
		c.running.Go(c.passOn)
	})
}

// Close ends what Start has begun.
func (c *Control) Close() {
	c.stop()
	close(c.done)
	c.running.Wait()
}

// IssueTicket returns a ticket.
func (c *Control) IssueTicket(g ticket.Grant) (string, error) {
	if c.cfg.Tickets == nil {
		return "", ErrNoTickets
	}
	return c.cfg.Tickets.Issue(g, time.Now())
}

// KickUser ends the streams of a user, and has nothing count for hold that was issued
// before now; nothing at all if it is final. It returns how many it has ended on this
// node. A hold of 0 ends none and lifts what was said of the user before.
func (c *Control) KickUser(user string, hold time.Duration, final bool) (ended int, err error) {
	now := time.Now()
	if hold < 0 || hold > auth.MaxKick {
		return 0, fmt.Errorf("for %v, want 0 to %v", hold, auth.MaxKick)
	}
	kick := auth.Kick{User: user, At: now, Until: now.Add(hold), Final: final}
	full := c.cfg.Kicks.Add(kick, now)
	switch {
	case errors.Is(full, auth.ErrCrowded):
		c.log.Error("a kick holds for everybody", "reason", full)
		full = nil
	case full != nil && !errors.Is(full, auth.ErrNotFinal):
		return 0, full
	}
	told := message{Kick: &toldKick{user, now.UnixMicro(), kick.Until.UnixMicro(), final}}
	if hold == 0 {
		return 0, c.tell(told)
	}
	c.kicks.Add(1)
	ended, err = c.end(end{User: user})
	return ended, errors.Join(full, err, c.tell(told))
}

// KickChannel ends the streams on a channel, or those of a user on it. Their clients may
// come back. It returns how many it has ended on this node.
func (c *Control) KickChannel(channel, user string) (ended int, err error) {
	if err := channels.CheckName([]byte(channel)); err != nil {
		return 0, err
	}
	if user != "" {
		if err := auth.CheckUser(user); err != nil {
			return 0, err
		}
	}
	c.kicks.Add(1)
	order := end{Channel: channel, User: user}
	ended, err = c.end(order)
	return ended, errors.Join(err, c.tell(message{End: &order}))
}

// end ends streams of this node.
func (c *Control) end(e end) (ended int, err error) {
	c.companion.note(e)
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	ended, err = c.cfg.Streams.EndStreams(ctx, e.Channel, e.User)
	c.ended.Add(int64(ended))
	c.log.Info("streams are ended", "user", e.User, "channel", e.Channel, "ended", ended)
	if err != nil {
		err = fmt.Errorf("%d streams are ended, others may not be: %w", ended, err)
	}
	return ended, err
}

// message goes between nodes, as JSON: it has one of the fields beside the first.
type message struct {
	From   string          `json:"from"` // node
	Kick   *toldKick       `json:"kick,omitempty"`
	End    *end            `json:"end,omitempty"`
	Opened []ticket.Opened `json:"opened,omitempty"`
}

// toldKick is an auth.Kick, with times in microseconds since 1970.
type toldKick struct {
	User  string `json:"user"`
	At    int64  `json:"at"`
	Until int64  `json:"until"`
	Final bool   `json:"final,omitempty"`
}

// end is an order to end streams. An empty field is any.
type end struct {
	Channel string `json:"channel,omitempty"`
	User    string `json:"user,omitempty"`
}

// tell has the other process of an upgrade know a message, and the other nodes hear it, if
// there may be some.
func (c *Control) tell(m message) error {
	data, err := c.encode(m)
	if err == nil && c.companion.tell.Load() != nil {
		c.awaitHeard(c.passNumbered(data))
	}
	if err == nil {
		err = c.tellNodes(data)
	}
	if err != nil {
		return fmt.Errorf("done on this node, but %w: %w", ErrOtherNodes, err)
	}
	return nil
}

// encode returns a message of this node as it travels.
func (c *Control) encode(m message) ([]byte, error) {
	m.From = c.node
	return json.Marshal(m)
}

// tellNodes has the other nodes hear a message, unless that is the predecessor's to do.
func (c *Control) tellNodes(data []byte) error {
	if !c.cfg.Broker.Linked() || c.companion.holding.Load() {
		return nil
	}
	return c.cfg.Broker.Tell(data)
}

// hear does what another node says, or has it done: it is called by what reads from the
// engine.
func (c *Control) hear(data []byte) {
	if _, ok := c.take(data); ok {
		c.passLater(data)
	}
}

// obey does what a message says. It does not wait.
func (c *Control) obey(m *message, now time.Time) {
	if k := m.Kick; k != nil {
		until := min(k.Until, now.Add(auth.MaxKick).UnixMicro())
		kick := auth.Kick{User: k.User, At: time.UnixMicro(min(k.At, now.Add(skew).UnixMicro())), Until: time.UnixMicro(until), Final: k.Final}
		if err := c.cfg.Kicks.Add(kick, now); err != nil {
			c.log.Error("a kick of another process holds otherwise than it says", "reason", err)
		}
		if kick.Until.After(kick.At) && k.User != "" {
			c.endLater(end{User: k.User})
		}
	}
	if m.End != nil && *m.End != (end{}) { // all streams of all users is nothing that a node says
		c.endLater(*m.End)
	}
	for _, o := range m.Opened {
		if c.cfg.Tickets != nil {
			c.cfg.Tickets.Hear(o, now)
		}
	}
}

// endLater has streams of this node ended for another node, or for the predecessor.
func (c *Control) endLater(e end) {
	if c.companion.holding.Load() {
		switch c.companion.note(e) {
		case noted:
			return
		case noRoom:
			c.dropped.Add(1)
			c.log.Error("too many kicks come during an upgrade: streams of some go on here until they end by themselves")
			return
		}
	}
	select {
	case c.ends <- e:
	default:
		c.dropped.Add(1)
		c.log.Error("too many kicks come from other nodes: streams of some go on here until they end by themselves")
	}
}

// endForOthers ends the streams that endLater has noted.
func (c *Control) endForOthers() {
	for {
		select {
		case e := <-c.ends:
			c.kicks.Add(1)
			if _, err := c.end(e); err != nil {
				c.log.Error("a kick of another node", "error", err)
			}
		case <-c.done:
			return
		}
	}
}

// noteOpened has the other nodes told of a ticket that was opened here, if there is room.
func (c *Control) noteOpened(o ticket.Opened) {
	select {
	case c.opened <- o:
	default:
		c.dropped.Add(1)
		c.log.Warn("too many tickets are opened to tell other nodes of all")
	}
}

// tellOpened tells other nodes of the tickets that noteOpened has noted.
func (c *Control) tellOpened() {
	for {
		var opened []ticket.Opened
		select {
		case o := <-c.opened:
			opened = append(opened, o)
		case <-c.done:
			return
		}
		for len(opened) < maxOpened && len(c.opened) > 0 {
			opened = append(opened, <-c.opened)
		}
		if c.companion.holding.Load() {
			c.companion.keepOpened(opened)
		}
		c.announce(opened)
	}
}

// announce tells the other process of an upgrade and other nodes of tickets. Those of which it
// cannot tell since publishers go over to the successor are kept for it, and for the case that
// everything is taken back: then it waits until publishers go on here.
func (c *Control) announce(opened []ticket.Opened) {
	data, err := c.encode(message{Opened: opened})
	if err == nil {
		c.pass(told{Message: data})
		err = c.tellNodes(data)
	}
	for errors.Is(err, channels.ErrFrozen) {
		if c.companion.keepOpened(opened) {
			return
		}
		select {
		case <-time.After(frozenPause):
			err = c.tellNodes(data)
		case <-c.done:
			return
		}
	}
	if err != nil {
		c.dropped.Add(int64(len(opened)))
		c.log.Warn("other nodes were not told of tickets that were opened here", "error", err)
	}
}

// Stats are figures since the process began.
type Stats struct {
	Kicks   int64 // of this node and of others, that ended streams here
	Ended   int64 // streams
	Dropped int64 // orders and tickets that were not passed on
	Kicked  auth.KickStats
}

// Stats returns the figures as they are now.
func (c *Control) Stats() Stats {
	return Stats{Kicks: c.kicks.Load(), Ended: c.ended.Load(), Dropped: c.dropped.Load(), Kicked: c.cfg.Kicks.Stats(time.Now())}
}
