package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/auth"
)

// whenever is an authorizer whose verdicts the test gives, whenever it likes.
type whenever struct{ answers []func() }

func (a *whenever) Authorize(r *auth.Request, _ time.Time, answer func(auth.Verdict)) (auth.Verdict, bool) {
	granted := slices.Clone(r.Channels)
	user := strings.TrimPrefix(granted[0], "/")
	a.answers = append(a.answers, func() { answer(auth.Verdict{Status: auth.Granted, Channels: granted, User: user}) })
	return auth.Verdict{}, false
}

// Ensure that streams of HTTP/2 that come and go, with verdicts that are late, kicks, resets,
// and connections that break, never get what is another's, and leave nothing behind.
func TestH2Churn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		authorizer := &whenever{}
		h := turnByHand(t, Config{Authorizer: authorizer, MaxConnectionsPerIP: 1000, MaxStreamsPerConnection: 8, Keepalive: time.Second, HeaderTimeout: time.Second}, channels.Options{})
		defer func() { h.server.Close() }()
		var clients []*h2Client
		channelOf := make(map[*h2Client]map[uint32]string)
		name := rapid.SampledFrom([]string{"/a", "/b", "/c"})
		some := func(rt *rapid.T) *h2Client {
			if len(clients) == 0 {
				rt.Skip()
			}
			return rapid.SampledFrom(clients).Draw(rt, "client")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"connect": func(rt *rapid.T) {
				if len(clients) < 4 {
					c := h.connectH2(rapid.SampledFrom([]int{40, 65535}).Draw(rt, "window"))
					c.t = rt
					clients, channelOf[c] = append(clients, c), make(map[uint32]string)
				}
			},
			"ask": func(rt *rapid.T) {
				c, channel := some(rt), name.Draw(rt, "channel")
				channelOf[c][c.ask(channel)] = channel
			},
			"verdict": func(rt *rapid.T) {
				if n := len(authorizer.answers); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(rt, "which")
					authorizer.answers[i]()
					authorizer.answers = slices.Delete(authorizer.answers, i, i+1)
				}
				h.turnOver()
			},
			"publish": func(rt *rapid.T) {
				channel := name.Draw(rt, "channel")
				if _, err := h.broker.Publish(channel, channels.Event{Data: []byte(channel)}); err != nil {
					rt.Fatal(err)
				}
				h.turnOver()
			},
			"reset": func(rt *rapid.T) {
				c := some(rt)
				if c.take(); c.next > 1 {
					c.framer.WriteRSTStream(uint32(rapid.IntRange(0, int(c.next)/2-1).Draw(rt, "stream"))*2+1, 8)
					c.flush()
				}
			},
			"kick": func(rt *rapid.T) {
				channel := name.Draw(rt, "channel")
				if shared := h.broker.Find(channel); shared != nil && rapid.Bool().Draw(rt, "a channel") {
					h.startEnding(shared, "")
				} else {
					h.startEnding(nil, channel[1:])
				}
				h.turnOver()
			},
			"leave": func(rt *rapid.T) {
				c := some(rt)
				h.end(h.conn(c.fd), reasonClient)
				clients = slices.DeleteFunc(clients, func(other *h2Client) bool { return other == c })
			},
			"time": func(*rapid.T) { h.pass(300 * time.Millisecond) },
			"travel": func(rt *rapid.T) {
				if rapid.IntRange(0, 2).Draw(rt, "one of three") > 0 {
					rt.Skip()
				}
				next, descriptors := h.travel()
				h = next
				for _, c := range clients {
					c.h, c.fd = next, descriptors[c.fd]
				}
				clients = slices.DeleteFunc(clients, func(c *h2Client) bool { return c.fd == 0 }) // it has broken
			},
			"": func(rt *rapid.T) {
				for _, c := range slices.Clone(clients) {
					c.take()
					if c.closed || c.goAway { // it has reset too much
						clients = slices.DeleteFunc(clients, func(other *h2Client) bool { return other == c })
						continue
					}
					for id, channel := range channelOf[c] {
						for _, other := range []string{"/a", "/b", "/c"} {
							if got := c.text(id); other != channel && strings.Contains(got, event(other)) {
								rt.Fatalf("a stream on %s has got %q", channel, got)
							}
						}
					}
				}
				if err := h.checkH2(); err != nil {
					rt.Fatal(err)
				}
			},
		})
		for _, c := range clients {
			h.end(h.conn(c.fd), reasonClient)
		}
		for _, answer := range authorizer.answers {
			answer()
		}
		h.pass(lingerTimeout + time.Second)
		if err := h.checkH2(); err != nil {
			rt.Fatal(err)
		}
		for what, n := range map[string]int{
			"connections": int(h.counters.connections.Load()), "streams": int(h.counters.streams.Load()), "places": int(h.occupancy.streams.Load()),
			"undecided": len(h.undecided.m), "readers": len(h.readers.m), "users": len(h.byUser.m), "channels": len(h.byChannel.m),
			"extra": int(h.extra), "entries": int(h.shared.used) - len(h.shared.unused), "records": int(h.conns.used) - len(h.conns.unused),
			"decoders": len(h.tables.m), "frames": len(h.begun.m), "behind": int(h.counters.behind.Load()), "of HTTP/2": int(h.counters.h2Streams.Load()),
		} {
			if n != 0 {
				rt.Fatalf("%s: %d are left", what, n)
			}
		}
	})
}

// checkH2 reports what is wrong with the tables of HTTP/2.
func (h handLoop) checkH2() error {
	seen, attached := 0, 0
	var err error
	h.table.each(h.number, func(c *conn) {
		if c.state != stateHTTP2 {
			return
		}
		state, before, own := h.h2Of(c), link(0), 0
		for s := range h.streamsOf(state.first) {
			if seen++; s.conn != c.id() || s.before != before {
				err = fmt.Errorf("stream %d of connection %d is one of %d, behind %d", s.self, c.id(), s.conn, before)
			}
			before = link(s.self + 1)
			if s.state != stateStream && s.state != stateWaiting {
				continue
			}
			if own++; s.channel != multiChannel && h.channels[s.channel].subscribers[s.place] != s.self {
				err = fmt.Errorf("stream %d is not where it should be in the list of its channel", s.self)
			}
		}
		if attached += own; own != int(state.attached) {
			err = fmt.Errorf("connection %d counts %d streams, and has %d", c.id(), state.attached, own)
		}
	})
	if n := int(h.shared.used) - len(h.shared.unused); n != seen {
		err = fmt.Errorf("%d entries of streams for %d streams", n, seen)
	}
	if n := int(h.counters.h2Streams.Load()); n != attached {
		err = fmt.Errorf("%d streams are counted of %d", n, attached)
	}
	return err
}
