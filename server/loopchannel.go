package server

import "millrace/channels"

// loopChannel is a channel as one loop sees it: its subscribers here. It takes 48 bytes;
// the state that only few channels have is in loop.needs.
type loopChannel struct {
	shared      *channels.Channel // the same for all loops
	subscribers []streamID
	group       int32  // one more than its group's index in the turn; 0 for none, or when that is done
	multi       int32  // subscribers that are on other channels too
	queued      uint64 // sequence of the newest message that was left to a turn
}

// subscription is one channel of a stream that has several.
type subscription struct {
	channel int32 // index in loop.channels
	place   int32 // in the subscribers of it
}

// subscribe adds a stream to the subscribers of a channel and returns where it stands.
func (l *loop) subscribe(id streamID, channel *channels.Channel) subscription {
	index, ok := l.byChannel.m[channel]
	if !ok {
		if n := len(l.unused); n > 0 {
			index, l.unused = l.unused[n-1], l.unused[:n-1]
		} else {
			index = int32(len(l.channels))
			l.channels = append(l.channels, nil)
		}
		l.channels[index] = &loopChannel{shared: channel}
		l.byChannel.set(channel, index)
	}
	ch := l.channels[index]
	ch.subscribers = append(roomy(ch.subscribers), id)
	return subscription{index, int32(len(ch.subscribers) - 1)}
}

// unsubscribe takes the subscriber at a place out; the last one takes its place. A
// fan-out under way visits places downwards, so the one that moves has been
// visited before or will be.
func (l *loop) unsubscribe(s subscription) {
	ch := l.channels[s.channel]
	last := int32(len(ch.subscribers) - 1)
	if moved := ch.subscribers[last]; s.place != last {
		ch.subscribers[s.place] = moved
		l.setPlace(moved, s)
	}
	ch.subscribers = brief(ch.subscribers[:last])
	if last == 0 {
		l.byChannel.remove(ch.shared)
		l.needs.remove(ch)
		l.channels[s.channel] = nil
		l.unused = append(l.unused, s.channel)
		if len(l.byChannel.m) == 0 && len(l.channels) > fewLeft {
			l.channels, l.unused = nil, nil
		}
	}
}

// setPlace tells a stream where it now stands in a channel's list.
func (l *loop) setPlace(id streamID, to subscription) {
	s := l.at(id)
	if s.channel != multiChannel {
		s.place = to.place
		return
	}
	multi := l.multi.m[id]
	for i := range multi {
		if multi[i].channel == to.channel {
			multi[i].place = to.place
			return
		}
	}
}

// channelsOf appends the channels of a stream to dst.
func (l *loop) channelsOf(s *stream, dst []*channels.Channel) []*channels.Channel {
	if s.channel != multiChannel {
		return append(dst, l.channels[s.channel].shared)
	}
	for _, sub := range l.multi.m[s.id()] {
		dst = append(dst, l.channels[sub.channel].shared)
	}
	return dst
}

// longList is the length from which on a list of subscribers grows by roomy and
// shrinks by brief.
const longList = 4096

// roomy returns a long list with room for one more. Doubling it leaves
// a quarter of the garbage that append does, and its unused part is not touched.
func roomy(list []streamID) []streamID {
	if len(list) < cap(list) || len(list) < longList {
		return list
	}
	return append(make([]streamID, 0, 2*len(list)), list...)
}

// brief returns a list of subscribers without the room of a crowd that has left:
// roomy taken back, with room for as many again.
func brief(list []streamID) []streamID {
	if cap(list) < longList || len(list) > cap(list)/4 {
		return list
	}
	return append(make([]streamID, 0, cap(list)/2), list...)
}
