package server

import (
	"log/slog"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/limits"
)

// opening has the facts with which a stream is opened.
type opening struct {
	names   [][]byte // of channels, valid and different from each other
	lastID  []byte   // after which it goes on
	origin  []byte   // of the page that asks
	user    limits.UserRef
	expires time.Time // when its grant ends; zero for never
	renewal string    // for its start event; empty for none
}

// startStream attaches a connection to its channels and starts its event stream, with the
// messages that the client missed. If a channel is not followed yet, the stream waits.
func (l *loop) startStream(c *conn, o opening) {
	begun := l.inbox.Join(&l.start, o.lastID, turnBytes, o.names...)
	c.slot = slot{timer: c.timer, state: stateStream, opened: momentOf(l.now), address: c.address, heard: c.heard, flags: c.flags & secure}
	l.subscribeAll(c, l.start.Channels)
	l.keepGrant(c, o.user, o.expires)
	l.firstPing(c)
	l.counters.streams.Add(1)
	l.counters.opened.Add(1)
	if l.cfg.LogConnections {
		l.server.log(slog.LevelInfo, "client connected", "peer", l.peers.m[c.id()].String(), "channels", l.channelNames(c), l.userAttr(c))
	}
	if !begun {
		l.wait(c, o)
		l.dropHead(c)
		return
	}
	l.out = l.server.heads.opening(l.out[:0], o.origin)
	l.dropHead(c) // which held lastID and origin
	l.sendStart(c, o.renewal)
}

// subscribeAll puts a stream into the lists of its channels.
func (l *loop) subscribeAll(c *conn, chans []*channels.Channel) {
	if len(chans) == 1 {
		s := l.subscribe(c.id(), chans[0])
		c.channel, c.place = s.channel, s.place
		return
	}
	multi := make([]subscription, len(chans))
	for i, channel := range chans {
		multi[i] = l.subscribe(c.id(), channel)
		l.channels[multi[i].channel].multi++
	}
	c.channel = multiChannel
	l.multi.set(c.id(), multi)
}

// unsubscribeAll takes subscribeAll back.
func (l *loop) unsubscribeAll(c *conn) {
	if c.channel != multiChannel {
		l.unsubscribe(subscription{c.channel, c.place})
		return
	}
	for _, s := range l.multi.m[c.id()] {
		l.channels[s.channel].multi--
		l.unsubscribe(s)
	}
	l.multi.remove(c.id())
}

// sendStart sends a stream the bytes of l.out and the start of l.start, which are the
// broker's greeting and the messages that the client missed: in one write if that will do.
func (l *loop) sendStart(c *conn, renewal string) {
	start := &l.start
	start.Renewal = renewal
	c.cursor = start.Cursor
	l.scheduleStream(c)
	l.out = l.inbox.AppendStart(l.out, start)
	opening := len(l.out)
	l.out = appendWires(l.out, start.Missed)
	did := l.send(c, opening, start.Missed, l.out)
	clear(start.Missed)
	switch {
	case did == ended:
		return
	case did == sent && len(l.out)-opening < turnBytes:
		c.cursor = max(c.cursor, start.Head)
		return
	case did == sent:
		l.fallBehind(c, nil, false) // there may be more
	}
	r := l.readers.m[c.id()]
	r.told = start.Told.Clone()
	r.pace.owed = did == sent
	l.becomeFast(c) // or rather not: how it reads is not known yet
}

// endStream undoes startStream and fallBehind.
func (l *loop) endStream(c *conn, why reason) {
	if l.cfg.LogConnections {
		l.server.log(slog.LevelInfo, "client disconnected", "reason", why.String(), "peer", l.peers.m[c.id()].String(),
			"channels", l.channelNames(c), l.userAttr(c), "after", c.opened.age(l.now).Round(tick))
	}
	if c.flags.is(fast) {
		l.needLess(c)
	}
	l.chans = l.channelsOf(c, l.chans[:0])
	l.inbox.Detach(l.chans...)
	l.unsubscribeAll(c)
	if c.flags.is(granted) {
		l.dropGrant(c)
	}
	if c.state == stateWaiting {
		l.waiting.remove(c.id())
	}
	if c.flags.is(behind) {
		l.countSealed(-len(l.readers.m[c.id()].sealed))
		l.readers.remove(c.id())
		l.counters.behind.Add(-1)
	}
	l.counters.streams.Add(-1)
	l.leaveStream()
}

// userAttr is the user of a stream for the log, if there is one.
func (l *loop) userAttr(c *conn) slog.Attr {
	if c.flags.is(granted) {
		if g := l.table.grants.at(c.id()); g.user != 0 {
			return slog.String("user", l.server.users.Name(g.user))
		}
	}
	return slog.Attr{} // which handlers ignore
}

// channelNames is channelsOf for people.
func (l *loop) channelNames(c *conn) string {
	var names []string
	for _, channel := range l.channelsOf(c, nil) {
		names = append(names, channel.Name())
	}
	return strings.Join(names, " ")
}
