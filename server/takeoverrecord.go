package server

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/handover"
	"millrace/internal/limits"
	"millrace/internal/netpoll"
)

// restore takes in a connection by its record. With an error it has closed the socket, or will
// with all others.
func (l *loop) restore(fd int32, r *handover.Connection) error {
	s := slot{due: moment(r.NextPing), lot: r.Lot, heard: r.Heard}
	s.stream = l.streamOf(&r.Stream)
	s.flags |= moved
	if !r.Flags.Is(handover.Secure) && (s.state == stateStream || s.state == stateWaiting) {
		s.flags |= held
	}
	c, err := l.claimMoved(fd, s)
	if c == nil {
		closeFDs([]int{int(fd)})
		return err
	}
	l.countIn(c)
	if err != nil {
		return err
	}
	if r.Flags.Is(handover.Named) && l.server.addresses != nil {
		c.address = l.server.addresses.Restore(limits.Network(r.Network), c.flags.is(toldToReturn))
	}
	if r.Head != nil {
		l.unfinished.set(c.id(), &unfinishedHead{slices.Clone(r.Head)})
	}
	if len(r.Peer) == 18 && l.cfg.keepsPeers() {
		l.peers.set(c.id(), netpoll.Peer{IP: [16]byte(r.Peer[:16]), Port: binary.LittleEndian.Uint16(r.Peer[16:])})
	}
	if err := l.restoreProtocols(c, r); err != nil {
		return err
	}
	if err := l.restoreStream(&c.stream, &r.Stream); err != nil {
		return err
	}
	l.adopting.ids = append(l.adopting.ids, c.id())
	if r.Timer >= 0 {
		l.schedule(c, time.Duration(r.Timer))
	}
	if time.Duration(l.adopting.head.Keepalive) == l.cfg.Keepalive {
		return nil
	}
	switch c.state { // pings at another pace
	case stateStream:
		l.firstPing(c)
		l.scheduleStream(&c.stream)
	case stateHTTP2:
		if l.firstPing(c); l.cfg.Keepalive > 0 {
			l.scheduleBy(c, l.nextPing(c))
		}
	}
	return nil
}

// countIn counts a connection that has been taken over, as open does.
func (l *loop) countIn(c *conn) {
	l.server.open.Add(1)
	l.occupancy.sockets.Add(1)
	l.counters.connections.Add(1)
	if c.state == stateLinger {
		l.counters.lingering.Add(1)
	}
}

// streamOf returns the part of a stream that is in its slot.
func (l *loop) streamOf(r *handover.Stream) (s stream) {
	s = stream{cursor: r.Cursor, opened: moment(r.Opened), wrote: moment(r.Wrote), why: l.reasonAt(r.Why)}
	s.state = state(max(slices.Index(uses[:], r.Use), 0)) // 0 is stateFree
	for _, f := range handedFlags {
		s.flags.set(f.here, r.Flags.Is(f.there))
	}
	s.flags.set(behind, r.Behind != nil)
	s.flags.set(granted, false) // until keepGrant
	return s
}

// reasonAt returns the reason with a number of the predecessor's.
func (l *loop) reasonAt(number uint8) reason {
	if int(number) >= len(l.adopting.reasons) {
		return reasonOverload
	}
	return l.adopting.reasons[number]
}

// restoreStream takes in what a stream has beside its slot, whatever its connection is.
func (l *loop) restoreStream(s *stream, r *handover.Stream) error {
	switch s.state {
	case stateFree:
		return fmt.Errorf("a connection of the unknown use %d", r.Use)
	case stateUndecided:
		return l.restoreUndecided(s, r.Undecided)
	case stateStream, stateWaiting:
	default:
		return nil
	}
	if err := l.restoreSubscriptions(s, r); err != nil {
		return err
	}
	l.retakeStream(s)
	l.counters.streams.Add(1)
	l.restoreGrant(s, r)
	if r.Flags.Is(handover.Gzip) {
		l.joinText(s)
	}
	if r.Behind != nil {
		l.restoreReader(s, r.Behind)
	}
	if s.state == stateWaiting {
		w := r.Waiter
		if w == nil {
			return fmt.Errorf("a stream that waits, but not with what it begins")
		}
		l.waiting.set(s.id(), &waiter{
			lastID: slices.Clone(w.LastID), origin: slices.Clone(w.Origin), renewal: w.Renewal, coding: coding(w.Coding),
			due: time.Duration(w.Due), greeted: w.Greeted,
		})
	}
	return nil
}

// restoreSubscriptions puts a stream into the lists of its channels.
func (l *loop) restoreSubscriptions(s *stream, r *handover.Stream) error {
	join := func(channel int32) (sub subscription, err error) {
		if channel < 0 || int(channel) >= len(l.channels) {
			return sub, fmt.Errorf("channel %d of %d", channel, len(l.channels))
		}
		ch := l.channels[channel]
		ch.subscribers = append(ch.subscribers, s.id())
		return subscription{channel, int32(len(ch.subscribers) - 1)}, nil
	}
	if !r.Flags.Is(handover.OnSeveral) {
		sub, err := join(r.Channel)
		s.channel, s.place = sub.channel, sub.place
		return err
	}
	multi := make([]subscription, len(r.Several))
	for i, channel := range r.Several {
		sub, err := join(channel)
		if err != nil {
			return err
		}
		multi[i] = sub
		l.channels[channel].multi++
	}
	s.channel = multiChannel
	l.multi.set(s.id(), multi)
	return nil
}

// restoreGrant notes the user and the end of a stream. The user may have more streams than
// may begin: those that are open stay.
func (l *loop) restoreGrant(s *stream, r *handover.Stream) {
	if !r.Flags.Is(handover.Granted) {
		return
	}
	var user limits.UserRef
	if r.User != "" {
		user = l.server.users.Restore(r.User)
	}
	l.linkGrant(s, user, moment(r.Until))
}

// restoreReader takes in how far behind a stream is.
func (l *loop) restoreReader(s *stream, b *handover.Behind) {
	l.readers.set(s.id(), &slowReader{
		rest: leftoverOf(b.Rest), messages: int(b.Messages), fell: time.Duration(b.Fell),
		told: channels.Told{Gaps: b.Gaps, Floors: b.Floors},
		pace: pace{
			window: time.Duration(b.Window), taken: int(b.Taken), owed: b.Owed, asked: b.Asked,
			last: time.Duration(b.Last), judged: time.Duration(b.Judged), total: int(b.Total),
		},
		farewell: farewell{why: l.reasonAt(b.Leaves), retry: time.Duration(b.Retry), by: time.Duration(b.By)},
	})
	if s.state != stateHTTP2 {
		l.counters.behind.Add(1)
	}
	if s.flags.is(fast) {
		l.surveyNew(s)
	}
}

// restoreUndecided takes in a request whose verdict is asked for anew once the loop serves.
func (l *loop) restoreUndecided(s *stream, r *handover.Undecided) error {
	if r == nil {
		return fmt.Errorf("a request that waits for its verdict, but not what it asks")
	}
	request := &auth.Request{
		Channels: r.Channels, Signed: r.Signed, Aliased: r.Aliased, Secure: r.IsSecure, OriginAllowed: r.OriginAllowed,
		Method: r.Method, Path: r.Path, Query: r.Query, Host: r.Host,
		Authorization: r.Authorization, Cookie: r.Cookie, Origin: r.Origin, UserAgent: r.UserAgent, FetchSite: r.FetchSite,
	}
	if err := request.Client.UnmarshalBinary(r.Client); err != nil {
		return err
	}
	l.undecided.set(s.id(), &undecided{
		request: request, lastID: slices.Clone(r.LastID), deadline: time.Duration(r.Deadline),
		to: asker{origin: slices.Clone(r.To), onlyHead: r.OnlyHead, prefersGzip: r.PrefersGzip, coding: coding(r.Coding)},
	})
	l.countUndecided(1)
	return nil
}

// askAllAgain asks for the verdicts of all requests that have been taken over.
func (l *loop) askAllAgain() {
	if l.cfg.Authorizer == nil { // the settings agree, so there are none
		return
	}
	for _, id := range slices.Collect(maps.Keys(l.undecided.m)) { // which asking changes
		u := l.undecided.m[id]
		if u == nil {
			continue
		}
		s := l.at(id)
		l.dropUndecided(s)
		s.state = stateHead
		l.askAuthorizer(s, *u)
	}
}
