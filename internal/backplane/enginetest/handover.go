package enginetest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/testenv"
)

// Heir is a Backplane that another process's can take over from, as every engine's package has
// it.
type Heir interface {
	Backplane
	Hold()
	Hear(channels ...string)
	Settled(context.Context) (fence string)
	TakeOver(handover.Engine)
	HandOver(ctx context.Context, fence string) handover.Engine
	TakeBack()
}

// upgrade is one of a Local: its successor, and what there is to undo.
type upgrade struct {
	from, to *Local
	tap      *channels.Tap
	running  sync.WaitGroup
	moved    map[*Client]move
}

// move is what a client had before.
type move struct {
	inbox *channels.Inbox
	k     uint64
	chans []*channels.Channel
}

// beginUpgrade opens a successor of l that follows its broker.
func (l *Local) beginUpgrade() *upgrade {
	l.t.Helper()
	o := l.options
	o.Successor = true
	u := &upgrade{from: l, to: l.opened(o), moved: make(map[*Client]move)}
	u.to.Broker.HearControl(func([]byte) {})
	var err error
	if u.tap, err = l.Broker.Tap(handover.Version); err != nil {
		l.t.Fatal(err)
	}
	u.running.Go(func() {
		if err := u.tap.Run(u.to.Broker.Relay); err != nil {
			l.t.Error(err)
		}
	})
	select {
	case <-u.to.Broker.Restored():
	case <-time.After(patience):
		l.t.Fatal("the history does not come")
	}
	u.to.back.Hold()
	u.to.back.Start(u.to.Broker.Feed())
	return u
}

// moveClients has the clients go on at the successor.
func (u *upgrade) moveClients() {
	u.from.t.Helper()
	for _, c := range u.from.clients {
		m := move{inbox: c.inbox, chans: c.start.Channels}
		var head uint64
		m.k, head = c.inbox.HandOver(nil)
		var names [][]byte
		var subscribers []int32
		for _, channel := range m.chans {
			names, subscribers = append(names, []byte(channel.Name())), append(subscribers, 1)
		}
		c.inbox = u.to.Broker.NewInbox(c.wake)
		var err error
		if c.start.Channels, err = c.inbox.AttachAt(nil, m.k, head, names, subscribers); err != nil {
			u.from.t.Fatal(err)
		}
		u.moved[c] = m
	}
}

// agree has the engine's messages up to a place be the predecessor's, and waits for them. It
// returns that place.
func (u *upgrade) agree() handover.Engine {
	u.from.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	u.to.back.Hear(u.from.Broker.Feed().Heard()...)
	return u.from.back.HandOver(ctx, u.to.back.Settled(ctx))
}

// switchOver has the successor go on by itself.
func (u *upgrade) switchOver(place handover.Engine) {
	u.from.t.Helper()
	at, err := u.from.Broker.Freeze()
	if err != nil {
		u.from.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := u.tap.Flush(ctx); err != nil {
		u.from.t.Fatal(err)
	}
	for o, names := range u.from.observers {
		for _, name := range names {
			u.to.Broker.Ports().Observe(o, name)
		}
	}
	if err := u.to.Broker.TakeOver(at); err != nil {
		u.from.t.Fatal(err)
	}
	u.to.back.TakeOver(place)
	u.end()
	u.from.back.Close()
	u.to.clients = append(u.from.clients, u.to.clients...)
	u.to.observers = u.from.observers
	*u.from = *u.to
	for _, c := range u.from.clients {
		c.local = u.from
	}
}

// takeBack has the predecessor go on, as after the death of its successor.
func (u *upgrade) takeBack() {
	u.from.t.Helper()
	u.to.back.Close()
	for c, m := range u.moved {
		m.inbox.TakeBack(m.k, m.chans...)
		c.inbox, c.start.Channels = m.inbox, m.chans
		c.wake()
	}
	u.from.Broker.Thaw()
	u.from.back.TakeBack()
	u.end()
}

// end ends the tap.
func (u *upgrade) end() {
	u.tap.Close()
	u.running.Wait()
}

// Upgrades checks that streams, resumes and observers of a node miss nothing that they are not
// told of, and get nothing twice, while it is upgraded again and again under the events of
// another node, and some of the upgrades are taken back. open returns a new node at an engine's
// address. gaps tells that the engine has no order by which an upgrade could pass without a gap.
func Upgrades(t *testing.T, gaps bool, address string, open func(t *testing.T, address string) *Local) {
	UpgradesOf(t, gaps, open(t, address), open(t, address), nil)
}

// UpgradesCut is Upgrades of a node that loses its connections to the engine in the middle, at
// another step each time. gaps tells that it is then told of a gap.
func UpgradesCut(t *testing.T, gaps bool, address string, open func(t *testing.T, address string) *Local) {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	engine := u.Host
	proxy := StartProxy(t, func() (net.Conn, error) { return net.Dial("tcp", engine) })
	u.Host = proxy.Address()
	UpgradesOf(t, gaps, open(t, u.String()), open(t, address), proxy.cut)
}

// UpgradesOf upgrades a node under the events of another one, as Upgrades does. It calls cut in the
// middle, unless that is nil.
func UpgradesOf(t *testing.T, gaps bool, here, there *Local, cut func()) {
	upgrades := 4
	if os.Getenv(Full) != "" {
		upgrades = 40
	}
	here.Broker.HearControl(func([]byte) {}) // as every node does
	here.AwaitHealth(true)
	there.AwaitHealth(true)
	names := []string{"/u/one", "/u/zwei", "/u/drei"}
	heard := &hearer{local: here}
	here.observe(heard, "/u/heard")
	clients := []*Client{here.Open("", names[0]), here.Open("", names[1]), here.Open("", names...)}
	for _, c := range clients {
		c.Next(len(c.events)) // its greeting
	}
	wanted := append(slices.Clone(names), "/u/heard", "/u/late 0", "/u/late 1", "/u/late 2", "/u/late 3")
	stop := make(chan struct{})
	counts := make(map[string]int)
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for n := 1; ; n++ {
			for _, name := range wanted {
				there.Publish(name, fmt.Sprint(name, " ", n))
				counts[name] = n
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	exact := true
	for i := range upgrades {
		at := 0
		cutAt := func() {
			if at == i%5 && cut != nil {
				cut()
			}
			at++
		}
		serve(t, clients, 20)
		u := here.beginUpgrade()
		serve(t, clients, 5)
		cutAt()
		u.moveClients()
		serve(t, clients, 5)
		cutAt()
		late := u.to.openLater("/u/late " + fmt.Sprint(i%4))
		again := u.to.openLater(names[1])
		place := u.agree()
		cutAt()
		exact = exact && place.Exact
		if i%4 == 2 {
			u.takeBack()
			continue
		}
		u.switchOver(place)
		cutAt()
		for _, c := range []*Client{late, again} {
			c.begin()
			clients = append(clients, c)
		}
	}
	serve(t, clients, 20)
	if !exact && !gaps && cut == nil {
		t.Error("the place of an upgrade was not exact")
	}
	close(stop)
	publishing.Wait()
	for _, c := range clients {
		last := make(map[string]int)
		for _, channel := range c.start.Channels {
			last[channel.Name()] = counts[channel.Name()]
		}
		c.finish(last, gaps)
	}
	heard.finish(counts["/u/heard"], gaps)
}

// serve has clients take what has come, until the first has got so many events more.
func serve(t *testing.T, clients []*Client, events int) {
	t.Helper()
	want := len(clients[0].events) + events
	testenv.Eventually(t, "events come", func() bool {
		for _, c := range clients {
			c.turn()
		}
		return len(clients[0].events) >= want
	})
}

// finish serves until the last event of each channel has come, and checks all that have.
func (c *Client) finish(last map[string]int, gaps bool) {
	c.t.Helper()
	newest := make(map[string]int)
	told := make(map[string]bool) // of a channel: a gap has been told since its newest event
	checked, told0 := 0, 0
	testenv.Eventually(c.t, fmt.Sprintf("a client on %d channels gets the last events", len(last)), func() bool {
		c.turn()
		for ; checked < len(c.events); checked++ {
			event := c.events[checked]
			if strings.HasPrefix(event, "gap ") {
				if told0++; !gaps {
					c.t.Fatalf("a client is told of a %s after %v", event, newest)
				}
				for name := range last {
					told[name] = true
				}
				continue
			}
			at := strings.LastIndexByte(event, ' ')
			name, n := event[:at], 0
			fmt.Sscan(event[at+1:], &n)
			before, known := newest[name]
			if n <= before || known && n > before+1 && !told[name] {
				c.t.Fatalf("%s: %d comes after %d", name, n, before)
			}
			newest[name], told[name] = n, false
		}
		for name, n := range last {
			if newest[name] < n {
				return false
			}
		}
		return true
	})
}

// hearer is an observer of one channel.
type hearer struct {
	local *Local
	mu    sync.Mutex
	heard []string
}

// Hear implements channels.Observer.
func (h *hearer) Hear(_ channels.Glob, _ string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = append(h.heard, string(data))
}

// observe has o hear a channel, at this node and those that take over from it.
func (l *Local) observe(o channels.Observer, name string) {
	if l.observers == nil {
		l.observers = make(map[channels.Observer][]string)
	}
	l.observers[o] = append(l.observers[o], name)
	l.Broker.Ports().Observe(o, name)
}

// finish waits for the last event and checks that all came since the first, once; with gaps,
// that none came twice.
func (h *hearer) finish(last int, gaps bool) {
	t := h.local.t
	t.Helper()
	var heard []string
	testenv.Eventually(t, "an observer hears the last event", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		heard = slices.Clone(h.heard)
		return len(heard) > 0 && strings.HasSuffix(heard[len(heard)-1], fmt.Sprint(" ", last))
	})
	before := 0
	for _, data := range heard {
		n := 0
		fmt.Sscan(data[strings.LastIndexByte(data, ' ')+1:], &n)
		if n <= before || before > 0 && n > before+1 && !gaps {
			t.Fatalf("an observer hears %d after %d", n, before)
		}
		before = n
	}
}
