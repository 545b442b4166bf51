package control

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/auth/ticket"
	"millrace/internal/testenv"
)

// pair is the two processes of an upgrade; each is told what the other one learns.
type pair struct{ predecessor, successor node }

func openPair(t *testing.T, b *bus) pair {
	t.Helper()
	return openPairOf(t, b, ticket.RandomKeys())
}

func openPairOf(t *testing.T, b *bus, keys *ticket.Keys) pair {
	t.Helper()
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
	for _, nonsense := range []string{"{", `{}`, `{"message":5}`, `{"message":{"end":{}}}`, `{"message":{"kick":{"user":""}}}`, `{"number":1}`} {
		p.successor.Hear([]byte(nonsense))
	}
	p.successor.wantNothing(t)
}

// Ensure that a message of a third node, which it may have told its own successor under a number,
// is never taken for what the two processes of an upgrade tell each other.
func TestNumbersOfOthers(t *testing.T) {
	for _, data := range []string{
		`{"from":"x","end":{"channel":"/c"},"number":1000}`,
		`{"from":"x","end":{"channel":"/c"},"number":1000,"heard":1000}`,
		`{"from":"x","message":{"from":"y","end":{"channel":"/d"}},"end":{"channel":"/c"},"heard":1000}`,
	} {
		b := new(bus)
		p := openPair(t, b)
		if err := b.Tell([]byte(data)); err != nil {
			t.Fatal(err)
		}
		p.predecessor.Flush()
		p.predecessor.want(t, "/c of ")
		if got := p.predecessor.companion.heard.Load(); got != 0 {
			t.Errorf("%s: the predecessor takes it for an answer up to %d", data, got)
		}
		p.successor.Switched()
		p.successor.want(t, "/c of ")
		p.successor.wantNothing(t)
	}
	n := open(t, new(bus), ticket.RandomKeys())
	n.Hear([]byte(`{"heard":5}`))
	n.Hear([]byte(`{"heard":3}`))
	if got := n.companion.heard.Load(); got != 5 {
		t.Errorf("after the answers 5 and 3, %d has been heard, want 5", got)
	}
}

// Ensure that no number leaves the two processes of an upgrade.
func TestNumbersStay(t *testing.T) {
	b := new(bus)
	p := openPair(t, b)
	if _, err := p.predecessor.KickUser("u", time.Hour, true); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.told) != 1 || strings.Contains(b.told[0], "number") || !strings.Contains(b.told[0], `"kick"`) {
		t.Errorf("other nodes are told %q, want a kick without a number", b.told)
	}
}

// Ensure that tickets which are opened while the predecessor can tell other nodes nothing open no
// stream there once the successor has taken over, or the predecessor has taken back.
func TestTicketWhileFrozen(t *testing.T) {
	for _, tt := range []struct{ bySuccessor, back bool }{{true, false}, {true, true}, {false, false}, {false, true}} {
		b := new(bus)
		keys := ticket.RandomKeys()
		p := openPairOf(t, b, keys)
		other := open(t, b, keys)
		b.fail(channels.ErrFrozen)
		p.successor.cfg.Broker.(*bus).to = other.hear
		here, there := p.predecessor, p.successor
		if tt.bySuccessor {
			here, there = there, here
		}
		text, err := here.IssueTicket(ticket.Grant{Channels: []string{"/c"}})
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := here.tickets.Judge(&auth.Request{Method: "GET"}, text, nil, time.Now(), nil); v.Status != auth.Granted {
			t.Fatalf("%+v: %+v, want a grant", tt, v)
		}
		testenv.Eventually(t, "the other process knows the ticket", func() bool { return there.tickets.Stats().Known > 0 })
		if known := other.tickets.Stats().Known; known != 0 {
			t.Fatalf("%+v: another node knows %d tickets before the switch: there is nothing to be tested", tt, known)
		}
		if tt.back {
			p.predecessor.Accompany(nil)
			b.fail(nil)
		} else {
			p.successor.Switched()
		}
		testenv.Eventually(t, "another node knows the ticket", func() bool { return other.tickets.Stats().Known > 0 })
		for name, n := range map[string]node{"predecessor": p.predecessor, "successor": p.successor} {
			if dropped := n.Stats().Dropped; dropped != 0 {
				t.Errorf("%+v: the %s has dropped %d", tt, name, dropped)
			}
		}
	}
}

// Ensure that a successor keeps the newest tickets, and not more than it has room for.
func TestRecentIsBounded(t *testing.T) {
	p := openPair(t, new(bus))
	k := &p.successor.companion
	for i := range uint32(5 * maxRecent) {
		k.keepOpened([]ticket.Opened{{Generation: i}})
		if n := len(k.recent); n >= 2*maxRecent || n < min(int(i)+1, maxRecent) || k.recent[n-1].Generation != i {
			t.Fatalf("of %d tickets, %d are kept", i+1, n)
		}
	}
	if k = &open(t, new(bus), ticket.RandomKeys()).companion; k.keepOpened([]ticket.Opened{{}}) || len(k.recent) > 0 {
		t.Error("tickets are kept without an upgrade")
	}
}
