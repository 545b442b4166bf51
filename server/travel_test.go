package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/ssetest"
	"millrace/timerwheel"
)

// voyage is all that a loop serves on its way to one of another server, as if that were another
// process.
type voyage struct {
	from, to handLoop
	received chan error
	conn     *handover.Conn // the predecessor's end
	ids      []streamID     // there, in the order of those here
}

// embark begins a voyage, to a loop with another configuration if change makes one.
func (h handLoop) embark(change ...func(*Config)) *voyage {
	h.t.Helper()
	here, there, err := handover.Pair()
	if errors.Is(err, handover.ErrUnsupported) {
		h.t.Skip(err)
	}
	if err == nil {
		err = h.server.BeginHandOver(handover.Version)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	cfg := h.server.cfg
	cfg.Successor = &Takeover{Version: handover.Version}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg, h.broker)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Close)
	s.clock = h.server.clock
	next := handLoop{s.loops[0], h.t, h.time}
	next.awaits, next.adopting, next.now = handover.NewConn(there), new(adopting), 0
	return &voyage{from: h, to: next, received: make(chan error), conn: handover.NewConn(here)}
}

// step has both loops do something together.
func (v *voyage) step(from, to func() error) {
	v.from.t.Helper()
	go func() { v.received <- to() }()
	err := from()
	if err := errors.Join(err, <-v.received); err != nil {
		v.from.t.Fatal(err)
	}
}

// prepare has all come that the loop serves.
func (v *voyage) prepare() {
	v.from.t.Helper()
	v.step(func() error {
		if _, err := v.from.handOver(v.conn); err != nil {
			return err
		}
		return v.from.awaitPrepared()
	}, v.to.receiveLoop)
	v.ids = v.to.adopting.ids
}

// commit makes it the other loop's.
func (v *voyage) commit() {
	v.from.t.Helper()
	v.step(func() error {
		if err := v.from.commit(); err != nil {
			return err
		}
		_, err := v.from.awaitServing()
		return err
	}, func() error {
		err := v.to.awaitCommit()
		v.to.serveAdopted()
		return err
	})
}

// end ends the loop that has handed all over.
func (v *voyage) end() {
	v.to.letAll()
	v.from.forgetChannels()
	v.from.letGo()
	v.to.leavePredecessor()
	v.from.server.Close()
}

// travel hands all that a loop serves over to one of another server, and returns it, and by their
// descriptors those that connections have there. It wants the one to know of each what the other
// knew, and keys to be in one place.
func (h handLoop) travel() (next handLoop, descriptors map[int32]int32) {
	h.t.Helper()
	v := h.embark()
	next = v.to
	v.prepare()
	ids := v.ids
	var known []string
	for _, id := range h.handed.ids {
		c := h.table.at(id)
		if c.flags.is(secure) && c.state > stateHandshake && !h.hasKeys(c) {
			h.t.Fatal("a loop has no keys before the commit")
		}
		known = append(known, h.known(c))
	}
	v.commit()
	descriptors = make(map[int32]int32)
	for i, id := range h.handed.ids {
		if h.hasKeys(h.table.at(id)) {
			h.t.Fatal("a loop has keys after the commit")
		}
		descriptors[h.table.at(id).fd()] = next.table.at(ids[i]).fd()
		if is := next.known(next.table.at(ids[i])); is != known[i] {
			h.t.Fatalf("a loop knows\n%s\nof a connection, want what the one before knew:\n%s", is, known[i])
		}
	}
	v.end()
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

// Ensure that streams which have been handed over to a process with another --keepalive are pinged
// as often as it says, and not all at once.
func TestTravelToOtherPings(t *testing.T) {
	ssetest.Over(t, func(t *testing.T, via ssetest.Transport) {
		for _, before := range []time.Duration{0, 100 * time.Second} {
			h := turnByHandOver(t, via, Config{Keepalive: before}, channels.Options{})
			var peers []*peer
			for range 20 {
				peers = append(peers, h.join(via, "/x"))
			}
			h.pass(time.Hour)
			for _, p := range peers {
				p.received()
			}
			v := h.embark(func(cfg *Config) { cfg.Keepalive = 4 * time.Second })
			v.prepare()
			v.commit()
			for _, p := range peers {
				i := slices.Index(h.handed.ids, streamID(p.fd))
				p.h, p.fd = v.to, v.to.table.at(v.ids[i]).fd()
			}
			v.end()
			pinged, most := 0, 0
			for range 45 {
				v.to.pass(100 * time.Millisecond)
				together := 0
				for _, p := range peers {
					together += strings.Count(p.received(), ":keepalive")
				}
				pinged, most = pinged+together, max(most, together)
			}
			if pinged < len(peers) || pinged > 3*len(peers) || most == len(peers) {
				t.Errorf("pings every %v before: %d pings in 4.5 s to %d streams, %d of them at once", before, pinged, len(peers), most)
			}
		}
	})
}
