package control

import (
	"strconv"
	"testing"
	"time"

	"millrace/internal/auth"
	"millrace/internal/auth/ticket"
	"millrace/internal/testenv"
)

// pair is the two processes of an upgrade; each is told what the other one learns.
type pair struct{ predecessor, successor node }

func openPair(t *testing.T, b *bus) pair {
	t.Helper()
	keys := ticket.RandomKeys()
	p := pair{predecessor: open(t, b, keys)}
	p.successor = node{streams: &streams{ended: make(chan string, 100)}, kicks: new(auth.Kicks), tickets: ticket.New(keys)}
	deaf := &bus{alone: b.alone} // the engine brings it nothing before the switch
	p.successor.Control = Start(Config{Broker: deaf, Streams: p.successor.streams, Kicks: p.successor.kicks, Tickets: p.successor.tickets, Successor: true})
	t.Cleanup(p.successor.Close)
	p.predecessor.Accompany(p.successor.Hear)
	p.successor.Accompany(p.predecessor.Hear)
	return p
}

// Ensure that a kick during an upgrade counts in both processes at once, ends the streams of
// the successor at the switch, once, and those of the predecessor once more if it takes its
// streams back.
func TestKickDuringUpgrade(t *testing.T) {
	for _, tt := range []struct {
		name  string
		alone bool
		kick  func(p pair, other node) error
	}{
		{"of this node", true, func(p pair, _ node) error {
			_, err := p.predecessor.KickUser("u", time.Hour, true)
			return err
		}},
		{"of this node, with others", false, func(p pair, _ node) error {
			_, err := p.predecessor.KickUser("u", time.Hour, true)
			return err
		}},
		{"of another node", false, func(p pair, other node) error {
			_, err := other.KickUser("u", time.Hour, true)
			p.predecessor.Flush()
			return err
		}},
	} {
		for _, back := range []bool{false, true} {
			b := &bus{alone: tt.alone}
			p, other := openPair(t, b), open(t, b, ticket.RandomKeys())
			if err := tt.kick(p, other); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			now := time.Now()
			if got := p.successor.kicks.Judge("u", now, now); got != auth.Barred {
				t.Errorf("%s: what is issued to a kicked user is %d in the successor, want %d", tt.name, got, auth.Barred)
			}
			p.predecessor.want(t, " of u")
			p.successor.wantNothing(t)
			if back {
				p.predecessor.Accompany(nil)
				p.predecessor.want(t, " of u")
				p.predecessor.wantNothing(t)
				continue
			}
			p.successor.Switched()
			p.successor.want(t, " of u")
			p.successor.wantNothing(t)
			if _, err := p.successor.KickChannel("/c", ""); err != nil {
				t.Errorf("%s: a kick after the switch: %v", tt.name, err)
			}
			p.successor.want(t, "/c of ")
		}
	}
}

// Ensure that a ticket opens one stream while both processes serve, and that the predecessor
// tells other nodes of those that the successor has opened.
func TestTicketDuringUpgrade(t *testing.T) {
	for _, tt := range []struct{ alone, bySuccessor bool }{{true, false}, {true, true}, {false, false}, {false, true}} {
		b := &bus{alone: tt.alone}
		p := openPair(t, b)
		here, there := p.predecessor, p.successor
		if tt.bySuccessor {
			here, there = there, here
		}
		text, err := here.IssueTicket(ticket.Grant{Channels: []string{"/c"}})
		if err != nil {
			t.Fatal(err)
		}
		request, now := &auth.Request{Query: "ticket=" + text, Channels: []string{"/c"}}, time.Now()
		rule := func(n node) *auth.Rule { return &auth.Rule{Means: []auth.Means{n.tickets}, Kicks: n.kicks} }
		if v, ok := rule(here).Authorize(request, now, nil); !ok || v.Status != auth.Granted {
			t.Fatalf("%+v: %+v, want a grant", tt, v)
		}
		testenv.Eventually(t, "the other process knows the ticket", func() bool { return there.tickets.Stats().Known > 0 })
		if v, _ := rule(there).Authorize(request, now, nil); v.Status == auth.Granted {
			t.Errorf("%+v: a ticket that was opened in one process opens a stream of the other one, too", tt)
		}
		if !tt.alone {
			testenv.Eventually(t, "other nodes are told", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.told) > 0 })
		}
	}
}

// Ensure that orders for which there is no room are counted, and that nonsense ends nothing.
func TestOrdersAreBounded(t *testing.T) {
	p := openPair(t, &bus{alone: true})
	k := &p.successor.companion
	for i := range maxOrders {
		k.note(end{Channel: strconv.Itoa(i)})
	}
	p.successor.endLater(end{Channel: "one more"})
	p.successor.endLater(end{Channel: "1"})
	if got := p.successor.Stats().Dropped; got != 1 {
		t.Errorf("%d orders were dropped, want 1", got)
	}
	for _, nonsense := range []string{"{", `{"end":{}}`, `{"kick":{"user":""}}`} {
		p.successor.Hear([]byte(nonsense))
	}
	p.successor.wantNothing(t)
}
