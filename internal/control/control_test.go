package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/auth"
	"millrace/internal/auth/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus carries what nodes tell each other, to all of them.
type bus struct {
	mu    sync.Mutex
	hears []func(data []byte)
	down  error
	told  []string
	alone bool
	to    func(data []byte) // hears as well
}

func (b *bus) Linked() bool { return !b.alone }

func (b *bus) Tell(data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return b.down
	}
	b.told = append(b.told, string(data))
	for _, hear := range b.hears {
		if hear != nil {
			hear(data)
		}
	}
	if b.to != nil {
		b.to(data)
	}
	return nil
}

// fail has Tell return err from now on.
func (b *bus) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = err
}

func (b *bus) HearControl(hear func(data []byte)) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := len(b.hears)
	b.hears = append(b.hears, hear)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.hears[i] = nil
	}
}

// streams write down which were ended.
type streams struct {
	ended chan string
	err   error
}

func (s *streams) EndStreams(_ context.Context, channel, user string) (int, error) {
	s.ended <- fmt.Sprintf("%s of %s", channel, user)
	return 3, s.err
}

// node is one of a backplane.
type node struct {
	*Control
	streams *streams
	kicks   *auth.Kicks
	tickets *ticket.Tickets
}

func open(t *testing.T, b *bus, keys *ticket.Keys) node {
	n := node{streams: &streams{ended: make(chan string, 100)}, kicks: new(auth.Kicks), tickets: ticket.New(keys)}
	n.Control = Start(Config{Broker: b, Streams: n.streams, Kicks: n.kicks, Tickets: n.tickets})
	t.Cleanup(n.Close)
	return n
}

// want waits for what a node ends next.
func (n node) want(t *testing.T, ended string) {
	t.Helper()
	select {
	case got := <-n.streams.ended:
		if got != ended {
			t.Errorf("ended %q, want %q", got, ended)
		}
	case <-time.After(time.Minute):
		t.Fatalf("nothing was ended, want %q", ended)
	}
}

func (n node) wantNothing(t *testing.T) {
	t.Helper()
	if len(n.streams.ended) > 0 {
		t.Errorf("ended %q, want nothing", <-n.streams.ended)
	}
}

// Ensure that a kick holds on all nodes, once on each.
func TestKickUser(t *testing.T) {
	b := new(bus)
	here, there := open(t, b, ticket.RandomKeys()), open(t, b, ticket.RandomKeys())
	before := time.Now().Add(-time.Second)
	ended, err := here.KickUser("u", time.Hour, false)
	if ended != 3 || err != nil {
		t.Errorf("KickUser = %d, %v", ended, err)
	}
	here.want(t, " of u")
	there.want(t, " of u")
	here.wantNothing(t)
	after := time.Now()
	for name, n := range map[string]node{"here": here, "there": there} {
		if got := n.kicks.Judge("u", before, after); got != auth.Void {
			t.Errorf("%s: what was issued before counts: %d", name, got)
		}
		if got := n.kicks.Judge("u", after.Add(time.Second), after); got != auth.Counts {
			t.Errorf("%s: what is issued later does not count: %d", name, got)
		}
		if got := n.kicks.Judge("u", before, after.Add(time.Hour)); got != auth.Counts {
			t.Errorf("%s: it holds for too long: %d", name, got)
		}
	}
	if _, err := here.KickUser("u", time.Hour, true); err != nil || there.kicks.Judge("u", after.Add(time.Minute), time.Now()) != auth.Barred {
		t.Errorf("a final kick, %v, does not bar", err)
	}
	here.want(t, " of u")
	there.want(t, " of u")
	if ended, err := here.KickUser("u", 0, false); ended != 0 || err != nil || there.kicks.Judge("u", before, time.Now()) != auth.Counts {
		t.Errorf("a kick is not lifted: %d, %v", ended, err)
	}
	there.wantNothing(t)
	if s := here.Stats(); s != (Stats{Kicks: 2, Ended: 6, Kicked: auth.KickStats{}}) {
		t.Errorf("%+v", s)
	}
}

func TestKickChannel(t *testing.T) {
	b := new(bus)
	here, there := open(t, b, ticket.RandomKeys()), open(t, b, ticket.RandomKeys())
	for _, user := range []string{"", "<&>"} {
		if ended, err := here.KickChannel("/a", user); ended != 3 || err != nil {
			t.Errorf("KickChannel = %d, %v", ended, err)
		}
		here.want(t, "/a of "+user)
		there.want(t, "/a of "+user)
	}
	if here.kicks.Judge("<&>", time.Time{}, time.Now()) != auth.Counts {
		t.Error("who may come back may not")
	}
}

func TestRefusals(t *testing.T) {
	n := open(t, new(bus), ticket.RandomKeys())
	for want, f := range map[string]func() (int, error){
		"it is empty":           func() (int, error) { return n.KickUser("", time.Hour, false) },
		"want 0 to":             func() (int, error) { return n.KickUser("u", auth.MaxKick+1, false) },
		"for -1s":               func() (int, error) { return n.KickUser("u", -time.Second, false) },
		"bad channel name":      func() (int, error) { return n.KickChannel("", "u") },
		"bad name of a user":    func() (int, error) { return n.KickChannel("/a", "\n") },
		"bad name of a user: i": func() (int, error) { return n.KickUser("", 0, false) },
	} {
		if ended, err := f(); ended != 0 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d, %v, want %q", ended, err, want)
		}
	}
	n.wantNothing(t)
}

// Ensure that the caller of a kick is told when other nodes may not know, or streams may
// go on.
func TestTrouble(t *testing.T) {
	b := &bus{down: errors.New("the engine is away")}
	n := open(t, b, ticket.RandomKeys())
	n.streams.err = errors.New("event loop 1 does not turn")
	ended, err := n.KickUser("u", time.Hour, false)
	if ended != 3 || !errors.Is(err, ErrOtherNodes) || !errors.Is(err, b.down) || !errors.Is(err, n.streams.err) {
		t.Errorf("KickUser = %d, %v", ended, err)
	}
	n.want(t, " of u")
}

// Ensure that a node on its own tells nobody, and that where no ticket is needed none is
// issued.
func TestAlone(t *testing.T) {
	b := &bus{alone: true, down: errors.New("nobody is there")}
	n := open(t, b, ticket.RandomKeys())
	if _, err := n.KickUser("u", time.Hour, false); err != nil {
		t.Error(err)
	}
	c := Start(Config{Broker: b, Streams: n.streams, Kicks: n.kicks})
	defer c.Close()
	if text, err := c.IssueTicket(ticket.Grant{Channels: []string{"/a"}}); text != "" || !errors.Is(err, ErrNoTickets) {
		t.Errorf("IssueTicket = %q, %v", text, err)
	}
}

// Ensure that a ticket that was opened on one node opens no stream on another, and that
// many are told of together.
func TestOpened(t *testing.T) {
	b := new(bus)
	keys := ticket.RandomKeys()
	here, there := open(t, b, keys), open(t, b, keys)
	var texts []string
	for range 100 {
		text, err := here.IssueTicket(ticket.Grant{Channels: []string{"/a"}})
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
		if v, _ := here.tickets.Judge(&auth.Request{Method: "GET"}, text, nil, time.Now(), nil); v.Status != auth.Granted {
			t.Fatalf("%+v", v)
		}
	}
	for deadline := time.Now().Add(time.Minute); there.tickets.Stats().Known < len(texts); {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d are known there", there.tickets.Stats().Known, len(texts))
		}
	}
	for _, text := range texts {
		if v, _ := there.tickets.Judge(&auth.Request{Method: "GET"}, text, nil, time.Now(), nil); v.Reason != "spent" {
			t.Errorf("%+v, want it spent", v)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.told, func(s string) bool { return len(s) > 4096 }) {
		t.Error("a message has more than 4 KiB")
	}
}

// FuzzHear ensures that whatever comes from the engine neither crashes a node nor bars a
// user for longer than a kick may.
func FuzzHear(f *testing.F) {
	f.Add(`{"from":"x","kick":{"user":"u","at":1790000000000000,"until":9223372036854775807,"final":true}}`)
	f.Add(`{"from":"x","end":{}}`)
	f.Add(`{"from":"x","opened":[{"f":"AAAA","g":1,"i":1,"u":9223372036854775807}]}`)
	f.Fuzz(func(t *testing.T, data string) {
		s := &streams{ended: make(chan string, 10)}
		c := Start(Config{Broker: new(bus), Streams: s, Kicks: new(auth.Kicks), Tickets: ticket.New(ticket.RandomKeys())})
		c.hear([]byte(data))
		c.Close()
		if got := c.cfg.Kicks.Judge("u", time.Time{}, time.Now().Add(auth.MaxKick+time.Minute)); got != auth.Counts {
			t.Errorf("%q: %d a year later", data, got)
		}
	})
}
