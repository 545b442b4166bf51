package server

import (
	"log/slog"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/gzipwire"
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
	coding  coding
}

// startStream attaches a connection to its channels and starts its event stream, with the
// messages that the client missed. If a channel is not followed yet, the stream waits.
func (l *loop) startStream(s *stream, o opening) {
	begun := l.inbox.Join(&l.start, o.lastID, turnBytes, o.names...)
	*s = stream{self: s.self, state: stateStream, opened: momentOf(l.now), flags: s.flags & (secure | moved)}
	l.subscribeAll(s, l.start.Channels)
	l.keepGrant(s, o.user, o.expires)
	if !s.isShared() {
		l.firstPing(l.connOf(s))
	}
	l.counters.streams.Add(1)
	l.counters.opened.Add(1)
	if l.cfg.LogConnections {
		l.server.log(slog.LevelInfo, "client connected", "peer", l.peers.m[l.connOf(s).id()].String(), "channels", l.channelNames(s), l.userAttr(s))
	}
	if o.coding == codingGzip {
		l.joinText(s)
	}
	if !begun {
		l.wait(s, o)
		l.dropHead(s)
		return
	}
	var from int
	l.out, from = l.openBody(s, l.putHead(s, l.server.heads.streamHead(l.out[:0], o.origin, o.coding)))
	l.dropHead(s) // which held lastID and origin
	l.sendStart(s, from, o.renewal)
}

// subscribeAll puts a stream into the lists of its channels.
func (l *loop) subscribeAll(s *stream, chans []*channels.Channel) {
	if len(chans) == 1 {
		sub := l.subscribe(s.id(), chans[0])
		s.channel, s.place = sub.channel, sub.place
		return
	}
	multi := make([]subscription, len(chans))
	for i, channel := range chans {
		multi[i] = l.subscribe(s.id(), channel)
		l.channels[multi[i].channel].multi++
	}
	s.channel = multiChannel
	l.multi.set(s.id(), multi)
}

// unsubscribeAll takes subscribeAll back.
func (l *loop) unsubscribeAll(s *stream) {
	if s.channel != multiChannel {
		l.unsubscribe(subscription{s.channel, s.place})
		return
	}
	for _, sub := range l.multi.m[s.id()] {
		l.channels[sub.channel].multi--
		l.unsubscribe(sub)
	}
	l.multi.remove(s.id())
}

// openBody appends what the body of a stream begins with, behind dst, and returns where its
// text begins.
func (l *loop) openBody(s *stream, dst []byte) (_ []byte, from int) {
	if s.flags.is(gzipped) {
		dst = append(dst, gzipwire.Header...)
	}
	return append(dst, l.server.heads.greeting...), len(dst)
}

// sendStart sends a stream the bytes of l.out, which are text from there on, and the start of
// l.start: the broker's greeting and the messages that the client missed, in one write if
// that will do.
func (l *loop) sendStart(s *stream, from int, renewal string) {
	start := &l.start
	start.Renewal = renewal
	s.cursor = start.Cursor
	l.scheduleStream(s)
	l.out = l.ownText(s, l.inbox.AppendStart(l.out, start), from)
	opening := len(l.out)
	p := l.pack(l.out, s, start.Missed)
	l.out = p.wire
	did := l.send(s, opening, p)
	all := sizeOf(start.Missed, turnBytes) < turnBytes
	clear(start.Missed)
	switch {
	case did == ended:
		return
	case did == sent && all:
		s.cursor = max(s.cursor, start.Head)
		return
	case did == sent:
		l.fallBehind(s, leftover{}, false) // there may be more
	}
	r := l.readers.m[s.id()]
	r.told = start.Told.Clone()
	r.pace.owed = did == sent
	l.becomeFast(s) // or rather not: how it reads is not known yet
}

// leaveChannels undoes startStream and fallBehind.
func (l *loop) leaveChannels(s *stream, why reason) {
	if l.cfg.LogConnections {
		l.server.log(slog.LevelInfo, "client disconnected", "reason", why.String(), "peer", l.peers.m[l.connOf(s).id()].String(),
			"channels", l.channelNames(s), l.userAttr(s), "after", s.opened.age(l.now).Round(tick))
	}
	if s.flags.is(fast) {
		l.needLess(s)
	}
	if s.flags.is(gzipped) {
		l.leaveText(s)
	}
	l.chans = l.channelsOf(s, l.chans[:0])
	l.inbox.Detach(l.chans...)
	l.unsubscribeAll(s)
	if s.flags.is(granted) {
		l.dropGrant(s)
	}
	if s.state == stateWaiting {
		l.waiting.remove(s.id())
	}
	if s.flags.is(behind) {
		l.dropReader(s)
	}
	l.counters.streams.Add(-1)
	l.leaveStream(s)
}

// userAttr is the user of a stream for the log, if there is one.
func (l *loop) userAttr(s *stream) slog.Attr {
	if s.flags.is(granted) {
		if g := l.grantOf(s.id()); g.user != 0 {
			return slog.String("user", l.server.users.Name(g.user))
		}
	}
	return slog.Attr{} // which handlers ignore
}

// channelNames is channelsOf for people.
func (l *loop) channelNames(s *stream) string {
	var names []string
	for _, channel := range l.channelsOf(s, nil) {
		names = append(names, channel.Name())
	}
	return strings.Join(names, " ")
}
