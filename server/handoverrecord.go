package server

import (
	"encoding/binary"

	"millrace/internal/handover"
)

// uses and states translate: the numbers of handover stay the same in all binaries.
var uses = [...]handover.Use{
	stateProxy:     handover.UseProxy,
	stateHello:     handover.UseHello,
	stateHead:      handover.UseHead,
	stateUndecided: handover.UseUndecided,
	stateStream:    handover.UseStream,
	stateWaiting:   handover.UseWaiting,
	stateHTTP2:     handover.UseHTTP2,
	stateLinger:    handover.UseLinger,
}

// handedFlags are those that travel, with what they are there.
var handedFlags = []struct {
	here  flags
	there handover.Flags
}{
	{toldToReturn, handover.Away}, {secure, handover.Secure}, {counted, handover.Counted}, {gzipped, handover.Gzip},
	{failed, handover.Failed}, {halfway, handover.Halfway}, {fast, handover.Fast}, {granted, handover.Granted},
}

// record returns what the successor has to know of a connection. indexes has where a
// channel stands in the list that was sent.
func (l *loop) record(c *conn, indexes []int32) (r handover.Connection, err error) {
	if r.Cookie, err = handover.Cookie(c.passenger()); err != nil {
		return r, err
	}
	l.recordStream(&c.stream, &r.Stream, indexes)
	r.Timer = -1
	if at, ok := l.wheel.Due(int32(c.id())); ok {
		r.Timer = int64(at)
	}
	r.NextPing, r.Heard, r.Lot = uint32(c.due), c.heard, c.lot
	if c.address != 0 {
		r.Flags |= handover.Named
		r.Network = uint64(l.server.addresses.Network(c.address))
	}
	if unfinished := l.unfinished.m[c.id()]; unfinished != nil {
		r.Head = unfinished.b
	}
	if peer, ok := l.peers.m[c.id()]; ok {
		r.Peer = binary.LittleEndian.AppendUint16(peer.IP[:], peer.Port)
	}
	r.Extras = l.recordProtocols(c)
	return r, nil
}

// recordStream fills r with what the successor has to know of a stream, whatever its
// connection is.
func (l *loop) recordStream(s *stream, r *handover.Stream, indexes []int32) {
	r.Use, r.Why = uses[s.state], uint8(s.why)
	for _, f := range handedFlags {
		if s.flags.is(f.here) {
			r.Flags |= f.there
		}
	}
	r.Cursor, r.Opened, r.Wrote = s.cursor, uint32(s.opened), uint32(s.wrote)
	switch s.state {
	case stateStream, stateWaiting:
		l.recordSubscriptions(s, r, indexes)
	case stateUndecided:
		r.Undecided = l.undecided.m[s.id()].record()
	}
	if s.state == stateWaiting {
		w := l.waiting.m[s.id()]
		r.Waiter = &handover.Waiter{LastID: w.lastID, Origin: w.origin, Renewal: w.renewal, Coding: uint8(w.coding), Greeted: w.greeted, Due: int64(w.due)}
	}
	if s.flags.is(granted) {
		g := l.grantOf(s.id())
		if r.Until = uint32(g.until); g.user != 0 {
			r.User = l.server.users.Name(g.user)
		}
	}
	if s.flags.is(behind) {
		r.Behind = l.recordReader(s)
	}
}

// recordSubscriptions fills r with the channels of a stream.
func (l *loop) recordSubscriptions(s *stream, r *handover.Stream, indexes []int32) {
	if s.channel != multiChannel {
		r.Channel = indexes[s.channel]
		return
	}
	r.Flags |= handover.OnSeveral
	for _, sub := range l.multi.m[s.id()] {
		r.Several = append(r.Several, indexes[sub.channel])
	}
}

// recordReader returns how far behind a stream is.
func (l *loop) recordReader(s *stream) *handover.Behind {
	r := l.readers.m[s.id()]
	var scratch []byte
	return &handover.Behind{
		Rest: r.rest.in(&scratch), Messages: uint32(r.messages), Fell: int64(r.fell), Gaps: r.told.Gaps, Floors: r.told.Floors,
		Window: int64(r.pace.window), Last: int64(r.pace.last), Judged: int64(r.pace.judged),
		Taken: int64(r.pace.taken), Total: int64(r.pace.total), Owed: r.pace.owed, Asked: r.pace.asked,
		Leaves: uint8(r.farewell.why), Retry: int64(r.farewell.retry), By: int64(r.farewell.by),
	}
}

// record returns a request that the successor has to ask its authorizer about.
func (u *undecided) record() *handover.Undecided {
	q := u.request
	client, _ := q.Client.MarshalBinary() // which has no errors
	return &handover.Undecided{
		Channels: q.Channels, Signed: q.Signed, Aliased: q.Aliased, IsSecure: q.Secure, OriginAllowed: q.OriginAllowed,
		Method: q.Method, Path: q.Path, Query: q.Query, Host: q.Host,
		Authorization: q.Authorization, Cookie: q.Cookie, Origin: q.Origin, UserAgent: q.UserAgent, FetchSite: q.FetchSite,
		Client: client, To: u.to.origin, OnlyHead: u.to.onlyHead, PrefersGzip: u.to.prefersGzip, Coding: uint8(u.to.coding),
		LastID: u.lastID, Deadline: int64(u.deadline),
	}
}
