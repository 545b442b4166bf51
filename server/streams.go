package server

import (
	"log/slog"
	"strings"

	"millrace/channels"
)

// local is a channel as one loop sees it: its subscribers here.
type local struct {
	channel     *channels.Channel
	subscribers []streamID
	group       int32  // one more than its group's index in the turn; 0 for none, or when that is done
	several     int32  // subscribers that are on other channels too
	queued      uint64 // sequence of the newest message that was left to a turn
	need        uint64 // what the broker was told that readers need: see Broker.Need
	awaited     bool   // publishers wait for that to change
	surveyed    bool   // it is in loop.surveys
}

// membership is one channel of a stream that has several.
type membership struct {
	local int32 // index in loop.locals
	place int32 // in the subscribers of it
}

// startStream answers with the head of an event stream, attaches it to names,
// which are valid and differ from each other, and replays what the client missed
// since lastID. It does so later when a channel is not ready.
func (l *loop) startStream(c *conn, origin []byte, names [][]byte, lastID []byte) {
	begun := l.broker.Resume(&l.start, l.inbox, lastID, turnBytes, names...)
	c.slot = slot{timer: c.timer, state: stateStream, opened: momentOf(l.now), address: c.address, heard: c.heard}
	if chans := l.start.Channels; len(chans) == 1 {
		c.local, c.place = l.join(chans[0], c.id())
	} else {
		several := make([]membership, len(chans))
		for i, channel := range chans {
			several[i].local, several[i].place = l.join(channel, c.id())
			l.locals[several[i].local].several++
		}
		c.local = severalChannels
		l.several.set(c.id(), several)
	}
	l.firstPing(c)
	l.counters.streams.Add(1)
	l.counters.opened.Add(1)
	if l.cfg.LogConnections {
		l.server.log(slog.LevelInfo, "client connected", "peer", l.peers.m[c.id()].String(), "channels", l.channelNames(c))
	}
	if !begun {
		l.wait(c, origin, lastID)
		l.dropPartial(c)
		return
	}
	l.scratch = l.server.heads.opening(l.scratch[:0], origin)
	l.dropPartial(c) // which held lastID and origin
	l.begin(c)
}

// begin sends a stream what l.scratch has, and what follows from l.start.
func (l *loop) begin(c *conn) {
	c.cursor = l.start.Cursor
	l.scheduleStream(c)
	l.scratch = l.broker.AppendStart(l.scratch, &l.start)
	l.replay(c)
}

// replay sends a stream its opening, which is in l.scratch, together with what
// it missed before l.start, in one write if that will do.
func (l *loop) replay(c *conn) {
	start, opening := &l.start, len(l.scratch)
	l.scratch = appendWires(l.scratch, start.Missed)
	did := l.send(c, opening, start.Missed, l.scratch)
	clear(start.Missed)
	switch {
	case did == ended:
		return
	case did == sent && len(l.scratch)-opening < turnBytes:
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

// endStream takes back what startStream and fallBehind did.
func (l *loop) endStream(c *conn, why reason) {
	if l.cfg.LogConnections {
		l.server.log(slog.LevelInfo, "client disconnected", "reason", why.String(), "peer", l.peers.m[c.id()].String(),
			"channels", l.channelNames(c), "after", c.opened.since(l.now).Round(tick))
	}
	if c.flags.is(fast) {
		l.needLess(c)
	}
	l.chans = l.channelsOf(c, l.chans[:0])
	l.broker.Detach(l.inbox, l.chans...)
	if c.local == severalChannels {
		for _, m := range l.several.m[c.id()] {
			l.locals[m.local].several--
			l.leave(m.local, m.place)
		}
		l.several.remove(c.id())
	} else {
		l.leave(c.local, c.place)
	}
	if c.state == stateWaiting {
		l.waiting.remove(c.id())
	}
	if c.flags.is(behind) {
		l.readers.remove(c.id())
		l.counters.behind.Add(-1)
	}
	l.counters.streams.Add(-1)
	l.leaveStream()
}

// join adds a subscriber to a channel and returns where it stands.
func (l *loop) join(channel *channels.Channel, id streamID) (index, place int32) {
	index, ok := l.byChannel.m[channel]
	if !ok {
		if n := len(l.unused); n > 0 {
			index, l.unused = l.unused[n-1], l.unused[:n-1]
		} else {
			index = int32(len(l.locals))
			l.locals = append(l.locals, nil)
		}
		l.locals[index] = &local{channel: channel}
		l.byChannel.set(channel, index)
	}
	ch := l.locals[index]
	ch.subscribers = append(roomy(ch.subscribers), id)
	return index, int32(len(ch.subscribers) - 1)
}

// longList is the length from which on a list of subscribers grows by roomy and
// shrinks by brief.
const longList = 4096

// roomy returns a long list with room for one more. Doubling it leaves
// a quarter of the garbage that append does, and what is not used of it is not
// touched.
func roomy(list []streamID) []streamID {
	if len(list) < cap(list) || len(list) < longList {
		return list
	}
	return append(make([]streamID, 0, 2*len(list)), list...)
}

// leave takes the subscriber at a place out; the last one takes its place. A
// fan-out under way visits places downwards, so the one that moves has been
// visited before or will be.
func (l *loop) leave(index, place int32) {
	ch := l.locals[index]
	last := int32(len(ch.subscribers) - 1)
	if moved := ch.subscribers[last]; place != last {
		ch.subscribers[place] = moved
		l.setPlace(moved, index, place)
	}
	ch.subscribers = brief(ch.subscribers[:last])
	if last == 0 {
		l.byChannel.remove(ch.channel)
		l.locals[index] = nil
		l.unused = append(l.unused, index)
		if len(l.byChannel.m) == 0 && len(l.locals) > fewLeft {
			l.locals, l.unused = nil, nil
		}
	}
}

// setPlace tells a subscriber where it now stands in a channel's list.
func (l *loop) setPlace(id streamID, index, place int32) {
	c := l.table.at(id)
	if c.local != severalChannels {
		c.place = place
		return
	}
	several := l.several.m[id]
	for i := range several {
		if several[i].local == index {
			several[i].place = place
			return
		}
	}
}

// channelsOf appends the channels of a stream to dst.
func (l *loop) channelsOf(c *conn, dst []*channels.Channel) []*channels.Channel {
	if c.local != severalChannels {
		return append(dst, l.locals[c.local].channel)
	}
	for _, m := range l.several.m[c.id()] {
		dst = append(dst, l.locals[m.local].channel)
	}
	return dst
}

// channelNames is channelsOf for people.
func (l *loop) channelNames(c *conn) string {
	var names []string
	for _, channel := range l.channelsOf(c, nil) {
		names = append(names, channel.Name())
	}
	return strings.Join(names, " ")
}
