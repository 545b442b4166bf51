package server

import (
	"errors"
	"fmt"

	"millrace/internal/handover"
	"millrace/timerwheel"
)

// travel hands all that a loop serves over to one of another server, as if that were another
// process, and returns it, and by their descriptors those that connections have there.
func (h handLoop) travel() (next handLoop, descriptors map[int32]int32) {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	here, there, err := handover.Pair()
	if errors.Is(err, handover.ErrUnsupported) {
		h.t.Skip(err)
	}
	must(err)
	cfg := h.server.cfg
	cfg.Successor = &Takeover{Version: handover.Version}
	s, err := New(cfg, h.broker)
	must(err)
	s.clock = h.server.clock
	next = handLoop{s.loops[0], h.t, h.time}
	h.t.Cleanup(s.Close)
	next.awaits, next.adopting = handover.NewConn(there), new(adopting)
	next.now = h.now
	received := make(chan error)
	step := func(ours, theirs func() error) {
		h.t.Helper()
		go func() { received <- theirs() }()
		err := ours()
		must(errors.Join(err, <-received))
	}
	must(h.server.BeginHandOver(handover.Version))
	step(func() error {
		_, err := h.handOver(handover.NewConn(here))
		return err
	}, next.receiveLoop)
	for _, id := range h.handed.ids {
		if c := h.table.at(id); c.flags.is(secure) && c.state > stateHandshake && !h.hasKeys(c) {
			h.t.Fatal("a loop has no keys before the commit")
		}
	}
	ids := next.adopting.ids
	var known []string
	for _, id := range h.handed.ids {
		known = append(known, h.known(h.table.at(id)))
	}
	step(func() error {
		_, err := h.commit()
		return err
	}, func() error {
		err := next.awaitCommit()
		next.serveAdopted()
		return err
	})
	next.letAll()
	descriptors = make(map[int32]int32)
	for i, id := range h.handed.ids {
		if h.hasKeys(h.table.at(id)) {
			h.t.Fatal("a loop has keys after the commit")
		}
		descriptors[h.table.at(id).fd()] = next.table.at(ids[i]).fd()
		if was := h.known(h.table.at(id)); was != known[i] {
			h.t.Fatalf("after the handover the loop before knows\n%s\nof a connection of which it knew\n%s", was, known[i])
		}
		if is := next.known(next.table.at(ids[i])); is != known[i] {
			h.t.Fatalf("a loop knows\n%s\nof a connection, want what the one before knew:\n%s", is, known[i])
		}
	}
	h.forgetChannels()
	h.letGo()
	next.awaits.Close()
	h.server.Close()
	return next, descriptors
}

// forgetChannels has the broker forget a loop whose process would be gone.
func (h handLoop) forgetChannels() {
	for channel, i := range h.byChannel.m {
		for range h.channels[i].subscribers {
			h.inbox.Detach(channel)
		}
		for range h.gzips.m[h.channels[i]] {
			h.inbox.LeaveText(channel)
		}
	}
}

// known is what a loop knows of a connection, but for what has to differ between processes.
func (h handLoop) known(c *conn) string {
	slot := c.slot
	slot.timer = timerwheel.Node{}
	text := h.knownOf(&slot.stream) + fmt.Sprintf(" ping %v heard %d lot %d part %x", slot.due, slot.heard, slot.lot, h.parts.m[c.id()])
	if at, ok := h.wheel.Due(int32(c.id())); ok {
		text += fmt.Sprint(" timer ", at)
	}
	if r := h.rests.of.m[c.id()]; r != nil {
		text += fmt.Sprintf(" sealed %x %d %d %v", r.record[r.out:], r.content, r.deliveries, r.fell)
	}
	if c.state == stateHTTP2 {
		conn := *h.h2Of(c)
		text += fmt.Sprintf(" begun %x certificate %d\n", h.begun.m[c.id()], c.place)
		for s := range h.streamsOf(conn.first) {
			text += fmt.Sprintf("%s %+v next %v\n", h.knownOf(&s.stream), s.Stream, conn.turn == link(s.self+1))
		}
		conn.first, conn.turn = 0, 0
		text += fmt.Sprintf("%+v", conn)
	}
	return text
}

// knownOf is known of a stream.
func (h handLoop) knownOf(s *stream) string {
	text := fmt.Sprintf("state %d cursor %d opened %v wrote %v flags %b why %v", s.state, s.cursor, s.opened, s.wrote, s.flags&^(moved|held), s.why)
	if s.state == stateStream || s.state == stateWaiting {
		text += " on " + h.channelNames(s)
	}
	if r := h.readers.m[s.id()]; r != nil {
		var scratch []byte
		text += fmt.Sprintf(" behind %x %d %v %+v %+v %+v", r.rest.in(&scratch), r.messages, r.fell, r.told, r.pace, r.farewell)
	}
	return text
}
